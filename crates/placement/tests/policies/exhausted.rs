//! Batteries, light and warmth: who looks at them, and what is done about them.

use body::{Body, Cells, Store, Warmth};
use placement::endurance::{Board, Condition, Power, Thermal};
use placement::heat::Heat;
use placement::policy::catalog;
use types::NodeKind;

use crate::sample::{Fleet, Links, chain, node};

const CELLS: Cells = Cells {
    capacity_wh: 10.0,
    charge_efficiency: 1.0,
    discharge_efficiency: 1.0,
    charge_w_max: 100.0,
    fade_per_cycle: 0.0,
    fade_per_year: 0.0,
};
const BODY: Body = Body {
    heat_capacity_j_k: 600.0,
    conductance_w_k: 0.5,
    chip: None,
    radiating_m2: 0.0,
    absorbing_m2: 0.0,
};
const BOARD: Board = Board {
    idle_w: 0.0,
    power: Some(Power { cells: CELLS, panels_w: 10.0, reserve: 0.2 }),
    thermal: Some(Thermal { body: BODY, ambient_c: 0.0, chip_max_c: 85.0, margin_k: 5.0 }),
};

fn condition(soc: f64, celsius: f64) -> Condition {
    Condition {
        store: Store { soc, ..Store::default() },
        warmth: Warmth { chip_c: celsius, structure_c: celsius },
    }
}

/// A board that nothing exhausts, and that draws from its battery in shadow.
pub(crate) fn boundless() -> (Board, Condition) {
    let cells = Cells { capacity_wh: 1e6, ..CELLS };
    let power = BOARD.power.map(|power| Power { cells, ..power });
    (Board { power, thermal: None, ..BOARD }, condition(1.0, 20.0))
}

/// Three satellites in a row, 5 ms apart, over two hours; the task runs for ten minutes and takes something from the first.
fn fleet(conditions: [Condition; 3]) -> Fleet {
    let nodes = (0..3).map(|number| node(number, NodeKind::Satellite, 1000)).collect();
    let links: Links = vec![(0, 1, 5.0), (1, 2, 5.0)];
    let mut fleet = Fleet::new(nodes, &vec![links; 120]);
    fleet.boards = conditions.map(|now| (BOARD, now)).to_vec();
    fleet
}

/// Where a policy puts the task, which draws so much.
fn host(fleet: &mut Fleet, policy: &str, watts: f64) -> Option<u32> {
    let mut job = chain(&[(0, 600.0, None)]);
    job.tasks[0].watts = watts;
    fleet.drive(policy, &mut job).ok()?;
    Some(job.tasks[0].stays[0].node.0)
}

#[test]
fn sunlight_comes_first_where_it_does() {
    let full = condition(1.0, 20.0);
    let mut fleet = fleet([full; 3]);
    fleet.sky.sunlit = vec![0.0, 0.0, 1.0];
    assert_eq!(host(&mut fleet, "phoenix-like", 1.0), Some(2));
    fleet.boards[2].1 = condition(0.3, 20.0);
    fleet.sky.sunlit = vec![0.0; 3];
    fleet.boards[0].1 = condition(0.5, 20.0);
    assert_eq!(host(&mut fleet, "phoenix-like", 1.0), Some(1), "of those in shadow the fullest");
}

#[test]
fn prices_rise_where_charge_or_headroom_run_out() {
    let mut nearly_empty =
        fleet([condition(0.25, 20.0), condition(0.9, 20.0), condition(0.9, 20.0)]);
    assert_eq!(host(&mut nearly_empty, "equinox-like", 1.0), Some(1));
    let mut hot = fleet([condition(0.9, 79.0), condition(0.9, 20.0), condition(0.9, 20.0)]);
    hot.boards[0].0.thermal = Some(Thermal {
        body: Body { conductance_w_k: 0.001, ..BODY },
        ..BOARD.thermal.expect("it has one")
    });
    assert_eq!(host(&mut hot, "equinox-like", 0.0), Some(1));
}

#[test]
fn ours_drains_no_battery_an_orbit_later() {
    // 10 W for ten minutes and one more take 1.8 Wh: from 3.9 Wh to 2.1, the reserve is 2; idle load for an orbit takes what is left.
    let mut tight = fleet([condition(0.39, 20.0), condition(1.0, 20.0), condition(1.0, 20.0)]);
    assert_eq!(host(&mut tight, "greedy-nearest", 10.0), Some(0));
    let mut tight = fleet([condition(0.39, 20.0), condition(1.0, 20.0), condition(1.0, 20.0)]);
    assert_eq!(host(&mut tight, "lookahead", 10.0), Some(0), "nothing else drains it");
    let mut tight = fleet([condition(0.39, 20.0), condition(1.0, 20.0), condition(1.0, 20.0)]);
    tight.boards[0].0.idle_w = 0.5;
    assert_eq!(host(&mut tight, "lookahead", 10.0), Some(1));
    tight.boards[1].0.idle_w = 100.0;
    tight.boards[2].0.idle_w = 100.0;
    assert_eq!(host(&mut tight, "lookahead", 10.0), None);
}

#[test]
fn ours_spares_batteries_where_objectives_allow_it() {
    let mut fleet = fleet([condition(1.0, 20.0); 3]);
    fleet.sky.sunlit = vec![0.0, 0.0, 1.0];
    fleet.boards = vec![boundless(); 3];
    for satellite in &mut fleet.nodes {
        satellite.capacity = crate::sample::cores(2000);
    }
    let mut hosts = |limit_ms| {
        fleet.book = placement::Book::new(fleet.nodes.iter().map(|node| node.capacity));
        let mut job = chain(&[(0, 600.0, limit_ms), (10, 600.0, limit_ms)]);
        for task in &mut job.tasks {
            task.watts = 10.0;
        }
        fleet.drive("lookahead", &mut job).expect("there is room");
        job.tasks.iter().map(|task| task.stays[0].node.0).collect::<Vec<_>>()
    };
    // In sunlight 10 ms away is better than in shadow nearby, unless that is too far.
    assert_eq!(hosts(Some(12.0)), [2, 2]);
    assert_eq!(hosts(Some(7.0)), [1, 2], "5 ms each: only the second can be in sunlight");
    assert_eq!(hosts(Some(4.0)), [0, 0]);
}

#[test]
fn ours_counts_what_is_promised_to_others() {
    let mut fleet = fleet([condition(0.55, 20.0), condition(1.0, 20.0), condition(1.0, 20.0)]);
    for satellite in &mut fleet.nodes {
        satellite.capacity = crate::sample::cores(2000);
    }
    fleet.book = placement::Book::new(fleet.nodes.iter().map(|node| node.capacity));
    assert_eq!(host(&mut fleet, "lookahead", 2.0), Some(0));
    // What was promised there for good draws 2 W for all of the orbit that is looked at: 3.6 Wh of the 3.5 above the reserve.
    assert_eq!(host(&mut fleet, "lookahead", 2.0), Some(1));
}

#[test]
fn ours_overheats_no_board() {
    // 50 W warm it to 100 °C at rest, in eleven minutes from 70 °C to 83.
    let mut warm = fleet([condition(1.0, 70.0), condition(1.0, 20.0), condition(1.0, 20.0)]);
    for (board, _) in &mut warm.boards {
        board.power = None;
    }
    assert_eq!(host(&mut warm, "greedy-nearest", 50.0), Some(0));
    let mut warm = fleet([condition(1.0, 70.0), condition(1.0, 20.0), condition(1.0, 20.0)]);
    for (board, _) in &mut warm.boards {
        board.power = None;
    }
    assert_eq!(host(&mut warm, "lookahead", 50.0), Some(1));
}

#[test]
fn the_published_constraints_are_sums() {
    let mut near = fleet([condition(0.3, 20.0), condition(1.0, 20.0), condition(1.0, 20.0)]);
    // All near, so that the published policy would take the first.
    assert_eq!(host(&mut near, "hyperdrive", 10.0), Some(0));
    let mut drained = fleet([condition(0.3, 20.0), condition(1.0, 20.0), condition(1.0, 20.0)]);
    assert_eq!(host(&mut drained, "published-constraints", 10.0), Some(1));
    let hot = Heat {
        start_c: 45.0,
        max_c: 75.0,
        recommended_c: 65.0,
        rise_c_min: 9.0,
        radiated_c_min: 0.0,
        orbit_base_c: 0.0,
    };
    drained.heat = vec![None, Some(hot), None];
    assert_eq!(host(&mut drained, "published-constraints", 0.0), Some(0));
    drained.heat[0] = Some(hot);
    assert_eq!(host(&mut drained, "published-constraints", 0.0), Some(2));
}

#[test]
fn a_sample_fits_where_anything_does() {
    let mut fleet = fleet([condition(1.0, 20.0); 3]);
    let mut policy = catalog::of_name("vela-like", 3).expect("a policy of that name");
    let mut hosts = Vec::new();
    while let Ok(choice) = fleet.place(policy.as_mut(), &mut chain(&[(0, 0.0, None)]), 0) {
        assert!(choice.considered <= 5, "a sample: {choice:?}");
        hosts.push(choice.stays[0].node.0);
    }
    hosts.sort_unstable();
    hosts.dedup();
    assert!(!hosts.is_empty() && hosts.len() <= 3, "{hosts:?}");
}
