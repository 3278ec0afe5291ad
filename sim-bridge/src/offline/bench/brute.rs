//! The baseline: the same answers by the brute-force method, one thread, nothing kept from step to step.
//!
//! Links as the published simulators find them: the distance of each pair of satellites, all pairs in range sorted, Kruskal
//! over all of them; for each leaf a look at every satellite. Stations look at every satellite. Paths by Dijkstra with
//! a list that is sorted again after each node.

use core::cmp::Ordering;

use orbit::ground::{GroundLink, GroundPolicy, GroundScene};
use orbit::link::{Forest, Isl, IslSet, LinkProtocol, Scene};
use orbit::visibility::SightRule;
use topology::{Graph, NodeIx};
use types::Epoch;

use super::world::World;

/// Longest link that is looked at: the paper's third of the Earth's radius, km.
pub const RANGE_KM: f64 = 2126.0;
/// Lowest height at which a link may pass, km.
pub const GRAZING_KM: f64 = 80.0;
/// Links that a satellite holds at a time.
pub const TERMINALS: u8 = 4;
/// Whom a leaf chooses its loop from: the nearest ones.
const LOOP_CANDIDATES: usize = 8;
/// Satellites beyond which all pairs in range do not fit into memory: 100,000 have 140 million, 2.2 GB.
pub const SATELLITES_MAX: usize = 25_000;

const SIGHT: SightRule = SightRule { range_max_km: RANGE_KM, grazing_altitude_km: GRAZING_KM };

/// The exact minimum spanning tree under a limit of terminals, and a loop from each leaf the opposite way.
#[derive(Clone, Copy, Debug, Default)]
pub struct BruteLinks;

impl LinkProtocol for BruteLinks {
    fn name(&self) -> &'static str {
        "brute_force"
    }

    fn choose(&mut self, scene: &Scene<'_>, set: &mut IslSet) {
        let positions_km = scene.positions_km;
        let mut pairs = all_pairs(positions_km);
        pairs.sort_unstable_by(ascending);
        let mut degrees = vec![0_u8; positions_km.len()];
        let alive = positions_km.iter().filter(|position| is_known(position)).count();
        let (mut links, forest) = kruskal(&pairs, &mut degrees, alive);
        close_loops(positions_km, &mut degrees, &mut links);
        links.sort_unstable_by_key(|link| (link.a, link.b));
        *set = IslSet { links, forest: Some(forest) };
    }
}

fn is_known(position: &[f64; 3]) -> bool {
    position.iter().all(|axis| axis.is_finite())
}

fn all_pairs(positions_km: &[[f64; 3]]) -> Vec<Isl> {
    let mut pairs = Vec::new();
    for (a, from) in (0_u32..).zip(positions_km) {
        for (b, to) in (a + 1..).zip(&positions_km[a as usize + 1..]) {
            if let Some(length_km) = SIGHT.distance_km(*from, *to) {
                pairs.push(Isl { a, b, length_km });
            }
        }
    }
    pairs
}

/// The shorter first; equal ones by their ends.
fn ascending(one: &Isl, other: &Isl) -> Ordering {
    let ends = (one.a, one.b).cmp(&(other.a, other.b));
    one.length_km.total_cmp(&other.length_km).then(ends)
}

/// J. B. Kruskal, 1956; passes over links of satellites without a free terminal.
fn kruskal(pairs: &[Isl], degrees: &mut [u8], alive: usize) -> (Vec<Isl>, Forest) {
    let mut parents: Vec<u32> = (0_u32..).take(degrees.len()).collect();
    let mut links = Vec::new();
    let mut forest = Forest { components: alive, ..Forest::default() };
    for pair in pairs {
        let (a, b) = (pair.a as usize, pair.b as usize);
        if TERMINALS <= degrees[a] || TERMINALS <= degrees[b] {
            continue;
        }
        let (root_a, root_b) = (root(&mut parents, pair.a), root(&mut parents, pair.b));
        if root_a != root_b {
            parents[root_a.max(root_b) as usize] = root_a.min(root_b);
            (degrees[a], degrees[b]) = (degrees[a] + 1, degrees[b] + 1);
            links.push(*pair);
            forest.edges += 1;
            forest.components -= 1;
            forest.weight_km += pair.length_km;
            forest.longest_km = pair.length_km;
        }
    }
    (links, forest)
}

fn root(parents: &mut [u32], mut node: u32) -> u32 {
    while parents[node as usize] != node {
        let above = parents[parents[node as usize] as usize];
        parents[node as usize] = above;
        node = above;
    }
    node
}

/// Each satellite with one link takes, of the nearest in sight, the one with a free terminal that is most opposite to its link.
fn close_loops(positions_km: &[[f64; 3]], degrees: &mut [u8], links: &mut Vec<Isl>) {
    let mut partner = vec![None; positions_km.len()];
    for link in links.iter() {
        partner[link.a as usize] = Some(link.b);
        partner[link.b as usize] = Some(link.a);
    }
    for (leaf, from) in (0_u32..).zip(positions_km) {
        let Some(held) = partner[leaf as usize] else { continue };
        if degrees[leaf as usize] != 1 {
            continue;
        }
        let others = (0_u32..).zip(positions_km).filter(|(other, _)| *other != leaf);
        let in_sight =
            others.filter_map(|(other, to)| Some((SIGHT.distance_km(*from, *to)?, other)));
        let mut near: Vec<(f64, u32)> = in_sight.collect();
        near.sort_unstable_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        near.truncate(LOOP_CANDIDATES);
        near.retain(|(_, other)| *other != held && degrees[*other as usize] < TERMINALS);
        let cos = |other: u32| {
            cos_between(*from, positions_km[held as usize], positions_km[other as usize])
        };
        let by_cos = |one: u32, other: u32| cos(one).total_cmp(&cos(other)).then(one.cmp(&other));
        let best = near.into_iter().min_by(|one, other| by_cos(one.1, other.1));
        if let Some((length_km, other)) = best {
            degrees[leaf as usize] += 1;
            degrees[other as usize] += 1;
            links.push(Isl { a: leaf.min(other), b: leaf.max(other), length_km });
        }
    }
}

/// The cosine of the angle between the directions from `from` to the two.
fn cos_between(from: [f64; 3], one: [f64; 3], other: [f64; 3]) -> f64 {
    let minus = |a: [f64; 3]| [a[0] - from[0], a[1] - from[1], a[2] - from[2]];
    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let (one, other) = (minus(one), minus(other));
    dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
}

/// The nearest satellites above the mask, as many as a station has terminals.
#[derive(Clone, Copy, Debug, Default)]
pub struct BruteGround;

impl GroundPolicy for BruteGround {
    fn name(&self) -> &'static str {
        "brute_force"
    }

    fn choose(&mut self, scene: &GroundScene<'_>, links: &mut Vec<GroundLink>) {
        links.clear();
        let mut taken = vec![0_u16; scene.positions_km.len()];
        for (number, station) in (0_u32..).zip(scene.stations) {
            let sees = |(satellite, position): (u32, &[f64; 3])| {
                let elevation_deg = station.viewer.elevation_deg(*position);
                let from = station.viewer.position_km;
                let km = |axis: usize| position[axis] - from[axis];
                let range_km = (km(0) * km(0) + km(1) * km(1) + km(2) * km(2)).sqrt();
                let seen = station.min_elevation_deg.is_none_or(|mask| mask <= elevation_deg);
                let link = GroundLink { station: number, satellite, range_km, elevation_deg };
                (seen && range_km.is_finite()).then_some(link)
            };
            let mut seen: Vec<GroundLink> =
                (0_u32..).zip(scene.positions_km).filter_map(sees).collect();
            seen.sort_unstable_by(|one, other| one.range_km.total_cmp(&other.range_km));
            let free =
                |link: &GroundLink| taken[link.satellite as usize] < scene.satellite_terminals;
            seen.retain(free);
            seen.truncate(usize::from(station.terminals));
            seen.sort_unstable_by_key(|link| link.satellite);
            seen.iter().for_each(|link| taken[link.satellite as usize] += 1);
            links.append(&mut seen);
        }
    }
}

/// The delays of the shortest paths from a node, microseconds; infinite where none leads.
///
/// Dijkstra with a list that is sorted after each settled node, as the published routers do it.
pub fn shortest_delays_us(graph: &Graph, from: NodeIx) -> Vec<f64> {
    let mut delays = vec![f64::INFINITY; graph.node_count()];
    let mut open = vec![(0.0_f64, from)];
    while let Some((delay_us, node)) = open.pop() {
        if delays[node.index()] <= delay_us {
            continue;
        }
        delays[node.index()] = delay_us;
        for (next, link) in graph.links_of(node) {
            if delays[next.index()].is_infinite() {
                open.push((delay_us + link.delay_us, next));
            }
        }
        // The nearest last, where it is taken from.
        open.sort_by(|one, other| other.0.total_cmp(&one.0).then(other.1.cmp(&one.1)));
    }
    delays
}

/// Counts the windows of all stations and satellites by looking at each pair at each instant.
pub fn count_windows(world: &mut World, start: Epoch, horizon_s: f64, step_s: f64) -> usize {
    let mut up: Vec<bool> = Vec::new();
    let mut windows = 0;
    let mut after_s = 0.0;
    while after_s < horizon_s {
        world.place(start.plus_s(after_s));
        let satellites = world.positions_km().len();
        up.resize(satellites * world.stations().len(), false);
        for (station, was_up) in world.stations().iter().zip(up.chunks_mut(satellites.max(1))) {
            let mask = station.min_elevation_deg.unwrap_or(0.0);
            for (position, was_up) in world.positions_km().iter().zip(was_up) {
                let is_up = mask <= station.viewer.elevation_deg(*position);
                windows += usize::from(is_up && !*was_up);
                *was_up = is_up;
            }
        }
        after_s += step_s;
    }
    windows
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use orbit::link::ProtocolKind;
    use topology::Link;

    use super::super::parts;
    use super::super::sky::{BenchSky, cities};
    use super::super::world::Rules;
    use super::*;

    fn world(count: usize) -> (World, BenchSky) {
        let sky = BenchSky::new(&[], &cities(), "", count).unwrap();
        let rules = Rules {
            propagator: parts::propagator(Arc::clone(&sky.elements)),
            links: Box::new(BruteLinks),
            ground: Box::new(BruteGround),
        };
        (World::new(Arc::clone(&sky.elements), &sky.stations, rules), sky)
    }

    #[test]
    fn the_forest_spans_and_nobody_has_more_links_than_terminals() {
        let (mut world, sky) = world(1_000);
        world.step(sky.start.plus_s(600.0));
        let set = world.isl();
        let forest = set.forest.unwrap();
        assert_eq!(forest.edges + forest.components, 1_000);
        assert_eq!(forest.components, 1);
        assert!(forest.edges < set.links.len());
        assert!(set.links.is_sorted_by_key(|link| (link.a, link.b)));
        let mut degrees = [0_u8; 1_000];
        for link in &set.links {
            assert!(link.length_km <= RANGE_KM);
            degrees[link.a as usize] += 1;
            degrees[link.b as usize] += 1;
        }
        assert!(degrees.iter().all(|degree| (1..=TERMINALS).contains(degree)));
        // A leaf that stays one found nobody with room.
        assert!(degrees.iter().filter(|degree| **degree == 1).count() < 50);
    }

    #[test]
    fn each_station_gets_the_nearest_it_sees() {
        let (mut world, sky) = world(1_000);
        world.step(sky.start);
        assert!(50 < world.ground().len(), "{}", world.ground().len());
        assert!(world.ground().is_sorted_by_key(|link| (link.station, link.satellite)));
        assert!(
            world.ground().iter().all(|link| 25.0 <= link.elevation_deg && link.range_km < 1_200.0)
        );
    }

    #[test]
    fn sorting_again_and_again_finds_the_paths_that_the_heap_finds() {
        let (mut world, sky) = world(500);
        world.step(sky.start);
        let graph = world.graph();
        let (delays, tree) =
            (shortest_delays_us(&graph, NodeIx(3)), graph.shortest_paths(NodeIx(3)));
        for (node, delay_us) in (0_u32..).zip(delays) {
            let expected = tree.delay_us(NodeIx(node)).unwrap_or(f64::INFINITY);
            assert_eq!(delay_us.to_bits(), expected.to_bits());
        }
        let link = Link { a: NodeIx(0), b: NodeIx(1), delay_us: 5.0, rate_kbps: 1, loss_ppm: 0 };
        let pair = Graph::new(3, &[link]).unwrap();
        assert!(shortest_delays_us(&pair, NodeIx(0))[2].is_infinite());
    }

    #[test]
    fn the_engine_chooses_the_links_that_brute_force_finds() {
        for count in [1, 2, 60, 250, 1_500] {
            let (mut brute, sky) = world(count);
            let rules = Rules {
                propagator: parts::propagator(Arc::clone(&sky.elements)),
                links: parts::links(ProtocolKind::MstSmartLoop),
                ground: parts::ground(),
            };
            let mut engine = World::new(Arc::clone(&sky.elements), &sky.stations, rules);
            for minutes in [0.0, 11.0, 12.0] {
                let at = sky.start.plus_s(60.0 * minutes);
                brute.step(at);
                engine.step(at);
                let pairs = |world: &World| -> Vec<(u32, u32)> {
                    world.isl().links.iter().map(|link| (link.a, link.b)).collect()
                };
                assert_eq!(pairs(&engine), pairs(&brute), "{count} {minutes}");
                let ends = |world: &World| -> Vec<(u32, u32)> {
                    world.ground().iter().map(|link| (link.station, link.satellite)).collect()
                };
                // Where satellites have terminals enough, the order of the stations does not matter.
                if 1_000 < count {
                    assert_eq!(ends(&engine), ends(&brute), "{count} {minutes}");
                }
                let (ours, theirs) = (engine.isl().forest.unwrap(), brute.isl().forest.unwrap());
                assert_eq!((ours.edges, ours.components), (theirs.edges, theirs.components));
                assert!((ours.weight_km - theirs.weight_km).abs() < 1.0e-3);
            }
        }
    }

    #[test]
    fn windows_open_when_satellites_rise() {
        let (mut world, sky) = world(250);
        let (early, late) = (
            count_windows(&mut world, sky.start, 600.0, 30.0),
            count_windows(&mut world, sky.start, 3_600.0, 30.0),
        );
        assert!(0 < early && 2 * early < late, "{early} {late}");
    }
}
