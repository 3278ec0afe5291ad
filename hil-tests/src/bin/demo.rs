//! The demo: Starbelt's main job on one machine. Started by `cargo xtask demo`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::Parser;
use hil_tests::demo::{self, DemoError, Stop};
use hil_tests::fleet::FleetError;
use hil_tests::options::Options;

/// Bad configuration (here: a constellation that is malformed or not there).
const EXIT_CONFIG: u8 = 78;

/// Ended by a signal, as shells say it: 128 + SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(code) => code,
        Err(error) => {
            eprint_line(&format!("demo: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let stop = stop_on_signals()?;
    let dir = options.dir.clone().map_or_else(bed_dir, Ok)?;
    // The bed's files name each other, each from where it lies.
    let dir = std::path::absolute(dir).context("finding the folder of the run")?;
    match demo::run(options, &dir, &stop) {
        Ok(None) => Ok(ExitCode::SUCCESS),
        Ok(Some(report)) => {
            let shortcomings = demo::shortcomings(&report, hil_tests::fleet::NODES);
            for shortcoming in &shortcomings {
                eprint_line(&format!("demo: {shortcoming}"));
            }
            Ok(if shortcomings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(DemoError::Fleet(error)) => {
            eprint_line(&format!("demo: {error}"));
            Ok(match error {
                FleetError::Malformed { .. } | FleetError::File(_) | FleetError::Path { .. } => {
                    ExitCode::from(EXIT_CONFIG)
                }
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// `<target directory>/demo`, two folders above this program.
fn bed_dir() -> anyhow::Result<PathBuf> {
    let me = std::env::current_exe().context("finding this program")?;
    let target = me.parent().and_then(std::path::Path::parent);
    Ok(target.context("this program lies in no target directory")?.join("demo"))
}

/// Ctrl-C and SIGTERM end the demo cleanly, the second of them at once (and the bed's processes with it).
fn stop_on_signals() -> anyhow::Result<Stop> {
    let stop: Stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("preparing to hear signals")?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let terminate =
                tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
            let Ok(mut terminate) = terminate else { return };
            loop {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                }
                if flag.swap(true, Ordering::Relaxed) {
                    end_at_once();
                }
            }
        });
    });
    Ok(stop)
}

#[expect(clippy::exit, reason = "the user asked twice; the kernel ends the children")]
fn end_at_once() -> ! {
    std::process::exit(EXIT_INTERRUPTED)
}

fn eprint_line(line: &str) {
    use std::io::Write;
    // Nothing is left to tell it to when stderr is closed.
    writeln!(std::io::stderr().lock(), "{line}").ok();
}
