//! Commands that have their time.

use protocol::command::{Act, BoardOrder};
use serde::{Deserialize, Serialize};
use types::{Epoch, LeaderEpoch, NodeId};

/// What a node is to do at a time, link or no link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandAsk {
    /// The command that this is again, which is done once; `null` for a new one.
    #[serde(default)]
    pub again: Option<CommandName>,
    /// Not before (sky).
    pub at: Epoch,
    /// Not after (sky); then it is not done at all.
    pub until: Epoch,
    /// What: `nop` or `report-now`.
    pub act: Act,
}

/// What a board at a serial line of a node is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardAsk {
    /// The command that this is again, which is done once; `null` for a new one.
    #[serde(default)]
    pub again: Option<CommandName>,
    /// What: `{"relay": {"relay": 0, "is_on": true}}`, `{"power-cycle": {"relay": 0, "off_ms": 2000}}` or `"reset-energy"`.
    pub order: BoardOrder,
}

/// What names a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandName {
    /// The epoch of the controller that gave it.
    pub epoch: LeaderEpoch,
    /// Its number.
    pub id: u64,
}

/// A command that a node has taken, and keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandInfo {
    /// Who.
    pub node: NodeId,
    /// The epoch of the controller that it was given by; with the number it names the command.
    pub epoch: LeaderEpoch,
    /// Its number.
    pub id: u64,
    /// How it stands.
    pub state: CommandState,
}

/// How a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandState {
    /// Durable on the node, and waits for its time.
    Scheduled,
    /// Done.
    Done,
    /// Taken back before it began.
    Cancelled,
}
