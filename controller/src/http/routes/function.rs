//! Functions and keys.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use protocol::signed::KeyId;
use tokio::sync::oneshot;
use types::FunctionId;

use super::{Answer, Named, stopping};
use crate::api::{FunctionInfo, FunctionList, KeyInfo, KeyList, TrustRequest};
use crate::controller::SavedFunction;
use crate::deploy::{self, Upload};
use crate::hex::unhex;
use crate::http::Api;
use crate::http::answer::Failure;
use crate::http::upload;
use crate::shell::run::Wake;
use crate::shell::store::Kind;

pub(in crate::http) async fn functions(State(api): State<Arc<Api>>) -> Json<FunctionList> {
    Json(api.shared.read(|controller, _| controller.functions()))
}

pub(in crate::http) async fn function(
    State(api): State<Arc<Api>>,
    name: Named<FunctionId>,
) -> Answer<FunctionInfo> {
    let Path(name) = name?;
    Ok(Json(api.shared.read(|controller, _| controller.function(&name))?))
}

pub(in crate::http) async fn push(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Body,
) -> Answer<FunctionInfo> {
    let Ok(_room) = api.uploads.try_acquire() else {
        let busy = "as many uploads as fit are under way; try again";
        return Err(Failure::unavailable(busy.to_owned()));
    };
    let body = upload::read(&headers, body, &upload::FUNCTION, api.patience).await?;
    let this = Arc::clone(&api);
    let checked = tokio::task::spawn_blocking(move || check_and_keep(&this, &body));
    let function = checked.await.map_err(|error| {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Failure::new(status, "internal", format!("reading the upload failed: {error}"))
    })??;
    let name = function.name.clone();
    ask(&api, |done| Wake::Push(function, done)).await??;
    Ok(Json(api.shared.read(|controller, _| controller.function(&name))?))
}

/// Checks an upload in the order of the contract, and makes durable what passes.
fn check_and_keep(api: &Api, body: &[u8]) -> Result<SavedFunction, Failure> {
    let upload = Upload::of(body)?;
    // Two looks: which function it is, is believed only after the signature.
    let signers = api.shared.read(|controller, _| controller.signer_book().clone());
    let manifest = deploy::open(&signers, upload.signed)?;
    let gate = api.shared.read(|controller, now| controller.gate(now, &manifest.name));
    let function = gate.check(&manifest, upload)?;
    api.modules.add(Kind::Component, upload.component)?;
    api.modules.add(Kind::Manifest, upload.signed)?;
    Ok(function)
}

pub(in crate::http) async fn remove(
    State(api): State<Arc<Api>>,
    name: Named<FunctionId>,
) -> Answer<FunctionInfo> {
    let Path(name) = name?;
    let info = api.shared.read(|controller, _| controller.function(&name))?;
    ask(&api, |done| Wake::Remove(name, done)).await??;
    Ok(Json(info))
}

pub(in crate::http) async fn keys(State(api): State<Arc<Api>>) -> Json<KeyList> {
    Json(api.shared.read(|controller, _| controller.keys()))
}

pub(in crate::http) async fn trust(
    State(api): State<Arc<Api>>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<KeyInfo> {
    let TrustRequest { name, public_key } = serde_json::from_slice(&body?)
        .map_err(|error| Failure::bad_config(format!("the key is malformed: {error}")))?;
    let key = unhex(&public_key).ok_or_else(|| {
        Failure::bad_config("public_key: a public key has 64 hexadecimal digits".to_owned())
    })?;
    let id = ask(&api, |done| Wake::Trust(name, key, done)).await??;
    shown(&api, id)
}

pub(in crate::http) async fn revoke(
    State(api): State<Arc<Api>>,
    id: Named<KeyId>,
) -> Answer<KeyInfo> {
    let Path(id) = id?;
    ask(&api, |done| Wake::Revoke(id, done)).await??;
    shown(&api, id)
}

fn shown(api: &Api, id: KeyId) -> Answer<KeyInfo> {
    let shown = api.shared.read(|controller, _| controller.key(id));
    shown.map(Json).ok_or_else(|| Failure::not_found(format!("there is no key {id}")))
}

/// Asks the owner of the decisions; the answer comes when what it says is durable.
pub(super) async fn ask<T>(
    api: &Api,
    wake: impl FnOnce(oneshot::Sender<T>) -> Wake,
) -> Result<T, Failure> {
    let (done, result) = oneshot::channel();
    let is_brought = api.shared.bring(wake(done)).await;
    match result.await {
        Ok(answer) if is_brought => Ok(answer),
        Ok(_) | Err(_) => Err(stopping()),
    }
}
