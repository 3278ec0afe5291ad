//! Gives nodes commands that have their time.

use protocol::command::{Command, CommandReply, CommandVerdict, Verb};
use protocol::key::Keys;
use protocol::{decode, encode};
use types::{LeaderEpoch, NodeId};

use super::zenoh::{Bus, Class};
use crate::api::{CommandInfo, CommandState};
use crate::executor::ANSWER_TIMEOUT;

/// Why a command was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The node did not answer; it may have taken it.
    #[error(
        "{node} did not answer ({reason}); it may have taken the command: say it again with --again {epoch}:{id}, and it is done once"
    )]
    Silent {
        /// Who.
        node: NodeId,
        /// The epoch.
        epoch: LeaderEpoch,
        /// The command.
        id: u64,
        /// Why.
        reason: String,
    },
    /// The node refuses it.
    #[error("{node} refuses command {id}: {reason}")]
    Refused {
        /// Who.
        node: NodeId,
        /// The command.
        id: u64,
        /// Why.
        reason: String,
    },
}

/// Gives commands.
#[derive(Clone, Debug)]
pub struct Commander {
    bus: Bus,
    keys: Keys,
}

impl Commander {
    /// A commander on a bus.
    pub const fn new(bus: Bus, keys: Keys) -> Self {
        Self { bus, keys }
    }

    /// Gives a command to its node, and says how it stands there.
    ///
    /// # Errors
    /// [`CommandError`] when the node does not answer or does not take it.
    pub async fn give(&self, command: &Command) -> Result<CommandInfo, CommandError> {
        let (node, epoch, id) = (command.node.clone(), command.epoch, command.id);
        match self.ask(command).await {
            Ok(reply) if reply.id == id => stands(command, reply.verdict),
            Ok(reply) => {
                let reason = format!("its answer is to command {}", reply.id);
                Err(CommandError::Silent { node, epoch, id, reason })
            }
            Err(reason) => Err(CommandError::Silent { node, epoch, id, reason }),
        }
    }

    async fn ask(&self, command: &Command) -> Result<CommandReply, String> {
        let frame = encode(command).map_err(|error| error.to_string())?;
        let key = self.keys.command(&command.node, command.id);
        let answer = self.bus.query(&key, frame, Class::Command, ANSWER_TIMEOUT).await;
        decode(&answer.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
    }
}

/// What a verdict means for the command that it is on, or for the one that it takes back.
fn stands(command: &Command, verdict: CommandVerdict) -> Result<CommandInfo, CommandError> {
    let node = command.node.clone();
    let (epoch, id, is_cancel) = match command.verb {
        Verb::Cancel { epoch, id } => (epoch, id, true),
        _ => (command.epoch, command.id, false),
    };
    let refused = |node, reason| Err(CommandError::Refused { node, id, reason });
    let state = match verdict {
        CommandVerdict::Scheduled => CommandState::Scheduled,
        CommandVerdict::Done if is_cancel => CommandState::Cancelled,
        CommandVerdict::Done => CommandState::Done,
        CommandVerdict::Denied { reason } => return refused(node, reason),
        CommandVerdict::Expired => {
            return refused(node, "its time is over, by the clock of the node".to_owned());
        }
        CommandVerdict::Stale { epoch: LeaderEpoch(epoch) } => {
            return refused(node, format!("a controller of epoch {epoch} commands it by now"));
        }
        CommandVerdict::Unsupported => {
            return refused(node, "its agent is too old for that".to_owned());
        }
    };
    Ok(CommandInfo { node, epoch, id, state })
}

#[cfg(test)]
mod tests {
    use protocol::command::Act;
    use types::Epoch;

    use super::*;

    fn command(verb: Verb) -> Command {
        let (node, deadline) = (NodeId::new("sat-1").unwrap(), Epoch::from_unix_ns(9));
        Command { id: 8, seq: 8, epoch: LeaderEpoch(4), node, deadline, verb }
    }

    fn state(verb: Verb, verdict: CommandVerdict) -> Option<(u64, u64, CommandState)> {
        let info = stands(&command(verb), verdict).ok()?;
        Some((info.epoch.0, info.id, info.state))
    }

    #[test]
    fn verdicts_are_of_the_command_that_was_meant() {
        let (at, until) = (Epoch::from_unix_ns(5), Epoch::from_unix_ns(6));
        let at = || Verb::At { at, until, act: Act::Nop };
        let cancel = || Verb::Cancel { epoch: LeaderEpoch(3), id: 2 };
        assert_eq!(state(at(), CommandVerdict::Scheduled), Some((4, 8, CommandState::Scheduled)));
        assert_eq!(state(at(), CommandVerdict::Done), Some((4, 8, CommandState::Done)));
        assert_eq!(state(cancel(), CommandVerdict::Done), Some((3, 2, CommandState::Cancelled)));
        for verdict in [
            CommandVerdict::Expired,
            CommandVerdict::Unsupported,
            CommandVerdict::Stale { epoch: LeaderEpoch(7) },
            CommandVerdict::Denied { reason: "full".to_owned() },
        ] {
            assert_eq!(state(at(), verdict.clone()), None, "{verdict:?}");
        }
    }
}
