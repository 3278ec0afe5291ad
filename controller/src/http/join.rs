//! The endpoint where members join and renew: HTTPS with a certificate of the fleet's authority. The only one that
//! strangers reach, so everything is bounded: connections, their time, what they send, and how fast tokens are tried.

mod listener;

use std::future::Future;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use protocol::join::Token;
use secure::client::{
    AUTHORITY_PATH, Issued, JOIN_PATH, JoinRequest, RENEW_PATH, Refused, RenewRequest,
};

pub use listener::{ListenError, TlsListener};

use crate::registry::JoinError;
use crate::shell::keeper::{KeepError, Keeper};
use listener::Peer;

/// Largest body: a token and a request of 4 KiB.
const BODY_BYTES_MAX: usize = 8 * 1024;
/// A refusal is told after so long, while its connection counts: with 64 connections, 128 tokens can be tried in a
/// second, of 2^128.
const REFUSAL_PAUSE: Duration = Duration::from_millis(500);

/// Serves until `stop` is done.
pub async fn serve(
    listener: TlsListener,
    keeper: Keeper,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let routes = Router::new()
        .route(AUTHORITY_PATH, get(authority))
        .route(JOIN_PATH, post(join))
        .route(RENEW_PATH, post(renew))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(keeper);
    let service = routes.into_make_service_with_connect_info::<Peer>();
    if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(stop).await {
        tracing::error!(%error, "the join endpoint ended");
    }
}

/// An answer that is no certificate.
struct No(StatusCode, String);

impl IntoResponse for No {
    fn into_response(self) -> Response {
        (self.0, Json(Refused { error: self.1 })).into_response()
    }
}

async fn authority(State(keeper): State<Keeper>) -> String {
    keeper.authority().text.clone()
}

async fn join(
    State(keeper): State<Keeper>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Issued>, No> {
    let JoinRequest { token, request } = read(&body)?;
    let token: Token = token.parse().map_err(|error| malformed(&error))?;
    let (id, name) = (token.id, token.node.clone());
    let joined = blocking(move || keeper.join(&token, &request)).await;
    match &joined {
        Ok(_) => tracing::info!(%name, token = %id, from = %peer.address, "joined"),
        Err(No(_, error)) => {
            tracing::warn!(%name, token = %id, from = %peer.address, error, "join refused");
        }
    }
    joined
}

async fn renew(
    State(keeper): State<Keeper>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Issued>, No> {
    let RenewRequest { request } = read(&body)?;
    let Some(shown) = peer.facts else {
        let rule = "renewing takes a connection with the present certificate; join with a token";
        return Err(No(StatusCode::UNAUTHORIZED, rule.to_owned()));
    };
    let name = shown.name.clone();
    let renewed = blocking(move || keeper.renew(&shown, &request)).await;
    match &renewed {
        Ok(_) => tracing::info!(%name, "certificate renewed"),
        Err(No(_, error)) => tracing::warn!(%name, error, "renewal refused"),
    }
    renewed
}

fn read<T: serde::de::DeserializeOwned>(body: &Result<Bytes, BytesRejection>) -> Result<T, No> {
    match body {
        Ok(body) => serde_json::from_slice(body).map_err(|error| malformed(&error)),
        Err(rejection) => Err(No(rejection.status(), rejection.body_text())),
    }
}

fn malformed(error: &impl ToString) -> No {
    No(StatusCode::BAD_REQUEST, error.to_string())
}

/// Does what may wait for the disk, and holds refusals back.
async fn blocking(
    work: impl FnOnce() -> Result<Issued, KeepError> + Send + 'static,
) -> Result<Json<Issued>, No> {
    let done = tokio::task::spawn_blocking(work).await;
    let error = match done {
        Ok(Ok(issued)) => return Ok(Json(issued)),
        Ok(Err(error)) => error,
        Err(error) => return Err(No(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    };
    tokio::time::sleep(REFUSAL_PAUSE).await;
    let status = match &error {
        KeepError::Join(JoinError::TooMany(_)) => StatusCode::TOO_MANY_REQUESTS,
        KeepError::Join(_) => StatusCode::FORBIDDEN,
        KeepError::Request(_) => StatusCode::BAD_REQUEST,
        KeepError::Authority(_)
        | KeepError::Files(_)
        | KeepError::Corrupt { .. }
        | KeepError::Randomness(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Err(No(status, error.to_string()))
}
