//! `starbelt node board`.

use clap::{Args, Subcommand};
use protocol::command::BoardOrder;
use types::{NodeId, TaskId};

use super::client::Client;
use super::command::{name, words};
use super::{CliError, Format, Printed};
use crate::api::{BoardAsk, CommandInfo, CommandName};
use crate::exit_code;

/// An order for a board at a serial line of a node.
#[derive(Debug, Args)]
pub(super) struct Order {
    /// The node.
    node: NodeId,
    /// The board, as the node's configuration calls it.
    board: TaskId,
    /// What it is to do.
    #[command(subcommand)]
    what: What,
    /// The command that this is again (its epoch and its number): it is done once.
    #[arg(long, global = true, value_name = "EPOCH:NUMBER", value_parser = name)]
    again: Option<CommandName>,
}

/// What a board can do.
#[derive(Clone, Copy, Debug, Subcommand)]
enum What {
    /// Lets a relay conduct.
    On {
        /// Which, from 0.
        relay: u8,
    },
    /// Opens a relay.
    Off {
        /// Which, from 0.
        relay: u8,
    },
    /// Opens a relay; the board closes it again by itself, also when the node behind it has lost its power.
    Cycle {
        /// Which, from 0.
        relay: u8,
        /// How long it is off, milliseconds.
        #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(100..=600_000))]
        off_ms: u32,
    },
    /// Counts energy from zero.
    ResetEnergy,
}

impl From<What> for BoardOrder {
    fn from(what: What) -> Self {
        match what {
            What::On { relay } => Self::Relay { relay, is_on: true },
            What::Off { relay } => Self::Relay { relay, is_on: false },
            What::Cycle { relay, off_ms } => Self::PowerCycle { relay, off_ms },
            What::ResetEnergy => Self::ResetEnergy,
        }
    }
}

pub(super) fn order(client: &Client, format: Format, asked: &Order) -> Result<Printed, CliError> {
    let body = serde_json::to_vec(&BoardAsk { again: asked.again, order: asked.what.into() })
        .map_err(|error| CliError::new(exit_code::FAILURE, error.to_string()))?;
    let path = format!("/nodes/{}/boards/{}", asked.node, asked.board);
    let answer = client.post::<CommandInfo>(&path, "application/json", &body)?;
    Ok(answer.print(format, words))
}
