//! Commands that have their time.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use protocol::command::{Command, Verb};
use types::{LeaderEpoch, NodeId};

use super::{Answer, Named};
use crate::api::{CommandAsk, CommandInfo};
use crate::http::Api;
use crate::http::answer::Failure;

pub(in crate::http) async fn give(
    State(api): State<Arc<Api>>,
    node: Named<NodeId>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<CommandInfo> {
    let (Path(node), body) = (node?, body?);
    let CommandAsk { again, at, until, act } = serde_json::from_slice(&body)
        .map_err(|error| Failure::bad_request(format!("the command is malformed: {error}")))?;
    if until < at {
        return Err(Failure::bad_request(format!("until {until} is before at {at}")));
    }
    let verb = Verb::At { at, until, act };
    let command = api.shared.read(|controller, now| controller.command(now, &node, again, verb))?;
    send(&api, &command).await
}

pub(in crate::http) async fn take_back(
    State(api): State<Arc<Api>>,
    asked: Named<(NodeId, u64, u64)>,
) -> Answer<CommandInfo> {
    let Path((node, epoch, id)) = asked?;
    let verb = Verb::Cancel { epoch: LeaderEpoch(epoch), id };
    let command = api.shared.read(|controller, now| controller.command(now, &node, None, verb))?;
    send(&api, &command).await
}

pub(super) async fn send(api: &Api, command: &Command) -> Answer<CommandInfo> {
    Ok(Json(api.reach()?.commander.give(command).await?))
}
