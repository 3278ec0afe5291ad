//! `starbelt-agent doctor`: what this machine has for functions and sensors, and what it lacks, line by line.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use agent::config::Config;
use agent::exec::inference::Models;
use agent::exec::processes;
use agent::life;
use agent::sensor::finding::Finding;
use agent::sensor::tree::Tree;
use agent::sensor::{place, probe, record};
use serde_json::json;

/// How long back ends are waited for: one that hangs is told of its probe after 30 s (`infer::probe`).
const PATIENCE: Duration = Duration::from_secs(40);
/// The version of the JSON that is printed.
const SCHEMA: u32 = 1;

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// A line each.
    Table,
    /// One JSON document.
    Json,
}

/// What is examined.
#[derive(Debug, clap::Args)]
pub(crate) struct Asked {
    /// The configuration of the node; without one, only sensors are looked at.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Look for sensors below this directory, a recording, instead of on this machine.
    #[arg(long, value_name = "DIR")]
    pub(crate) sysfs_root: Option<PathBuf>,
    /// Write what the probes read into this new directory. It holds no serial numbers and no addresses.
    #[arg(long, value_name = "DIR")]
    pub(crate) record: Option<PathBuf>,
    /// How answers are printed.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// Prints what the configuration needs, if there is one, and what each probe finds. Fails if there is no runner, if what is configured for
/// inference cannot be used (what a kernel or a machine lacks is no fault of the configuration), or if sensors cannot be looked for.
pub(crate) fn examine(asked: &Asked, config: Option<&Config>) -> ExitCode {
    let checks = config.map(checks).unwrap_or_default();
    let root = asked.sysfs_root.as_deref().unwrap_or_else(|| Path::new("/"));
    let findings = match find(root, asked.record.as_deref()) {
        Ok(findings) => findings,
        Err(problem) => {
            say(&problem);
            return ExitCode::FAILURE;
        }
    };
    let text = match asked.output {
        Output::Table => table(&checks, &findings),
        Output::Json => document(&checks, root, &findings),
    };
    let is_well = checks.iter().all(Result::is_ok);
    match write!(std::io::stdout().lock(), "{text}") {
        Ok(()) if is_well => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// What all probes find below a root; recorded before, if that is asked for.
fn find(root: &Path, recording: Option<&Path>) -> Result<Vec<Finding>, String> {
    let tree = || {
        let tree = Tree::below(root);
        tree.map_err(|error| format!("sensors below {} cannot be read: {error}", root.display()))
    };
    if let Some(to) = recording {
        let recorded = record::record(tree()?, to).map_err(|error| error.to_string())?;
        let record::Recorded { files, errors } = recorded;
        say(&format!(
            "{}: {files} files, {errors} reads that failed; README.txt says what is in them",
            to.display()
        ));
    }
    let mut findings = probe::survey(&tree()?);
    let of_library = if root == Path::new("/") {
        probe::nvml::survey(&probe::nvml::libraries())
    } else {
        probe::nvml::not_asked()
    };
    findings.extend(of_library);
    Ok(findings)
}

#[expect(clippy::print_stderr, reason = "standard output is for data only")]
fn say(text: &str) {
    eprintln!("{text}");
}

fn table(checks: &[Result<String, String>], findings: &[Finding]) -> String {
    let checks = checks.iter().map(|check| match check {
        Ok(text) | Err(text) => text.clone(),
    });
    checks.chain(findings.iter().map(Finding::to_line)).map(|line| line + "\n").collect()
}

fn document(checks: &[Result<String, String>], root: &Path, findings: &[Finding]) -> String {
    let checks: Vec<_> = checks
        .iter()
        .map(|check| match check {
            Ok(text) => json!({ "ok": true, "text": text }),
            Err(text) => json!({ "ok": false, "text": text }),
        })
        .collect();
    let probes: Vec<_> = findings.iter().map(Finding::to_json).collect();
    let root = root.display().to_string();
    format!("{:#}\n", json!({ "schema": SCHEMA, "checks": checks, "root": root, "probes": probes }))
}

/// What holds a runner, where the node is, and which back ends models and kernels have.
fn checks(config: &Config) -> Vec<Result<String, String>> {
    let jail = match processes::jail(config) {
        Ok(Some(jail)) => Ok(jail.to_string()),
        Ok(None) => {
            Ok("functions run in the agent (functions.isolation = \"none\"): nothing holds what breaks out of them".to_owned())
        }
        Err(reason) => Err(reason),
    };
    let life = life::book::words(&config.store.dir, &config.start.limits);
    vec![jail, Ok(life), Ok(place::words(config)), back_ends(config)]
}

/// Each back end after its probe; native programs are started for it, and end with it.
fn back_ends(config: &Config) -> Result<String, String> {
    let (tell, told) = mpsc::channel();
    // Nobody listens any more once all are known.
    let news = move |news| tell.send(news).unwrap_or_default();
    let models = Models::start(&config.inference, news).map_err(|error| error.to_string())?;
    let until = Instant::now() + PATIENCE;
    while models.is_probing() {
        if told.recv_timeout(until.saturating_duration_since(Instant::now())).is_err() {
            break;
        }
    }
    let standings = models.standings().into_iter();
    let lines = standings.map(|(name, standing)| format!("{name}: {standing}"));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}
