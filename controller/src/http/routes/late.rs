//! What nodes said late.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use types::NodeId;

use super::{Answer, Asked, Named};
use crate::api::LateList;
use crate::http::Api;
use crate::http::answer::Failure;
use crate::shell::late_file;

/// Lines that are given unless told otherwise.
const LINES: usize = 100;
/// Most lines of one answer.
const LINES_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct LateQuestion {
    limit: Option<usize>,
}

pub(in crate::http) async fn late(
    State(api): State<Arc<Api>>,
    node: Named<NodeId>,
    asked: Asked<LateQuestion>,
) -> Answer<LateList> {
    let (Path(node), Query(asked)) = (node?, asked?);
    let limit = asked.limit.unwrap_or(LINES);
    if !(1..=LINES_MAX).contains(&limit) {
        return Err(Failure::bad_request(format!(
            "limit {limit} is not between 1 and {LINES_MAX}"
        )));
    }
    let node = api.shared.read(|controller, now| controller.node(now, &node))?.id;
    let (dir, asked) = (api.reach()?.state_dir.clone(), node.clone());
    let read = tokio::task::spawn_blocking(move || late_file::newest(&dir, &asked, limit)).await;
    let read = read.map_err(std::io::Error::other).flatten();
    let (lines, more) = read.map_err(|error| {
        let message = format!("late.ndjson cannot be read: {error}");
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    })?;
    Ok(Json(LateList { node, lines, more }))
}
