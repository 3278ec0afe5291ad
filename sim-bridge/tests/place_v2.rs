//! `starbelt-sim place --scenario hyperdrive-v2`: geometry, time, room and energy as they can be, and the same answer to the same question.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use orbit::geodesy;
use orbit::sky::SPEED_OF_LIGHT_KM_S;
use orbit::visibility::Viewer;
use placement::policy::catalog;
use placement::{Forecast as _, Step};
use serde_json::{Value, json};
use sim_bridge::offline::place::entrant::Entrant;
use sim_bridge::offline::place::fixed::compare::run_one;
use sim_bridge::offline::place::fixed::demand::{Request, requests};
use sim_bridge::offline::place::fixed::flow::{KINDS, Spec};
use sim_bridge::offline::place::fixed::outcome::{End, Outcome, TaskTold};
use sim_bridge::offline::place::fixed::region::REGIONS;
use sim_bridge::offline::place::fixed::sky::MASK_DEG;
use sim_bridge::offline::place::fixed::{FixedSky, Fleet, START, Setting, Size};
use topology::NodeIx;
use types::{Arch, NodeKind};

/// Small enough for seconds, large enough that edge nodes see satellites most of the time.
const SMALL: Size = Size { planes: 24, slots: 14 };

fn place(arguments: &[&str]) -> Output {
    place_on(arguments, "2")
}

fn place_on(arguments: &[&str], threads: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_starbelt-sim"));
    command.args(["place", "--scenario", "hyperdrive-v2"]).args(arguments);
    command.env("RAYON_NUM_THREADS", threads).output().expect("the program can be started")
}

fn small<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["--planes", "24", "--slots-per-plane", "14"], more].concat()
}

/// The answer without what clocks said.
fn timeless(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let mut answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let timing = answer.as_object_mut().expect("an object").remove("timing");
    assert!(timing.is_some(), "{answer}");
    answer
}

fn outcome(setting: &Setting, load: usize, policy: &str) -> Outcome {
    let entrant = Entrant::BuiltIn(policy.to_owned());
    run_one((setting, START), (load, 1), &entrant, &|| 0).expect("a policy of the catalog")
}

fn spec(kind: &str, task: &TaskTold) -> &'static Spec {
    let kind = KINDS.into_iter().find(|of| of.name == kind).expect("a kind");
    kind.tasks.iter().find(|spec| spec.name == task.task).expect("a task of the kind")
}

#[test]
fn the_same_seed_gives_the_same_answer() {
    for policy in ["lookahead", "random"] {
        let run = |seed| {
            let sizes = ["--workflows", "8", "--minutes", "5", "--json", "-"];
            place(&small(&[&["--policy", policy, "--seed", seed][..], &sizes].concat()))
        };
        let first = timeless(&run("4"));
        assert_eq!(first, timeless(&run("4")), "{policy}");
        assert_ne!(first["workflows"], timeless(&run("5"))["workflows"], "{policy}");
        assert_eq!(first["summary"]["workflows"], 8);
        assert_eq!(first["nodes"]["satellites"], 336);
    }
}

#[test]
fn links_in_space_pass_the_earth_at_the_speed_of_light_and_the_seam_joins_neighbours() {
    for size in [SMALL, Size { planes: 72, slots: 14 }] {
        let fleet = Fleet::new(size, 1).unwrap();
        let sky = FixedSky::new(&fleet, START, 3).unwrap();
        let satellites = size.satellites();
        for step in 0..3 {
            let graph = sky.graph(step);
            let is_satellite = |node: NodeIx| node.0 < satellites;
            let between: Vec<_> = graph
                .links()
                .iter()
                .filter(|link| is_satellite(link.a) && is_satellite(link.b))
                .collect();
            // Four terminals each, and nothing in the way of any pair of neighbours.
            assert_eq!(between.len(), 2 * satellites as usize);
            let plane = |node: NodeIx| node.0 / size.slots;
            let at_seam =
                between.iter().filter(|link| plane(link.b) - plane(link.a) == size.planes - 1);
            assert_eq!(at_seam.count(), size.slots as usize);
            for link in between {
                let [a, b] = [link.a, link.b].map(|end| sky.position_km(end, step).unwrap());
                let km = [0, 1, 2].map(|k| (a[k] - b[k]).powi(2)).iter().sum::<f64>().sqrt();
                assert!((link.delay_us - km / SPEED_OF_LIGHT_KM_S * 1e6).abs() < 1e-6, "{link:?}");
                assert!(link.delay_us <= 15_000.0, "{link:?}");
                // The lowest point of the chord is half way: both ends are as high.
                let middle = [0, 1, 2].map(|k| f64::midpoint(a[k], b[k]));
                let low_km = middle.iter().map(|x| x * x).sum::<f64>().sqrt();
                assert!(6378.137 + 80.0 <= low_km + 1.0, "{link:?} passes at {low_km} km");
            }
        }
    }
}

#[test]
fn stations_see_what_they_talk_to_and_hold_on_to_it() {
    let fleet = Fleet::new(Size { planes: 72, slots: 14 }, 2).unwrap();
    let sky = FixedSky::new(&fleet, START, 6).unwrap();
    let ground_links = |step: Step| {
        let graph = sky.graph(step);
        let of = graph.links().iter().filter(|link| link.a.0 < 1008 && 1008 <= link.b.0);
        of.copied().collect::<Vec<_>>()
    };
    let mut links_of: BTreeMap<NodeIx, u16> = BTreeMap::new();
    for link in ground_links(0) {
        let site = fleet.sites[link.b.index() - 1008];
        let viewer =
            Viewer { position_km: geodesy::to_ecef_km(&site.place), up: geodesy::up(&site.place) };
        let elevation_deg = viewer.elevation_deg(sky.position_km(link.a, 0).unwrap());
        assert!(MASK_DEG - 1e-6 <= elevation_deg, "{link:?}: {elevation_deg}°");
        let links = links_of.entry(link.b).or_insert(0);
        *links += 1;
        assert!(*links <= site.antennas, "{site:?}");
    }
    assert!(90 < links_of.len(), "of 110 stations {} see a satellite", links_of.len());
    let ends = |step| ground_links(step).iter().map(|link| (link.a, link.b)).collect::<Vec<_>>();
    let later = ends(1);
    let kept = ends(0).into_iter().filter(|pair| later.contains(pair)).count();
    assert!(3 * kept > 2 * later.len(), "{kept} of {} links hold for 30 s", later.len());
}

#[test]
fn light_comes_and_goes_within_an_orbit_and_few_graphs_are_kept() {
    let fleet = Fleet::new(SMALL, 1).unwrap();
    let sky = FixedSky::new(&fleet, START, 193).unwrap();
    let dark = (0..192).filter(|step| sky.sunlit(NodeIx(0), *step) < 0.5).count();
    assert!((40..=72).contains(&dark), "{dark} of 192 steps are dark");
    assert!((sky.sunlit(NodeIx(340), 0) - 1.0).abs() < 1e-12, "the ground is on the grid");
    assert_eq!(sky.place(NodeIx(9999), 0), None);
    for step in 0..193 {
        assert!(!sky.graph(step).links().is_empty());
    }
    assert!(sky.kept() <= 112, "{}", sky.kept());
    assert_eq!(sky.graph(192), sky.graph(500), "what comes later is as the last");
}

#[test]
fn tasks_start_after_their_inputs_and_nodes_carry_what_they_can() {
    let setting = Setting::new(SMALL, 1, START, 10).unwrap();
    for policy in catalog::NAMES {
        let found = outcome(&setting, 60, policy);
        assert_eq!(found.summary.oversubscribed, 0, "{policy}");
        assert_eq!(found.summary.unfinished, 0, "{policy}");
        let counts_objectives = ["lookahead", "greedy-nearest", "hyperdrive"].contains(&policy);
        assert!(!counts_objectives || 0 < found.summary.good, "{policy}: {:?}", found.summary);
        // On each node: when something comes or goes, in microseconds, ends first; processor and memory.
        let mut changes: BTreeMap<u32, Vec<(i64, i64, i64)>> = BTreeMap::new();
        for flow in &found.workflows {
            for task in &flow.tasks {
                let spec = spec(flow.kind, task);
                for (before, _) in spec.inputs {
                    assert!(flow.tasks[*before].end_s <= task.start_s, "{policy}: {flow:?}");
                }
                check_length(&setting, flow.end, task, spec);
                #[expect(clippy::cast_possible_truncation, reason = "moments of an hour")]
                let micros = |s: f64| (s * 1e6).round() as i64;
                let ends = task.stays.iter().skip(1).map(|stay| stay.from_s).chain([task.end_s]);
                for (stay, end_s) in task.stays.iter().zip(ends) {
                    let of = changes.entry(stay.node).or_default();
                    let (cpu, memory) = (i64::from(spec.needs.0), i64::from(spec.needs.1));
                    of.push((micros(stay.from_s.min(end_s)), cpu, memory));
                    of.push((micros(end_s), -cpu, -memory));
                }
            }
        }
        for (node, mut changes) in changes {
            changes.sort_unstable();
            let capacity = setting.fleet.nodes[node as usize].capacity;
            let (mut cpu, mut memory) = (0, 0);
            for (_, more_cpu, more_memory) in changes {
                (cpu, memory) = (cpu + more_cpu, memory + more_memory);
                assert!(cpu <= i64::from(capacity.milli_cpu.0), "{policy}: node {node}");
                assert!(memory <= i64::from(capacity.memory_mib.0), "{policy}: node {node}");
            }
        }
    }
}

/// A task that stays on its host runs as long as its processor needs.
fn check_length(setting: &Setting, end: End, task: &TaskTold, spec: &Spec) {
    let ([stay], End::Good | End::Broken) = (task.stays.as_slice(), end) else { return };
    let node = &setting.fleet.nodes[stay.node as usize];
    let run_s = if node.arch == Arch::Arm64 { spec.runs_s.0 } else { spec.runs_s.1 };
    assert!((task.end_s - task.start_s - run_s).abs() < 1e-5, "{task:?}");
    assert!(task.latency_ms < 200.0, "{task:?}");
}

#[test]
fn idling_alone_leaves_the_reserve_as_it_is() {
    let setting = Setting::new(SMALL, 1, START, 10).unwrap();
    // It takes stations, which are there first.
    let sum = outcome(&setting, 2, "first-fit").summary;
    assert_eq!((sum.below_reserve, sum.over_temperature, sum.power_lost), (0, 0, 0));
    assert!((0.3..0.35).contains(&sum.min_state_of_charge), "{sum:?}");
    assert!(sum.battery_wh < 1e-9, "{sum:?}");
}

#[test]
fn whoever_runs_on_an_empty_battery_does_nothing_good() {
    let mut setting = Setting::new(SMALL, 1, START, 20).unwrap();
    for board in &mut setting.fleet.boards {
        if let Some(power) = &mut board.power {
            power.panels_w = 0.0;
        }
    }
    // Lasts for 14 minutes of idling and 5 of work.
    for state in &mut setting.states {
        state.store.soc = 0.04;
    }
    let found = outcome(&setting, 40, "round-robin");
    let sum = &found.summary;
    assert!(0 < sum.power_lost, "{sum:?}");
    assert!(sum.min_state_of_charge.abs() < 1e-12 && sum.below_reserve == 336, "{sum:?}");
    let good = found.workflows.iter().filter(|flow| flow.end == End::Good).count();
    assert_eq!(good, sum.good);
    for flow in found.workflows.iter().filter(|flow| flow.end == End::Good) {
        for task in &flow.tasks {
            let on_satellite = task.stays.iter().any(|stay| stay.node < 336);
            // By then all satellites are off.
            assert!(!on_satellite || task.end_s <= 870.0, "{flow:?}");
        }
    }
    assert!(
        found.workflows.iter().any(|flow| flow.end == End::PowerLost && flow.finished_s.is_none())
    );
}

#[test]
fn policies_are_compared_on_any_number_of_threads_alike() {
    let asked = ["--compare", "--seeds", "2", "--starts", "1", "--load", "6,3", "--minutes", "5"];
    let with_json = small(&[&asked[..], &["--json", "-"]].concat());
    let first = timeless(&place_on(&with_json, "1"));
    assert_eq!(first, timeless(&place_on(&with_json, "2")));
    let rows = first["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2 * catalog::NAMES.len());
    assert_eq!((&rows[0]["load"], &rows[0]["policy"]), (&json!(3), &json!("lookahead")));
    for row in rows {
        assert_eq!(row["runs"], 2);
        assert!(row["means"]["goodput_per_h"]["ci95"].is_number(), "{row}");
        let is_ours = row["policy"] == "lookahead";
        assert_eq!(row["minus_ours"].as_object().unwrap().is_empty(), is_ours, "{row}");
    }
    let dir = tempfile::tempdir().unwrap();
    let [json, html] = ["all.json", "all.html"].map(|name| dir.path().join(name));
    let [json, html] = [&json, &html].map(|file| file.to_str().unwrap());
    let output = place(&small(&[
        "--policy",
        "all",
        "--seeds",
        "1",
        "--starts",
        "1",
        "--load",
        "3",
        "--minutes",
        "2",
        "--json",
        json,
        "--html",
        html,
    ]));
    let text = String::from_utf8_lossy(&output.stdout);
    for part in ["3 workflows", "GOOD/H", "better than that of lookahead in", "greedy-nearest"] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    let page = std::fs::read_to_string(html).unwrap();
    assert!(page.contains("good workflows, % of all") && page.ends_with("</html>\n"));
    assert!(std::fs::read_to_string(json).unwrap().contains("\"rows\""));
}

#[test]
fn people_get_a_summary_and_options_that_do_not_fit_are_named() {
    let output = place(&small(&["--policy", "first-fit", "--workflows", "3", "--minutes", "2"]));
    let text = String::from_utf8_lossy(&output.stdout);
    for part in ["first-fit on", "3 submitted in 2 min", "lowest charge", "99 of 100 within"] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    for (arguments, code, part) in [
        (vec!["--policy", "random", "--load", "5"], 78, "--load is for comparisons"),
        (vec!["--policy", "random", "--fixtures", "x"], 78, "hyperdrive-v2 needs no files"),
        (vec!["--policy", "random", "--size", "1000"], 2, "4472"),
        (vec![], 2, "--policy"),
        (vec!["--compare", "--json", "a", "--html", "a"], 78, "--json and --html both write a"),
    ] {
        let output = place(&arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_starbelt-sim"));
    command.args(["place", "--scenario", "hyperdrive-v1", "--fixtures", "x", "--policy", "random"]);
    let output = command.args(["--size", "1118"]).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("hyperdrive-v1 has no --size"));
}

#[test]
fn workflows_arrive_where_people_are_awake_and_some_in_bursts() {
    let setting = Setting::new(SMALL, 1, START, 60).unwrap();
    let asked = |seed| requests(&setting.fleet, &setting.sky, START, (60, 1000), seed);
    let all = asked(3);
    assert_eq!(all, asked(3));
    assert_ne!(all, asked(4));
    assert_eq!(all.len(), 1000);
    assert!(all.is_sorted_by_key(|request| request.at_us));
    assert!(all.iter().all(|request| request.at_us < 3_600_000_000 && request.data.0 < 336));
    let region = |request: &Request| setting.fleet.sites[request.edge.index() - 336].region;
    let bursts = all.iter().filter(|request| request.is_burst).count();
    assert!((150..250).contains(&bursts), "{bursts}");
    let mut regions: Vec<_> = all.iter().filter(|one| one.is_burst).map(region).collect();
    regions.sort_unstable();
    regions.dedup();
    assert!(regions.len() <= 3, "three bursts in an hour: {regions:?}");
    // At 01:00 UTC the day is over in Africa and has begun in China.
    let of = |name| {
        let is_there = |one: &&Request| !one.is_burst && REGIONS[region(one)].name == name;
        all.iter().filter(is_there).count()
    };
    assert!(2 * of("West Africa") < of("North of China"));
}

#[test]
fn data_centres_have_cables_and_no_antennas() {
    let fleet = Fleet::new(Size { planes: 72, slots: 28 }, 1).unwrap();
    for (site, node) in fleet.sites.iter().zip(&fleet.nodes[fleet.satellites()..]) {
        assert_eq!(site.kind, node.kind);
        assert_eq!(site.antennas == 0, site.kind == NodeKind::Cloud);
    }
    let first_cloud = fleet.nodes.iter().position(|node| node.kind == NodeKind::Cloud).unwrap();
    let ends = |at: usize| fleet.cables.iter().any(|cable| cable.b.index() == at);
    assert!(ends(first_cloud));
}
