//! Commands that have their time, and orders for boards.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use protocol::command::{BoardOrder, Command, Verb};
use protocol::serial::OFF_MS;
use types::{LeaderEpoch, NodeId, TaskId};

use super::{Answer, Named};
use crate::api::{BoardAsk, CommandAsk, CommandInfo};
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

pub(in crate::http) async fn order_board(
    State(api): State<Arc<Api>>,
    asked: Named<(NodeId, TaskId)>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<CommandInfo> {
    let (Path((node, board)), body) = (asked?, body?);
    let BoardAsk { again, order } = serde_json::from_slice(&body)
        .map_err(|error| Failure::bad_request(format!("the order is malformed: {error}")))?;
    if let BoardOrder::PowerCycle { off_ms, .. } = order
        && !OFF_MS.contains(&off_ms)
    {
        let (least, most) = (OFF_MS.start(), OFF_MS.end());
        let rule = format!("off_ms: {off_ms} is not {least} to {most}");
        return Err(Failure::bad_request(rule));
    }
    let verb = Verb::Board { board: board.to_string(), order };
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
