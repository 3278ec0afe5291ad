//! One request, one answer.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::{CliError, Format, Printed};
use crate::api::{self, ErrorBody};
use crate::exit_code;

/// Largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The API of one controller.
#[derive(Debug)]
pub(super) struct Client {
    agent: ureq::Agent,
    base: String,
}

/// An answer, as text and as what it means.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub(super) text: String,
    pub(super) value: T,
}

impl<T> Answer<T> {
    /// The answer as it is, or as `table` shows it.
    pub(super) fn print(&self, format: Format, table: impl FnOnce(&T) -> String) -> Printed {
        match format {
            Format::Json => format!("{}\n", self.text.trim_end()).into(),
            Format::Table => table(&self.value).into(),
        }
    }
}

impl Client {
    /// A client of the controller at `url`.
    pub(super) fn new(url: &str, timeout_s: u64) -> Result<Self, CliError> {
        if !url.starts_with("http://") {
            let rule = format!("--controller {url:?} is not an address like http://127.0.0.1:8080");
            return Err(CliError::new(exit_code::USAGE, rule));
        }
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(timeout_s)))
            .http_status_as_error(false)
            .build();
        let base = format!("{}{}", url.trim_end_matches('/'), api::PREFIX);
        Ok(Self { agent: config.into(), base })
    }

    /// `GET` of a path with a query.
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Answer<T>, CliError> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        for (name, value) in query {
            request = request.query(name, value);
        }
        self.read(request.call())
    }

    /// `POST` of bytes to a path.
    pub(super) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<Answer<T>, CliError> {
        let request = self.agent.post(format!("{}{path}", self.base));
        self.read(request.header("content-type", content_type).send(body))
    }

    /// `GET` of a path whose answer is read as it comes; with `is_endless` without a limit of time.
    pub(super) fn stream(
        &self,
        path: &str,
        is_endless: bool,
    ) -> Result<impl std::io::Read + Send + 'static, CliError> {
        let request = self.agent.get(format!("{}{path}", self.base));
        let request =
            if is_endless { request.config().timeout_global(None).build() } else { request };
        let mut answer = request.call().map_err(|error| self.unreachable(&error))?;
        if !answer.status().is_success() {
            let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
            let text = body.read_to_string().map_err(|error| self.unreachable(&error))?;
            return Err(refusal(answer.status().as_u16(), &text));
        }
        Ok(answer.into_body().into_reader())
    }

    fn unreachable(&self, error: &ureq::Error) -> CliError {
        let rule = "is it running, and is --controller right?";
        let message = format!("the controller at {} does not answer: {error}; {rule}", self.base);
        CliError::new(exit_code::UNREACHABLE, message)
    }

    /// `DELETE` of a path.
    pub(super) fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, CliError> {
        self.read(self.agent.delete(format!("{}{path}", self.base)).call())
    }

    fn read<T: DeserializeOwned>(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Answer<T>, CliError> {
        let unreachable = |error: ureq::Error| self.unreachable(&error);
        let mut answer = answer.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let text = body.read_to_string().map_err(unreachable)?;
        if !status.is_success() {
            return Err(refusal(status.as_u16(), &text));
        }
        let value = serde_json::from_str(&text).map_err(|error| {
            let message = format!("the answer of {} is not understood: {error}", self.base);
            CliError::new(exit_code::FAILURE, message)
        })?;
        Ok(Answer { text, value })
    }
}

fn refusal(status: u16, text: &str) -> CliError {
    let Ok(ErrorBody { error }) = serde_json::from_str(text) else {
        let message = format!("the controller answers {status} without a reason");
        return CliError::new(exit_code::FAILURE, message);
    };
    let code = match error.code.as_str() {
        "not_found" => exit_code::NOT_FOUND,
        "unavailable" | "timeout" => exit_code::UNREACHABLE,
        "denied" => exit_code::DENIED,
        "conflict" => exit_code::CONFLICT,
        "infeasible" => exit_code::INFEASIBLE,
        "bad_config" => exit_code::BAD_CONFIG,
        _ => exit_code::FAILURE,
    };
    CliError::new(code, error.message)
}
