//! The offline simulator as a whole: `starbelt-sim run` as a program, and the engine behind it as a library.

mod bad_input;
mod engine;
mod failures;
mod golden;
mod link_rules;
mod peers;
mod plugins;
mod program;
mod registry;
mod replays;
#[path = "../support/shared.rs"]
mod support;
mod workloads;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use orbit::station::{Station, StationKind};
use serde_json::Value;
use sim_bridge::cli::source::SourceArgs;
use sim_bridge::offline::moment::Moment;
use sim_bridge::offline::nodes::Nodes;
use sim_bridge::offline::parts::Parts;
use sim_bridge::offline::scenario::{Draft, Scenario};
use sim_bridge::offline::simulation::Simulation;
use sim_bridge::offline::summary::StepSummary;
use sim_bridge::offline::watch::NoWatch;
use types::{Epoch, Geodetic};

const PROGRAM: &str = env!("CARGO_BIN_EXE_starbelt-sim");
const START: &str = "2026-03-20T12:00:00Z";
/// Stations of all kinds, as a file.
const CITIES: &str = "name,lat_deg,lon_deg,kind\n\
    Vienna,48.2,16.4,cloud\n\
    Nairobi,-1.3,36.8,edge\n\
    Lima,-12.0,-77.0,ground\n\
    Sydney,-33.9,151.2,cloud\n";

/// The same as stations.
fn cities() -> Vec<Station> {
    let lines = CITIES.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let number = |text: &str| text.parse().expect("a number");
    let kind = |name: &str| match name {
        "cloud" => StationKind::Cloud,
        "edge" => StationKind::Edge,
        _ => StationKind::Ground,
    };
    let station = |cells: Vec<&str>| Station {
        name: cells[0].to_owned(),
        kind: kind(cells[3]),
        place: Geodetic { lat_deg: number(cells[1]), lon_deg: number(cells[2]), alt_km: 0.0 },
        min_elevation_deg: None,
        terminals: None,
        way: Vec::new(),
    };
    lines.map(station).collect()
}

/// A checked scenario from the text of its file.
fn scenario(text: &str) -> Scenario {
    let mut draft = Draft::default();
    *draft.scenario_mut() = toml::from_str(text).expect("a scenario");
    draft.finish().expect("a scenario without a fault")
}

/// The simulation of a scenario with these stations, standing before its first step.
fn simulation(scenario: &Scenario, stations: Vec<Station>) -> Simulation {
    let source = SourceArgs::of(&scenario.sources).load().expect("satellites");
    let nodes = Arc::new(Nodes::new(&source.elements, stations).expect("nodes"));
    let start = scenario.start.unwrap_or_else(|| Epoch::parse(START).expect("RFC 3339"));
    let parts = Parts::new(scenario, &source.elements, source.shells, start);
    Simulation::new(scenario, source.elements, nodes, start, parts).expect("a simulation")
}

/// All steps of a scenario.
fn steps(scenario: &Scenario, simulation: &mut Simulation) -> Vec<(Arc<Moment>, StepSummary)> {
    (0..scenario.steps).map(|_| simulation.step(&mut NoWatch).expect("a step")).collect()
}

/// `starbelt-sim run` with these arguments.
fn run(args: &[&str]) -> Output {
    Command::new(PROGRAM).arg("run").args(args).output().expect("the program runs")
}

/// The summary of a run that goes well.
#[track_caller]
fn summary(folder: &Path, args: &[&str]) -> Value {
    let json = folder.join("summary.json");
    let output = run(&[args, &["--json", utf8(&json)]].concat());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    read_json(&json)
}

/// The instant of a step.
fn time(step: &Value) -> Epoch {
    time_of(step["time"].as_str().expect("a time"))
}

fn time_of(text: &str) -> Epoch {
    Epoch::parse(text).expect("RFC 3339")
}

fn read_json(file: &Path) -> Value {
    let text = std::fs::read_to_string(file).expect("the summary is there");
    serde_json::from_str(&text).expect("the summary is JSON")
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, text).expect("the folder can be written");
    file
}

fn utf8(file: &Path) -> &str {
    file.to_str().expect("UTF-8")
}

/// Without what depends on the clock on the wall.
fn timeless(mut summary: Value) -> Value {
    for step in summary["steps"].as_array_mut().expect("steps") {
        assert!(step["ms"].is_object());
        step["ms"] = Value::Null;
        if let Some(workload) = step.get_mut("workload") {
            workload["ms"] = Value::Null;
        }
    }
    summary
}
