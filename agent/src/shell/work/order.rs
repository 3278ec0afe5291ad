//! Commands that concern the agent's own program: judged off the loop, since what they say is made durable first.

use std::sync::Arc;

use protocol::command::CommandVerdict;

use super::Work;
use crate::event::{Input, Ticket};
use crate::life::book::Asked;
use crate::shell::fetching::blocking;

impl Work {
    /// Judges an order for another program; what follows is fetched by a task of its own.
    pub(super) fn take_order(self: &Arc<Self>, ticket: Ticket, asked: Box<Asked>) {
        let this = Arc::clone(self);
        self.crew().spawn(async move {
            let (life, id) = (this.parts.life.clone(), asked.command.1);
            let (verdict, told) = match blocking(move || life.order(&asked)).await {
                Ok(judged) => judged,
                Err(reason) => (CommandVerdict::Denied { reason }, None),
            };
            if let Some(told) = told {
                this.tell(Input::Happened(told)).await;
            }
            this.tell(Input::Judged { ticket, id, verdict }).await;
        });
    }

    /// Leaves safe mode, if this is one.
    pub(super) fn resume(self: &Arc<Self>, ticket: Ticket, id: u64) {
        let this = Arc::clone(self);
        self.crew().spawn(async move {
            let life = this.parts.life.clone();
            let (verdict, is_left) = match blocking(move || life.resume()).await {
                Ok(resumed) => resumed,
                Err(reason) => (CommandVerdict::Denied { reason }, false),
            };
            this.tell(Input::Judged { ticket, id, verdict }).await;
            if is_left {
                this.parts.life.begin_anew();
            }
        });
    }
}
