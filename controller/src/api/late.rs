//! What nodes said late.

use serde::{Deserialize, Serialize};
use types::NodeId;

/// `GET /api/v1/nodes/{id}/late`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LateList {
    /// Who.
    pub node: NodeId,
    /// The newest lines of `late.ndjson` that are of this node, oldest first: `boot`, `stream`, `id`, and `said` with a
    /// `report`, an `event`, a `summary` or why it is `unreadable`.
    pub lines: Vec<serde_json::Value>,
    /// Whether there may be older ones: the file has all that the controller has kept.
    pub more: bool,
}
