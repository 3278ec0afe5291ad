//! `starbelt-sim bench`: the engine against the brute-force method.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use orbit::elements::Elements;
use orbit::link::ProtocolKind;
use orbit::station::Station;

use super::CommandError;
use super::answer::{is_for_people, print, write_json};
use super::plan::protocol_kind;
use super::source::SourceArgs;
use crate::offline::bench::sky::cities;
use crate::offline::bench::table::table;
use crate::offline::bench::{BenchError, BenchPlan, measure_rows, memory};
use crate::offline::station_file;

/// What is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The constellation and the stations; without any, Walker shells like Starlink's and 85 cities
    #[command(flatten)]
    pub source: SourceArgs,
    /// The protocol of the links between satellites
    #[arg(long, value_name = "PROTOCOL", default_value = "mst_smart_loop", value_parser = protocol_kind)]
    pub links: ProtocolKind,
    /// Steps of the row that runs from beginning to end
    #[arg(long, value_name = "K", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: u32,
    /// Threads; without it one for each processor
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Only rows whose names hold this text
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Also writes the rows to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Runs one part in this process and prints its number
    #[arg(long, hide = true)]
    pub one: Option<One>,
}

/// A part that needs a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum One {
    /// Peak memory, bytes.
    Memory,
}

impl Args {
    /// Does it.
    ///
    /// # Errors
    /// [`CommandError`], whose exit code tells the kind.
    pub fn run(&self) -> Result<(), CommandError> {
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads.map_or(0, usize::from))
            .build()
            .map_err(|e| CommandError::Output(io::Error::other(e)))?;
        threads.install(|| self.run_here())
    }

    fn run_here(&self) -> Result<(), CommandError> {
        let (given, stations) = self.given()?;
        let stations: Arc<[Station]> = if stations.is_empty() { cities() } else { stations.into() };
        if self.one == Some(One::Memory) {
            return self.print_memory(&given, &stations);
        }
        if cfg!(debug_assertions) {
            tell("warning: this is a debug build, whose numbers say nothing; build with --release");
        }
        let plan = BenchPlan {
            given_source: self.names(),
            given,
            stations,
            // Without it the sizes of the paper.
            satellites: self.source.satellites.map(|satellites| satellites as usize),
            links: self.links,
            steps: self.steps,
            only: self.only.clone(),
        };
        let rows = measure_rows(&plan, &mut |name| tell(&format!("measuring {name}")))?;
        if is_for_people(&[&self.json]) {
            print(&format!("{}threads: {}\n", table(&rows), rayon::current_num_threads()))?;
        }
        self.json.as_deref().map_or(Ok(()), |file| write_json(file, &rows))
    }

    /// The satellites and stations of the flags; none of either is fine, for the bench has its own.
    fn given(&self) -> Result<(Arc<[Elements]>, Vec<Station>), CommandError> {
        let SourceArgs { tle, omm, walker, ground, .. } = &self.source;
        if tle.is_empty() && omm.is_empty() && walker.is_empty() {
            return Ok((Arc::new([]), station_file::load(ground)?));
        }
        // The bench cuts and duplicates by itself, to each of its sizes.
        let source = SourceArgs { satellites: None, ..self.source.clone() }.load()?;
        source.warnings.iter().for_each(|warning| tell(warning));
        Ok((source.elements, source.stations))
    }

    fn print_memory(
        &self,
        elements: &Arc<[Elements]>,
        stations: &[Station],
    ) -> Result<(), CommandError> {
        let bytes = memory::run_here(elements, stations, self.links)?;
        Ok(writeln!(io::stdout().lock(), "{bytes}")?)
    }

    /// The names of the files, without their folders.
    fn names(&self) -> String {
        let files = self.source.tle.iter().chain(&self.source.omm);
        let names = files.filter_map(|file| file.file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        names.chain(self.source.walker.iter().cloned()).collect::<Vec<_>>().join(" + ")
    }
}

/// Says how far the bench is; a closed stderr is no reason to stop it.
fn tell(line: &str) {
    drop(writeln!(io::stderr().lock(), "starbelt-sim: {line}"));
}

impl From<BenchError> for CommandError {
    fn from(error: BenchError) -> Self {
        match error {
            BenchError::Elements(_)
            | BenchError::Sets(_)
            | BenchError::Engine(_)
            | BenchError::Plan(_) => Self::Input(error.to_string()),
            BenchError::Write(error) => Self::Write(error),
            BenchError::Io { .. } => Self::Output(io::Error::other(error)),
        }
    }
}
