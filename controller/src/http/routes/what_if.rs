//! Questions that change nothing. They are answered beside the controller, which goes on meanwhile.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use placement::Decision;
use serde::Deserialize;
use types::{Epoch, WorkflowId};

use super::{Answer, Asked, Named, is_json, read_workflow};
use crate::api::{AlternativeInfo, WhatIf};
use crate::controller::{alternatives, what_if};
use crate::http::Api;
use crate::http::answer::Failure;
use crate::planner::Question;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Moment {
    at: Option<Epoch>,
}

/// About a workflow that is there.
pub(in crate::http) async fn known(
    State(api): State<Arc<Api>>,
    id: Named<WorkflowId>,
    asked: Asked<Moment>,
) -> Answer<WhatIf> {
    let (Path(id), Query(asked)) = (id?, asked?);
    let question = api.shared.read(|controller, now| controller.question(now, &id))?;
    let (at, decision) = decide(question, asked.at).await?;
    Ok(Json(what_if(&id, at, &decision)))
}

/// About any workflow that could be submitted.
pub(in crate::http) async fn any(
    State(api): State<Arc<Api>>,
    asked: Asked<Moment>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer<WhatIf> {
    let (Query(asked), body) = (asked?, body?);
    let workflow = read_workflow(&body, is_json(&headers))?;
    let id = workflow.id.clone();
    let question = api.shared.read(|controller, now| {
        controller.check(&workflow)?;
        controller.ask(now, workflow).map_err(Failure::from)
    });
    let (at, decision) = decide(question?, asked.at).await?;
    Ok(Json(what_if(&id, at, &decision)))
}

/// What would help a workflow now; nothing where it is not refused.
pub(super) async fn alternatives_of(
    api: &Api,
    id: &WorkflowId,
) -> Result<Vec<AlternativeInfo>, Failure> {
    let question = api.shared.read(|controller, now| {
        controller.is_refused(id).then(|| controller.question(now, id)).transpose()
    })?;
    match question {
        Some(question) => Ok(alternatives(&decide(question, None).await?.1)),
        None => Ok(vec![]),
    }
}

async fn decide(question: Question, at: Option<Epoch>) -> Result<(Epoch, Decision), Failure> {
    let answer = tokio::task::spawn_blocking(move || question.answer(at)).await;
    let unanswered = |error| Failure::unavailable(format!("no answer was found: {error}"));
    let answer = answer.map_err(unanswered)?;
    answer.map_err(|error| Failure::bad_request(error.to_string()))
}
