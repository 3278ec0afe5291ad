//! Logs of functions as JSON lines.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use futures_core::Stream;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use types::FunctionId;

use super::{Asked, Named};
use crate::api::LogEntry;
use crate::http::Api;
use crate::http::answer::Failure;

/// Who may follow at once.
pub(in crate::http) const FOLLOWERS_MAX: usize = 16;
/// Lines that wait for one client; then they wait in the log book, which is bounded.
const WAITING_MAX: usize = 64;
/// An empty line is sent so often, so that whoever has gone is noticed.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct LogQuestion {
    #[serde(default)]
    follow: bool,
}

pub(in crate::http) async fn logs(
    State(api): State<Arc<Api>>,
    name: Named<FunctionId>,
    asked: Asked<LogQuestion>,
) -> Result<Response, Failure> {
    let (Path(name), Query(asked)) = (name?, asked?);
    api.shared.read(|controller, _| controller.function(&name))?;
    let kind = [(CONTENT_TYPE, "application/x-ndjson")];
    if !asked.follow {
        let (kept, _) = api.logs.read(&name);
        let text: String = kept.iter().map(line).collect();
        return Ok((kind, text).into_response());
    }
    let room = Arc::clone(&api.followers).try_acquire_owned().map_err(|_full| {
        let rule = format!("{FOLLOWERS_MAX} follow logs already, the most that may; try again");
        Failure::unavailable(rule)
    })?;
    let (sender, lines) = mpsc::channel(WAITING_MAX);
    // Ends when the client has gone, or the log book.
    tokio::spawn(pump(api, name, sender));
    Ok((kind, Body::from_stream(Lines { lines, _room: room })).into_response())
}

/// Brings what is kept and what comes to one client.
async fn pump(api: Arc<Api>, name: FunctionId, sender: mpsc::Sender<Bytes>) {
    let (kept, mut coming) = api.logs.read(&name);
    let mut newest = kept.last().cloned();
    for entry in kept {
        if sender.send(line(&entry).into()).await.is_err() {
            return;
        }
    }
    loop {
        let next = match tokio::time::timeout(SIGN_OF_LIFE, coming.recv()).await {
            Err(_quiet) => "\n".to_owned(),
            Ok(Ok(told)) if told.0 == name => {
                newest = Some(told.1.clone());
                line(&told.1)
            }
            Ok(Ok(_)) => continue,
            // Where lines were left out is told beside the newest that was not.
            Ok(Err(RecvError::Lagged(dropped))) => match &newest {
                Some(entry) => line(&left_out(entry, dropped)),
                None => continue,
            },
            Ok(Err(RecvError::Closed)) => return,
        };
        if sender.send(next.into()).await.is_err() {
            return;
        }
    }
}

fn left_out(entry: &LogEntry, dropped: u64) -> LogEntry {
    let text = String::new();
    LogEntry { run: None, level: None, text, dropped, lost: 0, ..entry.clone() }
}

fn line(entry: &LogEntry) -> String {
    // Names, numbers and text always are JSON.
    let mut text = serde_json::to_string(entry).unwrap_or_default();
    text.push('\n');
    text
}

/// The body of an answer that goes on.
struct Lines {
    lines: mpsc::Receiver<Bytes>,
    _room: OwnedSemaphorePermit,
}

impl Stream for Lines {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.lines.poll_recv(context).map(|line| line.map(Ok))
    }
}
