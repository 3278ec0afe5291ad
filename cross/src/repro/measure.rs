//! Runs `starbelt-sim` in a process of its own and takes its time, its peak memory and its summary.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::command::{reason, shown};

/// How often the system is asked for the peak memory of the process, which only grows.
const LOOK: Duration = Duration::from_millis(5);

/// What a run took.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measured {
    /// From the start of the process to its end, seconds.
    pub(super) wall_s: f64,
    /// The most memory that it held, bytes; `None` where the system does not tell.
    pub(super) peak_bytes: Option<u64>,
    /// Mean of a step with its scheduling, ms.
    pub(super) step_ms: f64,
    /// Mean of the scheduling at a step, ms; `None` without workflows.
    pub(super) scheduling_ms: Option<f64>,
    /// Satellites.
    pub(super) satellites: u64,
    /// Workflows that were placed and that were refused.
    pub(super) workflows: (u64, u64),
}

/// Runs the program, which writes its summary to `json`.
///
/// # Errors
/// When it cannot be started, fails, or its summary is none.
pub(super) fn measure(command: &mut Command, json: &Path) -> Result<Measured> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child =
        command.spawn().with_context(|| format!("cannot start `{}`", shown(command)))?;
    let peak = {
        let status = format!("/proc/{}/status", child.id());
        std::thread::spawn(move || peak_bytes(&status))
    };
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut said).context("its messages cannot be read")?;
    }
    let status = child.wait()?;
    let wall_s = begun.elapsed().as_secs_f64();
    if !status.success() {
        bail!("`{}` failed: {}", shown(command), reason(&said));
    }
    let text = fs::read(json).with_context(|| format!("{} cannot be read", json.display()))?;
    let summary: Value = serde_json::from_slice(&text)?;
    let measured =
        summed(&summary).with_context(|| format!("{} is no summary of a run", json.display()))?;
    Ok(Measured { wall_s, peak_bytes: peak.join().unwrap_or(None), ..measured })
}

/// Looks until the process is gone.
fn peak_bytes(status: &str) -> Option<u64> {
    let mut peak = None;
    while let Some(bytes) = fs::read_to_string(status).ok().as_deref().and_then(high_water_bytes) {
        peak = Some(bytes);
        std::thread::sleep(LOOK);
    }
    peak
}

fn high_water_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Means and sums over the steps of a summary.
fn summed(summary: &Value) -> Option<Measured> {
    let steps = summary.get("steps")?.as_array().filter(|steps| !steps.is_empty())?;
    let mut count = 0.0;
    let (mut all_ms, mut scheduling_ms, mut workflows) = (0.0, None, (0, 0));
    for step in steps {
        count += 1.0;
        for part in step.get("ms")?.as_object()?.values() {
            all_ms += part.as_f64()?;
        }
        if let Some(workload) = step.get("workload") {
            let ms = workload.get("ms")?.as_f64()?;
            all_ms += ms;
            *scheduling_ms.get_or_insert(0.0) += ms;
            workflows.0 += workload.get("deployed")?.as_u64()?;
            workflows.1 += workload.get("refused")?.as_u64()?;
        }
    }
    Some(Measured {
        wall_s: 0.0,
        peak_bytes: None,
        step_ms: all_ms / count,
        scheduling_ms: scheduling_ms.map(|ms: f64| ms / count),
        satellites: summary.get("satellites")?.as_u64()?,
        workflows,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_step_is_the_mean_of_its_parts_with_scheduling() {
        let ms = json!({"positions": 1.0, "links": 2.0, "ground_links": 0.5, "routing": 0.5});
        let workload = json!({"deployed": 3, "refused": 1, "ms": 2.0});
        let steps = json!([{"ms": ms, "workload": workload}, {"ms": ms, "workload": workload}]);
        let measured = summed(&json!({"satellites": 7, "steps": steps})).unwrap();
        assert!((measured.step_ms - 6.0).abs() < 1e-12, "{measured:?}");
        assert_eq!((measured.scheduling_ms, measured.workflows), (Some(2.0), (6, 2)));
        assert_eq!(summed(&json!({"satellites": 7, "steps": []})), None);
    }

    #[test]
    fn a_program_that_fails_is_told_with_its_reason() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'error: no sky' >&2; exit 3"]);
        let message = measure(&mut command, Path::new("x.json")).unwrap_err().to_string();
        assert!(message.ends_with("failed: error: no sky"), "{message}");
    }

    #[test]
    fn the_high_water_mark_is_read_from_the_systems_words() {
        assert_eq!(high_water_bytes("VmPeak:\t 9 kB\nVmHWM:\t  76284 kB\n"), Some(76_284 * 1024));
        assert_eq!(high_water_bytes("State:\tZ (zombie)\n"), None);
    }
}
