//! HyperDrive: its published placements repeated where its files are, and its scenario corrected, on which all policies are compared.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::USAGE;
use super::published::{HYPERDRIVE, HyperDriveRow};
use super::stardust::program;
use super::table::aligned;
use crate::command::{self, print, say};
use crate::workspace::Workspace;

/// Policies on the published scenario: the published ones that can be repeated, and ours.
const POLICIES: [&str; 4] = ["hyperdrive", "first-fit", "round-robin", "lookahead"];

/// What a reader must know before comparing.
const CAVEATS: &str = "\
What is not comparable
- hyperdrive-v1 is the published network: every link at 0.587 of the speed of light, some through the Earth, no cables, decisions at set
  minutes, nothing given back. Its random policy has no seed and cannot be repeated.
- lookahead knows the satellite with the data when a workflow is submitted, and hands running tasks over; a hand-over costs nothing there.
- published times of decisions (163.9 to 707.0 ms) are of another machine, in Python.
- hyperdrive-v2 is ours: published shell, counts of nodes, capacities and chain of tasks; demand, batteries and boards are models whose
  values are to be replaced by measured ones. Its absolute numbers can be compared with nothing published.
";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Args {
    fixtures: Option<PathBuf>,
    sim: Option<PathBuf>,
    /// Handed on to the comparison as they are.
    compared: Vec<String>,
}

impl Args {
    /// Reads the command line.
    ///
    /// # Errors
    /// The word that makes no sense, and what would.
    pub(super) fn read(words: &[String]) -> Result<Self> {
        let mut args = Self { fixtures: None, sim: None, compared: Vec::new() };
        let mut words = words.iter();
        while let Some(flag) = words.next() {
            let known =
                ["--fixtures", "--sim", "--size", "--seeds", "--starts", "--load", "--minutes"];
            if !known.contains(&flag.as_str()) {
                bail!("{flag:?} is not known\n{USAGE}");
            }
            let value = words.next().with_context(|| format!("{flag} needs a value\n{USAGE}"))?;
            match flag.as_str() {
                "--fixtures" => args.fixtures = Some(PathBuf::from(value)),
                "--sim" => args.sim = Some(PathBuf::from(value)),
                _ => args.compared.extend([flag.clone(), value.clone()]),
            }
        }
        Ok(args)
    }
}

/// The published sizes that a folder has.
///
/// # Errors
/// When it has none.
fn sizes_in(fixtures: &Path) -> Result<Vec<u64>> {
    let here = |nodes: &u64| fixtures.join(nodes.to_string()).join("nodes.csv").exists();
    let mut sizes: Vec<u64> = HYPERDRIVE.iter().map(|row| row.nodes).filter(here).collect();
    sizes.dedup();
    if sizes.is_empty() {
        bail!("{} has no size: folders like 1118 with a nodes.csv", fixtures.display());
    }
    Ok(sizes)
}

/// Runs both, prints both numbers.
///
/// # Errors
/// When the program does not build, run or answer, or fixtures were named that are not there.
pub(super) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let sizes = args.fixtures.as_deref().map(sizes_in).transpose()?;
    let program = program(workspace, args.sim.as_deref())?;
    let folder = workspace.target.join("repro").join("hyperdrive");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    match args.fixtures.as_deref().zip(sizes) {
        Some((fixtures, sizes)) => print(&published(&program, fixtures, (&sizes, &folder))?)?,
        None => print("hyperdrive-v1: not run, --fixtures DIR says where its files are\n")?,
    }
    let [json, html] = ["all.json", "all.html"].map(|name| folder.join(name));
    say("hyperdrive-v2: all policies, which takes minutes");
    let mut comparison = Command::new(&program);
    comparison.args(["place", "--scenario", "hyperdrive-v2", "--compare"]).args(&args.compared);
    command::run(comparison.arg("--json").arg(&json).arg("--html").arg(&html))?;
    print(&format!("\n{CAVEATS}\nnumbers: {}\nplots: {}\n", json.display(), html.display()))
}

/// The published scenario, at the sizes that are there.
fn published(program: &Path, fixtures: &Path, (sizes, folder): (&[u64], &Path)) -> Result<String> {
    let mut rows = Vec::new();
    for nodes in sizes {
        for policy in POLICIES {
            say(&format!("hyperdrive-v1: {policy} on {nodes} nodes"));
            let json = folder.join("run.json");
            let mut placing = Command::new(program);
            placing.args(["place", "--scenario", "hyperdrive-v1", "--policy", policy]);
            placing.arg("--fixtures").arg(fixtures.join(nodes.to_string()));
            command::run(placing.stdout(std::process::Stdio::null()).arg("--json").arg(&json))?;
            let text = fs::read(&json).with_context(|| format!("{} is gone", json.display()))?;
            let found: Value = serde_json::from_slice(&text)?;
            let paper = HYPERDRIVE.iter().find(|row| (row.nodes, row.policy) == (*nodes, policy));
            rows.push(cells((*nodes, policy), &found["summary"], paper));
        }
    }
    let head = [
        "nodes",
        "policy",
        "pred ms",
        "paper",
        "max ms",
        "paper",
        "met of 15",
        "paper",
        "minutes violated of 80",
        "paper",
        "too hot",
        "paper",
    ];
    Ok(format!(
        "hyperdrive-v1, latency of a workflow by predecessor, and by the longer of predecessor and data, mean of five\n{}",
        aligned(&head, &rows)
    ))
}

fn cells(
    (nodes, policy): (u64, &str),
    summary: &Value,
    paper: Option<&HyperDriveRow>,
) -> Vec<String> {
    let ms = |value: f64| format!("{value:.1}");
    let our_ms = |key: &str| summary[key].as_f64().map_or_else(|| "?".to_owned(), ms);
    let ours = |key: &str| summary[key].to_string();
    let theirs = |of: fn(&HyperDriveRow) -> String| paper.map_or_else(|| "-".to_owned(), of);
    vec![
        nodes.to_string(),
        policy.to_owned(),
        our_ms("wf_pred_ms"),
        theirs(|row| format!("{:.1}", row.pred_ms)),
        our_ms("wf_max_ms"),
        theirs(|row| format!("{:.1}", row.max_ms)),
        ours("slo_met_at_placement"),
        theirs(|row| row.met.to_string()),
        ours("run_minutes_violated"),
        theirs(|row| row.minutes_violated.to_string()),
        ours("over_max"),
        theirs(|row| row.too_hot.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(line: &str) -> Result<Args> {
        Args::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_belongs_to_the_comparison_is_handed_on() {
        let args = read("--fixtures a --seeds 3 --sim b --load 5,20").unwrap();
        assert_eq!((args.fixtures, args.sim), (Some("a".into()), Some("b".into())));
        assert_eq!(args.compared, ["--seeds", "3", "--load", "5,20"]);
        let message = |line| read(line).unwrap_err().to_string();
        assert!(message("--seed 3").starts_with("\"--seed\" is not known"));
        assert!(message("--seeds").starts_with("--seeds needs a value"));
    }

    #[test]
    fn ours_stands_beside_what_is_published() {
        let summary = json!({
            "wf_pred_ms": 90.1696, "wf_max_ms": 99.2087, "slo_met_at_placement": 15,
            "run_minutes_violated": 13, "over_max": 0
        });
        let row = |policy| {
            let paper = HYPERDRIVE.iter().find(|row| (row.nodes, row.policy) == (1118, policy));
            cells((1118, policy), &summary, paper).join(" ")
        };
        assert_eq!(row("hyperdrive"), "1118 hyperdrive 90.2 90.2 99.2 99.2 15 15 13 13 0 0");
        assert_eq!(row("lookahead"), "1118 lookahead 90.2 - 99.2 - 15 - 13 - 0 -");
    }
}
