//! +Grid by geometry, for real element sets: ahead, behind, and one neighbour on either side.
//!
//! Two satellites of like inclination and height keep their place to each other: along the orbit by
//! `du + dO cos i`, across it by the angle between their planes. So neighbours chosen by these two numbers
//! (u: argument of latitude, O: node) stay neighbours all round the orbit, though planes cross.
//! Stragglers and the edges of shells are joined to what is near with the terminals that are left.

use core::f64::consts::{PI, TAU};

use super::LinkLayout;
use super::neighbors::use_spare_terminals;
use super::terminals::{Terminals, by_cost};
use crate::elements::{Elements, MeanElements};
use crate::propagate::SGP4_EARTH_RADIUS_KM;
use crate::propagate::State;
use crate::vector::{cross, dot, unit};
use crate::visibility::SightRule;

/// For how long a layout has to hold, seconds.
const HOLD_S: f64 = 600.0;
/// Planes whose normals are closer than this are one, degrees.
const COPLANAR_DEG: f64 = 3.0;
/// Satellites of like height, km: in one slot they drift 0.2 degrees against each other.
const HEIGHT_APART_KM_MAX: f64 = 25.0;
/// Shells are told apart by a gap in inclination, degrees.
const SHELL_GAP_DEG: f64 = 0.5;
/// Nodes farther apart than this are no neighbours, degrees: Iridium's planes are 32 apart, and beyond 60 the
/// neighbour would no longer fly the same way.
const NODES_APART_DEG_MAX: f64 = 60.0;
/// Farthest along the orbit, degrees; at 550 km the Earth is in the way from 42.
const ALONG_DEG_MAX: f64 = 60.0;
/// Below this inclination (and above 180 minus it) the node says nothing, degrees.
const FLAT_DEG: f64 = 3.0;
/// Candidates on either side that are weighed: two planes of Starlink and what flies between them.
const SIDE_CANDIDATES: usize = 48;
/// Satellites of other heights among them that are passed over; keeps the search linear where thousands are raised.
const PASSED_MAX: usize = 150;
/// How many of the best candidates of each direction a satellite keeps, for when the best is taken.
const CHOICES: usize = 3;
/// Orbits more eccentric than this keep no place in a grid.
const ECCENTRICITY_MAX: f64 = 0.02;
/// Weight of the angle between planes against that along the orbit: ahead and behind, one's own plane comes
/// first where planes interleave; to the sides, the next plane comes before the one after.
const IN_PLANE_WEIGHT: f64 = 8.0;
const CROSS_PLANE_WEIGHT: f64 = 1.5;

/// The layout of the satellites in these states (TEME, one instant).
pub(crate) fn grid(
    elements: &[Elements],
    states: &[Option<State>],
    sight: &SightRule,
) -> LinkLayout {
    let members = members(elements, states);
    let mut choices = Choices::new(elements.len());
    for shell in members.chunk_by(|a, b| b.inclination_deg - a.inclination_deg <= SHELL_GAP_DEG) {
        let mut by_node = shell.to_vec();
        by_node.sort_unstable_by_key(|m| by_cost(m.node, m.index, 0));
        scan(&by_node, &mut choices);
    }
    let mut terminals = Terminals::new(elements.len());
    let mut links = choices.settle(&mut terminals);
    use_spare_terminals(states, sight, HOLD_S, &mut terminals, &mut links);
    LinkLayout::new(links)
}

/// A satellite in the terms of its orbit; angles in radians.
#[derive(Clone, Copy, Debug)]
struct Member {
    index: u32,
    inclination_deg: f64,
    cos_inclination: f64,
    height_km: f64,
    /// 0 to 2 pi; 0 for flat orbits.
    node: f64,
    latitude_argument: f64,
    normal: [f64; 3],
}

/// The satellites that can keep a place in a grid, sorted by inclination.
fn members(elements: &[Elements], states: &[Option<State>]) -> Vec<Member> {
    let known = (0_u32..).zip(elements).zip(states);
    let mut members: Vec<Member> = known
        .filter_map(|((index, elements), state)| member(index, &elements.mean, state.as_ref()?))
        .collect();
    members.sort_unstable_by_key(|m| by_cost(m.inclination_deg, m.index, 0));
    members
}

fn member(index: u32, mean: &MeanElements, (position, velocity): &State) -> Option<Member> {
    if ECCENTRICITY_MAX < mean.eccentricity {
        return None;
    }
    let normal = unit(cross(*position, *velocity));
    let flat = !(FLAT_DEG..=180.0 - FLAT_DEG).contains(&mean.inclination_deg);
    // The ascending node lies at right angles to the pole and the normal.
    let node = if flat { 0.0 } else { normal[0].atan2(-normal[1]).rem_euclid(TAU) };
    let towards_node = [node.cos(), node.sin(), 0.0];
    let ahead_of_node = cross(normal, towards_node);
    Some(Member {
        index,
        inclination_deg: mean.inclination_deg,
        cos_inclination: mean.inclination_deg.to_radians().cos(),
        height_km: mean_height_km(mean),
        node,
        latitude_argument: dot(*position, ahead_of_node).atan2(dot(*position, towards_node)),
        normal,
    })
}

/// Height of a circular orbit with this mean motion above the equatorial radius.
fn mean_height_km(mean: &MeanElements) -> f64 {
    let radians_per_s = mean.mean_motion_rev_day * TAU / 86_400.0;
    // a = (mu / n^2)^(1/3), WGS-72
    (398_600.8 / (radians_per_s * radians_per_s)).cbrt() - SGP4_EARTH_RADIUS_KM
}

/// Looks at the pairs of one shell, sorted by node, each once: the second lies east of the first.
fn scan(shell: &[Member], choices: &mut Choices) {
    let apart_max = NODES_APART_DEG_MAX.to_radians();
    for (at, member) in shell.iter().enumerate() {
        let (west, east) = shell.split_at(at + 1);
        let ahead = east.iter().map(|other| (other, other.node - member.node));
        // Round by 0: those with the same node have been paired the other way.
        let round = west.iter().map(|other| (other, other.node - member.node + TAU));
        let near = ahead.chain(round.take_while(|(_, apart)| *apart < TAU));
        let (mut weighed, mut passed) = (0, 0);
        for (other, nodes_apart) in near.take_while(|(_, apart)| *apart <= apart_max) {
            if HEIGHT_APART_KM_MAX < (other.height_km - member.height_km).abs() {
                passed += 1;
            } else {
                weighed += usize::from(choices.consider(member, other, nodes_apart));
            }
            if SIDE_CANDIDATES <= weighed || PASSED_MAX <= passed {
                break;
            }
        }
    }
}

/// Cost and partner of the best candidates, best first; unused ones cost infinitely much.
type Best = [(f64, u32); CHOICES];
const NOBODY: (f64, u32) = (f64::INFINITY, u32::MAX);

/// The best candidates of each satellite in each direction.
#[derive(Debug)]
struct Choices {
    ahead: Vec<Best>,
    behind: Vec<Best>,
    east: Vec<Best>,
    west: Vec<Best>,
    cos_coplanar: f64,
}

impl Choices {
    fn new(satellites: usize) -> Self {
        let none = vec![[NOBODY; CHOICES]; satellites];
        let cos_coplanar = COPLANAR_DEG.to_radians().cos();
        Self {
            ahead: none.clone(),
            behind: none.clone(),
            east: none.clone(),
            west: none,
            cos_coplanar,
        }
    }

    /// Weighs a pair; `other` lies east by `nodes_apart`. Answers whether it lies in another plane.
    fn consider(&mut self, member: &Member, other: &Member, nodes_apart: f64) -> bool {
        let cos_inclination = (member.cos_inclination + other.cos_inclination) / 2.0;
        let along =
            other.latitude_argument - member.latitude_argument + nodes_apart * cos_inclination;
        // The sum of three angles of at most 180, 180 and 60 degrees is one turn off at most.
        let along = if PI < along { along - TAU } else { along };
        let along = if along < -PI { along + TAU } else { along };
        let cos_planes = dot(member.normal, other.normal);
        let is_other_plane = cos_planes <= self.cos_coplanar;
        if ALONG_DEG_MAX.to_radians() < along.abs() {
            return is_other_plane;
        }
        // |n1 - n2| = 2 sin(angle / 2): close enough to the angle up to 60 degrees.
        let planes_apart = (2.0 * (1.0 - cos_planes)).max(0.0).sqrt();
        let (a, b) = (member.index, other.index);
        if is_other_plane {
            let cost = (along * along + (CROSS_PLANE_WEIGHT * planes_apart).powi(2)).sqrt();
            keep(&mut self.east[a as usize], cost, b);
            keep(&mut self.west[b as usize], cost, a);
        } else {
            let cost = along.abs() + IN_PLANE_WEIGHT * planes_apart;
            let (back, front) = if 0.0 < along { (a, b) } else { (b, a) };
            keep(&mut self.ahead[back as usize], cost, front);
            keep(&mut self.behind[front as usize], cost, back);
        }
        is_other_plane
    }

    /// Gives out the terminals, the cheapest link first, one per direction.
    fn settle(&self, terminals: &mut Terminals) -> Vec<(u32, u32)> {
        let mut links = Vec::new();
        for (there, back) in [(&self.ahead, &self.behind), (&self.east, &self.west)] {
            let mut candidates: Vec<(f64, u32, u32)> = Vec::new();
            for (own, best) in (0_u32..).zip(there) {
                candidates.extend(known(best).map(|(cost, other)| (cost, own, other)));
            }
            for (own, best) in (0_u32..).zip(back) {
                // Most pairs are among the best of both ends; once is enough.
                let fresh =
                    |(cost, other): &(f64, u32)| !there[*other as usize].contains(&(*cost, own));
                candidates
                    .extend(known(best).filter(fresh).map(|(cost, other)| (cost, other, own)));
            }
            candidates.sort_unstable_by_key(|(cost, a, b)| by_cost(*cost, *a, *b));
            let mut there_taken = vec![false; there.len()];
            let mut back_taken = vec![false; there.len()];
            for (_, a, b) in candidates {
                let (from, to) = (&mut there_taken[a as usize], &mut back_taken[b as usize]);
                if !*from && !*to && terminals.join(a, b) {
                    (*from, *to) = (true, true);
                    links.push((a.min(b), a.max(b)));
                }
            }
        }
        links
    }
}

fn known(best: &Best) -> impl Iterator<Item = (f64, u32)> {
    best.iter().copied().filter(|(cost, _)| cost.is_finite())
}

/// Puts a candidate in its place among the best; the lower number wins ties.
fn keep(best: &mut Best, cost: f64, other: u32) {
    let mut candidate = (cost, other);
    if best[CHOICES - 1].0 < cost {
        return;
    }
    for kept in best {
        if (candidate.0, candidate.1) < (kept.0, kept.1) {
            core::mem::swap(kept, &mut candidate);
        }
    }
}

#[cfg(test)]
mod tests {
    use types::Epoch;

    use super::*;
    use crate::link::plus_grid;
    use crate::walker::WalkerShell;

    const SIGHT: SightRule = SightRule { range_max_km: 5500.0, grazing_altitude_km: 80.0 };

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

    fn layout(elements: &[Elements], minutes: f64) -> LinkLayout {
        let states: Vec<_> = elements.iter().map(|e| e.state_teme(minutes).ok()).collect();
        grid(elements, &states, &SIGHT)
    }

    #[test]
    fn geometry_finds_the_grid_of_a_walker_shell_at_any_time() {
        // In these the same slot of the next plane is the nearest in it.
        for (planes, slots, phasing) in [(72, 22, 0), (36, 20, 0), (72, 22, 17)] {
            let shell = shell(planes, slots, phasing);
            let elements = shell.elements().unwrap();
            let exact = plus_grid(&shell);
            for minutes in [0.0, 17.0, 500.0] {
                let found = layout(&elements, minutes);
                let same = found.pairs().iter().filter(|p| exact.pairs().contains(p)).count();
                let all = exact.pairs().len();
                assert!(all * 9 <= same * 10, "{planes} {slots} {minutes}: {same} of {all}");
            }
        }
    }

    #[test]
    fn the_layout_hardly_changes_from_slot_to_slot() {
        let elements = shell(72, 22, 17).elements().unwrap();
        let (now, later) = (layout(&elements, 0.0), layout(&elements, 10.0));
        let kept = now.pairs().iter().filter(|pair| later.pairs().contains(pair)).count();
        assert!(now.pairs().len() * 95 <= kept * 100, "{kept} of {}", now.pairs().len());
    }

    #[test]
    fn no_one_and_two_satellites_are_fine() {
        assert_eq!(layout(&[], 0.0).pairs(), []);
        let elements = shell(1, 22, 0).elements().unwrap();
        assert_eq!(layout(&elements[..1], 0.0).pairs(), []);
        assert_eq!(layout(&elements[..2], 0.0).pairs(), [(0, 1)]);
        // Opposite in their orbit: the Earth is in between.
        let far = [elements[0].clone(), elements[11].clone()];
        assert_eq!(layout(&far, 0.0).pairs(), []);
    }

    #[test]
    fn a_ring_over_the_equator_closes() {
        let ring = WalkerShell { inclination_deg: 0.0, ..shell(1, 20, 0) };
        let elements = ring.elements().unwrap();
        let ahead: Vec<(u32, u32)> = plus_grid(&ring).pairs().to_vec();
        let found = layout(&elements, 33.0);
        assert!(ahead.iter().all(|pair| found.pairs().contains(pair)), "{found:?}");
    }

    #[test]
    fn a_lost_satellite_leaves_a_gap_and_no_more() {
        let elements = shell(24, 22, 0).elements().unwrap();
        let mut states: Vec<_> = elements.iter().map(|e| e.state_teme(0.0).ok()).collect();
        states[100] = None;
        let found = grid(&elements, &states, &SIGHT);
        assert!(found.pairs().iter().all(|(a, b)| *a != 100 && *b != 100));
        // Ahead and behind find each other across the gap.
        assert!(found.pairs().contains(&(99, 101)));
    }
}
