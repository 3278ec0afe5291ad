//! How far a run is, on stderr: a bar on a terminal, a line now and then elsewhere. Never on stdout, which is for answers.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::cannot_write;
use crate::offline::moment::Moment;
use crate::offline::sink::{RunHead, SinkError, StepSink};
use crate::offline::summary::{RunSummary, StepSummary};

/// How often a line is printed where there is no terminal: rare enough for logs, often enough to see life.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// What the bar shows.
const BAR: &str = "{msg} {wide_bar} {human_pos}/{human_len} steps, {per_sec}, {eta} left";

/// Shows how far a run is.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    steps: u64,
    done: u64,
    began: Instant,
    told: Instant,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// Shows nothing before the run begins.
    pub fn new() -> Self {
        let now = Instant::now();
        Self { bar: None, steps: 0, done: 0, began: now, told: now }
    }
}

impl StepSink for Progress {
    fn begin(&mut self, run: &RunHead) -> Result<(), SinkError> {
        *self = Self { steps: run.steps, ..Self::new() };
        if io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(run.steps), ProgressDrawTarget::stderr());
            // The template is a constant: a test shows that it is a good one.
            bar.set_style(
                ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.set_message(run.scenario.clone());
            self.bar = Some(bar);
        }
        Ok(())
    }

    fn step(&mut self, _moment: &Moment, _summary: &StepSummary) -> Result<(), SinkError> {
        self.done += 1;
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
            return Ok(());
        }
        let now = Instant::now();
        if now.duration_since(self.told) < LINE_EVERY {
            return Ok(());
        }
        self.told = now;
        tell(&line(self.done, self.steps, now.duration_since(self.began)))
    }

    fn end(&mut self, _summary: &RunSummary) -> Result<(), SinkError> {
        match self.bar.take() {
            Some(bar) => bar.finish_and_clear(),
            // Silent about runs that were over before anybody could ask.
            None if self.told == self.began => {}
            None => tell(&line(self.done, self.steps, self.began.elapsed()))?,
        }
        Ok(())
    }
}

fn tell(line: &str) -> Result<(), SinkError> {
    writeln!(io::stderr().lock(), "{line}").map_err(|e| cannot_write(Path::new("stderr"), e))
}

/// How far the run is, at what rate, and how long the rest takes at that rate.
fn line(done: u64, steps: u64, elapsed: Duration) -> String {
    let elapsed_s = elapsed.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "steps of a run are far below 2^53")]
    let (done_f, steps_f) = (done as f64, steps as f64);
    let percent = if steps == 0 { 100.0 } else { 100.0 * done_f / steps_f };
    let rate = if 0.0 < elapsed_s { done_f / elapsed_s } else { 0.0 };
    let left = if 0.0 < rate && done < steps {
        format!(", {:.0} s left", (steps_f - done_f) / rate)
    } else {
        String::new()
    };
    format!("starbelt-sim: step {done} of {steps} ({percent:.0} %), {rate:.1} steps/s{left}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_rate_and_rest() {
        let after = |done, steps, s| line(done, steps, Duration::from_secs(s));
        assert_eq!(
            after(40, 100, 20),
            "starbelt-sim: step 40 of 100 (40 %), 2.0 steps/s, 30 s left"
        );
        assert_eq!(after(100, 100, 50), "starbelt-sim: step 100 of 100 (100 %), 2.0 steps/s");
        assert_eq!(after(0, 0, 0), "starbelt-sim: step 0 of 0 (100 %), 0.0 steps/s");
    }

    #[test]
    fn the_bar_can_be_drawn() {
        assert!(ProgressStyle::with_template(BAR).is_ok());
    }
}
