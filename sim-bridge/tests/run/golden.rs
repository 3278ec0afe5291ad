//! Stardust's golden values through the program: positions, path and route latencies, edge counts, tree weight.
//!
//! The data lie beside the repository in `../shared/data/stardust`; without them each test says so in one line and passes.

use std::process::Command;

use serde_json::Value;

use super::support::shared;
use super::{
    PROGRAM, read_json, scenario, simulation, steps, summary, time, time_of, timeless, utf8, write,
};

const START: &str = "2025-10-01T00:00:00Z";

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

/// The summary of a run on so many threads: all the same.
fn summary_on_any_threads(args: &[&str]) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let on = |threads| timeless(summary(folder.path(), &[args, &["--threads", threads]].concat()));
    let one = on("1");
    for threads in ["2", "8"] {
        assert!(one == on(threads), "{threads} threads");
    }
    one
}

#[test]
fn the_published_path_and_route_latencies_come_out_of_runs_on_any_threads() {
    let test = "the_published_path_and_route_latencies_come_out_of_runs_on_any_threads";
    let Some([data]) = shared(test, ["stardust"]) else { return };
    let golden = read_json(&data.join("golden-compat.json"));
    // Fact sheet, golden vectors (b'): whole ms over the nearest satellites, from an independent computation.
    let nearest: [[f64; 10]; 2] = [
        [72.0, 73.0, 73.0, 90.0, 194.0, 85.0, 69.0, 206.0, 80.0, 73.0],
        [75.0, 78.0, 72.0, 195.0, 108.0, 85.0, 125.0, 163.0, 143.0, 86.0],
    ];
    let (stations, mut equal) = (data.join("ground-stations.csv"), 0);
    for (set, nearest) in list(&golden["mst_paths"]).iter().zip(nearest) {
        let tle = data.join(text(&set["tle"]));
        let steps = list(&set["steps"]);
        let pair = |step: &Value| {
            format!("{}:{}", text(&step["uplink_graz"]), text(&step["uplink_honolulu"]))
        };
        let pairs: Vec<String> = steps.iter().map(pair).collect();
        let mut args = vec!["--model", "stardust-compat", "--links", "mst", "--start", START];
        args.extend(["--step", "600", "--steps", "11", "--route", "Graz:Honolulu"]);
        args.extend(["--tle", utf8(&tle), "--ground", utf8(&stations)]);
        args.extend(pairs.iter().flat_map(|pair| ["--route", pair]));
        let run = summary_on_any_threads(&args);
        assert_eq!(run["stations"], 85);
        assert_eq!(time(&run["steps"][0]), time_of(START));
        for (index, step) in steps.iter().enumerate() {
            let ours = &run["steps"][index + 1];
            assert_eq!(time(ours), time(step));
            let path = number(&ours["routes"][index + 1]["latency_ms"]);
            assert_eq!(path.trunc().to_bits(), number(&step["path_latency_ms"]).to_bits());
            assert!((path - number(&step["recomputed_path_latency_ms"])).abs() < 1.0e-5);
            let route = number(&ours["routes"][0]["latency_ms"]);
            assert_eq!(route.trunc().to_bits(), nearest[index].to_bits(), "{ours}");
            equal += 1;
        }
    }
    assert_eq!(equal, 20);
}

#[test]
fn the_logged_positions_come_out_to_a_millimetre() {
    let Some([data]) = shared("the_logged_positions_come_out_to_a_millimetre", ["stardust"]) else {
        return;
    };
    let golden = read_json(&data.join("golden-compat.json"));
    let mut logged: Vec<(&str, &str, &str, &Value)> = list(&golden["positions"])
        .iter()
        .map(|p| (text(&p["tle"]), text(&p["time"]), text(&p["name"]), &p["position_m"]))
        .collect();
    for set in list(&golden["mst_paths"]) {
        let first = &set["steps"][0];
        for end in ["graz", "honolulu"] {
            let (name, place) = (format!("uplink_{end}"), format!("position_{end}_uplink_m"));
            let (time, name) = (text(&first["time"]), text(&first[name]));
            logged.push((text(&set["tle"]), time, name, &first[place]));
        }
    }
    for (tle, time, name, position_m) in logged {
        let tle = data.join(tle);
        let args = ["--model", "stardust-compat", "--tle", utf8(&tle), "--at", time];
        let output = Command::new(PROGRAM)
            .args(["position", "--sat", name, "--json", "-"])
            .args(args)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let answer: Value = serde_json::from_slice(&output.stdout).expect(&told);
        let ours_km = list(&answer["satellites"][0]["teme_km"]);
        for (km, m) in ours_km.iter().zip(list(position_m)) {
            let off_m = (number(km) * 1000.0 - number(m)).abs();
            assert!(off_m <= 1.0e-3, "{name}: {off_m} m");
        }
    }
}

#[test]
fn the_totals_of_the_large_set_come_out_of_runs_on_any_threads() {
    let test = "the_totals_of_the_large_set_come_out_of_runs_on_any_threads";
    let Some([data]) = shared(test, ["stardust"]) else { return };
    let golden = read_json(&data.join("golden-compat.json"));
    for total in list(&golden["mst_totals"]) {
        let tle = data.join(text(&total["tle"]));
        let args = ["--model", "stardust-compat", "--links", "mst", "--tle", utf8(&tle)];
        let args = [&args[..], &["--start", text(&total["time"])]].concat();
        let run = summary_on_any_threads(&args);
        let step = &run["steps"][0];
        assert_eq!(run["satellites"], total["satellites"]);
        assert_eq!(step["links"], total["tree_edges"]);
        assert_eq!(step["tree_edges"], total["tree_edges"]);
        assert_eq!(step["components"], total["components"]);
        let off_km = number(&step["tree_weight_km"]) - number(&total["weight_km"]);
        assert!(off_km.abs() < 1.0e-2, "{off_km} km");
    }
}

/// A line of an element set with its epoch `later_s` later, its name or checksum left as they are.
fn later(line: &str, later_s: f64) -> String {
    if !line.starts_with("1 ") {
        return line.to_owned();
    }
    let day: f64 = line[20..32].trim().parse().expect("a day");
    format!("{}{:012.8}{}", &line[..20], day + later_s / 86_400.0, &line[32..])
}

#[test]
fn three_times_the_large_set_runs_by_the_rule_of_the_paper() {
    let test = "three_times_the_large_set_runs_by_the_rule_of_the_paper";
    let Some([data]) = shared(test, ["stardust"]) else { return };
    let one = std::fs::read_to_string(data.join("tle/starlink-2024-12-15.tle")).unwrap();
    let mut all = one.clone();
    for (copy, later_s) in [("DUPLICATE1", 300.0), ("DUPLICATE2", 600.0)] {
        for (index, line) in one.lines().enumerate() {
            let line = line.trim_end();
            let line = if index % 3 == 0 { format!("{line} {copy}") } else { later(line, later_s) };
            all += &line;
            all.push('\n');
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let tle = write(folder.path(), "triple.tle", &all);
    // Copies keep their checksums and numbers, as the published files do.
    let scenario = scenario(&format!(
        "start = '{START}'\nsteps = 1\nmodel = 'stardust-compat'\n\
         [sources]\ntle = ['{}']\nlenient = true\n[links]\nprotocol = 'mst_smart_loop'\n",
        utf8(&tle)
    ));
    let mut simulation = simulation(&scenario, Vec::new());
    let (moment, summary) = steps(&scenario, &mut simulation).remove(0);
    assert_eq!(moment.positions_km.len(), 20_646);
    assert_eq!((summary.down, summary.components), (0, 1));
    assert_eq!(summary.tree_edges, Some(20_645));
    assert!(20_645 < summary.links);
}
