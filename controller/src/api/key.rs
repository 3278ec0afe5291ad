//! Keys: whose signatures the fleet takes.

use protocol::signed::KeyId;
use serde::{Deserialize, Serialize};
use types::KeyName;

/// `GET /api/v1/keys`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyList {
    /// The trusted ones, then the revoked.
    pub keys: Vec<KeyInfo>,
}

/// A key. `POST /api/v1/keys/{id}/revoke` without a body answers this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInfo {
    /// The first 16 hexadecimal digits of the SHA-256 of the public key.
    pub id: KeyId,
    /// Whose it is; `None` for a revoked one.
    pub name: Option<KeyName>,
    /// The public key, hexadecimal; `None` for a revoked one.
    pub public_key: Option<String>,
    /// Whether it was revoked; it stays so.
    pub revoked: bool,
    /// The functions that are signed with it now. Those of a revoked key do not run any more.
    pub functions: Vec<String>,
}

/// The body of `POST /api/v1/keys`, as JSON; answered with a [`KeyInfo`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustRequest {
    /// Whose it is, for people.
    pub name: KeyName,
    /// The ed25519 public key: 64 hexadecimal digits.
    pub public_key: String,
}
