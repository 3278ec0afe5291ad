//! Recordings: a replay equals the run, and damage is found.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use orbit::link::ProtocolKind;
use proptest::prelude::*;
use sim_bridge::offline::nodes::Nodes;
use sim_bridge::offline::parts;
use sim_bridge::offline::replay::Replay;
use sim_bridge::offline::simulation::Simulation;
use sim_bridge::offline::watch::NoWatch;

use super::{CITIES, START, run, summary, timeless, utf8, write};

/// The columns of wall time.
const WALL_TIME: [&str; 5] =
    ["workload_ms", "positions_ms", "links_ms", "ground_links_ms", "routing_ms"];

/// All files of a folder of tables, without the columns of wall time.
fn tables(folder: &Path) -> Vec<(String, String)> {
    let mut tables: Vec<(String, String)> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| {
            let path = entry.expect("it can be listed").path();
            let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
            (name, without_wall_time(&fs::read_to_string(path).expect("a table")))
        })
        .collect();
    tables.sort();
    tables
}

fn without_wall_time(table: &str) -> String {
    let head: Vec<&str> = table.lines().next().unwrap_or_default().split(',').collect();
    let wall = |column: usize| WALL_TIME.contains(&head[column]);
    let keep = |line: &str| {
        let cells = line.split(',').enumerate();
        let kept = cells.filter(|(column, _)| head.len() <= *column || !wall(*column));
        kept.map(|(_, cell)| cell).collect::<Vec<_>>().join(",")
    };
    table.lines().map(keep).collect::<Vec<_>>().join("\n")
}

/// A scenario in which something happens: failures, rain, workflows, a second shell.
fn eventful(protocol: &str) -> String {
    format!(
        "start = '{START}'\nsteps = 4\nstep_s = 120.0\n\
         [sources]\nwalker = ['12x11:550:53:5@{START}', '3x8:1200:87:1:star@{START}']\nground = ['cities.csv']\n\
         [links]\nprotocol = '{protocol}'\n[ground_links]\npolicy = 'all_visible'\nstation_terminals = 3\n\
         [output]\nlink_changes = true\n\
         [link_model]\nground = 'ka_ground'\nisl_jitter_us = 9.0\nground_jitter_us = 90.0\n\
         [[weather]]\nrain_mm_h = 30.0\nfrom_s = 120.0\n\
         [[change]]\nlink = ['walker-1-00-00', 'walker-1-00-01']\ndown = true\nfrom_s = 120.0\n\
         [[route]]\nfrom = 'Vienna'\nto = 'Sydney'\njitter_max_ms = 1.0\n\
         [[change]]\nnode = 'Vienna'\ndown = true\nfrom_s = 240.0\nto_s = 300.0\n\
         [[workflow]]\nname = 'w'\nlifetime_steps = 2\n\
         [[workflow.task]]\nname = 't'\nmilli_cpu = 3000\nmemory_mib = 10\nlatency_max_ms = 80.0\n"
    )
}

#[test]
fn replays_equal_runs_for_all_protocols_tables_included() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "cities.csv", CITIES);
    for kind in ProtocolKind::ALL {
        let file = write(folder.path(), "scenario.toml", &eventful(kind.name()));
        let at = |name: &str| folder.path().join(format!("{}-{name}", kind.name()));
        let (recording, live, again) = (at("run.rec"), at("live"), at("again"));
        let args = [utf8(&file), "--record", utf8(&recording), "--csv", utf8(&live)];
        let first = timeless(summary(folder.path(), &args));
        let args = ["--replay", utf8(&recording), "--csv", utf8(&again)];
        let second = timeless(summary(folder.path(), &args));
        assert!(first == second, "{}", kind.name());
        assert_eq!(tables(&live), tables(&again), "{}", kind.name());
        assert!(first["steps"][0]["ground_links"].as_u64() > Some(0));
    }
}

#[test]
fn replays_take_fewer_steps_other_routers_and_more_routes() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "cities.csv", CITIES);
    let file = write(folder.path(), "scenario.toml", &eventful("mst"));
    let recording = folder.path().join("run.rec");
    let live = summary(folder.path(), &[utf8(&file), "--record", utf8(&recording)]);
    let args = ["--replay", utf8(&recording), "--steps", "2", "--router", "a-star"];
    let args = [&args[..], &["--route", "Nairobi:Vienna"]].concat();
    let again = summary(folder.path(), &args);
    let steps = again["steps"].as_array().unwrap();
    assert_eq!((steps.len(), steps[1]["routes"].as_array().unwrap().len()), (2, 2));
    assert_eq!(steps[1]["positions_hash"], live["steps"][1]["positions_hash"]);
    assert_eq!(steps[1]["routes"][1]["from"], "Nairobi");
}

/// The outcome of all steps of a recording, or what is wrong with it.
fn replayed(file: &Path) -> Result<Vec<String>, String> {
    let replay = Replay::open(file).map_err(|e| e.to_string())?;
    let (head, steps) = (replay.head().clone(), replay.steps());
    let nodes = Nodes::of_names(head.satellites.clone(), head.stations());
    let nodes = Arc::new(nodes.map_err(|e| e.to_string())?);
    let router = parts::router(&head.scenario);
    let replay = Box::new(replay);
    let mut simulation = Simulation::with_frames(&head.scenario, nodes, head.start, replay, router)
        .map_err(|e| e.to_string())?;
    let step = |_| {
        let (moment, summary) = simulation.step(&mut NoWatch).map_err(|e| e.to_string())?;
        Ok(format!("{summary:?} {:?} {:?}", moment.isl, moment.ground))
    };
    (0..steps).map(step).collect()
}

/// A small recording.
fn recorded(folder: &Path) -> Vec<u8> {
    write(folder, "cities.csv", CITIES);
    let scenario = write(folder, "scenario.toml", &eventful("mst_loop"));
    let recording = folder.join("run.rec");
    summary(folder, &[utf8(&scenario), "--record", utf8(&recording)]);
    fs::read(recording).expect("a recording")
}

#[test]
fn a_recording_with_any_changed_byte_is_refused_or_means_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = recorded(folder.path());
    let expected = replayed(&folder.path().join("run.rec")).unwrap();
    let damaged = folder.path().join("damaged.rec");
    let refused = std::cell::Cell::new(0);
    let property = |at: prop::sample::Index, flip: u8| {
        let mut changed = bytes.clone();
        changed[at.index(bytes.len())] ^= flip;
        fs::write(&damaged, &changed).unwrap();
        match replayed(&damaged) {
            Ok(steps) => prop_assert_eq!(&steps, &expected),
            Err(told) => {
                refused.set(refused.get() + 1);
                prop_assert!(told.contains("damaged.rec"), "{}", told);
            }
        }
        Ok(())
    };
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let input = (any::<prop::sample::Index>(), 1_u8..);
    runner.run(&input, |(at, flip)| property(at, flip)).unwrap();
    assert!(150 < refused.get(), "{}", refused.get());
    // The prefix, of which no byte is spare.
    for at in 0..40 {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        fs::write(&damaged, &changed).unwrap();
        assert!(replayed(&damaged).is_err(), "byte {at}");
    }
}

#[test]
fn a_recording_that_ends_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = recorded(folder.path());
    let damaged = folder.path().join("damaged.rec");
    for tenth in 0..10 {
        fs::write(&damaged, &bytes[..bytes.len() * tenth / 10]).unwrap();
        assert!(replayed(&damaged).is_err(), "{tenth}");
    }
    let output = run(&["--replay", utf8(&damaged)]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("damaged.rec") && told.trim_end().lines().count() == 1, "{told}");
}

#[test]
fn a_recording_whose_scenario_breaks_a_rule_is_refused_with_the_rule() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = recorded(folder.path());
    let length = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let head = String::from_utf8(bytes[40..40 + length].to_vec()).unwrap();
    let other = head.replace("\"router\":\"dijkstra\"", "\"router\":\"oracles1\"");
    assert_ne!(head, other);
    bytes[40..40 + length].copy_from_slice(other.as_bytes());
    bytes[16..20].copy_from_slice(&crc32fast::hash(other.as_bytes()).to_le_bytes());
    let file = folder.path().join("foreign.rec");
    fs::write(&file, &bytes).unwrap();
    let told = replayed(&file).unwrap_err();
    assert!(told.contains("foreign.rec") && told.contains("router: \"oracles1\""), "{told}");
}
