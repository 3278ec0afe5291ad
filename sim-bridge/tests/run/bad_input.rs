//! What is wrong with the input of a run: one clear line each, and exit code 78.

use super::{CITIES, START, run, utf8, write};

/// Exit code of a bad configuration.
const BAD_CONFIG: i32 = 78;
/// Exit code of a name that does not exist.
const NOT_FOUND: i32 = 3;

#[track_caller]
fn refused(args: &[&str], code: i32, expected: &[&str]) {
    let output = run(args);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{told}");
    for part in expected {
        assert!(told.contains(part), "no {part:?} in: {told}");
    }
    assert_eq!(told.trim_end().lines().count(), 1, "{told}");
    assert!(output.stdout.is_empty());
}

const SHELL: [&str; 4] = ["--walker", "2x3:550:53:1@2026-03-20T12:00:00Z", "--start", START];

#[test]
fn flags_that_break_a_rule_are_named() {
    let with = |more: &[&'static str]| [&SHELL[..], more].concat();
    refused(&["--start", START], BAD_CONFIG, &["no satellites", "--walker"]);
    refused(&with(&["--step", "0"]), BAD_CONFIG, &["--step", "0 is outside"]);
    refused(&with(&["--steps", "0"]), BAD_CONFIG, &["--steps", "0 is outside"]);
    refused(&with(&["--speed", "0"]), BAD_CONFIG, &["--speed", "0 is outside"]);
    refused(&with(&["--min-elevation", "90"]), BAD_CONFIG, &["--min-elevation", "90 is outside"]);
    refused(&with(&["--route", "nobody:nothing"]), NOT_FOUND, &["\"nobody\""]);
    let absent = ["--tle", "/nowhere/absent.tle"];
    refused(&absent, BAD_CONFIG, &["/nowhere/absent.tle"]);
}

#[test]
fn files_that_break_a_rule_are_named_with_line_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let head = format!("start = '{START}'\n[sources]\nwalker = ['2x3:550:53:1@{START}']\n");
    let refused_file = |tail: &str, expected: &[&str]| {
        let file = write(folder.path(), "bad.toml", &format!("{head}{tail}"));
        refused(&[utf8(&file)], BAD_CONFIG, &[&["bad.toml"], expected].concat());
    };
    refused_file(
        "[links]\nprotocol = 'star'\n",
        &["line 5", "links.protocol", "\"star\"", "plus_grid"],
    );
    refused_file("[links]\nprotokoll = 'mst'\n", &["line 5", "protokoll"]);
    refused_file("[ground_links]\npolicy = 'any'\n", &["line 5", "\"any\"", "all_visible"]);
    refused_file("[[workflow]]\nname = 'w'\n", &["task"]);
    let task =
        "[[workflow]]\nname = 'w'\n[[workflow.task]]\nname = 't'\nmilli_cpu = 1\nmemory_mib = 1\n";
    refused_file(&format!("{task}to = {{ task = 'later' }}\n"), &["line 10", "\"later\""]);
    refused_file(&format!("{task}on = []\n"), &["line 10", "at least one"]);
    refused_file("[[change]]\nfrom_s = 0.0\n", &["either a node or a link"]);
    refused_file("[[station]\n", &["line 4"]);
}

#[test]
fn names_that_nothing_has_are_told_apart_from_bad_files() {
    let folder = tempfile::tempdir().unwrap();
    let head = format!("start = '{START}'\n[sources]\nwalker = ['2x3:550:53:1@{START}']\n");
    for (tail, expected) in [
        ("[[route]]\nfrom = 'A'\nto = 'B'\n", "route[0].from"),
        ("[[change]]\nnode = 'Atlantis'\nfrom_s = 0.0\n", "\"Atlantis\""),
    ] {
        let file = write(folder.path(), "scenario.toml", &format!("{head}{tail}"));
        refused(&[utf8(&file)], NOT_FOUND, &[expected]);
    }
}

#[test]
fn two_stations_of_one_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let twins = write(folder.path(), "twins.csv", &format!("{CITIES}Vienna,1,2,edge\n"));
    let args = [&SHELL[..], &["--ground", utf8(&twins)]].concat();
    refused(&args, BAD_CONFIG, &["Vienna"]);
    // Also across files, and with a satellite's name.
    let cities = write(folder.path(), "cities.csv", CITIES);
    let again = write(folder.path(), "again.csv", "name,lat_deg,lon_deg,kind\nLima,0,0,edge\n");
    let args = [&SHELL[..], &["--ground", utf8(&cities), "--ground", utf8(&again)]].concat();
    refused(&args, BAD_CONFIG, &["Lima"]);
    let station = "[[station]]\nname = 'Lima'\nlat_deg = 0.0\nlon_deg = 0.0\n";
    let text = format!(
        "start = '{START}'\n[sources]\nwalker = ['2x3:550:53:1@{START}']\nground = ['cities.csv']\n{station}"
    );
    let file = write(folder.path(), "scenario.toml", &text);
    refused(&[utf8(&file)], BAD_CONFIG, &["Lima"]);
}

#[test]
fn a_bad_record_is_named_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let good = "1 00001U 26001A   26079.50000000  .00000000  00000+0  10000-4 0  999";
    let file = write(folder.path(), "bad.tle", &format!("A\n{good}0\n2 00001 nonsense\n"));
    refused(&["--tle", utf8(&file)], BAD_CONFIG, &["bad.tle", "line"]);
    let empty = write(folder.path(), "empty.tle", "");
    refused(&["--tle", utf8(&empty)], BAD_CONFIG, &["empty.tle"]);
}
