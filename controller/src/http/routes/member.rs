//! Members of the fleet.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use types::{Epoch, NodeId};

use super::{Answer, Named};
use crate::api::{MemberInfo, MemberList, TokenInfo, TokenRequest};
use crate::http::Api;
use crate::http::answer::Failure;
use crate::registry::Grant;
use crate::shell::keeper::{KeepError, Keeper};

/// How long a token may be good, seconds.
const GOOD_FOR_S: std::ops::RangeInclusive<u32> = 60..=7 * 24 * 3600;

pub(in crate::http) async fn members(State(api): State<Arc<Api>>) -> Answer<MemberList> {
    let keeper = keeper(&api)?;
    let names = keeper.names();
    Ok(Json(MemberList { members: names.iter().filter_map(|name| info(&keeper, name)).collect() }))
}

pub(in crate::http) async fn token(
    State(api): State<Arc<Api>>,
    name: Named<NodeId>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<TokenInfo> {
    let (keeper, Path(name)) = (keeper(&api)?, name?);
    let TokenRequest { addresses, good_for_s } = serde_json::from_slice(&body?)
        .map_err(|error| Failure::bad_config(format!("the request is malformed: {error}")))?;
    if !GOOD_FOR_S.contains(&good_for_s) {
        let rule = format!("good_for_s: {good_for_s} is outside 60 to 604800");
        return Err(Failure::bad_config(rule));
    }
    let grant = Grant { name: name.clone(), addresses };
    let granted = blocking(move || keeper.grant(grant, good_for_s)).await?;
    let expires = Epoch::from_unix_s(granted.expires_s).unwrap_or(Epoch::from_unix_ns(i64::MAX));
    Ok(Json(TokenInfo { name, token: granted.token.to_string(), expires }))
}

pub(in crate::http) async fn revoke(
    State(api): State<Arc<Api>>,
    name: Named<NodeId>,
) -> Answer<MemberInfo> {
    let (keeper, Path(name)) = (keeper(&api)?, name?);
    let (this, whom) = (keeper.clone(), name.clone());
    blocking(move || this.revoke(&whom)).await?;
    let shown = info(&keeper, &name);
    shown.map(Json).ok_or_else(|| Failure::not_found(format!("there is no member {name}")))
}

fn info(keeper: &Keeper, name: &NodeId) -> Option<MemberInfo> {
    let (member, revoked, until_s) = keeper.member(name)?;
    let certificate_until = until_s.and_then(Epoch::from_unix_s);
    Some(MemberInfo { name: member.name, role: member.role, revoked, certificate_until })
}

fn keeper(api: &Api) -> Result<Keeper, Failure> {
    api.keeper.clone().ok_or_else(|| {
        Failure::conflict("this fleet is insecure: its configuration has no [identity]".to_owned())
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeepError> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Err(Failure::new(status, "internal", error.to_string()))
        }
    }
}
