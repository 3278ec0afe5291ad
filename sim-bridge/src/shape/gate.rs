//! What sky and faults make of a link. Pure.

use protocol::sim::FaultAction;

use crate::shape::queue::LinkParams;

/// A fault in force; the stronger one comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// What a fault was injected for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// All pairs of the node that dials.
    NodeA,
    /// All pairs of the node that is dialed.
    NodeB,
    /// This pair, in whichever order it was named.
    Pair,
}

/// The faults in force on one pair, one for each [`Cause`]: they neither replace nor heal each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults([Option<Fault>; 3]);

impl Faults {
    /// Puts a fault in force for `cause`, in place of the one that was; `None` heals that alone.
    pub const fn set(&mut self, cause: Cause, fault: Option<Fault>) {
        self.0[cause as usize] = fault;
    }

    /// The fault that counts. A black hole is stronger than a closed link: nobody is told of the other.
    pub fn strongest(&self) -> Option<Fault> {
        self.0.into_iter().max().flatten()
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

    #[test]
    fn faults_of_several_causes_do_not_touch_each_other() {
        let (closed, hole) = (Some(Fault::Closed), Some(Fault::BlackHole));
        let mut faults = Faults::default();
        for (cause, fault, strongest) in [
            (Cause::NodeA, closed, closed),
            (Cause::Pair, hole, hole),
            (Cause::NodeB, closed, hole),
            (Cause::Pair, None, closed),
            (Cause::NodeA, None, closed),
            (Cause::Pair, None, closed),
            (Cause::NodeB, hole, hole),
            (Cause::NodeB, None, None),
        ] {
            faults.set(cause, fault);
            assert_eq!(faults.strongest(), strongest, "{cause:?} {fault:?}");
        }
    }
}
