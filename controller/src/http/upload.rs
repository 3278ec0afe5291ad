//! Takes the body of an upload: bounded in size, in time and in number, and in memory only, so that nothing of one that
//! breaks off remains.

use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::answer::Failure;
use crate::deploy::{
    LENGTH_BYTES, PROGRAM_UPLOAD_BYTES_MAX, PROGRAM_UPLOAD_TYPE, PushError, UPLOAD_BYTES_MAX,
    UPLOAD_TYPE, manifest_length, release_length,
};

/// Uploads that are taken at once: together less than 20 MiB.
pub(super) const UPLOADS_MAX: usize = 4;

/// What is uploaded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// Its media type.
    media: &'static str,
    /// In words.
    what: &'static str,
    /// Its largest size.
    bytes_max: usize,
    /// Checks the length that stands first.
    check: fn([u8; LENGTH_BYTES]) -> Result<usize, PushError>,
}

/// A function.
pub(super) const FUNCTION: Kind = Kind {
    media: UPLOAD_TYPE,
    what: "a function",
    bytes_max: UPLOAD_BYTES_MAX,
    check: manifest_length,
};

/// A program of the agent.
pub(super) const PROGRAM: Kind = Kind {
    media: PROGRAM_UPLOAD_TYPE,
    what: "a program",
    bytes_max: PROGRAM_UPLOAD_BYTES_MAX,
    check: release_length,
};

/// How slow an upload may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Longest time without a byte.
    pub stall: Duration,
    /// Longest time for all of it.
    pub total: Duration,
}

impl Default for Patience {
    /// The largest upload fits at 600 kbit/s.
    fn default() -> Self {
        Self { stall: Duration::from_secs(10), total: Duration::from_secs(60) }
    }
}

/// Reads all of a body.
///
/// # Errors
/// [`Failure`] for a body of another type, that is or says that it is too large, or that does not come.
pub(super) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    kind: &Kind,
    patience: Patience,
) -> Result<Vec<u8>, Failure> {
    let declared = check_head(headers, kind)?;
    let end = Instant::now() + patience.total;
    let mut bytes = Vec::new();
    loop {
        let due = end.min(Instant::now() + patience.stall);
        let next = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        let frame = match timeout_at(due, next).await {
            Err(_late) => return Err(too_slow(bytes.len(), declared)),
            Ok(None) => return Ok(bytes),
            Ok(Some(Err(error))) => {
                return Err(Failure::bad_request(format!("the upload broke off: {error}")));
            }
            Ok(Some(Ok(frame))) => frame,
        };
        // Trailers are no part of it.
        let Ok(data) = frame.into_data() else { continue };
        if kind.bytes_max < bytes.len() + data.len() {
            let bytes = u64::try_from(bytes.len() + data.len()).unwrap_or(u64::MAX);
            return Err(too_large(bytes, kind));
        }
        bytes.extend_from_slice(&data);
        if let Some(length) = bytes.first_chunk::<LENGTH_BYTES>() {
            (kind.check)(*length)?;
        }
    }
}

/// Checks what is said about a body, before any of it is read; answers its size, if that is said.
fn check_head(headers: &HeaderMap, kind: &Kind) -> Result<Option<u64>, Failure> {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Kind { media, what, bytes_max, .. } = kind;
    if said != *media {
        let rule = format!("{what} is uploaded as {media}, not as {said:?}");
        return Err(Failure::bad_request(rule));
    }
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let declared = declared.and_then(|text| text.parse::<u64>().ok());
    let limit = u64::try_from(*bytes_max).unwrap_or(u64::MAX);
    match declared {
        Some(bytes) if limit < bytes => Err(too_large(bytes, kind)),
        declared => Ok(declared),
    }
}

fn too_large(bytes: u64, kind: &Kind) -> Failure {
    PushError::TooLarge { part: "upload", bytes, limit: kind.bytes_max }.into()
}

fn too_slow(got: usize, declared: Option<u64>) -> Failure {
    let of = declared.map_or_else(String::new, |bytes| format!(" of {bytes}"));
    let rule = format!("the upload is too slow: {got}{of} bytes have come; nothing of it was kept");
    Failure::new(StatusCode::REQUEST_TIMEOUT, "timeout", rule)
}
