//! One handler per path.

pub(super) mod command;
pub(super) mod function;
pub(super) mod late;
pub(super) mod log;
pub(super) mod member;
pub(super) mod program;
pub(super) mod what_if;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use placement::Workflow;
use serde::Deserialize;
use tokio::sync::oneshot;
use types::{LatencyUs, NodeId, ObjectId, RunId, StateKey, TaskId, WorkflowId};

use super::Api;
use super::answer::Failure;
use crate::api::{
    ClockInfo, DecisionInfo, HandoverList, Health, LinkSamples, NodeInfo, NodeList, ObjectInfo,
    PlacementList, PlanInfo, RunPage, WorkflowInfo, WorkflowList,
};
use crate::shell::run::Wake;

type Answer<T> = Result<Json<T>, Failure>;
type Asked<T> = Result<Query<T>, QueryRejection>;
type Named<T> = Result<Path<T>, PathRejection>;

pub(super) async fn nodes(State(api): State<Arc<Api>>) -> Json<NodeList> {
    Json(api.shared.read(|controller, now| controller.nodes(now)))
}

pub(super) async fn node(State(api): State<Arc<Api>>, id: Named<NodeId>) -> Answer<NodeInfo> {
    let Path(id) = id?;
    Ok(Json(api.shared.read(|controller, now| controller.node(now, &id))?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanQuestion {
    a: Option<NodeId>,
    b: Option<NodeId>,
    latency_ms: Option<f64>,
}

pub(super) async fn plan(
    State(api): State<Arc<Api>>,
    asked: Asked<PlanQuestion>,
) -> Answer<PlanInfo> {
    let Query(asked) = asked?;
    let latency_max = match asked.latency_ms {
        None => None,
        Some(ms) => Some(LatencyUs::from_ms(ms).ok_or_else(|| {
            Failure::bad_request(format!("latency_ms {ms} is not between 0 and 4294967"))
        })?),
    };
    let pair = match (&asked.a, &asked.b) {
        (Some(a), Some(b)) => Some((a, b, latency_max)),
        (None, None) => None,
        _ => return Err(Failure::bad_request("give both a and b, or none".to_owned())),
    };
    Ok(Json(api.shared.read(|controller, now| controller.plan(now, pair))?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlacementQuestion {
    workflow: Option<WorkflowId>,
    task: Option<TaskId>,
    /// With what would help, where a workflow is named and refused.
    #[serde(default)]
    alternatives: bool,
}

pub(super) async fn placements(
    State(api): State<Arc<Api>>,
    asked: Asked<PlacementQuestion>,
) -> Answer<PlacementList> {
    let Query(asked) = asked?;
    let (workflow, task) = (asked.workflow.as_ref(), asked.task.as_ref());
    let mut list = api.shared.read(|controller, now| controller.placements(now, workflow, task))?;
    if let Some(workflow) = workflow.filter(|_| asked.alternatives) {
        list.alternatives = what_if::alternatives_of(&api, workflow).await?;
    }
    Ok(Json(list))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HandoverQuestion {
    #[serde(default)]
    all: bool,
}

pub(super) async fn handovers(
    State(api): State<Arc<Api>>,
    asked: Asked<HandoverQuestion>,
) -> Answer<HandoverList> {
    let Query(asked) = asked?;
    Ok(Json(api.shared.read(|controller, _| controller.handovers(asked.all))))
}

pub(super) async fn workflows(State(api): State<Arc<Api>>) -> Json<WorkflowList> {
    Json(api.shared.read(|controller, _| controller.workflows()))
}

pub(super) async fn workflow(
    State(api): State<Arc<Api>>,
    id: Named<WorkflowId>,
) -> Answer<WorkflowInfo> {
    let Path(id) = id?;
    Ok(Json(api.shared.read(|controller, _| controller.workflow(&id))?))
}

pub(super) async fn remove_workflow(
    State(api): State<Arc<Api>>,
    id: Named<WorkflowId>,
) -> Answer<WorkflowInfo> {
    let Path(id) = id?;
    let info = api.shared.read(|controller, _| controller.workflow(&id))?;
    function::ask(&api, |done| Wake::RemoveWorkflow(id, done)).await??;
    Ok(Json(info))
}

pub(super) async fn decision(
    State(api): State<Arc<Api>>,
    id: Named<WorkflowId>,
) -> Answer<DecisionInfo> {
    let Path(id) = id?;
    Ok(Json(api.shared.read(|controller, _| controller.decision(&id))?))
}

pub(super) async fn submit(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer<WorkflowInfo> {
    let body = body?;
    let workflow = read_workflow(&body, is_json(&headers))?;
    let id = workflow.id.clone();
    let (done, result) = oneshot::channel();
    let is_brought = api.shared.bring(Wake::Submit(Box::new(workflow), done)).await;
    match result.await {
        Ok(taken) if is_brought => taken?,
        Ok(_) | Err(_) => return Err(stopping()),
    }
    Ok(Json(api.shared.read(|controller, _| controller.workflow(&id))?))
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|text| text.starts_with("application/json"))
}

fn read_workflow(body: &[u8], is_json: bool) -> Result<Workflow, Failure> {
    if is_json {
        return serde_json::from_slice(body)
            .map_err(|error| Failure::bad_config(format!("the workflow is malformed: {error}")));
    }
    let text = std::str::from_utf8(body)
        .map_err(|error| Failure::bad_config(format!("the workflow is no UTF-8: {error}")))?;
    toml::from_str(text)
        .map_err(|error| Failure::bad_config(format!("the workflow is malformed: {error}")))
}

fn stopping() -> Failure {
    Failure::unavailable("the controller is stopping".to_owned())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunQuestion {
    workflow: Option<WorkflowId>,
    #[serde(default)]
    after: u64,
}

pub(super) async fn runs(
    State(api): State<Arc<Api>>,
    asked: Asked<RunQuestion>,
) -> Answer<RunPage> {
    let Query(asked) = asked?;
    let workflow = asked.workflow.as_ref();
    Ok(Json(api.shared.read(|controller, _| controller.runs(workflow, asked.after))?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkQuestion {
    #[serde(default)]
    after: u64,
}

pub(super) async fn links(
    State(api): State<Arc<Api>>,
    asked: Asked<LinkQuestion>,
) -> Answer<LinkSamples> {
    let Query(asked) = asked?;
    Ok(Json(api.shared.read(|controller, _| controller.links(asked.after))))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ObjectQuestion {
    workflow: WorkflowId,
    task: TaskId,
    key: StateKey,
    run: Option<u64>,
    node: Option<NodeId>,
}

pub(super) async fn object(
    State(api): State<Arc<Api>>,
    asked: Asked<ObjectQuestion>,
) -> Answer<ObjectInfo> {
    let Query(asked) = asked?;
    let reader = &api.reach()?.reader;
    let nodes = match asked.node {
        Some(node) => vec![api.shared.read(|controller, now| controller.node(now, &node))?.id],
        None => api.shared.read(|c, _| c.holders(&asked.workflow, &asked.task)),
    };
    let ObjectQuestion { workflow, task, key, run, .. } = asked;
    let id = ObjectId { workflow, run: run.map(RunId), task, key };
    Ok(Json(reader.read(&id, &nodes).await?))
}

pub(super) async fn clock(State(api): State<Arc<Api>>) -> Answer<ClockInfo> {
    Ok(Json(api.shared.read(|controller, now| controller.clock(now))?))
}

pub(super) async fn health(State(api): State<Arc<Api>>) -> Json<Health> {
    let dropped = api.shared.dropped();
    Json(api.shared.read(|controller, now| controller.health(now, dropped)))
}

pub(super) async fn nothing_there(uri: Uri) -> Failure {
    Failure::not_found(format!(
        "{} is no path of this API; it begins at /api/v1/health",
        uri.path()
    ))
}

pub(super) async fn wrong_method(method: Method, uri: Uri) -> Failure {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    Failure::new(status, "bad_request", format!("{method} is not possible at {}", uri.path()))
}
