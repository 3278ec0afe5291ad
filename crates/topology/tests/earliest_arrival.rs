//! Earliest arrival: small stories, and agreement with brute force.

use std::collections::BTreeMap;

use proptest::prelude::*;
use topology::earliest_arrival::{Hop, NoDelivery, Taken};
use topology::{Bundle, ContactRouter, Delivery, LinkPlan, LinkWindow, NodeIx, RangeSegment};
use types::Epoch;

fn at(seconds: f64) -> Epoch {
    Epoch::from_unix_ns(0).plus_s(seconds)
}

/// A window of 8 kbit/s, a thousand bytes a second, at a range of `light_s` seconds.
fn window(a: u32, b: u32, open_s: f64, close_s: f64, light_s: f64) -> LinkWindow {
    let count = (close_s / 60.0).ceil() - (open_s / 60.0).floor();
    let segment = RangeSegment { c: [light_s * 299_792.458, 0.0, 0.0], error_km_max: 0.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few minutes")]
    let range = vec![segment; count as usize];
    let (open, close) = (at(open_s), at(close_s));
    let (open_known, close_known) = (true, true);
    let (rate_kbps, confidence_ppm) = (8, 1_000_000);
    let (a, b) = (NodeIx(a), NodeIx(b));
    LinkWindow { a, b, open, close, open_known, close_known, rate_kbps, confidence_ppm, range }
}

fn plan(windows: Vec<LinkWindow>) -> LinkPlan {
    let nodes = (0..5).map(|node| node.to_string()).collect();
    LinkPlan::new(1, (at(0.0), at(3600.0)), nodes, windows).expect("a valid plan")
}

fn bundle(from: u32, to: u32, bytes: u64, at_s: f64) -> Bundle {
    Bundle { from: NodeIx(from), to: NodeIx(to), bytes, at: at(at_s) }
}

fn times(delivery: &Delivery) -> Vec<(f64, f64, f64)> {
    let seconds = |at: Epoch| at.seconds_since(Epoch::from_unix_ns(0));
    delivery
        .hops
        .iter()
        .map(|h| (seconds(h.tx_begin), seconds(h.tx_end), seconds(h.arrival)))
        .collect()
}

#[test]
fn a_bundle_waits_between_windows() {
    let plan = plan(vec![window(0, 1, 10.0, 20.0, 0.5), window(1, 2, 30.0, 40.0, 0.25)]);
    let router = ContactRouter::new(&plan);
    let found = router.earliest(&bundle(0, 2, 2000, 0.0)).unwrap();
    assert_eq!(times(&found), [(10.0, 12.0, 12.5), (30.0, 32.0, 32.25)]);
    assert_eq!(router.earliest(&bundle(2, 0, 2000, 0.0)), Err(NoDelivery::NotInTime));
    assert_eq!(router.earliest(&bundle(0, 2, 10_001, 0.0)), Err(NoDelivery::NotInTime));
    assert_eq!(router.earliest(&bundle(0, 2, 2000, 18.5)), Err(NoDelivery::NotInTime));
    assert_eq!(router.earliest(&bundle(0, 9, 1, 0.0)), Err(NoDelivery::UnknownNode(9)));
    let there = router.earliest(&bundle(3, 3, 1, 5.0)).unwrap();
    assert_eq!((there.hops.len(), there.arrival), (0, at(5.0)));
}

#[test]
fn a_direct_window_that_opens_later_may_be_earlier() {
    let plan = plan(vec![
        window(0, 1, 0.0, 60.0, 0.0),
        window(1, 2, 50.0, 60.0, 0.0),
        window(0, 2, 40.0, 60.0, 0.0),
    ]);
    let found = ContactRouter::new(&plan).earliest(&bundle(0, 2, 1000, 0.0)).unwrap();
    assert_eq!(times(&found), [(40.0, 41.0, 41.0)]);
}

#[test]
fn what_is_booked_is_left_out_and_gaps_are_used() {
    let plan = plan(vec![window(0, 1, 0.0, 10.0, 0.0)]);
    let mut router = ContactRouter::new(&plan);
    let late = router.earliest(&bundle(0, 1, 2000, 5.0)).unwrap();
    assert_eq!(router.residual_bytes(0, NodeIx(0)), Some(10_000));
    router.book(&late).unwrap();
    assert_eq!(router.book(&late), Err(Taken { hop: 0 }));
    // Before the booked time there are 5 s, after it 3 s.
    for (bytes, expected) in
        [(5000, Some((0.0, 5.0, 5.0))), (5001, None), (3000, Some((0.0, 3.0, 3.0)))]
    {
        let found = router.earliest(&bundle(0, 1, bytes, 0.0)).ok();
        assert_eq!(found.map(|d| times(&d)[0]), expected, "{bytes}");
    }
    let after = router.earliest(&bundle(0, 1, 3000, 4.0)).unwrap();
    assert_eq!(times(&after), [(7.0, 10.0, 10.0)]);
    assert_eq!(router.residual_bytes(0, NodeIx(0)), Some(8000));
    // The other direction is free.
    assert_eq!(router.residual_bytes(0, NodeIx(1)), Some(10_000));
    assert_eq!(router.residual_bytes(0, NodeIx(2)), None);
}

#[test]
fn full_buffers_are_gone_around() {
    let plan = plan(vec![
        window(0, 1, 0.0, 100.0, 0.0),
        window(1, 4, 50.0, 100.0, 0.0),
        window(0, 2, 0.0, 100.0, 0.0),
        window(2, 4, 60.0, 100.0, 0.0),
    ]);
    let mut router = ContactRouter::new(&plan).with_buffers(1500);
    for expected in [(50.0, 51.0, 51.0), (60.0, 61.0, 61.0)] {
        let found = router.earliest(&bundle(0, 4, 1000, 0.0)).unwrap();
        assert_eq!(times(&found)[1], expected);
        router.book(&found).unwrap();
    }
    // Both relays keep a thousand bytes until then.
    assert_eq!(router.earliest(&bundle(0, 4, 1000, 0.0)), Err(NoDelivery::NotInTime));
    assert_eq!(times(&router.earliest(&bundle(0, 4, 1000, 55.0)).unwrap())[1], (56.0, 57.0, 57.0));
    // What does not pass another node needs no buffer.
    assert!(router.earliest(&bundle(0, 1, 9000, 0.0)).is_ok());
}

/// The earliest arrival over all sequences of windows that visit no node twice.
fn brute_force(
    plan: &LinkPlan,
    visited: &mut Vec<NodeIx>,
    ready: Epoch,
    bundle: &Bundle,
    taken: &[Hop],
) -> Option<Epoch> {
    let here = visited[visited.len() - 1];
    if here == bundle.to {
        return Some(ready);
    }
    let mut best: Option<Epoch> = None;
    for (number, window) in (0_u32..).zip(plan.windows()) {
        let to = if window.a == here { window.b } else { window.a };
        if (window.a != here && window.b != here) || visited.contains(&to) {
            continue;
        }
        // Whatever is taken ends at some time: try those and the first possible one.
        let ends = taken.iter().filter(|hop| hop.window == number && hop.from == here);
        let length = i64::try_from(bundle.bytes * 1_000_000).expect("small");
        let fits = |begin: &Epoch| {
            let end = begin.unix_ns() + length;
            let mut others = ends.clone();
            ready.max(window.open) <= *begin
                && end <= window.close.unix_ns()
                && !others.any(|hop| hop.tx_begin.unix_ns() < end && *begin < hop.tx_end)
        };
        let begins = ends.clone().map(|hop| hop.tx_end).chain([ready.max(window.open)]);
        let Some(begin) = begins.filter(fits).min() else { continue };
        let tx_end = Epoch::from_unix_ns(begin.unix_ns() + length);
        let arrival = tx_end.plus_s(window.delay_us(tx_end).expect("within") * 1e-6);
        visited.push(to);
        let found = brute_force(plan, visited, arrival, bundle, taken);
        visited.pop();
        best = [best, found].into_iter().flatten().min();
    }
    best
}

fn random_plan() -> impl Strategy<Value = LinkPlan> {
    let window_of = |(a, turn, gap, length, light): (u32, u32, u32, u32, u32)| {
        (a, (a + turn) % 5, gap, length, light)
    };
    let one = (0_u32..5, 1_u32..5, 0_u32..40, 1_u32..30, 0_u32..8).prop_map(window_of);
    prop::collection::vec(one, 0..14).prop_map(|windows| {
        let mut ends: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        let windows = windows.into_iter().map(|(a, b, gap, length, light)| {
            let pair = (a.min(b), a.max(b));
            let open = ends.get(&pair).copied().unwrap_or(0) + gap;
            ends.insert(pair, open + length);
            window(
                pair.0,
                pair.1,
                f64::from(open),
                f64::from(open + length),
                f64::from(light) / 8.0,
            )
        });
        plan(windows.collect())
    })
}

proptest! {
    #[test]
    fn it_is_as_early_as_the_best_of_all_sequences_also_when_times_are_taken(
        plan in random_plan(),
        bundles in prop::collection::vec((0_u32..5, 0_u32..5, 1_u64..6000, 0_u32..60), 1..12),
    ) {
        let mut router = ContactRouter::new(&plan);
        let mut taken: Vec<Hop> = Vec::new();
        for (from, to, bytes, at_s) in bundles {
            let bundle = bundle(from, to, bytes, f64::from(at_s));
            let best = brute_force(&plan, &mut vec![bundle.from], bundle.at, &bundle, &taken);
            let found = router.earliest(&bundle);
            prop_assert_eq!(found.as_ref().map(|d| d.arrival).ok(), best);
            let Ok(found) = found else { continue };
            // More volume is never there earlier.
            let larger = router.earliest(&Bundle { bytes: bytes * 2, ..bundle });
            prop_assert!(larger.is_err() || larger.is_ok_and(|larger| found.arrival <= larger.arrival));
            router.book(&found).unwrap();
            taken.extend(&found.hops);
        }
        // No two bundles are sent at once, none outside its window, and volume and residual add up.
        for (number, window) in (0_u32..).zip(plan.windows()) {
            for from in [window.a, window.b] {
                let mut hops: Vec<&Hop> = taken.iter().filter(|h| (h.window, h.from) == (number, from)).collect();
                hops.sort_by_key(|hop| hop.tx_begin);
                prop_assert!(hops.iter().all(|hop| window.open <= hop.tx_begin && hop.tx_end <= window.close));
                prop_assert!(hops.windows(2).all(|two| two[0].tx_end <= two[1].tx_begin));
                let booked: i64 = hops.iter().map(|hop| hop.tx_end.unix_ns() - hop.tx_begin.unix_ns()).sum();
                let whole = window.close.unix_ns() - window.open.unix_ns();
                let residual = u64::try_from((whole - booked) / 1_000_000).unwrap();
                prop_assert_eq!(router.residual_bytes(number, from), Some(residual));
            }
        }
    }

    #[test]
    fn buffers_never_hold_more_than_their_limit(
        plan in random_plan(),
        bundles in prop::collection::vec((0_u32..5, 0_u32..5, 1_u64..3000, 0_u32..60), 1..16),
    ) {
        const LIMIT: u64 = 4000;
        let mut router = ContactRouter::new(&plan).with_buffers(LIMIT);
        let mut kept: Vec<(NodeIx, Epoch, Epoch, u64)> = Vec::new();
        for (from, to, bytes, at_s) in bundles {
            if let Ok(found) = router.earliest(&bundle(from, to, bytes, f64::from(at_s))) {
                router.book(&found).unwrap();
                kept.extend(found.hops.windows(2).map(|two| (two[1].from, two[0].tx_begin, two[1].tx_end, bytes)));
            }
        }
        for (node, moment, _, _) in &kept {
            let there = kept.iter().filter(|(at, from, to, _)| at == node && from <= moment && moment < to);
            prop_assert!(there.map(|(.., bytes)| bytes).sum::<u64>() <= LIMIT);
        }
    }
}
