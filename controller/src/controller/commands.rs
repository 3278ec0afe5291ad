//! Commands of an operator: what is sent to a node in the name of this controller.

use protocol::command::{Command, Verb};
use types::{Epoch, LeaderEpoch, NodeId};

use super::Controller;
use super::view::ViewError;
use crate::api::CommandName;
use crate::event::Now;

/// How long a command may be on its way that says nothing of its time, in sky seconds.
const ON_ITS_WAY_S: f64 = 60.0;

/// Why no command is sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandRefusal {
    /// There is no such node, or no clock yet.
    #[error(transparent)]
    View(#[from] ViewError),
    /// It was given by an earlier controller.
    #[error("command {} was given in epoch {}, this controller has epoch {epoch}: `starbelt node show` says what became of it; give a new one if it is still wanted", asked.id, asked.epoch)]
    OtherEpoch {
        /// What was asked for.
        asked: CommandName,
        /// The epoch of this controller.
        epoch: LeaderEpoch,
    },
}

impl Controller {
    /// A command for a node; `again` names it, if it was given before.
    ///
    /// # Errors
    /// [`CommandRefusal`] for a node that the configuration does not name, while the sky clock is not known, and for a
    /// command of another epoch: under that of this controller it would be another one, and be done twice.
    pub fn command(
        &self,
        now: Now,
        node: &NodeId,
        again: Option<CommandName>,
        verb: Verb,
    ) -> Result<Command, CommandRefusal> {
        self.node(now, node)?;
        let moment = self.moment(now).ok_or(ViewError::NotYet("the sky clock"))?;
        // The wall clock in nanoseconds: no other command of this controller has it, and none has to be remembered.
        let id = again.map_or_else(|| now.wall.0.unsigned_abs(), |again| again.id);
        let deadline = match &verb {
            Verb::At { until, .. } => *until,
            _ => deadline(moment.sky, moment.rate),
        };
        let (node, epoch) = (node.clone(), self.executor.epoch());
        if let Some(again) = again.filter(|again| again.epoch != epoch) {
            return Err(CommandRefusal::OtherEpoch { asked: again, epoch });
        }
        Ok(Command { id, seq: id, epoch, node, deadline, verb })
    }
}

/// Where the sky is faster, a way takes more of it.
fn deadline(sky: Epoch, rate: f64) -> Epoch {
    sky.plus_s(ON_ITS_WAY_S * rate.max(1.0))
}
