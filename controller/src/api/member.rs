//! Members of the fleet: who is let in.

use protocol::join::Role;
use serde::{Deserialize, Serialize};
use types::{Epoch, NodeId};

/// The body of `POST /api/v1/members/{name}/token`, as JSON; answered with a [`TokenInfo`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Host names and IP addresses under which others will dial it, besides its name.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// For how long the token is good, seconds; 60 to 604800.
    pub good_for_s: u32,
}

/// A token, told once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// Who may join with it.
    pub name: NodeId,
    /// The token.
    pub token: String,
    /// Until when it is good.
    pub expires: Epoch,
}

/// `GET /api/v1/members`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberList {
    /// In order of name.
    pub members: Vec<MemberInfo>,
}

/// A member. `POST /api/v1/members/{name}/revoke` without a body answers this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberInfo {
    /// Its name.
    pub name: NodeId,
    /// What it may do.
    pub role: Role,
    /// Whether it was revoked; it stays so.
    pub revoked: bool,
    /// Until when its last certificate counts; `None` where it has none.
    pub certificate_until: Option<Epoch>,
}
