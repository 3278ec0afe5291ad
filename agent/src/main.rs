//! `starbelt-agent`: runs a node, or checks its configuration.

mod doctor;
mod join;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use agent::config::Config;
use agent::config::early::Early;
use agent::exec::processes::{COMPILE_VERB, NATIVE_VERB, RUN_VERB};
use agent::life::begin::{Begun, begin, look_with_kept};
use agent::shell::{self, Ended, signal};
use agent::{local, selftest};
use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Exit code of a bad configuration (sysexits.h, `EX_CONFIG`).
const BAD_CONFIG: u8 = 78;
/// Threads that drive sockets and timers.
const REACTOR_THREADS: usize = 2;
/// Threads for disk, guests and congested sends; they come and go.
const BLOCKING_THREADS_MAX: usize = 16;
/// How long such a thread waits for more work: short, so that an idle agent has few threads.
const BLOCKING_KEEP: Duration = Duration::from_millis(20);
/// How long what still blocks at the end is waited for.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// The agent of a Starbelt node: senses, reports, executes functions, keeps state.
#[derive(Debug, Parser)]
#[command(name = "starbelt-agent", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs the node until SIGTERM or SIGINT.
    Run {
        /// Its configuration.
        #[arg(long)]
        config: PathBuf,
        /// End when the process that started this one ends; its id.
        #[arg(long, value_name = "PID")]
        exit_with_parent: Option<i32>,
    },
    /// Joins the fleet: makes a key here and gets a certificate for it.
    Join(join::Join),
    /// Works on configurations.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Functions on this machine, without a node.
    #[command(subcommand)]
    Fn(FnVerb),
    /// Compiles the component that the agent hands over; for the agent alone.
    #[command(name = COMPILE_VERB, hide = true)]
    CompileModule,
    /// Runs functions that the agent hands over; for the agent alone.
    #[command(name = RUN_VERB, hide = true)]
    RunFunctions,
    /// Gives up privileges and becomes a native program; for the agent alone.
    #[command(name = NATIVE_VERB, hide = true)]
    BecomeProgram {
        /// The id of the agent, the executable, its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Tries this program on this machine, part by part: functions, store, probes, bus. Needs no configuration and no network.
    Selftest(selftest::SelfTest),
    /// Says which sensors this machine has and why it lacks others; with a configuration also what holds the functions that run here, whether
    /// they learn where it is, and what runs models and kernels.
    Doctor(doctor::Asked),
}

#[derive(Debug, Subcommand)]
enum FnVerb {
    /// Makes one call of a function: stdin is the body, stdout the answer; `starbelt fn run` does so with the limits of its manifest.
    Run(Box<local::LocalRun>),
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Says what is wrong with a configuration, if anything.
    Check {
        /// The configuration.
        #[arg(long)]
        config: PathBuf,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let verb = Arguments::parse().verb;
    let (path, runs) = match &verb {
        Verb::Run { config, .. } => (config, true),
        Verb::Config(ConfigVerb::Check { config }) => (config, false),
        Verb::Join(asked) => (&asked.config, false),
        Verb::Doctor(asked) => match &asked.config {
            Some(config) => (config, false),
            None => return Ok(doctor::examine(asked, None)),
        },
        Verb::Fn(FnVerb::Run(asked)) => return Ok(local::run(asked)),
        Verb::Selftest(asked) => return Ok(selftest::run(asked)),
        Verb::CompileModule => return Ok(runtime::compile_child()),
        Verb::RunFunctions => return Ok(runtime::runner()),
        Verb::BecomeProgram { arguments } => {
            return Err(infer::native::enter(arguments.iter().cloned()).into());
        }
    };
    start_log();
    let early = Early::read(path, std::env::vars());
    if let (Verb::Config(_), Some(early)) = (&verb, &early) {
        look_with_kept(early);
    }
    if let Verb::Run { exit_with_parent: Some(parent), .. } = verb
        && !signal::end_with_parent(parent)?
    {
        return Ok(ExitCode::SUCCESS);
    }
    // Before anything that may end badly.
    let begun = early.filter(|_| runs).map(|early| begin(&early));
    let config = match Config::load(path, std::env::vars()) {
        Ok(config) => config,
        Err(error) => {
            complain(&error);
            if let Some(begun) = &begun {
                begun.take_back();
                begun.refused(&error.to_string());
            }
            return Ok(ExitCode::from(BAD_CONFIG));
        }
    };
    if let Verb::Doctor(asked) = &verb {
        return Ok(doctor::examine(asked, Some(&config)));
    }
    if let Verb::Join(asked) = &verb {
        return Ok(join::join(&config, asked));
    }
    if !runs {
        return Ok(ExitCode::SUCCESS);
    }
    // Where the whole can be read, what is needed early can be read, too.
    let begun = begun.context("the configuration changed while it was read")?;
    run(config, &begun)
}

/// Runs the node until it is told to end, or begins anew.
fn run(config: Config, begun: &Begun) -> anyhow::Result<ExitCode> {
    let reactor = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(REACTOR_THREADS)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_keep_alive(BLOCKING_KEEP)
        // Reserved, not used: guests that call guests run on these threads.
        .thread_stack_size(runtime::STACK_BYTES)
        .enable_all()
        .build()?;
    let ended = match reactor.block_on(shell::run(config, begun.life.clone())) {
        Ok(ended) => ended,
        // As with a configuration that is wrong, starting again is of no use.
        Err(shell::StartError::Membership(error)) => {
            complain(&error);
            begun.take_back();
            begun.refused(&error.to_string());
            return Ok(ExitCode::from(BAD_CONFIG));
        }
        Err(error) => return Err(error.into()),
    };
    reactor.shutdown_timeout(END_PATIENCE);
    match ended {
        Ended::Told => Ok(ExitCode::SUCCESS),
        Ended::Anew => Err(begun.life.anew().into()),
    }
}

/// What is logged unless `STARBELT_LOG` says otherwise.
fn log_default() -> Targets {
    Targets::new().with_default(LevelFilter::INFO).with_target("zenoh", LevelFilter::WARN)
}

/// Logs go to stderr; `STARBELT_LOG` filters them, a list of levels and of targets with levels.
fn start_log() {
    let said = std::env::var("STARBELT_LOG").ok().and_then(|said| said.parse::<Targets>().ok());
    let filter = said.unwrap_or_else(log_default);
    let log = std::io::stderr;
    let lines = tracing_subscriber::fmt::layer().with_ansi(log().is_terminal()).with_writer(log);
    tracing_subscriber::registry().with(lines).with(filter).init();
}

#[expect(clippy::print_stderr, reason = "a bad configuration is told plainly, one problem a line")]
fn complain(error: &dyn std::fmt::Display) {
    eprintln!("{error}");
}
