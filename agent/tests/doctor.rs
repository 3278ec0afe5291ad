//! `starbelt-agent doctor` as a user calls it: on a recorded tree, as JSON and as lines, and recording one.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

fn fixture(board: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(board)
}

fn doctor(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_starbelt-agent");
    Command::new(program).arg("doctor").args(arguments).output().expect("the agent starts")
}

fn document(root: &Path) -> Value {
    let root = root.to_str().expect("a path of letters");
    let output = doctor(&["--sysfs-root", root, "-o", "json"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

fn row<'a>(document: &'a Value, probe: &str, name: &str) -> &'a Value {
    let rows = document["probes"].as_array().expect("a list of probes");
    let found = rows.iter().find(|row| row["probe"] == probe && row["name"] == name);
    found.unwrap_or_else(|| panic!("no {probe} {name}"))
}

#[test]
fn each_probe_is_listed_with_value_unit_quality_and_path_or_reason_and_where_it_was_looked_for() {
    let document = document(&fixture("jetson-orin-nano-jp6"));
    assert_eq!((&document["schema"], &document["checks"]), (&json!(1), &json!([])));
    let total = row(&document, "ina3221", "total.power");
    assert_eq!((&total["value"], &total["unit"]), (&json!(5.40512), &json!("W")));
    assert_eq!(total["quality"], "computed");
    assert!(total["path"].as_str().is_some_and(|path| path.ends_with("hwmon1/in1_input")));
    let asleep = row(&document, "thermal-zone", "cv0-thermal");
    assert_eq!(asleep["value"], Value::Null);
    assert!(asleep["reason"].as_str().is_some_and(|reason| reason.contains("EAGAIN")));
    assert_eq!(asleep["tried"][0], "/sys/class/thermal/thermal_zone2/temp");
    let idle = row(&document, "gpu-devfreq", "17000000.gpu.load");
    assert_eq!((&idle["value"], &idle["quality"]), (&json!(0.0), &json!("measured")));
    for row in document["probes"].as_array().expect("a list of probes") {
        let has_value = !row["value"].is_null();
        assert_eq!(has_value, row.get("reason").is_none(), "{row}");
        assert_eq!(has_value, row["quality"].is_string() && row["path"].is_string(), "{row}");
        assert!(row["unit"].is_string(), "{row}");
        assert!(row["tried"].as_array().is_some_and(|tried| !tried.is_empty()), "{row}");
    }
    let probes = ["board", "power-supply", "ina3221", "hwmon", "thermal-zone", "pi-throttling"];
    let others = ["gpu-devfreq", "rapl", "pressure", "load", "emmc-wear", "net"];
    for probe in probes.into_iter().chain(others) {
        let rows = document["probes"].as_array().expect("a list of probes");
        assert!(rows.iter().any(|row| row["probe"] == probe), "{probe} says nothing");
    }
}

#[test]
fn this_machine_is_recorded_and_the_recording_says_the_same_of_what_stands_still() {
    let dir = tempfile::tempdir().expect("a directory");
    let to = dir.path().join("recorded");
    let to_text = to.to_str().expect("a path of letters");
    let recorded = doctor(&["--record", to_text]);
    assert!(recorded.status.success(), "{recorded:?}");
    let told = String::from_utf8_lossy(&recorded.stderr).into_owned();
    assert!(told.contains("README.txt says what is in them"), "{told}");
    let document = document(&to);
    let memory = row(&document, "load", "memory.total");
    let own = std::fs::read_to_string("/proc/meminfo").expect("this machine has memory");
    let kib = own.lines().find_map(|line| line.strip_prefix("MemTotal:")).expect("a line");
    let kib: f64 = kib.trim_end_matches("kB").trim().parse().expect("a number");
    let told = memory["value"].as_f64().expect("a number");
    assert!((told - kib / 1024.0).abs() < 1e-3, "{memory}");
    // Nothing is mixed up with what is there.
    let again = doctor(&["--record", to_text]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"), "{again:?}");
}

#[test]
fn a_root_that_is_not_there_is_a_failure_and_not_an_empty_machine() {
    let output = doctor(&["--sysfs-root", "/no/such/root"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("/no/such/root") && output.stdout.is_empty(), "{told}");
}
