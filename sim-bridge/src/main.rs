//! `starbelt-sim`: arguments, logs, exit code.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use sim_bridge::cli::Cli;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// What is logged unless `STARBELT_LOG` says otherwise.
fn log_default() -> Targets {
    let levels = Targets::new().with_default(LevelFilter::INFO);
    levels
        .with_target("zenoh", LevelFilter::WARN)
        .with_target("zenoh_transport", LevelFilter::ERROR)
}

// One worker: the session has threads of its own, the shaper and the sky have theirs.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> anyhow::Result<ExitCode> {
    let said = std::env::var("STARBELT_LOG").ok().and_then(|said| said.parse::<Targets>().ok());
    let filter = said.unwrap_or_else(log_default);
    let log = io::stderr;
    let lines = tracing_subscriber::fmt::layer().with_ansi(log().is_terminal()).with_writer(log);
    tracing_subscriber::registry().with(lines).with(filter).init();
    match Cli::parse().run().await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            writeln!(io::stderr(), "starbelt-sim: {error}")?;
            Ok(error.exit_code())
        }
    }
}
