//! Commands that are judged off the loop: those for the agent's own program, since what they say is made durable first, and those for boards, which
//! take their time to answer.

use std::sync::Arc;

use protocol::command::{BoardOrder, CommandVerdict};
use protocol::serial::Relay;

use super::Work;
use crate::agent::cut;
use crate::event::{Input, Ticket};
use crate::life::book::Asked;
use crate::serial::link::Order;
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

    /// Has a board do something, and waits for its answer.
    pub(super) fn order_board(
        self: &Arc<Self>,
        (ticket, id): (Ticket, u64),
        board: String,
        order: BoardOrder,
    ) {
        let this = Arc::clone(self);
        self.crew().spawn(async move {
            let done = match this.parts.lines.named(&board) {
                Some(line) => line.order(on_the_line(order)).await.map_err(|e| e.to_string()),
                None => Err(this.no_board(&board)),
            };
            tracing::info!(board, ?order, ?done, "order for a board");
            let verdict = match done {
                Ok(()) => CommandVerdict::Done,
                Err(reason) => CommandVerdict::Denied { reason: cut(reason) },
            };
            this.tell(Input::Judged { ticket, id, verdict }).await;
        });
    }

    fn no_board(&self, name: &str) -> String {
        let names: Vec<_> = self.parts.lines.iter().map(|line| line.config.name.as_str()).collect();
        match names.is_empty() {
            true => "its configuration has no board ([[mcu]])".to_owned(),
            false => format!("no board is named {name:?}: {}", names.join(", ")),
        }
    }
}

const fn on_the_line(order: BoardOrder) -> Order {
    match order {
        BoardOrder::Relay { relay: ch, is_on: on } => Order::Relay(Relay { ch, on }),
        BoardOrder::PowerCycle { relay: ch, off_ms } => Order::PowerCycle { ch, off_ms },
        BoardOrder::ResetEnergy => Order::ResetEnergy,
    }
}
