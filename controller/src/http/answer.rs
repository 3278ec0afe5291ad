//! Answers that are no success: a status, a code for programs, words for people.

use axum::Json;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::api::{ApiError, ErrorBody};
use crate::controller::{CommandRefusal, RemoveError, SignerError, SubmitError, ViewError};
use crate::deploy::PushError;
use crate::registry::JoinError;
use crate::shell::commands::CommandError;
use crate::shell::keeper::KeepError;
use crate::shell::objects::ReadError;
use crate::shell::programs::ProgramError;
use crate::shell::store::StoreError;

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Failure {
    pub(super) const fn new(status: StatusCode, code: &'static str, message: String) -> Self {
        Self { status, code, message }
    }

    pub(super) const fn bad_request(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) const fn bad_config(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_config", message)
    }

    pub(super) const fn not_found(message: String) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) const fn denied(message: String) -> Self {
        Self::new(StatusCode::FORBIDDEN, "denied", message)
    }

    pub(super) const fn conflict(message: String) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    pub(super) const fn unavailable(message: String) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let error = ApiError { code: self.code.to_owned(), message: self.message };
        (self.status, Json(ErrorBody { error })).into_response()
    }
}

impl From<ViewError> for Failure {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::NotFound { .. } => Self::not_found(error.to_string()),
            ViewError::NotYet(_) => Self::unavailable(error.to_string()),
        }
    }
}

impl From<SubmitError> for Failure {
    fn from(error: SubmitError) -> Self {
        let message = error.to_string();
        match error {
            SubmitError::Invalid(_) => Self::bad_config(message),
            SubmitError::NoFunction { .. } | SubmitError::NoNode { .. } => Self::not_found(message),
            SubmitError::OtherTasks(_) | SubmitError::TooMany => Self::conflict(message),
        }
    }
}

impl From<PushError> for Failure {
    fn from(error: PushError) -> Self {
        let message = error.to_string();
        match error {
            PushError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
            }
            PushError::Cut(_)
            | PushError::Manifest(_)
            | PushError::OtherWorld(_)
            | PushError::Component { .. }
            | PushError::Program { .. } => Self::bad_config(message),
            PushError::UnknownKey(_)
            | PushError::RevokedKey(_)
            | PushError::BadSignature(_)
            | PushError::OtherKey { .. }
            | PushError::OtherComponent
            | PushError::NotYet { .. }
            | PushError::Expired { .. } => Self::denied(message),
            PushError::Rollback { .. } | PushError::OtherContent { .. } | PushError::TooMany(_) => {
                Self::conflict(message)
            }
        }
    }
}

impl From<RemoveError> for Failure {
    fn from(error: RemoveError) -> Self {
        let message = error.to_string();
        match error {
            RemoveError::NotFound { .. } => Self::not_found(message),
            RemoveError::Used { .. } => Self::conflict(message),
        }
    }
}

impl From<SignerError> for Failure {
    fn from(error: SignerError) -> Self {
        let message = error.to_string();
        match error {
            SignerError::NoKey => Self::bad_config(message),
            SignerError::Unknown { .. } => Self::not_found(message),
            SignerError::Revoked(_) | SignerError::TooMany(_) => Self::conflict(message),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let message = error.to_string();
        match error {
            ReadError::NotFound { .. } => Self::not_found(message),
            ReadError::Denied { .. } => Self::denied(message),
            ReadError::Unavailable { .. } => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", message)
            }
        }
    }
}

impl From<CommandRefusal> for Failure {
    fn from(error: CommandRefusal) -> Self {
        match error {
            CommandRefusal::View(error) => error.into(),
            CommandRefusal::OtherEpoch { .. } => Self::conflict(error.to_string()),
        }
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        let message = error.to_string();
        match error {
            CommandError::Silent { .. } => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", message)
            }
            CommandError::Refused { .. } => Self::conflict(message),
        }
    }
}

impl From<KeepError> for Failure {
    fn from(error: KeepError) -> Self {
        let message = error.to_string();
        match error {
            KeepError::Join(JoinError::NoMember(_)) => Self::not_found(message),
            KeepError::Join(_) => Self::conflict(message),
            KeepError::Request(_) => Self::bad_config(message),
            KeepError::Authority(_)
            | KeepError::Files(_)
            | KeepError::Corrupt { .. }
            | KeepError::Randomness(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
            }
        }
    }
}

impl From<ProgramError> for Failure {
    fn from(error: ProgramError) -> Self {
        match error {
            ProgramError::Store(error) => error.into(),
            ProgramError::OtherProgram => Self::denied(error.to_string()),
            ProgramError::Release(_) | ProgramError::NoProgram(_) | ProgramError::OtherFacts(_) => {
                Self::bad_config(error.to_string())
            }
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<PathRejection> for Failure {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<BytesRejection> for Failure {
    fn from(rejection: BytesRejection) -> Self {
        let status = rejection.status();
        let code =
            if status == StatusCode::PAYLOAD_TOO_LARGE { "too_large" } else { "bad_request" };
        Self::new(status, code, rejection.body_text())
    }
}
