//! When the watchdog may be fed: only after every task has shown that it lives, so that one that hangs restarts the board.

/// Which of up to 32 tasks have shown that they live since the last time.
#[derive(Clone, Copy, Debug)]
pub struct Vitals {
    all: u32,
    seen: u32,
}

impl Vitals {
    /// For so many tasks, numbered from 0; at most 32.
    pub const fn new(tasks: u32) -> Self {
        let all = match 1_u32.checked_shl(tasks) {
            Some(bit) => bit - 1,
            None => u32::MAX,
        };
        Self { all, seen: 0 }
    }

    /// A task lives.
    pub const fn beat(&mut self, task: u32) {
        if let Some(bit) = 1_u32.checked_shl(task) {
            self.seen |= bit & self.all;
        }
    }

    /// Whether all have lived since it was last answered yes.
    pub const fn may_feed(&mut self) -> bool {
        let all = self.seen == self.all;
        if all {
            self.seen = 0;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::Vitals;

    #[test]
    fn one_silent_task_starves_the_watchdog() {
        let mut vitals = Vitals::new(3);
        vitals.beat(0);
        vitals.beat(2);
        vitals.beat(2);
        vitals.beat(9);
        assert!(!vitals.may_feed());
        vitals.beat(1);
        assert!(vitals.may_feed());
        assert!(!vitals.may_feed(), "each has to show it again");
        let mut most = Vitals::new(32);
        (0..32).for_each(|task| most.beat(task));
        assert!(most.may_feed());
    }
}
