//! The corrected scenario of HyperDrive: a shell without links through the Earth, light at its speed, nodes that charge, heat up and cool
//! down, workflows that arrive where people are, run, and leave. It needs no files.
//!
//! What is taken from the published scenario: the shell, how many nodes there are and what they carry, the chain of tasks. What is ours says
//! so where it stands; starting values of batteries and boards are to be replaced by measured ones.
//!
//! Reading order: [`fleet`] (nodes, [`region`] where people are, [`board`] batteries and temperatures), [`sky`] (the network as it will be),
//! [`demand`] with [`flow`] (what is to be placed), [`run`] with [`bodies`] and [`occupancy`] (a run), [`outcome`] (what is counted),
//! [`compare`] with [`statistics`], [`verdict`] and [`page`] (all policies on the same skies).

pub mod board;
pub mod bodies;
pub mod compare;
pub mod demand;
pub mod fleet;
pub mod flow;
pub mod occupancy;
pub mod outcome;
pub mod page;
mod plot;
pub mod region;
pub mod run;
pub mod sky;
pub mod statistics;
pub mod verdict;

use std::sync::Arc;

use placement::endurance::Condition;
use types::Epoch;

pub use fleet::{Fleet, Size};
pub use sky::FixedSky;

/// From one step to the next, sky seconds.
pub const STEP_S: f64 = 30.0;
/// One turn of the orbit at 550 km, minutes, rounded up.
pub const ORBIT_MIN: u32 = 96;
/// How long a run goes on after the last workflow was submitted, minutes: the longest workflow with its retries ends before.
pub const DRAIN_MIN: u32 = 30;
/// Most minutes of submissions: half a day; the positions of the largest size take 190 MB then.
pub const MINUTES_MAX: u32 = 720;
/// When the published scenario begins.
pub const START: Epoch = Epoch::from_unix_ns(1_719_882_000_000_000_000);

/// Nodes, their sky, and the state in which satellites begin: what all policies of a comparison share.
#[derive(Debug)]
pub struct Setting {
    /// The nodes.
    pub fleet: Fleet,
    /// Their network and light.
    pub sky: Arc<FixedSky>,
    /// For how long workflows are submitted, minutes.
    pub minutes: u32,
    /// The satellites at the beginning.
    pub states: Vec<Condition>,
}

impl Setting {
    /// Makes the nodes of a seed and their sky from a moment on.
    ///
    /// # Errors
    /// What is wrong with the shell, in one line.
    pub fn new(size: Size, seed: u64, start: Epoch, minutes: u32) -> Result<Self, String> {
        let fleet = Fleet::new(size, seed)?;
        let steps = steps(minutes + DRAIN_MIN + ORBIT_MIN) + 1;
        let sky = FixedSky::new(&fleet, start, steps)?;
        let states = board::settled(&fleet.boards, &fleet.charges, &sky);
        Ok(Self { fleet, sky: Arc::new(sky), minutes, states })
    }
}

/// How many steps so many minutes are.
pub const fn steps(minutes: u32) -> u32 {
    minutes * 2
}

const _: () = assert!(STEP_S == 30.0, "steps() counts half minutes");
