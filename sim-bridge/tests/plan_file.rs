//! Contact plans from the command line to the disk and back.

use std::path::Path;

use clap::Parser;
use orbit::link::{Isl, IslSet, LinkProtocol, Scene};
use orbit::visibility::SightRule;
use sim_bridge::cli::{Cli, Command, CommandError, plan};
use sim_bridge::offline::plan_file::{self, MappedPlan};

/// All pairs in sight: the simplest rule there is.
#[derive(Debug)]
struct InSight;

impl LinkProtocol for InSight {
    fn name(&self) -> &'static str {
        "in_sight"
    }

    fn choose(&mut self, scene: &Scene<'_>, set: &mut IslSet) {
        let rule = SightRule { range_max_km: 3000.0, grazing_altitude_km: 80.0 };
        set.links.clear();
        for (a, p) in (0_u32..).zip(scene.positions_km) {
            for (b, q) in (a + 1..).zip(&scene.positions_km[a as usize + 1..]) {
                let km = rule.distance_km(*p, *q);
                set.links.extend(km.map(|length_km| Isl { a, b, length_km }));
            }
        }
    }
}

/// Made-up satellites in one plane, and two that cross it.
fn tle() -> String {
    let checked = |line: String| {
        let digits = line.chars().filter_map(|c| if c == '-' { Some(1) } else { c.to_digit(10) });
        let sum: u32 = digits.sum();
        format!("{line}{}\n", sum % 10)
    };
    let satellite = |number: u32, inclination: f64, anomaly: f64| {
        let one =
            format!("1 9000{number}U 26001D   26200.50000000  .00000081  00000+0  30000-4 0  999");
        let two = format!(
            "2 9000{number} {inclination:8.4} 330.1000 0002000  88.2000 {anomaly:8.4} 15.0500000040784"
        );
        format!("SAT {number}\n{}{}", checked(one), checked(two))
    };
    let plane = (0..6).map(|k| satellite(k, 53.0, f64::from(k) * 18.0));
    plane.chain((6..8).map(|k| satellite(k, 97.0, f64::from(k) * 10.0))).collect()
}

fn args(folder: &Path, more: &[&str]) -> plan::Args {
    let file = folder.join("made-up.tle");
    std::fs::write(&file, tle()).expect("a file in a folder of its own");
    let file = file.to_string_lossy().into_owned();
    let words = ["starbelt-sim", "plan", "--tle", file.as_str()];
    parse(&[&words, more].concat())
}

fn parse(words: &[&str]) -> plan::Args {
    match Cli::try_parse_from(words).expect("a valid command").command {
        Command::Plan(args) => *args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plan_goes_to_disk_and_into_all_formats_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let [out, csv, ion, json] = ["out.plan", "out.csv", "out.ion", "out.json"].map(file);
    // Half a minute in: the whole minute counts, and the end is rounded up.
    let span = ["--from", "2026-07-19T12:00:30Z", "--to", "2026-07-19T13:29:01Z"];
    let args = args(folder.path(), &[&span[..], &["--plan-version", "3", "--out", &out]].concat());
    let plan = args.plan_of(&args.source.load().unwrap(), &mut InSight).unwrap();
    assert_eq!((plan.version(), plan.nodes().len()), (3, 8));
    assert_eq!(plan.start().to_string(), "2026-07-19T12:00:00.000Z");
    assert_eq!(plan.end().to_string(), "2026-07-19T13:30:00.000Z");
    // Those of the plane hold together all the time, the crossing ones come and go.
    assert!(plan.windows().iter().any(|w| !w.open_known && !w.close_known));
    assert!(plan.windows().iter().any(|w| w.open_known && w.close_known));
    args.write(&plan).unwrap();

    let mapped = MappedPlan::open(Path::new(&out)).unwrap();
    assert_eq!(mapped.view().unwrap().window_count(), plan.windows().len());
    assert_eq!(mapped.plan().unwrap(), plan);
    // Nothing is left beside it.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);

    parse(&["starbelt-sim", "plan", "--in", &out, "--csv", &csv, "--ion", &ion, "--json", &json])
        .run()
        .unwrap();
    let text = |file: &str| std::fs::read_to_string(file).unwrap();
    assert_eq!(text(&csv).lines().count(), plan.windows().len() + 1);
    assert_eq!(
        text(&ion).matches("a contact ").count(),
        2 * text(&ion).matches("a range ").count()
    );
    let json: serde_json::Value = serde_json::from_str(&text(&json)).unwrap();
    assert_eq!(json["windows"].as_array().unwrap().len(), plan.windows().len());
    assert_eq!(json["nodes"][7], "SAT 7");
    let first = &plan.windows()[0];
    assert_eq!(json["windows"][0]["owlt_us_max"], first.owlt_us_max());
    assert_eq!(json["windows"][0]["range_km"].as_array().unwrap().len(), first.range.len());
}

#[test]
fn a_plan_is_moved_on_without_being_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let [old, moved, whole] = ["old.plan", "moved.plan", "whole.plan"].map(file);
    let make = |more: &[&str]| args(folder.path(), &[&["--links", "nearest"], more].concat()).run();
    let (from, until) = ("2026-07-19T12:10:00Z", "2026-07-19T13:10:00Z");
    make(&["--from", "2026-07-19T12:00:00Z", "--to", "2026-07-19T13:00:00Z", "--out", &old])
        .unwrap();
    make(&["--refresh", &old, "--from", from, "--to", until, "--out", &moved]).unwrap();
    make(&["--from", from, "--to", until, "--out", &whole]).unwrap();
    let plan = |file: &str| MappedPlan::open(Path::new(file)).unwrap().plan().unwrap();
    assert!(plan(&moved) == plan(&whole) && !plan(&whole).windows().is_empty());
    let refused =
        |from: &str, to: &str| match make(&["--refresh", &old, "--from", from, "--to", to]) {
            Err(CommandError::Input(text)) => text,
            other => panic!("{other:?}"),
        };
    assert!(refused(from, "2026-07-19T13:00:00Z").contains("nothing is to add"));
    assert!(refused("2026-07-19T11:00:00Z", until).contains("cannot begin at"));
}

#[test]
fn data_is_stored_and_forwarded_over_a_plan() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.plan").to_string_lossy().into_owned();
    args(folder.path(), &["--links", "nearest", "--from", "2026-07-19T12:00:00Z", "--out", &out])
        .run()
        .unwrap();
    let plan = MappedPlan::open(Path::new(&out)).unwrap().plan().unwrap();
    let asked = |to: &str, more: &[&str]| {
        let words = ["starbelt-sim", "deliver", "--plan", &out, "--from", "SAT 0", "--to", to];
        match Cli::try_parse_from([&words, more].concat()).expect("a valid command").command {
            Command::Deliver(args) => args.answer(&plan),
            other => panic!("{other:?}"),
        }
    };
    let ask = |more: &[&str]| asked("SAT 7", more);
    let one = ask(&["--bytes", "1000000"]).unwrap();
    let hops = &one.deliveries[0].hops;
    assert!(one.reason.is_none() && hops[0].from == "SAT 0" && hops[hops.len() - 1].to == "SAT 7");
    for two in hops.windows(2) {
        assert!(two[0].to == two[1].from && two[0].arrival <= two[1].tx_begin);
    }
    // 25 GB take a second of a link of 200 Gbit/s, which nobody else has then.
    let three = ask(&["--bytes", "25000000000", "--count", "3"]).unwrap();
    let arrivals: Vec<f64> = three.deliveries.iter().map(|delivery| delivery.seconds).collect();
    assert!(arrivals.windows(2).all(|two| two[0] + 0.99 < two[1]), "{arrivals:?}");
    assert!(three.table().lines().count() > 6, "{}", three.table());
    let none = ask(&["--bytes", "1000000000000000"]).unwrap();
    assert!(none.deliveries.is_empty());
    assert!(none.reason.unwrap().contains("bundle 1 of 1, SAT 0 to SAT 7: no sequence of windows"));
    let late = ask(&["--at", "2026-07-20T12:00:00Z"]).unwrap_err().to_string();
    assert!(late.contains("must lie within the plan"), "{late}");
    let nobody = asked("SAT 9", &[]).unwrap_err().to_string();
    assert!(nobody.starts_with("the plan has no node \"SAT 9\"; near to it: SAT 0"), "{nobody}");
}

#[test]
fn a_plan_is_the_same_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let args = args(folder.path(), &["--from", "2026-07-19T12:00:00Z"]);
    let source = args.source.load().unwrap();
    let bytes = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        topology::contact::encode(&pool.install(|| args.plan_of(&source, &mut InSight)).unwrap())
    };
    let one = bytes(1);
    assert!([2, 8].iter().all(|threads| bytes(*threads) == one));
}

#[test]
fn what_is_no_plan_is_named_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.plan");
    let path = file.to_string_lossy().into_owned();
    let refused = || match parse(&["starbelt-sim", "plan", "--in", &path]).run() {
        Err(CommandError::Input(text)) => text,
        other => panic!("{other:?}"),
    };
    assert!(refused().contains("bad.plan: cannot be read"), "{}", refused());
    std::fs::write(&file, "a,b,open,close\n").unwrap();
    assert!(refused().contains("bad.plan: this is no contact plan"), "{}", refused());

    let args =
        args(folder.path(), &["--from", "2026-07-19T12:00:00Z", "--to", "2026-07-19T12:10:00Z"]);
    let plan = args.plan_of(&args.source.load().unwrap(), &mut InSight).unwrap();
    plan_file::write(&file, &plan).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert!(
        refused().contains("bad.plan: the segments of the contact plan is damaged"),
        "{}",
        refused()
    );
    let nowhere = plan_file::write(&folder.path().join("none/out.plan"), &plan);
    assert!(nowhere.unwrap_err().to_string().contains("out.plan: cannot be written"));
}

#[test]
fn impossible_horizons_steps_and_names_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let from = ["--from", "2026-07-19T12:00:00Z"];
    for (more, rule) in [
        (&["--to", "2026-07-19T11:00:00Z"][..], "whole minutes"),
        (&["--step", "7"], "must be 1, 2, 3"),
        (&["--min-elevation", "-1"], "must be 0 to below 90 degrees"),
    ] {
        let args = args(folder.path(), &[&from[..], more].concat());
        match args.plan_of(&args.source.load().unwrap(), &mut InSight) {
            Err(CommandError::Input(text)) => assert!(text.contains(rule), "{text}"),
            other => panic!("{other:?}"),
        }
    }
    let published =
        ["starbelt-sim", "plan", "--from", "2026-07-19T12:00:00Z", "--model", "stardust-compat"];
    let error = Cli::try_parse_from(published).unwrap_err().to_string();
    assert!(error.contains("must be sgp4 or kepler-j2"), "{error}");
    let rates = args(
        folder.path(),
        &[&from[..], &["--isl-rate-mbps", "7", "--model", "kepler-j2"]].concat(),
    );
    let plan = rates.plan_of(&rates.source.load().unwrap(), &mut InSight).unwrap();
    assert!(plan.windows().iter().all(|window| window.rate_kbps == 7000));
    let unknown = ["starbelt-sim", "plan", "--from", "2026-07-19T12:00:00Z", "--links", "grid"];
    let error = Cli::try_parse_from(unknown).unwrap_err().to_string();
    assert!(error.contains("must be one of none, plus_grid"), "{error}");
    assert!(Cli::try_parse_from(["starbelt-sim", "plan"]).is_err(), "without --from or --in");
}
