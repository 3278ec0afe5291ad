//! A plan moved on: the past dropped, new windows appended, those that were cut joined.

use std::collections::BTreeMap;

use types::Epoch;

use super::{LinkPlan, LinkPlanError, LinkWindow, minute_of, on_minute};
use crate::graph::NodeIx;

/// Plans that do not follow each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// The new part does not begin where the plan ends.
    #[error("the plan ends at {end}, but what is to follow begins at {begins}")]
    Gap {
        /// The end of the plan.
        end: Epoch,
        /// The beginning of the new part.
        begins: Epoch,
    },
    /// The two parts are of different networks.
    #[error("the plan and what is to follow have different nodes")]
    Nodes,
    /// The new beginning lies outside the plan, or on no whole minute.
    #[error("a plan from {start} to {end} cannot begin at {at}: it must be a whole minute within")]
    Start {
        /// The beginning of the plan.
        start: Epoch,
        /// Its end.
        end: Epoch,
        /// The refused beginning.
        at: Epoch,
    },
    /// The result breaks a rule of plans.
    #[error(transparent)]
    Plan(#[from] LinkPlanError),
}

impl LinkPlan {
    /// The plan from `start` on, followed by `next`, which begins where this one ends: the same as one plan made of the whole.
    /// It has the version of `next`.
    ///
    /// # Errors
    /// [`RefreshError`] when the two do not follow each other or the beginning does not lie within this plan.
    pub fn refreshed(self, start: Epoch, next: Self) -> Result<Self, RefreshError> {
        if self.end != next.start {
            return Err(RefreshError::Gap { end: self.end, begins: next.start });
        }
        if self.nodes != next.nodes {
            return Err(RefreshError::Nodes);
        }
        if start < self.start || self.end < start || !on_minute(start) {
            return Err(RefreshError::Start { start: self.start, end: self.end, at: start });
        }
        let seam = self.end;
        let mut followers = Followers::new(next.windows, seam);
        let mut windows: Vec<LinkWindow> = Vec::new();
        for window in self.windows {
            windows.extend(followers.join(window).from(start));
        }
        windows.extend(followers.rest().filter_map(|window| window.from(start)));
        Ok(Self::new(next.version, (start, next.end), next.nodes, windows)?)
    }
}

impl LinkWindow {
    /// The part from an instant on, a whole minute; `None` when it has ended by then.
    fn from(mut self, start: Epoch) -> Option<Self> {
        if self.close <= start {
            return None;
        }
        if self.open < start {
            let dropped = minute_of(start) - minute_of(self.open);
            self.range.drain(..usize::try_from(dropped).unwrap_or(0).min(self.range.len()));
            self.open = start;
        }
        // At the first instant of a plan nobody looks back.
        self.open_known &= start < self.open;
        Some(self)
    }
}

/// The windows after a seam, those that were open across it by pair.
struct Followers {
    across: BTreeMap<(NodeIx, NodeIx), LinkWindow>,
    others: Vec<LinkWindow>,
}

impl Followers {
    fn new(windows: Vec<LinkWindow>, seam: Epoch) -> Self {
        let is_across = |window: &LinkWindow| window.open == seam && !window.open_known;
        let (across, others) = windows.into_iter().partition::<Vec<_>, _>(is_across);
        let across = across.into_iter().map(|window| ((window.a, window.b), window)).collect();
        Self { across, others }
    }

    /// A window before the seam, with what follows it.
    fn join(&mut self, mut window: LinkWindow) -> LinkWindow {
        if window.close_known {
            return window;
        }
        window.close_known = true;
        let pair = (window.a, window.b);
        let follows = |after: &LinkWindow| after.rate_kbps == window.rate_kbps;
        if self.across.get(&pair).is_some_and(follows)
            && let Some(after) = self.across.remove(&pair)
        {
            window.close = after.close;
            window.close_known = after.close_known;
            window.confidence_ppm = after.confidence_ppm;
            window.range.extend(after.range);
        }
        window
    }

    /// What nothing before the seam continues in: it began there.
    fn rest(self) -> impl Iterator<Item = LinkWindow> {
        let began = |window: LinkWindow| LinkWindow { open_known: true, ..window };
        self.others.into_iter().chain(self.across.into_values().map(began))
    }
}
