//! Wall time of the parts of a step. The engine reads no clock: it says which part is done, a [`Watch`] of the caller
//! looks at its own.

use std::time::Instant;

use super::summary::StepMs;

/// A part of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Plugins, overrides and whatever else belongs to no other part.
    Other,
    /// Positions of satellites and stations.
    Positions,
    /// Links between satellites.
    Links,
    /// Links between stations and satellites.
    GroundLinks,
    /// Graph and routes.
    Routing,
    /// Placing and moving tasks.
    Workload,
}

/// Is told when a part is done.
pub trait Watch {
    /// All since the call before belongs to `part`.
    fn done(&mut self, part: Part);
}

/// Measures nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoWatch;

impl Watch for NoWatch {
    fn done(&mut self, _part: Part) {}
}

/// Measures by the monotonic clock of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    last: Instant,
    ms: StepMs,
    workload_ms: f64,
}

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self { last: Instant::now(), ms: StepMs::default(), workload_ms: 0.0 }
    }

    /// What the parts took.
    pub fn ms(&self) -> StepMs {
        self.ms
    }

    /// What placing and moving tasks took, milliseconds.
    pub fn workload_ms(&self) -> f64 {
        self.workload_ms
    }
}

impl Watch for Stopwatch {
    fn done(&mut self, part: Part) {
        let now = Instant::now();
        let took = now.duration_since(self.last).as_secs_f64() * 1000.0;
        self.last = now;
        match part {
            Part::Other => {}
            Part::Positions => self.ms.positions += took,
            Part::Links => self.ms.links += took,
            Part::GroundLinks => self.ms.ground_links += took,
            Part::Routing => self.ms.routing += took,
            Part::Workload => self.workload_ms += took,
        }
    }
}
