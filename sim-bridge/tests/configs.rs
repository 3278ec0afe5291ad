//! Every file of configs/sim, configs/sky and configs/scenarios is good, and what can be wrong is told with its place.

use std::path::{Path, PathBuf};
use std::process::Command;

use sim_bridge::bridge::Prepared;
use sim_bridge::config::SimConfig;
use sim_bridge::offline::scenario::Scenario;
use sim_bridge::sky_file;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs").join(folder);
    let entries = std::fs::read_dir(folder).expect("the folder is part of the repository");
    entries.map(|entry| entry.expect("it can be read").path()).collect()
}

#[test]
fn every_shipped_bed_is_good() {
    let files = files("sim");
    assert!(2 <= files.len(), "{files:?}");
    for file in files {
        Prepared::load(&file).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn every_shipped_sky_is_good() {
    let files = files("sky");
    assert!(2 <= files.len(), "{files:?}");
    for file in files {
        sky_file::load(&file).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn every_shipped_scenario_is_good_and_its_first_steps_run() {
    let mut files = files("scenarios");
    files.extend(self::files("scenarios/stardust"));
    files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
    assert!(3 <= files.len(), "{files:?}");
    let dir = tempfile::tempdir().expect("a folder can be made");
    for file in files {
        let scenario = Scenario::load(&file).unwrap_or_else(|error| panic!("{error}"));
        let mut program = Command::new(env!("CARGO_BIN_EXE_starbelt-sim"));
        program.current_dir(dir.path()).arg("run").arg(&file).args(["--steps", "2"]);
        let output = program.args(["--json", "out.json"]).output().expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = std::fs::read_to_string(dir.path().join("out.json")).expect("a summary");
        let summary: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(summary["scenario"], scenario.name.as_str());
        assert_eq!(summary["steps"].as_array().map(Vec::len), Some(2));
        let workload = &summary["steps"][0]["workload"];
        assert_eq!(workload.is_null(), scenario.workflows.is_empty());
        assert!(workload.is_null() || workload["refused"] == 0, "{workload}");
    }
}

#[test]
fn a_bed_survives_being_written() {
    for file in files("sim") {
        let (config, _) = SimConfig::load(&file).unwrap();
        let again: SimConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }
}

#[test]
fn the_example_of_the_package_is_good() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let dir = tempfile::tempdir().expect("a folder can be made");
    for (from, to) in [
        ("cross/packages/starbelt-sim/sim.toml", "sim.toml"),
        ("configs/sky/single-plane.toml", "sky.toml"),
    ] {
        std::fs::copy(root.join(from), dir.path().join(to)).expect("it can be copied");
    }
    Prepared::load(&dir.path().join("sim.toml")).expect("it is good");
}

/// Changes the shipped bed and expects this complaint.
#[track_caller]
fn check(from: &str, to: &str, expected: &str) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/sim/laptop.toml");
    let text = std::fs::read_to_string(&shipped).expect("the file is part of the repository");
    let sky = shipped.with_file_name("../sky/walker-72x22.toml");
    let dir = tempfile::tempdir().expect("a folder can be made");
    let good = text.replace("../sky/walker-72x22.toml", &sky.display().to_string());
    assert!(good.contains(from), "{from}");
    let file = dir.path().join("sim.toml");
    std::fs::write(&file, good.replacen(from, to, 1)).expect("it can be written");
    let message = Prepared::load(&file).expect_err("it is refused").to_string();
    let message = message.replace(&format!("{}/", dir.path().display()), "");
    assert!(message.contains(expected), "{message}");
}

#[test]
fn what_is_wrong_is_told_with_file_line_and_field() {
    check("version = 1", "version = 2", "sim.toml, line 5, version: format 2 is not known");
    check("rate = 30.0", "rate = 0.0", "sim.toml, line 7, rate: a sky clock rate of 0");
    check("rate = 30.0", "speed = 30.0", "sim.toml, line 7, speed: unknown field `speed`");
    check("tick_ms = 100", "tick_ms = 5", "sim.toml, line 8, tick_ms: 5 is outside 10 to 1000");
    check("# start = \"2026-01-01T", "start = \"2026-13-01T", "sim.toml, line 6, start: ");
    check("\"tcp-proxy\"", "\"netem\"", "sim.toml, line 9, shaper: unknown variant `netem`");
    check("tcp/127.0.0.1:7447", "tcp/0.0.0.0:7447", "bus.listen: 0.0.0.0:7447 is not on loopback");
    check("127.0.0.1:7601", "192.168.1.2:7601", "pair[0].listen: 192.168.1.2:7601 is not on");
    check("a = \"controller\"", "a = \"Controller\"", "pair[0].a: node name \"Controller\" is not");
    check("a = \"controller\"", "a = \"zeppelin\"", "zeppelin does not come before drone: swap");
    check("b = \"drone\"", "b = \"drones\"", "pair[0].b: drones is no endpoint of");
    check("127.0.0.1:7602", "127.0.0.1:7601", "pair[1].listen: 127.0.0.1:7601 is the address of");
    check(
        "127.0.0.1:7502",
        "127.0.0.1:7447",
        "pair[0].forward: 127.0.0.1:7447 is where the bridge",
    );
    check("node = \"drone\"", "node = \"sat-1\"", "ambient[0].node: sat-1 is no endpoint on the");
    check("celsius = 35.0", "celsius = -300.0", "ambient[0].celsius: temperature in °C -300");
    check("celsius = 35.0", "", "ambient[0]: missing field `celsius`");
}

#[test]
fn all_broken_rules_are_told_at_once() {
    let text = "version = 7\nrate = -1.0\ntick_ms = 5000\n[sky]\nfile = 'x'\n\
                [bus]\ninsecure = true\nlisten = 'tcp/127.0.0.1:7447'\n";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sim.toml");
    std::fs::write(&file, text).unwrap();
    let message = SimConfig::load(&file).unwrap_err().to_string();
    for part in ["line 1, version: ", "line 2, rate: ", "line 3, tick_ms: "] {
        assert!(message.contains(part), "{message}");
    }
}
