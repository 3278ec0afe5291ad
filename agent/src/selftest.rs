//! `starbelt-agent selftest`: whether this very program works on this machine, part by part, without a fleet, a configuration or a network.
//!
//! It is what a package is tried with before it is trusted: on a board, and in emulation of one.

mod bus;
mod certificates;
mod function;
mod probes;
mod store;

use std::fs::DirBuilder;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;

use crate::config::Config;
use crate::local::told;

/// The component that the self-test calls.
pub const COMPONENT: &[u8] = function::COMPONENT;

/// How the self-test is done.
#[derive(Debug, Args)]
pub struct SelfTest {
    /// Where the store is tried; a folder of its own is made there and removed.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
}

/// How a part does.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// It works; what was seen.
    Works(String),
    /// It cannot be tried here; why.
    Skipped(String),
    /// It does not work; why.
    Fails(String),
}

/// A part, and what tries it in the folder of this test.
struct Part {
    name: &'static str,
    test: fn(&Scratch) -> Outcome,
}

/// All parts; what others need comes first.
const PARTS: [Part; 6] = [
    Part { name: "function", test: function::in_this_process },
    Part { name: "runner", test: function::in_a_runner },
    Part { name: "store", test: store::test },
    Part { name: "probes", test: probes::test },
    Part { name: "bus", test: bus::test },
    Part { name: "bus, mutual TLS", test: bus::with_certificates },
];

/// Tries all parts, prints a line for each, and fails if one does.
pub fn run(asked: &SelfTest) -> ExitCode {
    let scratch = match Scratch::new(&asked.dir) {
        Ok(scratch) => scratch,
        Err(error) => {
            told::line(&format!("starbelt-agent: {}: {error}", asked.dir.display()));
            return ExitCode::FAILURE;
        }
    };
    let (version, arch) = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let mut stdout = std::io::stdout().lock();
    let mut is_told = writeln!(stdout, "starbelt-agent {version} on {arch}, self-test").is_ok();
    let mut counts = [0_u32; 3];
    for part in &PARTS {
        let start = Instant::now();
        let outcome = (part.test)(&scratch);
        let ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let (at, word, text) = match &outcome {
            Outcome::Works(text) => (0, "works", text),
            Outcome::Skipped(text) => (1, "skipped", text),
            Outcome::Fails(text) => (2, "FAILS", text),
        };
        counts[at] += 1;
        let (name, took) = (part.name, told::time(ns));
        // Also while the next part runs: it may be the one that hangs.
        is_told &= writeln!(stdout, "{name:<16} {word:<8} {took:>9}  {text}").is_ok();
        is_told &= stdout.flush().is_ok();
    }
    let [works, skipped, fails] = counts;
    is_told &= writeln!(stdout, "{works} work, {skipped} skipped, {fails} fail").is_ok();
    match is_told && fails == 0 {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// A folder of this test alone.
struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    fn new(parent: &Path) -> std::io::Result<Self> {
        let dir = parent.join(format!("starbelt-selftest-{}", std::process::id()));
        // For this user only; one that is there already is not taken, whoever made it.
        DirBuilder::new().mode(0o700).create(&dir)?;
        Ok(Self { dir })
    }

    /// The configuration of a node that listens and dials on this machine only.
    fn config(&self, name: &str, bus: (&str, &str)) -> Result<Config, String> {
        let (listen, connect) = bus;
        let text = format!(
            "version = 1\n[node]\nname = \"{name}\"\nkind = \"edge\"\nfleet = \"selftest\"\n\
             [capacity]\nmilli_cpu = 1000\nmemory_mib = 256\n\
             [bus]\ninsecure = true\nlisten = [{listen}]\nconnect = [{connect}]\n\
             [store]\ndir = \"{name}\"\n\
             [battery]\nbackend = \"none\"\nenergy = \"grid\"\n[thermal]\nbackend = \"none\"\n"
        );
        let file = self.dir.join(format!("{name}.toml"));
        std::fs::write(&file, text).map_err(|error| error.to_string())?;
        Config::load(&file, []).map_err(|error| error.to_string())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            told::line(&format!("{} is left: {error}", self.dir.display()));
        }
    }
}

impl From<Result<String, String>> for Outcome {
    fn from(result: Result<String, String>) -> Self {
        match result {
            Ok(text) => Self::Works(text),
            Err(text) => Self::Fails(text),
        }
    }
}
