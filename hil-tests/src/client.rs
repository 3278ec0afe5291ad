//! The controller's HTTP API, as any other program would use it.

use std::net::SocketAddr;
use std::time::Duration;

use controller::api;
use serde::de::DeserializeOwned;
use types::NodeId;

use crate::checker::{Acknowledged, ReadBack};

/// How long an answer may take; reading an object may cross half the sky.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why the API did not answer as asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answered.
    #[error("{path}: {source}")]
    Unreachable {
        /// What was asked.
        path: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// The controller refused.
    #[error("{path}: {status} {message}")]
    Refused {
        /// What was asked.
        path: String,
        /// The HTTP status.
        status: u16,
        /// The controller's words.
        message: String,
    },
}

/// A client of one controller.
#[derive(Clone, Debug)]
pub struct Api {
    agent: ureq::Agent,
    base: String,
}

impl Api {
    /// The API at an address.
    pub fn new(address: SocketAddr) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .build();
        Self { agent: config.into(), base: format!("http://{address}{}", api::PREFIX) }
    }

    /// `GET` of a path below `/api/v1`.
    ///
    /// # Errors
    /// [`ClientError`] when nobody answers or the answer is no success.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.agent.get(format!("{}{path}", self.base)).call();
        read(path, answer)
    }

    /// `POST` of bytes to a path below `/api/v1`.
    ///
    /// # Errors
    /// [`ClientError`] when nobody answers or the answer is no success.
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<T, ClientError> {
        let request = self.agent.post(format!("{}{path}", self.base));
        read(path, request.header("content-type", content_type).send(body))
    }
}

fn read<T: DeserializeOwned>(
    path: &str,
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<T, ClientError> {
    let unreachable = |source: ureq::Error| ClientError::Unreachable {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let mut answer = answer.map_err(unreachable)?;
    let status = answer.status();
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
    if status.is_success() {
        return body.read_json().map_err(unreachable);
    }
    let message = body.read_json::<api::ErrorBody>().map_or_else(
        |_| "without a reason".to_owned(),
        |body| format!("{}: {}", body.error.code, body.error.message),
    );
    Err(ClientError::Refused { path: path.to_owned(), status: status.as_u16(), message })
}

impl ReadBack for Api {
    fn read(&self, node: &NodeId, write: &Acknowledged) -> Result<Option<(u64, String)>, String> {
        let run = write.run.map_or_else(String::new, |run| format!("&run={run}"));
        let key = write.key.as_str().replace('/', "%2F");
        let path = format!(
            "/objects?workflow={}&task={}&key={key}&node={node}{run}",
            write.workflow, write.task
        );
        match self.get::<api::ObjectInfo>(&path) {
            Ok(object) => Ok(object.intact.then_some((object.version.0, object.hash))),
            // Not there, or the node cannot be reached: another copy is asked then.
            Err(ClientError::Refused { status: 404 | 503 | 504, .. }) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}
