//! Counts starts that came to a bad end, and says when a node must not run functions: safe mode. Pure.
//!
//! ```text
//!            failed < limit            limit ≤ failed < 2·limit        2·limit ≤ failed
//! start ──▶  normal                    safe mode                       safe mode, by the packaged program
//!            │ proved, or a clean end  │ back-off over: limit − 1      │ the same
//!            └▶ 0                      └ resumed by an operator: 0     └ the same
//! ```
//!
//! A start counts as failed until it has proved itself or has ended as it was told to. The back-off doubles each time that a start
//! with functions fails after it. A node that loses power again and again before it has proved itself looks the same, and is
//! treated the same: it still reports, obeys commands and takes updates, and comes out of it by itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest back-off: a day.
const BACKOFF_MAX: Duration = Duration::from_secs(86_400);

/// What lasts of starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starts {
    /// Starts in a row that did not prove themselves; counted before anything of a start.
    pub failed: u32,
    /// Times that safe mode was left by itself, in a row.
    pub rounds: u32,
    /// How long safe mode has lasted this time, in seconds in which an agent ran.
    pub waited_s: u64,
    /// The program that was started; another one begins anew.
    pub program: u64,
}

/// What an operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Failed starts in a row before safe mode.
    pub failures_max: u32,
    /// The first back-off.
    pub backoff: Duration,
}

/// How a start goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// With functions.
    Normal,
    /// Without.
    Safe {
        /// Starts that failed before.
        failed: u32,
    },
    /// Without, and by the packaged program: that in the slot does not even get so far.
    SafePackaged {
        /// Starts that failed before.
        failed: u32,
    },
}

impl Mode {
    /// The starts that failed before, in safe mode.
    pub const fn failed(self) -> Option<u32> {
        match self {
            Self::Normal => None,
            Self::Safe { failed } | Self::SafePackaged { failed } => Some(failed),
        }
    }
}

impl Starts {
    /// A start of a program: what must be durable before it goes on, and how.
    #[must_use]
    pub fn begin(self, program: u64, limits: &Limits) -> (Self, Mode) {
        let before =
            if self.program == program { self } else { Self { program, ..Self::default() } };
        let (limit, failed) = (limits.failures_max, before.failed);
        let mode = if failed < limit {
            Mode::Normal
        } else if failed < limit.saturating_mul(2) {
            Mode::Safe { failed }
        } else {
            Mode::SafePackaged { failed }
        };
        (Self { failed: failed.saturating_add(1), ..before }, mode)
    }

    /// This start is well.
    #[must_use]
    pub fn proved(self, mode: Mode, limits: &Limits) -> Self {
        match mode {
            Mode::Normal => Self { program: self.program, ..Self::default() },
            // It stays in safe mode, and the next crash is the first one again.
            Mode::Safe { .. } => Self { failed: limits.failures_max, ..self },
            Mode::SafePackaged { .. } => {
                Self { failed: limits.failures_max.saturating_mul(2), ..self }
            }
        }
    }

    /// This start ends as it was told to, or was refused before it began. What it did before does not count against it.
    #[must_use]
    pub fn ended(self, mode: Mode, limits: &Limits) -> Self {
        match mode {
            Mode::Normal => Self { failed: 0, ..self },
            Mode::Safe { .. } | Mode::SafePackaged { .. } => self.proved(mode, limits),
        }
    }

    /// Safe mode has lasted so much longer; `true` once it has lasted long enough: then the next start has functions.
    #[must_use]
    pub fn waited(self, more_s: u64, limits: &Limits) -> (Self, bool) {
        let waited_s = self.waited_s.saturating_add(more_s);
        if waited_s < self.backoff(limits).as_secs() {
            return (Self { waited_s, ..self }, false);
        }
        let failed = limits.failures_max.saturating_sub(1);
        let rounds = self.rounds.saturating_add(1);
        (Self { failed, rounds, waited_s: 0, ..self }, true)
    }

    /// An operator says that functions are to run again.
    #[must_use]
    pub fn resumed(self) -> Self {
        Self { program: self.program, ..Self::default() }
    }

    /// How long safe mode lasts this time.
    pub fn backoff(&self, limits: &Limits) -> Duration {
        let doubled =
            1_u32.checked_shl(self.rounds).and_then(|times| limits.backoff.checked_mul(times));
        doubled.unwrap_or(BACKOFF_MAX).min(BACKOFF_MAX)
    }

    /// How much of it is left, in seconds.
    pub fn left_s(&self, limits: &Limits) -> u64 {
        self.backoff(limits).as_secs().saturating_sub(self.waited_s)
    }
}

#[cfg(test)]
mod tests;
