//! Commands that boards are at: a board does one once, whoever asks again meanwhile.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::iter;

use protocol::command::{BoardOrder, CommandReply, CommandVerdict};

use super::Agent;
use crate::event::{Output, Ticket};

/// Commands at boards at once; a board answers within seconds.
const AT_WORK_MAX: usize = 16;

/// What boards are at, and who else waits for the answer.
#[derive(Debug, Default)]
pub(super) struct AtBoards {
    asked_again: BTreeMap<u64, Vec<Ticket>>,
}

/// What becomes of a command for a board.
#[derive(Debug, PartialEq, Eq)]
enum Taken {
    /// The board is to do it.
    Begins,
    /// The board is at it; its answer is for both.
    Waits,
    /// Too many are under way.
    Full,
}

impl AtBoards {
    fn take(&mut self, id: u64, ticket: Ticket) -> Taken {
        let count = self.asked_again.len();
        match self.asked_again.entry(id) {
            Entry::Occupied(mut others) => {
                others.get_mut().push(ticket);
                Taken::Waits
            }
            Entry::Vacant(_) if AT_WORK_MAX <= count => Taken::Full,
            Entry::Vacant(first) => {
                first.insert(Vec::new());
                Taken::Begins
            }
        }
    }

    /// The board has answered: who else waits for that.
    fn answered(&mut self, id: u64) -> Vec<Ticket> {
        self.asked_again.remove(&id).unwrap_or_default()
    }
}

impl Agent {
    /// Has a board do something; what is answered at once, if anything is.
    pub(super) fn order_board(
        &mut self,
        (id, ticket): (u64, Ticket),
        board: &str,
        order: BoardOrder,
    ) -> Option<CommandVerdict> {
        match self.at_boards.take(id, ticket) {
            Taken::Begins => {
                let board = board.to_owned();
                self.outputs.push(Output::Board { ticket, id, board, order });
                None
            }
            Taken::Waits => None,
            Taken::Full => {
                let reason = format!("boards are at {AT_WORK_MAX} orders already");
                Some(CommandVerdict::Denied { reason })
            }
        }
    }

    /// Whatever judged a command has its answer, for all who wait for it.
    pub(super) fn judged(&mut self, ticket: Ticket, id: u64, verdict: &CommandVerdict) {
        self.answered.remember(id, verdict);
        for ticket in iter::once(ticket).chain(self.at_boards.answered(id)) {
            let reply = CommandReply { id, verdict: verdict.clone() };
            self.outputs.push(Output::AnswerCommand { ticket, reply });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_is_told_once_and_all_are_answered() {
        let mut boards = AtBoards::default();
        assert_eq!(boards.take(7, Ticket(1)), Taken::Begins);
        assert_eq!(boards.take(7, Ticket(2)), Taken::Waits);
        assert_eq!(boards.take(8, Ticket(3)), Taken::Begins);
        assert_eq!(boards.answered(7), [Ticket(2)]);
        assert_eq!(boards.take(7, Ticket(4)), Taken::Begins, "whoever remembers answers before");
        for id in 100..114 {
            assert_eq!(boards.take(id, Ticket(id)), Taken::Begins);
        }
        assert_eq!(boards.take(200, Ticket(200)), Taken::Full);
    }
}
