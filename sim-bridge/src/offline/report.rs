//! Reports of a run: tables as CSV and Parquet, one page of plots, a progress bar.
//!
//! What all of them need of a step is worked out once, as [`StepFacts`]. Nothing half done is left: files get their names
//! when they are complete.
//!
//! Reading order: [`facts`], [`table`] (the columns) with [`csv`] and [`parquet`], [`html`], [`progress`].

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

pub mod csv;
pub mod facts;
pub mod html;
pub mod parquet;
pub mod progress;
pub mod table;

use facts::FactFinder;
pub use facts::StepFacts;
use table::Tables;

use super::moment::Moment;
use super::sink::{RunHead, SinkError, StepSink};
use super::summary::{RunSummary, StepSummary};
use crate::out_file::{OutFile, WriteError};

/// Which reports are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportSpec {
    /// A folder for tables as CSV.
    pub csv: Option<PathBuf>,
    /// A folder for tables as Parquet.
    pub parquet: Option<PathBuf>,
    /// The page of plots.
    pub html: Option<PathBuf>,
    /// Whether there is a table of each link that opens or closes, by far the longest one.
    pub links: bool,
}

/// A kind of report.
trait Output: Debug + Send {
    /// Before the first step.
    fn begin(&mut self, run: &RunHead) -> Result<(), SinkError>;
    /// After each step.
    fn step(&mut self, facts: &StepFacts<'_>) -> Result<(), SinkError>;
    /// After the last step.
    fn end(&mut self, summary: &RunSummary) -> Result<(), SinkError>;
}

/// Writes the reports that are wanted.
#[derive(Debug)]
pub struct Reports {
    finder: FactFinder,
    outputs: Vec<Box<dyn Output>>,
}

impl Reports {
    /// Makes ready; writes nothing before the run begins.
    pub fn new(spec: &ReportSpec) -> Self {
        let mut outputs: Vec<Box<dyn Output>> = Vec::new();
        if let Some(folder) = &spec.csv {
            outputs.push(Box::new(Tables::new(folder, csv::open, spec.links)));
        }
        if let Some(folder) = &spec.parquet {
            outputs.push(Box::new(Tables::new(folder, parquet::open, spec.links)));
        }
        if let Some(file) = &spec.html {
            outputs.push(Box::new(html::Html::new(file)));
        }
        Self { finder: FactFinder::default(), outputs }
    }

    /// Whether no report is wanted.
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }
}

impl StepSink for Reports {
    fn begin(&mut self, run: &RunHead) -> Result<(), SinkError> {
        self.outputs.iter_mut().try_for_each(|output| output.begin(run))
    }

    fn step(&mut self, moment: &Moment, summary: &StepSummary) -> Result<(), SinkError> {
        if self.outputs.is_empty() {
            return Ok(());
        }
        let facts = self.finder.find(moment, summary);
        self.outputs.iter_mut().try_for_each(|output| output.step(&facts))
    }

    fn end(&mut self, summary: &RunSummary) -> Result<(), SinkError> {
        self.outputs.iter_mut().try_for_each(|output| output.end(summary))
    }
}

/// A count as a number to plot or divide; exact below 2^53.
pub fn real(count: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
    {
        count as f64
    }
}

/// Begins a file of a folder, which is made if it is not there.
fn begun(folder: &Path, name: &str) -> Result<OutFile, SinkError> {
    std::fs::create_dir_all(folder).map_err(|e| cannot_write(folder, e))?;
    Ok(OutFile::create(&folder.join(name))?)
}

fn cannot_write(file: &Path, source: io::Error) -> SinkError {
    WriteError::of(file, source).into()
}
