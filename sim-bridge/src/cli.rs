//! The command line: what can be asked for, and the exit code that tells how it went.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub mod answer;
pub mod bench;
pub mod contacts;
pub mod convert;
pub mod deliver;
pub mod eclipses;
pub mod motion;
pub mod place;
pub mod plan;
pub mod position;
pub mod route;
pub mod run;
pub mod source;

use clap::{Parser, Subcommand, ValueEnum};
use orbit::Sky;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use types::Epoch;

use crate::bridge::{BridgeError, Prepared};
use crate::offline::place::entrant::Broken;
use crate::out_file::WriteError;
use crate::sky_file;
use crate::sky_view::SkyView;
use crate::toml_file::FileError;

/// Exit code of a failure.
const FAILURE: u8 = 1;
/// Exit code of a name that does not exist.
const NOT_FOUND: u8 = 3;
/// Exit code of a run that was interrupted: 128 + SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;
/// Exit code of a bad configuration (`EX_CONFIG`).
const BAD_CONFIG: u8 = 78;

/// Replays a constellation: clock, environment and links for real or emulated nodes.
#[derive(Clone, Debug, Parser)]
#[command(name = "starbelt-sim", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be asked for.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Replays the sky for the nodes of a bed until SIGTERM or SIGINT
    Bridge {
        /// The bed's sim.toml
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// End when the process that started this one ends; its id
        #[arg(long, value_name = "PID")]
        exit_with_parent: Option<i32>,
    },
    /// Works on configuration files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Prints the links between the endpoints of a sky at one instant
    Sky {
        /// The sky.toml
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The instant, RFC 3339 in UTC; without it the newest epoch of the elements
        #[arg(long, value_name = "TIME", value_parser = Epoch::parse)]
        at: Option<Epoch>,
        /// How to print
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Simulates a constellation and its network step by step, as fast as possible or in real time
    Run(Box<run::Args>),
    /// Lists when stations see satellites: rise, set and highest elevation of each pass
    Contacts(contacts::Args),
    /// Says where satellites are at an instant, and where a station sees them
    Position(position::Args),
    /// Lists when satellites enter and leave the Earth's shadow
    Eclipses(eclipses::Args),
    /// Finds the best route between two nodes at an instant
    Route(Box<route::Args>),
    /// Writes the contact plan of all links over a horizon
    Plan(Box<plan::Args>),
    /// Brings data from one node to another over a contact plan, stored and forwarded, as early as can be
    Deliver(deliver::Args),
    /// Turns element sets of any format into any other
    Convert(convert::Args),
    /// Places the workflows of a scenario by a policy, and says how that went
    Place(place::Args),
    /// Measures the engine against the brute-force method
    Bench(bench::Args),
}

/// What can be done with a configuration.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Says what is wrong with a sim.toml and the files that it names
    Check {
        /// The bed's sim.toml
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For scripts.
    Json,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A file that cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The bridge.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// The answer cannot be written.
    #[error("the answer cannot be written: {0}")]
    Output(#[from] io::Error),
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The answer cannot be put into JSON.
    #[error("the answer cannot be put into JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Input that breaks a rule; the text says what, where and why.
    #[error("{0}")]
    Input(String),
    /// A name that is not in the input.
    #[error("{0}")]
    NotFound(String),
    /// A policy that decides no more; the text says who, what it was asked and what came.
    #[error(transparent)]
    Policy(#[from] Broken),
    /// No route between two nodes; the text says why.
    #[error("{0}")]
    NoRoute(String),
    /// A run that ended before its last step because somebody asked for it.
    #[error("interrupted after {done} of {steps} steps; what was computed until then is written")]
    Interrupted {
        /// Steps that are complete.
        done: usize,
        /// Steps that were asked for.
        steps: u64,
    },
    /// The link to the parent process.
    #[error("this process cannot be bound to its parent: {0}")]
    Parent(rustix::io::Errno),
}

impl CommandError {
    /// The exit code that tells it.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::File(_) | Self::Input(_) => BAD_CONFIG,
            Self::NotFound(_) => NOT_FOUND,
            Self::Interrupted { .. } => INTERRUPTED,
            Self::Bridge(_)
            | Self::Output(_)
            | Self::Write(_)
            | Self::Json(_)
            | Self::Policy(_)
            | Self::NoRoute(_)
            | Self::Parent(_) => FAILURE,
        })
    }
}

impl Cli {
    /// Does what was asked for.
    ///
    /// # Errors
    /// [`CommandError`], whose exit code tells the kind.
    pub async fn run(self) -> Result<(), CommandError> {
        match self.command {
            Command::Bridge { config, exit_with_parent } => {
                if let Some(parent) = exit_with_parent
                    && !bind_to_parent(parent)?
                {
                    return Ok(());
                }
                Ok(Prepared::load(&config)?.run().await?)
            }
            Command::Config(ConfigCommand::Check { config }) => {
                warn(Prepared::load(&config)?.sky())
            }
            Command::Sky { config, at, output } => print_sky(&config, at, output),
            Command::Run(args) => args.run(),
            Command::Contacts(args) => args.run(),
            Command::Position(args) => args.run(),
            Command::Eclipses(args) => args.run(),
            Command::Route(args) => args.run(),
            Command::Plan(args) => args.run(),
            Command::Deliver(args) => args.run(),
            Command::Convert(args) => args.run(),
            Command::Place(args) => args.run(),
            Command::Bench(args) => args.run(),
        }
    }
}

/// Asks for SIGTERM when the parent, whose id is given, ends; false when it has ended already.
///
/// The id has to be told: an orphan's parent is process 1, but so is the demo's child's in a container.
fn bind_to_parent(parent: i32) -> Result<bool, CommandError> {
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(CommandError::Parent)?;
    // It may have ended before the request was in force.
    Ok(getppid().is_some_and(|pid| pid.as_raw_nonzero().get() == parent))
}

fn warn(sky: &Sky) -> Result<(), CommandError> {
    match sky_file::warning(sky) {
        Some(warning) => Ok(writeln!(io::stderr().lock(), "starbelt-sim: warning: {warning}")?),
        None => Ok(()),
    }
}

fn print_sky(file: &Path, at: Option<Epoch>, output: Output) -> Result<(), CommandError> {
    let sky = sky_file::load(file)?;
    warn(&sky)?;
    let view = SkyView::new(&sky, at.unwrap_or_else(|| sky.newest_epoch()));
    let mut out = io::stdout().lock();
    match output {
        Output::Table => out.write_all(view.table().as_bytes())?,
        Output::Json => {
            serde_json::to_writer_pretty(&mut out, &view)?;
            writeln!(out)?;
        }
    }
    Ok(out.flush()?)
}
