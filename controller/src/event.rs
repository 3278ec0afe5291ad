//! Everything that can wake the controller, and everything that it can want: two closed lists.
//!
//! The shell turns frames, timers and finished work into [`Input`]s, hands them to
//! [`crate::controller::Controller`] one at a time, and does what the [`Output`]s say, in their order.

use std::sync::Arc;
use std::time::Duration;

use protocol::desired::Desired;
use topology::ContactPlan;
use types::{Epoch, Generation, Instant, NodeId, SkyClock, WallTime};

/// One moment on the clocks of this machine; the sky follows from the [`SkyClock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic, since the process began.
    pub instant: Instant,
    /// The wall clock.
    pub wall: WallTime,
}

/// What can wake the controller.
#[derive(Clone, Debug)]
pub enum Input {
    /// A second has passed.
    Tick,
    /// A report was put.
    Report {
        /// The key.
        key: String,
        /// The payload.
        frame: Vec<u8>,
    },
    /// An event was put.
    Event {
        /// The key.
        key: String,
        /// The payload.
        frame: Vec<u8>,
    },
    /// A node was asked for events that were missed.
    Replayed {
        /// Which.
        node: NodeId,
        /// Its page, or why there is none.
        frame: Result<Vec<u8>, String>,
    },
    /// A node was told its desired state, or asked how it stands.
    Answered {
        /// Which.
        node: NodeId,
        /// What it was told; `None` when it was only asked.
        told: Option<Generation>,
        /// Its answer, or why there is none.
        frame: Result<Vec<u8>, String>,
    },
    /// The clock of the replay, or the real one.
    Clock(SkyClock),
    /// A new contact plan.
    Plan(Arc<ContactPlan>),
    /// No contact plan can be made.
    PlanFailed(String),
}

/// What the controller wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Make what must outlive the process durable, before anything that follows.
    Save,
    /// Ask a node for its events from a number on, then say [`Input::Replayed`].
    Replay {
        /// Which.
        node: NodeId,
        /// The first wanted number.
        from_seq: u64,
    },
    /// Ask a node how it stands, then say [`Input::Answered`].
    Ask(NodeId),
    /// Tell all nodes whose signatures count now.
    Signers,
    /// Tell a node its desired state, then say [`Input::Answered`].
    Tell(Box<Desired>),
}

/// One moment when the sky is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Monotonic, since the process began.
    pub instant: Instant,
    /// The sky.
    pub sky: Epoch,
    /// Sky seconds per wall second.
    pub rate: f64,
}

impl Moment {
    /// The sky after so much wall time.
    pub fn sky_after(&self, wall: Duration) -> Epoch {
        self.sky.plus_s(wall.as_secs_f64() * self.rate)
    }

    /// The sky so much wall time ago.
    pub fn sky_before(&self, wall: Duration) -> Epoch {
        self.sky.plus_s(-wall.as_secs_f64() * self.rate)
    }

    /// Wall time until the sky shows `sky`; zero if it has.
    pub fn wall_until(&self, sky: Epoch) -> Duration {
        // A year is further than any plan.
        let ahead_s = (sky.seconds_since(self.sky) / self.rate).clamp(0.0, 31_557_600.0);
        Duration::from_secs_f64(ahead_s)
    }
}
