//! The command line: what can be asked for, and the exit code that tells how it went.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use orbit::Sky;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use types::Epoch;

use crate::bridge::{BridgeError, Prepared};
use crate::sky_file;
use crate::sky_view::SkyView;
use crate::toml_file::FileError;

/// Exit code of a failure.
const FAILURE: u8 = 1;
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
    /// The answer cannot be put into JSON.
    #[error("the answer cannot be put into JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The link to the parent process.
    #[error("this process cannot be bound to its parent: {0}")]
    Parent(rustix::io::Errno),
}

impl CommandError {
    /// The exit code that tells it.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::File(_) => BAD_CONFIG,
            Self::Bridge(_) | Self::Output(_) | Self::Json(_) | Self::Parent(_) => FAILURE,
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
