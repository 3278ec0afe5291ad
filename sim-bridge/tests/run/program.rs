//! The program: flags and files, its clock, its end.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    CITIES, PROGRAM, START, read_json, run, summary, time, time_of, timeless, utf8, write,
};

/// Walker shells made for the start.
const SMALL: &str = "2x3:550:53:1@2026-03-20T12:00:00Z";
const LARGE: &str = "24x22:550:53:17@2026-03-20T12:00:00Z";
/// Longest wait for another process before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn flags_come_before_what_the_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(
        folder.path(),
        "scenario.toml",
        &format!(
            "name = 'of the file'\nstart = '{START}'\nsteps = 5\nstep_s = 10.0\n\
             [sources]\nwalker = ['12x11:550:53:5']\nground = ['cities.csv']\n\
             [links]\nprotocol = 'plus_grid'\n"
        ),
    );
    write(folder.path(), "cities.csv", CITIES);
    let plain = summary(folder.path(), &[utf8(&file)]);
    assert_eq!((&plain["scenario"], &plain["model"]), (&"of the file".into(), &"sgp4".into()));
    assert_eq!((&plain["satellites"], &plain["stations"]), (&132.into(), &4.into()));
    assert_eq!(plain["steps"].as_array().unwrap().len(), 5);
    assert!(plain["steps"][0]["tree_weight_km"].is_null());
    let args = ["--steps", "2", "--step", "30", "--links", "mst", "--walker", LARGE];
    let args = [&[utf8(&file), "--model", "kepler-j2"][..], &args].concat();
    let changed = summary(folder.path(), &args);
    assert_eq!((&changed["satellites"], &changed["stations"]), (&528.into(), &4.into()));
    assert_eq!(changed["model"], "kepler-j2");
    let steps = changed["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 2);
    assert_eq!(time(&steps[0]), time_of(START));
    assert_eq!(time(&steps[1]), time_of("2026-03-20T12:00:30Z"));
    assert!(steps[0]["tree_weight_km"].is_f64());
}

#[test]
fn a_run_of_flags_alone_is_the_same_on_1_2_and_8_threads() {
    let folder = tempfile::tempdir().unwrap();
    let cities = write(folder.path(), "cities.csv", CITIES);
    let args = ["--walker", LARGE, "--ground", utf8(&cities), "--start", START];
    let args = [&args[..], &["--steps", "3", "--route", "Vienna:Sydney"]].concat();
    let on =
        |threads| timeless(summary(folder.path(), &[&args[..], &["--threads", threads]].concat()));
    let one = on("1");
    assert_eq!(time(&one["steps"][0]), time_of(START));
    assert_eq!(one["steps"][0]["routes"][0]["path"][0], "Vienna");
    assert!(one == on("2") && one == on("8"));
}

#[test]
fn a_given_speed_is_not_exceeded() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--walker", SMALL, "--start", START, "--steps", "6", "--step", "1"];
    let began = Instant::now();
    summary(folder.path(), &[&args[..], &["--speed", "10"]].concat());
    // The last of six steps of 1 s is due after 5 s, at ten times real time after half a second.
    assert!(Duration::from_millis(500) <= began.elapsed());
}

/// Waits until `done`, or fails.
fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_interrupt_ends_a_run_with_complete_files_and_exit_code_130() {
    for signal in [Signal::INT, Signal::TERM] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let args = ["--walker", SMALL, "--start", START, "--steps", "1000", "--step", "1"];
        let mut child = Command::new(PROGRAM)
            .arg("run")
            .args(args)
            .args(["--speed", "1", "--json"])
            .arg(at("summary.json"))
            .arg("--record")
            .arg(at("run.rec"))
            .arg("--csv")
            .arg(at("tables"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The tables begin when all is ready.
        wait("the first table", || at("tables").exists());
        kill_process(Pid::from_child(&child), signal).unwrap();
        wait("the end", || child.try_wait().unwrap().is_some());
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(130), "{told}");
        assert!(told.contains("of 1000 steps"), "{told}");
        let steps = read_json(&at("summary.json"))["steps"].as_array().unwrap().len();
        assert!(steps < 1000, "{steps}");
        let rows = fs::read_to_string(at("tables/steps.csv")).unwrap();
        assert_eq!(rows.lines().count(), 1 + steps, "{rows}");
        let again = summary(folder.path(), &["--replay", utf8(&at("run.rec"))]);
        assert_eq!(again["steps"].as_array().unwrap().len(), steps);
        assert_nothing_half_written(folder.path());
    }
}

fn assert_nothing_half_written(folder: &std::path::Path) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        assert!(!name.ends_with(".part") && !name.ends_with(".new"), "{name}");
        if path.is_dir() {
            assert_nothing_half_written(&path);
        }
    }
}

#[test]
fn results_that_cannot_be_written_end_the_run_with_their_name_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = write(folder.path(), "file", "no folder");
    for flag in ["--csv", "--parquet", "--html", "--record", "--json"] {
        let target = in_the_way.join("result");
        let args = ["--walker", SMALL, "--start", START, flag, utf8(&target)];
        // What was begun beside it goes, too.
        let recording = folder.path().join("run.rec");
        let beside = ["--record", utf8(&recording)];
        let more = if flag == "--record" || flag == "--json" { &[][..] } else { &beside };
        let output = run(&[&args[..], more].concat());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{flag}: {told}");
        assert!(told.contains(utf8(&in_the_way)), "{flag}: {told}");
        assert_eq!(told.trim_end().lines().count(), 1, "{flag}: {told}");
        assert_nothing_half_written(folder.path());
    }
}

/// A set of two lines with right checksums.
fn tle(name: &str, number: u32, drag: &str, rev_day: &str) -> String {
    let signed = |line: String| {
        let sum: u32 =
            line.chars().map(|c| if c == '-' { 1 } else { c.to_digit(10).unwrap_or(0) }).sum();
        format!("{line}{}\n", sum % 10)
    };
    let first =
        format!("1 {number:05}U 26001A   26079.50000000  .00000000  00000+0  {drag} 0  999");
    let second =
        format!("2 {number:05}  53.0000   0.0000 0001000   0.0000   0.0000 {rev_day}    0");
    format!("{name}\n{}{}", signed(first), signed(second))
}

#[test]
fn satellites_that_decay_are_counted_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let sets =
        tle("FALLS", 1, "99999-1", "16.20000000") + &tle("STAYS", 2, "10000-4", "15.05000000");
    let file = write(folder.path(), "two.tle", &sets);
    let args = [
        "--tle",
        utf8(&file),
        "--start",
        START,
        "--links",
        "none",
        "--step",
        "86400",
        "--steps",
        "15",
    ];
    let run = summary(folder.path(), &args);
    let steps = run["steps"].as_array().unwrap();
    let down: Vec<u64> = steps.iter().map(|step| step["down"].as_u64().unwrap()).collect();
    assert_eq!((down.len(), down[0], down[14]), (15, 0, 1), "{down:?}");
    assert_eq!((&steps[0]["components"], &steps[14]["components"]), (&2.into(), &1.into()));
}
