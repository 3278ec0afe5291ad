//! Commands that were answered: the same id is answered from memory, never executed again.

use std::collections::VecDeque;

use protocol::command::CommandVerdict;

/// Commands that are remembered: far more than are repeated while a link heals.
const REMEMBERED_MAX: usize = 256;

/// The last answers, oldest first.
#[derive(Debug, Default)]
pub(super) struct Answered {
    verdicts: VecDeque<(u64, CommandVerdict)>,
}

impl Answered {
    pub(super) fn verdict_on(&self, id: u64) -> Option<CommandVerdict> {
        let found = self.verdicts.iter().find(|(known, _)| *known == id);
        found.map(|(_, verdict)| verdict.clone())
    }

    pub(super) fn remember(&mut self, id: u64, verdict: &CommandVerdict) {
        if self.verdict_on(id).is_some() {
            return;
        }
        if self.verdicts.len() == REMEMBERED_MAX {
            self.verdicts.pop_front();
        }
        self.verdicts.push_back((id, verdict.clone()));
    }
}
