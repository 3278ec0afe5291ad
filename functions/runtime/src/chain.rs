//! What a chain of calls may still use: an account for a call and all that follows from it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::Budget;

/// Longest chain of calls that one trigger may cause.
pub(crate) const HOPS_MAX: u8 = 32;
/// Most calls within each other on one thread; each may use the whole stack of a guest.
pub(crate) const DEPTH_MAX: u8 = 8;

/// The account of a call. The calls that it makes run on its thread, within it, and have accounts of their own.
#[derive(Debug)]
pub(crate) struct Chain {
    calls_left: u32,
    calls_made: u32,
    /// Calls around it on this thread.
    depth: u8,
    cpu: Duration,
    cpu_at_start: Duration,
    /// Processor time that was used by calls elsewhere.
    cpu_elsewhere: Duration,
}

/// Why a call cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoCall {
    /// The budget of calls or of processor time is used up.
    Budget,
    /// Too many calls within each other.
    Depth,
}

impl Chain {
    /// An account that begins now, within so many other calls on this thread.
    pub(crate) fn new(budget: Budget, depth: u8) -> Self {
        Self {
            calls_left: budget.calls,
            calls_made: 0,
            depth,
            cpu: budget.cpu,
            cpu_at_start: thread_cpu_time(),
            cpu_elsewhere: Duration::ZERO,
        }
    }

    /// What is left.
    pub(crate) fn left(&self) -> Budget {
        let used = self.cpu_here().saturating_add(self.cpu_elsewhere);
        Budget { calls: self.calls_left, cpu: self.cpu.saturating_sub(used) }
    }

    /// Whether the processor time is used up.
    pub(crate) fn is_spent(&self) -> bool {
        self.left().cpu.is_zero()
    }

    /// Counts a call that is about to be made, and says how deep it will be.
    pub(crate) fn begin(&mut self) -> Result<u8, NoCall> {
        let depth = self.depth + 1;
        if DEPTH_MAX <= depth {
            return Err(NoCall::Depth);
        }
        if self.calls_left == 0 || self.is_spent() {
            return Err(NoCall::Budget);
        }
        self.calls_left -= 1;
        self.calls_made = self.calls_made.saturating_add(1);
        Ok(depth)
    }

    /// A call that was begun made so many calls, and used processor time that this thread does not see.
    pub(crate) fn ended(&mut self, calls: u32, cpu_elsewhere: Duration) {
        self.calls_left = self.calls_left.saturating_sub(calls);
        self.calls_made = self.calls_made.saturating_add(calls);
        self.cpu_elsewhere = self.cpu_elsewhere.saturating_add(cpu_elsewhere);
    }

    /// Calls that were made so far, and by those.
    pub(crate) fn calls_made(&self) -> u32 {
        self.calls_made
    }

    /// Processor time that was used by calls elsewhere.
    pub(crate) fn cpu_elsewhere(&self) -> Duration {
        self.cpu_elsewhere
    }

    /// Processor time of this thread since the call began.
    pub(crate) fn cpu_here(&self) -> Duration {
        thread_cpu_time().saturating_sub(self.cpu_at_start)
    }
}

/// Processor time that this thread has used.
pub fn thread_cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_end_with_their_budget() {
        let mut chain = Chain::new(Budget { calls: 3, ..Budget::default() }, 0);
        for _ in 0..3 {
            assert_eq!(chain.begin(), Ok(1));
            chain.ended(0, Duration::ZERO);
        }
        assert_eq!(chain.begin(), Err(NoCall::Budget));
        assert_eq!((chain.calls_made(), chain.left().calls), (3, 0));
    }

    #[test]
    fn calls_within_each_other_are_bounded() {
        let mut depth = 0;
        while let Ok(deeper) = Chain::new(Budget::default(), depth).begin() {
            depth = deeper;
        }
        assert_eq!(depth, DEPTH_MAX - 1);
        assert_eq!(Chain::new(Budget::default(), depth).begin(), Err(NoCall::Depth));
    }

    #[test]
    fn what_is_used_elsewhere_counts() {
        let mut chain = Chain::new(Budget { calls: 10, cpu: Duration::from_secs(10) }, 0);
        assert_eq!(chain.begin(), Ok(1));
        chain.ended(4, Duration::from_secs(20));
        assert_eq!(chain.left().calls, 5);
        assert!(chain.is_spent());
        assert_eq!(chain.begin(), Err(NoCall::Budget));
    }
}
