//! `starbelt-sim convert` as a whole: each format into each other one, Walker shells, lenient reading, exit codes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use orbit::catalog::{self, ReadPolicy};
use orbit::{Elements, WalkerShell};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_starbelt-sim");
const TARGETS: [&str; 5] = ["tle", "omm-json", "omm-csv", "omm-kvn", "omm-xml"];
/// Exit code of a bad configuration.
const BAD_CONFIG: i32 = 78;

fn made_up(extension: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/orbit/tests/data/formats");
    folder.join(format!("made-up.{extension}"))
}

fn convert(args: &[&str]) -> Output {
    Command::new(PROGRAM).arg("convert").args(args).output().expect("the program runs")
}

#[track_caller]
fn text(output: Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).expect("the output is text")
}

#[track_caller]
fn refused(args: &[&str], expected: &str) {
    let output = convert(args);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(BAD_CONFIG), "{told}");
    assert!(told.contains(expected), "{told}");
    assert_eq!(told.trim_end().lines().count(), 1, "{told}");
    assert!(output.stdout.is_empty(), "{told}");
}

fn elements(text: &str) -> Vec<Elements> {
    catalog::read(text, None, ReadPolicy::default()).expect("what was written is right").0
}

#[test]
fn each_format_becomes_each_other_one() {
    let expected = elements(&std::fs::read_to_string(made_up("json")).unwrap());
    for (flag, extension) in
        [("--tle", "tle"), ("--omm", "json"), ("--omm", "csv"), ("--omm", "kvn"), ("--omm", "xml")]
    {
        let file = made_up(extension);
        for target in TARGETS {
            let written = text(convert(&[flag, file.to_str().unwrap(), "--to", target]));
            let read = elements(&written);
            assert_eq!(read.len(), expected.len(), "{extension} to {target}");
            for (read, expected) in read.iter().zip(&expected) {
                assert!(read.says_the_same_as(expected), "{extension} to {target}: {read:?}");
            }
        }
    }
}

#[test]
fn shells_get_numbers_and_become_elements_that_fly_alike() {
    refused(
        &["--walker", "2x3:550:53:1", "--to", "tle"],
        "object \"walker-1-00-00\", catalog number: \"\" must be a number up to 339999 for TLE",
    );
    let shell = WalkerShell::from_line("2x3:550:53:1", "walker-1").unwrap().elements().unwrap();
    let args = ["--walker", "2x3:550:53:1", "--to", "omm-json", "--first-number", "80000"];
    let json = elements(&text(convert(&args)));
    let tle = elements(&text(convert(&[&args[..3], &["tle"], &args[4..]].concat())));
    assert_eq!((json.len(), tle.len()), (6, 6));
    for ((exact, rounded), own) in json.iter().zip(&tle).zip(&shell) {
        let places = [exact, rounded, own].map(|e| e.state_teme(60.0).unwrap().0);
        let off_km = |k: usize| (0..3).map(|i| (places[k][i] - places[2][i]).abs()).sum::<f64>();
        assert!(off_km(0) < 1.0e-6 && off_km(1) < 0.1, "{} {}", off_km(0), off_km(1));
    }
    assert_eq!((json[0].catalog.as_str(), json[5].catalog.as_str()), ("80000", "80005"));
}

#[test]
fn sources_mix_and_their_faults_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let set = std::fs::read_to_string(made_up("tle")).unwrap();
    let faulty = set.replace("  53.0000 ", "  53.0001 ").replace("MADE-UP", "OTHER");
    let bad = faulty.replace("2 Z9999 ", "2 Z9998 ").replacen("2 Z9998 ", "2 Z9999X", 1);
    std::fs::write(path("bad.tle"), bad).unwrap();
    std::fs::write(path("shells.toml"), SHELLS).unwrap();
    let (good, bad, shells) = (made_up("xml"), path("bad.tle"), path("shells.toml"));
    let json = path("result.json");
    let out = path("out.csv");
    let args = ["--omm", good.to_str().unwrap(), "--tle", &bad, "--walker", &shells, "--lenient"];
    let more = ["--to", "omm-csv", "--out", &out, "--json", &json];
    let output = convert(&[args.as_slice(), &more].concat());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(told.contains("warning: skipped: ") && told.contains("bad.tle: line 9"), "{told}");
    assert!(output.stdout.is_empty());
    let summary: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    // Two of three of the faulty set, three more of the same numbers, 2 x 3 and 1 x 2 of the shells.
    for (key, count) in [
        ("satellites", 2 + 3 + 8),
        ("wrong_checksums", 1),
        ("repeated_catalog_numbers", 2),
        ("skipped", 1),
        ("renamed", 0),
    ] {
        assert_eq!(summary[key], count, "{key} of {summary}");
    }
    assert_eq!(summary["warnings"].as_array().unwrap().len(), 4, "{summary}");
    let written = std::fs::read_to_string(&out).unwrap();
    assert_eq!(written.lines().count(), 1 + 13);
}

const SHELLS: &str = "[[shell]]\nname = 'low'\nplanes = 2\nslots = 3\naltitude_km = 550.0\ninclination_deg = 53.0
phasing = 1\nepoch = '2026-01-01T00:00:00Z'\n[[shell]]\nname = 'polar'\nplanes = 1\nslots = 2\naltitude_km = 780.0
inclination_deg = 86.4\nphasing = 0\nraan_span_deg = 180.0\nepoch = '2026-01-01T00:00:00Z'\n";

#[test]
fn what_cannot_be_read_is_said_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let to = ["--to", "tle"];
    let with = |flag: &str, path: &str, expected: &str| {
        refused(&[&[flag, path], to.as_slice()].concat(), expected);
    };
    refused(&to, "no satellites: name some with --tle, --omm or --walker");
    with("--tle", &file("empty.tle", ""), "empty.tle: must hold at least one element set");
    with(
        "--tle",
        &file("no.tle", "No GP data found"),
        "no.tle: must hold at least one element set",
    );
    with("--omm", &file("a.tle", "SAT\n1 25544U"), "a.tle: must be OMM as JSON, CSV, KVN or XML");
    with(
        "--omm",
        &file("a.html", "<html>"),
        "a.html: line 1, file: \"<html>\" must be element sets",
    );
    with("--walker", "72x22:550", "--walker 72x22:550: shell \"72x22:550\" must be PLANESxSLOTS");
    let bad = SHELLS.replace("slots = 2", "slots = 0");
    with(
        "--walker",
        &file("bad.toml", &bad),
        "bad.toml, line 12, shell[1].slots: 0 must be at least 1",
    );
    with("--walker", &file("none.toml", "shell = []"), "none.toml: must hold at least one shell");
    let good = made_up("json");
    let good = good.to_str().unwrap();
    refused(
        &["--omm", good, "--omm", good, "--to", "tle"],
        "is that of record 1 \"MADE-UP 1\" on line 2 of ",
    );
    let csv = "name,lat_deg,lon_deg,kind\nMADE-UP 3,1,2,user\n";
    let ground = file("g.csv", csv);
    let shared = "station \"MADE-UP 3\" must not have the name of a satellite";
    refused(&["--omm", good, "--ground", &ground, "--to", "tle"], shared);
    let twice = file("h.csv", &format!("{csv}MADE-UP 3,1,2,user\n"));
    refused(
        &["--omm", good, "--ground", &twice, "--to", "tle"],
        "h.csv, line 3: name \"MADE-UP 3\" must not",
    );
    let lenient = ["--tle", &file("x.tle", "SAT\nSAT\n"), "--lenient", "--to", "tle"];
    refused(
        &lenient,
        "x.tle: must hold at least one element set that can be read; line 2, record 2, name",
    );
}

#[test]
fn duplicates_have_names_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let set = std::fs::read_to_string(made_up("tle")).unwrap();
    let tle = file("set.tle", &set.replace("MADE-UP 3", "MADE-UP 1 DUPLICATE1"));
    let args = ["--tle", &tle, "--satellites", "9", "--to", "omm-json"];
    let all: Value = serde_json::from_str(&text(convert(&args))).unwrap();
    let names: BTreeSet<&str> =
        all.as_array().unwrap().iter().map(|e| e["OBJECT_NAME"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 9, "{names:?}");
    assert!(names.contains("MADE-UP 1 DUPLICATE2"), "{names:?}");
    let ground = file("g.csv", "name,lat_deg,lon_deg,kind\nMADE-UP 1 DUPLICATE2,1,2,user\n");
    refused(
        &[&args[..], &["--ground", &ground]].concat(),
        "station \"MADE-UP 1 DUPLICATE2\" must not have the name of a satellite",
    );
}

#[test]
fn too_many_satellites_are_refused_before_they_are_made() {
    // A million satellites take 0.8 GB; what they would be is known from twelve words.
    let shells = "--walker 100x1000:550:53 ".repeat(12);
    let limited = format!("ulimit -d 400000; exec {PROGRAM} convert {shells} --to tle");
    let output = Command::new("sh").args(["-c", &limited]).output().expect("a shell");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(BAD_CONFIG), "{told}");
    assert!(told.contains("1200000 satellites in all must be at most 200000"), "{told}");
}

#[test]
fn names_that_repeat_stay_or_are_renamed_and_only_other_commands_refuse_them() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other.csv");
    let text_of = std::fs::read_to_string(made_up("csv")).unwrap();
    let renumbered =
        text_of.replace(",90004,", ",1,").replace(",270449,", ",2,").replace(",339999,", ",3,");
    std::fs::write(&other, renumbered).unwrap();
    let (good, other) = (made_up("csv"), other.to_str().unwrap());
    let sources = ["--omm", good.to_str().unwrap(), "--omm", other];
    let position = ["position", "--at", "2026-11-01T00:00:00Z"];
    let output = Command::new(PROGRAM).args(position).args(sources).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let rule = "name: \"MADE-UP 1\" must not come twice, but is that of record 1 \"MADE-UP 1\" on line 2 of ";
    assert!(output.status.code() == Some(BAD_CONFIG) && told.contains(rule), "{told}");
    let args = [&sources[..], &["--to", "omm-json"]].concat();
    let read: Value = serde_json::from_str(&text(convert(&args))).unwrap();
    let names: Vec<&str> =
        read.as_array().unwrap().iter().filter_map(|o| o["OBJECT_NAME"].as_str()).collect();
    assert_eq!(names[..3], names[3..]);
    let read = elements(&text(convert(&[args.as_slice(), &["--rename"]].concat())));
    let names: Vec<&str> = read.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names[3..], ["MADE-UP 1#2", "MADE-UP 2 [DTC]#2", "MADE-UP 3#2"]);
}
