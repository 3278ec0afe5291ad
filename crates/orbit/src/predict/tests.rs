//! Plans and chains against brute force.

use proptest::prelude::*;

use super::*;
use crate::sky_spec::SkySpec;

const SPEC: &str = "
    [constellation]
    walker = { name = 'w', planes = 24, slots = 22, altitude_km = 550.0, inclination_deg = 53.0, phasing = 7, epoch = '2026-01-01T00:00:00Z' }
    [[site]]\nnode = 'drone'\nlat_deg = 39.5\nlon_deg = -123.0
    [[site]]\nnode = 'cloud'\nlat_deg = 50.11\nlon_deg = 8.68
    [[satellite]]\nnode = 'sat-1'\nname = 'w-03-05'
    [[satellite]]\nnode = 'sat-2'\nname = 'w-20-21'\n";

fn sky() -> Sky {
    let spec: SkySpec = toml::from_str(SPEC).unwrap();
    Sky::new(&spec, None).unwrap()
}

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

const TWENTY_MS: LatencyUs = LatencyUs(20_000);

#[test]
fn a_plan_holds_what_the_sky_shows_at_each_grid_point() {
    let sky = sky();
    let start = sky.newest_epoch().plus_s(1234.567);
    let horizon = Duration::from_secs(600);
    let plan = sky.contact_plan(PlanVersion(7), start, horizon, 30_000).unwrap();
    assert_eq!((plan.version, plan.step_ms), (PlanVersion(7), 30_000));
    assert!(plan.start <= start && start < plan.start.plus_s(30.0));
    assert!(start.plus(horizon) <= plan.end() && plan.end() < start.plus(horizon).plus_s(30.0));
    assert_eq!(plan.pairs().len(), 6);
    for step in 0..plan.steps {
        let at = plan.time_of(step);
        for pair in sky.pairs_at(at) {
            let series = plan.pair(&pair.a, &pair.b).unwrap();
            assert_eq!(series.states[step as usize], pair.state);
        }
        for series in plan.sun() {
            let lit = sky.sunlit(&series.node, at).unwrap();
            assert_eq!(series.sunlit[step as usize].to_bits(), lit.to_bits());
        }
    }
}

#[test]
fn slices_put_together_are_the_plan() {
    let sky = sky();
    let start = sky.newest_epoch();
    let grid = PlanGrid::new(start, Duration::from_secs(100), 10_000).unwrap();
    let points = grid.points();
    assert_eq!((points.len(), points[0], points[10]), (11, start, start.plus_s(100.0)));
    let (left, right) = points.split_at(4);
    let rows = [sky.plan_slice(left), sky.plan_slice(right)].concat();
    let whole = sky.contact_plan(PlanVersion(1), start, Duration::from_secs(100), 10_000).unwrap();
    assert_eq!(sky.assemble_plan(PlanVersion(1), &grid, rows.clone()).unwrap(), whole);
    let short = rows[1..].to_vec();
    assert!(matches!(sky.assemble_plan(PlanVersion(1), &grid, short), Err(SkyError::Plan(_))));
}

#[test]
fn impossible_grids_are_refused() {
    let grid = |s: u64, step_ms: u32| {
        PlanGrid::new(Epoch::from_unix_ns(0), Duration::from_secs(s), step_ms)
    };
    assert!(matches!(grid(10, 0), Err(PlanError::Grid { .. })));
    assert!(matches!(grid(u64::MAX, 1000), Err(PlanError::Grid { .. })));
    assert!(matches!(grid(12_000, 1000), Err(PlanError::Grid { steps: 12_001, .. })));
    assert_eq!(grid(11_999, 1000).unwrap().points().len(), 12_000);
    assert_eq!(grid(0, 1000).unwrap().points().len(), 1);
}

#[test]
fn windows_are_what_brute_force_finds() {
    let sky = sky();
    let start = sky.newest_epoch();
    let search = Search { start, latency_max: TWENTY_MS, horizon_s: 3000.0, step_s: 20.0 };
    let windows = sky.latency_windows(&node("drone"), &search).unwrap();
    let (mut open_now, mut open_in_windows) = (0, 0);
    for step in 0..=150 {
        let at = start.plus_s(f64::from(step) * 20.0);
        let moment = sky.at(at);
        let paths = moment.graph().shortest_paths(moment.node_ix(&node("drone")).unwrap());
        for satellite in 0..sky.satellites() {
            let number = topology::NodeIx(u32::try_from(satellite).unwrap());
            let meets = paths.state_to(number).is_some_and(|path| path.latency <= TWENTY_MS);
            let mut own = windows.iter().filter(|w| w.satellite == satellite);
            let is_open = own.any(|w| w.open <= at && at <= w.close);
            assert_eq!(meets, is_open, "satellite {satellite} at {at}");
            open_now += usize::from(meets);
            open_in_windows += usize::from(is_open);
        }
    }
    assert_eq!(open_now, open_in_windows);
    assert!(0 < open_now);
}

/// How far the truth at each second may be from a plan on a grid of ten seconds, which sees grid points only.
///
/// On one path the latency bends by less than 1 µs per link in a step (17 m/s² of relative acceleration over 10 s).
const BEND_MAX_US: u32 = 10;
/// Where one link goes and another comes between two points, no point shows the detour: so short, and so rare.
const DETOUR_S_MAX: u32 = 9;
const DETOUR_SHARE_MAX: f64 = 0.001;

/// Scans each second of fifty minutes: seconds in windows, and how many of them do not meet the need.
fn scan(isl: &str, need_ms: u32) -> (u32, u32) {
    let spec: SkySpec = toml::from_str(&format!("{SPEC}[links]\nisl = '{isl}'")).unwrap();
    let sky = Sky::new(&spec, None).unwrap();
    let start = sky.newest_epoch();
    let plan = sky.contact_plan(PlanVersion(1), start, Duration::from_secs(3000), 10_000).unwrap();
    let need_us = need_ms * 1000;
    let need = topology::LinkNeed::latency(LatencyUs(need_us));
    let windows: Vec<_> = plan
        .pairs()
        .iter()
        .map(|pair| plan.windows(&pair.a, &pair.b, (plan.start, plan.end()), &need))
        .collect();
    let (mut inside, mut detours) = (0, 0);
    let (mut memo, mut runs, mut missed) = (LayoutMemo::default(), [0; 6], [0; 6]);
    for second in 0..=3000 {
        let at = plan.start.plus_s(f64::from(second));
        for (index, pair) in sky.pairs_at_with(&mut memo, at).iter().enumerate() {
            let latency_us = pair.state.map_or(u32::MAX, |path| path.latency.0);
            let is_open = windows[index].iter().any(|w| w.open <= at && at <= w.close);
            let is_detour = is_open && need_us + BEND_MAX_US < latency_us;
            inside += u32::from(is_open);
            detours += u32::from(is_detour);
            runs[index] = if is_detour { runs[index] + 1 } else { 0 };
            assert!(runs[index] <= DETOUR_S_MAX, "{isl}, {need_ms} ms, {pair:?} at {at}");
            // A window lacks less than a step at each end.
            let is_missed = !is_open && latency_us <= need_us;
            missed[index] = if is_missed { missed[index] + 1 } else { 0 };
            assert!(missed[index] < 20, "{isl}, {need_ms} ms, {pair:?} at {at}");
        }
    }
    println!(
        "{isl}, {need_ms} ms: {detours} of {inside} seconds in windows are worse than planned"
    );
    (inside, detours)
}

#[test]
fn windows_of_a_plan_are_what_a_scan_of_each_second_finds() {
    let (mut inside, mut detours) = (0, 0);
    for (isl, need_ms) in [("plus-grid", 50), ("plus-grid", 70), ("nearest", 70), ("grid", 60)] {
        let (more, worse) = scan(isl, need_ms);
        (inside, detours) = (inside + more, detours + worse);
    }
    assert!(10_000 < inside);
    assert!(f64::from(detours) <= DETOUR_SHARE_MAX * f64::from(inside), "{detours} of {inside}");
}

#[test]
fn direct_windows_are_when_the_site_sees_the_satellite() {
    let start = sky().newest_epoch();
    let near = LatencyUs(4_000);
    let chain = choose(&sky(), start, 2, near);
    let chain: Vec<usize> = chain.iter().map(|window| window.satellite).collect();
    let attach = |index: &usize| {
        format!("[[satellite]]\nnode = 's-{index}'\nname = '{}'\n", sky().satellite_name(*index))
    };
    let spec = format!("{SPEC}{}", chain.iter().map(attach).collect::<String>());
    let sky = Sky::new(&toml::from_str(&spec).unwrap(), None).unwrap();
    let horizon = Duration::from_secs(7000);
    let plan = sky.contact_plan(PlanVersion(1), start, horizon, 10_000).unwrap();
    for index in chain {
        let (site, satellite) = (node("drone"), node(&format!("s-{index}")));
        let find = |need| plan.windows(&site, &satellite, (plan.start, plan.end()), &need);
        let (seen, any) = (find(topology::LinkNeed::direct()), find(topology::LinkNeed::default()));
        for step in 0..plan.steps {
            let at = plan.time_of(step);
            let is_seen = 25.0 <= sky.at(at).elevation_deg(&site, index).unwrap();
            assert_eq!(is_seen, seen.iter().any(|w| w.open <= at && at <= w.close), "{at}");
        }
        // A pass above 25 degrees takes a few minutes, while some path is there all the time.
        assert!(!seen.is_empty(), "{satellite}");
        assert!(seen.iter().all(|w| w.close.seconds_since(w.open) < 300.0), "{seen:?}");
        assert_eq!((any.len(), any[0].open, any[0].close), (1, plan.start, plan.end()));
    }
}

fn choose(sky: &Sky, start: Epoch, count: usize, latency_max: LatencyUs) -> Vec<LatencyWindow> {
    let search = Search { start, latency_max, horizon_s: 5400.0, step_s: 10.0 };
    let starts = [start].into_iter();
    sky.choose_chain(&node("drone"), &search, (count, 60.0), starts, |_, _| 0).unwrap()
}

#[test]
fn of_several_starts_the_first_with_the_best_chain_is_taken() {
    let sky = sky();
    let start = sky.newest_epoch();
    let search = Search { start, latency_max: TWENTY_MS, horizon_s: 5400.0, step_s: 10.0 };
    let starts = || (0..30).map(|minute| start.plus_s(60.0 * f64::from(minute)));
    let chain = |rank: &dyn Fn(Epoch, &[LatencyWindow]) -> u32| {
        sky.choose_chain(&node("drone"), &search, (2, 60.0), starts(), rank).unwrap()
    };
    let later = start.plus_s(1200.0);
    let chosen = chain(&|at, _| u32::from(at < later));
    assert!(chosen[0].open <= later && later <= chosen[0].close, "{chosen:?}");
    assert_eq!(chain(&|_, _| 7), chain(&|_, _| 0));
}

#[test]
fn a_chain_follows_the_site_without_a_gap() {
    let sky = sky();
    let start = sky.newest_epoch().plus_s(500.0);
    let chain = choose(&sky, start, 4, TWENTY_MS);
    let chain: Vec<usize> = chain.iter().map(|window| window.satellite).collect();
    assert_eq!(chain.len(), 4);
    let search = Search { start, latency_max: TWENTY_MS, horizon_s: 5400.0, step_s: 10.0 };
    let windows = sky.latency_windows(&node("drone"), &search).unwrap();
    let open = |satellite: usize, at: Epoch| {
        windows.iter().any(|w| w.satellite == satellite && w.open <= at && at <= w.close)
    };
    let covered = (0..300).all(|step| {
        let at = start.plus_s(f64::from(step) * 10.0);
        chain.iter().any(|satellite| open(*satellite, at))
    });
    assert!(covered, "{chain:?}");
    assert!(open(chain[0], start));
}

#[test]
fn questions_without_an_answer_are_refused() {
    let sky = sky();
    let start = sky.newest_epoch();
    let ask = |anchor: &str, count, ms, horizon_s, step_s| {
        let latency = LatencyUs::from_ms(ms).unwrap();
        let search = Search { start, latency_max: latency, horizon_s, step_s };
        sky.choose_chain(&node(anchor), &search, (count, 60.0), [start].into_iter(), |_, _| 0)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(ask("sat-1", 1, 20.0, 60.0, 10.0), "node \"sat-1\" is not a site of this sky");
    assert_eq!(ask("nobody", 1, 20.0, 60.0, 10.0), "node \"nobody\" is not a site of this sky");
    assert!(ask("drone", 1, 20.0, 60.0, 0.0).starts_with("step_s 0 is outside"));
    assert!(ask("drone", 1, 20.0, f64::NAN, 1.0).starts_with("horizon_s NaN is outside"));
    assert!(ask("drone", 1, 20.0, 1.0e9, 1.0).starts_with("horizon_s"));
    assert_eq!(
        ask("drone", 3, 1.0, 60.0, 10.0),
        "only 0 of 3 satellites come within 1.000 ms of drone in 60 s from 2026-01-01T00:00:00.000Z"
    );
}

fn window(satellite: usize, open_s: f64, close_s: f64) -> LatencyWindow {
    let at = |s: f64| Epoch::from_unix_ns(0).plus_s(s);
    LatencyWindow { satellite, open: at(open_s), close: at(close_s) }
}

#[track_caller]
fn check_chain(windows: &[LatencyWindow], count: usize, overlap_s: f64, expected: &[usize]) {
    let chosen = chain(windows, Epoch::from_unix_ns(0), count, overlap_s);
    let satellites: Vec<usize> = chosen.iter().map(|w| w.satellite).collect();
    assert_eq!(satellites, expected);
}

#[test]
fn the_longest_in_time_follows() {
    let windows = [
        window(0, 0.0, 50.0),
        window(1, 0.0, 80.0),
        window(2, 40.0, 120.0),
        window(3, 60.0, 130.0),
        window(4, 75.0, 200.0),
    ];
    check_chain(&windows, 1, 10.0, &[1]);
    // 4 opens only 5 s before 1 closes.
    check_chain(&windows, 3, 10.0, &[1, 3, 4]);
    check_chain(&windows, 3, 5.0, &[1, 4, 3]);
    check_chain(&windows, 9, 5.0, &[1, 4, 3, 2, 0]);
}

#[test]
fn where_none_overlaps_the_next_to_open_follows() {
    let windows =
        [window(0, 0.0, 50.0), window(1, 0.0, 20.0), window(2, 90.0, 95.0), window(3, 80.0, 85.0)];
    check_chain(&windows, 3, 10.0, &[0, 3, 2]);
    // A satellite is chosen once, however often it comes back.
    let again = [window(0, 0.0, 50.0), window(0, 45.0, 90.0), window(1, 60.0, 70.0)];
    check_chain(&again, 3, 10.0, &[0, 1]);
    check_chain(&[window(5, 30.0, 40.0)], 1, 10.0, &[5]);
    check_chain(&[], 2, 10.0, &[]);
}

proptest! {
    #[test]
    fn no_satellite_comes_twice_and_none_is_missed(
        raw in prop::collection::vec((0_usize..8, 0.0_f64..100.0, 0.0_f64..60.0), 0..20),
        count in 0_usize..10,
        overlap_s in 0.0_f64..20.0,
    ) {
        let windows: Vec<_> = raw.iter().map(|(s, open, len)| window(*s, *open, open + len)).collect();
        let chosen = chain(&windows, Epoch::from_unix_ns(0), count, overlap_s);
        let mut satellites: Vec<usize> = chosen.iter().map(|w| w.satellite).collect();
        satellites.sort_unstable();
        satellites.dedup();
        prop_assert_eq!(satellites.len(), chosen.len());
        let mut all: Vec<usize> = windows.iter().map(|w| w.satellite).collect();
        all.sort_unstable();
        all.dedup();
        prop_assert_eq!(chosen.len(), count.min(all.len()));
    }
}
