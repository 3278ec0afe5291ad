//! `starbelt-agent doctor`: what this machine has for functions, and what it lacks, line by line.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use agent::config::Config;
use agent::exec::inference::Models;
use agent::exec::processes;
use agent::sensor::place;

/// How long back ends are waited for: one that hangs is told of its probe after 30 s (`infer::probe`).
const PATIENCE: Duration = Duration::from_secs(40);

/// Prints what holds a runner, where the node is, and which back ends models and kernels have. Fails if there is no runner, or if what is
/// configured for inference cannot be used: what a kernel or a machine lacks is no fault of the configuration.
pub(crate) fn examine(config: &Config) -> ExitCode {
    let jail = match processes::jail(config) {
        Ok(Some(jail)) => Ok(jail.to_string()),
        Ok(None) => {
            Ok("functions run in the agent (functions.isolation = \"none\"): nothing holds what breaks out of them".to_owned())
        }
        Err(reason) => Err(reason),
    };
    let answers = [jail, Ok(place::words(config)), back_ends(config)];
    let is_well = answers.iter().all(Result::is_ok);
    let lines: Vec<_> =
        answers.into_iter().map(|answer| answer.unwrap_or_else(|why| why)).collect();
    match writeln!(std::io::stdout().lock(), "{}", lines.join("\n")) {
        Ok(()) if is_well => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
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
