//! The command line of `starbelt-controller`.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Config, ConfigError};
use crate::exit_code;
use crate::shell::run::{Ended, RunError, run};
use crate::shell::{signal, sky};

/// Threads of the runtime: one owner decides, sockets need little.
const WORKERS: usize = 2;

/// Plans where functions run, tells the nodes, and answers on HTTP.
#[derive(Debug, Parser)]
#[command(name = "starbelt-controller", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs until SIGINT or SIGTERM.
    Run {
        /// The configuration.
        #[arg(long, value_name = "FILE", default_value = "/etc/starbelt/controller.toml")]
        config: PathBuf,
        /// Ends with the process that started this one; its id.
        #[arg(long, value_name = "PID")]
        exit_with_parent: Option<i32>,
    },
    /// Looks at the configuration.
    Config {
        #[command(subcommand)]
        verb: ConfigVerb,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Checks a configuration and the sky that it names; says all that is wrong.
    Check {
        /// The configuration.
        #[arg(long, value_name = "FILE", default_value = "/etc/starbelt/controller.toml")]
        config: PathBuf,
    },
}

/// What is logged unless `STARBELT_LOG` says otherwise: a link that cannot be had yet is no news.
fn log_default() -> Targets {
    Targets::new().with_default(LevelFilter::INFO).with_target("zenoh", LevelFilter::ERROR)
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let said = std::env::var("STARBELT_LOG").ok().and_then(|said| said.parse::<Targets>().ok());
    let filter = said.unwrap_or_else(log_default);
    let log = std::io::stderr;
    let lines = tracing_subscriber::fmt::layer().with_ansi(log().is_terminal()).with_writer(log);
    tracing_subscriber::registry().with(lines).with(filter).init();
    let result = match arguments.verb {
        Verb::Run { config, exit_with_parent } => start(&config, exit_with_parent),
        Verb::Config { verb: ConfigVerb::Check { config } } => check(&config),
    };
    match result {
        Ok(()) => ExitCode::from(exit_code::OK),
        Err(error) => {
            // Whoever reads this may have gone.
            writeln!(std::io::stderr(), "starbelt-controller: {error}").ok();
            ExitCode::from(match error {
                RunError::Config(_) => exit_code::BAD_CONFIG,
                RunError::Store(_)
                | RunError::Keep(_)
                | RunError::Join(_)
                | RunError::Provider(_)
                | RunError::Bus(_)
                | RunError::Http { .. }
                | RunError::Io { .. } => exit_code::FAILURE,
            })
        }
    }
}

fn load(path: &Path) -> Result<Config, ConfigError> {
    let variables = std::env::vars_os();
    let readable =
        variables.filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    Config::load(path, readable)
}

fn start(path: &Path, exit_with_parent: Option<i32>) -> Result<(), RunError> {
    if let Some(parent) = exit_with_parent {
        signal::exit_with_parent(parent)
            .map_err(|source| RunError::Io { what: "asking to end with the parent", source })?;
    }
    let config = load(path)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|source| RunError::Io { what: "starting threads", source })?;
    let ended = runtime.block_on(run(config, path))?;
    drop(runtime);
    match ended {
        Ended::Told => Ok(()),
        Ended::Renewing => Err(RunError::Io { what: "starting anew", source: again() }),
    }
}

/// Becomes a new start of the same program, in the same process; comes back only when that fails.
fn again() -> std::io::Error {
    use std::os::unix::process::CommandExt as _;
    tracing::info!("starting anew with another certificate");
    match std::env::current_exe() {
        Ok(program) => std::process::Command::new(program).args(std::env::args_os().skip(1)).exec(),
        Err(error) => error,
    }
}

fn check(path: &Path) -> Result<(), RunError> {
    let config = load(path)?;
    let sky = sky::load(&Config::resolve(path, &config.sky.file))?;
    let missing: Vec<&str> = config
        .node
        .iter()
        .map(|node| &node.name)
        .chain([&config.controller.name])
        .filter(|name| sky.endpoints().iter().all(|endpoint| endpoint.node != **name))
        .map(types::NodeId::as_str)
        .collect();
    let (nodes, satellites) = (config.node.len(), sky.satellites());
    let mut out = std::io::stdout().lock();
    let mut line = format!("{}: good, {nodes} nodes, {satellites} satellites", path.display());
    if !missing.is_empty() {
        line = format!("{line}; without a place in the sky: {}", missing.join(", "));
    }
    // A closed pipe wants no more.
    writeln!(out, "{line}").ok();
    Ok(())
}
