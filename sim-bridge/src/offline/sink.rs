//! Where the results of a run go, step by step: [`StepSink`].

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use orbit::station::Station;
use types::Epoch;

use super::moment::Moment;
use super::summary::{RunSummary, StepSummary};
use crate::out_file::WriteError;

/// What is known of a run before its first step.
#[derive(Clone, Debug)]
pub struct RunHead {
    /// The scenario's name, or what the flags said.
    pub scenario: String,
    /// The model of motion.
    pub model: String,
    /// The names of the satellites, by index.
    pub satellites: Arc<[String]>,
    /// The stations, by index.
    pub stations: Arc<[Station]>,
    /// How many steps are asked for.
    pub steps: u64,
    /// From one step to the next, seconds.
    pub step_s: f64,
    /// The instant of step 0.
    pub start: Epoch,
}

/// Why a result cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A result does not fit its format.
    #[error("{}: cannot hold the result: {reason}", file.display())]
    Format {
        /// The file.
        file: PathBuf,
        /// What does not fit, and why.
        reason: String,
    },
}

/// Takes the results of a run.
///
/// Called with [`Self::begin`] once, [`Self::step`] for each step in order, and [`Self::end`] once, also when the run is
/// interrupted: what was computed until then is complete and is to be kept.
pub trait StepSink: Debug + Send {
    /// The run begins.
    ///
    /// # Errors
    /// [`SinkError`] ends the run.
    fn begin(&mut self, run: &RunHead) -> Result<(), SinkError>;

    /// A step is done.
    ///
    /// # Errors
    /// [`SinkError`] ends the run.
    fn step(&mut self, moment: &Moment, summary: &StepSummary) -> Result<(), SinkError>;

    /// The run is over.
    ///
    /// # Errors
    /// [`SinkError`].
    fn end(&mut self, summary: &RunSummary) -> Result<(), SinkError>;
}
