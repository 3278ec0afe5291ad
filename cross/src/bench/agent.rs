//! `bench agent`: what an agent costs that has nothing to do but report once a second: memory, threads, processor, disk, start.
//!
//! The method is that of Greengrass-lite: the median of samples each 10 s over ten minutes, after five minutes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::command::{self, print, say};
use crate::idle::{Idle, PSS_MIB_MAX, THREADS_MAX};
use crate::workspace::Workspace;

/// Between two samples, and between two times that the agent tells that it lives: as under its unit.
const SAMPLE: Duration = Duration::from_secs(10);
/// What is measured, its unit, the most that is right, and what others have published of theirs.
const ROWS: [(&str, &str, f64, &str); 5] = [
    (
        "memory (PSS)",
        "MiB",
        PSS_MIB_MAX,
        "Ankaios agent 5.56, without Wasm; Greengrass-lite 14.6 to 15.8 MB (both Raspberry Pi 4)",
    ),
    ("threads", "", THREADS_MAX, "-"),
    ("processor", "% of a core", 0.5, "Ankaios agent 0.0 to 0.1 (Raspberry Pi 4)"),
    ("disk writes", "KB/h", 1000.0, "Greengrass-lite: 30 MB for a deployment, idle not published"),
    ("start to first report", "ms", 300.0, "Greengrass-lite 1700 (Raspberry Pi 4)"),
];

/// What the controller knows of the sky.
const SKY: &str = "configs/sky/single-plane.toml";

/// How it is measured.
#[derive(Debug, PartialEq, Eq)]
struct Args {
    /// The agent, and the controller that hears it; built in the profile of packages if none is named.
    program: Option<PathBuf>,
    controller: Option<PathBuf>,
    warm_up: Duration,
    measured: Duration,
    is_check: bool,
}

impl Args {
    fn parse(args: &[String]) -> Result<Self> {
        let (warm_up, measured) = (Duration::from_mins(5), Duration::from_mins(10));
        let mut parsed =
            Self { program: None, controller: None, warm_up, measured, is_check: false };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => (parsed.warm_up, parsed.measured) = (SAMPLE, 3 * SAMPLE),
                "--check" => parsed.is_check = true,
                "--program" | "--controller" => {
                    let file = args.next().with_context(|| format!("{arg} needs a file"))?;
                    let file = Some(PathBuf::from(file));
                    let is_agent = arg == "--program";
                    *(if is_agent { &mut parsed.program } else { &mut parsed.controller }) = file;
                }
                _ => bail!(
                    "bench agent does not know {arg:?}: --quick, --check, --program FILE, --controller FILE"
                ),
            }
        }
        Ok(parsed)
    }
}

/// One look at the process.
#[derive(Clone, Copy, Debug)]
struct Sample {
    pss_mib: f64,
    threads: f64,
}

/// Measures, and prints a table.
///
/// # Errors
/// When the agent does not build, start or stay, or `--check` is asked for and it is too large.
pub(super) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let args = Args::parse(args)?;
    let built = |member, name| built(workspace, member, name);
    let program = args.program.map_or_else(|| built("agent", "starbelt-agent"), Ok)?;
    let controller =
        args.controller.map_or_else(|| built("controller", "starbelt-controller"), Ok)?;
    let (sky, folder) = (workspace.path(SKY), workspace.target.join("bench-agent"));
    let agent = Idle::start(Command::new(&program), Some((&controller, &sky)), &folder, SAMPLE)?;
    say(&format!("the agent is up; {} s until it is measured", args.warm_up.as_secs()));
    agent.lives(samples_in(args.warm_up))?;
    let before = (Instant::now(), agent.number("stat")?, agent.number("io")?);
    let mut samples = Vec::new();
    while before.0.elapsed() < args.measured {
        agent.lives(1)?;
        samples.push(Sample { pss_mib: agent.pss_mib()?, threads: agent.number("status")? });
    }
    let seconds = before.0.elapsed().as_secs_f64();
    let ticks = command::output(Command::new("getconf").arg("CLK_TCK"))?.trim().parse::<f64>()?;
    let values = [
        median(samples.iter().map(|it| it.pss_mib).collect()),
        median(samples.iter().map(|it| it.threads).collect()),
        (agent.number("stat")? - before.1) / ticks / seconds * 100.0,
        (agent.number("io")? - before.2) / 1000.0 / seconds * 3600.0,
        agent.start.as_secs_f64() * 1000.0,
    ];
    print(&table(&program, samples.len(), values))?;
    let beyond = ROWS.iter().zip(values).filter(|((_, _, most, _), value)| most < value);
    let beyond: Vec<_> = beyond.map(|((what, ..), _)| *what).collect();
    if args.is_check && !beyond.is_empty() {
        bail!("an idle agent may have less of: {}", beyond.join(", "));
    }
    Ok(())
}

fn built(workspace: &Workspace, member: &str, name: &str) -> Result<PathBuf> {
    say(&format!("building {name} as it is shipped; the first time this takes many minutes"));
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--profile", "dist", "--quiet", "--package", member, "--bin", name]);
    command::run(&mut cargo)?;
    Ok(workspace.target.join("dist").join(name))
}

/// How many samples there are within this time.
fn samples_in(time: Duration) -> u32 {
    u32::try_from(time.as_secs() / SAMPLE.as_secs()).unwrap_or(u32::MAX)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        _ if values.is_empty() => f64::NAN,
        0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

fn table(program: &Path, samples: usize, values: [f64; 5]) -> String {
    let mut lines = vec![format!(
        "{} at 1 Hz, median of {samples} samples; others as they published it, on their machines",
        program.display()
    )];
    lines.push(format!("{:<22} {:>9} {:>7} {:<12} others", "", "", "at most", ""));
    let row = |((what, unit, most, peers), value): (&(&str, &str, f64, &str), f64)| {
        format!("{what:<22} {value:>9.2} {most:>7} {unit:<12} {peers}")
    };
    lines.extend(ROWS.iter().zip(values).map(row));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_taken() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let args = |line: &str| {
            Args::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        };
        assert!(args("--fast").unwrap_err().to_string().contains("--quick"));
        assert!(args("--program").is_err());
        assert_eq!(args("--quick --check").unwrap().measured, 3 * SAMPLE);
    }
}
