//! Which program runs: the packaged one, or one of two in slots; how another one is tried, kept or given up. Pure.
//!
//! ```text
//!            ordered            all bytes here           runs and is well
//! nothing ───────────▶ order ──────────────────▶ trial ──────────────────▶ active: the other slot is free
//!                        │ refused                 │ starts used up, time over, not even started
//!                        └▶ nothing                └▶ the active one, else the packaged one
//! ```
//!
//! Each change is made to a copy, which counts once it is durable. A start on trial is counted before it begins, so that one which ends the
//! machine is counted, too. What a package brings replaces what updates brought: it was installed on purpose.

use serde::{Deserialize, Serialize};

use super::file::{hex, unhex};

/// One of the two places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// Its folder.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// The one of that name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::A, Self::B].into_iter().find(|slot| slot.as_str() == name)
    }

    const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// What a slot holds or is to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its number.
    pub number: u64,
    /// Its version.
    pub version: String,
    /// SHA-256 of its file.
    #[serde(with = "digits")]
    pub sha256: [u8; 32],
    /// Its size.
    pub bytes: u32,
    /// The command that asked for it: epoch and number.
    pub asked: (u64, u64),
}

/// A hash as hexadecimal digits.
mod digits {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(hash: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::hex(hash))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        super::unhex(&text).ok_or_else(|| D::Error::custom("a hash has 64 hexadecimal digits"))
    }
}

/// A program that is to be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Which.
    pub program: Program,
    /// Where to.
    pub slot: Slot,
    /// How long one start of it may take to be well, in seconds.
    pub within_s: u32,
}

/// A program on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Which.
    pub program: Program,
    /// Where it is.
    pub slot: Slot,
    /// Starts that it still has.
    pub starts_left: u32,
    /// How long one start of it may take to be well, in seconds.
    pub within_s: u32,
    /// The tasks that ran before: `workflow.task`.
    pub ran: Vec<String>,
}

/// How an update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It stays.
    Committed,
    /// The one before runs again.
    RolledBack,
    /// It was not tried.
    Refused,
}

/// An update that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Which.
    pub program: Program,
    /// How.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
    /// Whether an event has told of it.
    pub is_told: bool,
}

/// What lasts of programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// The packaged program that all of this stands beside.
    pub packaged: u64,
    /// What is to be fetched.
    pub order: Option<Order>,
    /// What is tried.
    pub trial: Option<Trial>,
    /// What runs otherwise; absent: the packaged one.
    pub active: Option<(Slot, Program)>,
    /// The highest number that was ever kept here.
    pub floor: u64,
    /// The update that ended last.
    pub ended: Option<Ended>,
}

/// Which program a start becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The packaged one.
    Packaged,
    /// The one in a slot.
    Active(Slot),
    /// The one on trial, in a slot.
    Trial(Slot),
}

impl Slots {
    /// What a start of the packaged program with that number becomes; the first is to be durable before.
    #[must_use]
    pub fn choose(&self, packaged: u64) -> (Self, Choice) {
        let mut next = self.clone();
        if next.packaged != packaged {
            // Another package was installed: it counts, whatever was fetched beside the one before.
            let reason = "another package was installed meanwhile";
            next.end_trial(Outcome::RolledBack, reason);
            // What was ordered beside the other one may be older than this one.
            if let Some(order) = next.order.take() {
                next.end(order.program, Outcome::Refused, reason.to_owned());
            }
            next.active = None;
            next.packaged = packaged;
        }
        if next.trial.as_ref().is_some_and(|trial| trial.starts_left == 0) {
            next.end_trial(
                Outcome::RolledBack,
                "all its starts came to a bad end before it was well",
            );
        }
        if let Some(trial) = &mut next.trial {
            trial.starts_left -= 1;
            let slot = trial.slot;
            return (next, Choice::Trial(slot));
        }
        let choice =
            next.active.as_ref().map_or(Choice::Packaged, |(slot, _)| Choice::Active(*slot));
        (next, choice)
    }

    /// The program in that slot cannot be started at all.
    #[must_use]
    pub fn unusable(&self, slot: Slot, reason: &str) -> Self {
        let mut next = self.clone();
        if next.trial.as_ref().is_some_and(|trial| trial.slot == slot) {
            next.end_trial(Outcome::RolledBack, reason);
        } else if let Some((_, program)) = next.active.take_if(|(active, _)| *active == slot) {
            let reason = format!("the program in slot {}: {reason}", slot.as_str());
            next.end(program, Outcome::RolledBack, reason);
        }
        next
    }

    /// Takes an order in place of one that is under way.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn ordered(&self, program: Program, within_s: u32) -> Result<Self, String> {
        if let Some(trial) = &self.trial {
            let version = &trial.program.version;
            return Err(format!("{version} is on trial; wait until it is kept or given up"));
        }
        let slot = self.active.as_ref().map_or(Slot::A, |(active, _)| active.other());
        Ok(Self { order: Some(Order { program, slot, within_s }), ..self.clone() })
    }

    /// What was ordered is all here and is what was signed: it is tried next. `None` if it is not ordered any more.
    #[must_use]
    pub fn fetched(&self, sha256: &[u8; 32], starts: u32, ran: Vec<String>) -> Option<Self> {
        let order = self.order.clone().filter(|order| order.program.sha256 == *sha256)?;
        let Order { program, slot, within_s } = order;
        let trial = Trial { program, slot, starts_left: starts, within_s, ran };
        Some(Self { order: None, trial: Some(trial), ..self.clone() })
    }

    /// What was ordered is not tried. `None` if it is not ordered any more.
    #[must_use]
    pub fn refused(&self, sha256: &[u8; 32], reason: &str) -> Option<Self> {
        let order = self.order.clone().filter(|order| order.program.sha256 == *sha256)?;
        let mut next = Self { order: None, ..self.clone() };
        next.end(order.program, Outcome::Refused, reason.to_owned());
        Some(next)
    }

    /// The program on trial in that slot is well. `None` if none is.
    #[must_use]
    pub fn committed(&self, slot: Slot) -> Option<Self> {
        let trial = self.trial.clone().filter(|trial| trial.slot == slot)?;
        let floor = self.floor.max(trial.program.number);
        let active = Some((slot, trial.program.clone()));
        let mut next = Self { trial: None, active, floor, ..self.clone() };
        next.end(trial.program, Outcome::Committed, String::new());
        Some(next)
    }

    /// The program on trial in that slot is not well. `None` if none is.
    #[must_use]
    pub fn rolled_back(&self, slot: Slot, reason: &str) -> Option<Self> {
        self.trial.as_ref().filter(|trial| trial.slot == slot)?;
        let mut next = self.clone();
        next.end_trial(Outcome::RolledBack, reason);
        Some(next)
    }

    /// An event has told how the last update ended.
    #[must_use]
    pub fn told(&self) -> Self {
        let mut next = self.clone();
        if let Some(ended) = &mut next.ended {
            ended.is_told = true;
        }
        next
    }

    fn end_trial(&mut self, outcome: Outcome, reason: &str) {
        if let Some(trial) = self.trial.take() {
            self.end(trial.program, outcome, reason.to_owned());
        }
    }

    fn end(&mut self, program: Program, outcome: Outcome, reason: String) {
        self.ended = Some(Ended { program, outcome, reason, is_told: false });
    }
}

#[cfg(test)]
mod tests;
