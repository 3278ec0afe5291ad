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
    let twice = "[[change]]\nfrom_s = 0.0\ndown = true\nlink = ['A', 'A']\n";
    refused_file(twice, &["line 7", "change[0].link", "two ends", "\"A\""]);
}

#[test]
fn stations_of_a_scenario_keep_the_rules_of_stations_of_files() {
    let folder = tempfile::tempdir().unwrap();
    let refused_station = |tail: &str, expected: &[&str]| {
        let text = format!(
            "start = '{START}'\n[sources]\nwalker = ['2x3:550:53:1@{START}']\n\
             [[station]]\nname = 'ship'\nlat_deg = 50.0\nlon_deg = 170.0\n{tail}"
        );
        let file = write(folder.path(), "bad.toml", &text);
        refused(&[utf8(&file)], BAD_CONFIG, &[&["bad.toml", "station[0]."], expected].concat());
    };
    let opposite = "way = [{ at = '2026-03-20T12:00:00Z', lat_deg = 50.0, lon_deg = 170.0 },\n\
        { at = '2026-03-20T13:00:00Z', lat_deg = -50.0, lon_deg = -10.0 }]\n";
    refused_station(opposite, &["line 9", "way[1].lat_deg", "opposite"]);
    refused_station(&opposite.replace("T13", "T11").replace("-50", "51"), &["way[1].at", "after"]);
    refused_station("alt_m = -9.0e6\n", &["line 8", "alt_m", "-9000"]);
    refused_station("terminals = 0\n", &["line 8", "terminals"]);
    refused_station("min_elevation_deg = 89.5\n", &["line 8", "min_elevation_deg", "89.5"]);
}

#[test]
fn what_would_do_nothing_is_refused_and_said_why() {
    let folder = tempfile::tempdir().unwrap();
    let head = format!("start = '{START}'\n[sources]\nwalker = ['2x3:550:53:1@{START}']\n");
    let refused_file = |tail: &str, expected: &[&str]| {
        let file = write(folder.path(), "bad.toml", &format!("{head}{tail}"));
        refused(&[utf8(&file)], BAD_CONFIG, &[&["bad.toml"], expected].concat());
    };
    let rain = "[[weather]]\nrain_mm_h = 5.0\n";
    refused_file(rain, &["line 4", "weather", "link_model.ground = \"ka_ground\""]);
    let ka = "[link_model]\nground = 'ka_ground'\n";
    let file = write(folder.path(), "published.toml", &format!("{head}{ka}{rain}"));
    refused(&[utf8(&file), "--model", "stardust-compat"], BAD_CONFIG, &["weather", "stardust"]);
    refused_file(&format!("{ka}[[weather]]\nrain_mm_h = -1.0\n"), &["line 7", "-1 is outside"]);
    refused_file(&format!("{ka}{rain}from_s = 9.0\nto_s = 9.0\n"), &["line 9", "to_s"]);
    refused_file("[link_model]\nground_off_axis_deg = 1.0\n", &["line 5", "off_axis", "budget"]);
    let route = "[[route]]\nfrom = 'a'\nto = 'b'\n";
    let jitter = format!("{route}jitter_max_ms = 1.0\n");
    refused_file(&jitter, &["line 7", "jitter_max_ms", "link_model.ground_jitter_us"]);
    refused_file(&format!("{route}loss_max_ppm = -1.0\n"), &["line 7", "loss_max_ppm", "-1"]);
}

#[test]
fn names_that_nothing_has_are_told_apart_from_bad_files() {
    let folder = tempfile::tempdir().unwrap();
    let head = format!("start = '{START}'\n[sources]\nwalker = ['2x3:550:53:1@{START}']\n");
    for (tail, expected) in [
        ("[[route]]\nfrom = 'A'\nto = 'B'\n", "route[0].from"),
        ("[[change]]\nnode = 'Atlantis'\nfrom_s = 0.0\n", "\"Atlantis\""),
        (
            "[link_model]\nground = 'ka_ground'\n[[weather]]\nstations = ['Oz']\nrain_mm_h = 1.0\n",
            "weather[0].stations: there is no satellite and no station \"Oz\"",
        ),
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
