//! A run from its first step to its last: the engine, its clock on the wall, and where results go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::record::Recorder;
use super::simulation::{Simulation, SimulationError};
use super::sink::{RunHead, SinkError, StepSink};
use super::summary::{RunSummary, StepSummary};
use super::watch::Stopwatch;

/// Longest sleep between two looks at whether the run is to end.
const NAP: Duration = Duration::from_millis(50);

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The engine.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// A result.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With its last step.
    Complete,
    /// Before: somebody asked for it.
    Interrupted,
}

/// A run that is ready to start.
#[derive(Debug)]
pub struct Session<'a> {
    /// What is known before the first step.
    pub head: RunHead,
    /// The engine, before its first step.
    pub simulation: Simulation,
    /// How fast it may go, times real time; without it as fast as it can.
    pub speed: Option<f64>,
    /// Where results go.
    pub sinks: Vec<Box<dyn StepSink>>,
    /// All states, to be replayed.
    pub recording: Option<Recorder>,
    /// Becomes true when the run is to end with the step that is being computed.
    pub stop: &'a AtomicBool,
}

impl Session<'_> {
    /// Runs to the end, or until asked to stop; what was computed until then is written in both cases.
    ///
    /// # Errors
    /// [`SessionError`]; no result is left half-written.
    pub fn run(mut self) -> Result<(RunSummary, Ending), SessionError> {
        for sink in &mut self.sinks {
            sink.begin(&self.head)?;
        }
        let mut steps = Vec::new();
        let begun = Instant::now();
        let mut ending = Ending::Complete;
        for step in 0..self.head.steps {
            if !self.wait_for(step, begun) {
                ending = Ending::Interrupted;
                break;
            }
            steps.push(self.step()?);
        }
        let summary = RunSummary {
            scenario: self.head.scenario.clone(),
            model: self.head.model.clone(),
            satellites: self.head.satellites.len(),
            stations: self.head.stations.len(),
            steps,
            figures: self.simulation.figures(),
        };
        if let Some(recorder) = self.recording {
            recorder.finish().map_err(SinkError::from)?;
        }
        for sink in &mut self.sinks {
            sink.end(&summary)?;
        }
        Ok((summary, ending))
    }

    fn step(&mut self) -> Result<StepSummary, SessionError> {
        let mut watch = Stopwatch::start();
        let (moment, mut summary) = self.simulation.step(&mut watch)?;
        summary.ms = watch.ms();
        if let Some(workload) = &mut summary.workload {
            workload.ms = watch.workload_ms();
        }
        if let Some(recorder) = &mut self.recording {
            let overrides = self.simulation.overrides();
            recorder.step(&moment, &summary, overrides).map_err(SinkError::from)?;
        }
        for sink in &mut self.sinks {
            sink.step(&moment, &summary)?;
        }
        Ok(summary)
    }

    /// Waits until a step is due; false when the run is to end instead.
    fn wait_for(&self, step: u64, begun: Instant) -> bool {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            #[expect(clippy::cast_precision_loss, reason = "steps are counted to 1e6")]
            let due_s = self.speed.map_or(0.0, |speed| step as f64 * self.head.step_s / speed);
            let due = Duration::try_from_secs_f64(due_s).unwrap_or(Duration::MAX);
            match due.checked_sub(begun.elapsed()) {
                None | Some(Duration::ZERO) => return true,
                Some(left) => std::thread::sleep(left.min(NAP)),
            }
        }
    }
}
