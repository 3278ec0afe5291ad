//! Programs of the agent, and what nodes are told of them.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use protocol::command::{Verb, WITHIN_S};
use protocol::decode;
use protocol::release::SignedRelease;
use types::NodeId;

use super::command::send;
use super::{Answer, Named};
use crate::api::{CommandInfo, ProgramInfo, UpdateAsk};
use crate::deploy::ProgramUpload;
use crate::hex::unhex_all;
use crate::http::Api;
use crate::http::answer::Failure;
use crate::http::upload;

pub(in crate::http) async fn push(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Body,
) -> Answer<ProgramInfo> {
    let programs = api.programs()?.clone();
    let Ok(_room) = api.program_uploads.try_acquire() else {
        let busy = "another program is being uploaded; try again";
        return Err(Failure::unavailable(busy.to_owned()));
    };
    let body = upload::read(&headers, body, &upload::PROGRAM, api.patience).await?;
    let added = tokio::task::spawn_blocking(move || {
        let ProgramUpload { signed, program } = ProgramUpload::of(&body)?;
        Ok::<_, Failure>(programs.add(signed, program)?)
    });
    let release = added.await.map_err(|error| {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Failure::new(status, "internal", format!("reading the upload failed: {error}"))
    })??;
    Ok(Json(ProgramInfo {
        sha256: release.sha256,
        number: release.number,
        version: release.version,
        arch: release.arch,
        bytes: release.bytes,
        key: release.key,
        may_be_older: release.may_be_older,
    }))
}

pub(in crate::http) async fn update(
    State(api): State<Arc<Api>>,
    node: Named<NodeId>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<CommandInfo> {
    let (Path(node), body) = (node?, body?);
    let UpdateAsk { release, within_s, is_rehearsal } = serde_json::from_slice(&body)
        .map_err(|error| Failure::bad_request(format!("the update is malformed: {error}")))?;
    if !WITHIN_S.contains(&within_s) {
        return Err(Failure::bad_request(format!("within_s {within_s} is not in 10 to 86400")));
    }
    let malformed = |reason: String| Failure::bad_request(format!("release: {reason}"));
    let frame = unhex_all(&release).ok_or_else(|| malformed("no hexadecimal digits".to_owned()))?;
    let signed = decode::<SignedRelease>(&frame).and_then(|signed| signed.open());
    let signed = signed.map_err(|error| malformed(error.to_string()))?;
    if !is_rehearsal && !api.programs()?.has(&signed.sha256) {
        let rule = "the controller does not have this program; upload it first (POST /programs)";
        return Err(Failure::not_found(rule.to_owned()));
    }
    let verb = Verb::Update { release: frame, within_s, is_rehearsal };
    let command = api.shared.read(|controller, now| controller.command(now, &node, None, verb))?;
    send(&api, &command).await
}

pub(in crate::http) async fn resume(
    State(api): State<Arc<Api>>,
    node: Named<NodeId>,
) -> Answer<CommandInfo> {
    let Path(node) = node?;
    let verb = Verb::Resume;
    let command = api.shared.read(|controller, now| controller.command(now, &node, None, verb))?;
    send(&api, &command).await
}
