//! The controller's HTTP API, as any other program would use it.

use std::net::SocketAddr;
use std::time::Duration;

use controller::api;
use serde::de::DeserializeOwned;
use types::NodeId;

use crate::checker::{Acknowledged, Found};

/// How long an answer may take; reading an object may cross half the sky.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An object that cannot be read now is asked for so often, …
const READ_TRIES: u32 = 4;
/// … with this pause: a link that has just come back is used again within a second or two.
const READ_PAUSE: Duration = Duration::from_millis(700);
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

    /// An acknowledged object as a node holds it now.
    ///
    /// # Errors
    /// When the controller does not answer, or refuses for good.
    pub fn read_object(&self, node: &NodeId, write: &Acknowledged) -> Result<Found, String> {
        let run = write.run.map_or_else(String::new, |run| format!("&run={run}"));
        let key = write.key.as_str().replace('/', "%2F");
        let path = format!(
            "/objects?workflow={}&task={}&key={key}&node={node}{run}",
            write.workflow, write.task
        );
        let mut tries = 1;
        loop {
            match self.get::<api::ObjectInfo>(&path) {
                Ok(object) if object.intact => {
                    return Ok(Found::Held { version: object.version.0, hash: object.hash });
                }
                Ok(_) | Err(ClientError::Refused { status: 404, .. }) => return Ok(Found::Absent),
                Err(error) if !is_passing(&error) => return Err(error.to_string()),
                Err(error) if tries == READ_TRIES => {
                    return Ok(Found::Unreachable(error.to_string()));
                }
                Err(_) => {}
            }
            tries += 1;
            std::thread::sleep(READ_PAUSE);
        }
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

/// Whether it may be different a moment later: the node did not answer, or not in time.
fn is_passing(error: &ClientError) -> bool {
    match error {
        ClientError::Refused { status, .. } => matches!(status, 503 | 504),
        ClientError::Unreachable { source, .. } => matches!(**source, ureq::Error::Timeout(_)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use types::{Epoch, RunId, StateKey, TaskId, WorkflowId};

    use super::*;

    /// An API that gives these answers, one after the other.
    fn api(answers: &'static [(&'static str, &'static str)]) -> Api {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                let head = "content-type: application/json\r\nconnection: close";
                let length = body.len();
                write!(
                    stream,
                    "HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}"
                )
                .unwrap();
            }
        });
        Api::new(address)
    }

    fn found(answers: &'static [(&'static str, &'static str)]) -> Result<Found, String> {
        let write = Acknowledged {
            at: Epoch::from_unix_ns(0),
            node: NodeId::new("a").unwrap(),
            workflow: WorkflowId::new("w").unwrap(),
            run: Some(RunId(1)),
            task: TaskId::new("t").unwrap(),
            key: StateKey::new("x").unwrap(),
            version: 1,
            owner_epoch: 0,
            hash: "h".to_owned(),
            bytes: 1,
            copies: vec![],
            deleted: false,
        };
        api(answers).read_object(&write.node, &write)
    }

    const BUSY: (&str, &str) =
        ("503 Busy", r#"{"error":{"code":"unavailable","message":"a is silent"}}"#);
    const ABSENT: (&str, &str) =
        ("404 Not Found", r#"{"error":{"code":"not-found","message":"no"}}"#);
    const OBJECT: (&str, &str) = (
        "200 OK",
        r#"{"workflow":"w","run":1,"task":"t","key":"x","node":"a","version":1,"owner_epoch":0,"bytes":1,"hash":"h","intact":true}"#,
    );

    #[test]
    fn a_node_that_does_not_answer_is_asked_again_and_never_taken_for_empty() {
        let held = Found::Held { version: 1, hash: "h".to_owned() };
        assert_eq!(found(&[OBJECT]).unwrap(), held);
        assert_eq!(found(&[BUSY, OBJECT]).unwrap(), held);
        assert_eq!(found(&[BUSY, ABSENT]).unwrap(), Found::Absent);
        let Found::Unreachable(reason) = found(&[BUSY; READ_TRIES as usize]).unwrap() else {
            panic!("nobody answered");
        };
        assert!(reason.contains("a is silent"), "{reason}");
        // What will not be different a moment later stops the check.
        assert!(found(&[("500 Internal", "{}")]).is_err());
    }
}
