//! What sky and faults make of a link. Pure.

use protocol::sim::FaultAction;

use crate::shape::queue::LinkParams;

/// A fault in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Both ends see the link close.
    Closed,
    /// Nothing passes and nobody is told.
    BlackHole,
}

impl Fault {
    /// The fault that `action` puts in force; `None` heals.
    pub const fn from_action(action: FaultAction) -> Option<Self> {
        match action {
            FaultAction::Close => Some(Self::Closed),
            FaultAction::BlackHole => Some(Self::BlackHole),
            FaultAction::Heal => None,
        }
    }
}

/// What a link does with bytes and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Carries them.
    Open(LinkParams),
    /// Closes connections at once and refuses new ones.
    Shut,
    /// Keeps connections, takes and delivers nothing; new ones wait.
    Held,
}

/// The gate under `sky` and `fault`. A black hole also hides that the sky has lost the path.
pub fn gate(sky: Option<LinkParams>, fault: Option<Fault>) -> Gate {
    match (fault, sky) {
        (Some(Fault::BlackHole), _) => Gate::Held,
        (Some(Fault::Closed), _) | (None, None) => Gate::Shut,
        (None, Some(link)) => Gate::Open(link),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_fault_comes_before_the_sky() {
        let link = LinkParams { delay: Duration::from_millis(5), rate_kbps: 1 };
        for (sky, fault, expected) in [
            (Some(link), None, Gate::Open(link)),
            (None, None, Gate::Shut),
            (Some(link), Some(Fault::Closed), Gate::Shut),
            (None, Some(Fault::Closed), Gate::Shut),
            (Some(link), Some(Fault::BlackHole), Gate::Held),
            (None, Some(Fault::BlackHole), Gate::Held),
        ] {
            assert_eq!(gate(sky, fault), expected);
        }
    }
}
