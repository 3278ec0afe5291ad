//! `repro`: runs published experiments and prints our numbers beside the published ones.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::command::{self, print, say};
use crate::workspace::Workspace;

/// What can be asked for.
const USAGE: &str = "repro stardust [--tle FILE] [--sizes N,N,...] [--sim PROGRAM]";
/// Steps of which times are taken; the first one, which finds cold caches, does not count.
const STEPS: u32 = 11;
/// The paper's table of step times: satellites, mean of MST and of PST, ms (32 processors).
const STEP_MS: [(u32, &str, &str); 3] =
    [(250, "13.51", "15.86"), (3_023, "2056", "1505"), (20_646, "88331", "56711")];
/// Its table of 6,882 satellites under load: workflows a step, step and scheduling of MST, ms.
const LOAD_MS: [(u32, &str, &str); 3] =
    [(1, "10598", "30.8"), (10, "10716", "29.4"), (100, "42902", "757")];
/// Its table of 100 steps from start to end: satellites, seconds.
const END_TO_END_S: [(u32, &str); 6] =
    [(250, "3"), (1_000, "15"), (3_023, "162"), (6_882, "877"), (13_764, "2995"), (20_646, "6464")];

/// Runs `repro SYSTEM`.
///
/// # Errors
/// For another system, and when the simulator cannot be built or fails.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let Some(("stardust", options)) =
        args.split_first().map(|(first, rest)| (first.as_str(), rest))
    else {
        bail!("usage: cargo xtask {USAGE}");
    };
    let asked = Asked::of(options)?;
    let program = match &asked.program {
        Some(program) => program.clone(),
        None => build(workspace)?,
    };
    let folder = workspace.target.join("repro");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let sim = Simulator { workspace, asked: &asked, program, folder };
    let mut text = sim.head();
    sim.step_times(&mut text)?;
    sim.load(&mut text)?;
    sim.end_to_end(&mut text)?;
    print(&text)
}

/// The options.
#[derive(Debug, Default)]
struct Asked {
    tle: Option<PathBuf>,
    sizes: Option<Vec<u32>>,
    program: Option<PathBuf>,
}

impl Asked {
    fn of(options: &[String]) -> Result<Self> {
        let mut asked = Self::default();
        for pair in options.chunks(2) {
            let [option, value] = pair else { bail!("usage: cargo xtask {USAGE}") };
            match option.as_str() {
                "--tle" => asked.tle = Some(absolute(value)?),
                "--sim" => asked.program = Some(absolute(value)?),
                "--sizes" => {
                    let sizes = value.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>();
                    asked.sizes = Some(sizes.with_context(|| {
                        format!("--sizes {value}: must be numbers with commas between them")
                    })?);
                }
                other => bail!("{other:?} is no option; usage: cargo xtask {USAGE}"),
            }
        }
        Ok(asked)
    }

    fn wants(&self, size: u32) -> bool {
        self.sizes.as_ref().is_none_or(|sizes| sizes.contains(&size))
    }
}

fn absolute(file: &str) -> Result<PathBuf> {
    fs::canonicalize(file).with_context(|| format!("{file}: is not there"))
}

fn build(workspace: &Workspace) -> Result<PathBuf> {
    say("building starbelt-sim in release; the first time takes some 5 minutes");
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--quiet", "--package", "sim-bridge"]);
    command::run(cargo.args(["--bin", "starbelt-sim"]))?;
    Ok(workspace.target.join("release/starbelt-sim"))
}

/// The simulator, and where its results go.
struct Simulator<'a> {
    workspace: &'a Workspace,
    asked: &'a Asked,
    program: PathBuf,
    folder: PathBuf,
}

impl Simulator<'_> {
    fn head(&self) -> String {
        let source = match &self.asked.tle {
            Some(file) => file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            None => "a Walker shell of 72 planes and 22 slots".to_owned(),
        };
        format!(
            "Stardust's experiments; satellites: {source}, cut or duplicated (epochs 300 s apart); 85 cities; model sgp4.\n\
             Published: on 32 processors, another model of motion and a wrong line of sight: compare orders of magnitude only.\n"
        )
    }

    /// Runs a scenario; its summary, and the seconds that the whole process took.
    fn run(&self, scenario: &Path, size: u32, arguments: &[&str]) -> Result<(Value, f64)> {
        let json = self.folder.join("run.json");
        let mut program = Command::new(&self.program);
        program.arg("run").arg(scenario).arg("--satellites").arg(size.to_string());
        program.arg("--ground").arg(self.workspace.path("configs/ground-stations/cities-85.csv"));
        program.args(arguments).arg("--json").arg(&json);
        if let Some(file) = &self.asked.tle {
            program.arg("--tle").arg(file);
        }
        let begun = Instant::now();
        command::output(&mut program)?;
        let seconds = begun.elapsed().as_secs_f64();
        let text = fs::read_to_string(&json).context("the simulator wrote no summary")?;
        Ok((serde_json::from_str(&text).context("the summary is no JSON")?, seconds))
    }

    fn step_times(&self, text: &mut String) -> Result<()> {
        let scenario = self.workspace.path("configs/scenarios/stardust/step-time.toml");
        let steps = STEPS.to_string();
        title(
            text,
            "mean step, ms",
            ["satellites", "mst_smart_loop", "paper", "pst_smart_loop", "paper"],
        )?;
        for (size, mst, pst) in STEP_MS.into_iter().filter(|row| self.asked.wants(row.0)) {
            say(&format!("steps of {size} satellites"));
            let ours = |links: &str| -> Result<String> {
                let arguments = ["--steps", &steps, "--links", links];
                let (summary, _) = self.run(&scenario, size, &arguments)?;
                mean(&summary, step_ms)
            };
            let cells = [&ours("mst_smart_loop")?, mst, &ours("pst_smart_loop")?, pst];
            row(text, size, cells)?;
        }
        Ok(())
    }

    fn load(&self, text: &mut String) -> Result<()> {
        const SIZE: u32 = 6_882;
        if !self.asked.wants(SIZE) {
            return Ok(());
        }
        let shipped = self.workspace.path("configs/scenarios/stardust/flood-workflow.toml");
        let shipped =
            fs::read_to_string(shipped).context("the scenario is part of the repository")?;
        title(
            text,
            "6,882 satellites under load, ms",
            ["workflows", "step", "paper", "scheduling", "paper"],
        )?;
        for (workflows, step, scheduling) in LOAD_MS {
            say(&format!("{workflows} workflows a step"));
            let scenario = self.folder.join("load.toml");
            let loaded = shipped.replace("instances = 1\n", &format!("instances = {workflows}\n"));
            fs::write(&scenario, loaded).context("the scenario cannot be written")?;
            let arguments = ["--steps", &STEPS.to_string()];
            let (summary, _) = self.run(&scenario, SIZE, &arguments)?;
            let placing = |step: &Value| step["workload"]["ms"].as_f64();
            let (ours, placed) = (mean(&summary, step_ms)?, mean(&summary, placing)?);
            row(text, workflows, [&ours, step, &placed, scheduling])?;
        }
        Ok(())
    }

    fn end_to_end(&self, text: &mut String) -> Result<()> {
        let scenario = self.workspace.path("configs/scenarios/stardust/flood-workflow.toml");
        title(
            text,
            "100 steps with a workflow, start to end, s",
            ["satellites", "ours", "paper", "", ""],
        )?;
        for (size, paper) in END_TO_END_S.into_iter().filter(|row| self.asked.wants(row.0)) {
            say(&format!("100 steps of {size} satellites"));
            let (_, seconds) = self.run(&scenario, size, &["--steps", "100"])?;
            row(text, size, [&format!("{seconds:.2}"), paper, "", ""])?;
        }
        Ok(())
    }
}

/// Positions, links, ground links, graph and routes of a step.
fn step_ms(step: &Value) -> Option<f64> {
    let parts = ["positions", "links", "ground_links", "routing"];
    parts.iter().map(|part| step["ms"][part].as_f64()).sum()
}

/// The mean over all steps but the first.
fn mean(summary: &Value, of: impl Fn(&Value) -> Option<f64>) -> Result<String> {
    let steps = summary["steps"].as_array().context("the summary has no steps")?;
    let values: Option<Vec<f64>> = steps.iter().skip(1).map(of).collect();
    let values = values.filter(|values| !values.is_empty()).context("the steps have no times")?;
    let count = u32::try_from(values.len()).context("the summary has too many steps")?;
    Ok(format!("{:.2}", values.iter().sum::<f64>() / f64::from(count)))
}

fn title(text: &mut String, title: &str, columns: [&str; 5]) -> Result<()> {
    let [first, a, b, c, d] = columns;
    let line = format!("{first:>10}  {a:>14}  {b:>8}  {c:>14}  {d:>8}");
    Ok(writeln!(text, "\n{title}\n{}", line.trim_end())?)
}

fn row(text: &mut String, first: u32, cells: [&str; 4]) -> Result<()> {
    let [a, b, c, d] = cells;
    let line = format!("{first:>10}  {a:>14}  {b:>8}  {c:>14}  {d:>8}");
    Ok(writeln!(text, "{}", line.trim_end())?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_step_does_not_count() {
        let step = |ms: f64| json!({"ms": {"positions": ms, "links": 1.0, "ground_links": 0.5, "routing": 0.25}});
        let summary = json!({"steps": [step(100.0), step(1.0), step(2.0)]});
        assert_eq!(mean(&summary, step_ms).unwrap(), "3.25");
        assert!(mean(&json!({"steps": [step(1.0)]}), step_ms).is_err());
    }

    #[test]
    fn options_are_read_and_others_refused() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let asked = Asked::of(&words("--sizes 250,6882")).unwrap();
        assert!(asked.wants(250) && !asked.wants(20_646));
        for odd in ["--sizes x", "--tle /no/such/file", "--what 1", "--sizes"] {
            assert!(Asked::of(&words(odd)).is_err(), "{odd}");
        }
    }
}
