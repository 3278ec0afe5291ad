//! Protocols against brute force, on random and on degenerate skies.

use std::sync::Arc;

use proptest::prelude::*;
use types::Epoch;

use super::*;
use crate::propagate::Sgp4;
use crate::vector::{dot, minus};
use crate::visibility::SightRule;
use crate::walker::WalkerShell;

/// What a test asks of a protocol: the links at these positions.
fn chosen(kind: ProtocolKind, rules: &IslRules, book: Rulebook, at: &[[f64; 3]]) -> IslSet {
    let mut protocol = protocol(kind, rules, book, Vec::new());
    let mut set = IslSet::default();
    // Twice, so that what was kept from the instant before would show.
    for _ in 0..2 {
        choose(protocol.as_mut(), at, 0, &mut set);
    }
    assert_eq!(protocol.name(), kind.name());
    assert_well_formed(&set, at.len());
    set
}

fn choose(protocol: &mut dyn LinkProtocol, at: &[[f64; 3]], second: i64, set: &mut IslSet) {
    let propagator = Sgp4::new(Arc::from([]));
    let at_epoch = Epoch::from_unix_ns(second * 1_000_000_000);
    let scene = Scene { at: at_epoch, positions_km: at, elements: &[], propagator: &propagator };
    protocol.choose(&scene, set);
}

#[track_caller]
fn assert_well_formed(set: &IslSet, satellites: usize) {
    assert!(set.links.is_sorted_by(|x, y| (x.a, x.b) < (y.a, y.b)), "{:?}", set.links);
    assert!(set.links.iter().all(|link| link.a < link.b && (link.b as usize) < satellites));
}

fn pairs(set: &IslSet) -> Vec<(u32, u32)> {
    set.links.iter().map(|link| (link.a, link.b)).collect()
}

fn degrees(set: &IslSet, satellites: usize) -> Vec<u32> {
    let mut degrees = vec![0; satellites];
    for end in set.links.iter().flat_map(|link| [link.a, link.b]) {
        degrees[end as usize] += 1;
    }
    degrees
}

/// A pair by squared length, then by numbers: the order of all protocols.
type Candidate = (f64, u32, u32);

/// All pairs that `sees` allows, ascending.
fn candidates(at: &[[f64; 3]], sees: impl Fn([f64; 3], [f64; 3]) -> bool) -> Vec<Candidate> {
    let count = u32::try_from(at.len()).unwrap();
    let all = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b)));
    let mut found: Vec<Candidate> = all
        .filter(|(a, b)| sees(at[*a as usize], at[*b as usize]))
        .map(|(a, b)| {
            let along = minus(at[b as usize], at[a as usize]);
            (dot(along, along), a, b)
        })
        .collect();
    found.sort_by(|x, y| x.partial_cmp(y).unwrap());
    found
}

/// Kruskal over all candidates: pairs, ascending by numbers, and the number of trees among `present` satellites.
fn kruskal(candidates: &[Candidate], satellites: usize, terminals: u32) -> Vec<(u32, u32)> {
    let mut set: Vec<usize> = (0..satellites).collect();
    let mut free = vec![terminals; satellites];
    let mut tree = Vec::new();
    for (_, a, b) in candidates {
        let (from, to) = (set[*a as usize], set[*b as usize]);
        if from != to && 0 < free[*a as usize] && 0 < free[*b as usize] {
            set.iter_mut().filter(|one| **one == to).for_each(|one| *one = from);
            free[*a as usize] -= 1;
            free[*b as usize] -= 1;
            tree.push((*a, *b));
        }
    }
    tree.sort_unstable();
    tree
}

fn rules(range_max_km: f64, terminals: u8) -> IslRules {
    let sight = SightRule { range_max_km, grazing_altitude_km: 80.0 };
    IslRules { sight, terminals, ..IslRules::default() }
}

fn on_sphere(lat: f64, lon: f64, radius_km: f64) -> [f64; 3] {
    [radius_km * lat.cos() * lon.cos(), radius_km * lat.cos() * lon.sin(), radius_km * lat.sin()]
}

/// Satellites at places of one or several heights, a few of them down.
fn a_sky() -> impl Strategy<Value = Vec<[f64; 3]>> {
    let height = prop_oneof![
        4 => Just(6928.0),
        4 => 6600.0_f64..7200.0,
        1 => 6600.0_f64..45_000.0,
        1 => Just(f64::NAN),
    ];
    let satellite = (-1.5_f64..1.5, -3.2_f64..3.2, height);
    let spread = prop::collection::vec(satellite, 0..300)
        .prop_map(|all| all.into_iter().map(|(a, o, r)| on_sphere(a, o, r)).collect());
    // Trains and bunches: steps of metres to hundreds of kilometres, many of them of no length.
    let steps = prop::collection::vec((0..400_u32, 0..3_usize), 0..200);
    let clustered = (steps, -6.0_f64..2.7).prop_map(|(steps, magnitude)| {
        let mut here = [6928.0, 0.0, 0.0];
        let walk = steps.into_iter().map(|(step, axis)| {
            here[axis] += f64::from(step % 5) * 10.0_f64.powf(magnitude);
            here
        });
        walk.collect()
    });
    prop_oneof![2 => spread, 1 => clustered]
}

proptest! {
    #[test]
    fn the_tree_is_the_one_that_kruskal_finds_among_all_pairs(
        at in a_sky(),
        range_km in prop_oneof![Just(5500.0), Just(1.0e9), 10.0_f64..9000.0],
        terminals in prop_oneof![Just(u8::MAX), Just(4_u8), 1_u8..5],
    ) {
        let rules = rules(range_km, terminals);
        let all = candidates(&at, |a, b| rules.sight.distance_km(a, b).is_some());
        let expected = kruskal(&all, at.len(), u32::from(terminals));
        let set = chosen(ProtocolKind::Mst, &rules, Rulebook::Starbelt, &at);
        prop_assert_eq!(pairs(&set), expected);
        let forest = set.forest.unwrap();
        let present = at.iter().filter(|at| at[0].is_finite()).count();
        prop_assert_eq!(forest.edges, set.links.len());
        prop_assert_eq!(forest.edges, present - forest.components);
        let longest = set.links.iter().map(|link| link.length_km).fold(0.0, f64::max);
        prop_assert_eq!(forest.longest_km.to_bits(), longest.to_bits());
    }

    #[test]
    fn the_published_tree_is_the_one_that_kruskal_finds_among_all_pairs(at in a_sky()) {
        let sight = sight::Sight::Range { range_max_km: STARDUST_RANGE_KM };
        let all = candidates(&at, |a, b| sight.sees(a, b));
        let set = chosen(ProtocolKind::Mst, &IslRules::default(), Rulebook::Stardust, &at);
        prop_assert_eq!(pairs(&set), kruskal(&all, at.len(), u32::MAX));
    }
}

/// `pst` as its description says it, satellite by satellite over all pairs, so many times.
fn pst_by_hand(
    all: &[Candidate],
    satellites: usize,
    terminals: u32,
    rounds: usize,
) -> Vec<(u32, u32)> {
    let mut set: Vec<usize> = (0..satellites).collect();
    let mut free = vec![terminals; satellites];
    let mut tree = Vec::new();
    for own in (0..rounds).flat_map(|_| 0..u32::try_from(satellites).unwrap()) {
        let own_links = all.iter().filter(|(_, a, b)| *a == own || *b == own);
        let fits = |(_, a, b): &&Candidate| {
            set[*a as usize] != set[*b as usize] && 0 < free[*a as usize] && 0 < free[*b as usize]
        };
        // Ascending by length, then by the numbers of both: by that of the other, since one end is the same.
        let mut fitting: Vec<&Candidate> = own_links.filter(fits).collect();
        fitting.sort_by(|x, y| (x.0, x.1 + x.2).partial_cmp(&(y.0, y.1 + y.2)).unwrap());
        if let Some((_, a, b)) = fitting.first() {
            let (from, to) = (set[*a as usize], set[*b as usize]);
            set.iter_mut().filter(|one| **one == to).for_each(|one| *one = from);
            free[*a as usize] -= 1;
            free[*b as usize] -= 1;
            tree.push((*a, *b));
        }
    }
    tree.sort_unstable();
    tree
}

/// Which satellites hang together, as the lowest number of each set.
fn sets_of(links: &[(u32, u32)], satellites: usize) -> Vec<usize> {
    let mut set: Vec<usize> = (0..satellites).collect();
    for (a, b) in links {
        let (from, to) = (set[*a as usize], set[*b as usize]);
        let (low, high) = (from.min(to), from.max(to));
        set.iter_mut().filter(|one| **one == high).for_each(|one| *one = low);
    }
    set
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn pst_takes_its_turns_as_described(at in a_sky(), range_km in 100.0_f64..9000.0) {
        let rules = rules(range_km, 3);
        let all = candidates(&at, |a, b| rules.sight.distance_km(a, b).is_some());
        let set = chosen(ProtocolKind::Pst, &rules, Rulebook::Starbelt, &at);
        prop_assert_eq!(pairs(&set), pst_by_hand(&all, at.len(), 3, at.len()));
        let anywhere = sight::Sight::Line { range_max_km: f64::INFINITY };
        let all = candidates(&at, |a, b| anywhere.sees(a, b));
        let set = chosen(ProtocolKind::Pst, &rules, Rulebook::Stardust, &at);
        prop_assert_eq!(pairs(&set), pst_by_hand(&all, at.len(), 4, 1));
    }

    #[test]
    fn an_unlimited_tree_spans_what_the_graph_connects(at in a_sky(), range_km in 50.0_f64..9000.0) {
        let rules = rules(range_km, u8::MAX);
        let all = candidates(&at, |a, b| rules.sight.distance_km(a, b).is_some());
        let graph: Vec<(u32, u32)> = all.iter().map(|(_, a, b)| (*a, *b)).collect();
        let set = chosen(ProtocolKind::Mst, &rules, Rulebook::Starbelt, &at);
        prop_assert_eq!(sets_of(&pairs(&set), at.len()), sets_of(&graph, at.len()));
    }

    #[test]
    fn all_protocols_keep_sight_range_and_terminals(
        at in a_sky(),
        range_km in 50.0_f64..9000.0,
        terminals in 1_u8..6,
    ) {
        let rules = rules(range_km, terminals);
        for kind in ProtocolKind::ALL.into_iter().filter(|kind| *kind != ProtocolKind::PlusGrid) {
            let set = chosen(kind, &rules, Rulebook::Starbelt, &at);
            for link in &set.links {
                let (a, b) = (at[link.a as usize], at[link.b as usize]);
                let km = rules.sight.distance_km(a, b);
                prop_assert_eq!(km.map(f64::to_bits), Some(link.length_km.to_bits()));
            }
            let most = degrees(&set, at.len()).into_iter().max().unwrap_or(0);
            prop_assert!(most <= u32::from(terminals), "{kind:?}: {most}");
        }
    }

    #[test]
    fn loops_add_to_the_tree_what_their_rules_say(at in a_sky(), range_km in 500.0_f64..9000.0) {
        let rules = rules(range_km, 4);
        for book in [Rulebook::Starbelt, Rulebook::Stardust] {
            let tree = chosen(ProtocolKind::Mst, &rules, book, &at);
            let tree_degrees = degrees(&tree, at.len());
            for kind in [ProtocolKind::MstLoop, ProtocolKind::MstSmartLoop] {
                let set = chosen(kind, &rules, book, &at);
                prop_assert_eq!(set.forest, tree.forest);
                let added: Vec<_> =
                    set.links.iter().filter(|link| !tree.links.contains(link)).collect();
                prop_assert_eq!(added.len() + tree.links.len(), set.links.len());
                let degrees = degrees(&set, at.len());
                for link in added {
                    let ends = [link.a as usize, link.b as usize];
                    // Nobody beyond four links gets one more; who asks had few.
                    prop_assert!(ends.iter().all(|end| degrees[*end] <= 4));
                    let few = if kind == ProtocolKind::MstLoop { 1..=2 } else { 1..=1 };
                    prop_assert!(ends.iter().any(|end| few.contains(&tree_degrees[*end])));
                }
            }
        }
    }

    #[test]
    fn the_published_nearest_links_everyone_to_its_neighbours(at in a_sky()) {
        let anywhere = sight::Sight::Line { range_max_km: f64::INFINITY };
        let all = candidates(&at, |a, b| anywhere.sees(a, b));
        let mut expected = Vec::new();
        for own in 0..u32::try_from(at.len()).unwrap() {
            let mut own_links: Vec<_> =
                all.iter().filter(|(_, a, b)| *a == own || *b == own).collect();
            own_links.sort_by(|x, y| (x.0, x.1 + x.2).partial_cmp(&(y.0, y.1 + y.2)).unwrap());
            expected.extend(own_links.iter().take(4).map(|(_, a, b)| (*a, *b)));
        }
        expected.sort_unstable();
        expected.dedup();
        let set = chosen(ProtocolKind::Nearest, &IslRules::default(), Rulebook::Stardust, &at);
        prop_assert_eq!(pairs(&set), expected);
    }
}

#[test]
fn a_thousand_copies_in_one_place_and_a_bunch_within_metres_are_spanned() {
    for step_km in [0.0, 1.0e-9, 1.0e-3] {
        let place = |i: u32| {
            let off = |n: u32| f64::from(n % 10) * step_km;
            [6928.0 + off(i), off(i / 10), off(i / 100)]
        };
        let at: Vec<[f64; 3]> = (0..1000).map(place).collect();
        for (book, terminals) in [(Rulebook::Starbelt, 4), (Rulebook::Stardust, 4)] {
            let set = chosen(ProtocolKind::Mst, &rules(100.0, terminals), book, &at);
            let forest = set.forest.unwrap();
            assert_eq!((forest.edges, forest.components), (999, 1), "{step_km} {book:?}");
        }
        // Beyond a millimetre the tree is exact however many pairs there are.
        if 1.0e-6 < step_km {
            let rules = rules(100.0, 255);
            let set = chosen(ProtocolKind::Mst, &rules, Rulebook::Starbelt, &at);
            assert_eq!(set, brute_force_mst(&at, &rules, Rulebook::Starbelt).0);
        }
    }
}

#[test]
fn a_leaf_looks_the_opposite_way() {
    // A row of three and one beyond: 0 - 1 - 2 are 300 km apart, 3 is farther on the other side of 0.
    let row = |i: f64| on_sphere(0.0, i * 300.0 / 6928.0, 6928.0);
    let at = [row(0.0), row(1.0), row(2.0), row(-1.2)];
    let set = chosen(ProtocolKind::MstSmartLoop, &IslRules::default(), Rulebook::Starbelt, &at);
    // The leaves are 2 and 3. Both see all others on the side of their partner; round the Earth, the farthest of them
    // lies at the largest angle. Then 3 is no leaf any more.
    assert_eq!(pairs(&set), [(0, 1), (0, 3), (1, 2), (2, 3)]);
    // A ring of eight within sight of the next two: the two ends of the tree close it.
    let ring: Vec<_> = (0..8_u8).map(|i| on_sphere(0.0, f64::from(i) * 0.785, 6928.0)).collect();
    let rules = rules(6000.0, 4);
    let wide =
        IslRules { sight: SightRule { grazing_altitude_km: -500.0, ..rules.sight }, ..rules };
    let set = chosen(ProtocolKind::MstSmartLoop, &wide, Rulebook::Starbelt, &ring);
    assert_eq!(set.links.len(), 8, "{set:?}");
    assert!(degrees(&set, 8).into_iter().all(|degree| degree == 2));
}

fn shell(planes: u32, slots: u32, phasing: u32) -> WalkerShell {
    WalkerShell {
        name: "s".to_owned(),
        planes,
        slots,
        altitude_km: 550.0,
        inclination_deg: 53.0,
        phasing,
        raan_span_deg: 360.0,
        epoch: Epoch::from_unix_ns(0),
    }
}

#[test]
fn two_shells_and_a_real_set_make_their_grids_side_by_side() {
    let shells = [shell(24, 22, 7), shell(12, 20, 5)];
    let [first, second] = shells.each_ref().map(|shell| shell.elements().unwrap());
    // Of no shell: found by geometry.
    let third = shell(36, 20, 0).elements().unwrap();
    let all = [first, second, third].concat();
    let (second_at, third_at) = (24 * 22, 24 * 22 + 12 * 20);
    let [first, second] = shells;
    let at = vec![ShellAt { first: 0, shell: first }, ShellAt { first: second_at, shell: second }];
    let propagator = Sgp4::new(Arc::from(all.clone()));
    let mut grid = protocol(ProtocolKind::PlusGrid, &rules(5500.0, 4), Rulebook::Starbelt, at);
    let mut set = IslSet::default();
    for minutes in [0, 5, 25] {
        let now = Epoch::from_unix_ns(minutes * 60_000_000_000);
        let mut positions = vec![[0.0; 3]; all.len()];
        crate::propagate::positions(&propagator, now, &mut positions);
        let scene =
            Scene { at: now, positions_km: &positions, elements: &all, propagator: &propagator };
        grid.choose(&scene, &mut set);
        assert_well_formed(&set, all.len());
        assert!(degrees(&set, all.len()).into_iter().all(|degree| degree <= 4));
        let within = |low: u32, high: u32| {
            set.links.iter().filter(|link| low <= link.a && link.b < high).count()
        };
        assert_eq!(within(0, second_at), 2 * 24 * 22, "all of the first are in sight");
        // Twelve planes are far apart: the next one is beyond the horizon where planes are widest apart.
        assert!((12 * 20..=2 * 12 * 20).contains(&within(second_at, third_at)));
        let third = within(third_at, third_at + 36 * 20);
        assert!(36 * 20 * 2 * 9 <= third * 10, "{third}");
        assert_eq!(within(0, u32::MAX), set.links.len());
        let apart = within(0, second_at) + within(second_at, third_at) + third;
        assert_eq!(apart, set.links.len(), "no link between shells");
    }
}

#[test]
fn a_new_link_carries_when_it_is_acquired_and_the_old_one_until_then() {
    // Three in a row; the one in the middle moves from the left neighbour to the right one.
    let places = |x: f64| [[6928.0, -400.0, 0.0], [6928.0, x, 0.0], [6928.0, 400.0, 0.0]];
    let one = IslRules { neighbours: 1, acquisition_s: 10.0, ..rules(450.0, 2) };
    let mut nearest = protocol(ProtocolKind::Nearest, &one, Rulebook::Starbelt, Vec::new());
    let mut set = IslSet::default();
    let mut links = |second: i64, x: f64| {
        choose(nearest.as_mut(), &places(x), second, &mut set);
        pairs(&set)
    };
    // Those of the first instant carry at once; 2 has nobody within 450 km.
    assert_eq!(links(0, -60.0), [(0, 1)]);
    // 1 prefers 2 now, and 2 wants 1; 0 still wants 1.
    assert_eq!(links(5, 10.0), [(0, 1)]);
    assert_eq!(links(14, 10.0), [(0, 1)]);
    assert_eq!(links(15, 10.0), [(0, 1), (1, 2)]);
    // Out of range of 0: gone at once. Back: it has to be acquired anew.
    assert_eq!(links(16, 60.0), [(1, 2)]);
    assert_eq!(links(17, 10.0), [(1, 2)]);
    assert_eq!(links(27, 10.0), [(0, 1), (1, 2)]);
    // Time that runs back begins again.
    assert_eq!(links(0, 10.0), [(0, 1), (1, 2)]);
}
