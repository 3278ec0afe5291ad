//! `starbelt-sim`: arguments, logs, exit code.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use sim_bridge::cli::Cli;
use tracing_subscriber::EnvFilter;

/// What is logged unless `STARBELT_LOG` says otherwise.
const LOG_DEFAULT: &str = "info,zenoh=warn,zenoh_transport=error";

// One worker: the session has threads of its own, the shaper and the sky have theirs.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> anyhow::Result<ExitCode> {
    let filter =
        EnvFilter::try_from_env("STARBELT_LOG").or_else(|_| EnvFilter::try_new(LOG_DEFAULT))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    match Cli::parse().run().await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            writeln!(io::stderr(), "starbelt-sim: {error}")?;
            Ok(error.exit_code())
        }
    }
}
