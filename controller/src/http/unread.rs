//! Takes what is left of a request that was refused before all of it was read: a client that is still writing when the connection
//! closes sees a broken pipe, and never the reason.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use futures_core::Stream;
use tokio::time::{Instant, timeout_at};

use crate::deploy::PROGRAM_UPLOAD_BYTES_MAX;

/// Most that is taken: the largest body that any route takes.
const BYTES_MAX: usize = PROGRAM_UPLOAD_BYTES_MAX;
/// Longest time without a byte: who is still writing is on this machine.
const STALL: Duration = Duration::from_secs(1);
/// Longest time for all of it.
const TOTAL: Duration = Duration::from_secs(10);

/// A body that one reads and another may read on.
#[derive(Clone)]
struct Shared(Arc<Mutex<BodyDataStream>>);

impl Stream for Shared {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).poll_next(context)
    }
}

/// Answers a refusal once the client has said all, or stopped to.
pub(super) async fn take(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let body = Shared(Arc::new(Mutex::new(body.into_data_stream())));
    let rest = body.clone();
    let response = next.run(Request::from_parts(head, Body::from_stream(body))).await;
    let status = response.status();
    let is_refused = status.is_client_error() || status.is_server_error();
    // Who was waited for in vain is not waited for again.
    if is_refused && status != StatusCode::REQUEST_TIMEOUT {
        drain(rest).await;
    }
    response
}

async fn drain(mut body: Shared) {
    let end = Instant::now() + TOTAL;
    let mut taken = 0;
    while taken <= BYTES_MAX {
        let due = end.min(Instant::now() + STALL);
        let next = std::future::poll_fn(|context| Pin::new(&mut body).poll_next(context));
        match timeout_at(due, next).await {
            Ok(Some(Ok(bytes))) => taken += bytes.len(),
            Ok(None | Some(Err(_))) | Err(_) => return,
        }
    }
}
