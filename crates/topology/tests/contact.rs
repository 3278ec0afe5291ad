//! The contact plan: its rules, its questions, its file, its refresh, its texts.

use proptest::prelude::*;
use topology::contact::{encode, to_csv, to_ion};
use topology::{LinkPlan, LinkPlanView, LinkWindow, NodeIx, PlanFileError, RangeSegment};
use types::Epoch;

fn at(seconds: f64) -> Epoch {
    Epoch::parse("2026-03-01T12:00:00Z").expect("a time").plus_s(seconds)
}

/// The same for the same pair and minute, whatever plan it is in.
fn segment(a: u32, b: u32, minute: i64) -> RangeSegment {
    let x = f64::from(u32::try_from((minute * 31 + i64::from(a * 7 + b)) % 97).expect("below 97"));
    RangeSegment { c: [700.0 + x, 3.0 - x / 20.0, 0.01], error_km_max: x / 1000.0 }
}

fn window(a: u32, b: u32, open_s: f64, close_s: f64) -> LinkWindow {
    let minute = |t: Epoch| t.unix_ns().div_euclid(60_000_000_000);
    let last = minute(Epoch::from_unix_ns(at(close_s).unix_ns() - 1));
    LinkWindow {
        a: NodeIx(a),
        b: NodeIx(b),
        open: at(open_s),
        close: at(close_s),
        open_known: true,
        close_known: true,
        rate_kbps: 1000 + a,
        confidence_ppm: 900_000,
        range: (minute(at(open_s))..=last).map(|m| segment(a, b, m)).collect(),
    }
}

fn names(count: u32) -> Vec<String> {
    (0..count).map(|node| format!("node {node}")).collect()
}

fn plan(end_s: f64, windows: Vec<LinkWindow>) -> LinkPlan {
    LinkPlan::new(7, (at(0.0), at(end_s)), names(5), windows).expect("a valid plan")
}

#[test]
fn windows_are_found_by_node_by_pair_and_by_time() {
    let plan = plan(
        600.0,
        vec![window(0, 2, 70.0, 130.0), window(0, 1, 10.0, 20.0), window(0, 2, 0.0, 60.5)],
    );
    let opens: Vec<f64> = plan.windows().iter().map(|w| w.open.seconds_since(at(0.0))).collect();
    assert_eq!(opens, [0.0, 10.0, 70.0]);
    assert_eq!(plan.windows_of(NodeIx(0)), [0, 1, 2]);
    assert_eq!(plan.windows_of(NodeIx(2)), [0, 2]);
    assert_eq!(plan.windows_of(NodeIx(9)), [0; 0]);
    assert_eq!(plan.windows_between(NodeIx(2), NodeIx(0)), [0, 2]);
    assert!(plan.window_at(NodeIx(0), NodeIx(2), at(60.4)).is_some());
    for outside_s in [60.5, 69.9, 130.0, 599.0] {
        assert_eq!(plan.window_at(NodeIx(0), NodeIx(2), at(outside_s)), None);
    }
    assert_eq!(plan.node("node 3"), Some(NodeIx(3)));
    assert_eq!(plan.node("node 5"), None);
}

#[test]
fn range_and_delay_follow_the_quadratic_of_their_minute() {
    let mut one = window(0, 1, 30.0, 120.0);
    one.range = vec![
        RangeSegment { c: [1000.0, -2.0, 0.02], error_km_max: 0.5 },
        RangeSegment { c: [900.0, 10.0, -0.2], error_km_max: 0.25 },
    ];
    let close_to =
        |got: Option<f64>, expected: f64| assert!((got.unwrap() - expected).abs() < 1e-9);
    close_to(one.range_km(at(40.0)), 1000.0 - 80.0 + 32.0);
    close_to(one.range_km(at(61.0)), 900.0 + 10.0 - 0.2);
    // The end belongs to the last minute of the window.
    close_to(one.range_km(at(120.0)), 900.0 + 600.0 - 720.0);
    close_to(one.delay_us(at(40.0)), 952.0 / 299_792.458 * 1e6);
    assert_eq!(one.range_km(at(29.0)), None);
    assert_eq!(one.range_km(at(121.0)), None);
    // Largest at t = 25 s of the second minute: 900 + 125 km, and the error; the first minute, from 30 s on, stays below.
    let longest_us: f64 = (1025.0 + 0.25) / 299_792.458 * 1e6;
    assert!((f64::from(one.owlt_us_max()) - longest_us.ceil()).abs() < 0.5);
}

#[test]
fn the_network_at_an_instant_has_the_links_that_are_up() {
    let plan = plan(600.0, vec![window(0, 2, 70.0, 130.0), window(1, 2, 0.0, 600.0)]);
    let graph = plan.graph_at(at(130.0)).unwrap();
    assert_eq!((graph.node_count(), graph.links().len()), (5, 1));
    assert_eq!(graph.links()[0].rate_kbps, 1001);
    assert_eq!(plan.graph_at(at(70.0)).unwrap().links().len(), 2);
    assert!(plan.graph_at(at(600.0)).is_none() && plan.graph_at(at(-1.0)).is_none());
}

#[test]
fn impossible_plans_are_refused_with_the_rule() {
    let base = window(1, 2, 60.0, 180.0);
    let changed = |change: &dyn Fn(&mut LinkWindow)| {
        let mut window = base.clone();
        change(&mut window);
        vec![window]
    };
    for (windows, rule) in [
        (changed(&|w| w.b = NodeIx(5)), "must be nodes of the plan"),
        (changed(&|w| w.b = NodeIx(1)), "must have the lower number"),
        (changed(&|w| w.close = w.open), "must end after"),
        (changed(&|w| w.close = at(601.0)), "within the plan"),
        (changed(&|w| w.open_known = false), "beginning can be unknown"),
        (changed(&|w| w.close_known = false), "end can be unknown"),
        (changed(&|w| w.rate_kbps = 0), "at least 1 kbit/s"),
        (changed(&|w| w.confidence_ppm = 1_000_001), "0 to 1000000 ppm"),
        (changed(&|w| w.range.truncate(1)), "one range for each minute"),
        (changed(&|w| w.range[0].c[1] = f64::NAN), "numbers within"),
        (changed(&|w| w.range[1].error_km_max = -0.1), "numbers within"),
        (vec![base.clone(), window(1, 2, 179.0, 200.0)], "before the last one of the pair ends"),
    ] {
        let error = LinkPlan::new(1, (at(0.0), at(600.0)), names(5), windows).unwrap_err();
        assert!(error.to_string().contains(rule), "{error} is not about {rule:?}");
    }
    for (start_s, end_s) in [(0.0, 0.0), (1.0, 60.0), (0.0, 61.0), (0.0, 32.0 * 86_400.0)] {
        assert!(LinkPlan::new(1, (at(start_s), at(end_s)), vec![], vec![]).is_err());
    }
    for bad in ["", "a\nb", "node 0"] {
        let nodes = vec!["node 0".to_owned(), bad.to_owned()];
        let error = LinkPlan::new(1, (at(0.0), at(60.0)), nodes, vec![]).unwrap_err();
        assert!(error.to_string().starts_with("node 1: name"), "{error}");
    }
}

#[test]
fn csv_and_ion_are_written_as_documented() {
    let mut names = names(3);
    names[2] = "Vienna, \"AT\"".to_owned();
    let mut first = window(0, 2, 10.5, 70.25);
    first.range = vec![RangeSegment { c: [900.0, 0.0, 0.0], error_km_max: 0.0 }; 2];
    let windows = vec![first, window(0, 1, 80.0, 80.5)];
    let plan = LinkPlan::new(7, (at(0.0), at(120.0)), names, windows).unwrap();
    let csv = to_csv(&plan);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[1],
        "node 0,\"Vienna, \"\"AT\"\"\",2026-03-01T12:00:10.500Z,2026-03-01T12:01:10.250Z,true,true,1000,900000,3003,900.000,900.000"
    );
    let expected = "\
# node 1 = node 0
# node 2 = node 1
# node 3 = Vienna, \"AT\"
@ 2026/03/01-12:00:00
a range +11 +70 1 3 1
a contact +11 +70 1 3 125000 0.9
a contact +11 +70 3 1 125000 0.9
# 1 windows of less than a second are left out.
";
    assert!(to_ion(&plan).ends_with(expected), "{}", to_ion(&plan));
}

#[test]
fn a_file_of_another_version_or_kind_is_named() {
    let mut bytes = encode(&plan(60.0, vec![]));
    bytes[8] = 2;
    assert_eq!(LinkPlanView::new(&bytes).unwrap_err(), PlanFileError::Version { found: 2 });
    assert_eq!(LinkPlanView::new(b"a,b,open").unwrap_err(), PlanFileError::NoPlan);
    assert_eq!(LinkPlanView::new(&bytes[..127]).unwrap_err(), PlanFileError::NoPlan);
}

#[test]
fn the_layout_is_the_documented_one() {
    let bytes = encode(&plan(120.0, vec![window(1, 3, 10.0, 70.0)]));
    assert_eq!(&bytes[..16], b"SBLTPLAN\x01\0\0\0\x05\0\0\0");
    assert_eq!(bytes[16..24], 7_u64.to_le_bytes());
    assert_eq!(bytes[24..32], at(0.0).unix_ns().to_le_bytes());
    assert_eq!(bytes[40..48], [1, 0, 0, 0, 2, 0, 0, 0]);
    // Names at 128: 6 offsets and 5 times 6 bytes; windows at 192, segments at 256.
    assert_eq!(bytes[56..64], 128_u64.to_le_bytes());
    assert_eq!(bytes[64..72], 54_u64.to_le_bytes());
    assert_eq!(&bytes[152..158], b"node 0");
    assert_eq!(bytes[80..88], 192_u64.to_le_bytes());
    assert_eq!(bytes[192..200], at(10.0).unix_ns().to_le_bytes());
    assert_eq!(bytes[208..216], [1, 0, 0, 0, 3, 0, 0, 0]);
    assert_eq!(bytes[104..112], 256_u64.to_le_bytes());
    assert_eq!(bytes.len(), 256 + 2 * 32);
}

/// Windows of a few pairs over ten minutes, cut to `from..to` as a plan of that time would know them.
fn cut(spans: &[(u32, u32, u32, u32)], from_s: u32, to_s: u32) -> Vec<LinkWindow> {
    let mut windows = Vec::new();
    let mut last_end = std::collections::BTreeMap::new();
    for (pair, gap, length, rate) in spans {
        let (a, b) = [(0, 1), (0, 2), (1, 3), (2, 4)][*pair as usize];
        let open = last_end.get(pair).copied().unwrap_or(0) + gap;
        let close = open + length;
        last_end.insert(*pair, close);
        let (cut_open, cut_close) = (open.max(from_s), close.min(to_s));
        if cut_open < cut_close {
            let mut window = window(a, b, f64::from(cut_open), f64::from(cut_close));
            window.rate_kbps = 1 + rate;
            window.open_known = from_s < open;
            window.close_known = close < to_s;
            windows.push(window);
        }
    }
    windows
}

fn spans() -> impl Strategy<Value = Vec<(u32, u32, u32, u32)>> {
    prop::collection::vec((0_u32..4, 1_u32..90, 1_u32..200, 0_u32..3), 0..16)
}

proptest! {
    #[test]
    fn a_refreshed_plan_is_the_plan_of_the_whole(
        spans in spans(), seam in 1_u32..15, start in 0_u32..15, beyond in 1_u32..8
    ) {
        let (seam, start, end) = (seam * 60, start.min(seam) * 60, (seam + beyond) * 60);
        let make = |version, from: u32, to: u32| {
            let span = (at(f64::from(from)), at(f64::from(to)));
            LinkPlan::new(version, span, names(5), cut(&spans, from, to)).unwrap()
        };
        prop_assume!(start < end);
        let refreshed = make(1, 0, seam).refreshed(at(f64::from(start)), make(2, seam, end)).unwrap();
        prop_assert_eq!(refreshed, make(2, start, end));
    }

    #[test]
    fn a_file_gives_back_the_same_plan(spans in spans()) {
        let plan = LinkPlan::new(u64::MAX, (at(0.0), at(1800.0)), names(5), cut(&spans, 0, 1800)).unwrap();
        let bytes = encode(&plan);
        let view = LinkPlanView::new(&bytes).unwrap();
        prop_assert_eq!(view.verify(), Ok(()));
        prop_assert_eq!(view.windows().count(), plan.windows().len());
        for (view, window) in view.windows().zip(plan.windows()) {
            prop_assert_eq!((view.a(), view.b(), view.open(), view.close()), (window.a, window.b, window.open, window.close));
        }
        prop_assert_eq!(view.name(NodeIx(4)), Some("node 4"));
        prop_assert_eq!(view.name(NodeIx(5)), None);
        prop_assert_eq!(view.to_plan().unwrap(), plan);
    }

    #[test]
    fn no_bytes_make_a_reader_panic_and_no_change_goes_unseen(
        spans in spans(), changes in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4), cut_at in any::<prop::sample::Index>(), mend in any::<bool>()
    ) {
        let plan = LinkPlan::new(3, (at(0.0), at(1800.0)), names(5), cut(&spans, 0, 1800)).unwrap();
        let whole = encode(&plan);
        let mut bytes = whole.clone();
        for (place, change) in changes {
            let at = place.index(bytes.len());
            bytes[at] ^= change;
        }
        let read = |bytes: &[u8]| {
            let view = LinkPlanView::new(bytes)?;
            for node in (0..8).map(NodeIx) {
                let _name = view.name(node);
            }
            let _windows: Vec<_> = view.windows().map(|window| window.to_window()).collect();
            view.to_plan()
        };
        if bytes != whole {
            prop_assert!(read(&bytes).is_err());
        }
        prop_assert!(read(&bytes[..cut_at.index(bytes.len())]).is_err());
        if mend {
            // With the checksums made right the content has to stand on its own.
            for section in 0..3 {
                let entry = 56 + section * 24;
                let number = |at: usize| usize::try_from(u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())).unwrap_or(usize::MAX);
                let (from, length) = (number(entry), number(entry + 8));
                if let Some(section) = from.checked_add(length).and_then(|to| bytes.get(from..to)) {
                    let crc = crc32fast::hash(section).to_le_bytes();
                    bytes[entry + 16..entry + 20].copy_from_slice(&crc);
                }
            }
            let head = [&bytes[..52], &bytes[56..128]].concat();
            bytes[52..56].copy_from_slice(&crc32fast::hash(&head).to_le_bytes());
            if let Ok(other) = read(&bytes) {
                prop_assert_eq!(encode(&other).len(), bytes.len());
            }
        }
    }
}
