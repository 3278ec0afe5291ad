//! `starbelt-sim bench` writes its rows in the shape of all benches, and says what it cannot measure.

use std::fs;
use std::process::{Command, Output};

use sim_bridge::offline::bench::Row;
use sim_bridge::offline::bench::sky::shells;

fn bench(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_starbelt-sim"));
    command.arg("bench").args(args).output().expect("the program can be started")
}

#[test]
fn a_small_bench_writes_its_rows_and_shows_them() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rows.json");
    let file_name = file.display().to_string();
    let output =
        bench(&["--satellites", "60", "--steps", "2", "--threads", "2", "--json", &file_name]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let rows: Vec<Row> = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    for name in [
        "step_60_sats",
        "load_60",
        "peak_memory_60",
        "run_2_steps_60",
        "shortest_path_60",
        "shortest_paths_85_sources_60",
        "schedule_1_workflow_60",
        "schedule_100_workflows_60",
        "link_plan_60x85_3h",
        "replay_step_60",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let shown = String::from_utf8_lossy(&output.stdout);
    for row in &rows {
        assert!(0.0 < row.measured && 5 <= row.runs, "{row:?}");
        assert!(row.p99.is_none_or(|p99| row.measured <= p99), "{row:?}");
        // Sizes that are no promise inform only.
        assert!(row.ok && row.target.is_none(), "{row:?}");
        assert_eq!(row.source, "Walker shells");
        let ratio = row.baseline.map(|baseline| row.measured / baseline);
        assert_eq!(row.ratio, ratio, "{row:?}");
        assert_eq!(row.baseline.is_none(), row.baseline_name.is_empty(), "{row:?}");
        assert!(shown.contains(&row.name), "{shown}");
    }
    assert!(rows[0].baseline.is_some());
    let memory = rows.iter().find(|row| row.unit == "MB").unwrap();
    assert!((2.0..200.0).contains(&memory.measured), "{memory:?}");
    assert!(shown.contains("Walker shells") && shown.contains("threads: 2"), "{shown}");
}

#[test]
fn a_bench_of_the_users_sets_names_them_and_duplicates_beyond_them() {
    let dir = tempfile::tempdir().unwrap();
    let (tle, json) = (dir.path().join("mine.tle"), dir.path().join("rows.json"));
    let mut sets = shells(40);
    for (number, set) in (1..).zip(&mut sets) {
        set.catalog = u32::to_string(&number);
    }
    fs::write(&tle, orbit::tle::write(&sets).unwrap().text).unwrap();
    let (tle, json_name) = (tle.display().to_string(), json.display().to_string());
    let args = [
        "--tle",
        &tle,
        "--satellites",
        "90",
        "--only",
        "step_",
        "--steps",
        "1",
        "--json",
        &json_name,
    ];
    let output = bench(&args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<Row> = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(rows[0].name, "step_90_sats");
    assert!(rows.iter().all(|row| row.source == "mine.tle, duplicated"), "{rows:?}");
}

#[test]
fn what_cannot_be_measured_is_refused_with_the_rule() {
    for (args, told) in [
        (["--satellites", "0"], "0 is not in 1..=200000"),
        (["--links", "other_mst"], "must be one of none, plus_grid, mst"),
        (["--steps", "0"], "0 is not in"),
    ] {
        let output = bench(&args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(told), "{said}");
    }
}
