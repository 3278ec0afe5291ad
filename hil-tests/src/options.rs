//! What a user can ask of the demo.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Sky seconds per wall second unless told otherwise: a hand-over every minute or two.
pub const SPEED_DEFAULT: f64 = 30.0;
/// Elevation mask unless told otherwise, degrees.
pub const MIN_ELEVATION_DEFAULT_DEG: f64 = 25.0;
/// How long a headless run lasts unless told otherwise.
pub const HEADLESS_DEFAULT: Duration = Duration::from_secs(120);

/// A constellation on this machine: a controller, a replayed sky and eight agents run a disaster-response
/// workflow while satellites rise and set.
#[derive(Clone, Debug, Parser)]
#[command(name = "demo", version, max_term_width = 100)]
pub struct Options {
    /// Element sets (TLE, or OMM in any notation) instead of the Walker shell 72×22 at 550 km, 53°.
    #[arg(long, value_name = "FILE")]
    pub constellation: Option<PathBuf>,
    /// Ends after so many seconds, counted from the last node's first report [headless: 120, else: until Ctrl-C].
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// Prints plain lines instead of the live table, ends by itself and injects faults.
    #[arg(long)]
    pub headless: bool,
    /// Where the report goes [default: demo/report.json in the target directory].
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Sky seconds per wall second, 1 to 120.
    #[arg(long, value_name = "K", default_value_t = SPEED_DEFAULT, value_parser = speed)]
    pub speed: f64,
    /// Folder of the run's files, made anew [default: demo in the target directory].
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Chooses the start in the sky, the images and the victims of faults.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Port of the controller's HTTP API on 127.0.0.1.
    #[arg(long, value_name = "P", default_value_t = 8080)]
    pub port: u16,
    /// Kills an agent, closes all links of a node, later lets all links of one swallow everything
    /// (always on when headless).
    #[arg(long)]
    pub faults: bool,
    /// Plans without the future, for comparison: moves only after a limit is broken.
    #[arg(long)]
    pub no_prediction: bool,
    /// Satellites below this elevation are not seen from the ground, degrees.
    #[arg(long, value_name = "DEG", default_value_t = MIN_ELEVATION_DEFAULT_DEG, value_parser = elevation)]
    pub min_elevation: f64,
}

impl Options {
    /// How long to run, if there is an end.
    pub fn duration(&self) -> Option<Duration> {
        match self.seconds {
            Some(seconds) => Some(Duration::from_secs(seconds)),
            None if self.headless => Some(HEADLESS_DEFAULT),
            None => None,
        }
    }

    /// Whether faults are injected.
    pub const fn injects_faults(&self) -> bool {
        self.faults || self.headless
    }
}

fn speed(text: &str) -> Result<f64, String> {
    within(text, 1.0, 120.0, "a speed of 1 to 120 sky seconds per second")
}

fn elevation(text: &str) -> Result<f64, String> {
    within(text, 0.0, 89.0, "an elevation of 0 to 89 degrees")
}

fn within(text: &str, low: f64, high: f64, what: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if low <= value && value <= high => Ok(value),
        Ok(_) | Err(_) => Err(format!("{text:?} is not {what}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_headless_run_ends_and_injects_faults_by_itself() {
        let options = Options::parse_from(["demo", "--headless"]);
        assert_eq!(options.duration(), Some(HEADLESS_DEFAULT));
        assert!(options.injects_faults());
        let options = Options::parse_from(["demo"]);
        assert_eq!(options.duration(), None);
        assert!(!options.injects_faults());
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_rule() {
        for (args, rule) in [
            (["demo", "--speed", "0"], "1 to 120"),
            (["demo", "--speed", "fast"], "1 to 120"),
            (["demo", "--min-elevation", "90"], "0 to 89"),
        ] {
            let message = Options::try_parse_from(args).unwrap_err().to_string();
            assert!(message.contains(rule), "{message}");
        }
    }
}
