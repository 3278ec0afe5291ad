//! The HTTP API: `/api/v1` on loopback, JSON, bounded bodies. Types are in [`crate::api`].

mod answer;
pub mod join;
mod routes;
mod unread;
mod upload;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::shell::commands::Commander;
use crate::shell::keeper::Keeper;
use crate::shell::logs::LogBook;
use crate::shell::objects::Reader;
use crate::shell::programs::Programs;
use crate::shell::run::Shared;
use crate::shell::store::Modules;
use answer::Failure;
pub use upload::Patience;

/// Largest workflow, TOML or JSON: 32 tasks take some kilobytes.
const WORKFLOW_BYTES_MAX: usize = 256 * 1024;

/// What the handlers share.
#[derive(Debug)]
pub struct Api {
    shared: Shared,
    modules: Modules,
    logs: LogBook,
    /// Absent in tests of what needs neither.
    reach: Option<Reach>,
    /// One permit for each upload under way.
    uploads: Semaphore,
    /// The same, of programs of the agent: they are larger.
    program_uploads: Semaphore,
    /// Absent in tests of what needs none.
    programs: Option<Programs>,
    /// One permit for each client that follows a log.
    followers: Arc<Semaphore>,
    patience: Patience,
    /// Absent in an insecure fleet.
    keeper: Option<Keeper>,
}

/// The bus and the folder of a controller.
#[derive(Debug)]
pub struct Reach {
    /// Reads objects.
    pub reader: Reader,
    /// Gives commands.
    pub commander: Commander,
    /// Where the controller keeps what nodes said late.
    pub state_dir: PathBuf,
}

impl Api {
    fn reach(&self) -> Result<&Reach, Failure> {
        let none = || Failure::unavailable("this controller has no bus".to_owned());
        self.reach.as_ref().ok_or_else(none)
    }

    /// An API over a controller; without a reach no objects can be read, and no commands given.
    pub fn new(shared: Shared, (modules, logs): (Modules, LogBook), reach: Option<Reach>) -> Self {
        let (uploads, patience) = (Semaphore::new(upload::UPLOADS_MAX), Patience::default());
        let followers = Arc::new(Semaphore::new(routes::log::FOLLOWERS_MAX));
        Self {
            shared,
            modules,
            logs,
            reach,
            uploads,
            program_uploads: Semaphore::new(1),
            programs: None,
            followers,
            patience,
            keeper: None,
        }
    }

    fn programs(&self) -> Result<&Programs, Failure> {
        let none = || Failure::unavailable("this controller keeps no programs".to_owned());
        self.programs.as_ref().ok_or_else(none)
    }

    /// Keeps programs of the agent there.
    #[must_use]
    pub fn with_programs(self, programs: Programs) -> Self {
        Self { programs: Some(programs), ..self }
    }

    /// Lets members in through this.
    #[must_use]
    pub fn with_keeper(self, keeper: Option<Keeper>) -> Self {
        Self { keeper, ..self }
    }

    /// Waits so long for uploads.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }
}

/// Serves until `stop` is done and the answers under way are given.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    if let Err(error) = axum::serve(listener, router(api)).with_graceful_shutdown(stop).await {
        tracing::error!(%error, "the HTTP API ended");
    }
}

fn router(api: Api) -> Router {
    let v1 = Router::new()
        .route("/nodes", get(routes::nodes))
        .route("/nodes/{id}", get(routes::node))
        .route("/nodes/{id}/commands", post(routes::command::give))
        .route("/nodes/{id}/boards/{board}", post(routes::command::order_board))
        .route("/nodes/{id}/commands/{epoch}/{command}/cancel", post(routes::command::take_back))
        .route("/nodes/{id}/late", get(routes::late::late))
        .route("/nodes/{id}/update", post(routes::program::update))
        .route("/nodes/{id}/resume", post(routes::program::resume))
        .route("/programs", post(routes::program::push))
        .route("/plan", get(routes::plan))
        .route("/placements", get(routes::placements))
        .route("/decisions/{workflow}", get(routes::decision))
        .route("/what-if", post(routes::what_if::any))
        .route("/what-if/{workflow}", get(routes::what_if::known))
        .route("/handovers", get(routes::handovers))
        .route("/workflows", get(routes::workflows).post(routes::submit))
        .route("/workflows/{id}", get(routes::workflow).delete(routes::remove_workflow))
        .route("/runs", get(routes::runs))
        .route("/links", get(routes::links))
        .route("/objects", get(routes::object))
        .route("/clock", get(routes::clock))
        .route("/health", get(routes::health))
        .route("/functions", get(routes::function::functions).post(routes::function::push))
        .route(
            "/functions/{name}",
            get(routes::function::function).delete(routes::function::remove),
        )
        .route("/functions/{name}/logs", get(routes::log::logs))
        .route("/keys", get(routes::function::keys).post(routes::function::trust))
        .route("/keys/{id}/revoke", post(routes::function::revoke))
        .route("/members", get(routes::member::members))
        .route("/members/{name}/token", post(routes::member::token))
        .route("/members/{name}/revoke", post(routes::member::revoke))
        // An upload bounds itself.
        .layer(DefaultBodyLimit::max(WORKFLOW_BYTES_MAX));
    Router::new()
        .nest(crate::api::PREFIX, v1)
        .fallback(routes::nothing_there)
        .method_not_allowed_fallback(routes::wrong_method)
        .layer(middleware::from_fn(only_this_machine))
        .layer(middleware::from_fn(unread::take))
        .with_state(Arc::new(api))
}

async fn only_this_machine(request: Request, next: Next) -> Response {
    match refuse_others(request.headers()) {
        Some(failure) => failure.into_response(),
        None => next.run(request).await,
    }
}

/// Refuses what a web page elsewhere makes a browser on this machine send.
fn refuse_others(headers: &HeaderMap) -> Option<Failure> {
    let host = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    if !matches!(name, "127.0.0.1" | "localhost" | "[::1]") {
        return Some(Failure::denied(format!("host {host:?} is not this machine; use 127.0.0.1")));
    }
    let own = format!("http://{host}");
    let is_foreign = headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes() != own.as_bytes());
    is_foreign.then(|| Failure::denied("requests of other sites are refused".to_owned()))
}
