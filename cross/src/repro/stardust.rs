//! The three experiments of the Stardust paper: how long a step takes, how load changes it, how long all of it takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::args::Args;
use super::measure::{Measured, measure};
use super::published::{LOAD_SIZE, PROTOCOLS, end_to_end_s, step_ms};
use super::table::report;
use crate::command::{self, print, say};
use crate::workspace::Workspace;

/// A row: what is run, and what it took.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) case: Case,
    pub(super) ours: Measured,
}

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// The scenario, by the name of its file.
    pub(super) scenario: &'static str,
    /// Satellites.
    pub(super) satellites: u64,
    /// The protocol of links between satellites.
    pub(super) protocol: &'static str,
    /// Workflows at each step.
    pub(super) workflows: u64,
}

impl Case {
    /// The paper's mean step and scheduling in ms.
    pub(super) fn paper_step_ms(&self) -> (Option<f64>, Option<f64>) {
        step_ms(self.satellites, self.protocol, self.workflows)
    }

    /// The paper's seconds from beginning to end; only for the experiment that is about them.
    pub(super) fn paper_end_to_end_s(&self) -> Option<f64> {
        if self.is_end_to_end() { end_to_end_s(self.satellites) } else { None }
    }

    /// Whether it is about the whole run.
    pub(super) fn is_end_to_end(&self) -> bool {
        self.scenario == "end-to-end"
    }
}

/// Runs all of them, prints both numbers.
///
/// # Errors
/// When the program does not build, run or answer, or the rows cannot be written.
pub(super) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let program = program(workspace, args.sim.as_deref())?;
    let folder = workspace.target.join("repro").join("stardust");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let cases = cases(&args.sizes);
    let mut rows = Vec::with_capacity(cases.len());
    for (number, case) in (1_usize..).zip(&cases) {
        say(&format!(
            "{number} of {}: {}, {} satellites, {}, workflows a step: {}",
            cases.len(),
            case.scenario,
            case.satellites,
            case.protocol,
            case.workflows
        ));
        let json = folder.join("run.json");
        let ours = measure(&mut typed(workspace, args, (&program, case, &json)), &json)?;
        rows.push(Row { case: *case, ours });
    }
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&as_json(args, &rows))? + "\n";
        fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    print(&report(args, &rows))
}

/// The program to measure, built if none is named.
pub(super) fn program(workspace: &Workspace, named: Option<&Path>) -> Result<PathBuf> {
    if let Some(program) = named {
        return Ok(program.to_owned());
    }
    say("building starbelt-sim in the release profile; the first time this takes many minutes");
    command::run(workspace.build_programs(&["starbelt-sim"]).arg("--release"))?;
    let program = workspace.target.join("release").join("starbelt-sim");
    Ok(program.with_extension(std::env::consts::EXE_EXTENSION))
}

/// The experiments at these sizes, small ones first.
fn cases(sizes: &[u64]) -> Vec<Case> {
    let mut cases = Vec::new();
    for &satellites in sizes {
        for (scenario, workflows) in [("step-time", 0), ("load", 1), ("load", 10), ("load", 100)] {
            // More than one workflow a step is measured at one size only.
            if 1 < workflows && satellites != LOAD_SIZE {
                continue;
            }
            let case = |protocol| Case { scenario, satellites, protocol, workflows };
            cases.extend(PROTOCOLS.map(case));
        }
        let protocol = "pst_smart_loop";
        cases.push(Case { scenario: "end-to-end", satellites, protocol, workflows: 0 });
    }
    cases
}

/// The command line of a case.
fn typed(
    workspace: &Workspace,
    args: &Args,
    (program, case, json): (&Path, &Case, &Path),
) -> Command {
    let scenario = workspace.path("configs/scenarios/stardust").join(case.scenario);
    let mut command = Command::new(program);
    command.arg("run").arg(scenario.with_extension("toml")).args(&args.source);
    command.args(["--satellites", &case.satellites.to_string(), "--links", case.protocol]);
    command.args(["--steps", &args.steps.to_string(), "--model", &args.model]);
    if 0 < case.workflows {
        command.args(["--instances", &case.workflows.to_string()]);
    }
    command.arg("--json").arg(json);
    command
}

fn as_json(args: &Args, rows: &[Row]) -> Value {
    let row = |Row { case, ours }: &Row| {
        let (step, scheduling) = case.paper_step_ms();
        let paper_step = if case.is_end_to_end() { None } else { step };
        json!({
            "experiment": case.scenario,
            "satellites": ours.satellites,
            "protocol": case.protocol,
            "workflows_per_step": case.workflows,
            "step_ms": ours.step_ms,
            "paper_step_ms": paper_step,
            "scheduling_ms": ours.scheduling_ms,
            "paper_scheduling_ms": scheduling,
            "end_to_end_s": ours.wall_s,
            "paper_end_to_end_s": case.paper_end_to_end_s(),
            "peak_bytes": ours.peak_bytes,
            "workflows_placed": ours.workflows.0,
            "workflows_refused": ours.workflows.1,
        })
    };
    let rows: Vec<Value> = rows.iter().map(row).collect();
    json!({"model": args.model, "steps": args.steps, "source": args.source, "threads": threads(), "rows": rows})
}

/// Threads of each run: as many as there are cores.
pub(super) fn threads() -> Option<usize> {
    std::thread::available_parallelism().ok().map(usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_size_has_steps_one_workflow_and_the_whole_and_one_size_has_all_loads() {
        assert_eq!(cases(&[250]).len(), 5);
        assert_eq!(cases(&[LOAD_SIZE]).len(), 9);
        let told = |case: &Case| case.paper_step_ms().0.is_some() || case.is_end_to_end();
        let all = cases(&super::super::published::SIZES);
        // All 17 steps that the paper tells and its eight whole runs.
        assert_eq!(all.iter().filter(|case| told(case)).count(), 17 + 8);
        assert_eq!(all.len(), 8 * 5 + 4);
    }
}
