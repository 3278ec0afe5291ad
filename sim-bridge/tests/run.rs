//! `starbelt-sim run` as its users call it: published numbers, the same bits on any number of threads, replays, bad input.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use orbit::ground::GroundPolicyKind;
use orbit::link::ProtocolKind;
use serde_json::Value;

/// A file below `../shared/data/stardust`; says that `test` is skipped where it is not there.
#[expect(clippy::print_stdout, reason = "what was skipped is counted from the tests' output")]
fn shared(test: &str) -> Option<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/stardust");
    if data.exists() {
        return Some(data);
    }
    println!("skipped: {test}: not in ../shared/data: stardust");
    None
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

fn call(folder: &Path, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_starbelt-sim"));
    program.current_dir(folder).arg("run").args(arguments).output().expect("the program runs")
}

/// The summary of a run that must succeed.
fn run(folder: &Path, arguments: &[&str]) -> Value {
    let output = call(folder, &[arguments, &["--json", "out.json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(folder.join("out.json")).expect("the summary is there");
    serde_json::from_str(&text).expect("the summary is JSON")
}

/// The steps without what differs from run to run.
fn timeless(summary: &Value) -> Value {
    let mut steps = summary["steps"].clone();
    for step in steps.as_array_mut().expect("steps") {
        let step = step.as_object_mut().expect("a step");
        assert!(step.remove("ms").is_some());
        if let Some(workload) = step.get_mut("workload").and_then(Value::as_object_mut) {
            workload.remove("ms");
        }
    }
    steps
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(words), "{text}");
    let lines = text.lines().filter(|line| !line.contains("warning")).count();
    assert_eq!(lines, 1, "{text}");
}

const SHELL: &str = "12x11:550:53:5";
const CITIES: &str = "name,lat_deg,lon_deg,kind\nGraz,47.0707,15.4409,cloud\nQuito,-0.18,-78.47,edge\n\
    Honolulu,21.3069,-157.8583,cloud\nNairobi,-1.29,36.82,edge\n";

fn with_cities() -> tempfile::TempDir {
    let folder = folder();
    std::fs::write(folder.path().join("cities.csv"), CITIES).expect("written");
    folder
}

#[test]
fn the_published_model_gives_the_published_paths_on_any_number_of_threads() {
    let test = "the_published_model_gives_the_published_paths_on_any_number_of_threads";
    let Some(data) = shared(test) else { return };
    let text = std::fs::read_to_string(data.join("golden-compat.json")).expect("readable");
    let golden: Value = serde_json::from_str(&text).expect("JSON");
    let mut paths = 0;
    for set in golden["mst_paths"].as_array().expect("sets") {
        let folder = folder();
        let tle = data.join(set["tle"].as_str().expect("a file"));
        let tle = tle.to_str().expect("a path");
        let steps = set["steps"].as_array().expect("steps");
        let pair = |step: &Value| {
            let name = |key: &str| step[key].as_str().expect("a name").to_owned();
            format!("{}:{}", name("uplink_graz"), name("uplink_honolulu"))
        };
        let pairs: Vec<String> = steps.iter().map(pair).collect();
        let mut arguments = vec!["--tle", tle, "--model", "stardust-compat", "--links", "mst"];
        arguments.extend(["--start", "2025-10-01T00:00:00Z", "--step", "600", "--steps", "11"]);
        for pair in &pairs {
            arguments.extend(["--route", pair]);
        }
        let one = run(folder.path(), &[&arguments[..], &["--threads", "1"]].concat());
        for threads in ["2", "8"] {
            let more = run(folder.path(), &[&arguments[..], &["--threads", threads]].concat());
            assert_eq!(timeless(&one), timeless(&more), "{threads} threads");
        }
        for (number, step) in steps.iter().enumerate() {
            let found = &one["steps"][number + 1]["routes"][number];
            let ms = found["latency_ms"].as_f64().expect("a route");
            let published = step["path_latency_ms"].as_f64().expect("a number");
            let recomputed = step["recomputed_path_latency_ms"].as_f64().expect("a number");
            assert!((ms - recomputed).abs() < 1.0e-5, "{number}: {ms}, {recomputed}");
            assert!((ms.trunc() - published).abs() < f64::EPSILON, "{number}: {ms}, {published}");
            paths += 1;
        }
    }
    assert_eq!(paths, 20);
}

#[test]
fn the_published_totals_come_out_of_a_run() {
    let Some(data) = shared("the_published_totals_come_out_of_a_run") else { return };
    let text = std::fs::read_to_string(data.join("golden-compat.json")).expect("readable");
    let golden: Value = serde_json::from_str(&text).expect("JSON");
    for total in golden["mst_totals"].as_array().expect("totals") {
        let tle = data.join(total["tle"].as_str().expect("a file"));
        let start = total["time"].as_str().expect("a time");
        let arguments = [
            "--tle",
            tle.to_str().expect("a path"),
            "--model",
            "stardust-compat",
            "--links",
            "mst",
        ];
        let summary = run(folder().path(), &[&arguments[..], &["--start", start]].concat());
        let step = &summary["steps"][0];
        assert_eq!(step["tree_edges"], total["tree_edges"]);
        assert_eq!(step["components"], total["components"]);
        let weight = |value: &Value| value.as_f64().expect("a length");
        let off = (weight(&step["tree_weight_km"]) - weight(&total["weight_km"])).abs();
        assert!(off < 1.0e-3, "{off} km");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits_under_every_rule() {
    let folder = with_cities();
    let base = ["--walker", SHELL, "--ground", "cities.csv", "--steps", "4", "--step", "61"];
    let base = [&base[..], &["--route", "Graz:Honolulu", "--min-elevation", "10"]].concat();
    let protocols = ProtocolKind::ALL.map(|kind| ["--links", kind.name()]);
    let policies = GroundPolicyKind::ALL.map(|kind| ["--ground-links", kind.name()]);
    let models = ["sgp4", "kepler-j2", "stardust-compat"].map(|model| ["--model", model]);
    for rule in protocols.iter().chain(&policies).chain(&models) {
        let arguments = [&base[..], rule].concat();
        let one = run(folder.path(), &[&arguments[..], &["--threads", "1"]].concat());
        for threads in ["2", "8"] {
            let more = run(folder.path(), &[&arguments[..], &["--threads", threads]].concat());
            assert_eq!(timeless(&one), timeless(&more), "{rule:?}, {threads} threads");
        }
        assert_eq!(one["steps"][0]["time"], "2026-01-01T00:00:00.000Z", "{rule:?}");
        assert_eq!((&one["satellites"], &one["stations"]), (&132.into(), &4.into()));
    }
}

#[test]
fn a_replay_tells_what_the_run_told() {
    let folder = with_cities();
    let base = ["--walker", SHELL, "--ground", "cities.csv", "--steps", "5", "--step", "300"];
    let route = ["--route", "Graz:Honolulu"];
    for kind in ProtocolKind::ALL {
        let recorded = ["--links", kind.name(), "--record", "states.bin"];
        let live = run(folder.path(), &[&base[..], &route, &recorded].concat());
        let replayed = run(folder.path(), &["--replay", "states.bin"]);
        assert_eq!(timeless(&live), timeless(&replayed), "{}", kind.name());
    }
    assert!(!folder.path().join("states.bin.part").exists());
    let whole = std::fs::read(folder.path().join("states.bin")).expect("a recording");
    let stride = whole.len() / 40;
    for at in (0..whole.len()).step_by(stride) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x20;
        std::fs::write(folder.path().join("damaged.bin"), &damaged).expect("written");
        let output = call(folder.path(), &["--replay", "damaged.bin"]);
        let code = output.status.code();
        assert!(code == Some(78) || code == Some(0), "byte {at}: {code:?}");
    }
    std::fs::write(folder.path().join("damaged.bin"), &whole[..whole.len() / 2]).expect("written");
    refused(&call(folder.path(), &["--replay", "damaged.bin"]), 78, "damaged.bin");
}

#[test]
fn the_same_tables_lie_in_both_notations_and_the_page_stands_alone() {
    let folder = with_cities();
    let base = ["--walker", SHELL, "--ground", "cities.csv", "--steps", "3", "--csv", "tables"];
    run(folder.path(), &[&base[..], &["--parquet", "parquet", "--html", "page.html"]].concat());
    let steps = std::fs::read_to_string(folder.path().join("tables/steps.csv")).expect("a table");
    assert_eq!(steps.lines().count(), 4, "{steps}");
    assert!(folder.path().join("parquet/steps.parquet").exists());
    let page = std::fs::read_to_string(folder.path().join("page.html")).expect("a page");
    assert!(page.contains("Graz") && !page.contains("src=\"http"));
}

const FLOOD: &str = r#"
name = "flood"
steps = 20
step_s = 60.0
[sources]
walker = ["12x11:550:53:5"]
ground = ["cities.csv"]
[plugin.coverage]
[plugin.energy]
[[workflow]]
name = "flood"
lifetime_steps = 5
[[workflow.task]]
name = "object-det"
milli_cpu = 4000
memory_mib = 2
latency_max_ms = 175.0
[[workflow.task]]
name = "extract-frames"
milli_cpu = 4000
memory_mib = 2
latency_max_ms = 150.0
to = { task = "object-det" }
[[workflow.task]]
name = "ingest"
milli_cpu = 1000
memory_mib = 2
latency_max_ms = 100.0
to = { task = "extract-frames" }
[[workflow.task]]
name = "prepare-ds"
milli_cpu = 4000
memory_mib = 4
latency_max_ms = 100.0
to = { task = "object-det" }
[[change]]
node = "Quito"
from_s = 120.0
to_s = 300.0
down = true
"#;

#[test]
fn the_flood_workflow_of_the_paper_finds_places_at_every_step() {
    let folder = with_cities();
    std::fs::write(folder.path().join("flood.toml"), FLOOD).expect("written");
    let summary = run(folder.path(), &["flood.toml"]);
    let steps = summary["steps"].as_array().expect("steps");
    assert_eq!(steps.len(), 20);
    for (number, step) in steps.iter().enumerate() {
        let workload = &step["workload"];
        assert_eq!((&workload["deployed"], &workload["refused"]), (&1.into(), &0.into()), "{step}");
        // One instance more at each step, until the first ones are removed.
        assert_eq!(workload["instances"], Value::from((number + 1).min(5)), "{step}");
        assert_eq!(workload["tasks"], Value::from(4 * (number + 1).min(5)));
    }
    let figures = &summary["figures"];
    let share = figures["coverage"]["linked_share"].as_f64().expect("a share");
    assert!(0.0 < share && share <= 1.0, "{figures}");
    // A flag comes before the file.
    let short = run(folder.path(), &["flood.toml", "--steps", "2"]);
    assert_eq!(short["steps"].as_array().map(Vec::len), Some(2));
    assert_eq!(timeless(&short)[1], timeless(&summary)[1]);
}

#[test]
fn what_cannot_be_run_is_refused_in_one_line() {
    let folder = with_cities();
    let put = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    let call = |arguments: &[&str]| call(folder.path(), arguments);
    refused(&call(&[]), 78, "no satellites: name some with --tle, --omm or --walker");
    let walker = ["--walker", SHELL];
    refused(&call(&[&walker[..], &["--step", "0"]].concat()), 78, "--step");
    refused(&call(&[&walker[..], &["--steps", "0"]].concat()), 78, "--steps");
    refused(&call(&[&walker[..], &["--speed", "0"]].concat()), 78, "--speed");
    let route = [&walker[..], &["--route", "nowhere:elsewhere"]].concat();
    refused(&call(&route), 3, "nowhere");
    put("twins.csv", "name,lat_deg,lon_deg,kind\nGraz,47,15,cloud\nGraz,48,15,cloud\n");
    refused(&call(&[&walker[..], &["--ground", "twins.csv"]].concat()), 78, "Graz");
    put("empty.tle", "");
    refused(&call(&["--tle", "empty.tle"]), 78, "empty.tle");
    put("odd.toml", "name = 'x'\nstep = 3\n");
    refused(&call(&["odd.toml"]), 78, "odd.toml");
    put("rule.toml", "[links]\nprotocol = 'mesh'\n");
    refused(&call(&["rule.toml"]), 78, "use one of none, plus_grid");
    refused(&call(&["missing.toml"]), 78, "missing.toml");
    let unwritable = [&walker[..], &["--csv", "cities.csv"]].concat();
    refused(&call(&unwritable), 1, "cities.csv");
    refused(&call(&["--replay", "cities.csv"]), 78, "is no recording");
}

/// A satellite at 190 km with the drag of a balloon.
const FALLING: &str = "FALLING\n\
    1 99999U 26001A   26001.00000000  .10000000  00000-0  10000-0 0  0014\n\
    2 99999  53.0000   0.0000 0001000   0.0000   0.0000 16.30000000    17\n";

#[test]
fn a_satellite_that_has_come_down_is_counted_and_the_run_goes_on() {
    let folder = with_cities();
    std::fs::write(folder.path().join("falling.tle"), FALLING).expect("written");
    let base = ["--tle", "falling.tle", "--lenient", "--walker", SHELL, "--ground", "cities.csv"];
    let late = ["--start", "2026-01-01T00:00:00Z", "--step", "86400", "--steps", "40"];
    for kind in ProtocolKind::ALL {
        let links = ["--links", kind.name()];
        let summary = run(folder.path(), &[&base[..], &late, &links].concat());
        assert_eq!(summary["steps"][0]["down"], 0, "{}", kind.name());
        assert_eq!(summary["steps"][39]["down"], 1, "{}", kind.name());
    }
}

#[test]
fn one_and_two_satellites_and_no_stations_are_enough() {
    let folder = folder();
    for (walker, satellites) in [("1x1:550:53", 1), ("1x2:550:53", 2), ("2x2:550:53", 4)] {
        for kind in ProtocolKind::ALL {
            let summary = run(folder.path(), &["--walker", walker, "--links", kind.name()]);
            assert_eq!(summary["satellites"], satellites);
            assert_eq!(summary["stations"], 0);
            let parts = summary["steps"][0]["components"].as_u64().expect("a count");
            assert!((1..=satellites).contains(&parts), "{walker} {}", kind.name());
        }
    }
}

#[test]
fn a_paced_run_takes_its_time_and_ends_cleanly_when_asked() {
    let folder = with_cities();
    let base = ["--walker", SHELL, "--steps", "1000", "--step", "60", "--speed", "600"];
    let mut program = Command::new(env!("CARGO_BIN_EXE_starbelt-sim"));
    program.current_dir(folder.path()).arg("run").args(base).args(["--json", "out.json"]);
    let mut child = program.stdout(std::process::Stdio::null()).spawn().expect("it starts");
    let begun = std::time::Instant::now();
    std::thread::sleep(std::time::Duration::from_millis(700));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it can be asked");
    let status = child.wait().expect("it ends");
    let most = begun.elapsed().as_secs_f64() * 10.0 + 2.0;
    assert_eq!(status.code(), Some(130));
    let text = std::fs::read_to_string(folder.path().join("out.json")).expect("a summary");
    let summary: Value = serde_json::from_str(&text).expect("the summary is whole");
    let steps = summary["steps"].as_array().expect("steps").len();
    // Ten steps a second and no more, however fast the machine.
    assert!(1 <= steps && u32::try_from(steps).is_ok_and(|n| f64::from(n) <= most), "{steps}");
}
