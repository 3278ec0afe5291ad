//! `starbelt node at` and `starbelt node take-back`.

use clap::{Args, ValueEnum};
use protocol::command::Act;
use types::{Epoch, LeaderEpoch, NodeId};

use super::client::Client;
use super::output::fields;
use super::{CliError, Format, Printed};
use crate::api::{CommandAsk, CommandInfo, CommandName, CommandState};
use crate::exit_code;

/// A command that has its time.
#[derive(Debug, Args)]
pub(super) struct At {
    /// The node.
    node: NodeId,
    /// When, on the clock of the sky: RFC 3339 in UTC.
    #[arg(value_parser = Epoch::parse)]
    time: Epoch,
    /// What is to be done.
    #[arg(long, value_enum, default_value_t = What::ReportNow)]
    act: What,
    /// How late it may be done, in seconds of the sky; after that it is not done at all.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    within_s: u32,
    /// The command that this is again (its epoch and its number): it is done once.
    #[arg(long, value_name = "EPOCH:NUMBER", value_parser = name)]
    again: Option<CommandName>,
}

pub(super) fn name(text: &str) -> Result<CommandName, String> {
    let read = || {
        let (epoch, id) = text.split_once(':')?;
        Some(CommandName { epoch: LeaderEpoch(epoch.parse().ok()?), id: id.parse().ok()? })
    };
    read().ok_or_else(|| format!("{text:?} is no epoch and number, like 4:17"))
}

/// What a node can do at a time.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// Nothing; the node tells that it was time.
    Nop,
    /// Take all reports.
    ReportNow,
}

/// A command that is not to be done after all.
#[derive(Debug, Args)]
pub(super) struct TakeBack {
    /// The node.
    node: NodeId,
    /// The command: its epoch and its number.
    #[arg(value_name = "EPOCH:NUMBER", value_parser = name)]
    command: CommandName,
}

pub(super) fn at(client: &Client, format: Format, asked: &At) -> Result<Printed, CliError> {
    let act = match asked.act {
        What::Nop => Act::Nop,
        What::ReportNow => Act::ReportNow,
    };
    let until = asked.time.plus_s(f64::from(asked.within_s));
    let body = serde_json::to_vec(&CommandAsk { again: asked.again, at: asked.time, until, act })
        .map_err(|error| CliError::new(exit_code::FAILURE, error.to_string()))?;
    let path = format!("/nodes/{}/commands", asked.node);
    let answer = client.post::<CommandInfo>(&path, "application/json", &body)?;
    Ok(answer.print(format, words))
}

pub(super) fn take_back(
    client: &Client,
    format: Format,
    asked: &TakeBack,
) -> Result<Printed, CliError> {
    let TakeBack { node, command: CommandName { epoch, id } } = asked;
    let path = format!("/nodes/{node}/commands/{epoch}/{id}/cancel");
    let answer = client.post::<CommandInfo>(&path, "application/json", b"")?;
    Ok(answer.print(format, words))
}

pub(super) fn words(command: &CommandInfo) -> String {
    let state = match command.state {
        CommandState::Scheduled => "scheduled: kept by the node, needs no link any more",
        CommandState::Done => "done",
        CommandState::Cancelled => "taken back",
    };
    fields(&[
        ("node", command.node.to_string()),
        ("epoch", command.epoch.0.to_string()),
        ("command", command.id.to_string()),
        ("state", state.to_owned()),
    ])
}
