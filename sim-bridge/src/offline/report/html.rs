//! One page of plots: a file that needs no other file, no network and no server, small however long the run is.
//!
//! Plots are SVG drawn here; a few lines of script, part of the page, show the values under the pointer. Without script
//! nothing is missing but that. What is drawn is bounded: long runs are drawn in [`series::POINTS_MAX`] parts, each with its
//! least, mean and greatest value; the bounds of the rest are told where they cut.

mod chart;
mod coverage;
mod gather;
mod ground_track;
mod page;
mod scale;
mod series;
mod times;

use std::io::Write;
use std::path::{Path, PathBuf};

use gather::Gathered;
use page::Page;

use super::facts::StepFacts;
use super::{Output, cannot_write};
use crate::offline::sink::{RunHead, SinkError};
use crate::offline::summary::RunSummary;
use crate::out_file::OutFile;

/// Gathers what the page shows, and writes it at the end.
#[derive(Debug)]
pub(super) struct Html {
    file: PathBuf,
    gathered: Option<(OutFile, Gathered)>,
}

impl Html {
    /// The page in this file.
    pub(super) fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), gathered: None }
    }
}

impl Output for Html {
    // A place that cannot be written is told before the run, not after it.
    fn begin(&mut self, run: &RunHead) -> Result<(), SinkError> {
        self.gathered = Some((OutFile::create(&self.file)?, Gathered::new(run)));
        Ok(())
    }

    fn step(&mut self, facts: &StepFacts<'_>) -> Result<(), SinkError> {
        if let Some((_, gathered)) = &mut self.gathered {
            gathered.take(facts);
        }
        Ok(())
    }

    fn end(&mut self, _summary: &RunSummary) -> Result<(), SinkError> {
        let Some((mut file, gathered)) = self.gathered.take() else { return Ok(()) };
        let text = render(&gathered);
        file.write_all(text.as_bytes()).map_err(|e| cannot_write(&self.file, e))?;
        Ok(file.finish()?)
    }
}

fn render(run: &Gathered) -> String {
    let mut page = Page::new(&run.head.scenario);
    page.header(run);
    page.tiles(&run.tiles());
    chart::links(&mut page, run);
    chart::routes(&mut page, run);
    coverage::shares(&mut page, run);
    coverage::in_sight(&mut page, run);
    coverage::contacts(&mut page, run);
    ground_track::map(&mut page, run);
    times::step_times(&mut page, run);
    page.finish()
}
