//! `starbelt-sim route`: what it says of a network.

use std::path::Path;
use std::process::Command as Program;

use clap::Parser;
use orbit::frame::PolarTurn;
use orbit::ground::StationNow;
use orbit::link::IslSet;
use orbit::station::{Station, StationKind};
use orbit::visibility::Viewer;
use serde_json::Value;
use sim_bridge::cli::route::RouteView;
use sim_bridge::cli::{Cli, Command, CommandError};
use sim_bridge::offline::moment::Moment;
use sim_bridge::offline::nodes::Nodes;
use topology::{Graph, Link, NodeIx};
use types::{Epoch, Geodetic};

/// Three satellites in a row 1000 km apart, a station below the first and one below the last; a satellite and a station of their own.
fn moment(links: &[(u32, u32, u32)]) -> Moment {
    let at = Epoch::parse("2026-07-19T12:00:00Z").expect("a time");
    let satellites =
        [[7000.0, 0.0, 0.0], [7000.0, 1000.0, 0.0], [7000.0, 2000.0, 0.0], [-7000.0, 0.0, 0.0]];
    let station = |position_km| StationNow {
        place: Geodetic { lat_deg: 0.0, lon_deg: 0.0, alt_km: 0.0 },
        viewer: Viewer { position_km, up: [1.0, 0.0, 0.0] },
        min_elevation_deg: Some(25.0),
        terminals: 1,
    };
    let stations: Vec<StationNow> =
        [[6378.0, 0.0, 0.0], [6378.0, 2000.0, 0.0], [-6378.0, 0.0, 0.0]].map(station).to_vec();
    let place = |node: u32| match node {
        0..4 => satellites[node as usize],
        _ => stations[node as usize - 4].viewer.position_km,
    };
    let link = |(a, b, rate_kbps): &(u32, u32, u32)| {
        let (p, q): ([f64; 3], [f64; 3]) = (place(*a), place(*b));
        let km = (0..3).map(|k| (p[k] - q[k]).powi(2)).sum::<f64>().sqrt();
        let delay_us = km / 299_792.458 * 1e6;
        Link { a: NodeIx(*a), b: NodeIx(*b), delay_us, rate_kbps: *rate_kbps, loss_ppm: 0 }
    };
    let links: Vec<Link> = links.iter().map(link).collect();
    Moment {
        step: 0,
        at,
        turn: PolarTurn::at(at),
        positions_km: satellites.to_vec(),
        isl: IslSet::default(),
        graph: Graph::new(7, &links).expect("all nodes exist"),
        stations,
        ground: Vec::new(),
    }
}

const ALL: &[(u32, u32, u32)] = &[(0, 1, 9000), (1, 2, 9000), (0, 4, 500), (2, 5, 500)];

fn ask(
    from: &str,
    to: &str,
    more: &[&str],
    links: &[(u32, u32, u32)],
) -> Result<RouteView, CommandError> {
    let words =
        ["starbelt-sim", "route", "--from", from, "--to", to, "--at", "2026-07-19T12:00:00Z"];
    let satellites = (0..4).map(|k| format!("sat{k}")).collect();
    let station = |k: u8| Station {
        name: format!("gs{k}"),
        kind: StationKind::Ground,
        place: Geodetic { lat_deg: 0.0, lon_deg: 0.0, alt_km: 0.0 },
        min_elevation_deg: None,
        terminals: None,
        way: Vec::new(),
    };
    let nodes = Nodes::of_names(satellites, (0..3).map(station).collect()).expect("unique names");
    match Cli::try_parse_from([&words, more].concat()).expect("a valid command").command {
        Command::Route(args) => args.answer(&nodes, &moment(links)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_route_is_told_with_every_leg() {
    for router in ["dijkstra", "a-star", "tree"] {
        let view = ask("gs0", "gs1", &["--router", router], ALL).unwrap();
        assert_eq!(view.path, ["gs0", "sat0", "sat1", "sat2", "gs1"]);
        assert_eq!((view.hops, view.rate_kbps), (Some(4), Some(500)));
        // Up 622 km, 2000 km across, 622 km down.
        let expected_ms = 3244.0 / 299_792.458 * 1e3;
        assert!((view.latency_ms.unwrap() - expected_ms).abs() < 1e-9);
        let lengths: Vec<f64> = view.legs.iter().map(|leg| leg.length_km.round()).collect();
        assert_eq!(lengths, [622.0, 1000.0, 1000.0, 622.0]);
        let table = view.table();
        assert!(
            table.contains("10.821 ms") && table.contains("sat0   1000.000 km  sat1"),
            "{table}"
        );
    }
    let here = ask("sat1", "sat1", &[], ALL).unwrap();
    assert_eq!((here.hops, here.rate_kbps, here.latency_ms), (Some(0), None, Some(0.0)));
}

#[test]
fn without_a_route_it_says_why() {
    let reason = |from, to, more: &[&str], links| {
        let view = ask(from, to, more, links).unwrap();
        assert_eq!((view.latency_ms, view.hops, view.path.len()), (None, None, 0));
        view.reason.unwrap()
    };
    let said = reason("gs0", "gs2", &[], ALL);
    assert!(said.ends_with("gs2 has no link to any satellite then"), "{said}");
    let said = reason("sat3", "gs1", &[], ALL);
    assert!(said.ends_with("sat3 has no link at all then"), "{said}");
    let split = [&ALL[2..], &[(3, 6, 1)]].concat();
    let said = reason("gs0", "gs1", &[], &split);
    assert!(
        said.ends_with("different parts of the network, of 2 and 2 of 7 nodes (4 parts)"),
        "{said}"
    );
    let said = reason("gs0", "gs1", &["--min-rate-mbps", "1"], ALL);
    assert!(said.ends_with("no path leads there over links of the needed rate"), "{said}");
    let said = reason("gs0", "gs1", &["--max-latency-ms", "10"], ALL);
    assert!(said.contains("none of so little latency"), "{said}");
}

#[test]
fn a_name_that_nobody_has_is_not_found() {
    match ask("gs0", "gs9", &[], ALL) {
        Err(CommandError::NotFound(text)) => {
            assert_eq!(
                text,
                "there is no satellite and no station \"gs9\"; near to it: gs0, gs1, gs2"
            );
        }
        other => panic!("{other:?}"),
    }
}

/// The JSON that a call of the program writes.
fn answer(folder: &Path, arguments: &[&str]) -> Value {
    let output = Program::new(env!("CARGO_BIN_EXE_starbelt-sim"))
        .current_dir(folder)
        .args(arguments)
        .args(["--json", "answer.json"])
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read(folder.join("answer.json")).expect("an answer");
    serde_json::from_slice(&text).expect("well-formed JSON")
}

#[test]
fn a_route_is_that_of_a_run_with_the_same_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let cities = "name,lat_deg,lon_deg,kind\nVienna,48.2,16.4,cloud\nLima,-12.0,-77.0,ground\n";
    std::fs::write(folder.path().join("cities.csv"), cities).expect("the file is written");
    let ask = |command: &[&str], more: &[&str]| {
        let sources = ["--walker", "24x22:550:53:7", "--ground", "cities.csv"];
        answer(folder.path(), &[command, &sources, more].concat())
    };
    for (model, links) in
        [("stardust-compat", "mst"), ("stardust-compat", "mst_smart_loop"), ("sgp4", "plus_grid")]
    {
        let how = ["--model", model, "--links", links, "--start", "2026-03-20T00:00:00Z"];
        let steps = ["--step", "600", "--steps", "2", "--route", "Vienna:Lima"];
        let run = ask(&["run"], &[&how[..], &steps].concat());
        let wanted = &run["steps"][1]["routes"][0];
        assert!(wanted["latency_ms"].is_number(), "{wanted}");
        let ends = ["route", "--from", "Vienna", "--to", "Lima", "--at", "2026-03-20T00:10:00Z"];
        let route = ask(&ends, &how);
        for key in ["latency_ms", "hops", "path"] {
            assert_eq!(route[key], wanted[key], "{model} {links}: {key}");
        }
        // Without a start the ground of the published model turns from the instant on; that of the others does not care.
        let alone = ask(&ends, &how[..4]);
        assert_eq!(alone["latency_ms"] == wanted["latency_ms"], model == "sgp4", "{model} {links}");
    }
}
