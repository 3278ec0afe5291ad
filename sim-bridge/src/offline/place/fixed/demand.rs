//! When and where workflows arrive: people, times the hour of their day, plus bursts in single regions (a fire, a flood).
//!
//! The model is ours and coarse; its seed is all that it depends on.

use placement::Forecast as _;
use placement::draw::SplitMix64;
use placement::ground::distance_km;
use topology::NodeIx;
use types::{Epoch, NodeKind};

use super::super::run::number;
use super::flow::{KINDS, Kind, STRICTNESS};
use super::region::REGIONS;
use super::{FixedSky, Fleet, STEP_S};

/// Share of the workflows that arrive in bursts, in percent.
const BURST_PERCENT: usize = 20;
/// A burst in so many minutes, and how long each lasts, minutes.
const BURST_EVERY_MIN: u32 = 20;
const BURST_MIN: u32 = 5;
/// How much of the busiest hour is asked for at the quietest.
const NIGHT: f64 = 0.25;
/// The busiest hour of the day, local time.
const BUSY_H: f64 = 15.0;
/// How far from its source a satellite that has seen the place may be, km along the ground.
const DATA_KM: f64 = 1000.0;
/// Microseconds of a minute.
const MINUTE_US: u64 = 60_000_000;
/// Nobody is turned away for ever: so many hours of the day are tried before one is taken as it is.
const TRIES: u32 = 64;

/// A workflow that somebody wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// When it is submitted, microseconds since the start.
    pub at_us: u64,
    /// What it does.
    pub kind: &'static Kind,
    /// By what its latencies are multiplied.
    pub strictness: f64,
    /// The edge node that it begins on.
    pub edge: NodeIx,
    /// The satellite that holds its data.
    pub data: NodeIx,
    /// Whether it belongs to a burst.
    pub is_burst: bool,
}

/// A burst.
#[derive(Clone, Copy, Debug)]
struct Burst {
    region: usize,
    begin_us: u64,
    length_us: u64,
}

/// So many workflows over so many minutes, in the order of their arrival.
pub fn requests(
    fleet: &Fleet,
    sky: &FixedSky,
    start: Epoch,
    (minutes, count): (u32, usize),
    seed: u64,
) -> Vec<Request> {
    let mut draw = SplitMix64::new(seed);
    let edges = edges(fleet);
    let length_us = u64::from(minutes) * MINUTE_US;
    let bursts: Vec<_> = (0..(minutes / BURST_EVERY_MIN).max(1))
        .map(|_| {
            let lasts_us = u64::from(BURST_MIN.min(minutes)) * MINUTE_US;
            let begin_us = within(length_us - lasts_us, &mut draw);
            Burst { region: by_people(&edges, &mut draw), begin_us, length_us: lasts_us }
        })
        .collect();
    let mut found: Vec<_> = (0..count)
        .map(|_| {
            let is_burst = draw.below(100) < BURST_PERCENT;
            let (at_us, region) = if is_burst {
                let burst = bursts[draw.below(bursts.len())];
                (burst.begin_us + within(burst.length_us, &mut draw), burst.region)
            } else {
                by_hour(start, length_us, &edges, &mut draw)
            };
            let edge = edges[region][draw.below(edges[region].len())];
            let data = data_satellite((fleet, sky), edge, at_us, &mut draw);
            let kind = kind(&mut draw);
            let strictness = STRICTNESS[draw.below(STRICTNESS.len())];
            Request { at_us, kind, strictness, edge, data, is_burst }
        })
        .collect();
    // Stable: of equal times the one drawn first stays first.
    found.sort_by_key(|request| request.at_us);
    found
}

/// The edge nodes of each region.
fn edges(fleet: &Fleet) -> Vec<Vec<NodeIx>> {
    let mut edges = vec![Vec::new(); REGIONS.len()];
    for (at, site) in fleet.sites.iter().enumerate() {
        if site.kind == NodeKind::Edge {
            edges[site.region].push(number(fleet.satellites() + at));
        }
    }
    edges
}

/// A region that has edge nodes, by its people.
fn by_people(edges: &[Vec<NodeIx>], draw: &mut SplitMix64) -> usize {
    let served =
        || REGIONS.iter().zip(edges).enumerate().filter(|(_, (_, edges))| !edges.is_empty());
    let all: usize = served().map(|(_, (region, _))| region.millions as usize).sum();
    let mut left = draw.below(all);
    for (at, (region, _)) in served() {
        match left.checked_sub(region.millions as usize) {
            None => return at,
            Some(rest) => left = rest,
        }
    }
    0
}

/// A time and a region, by people and their hour of the day.
fn by_hour(
    start: Epoch,
    length_us: u64,
    edges: &[Vec<NodeIx>],
    draw: &mut SplitMix64,
) -> (u64, usize) {
    let mut found = (0, 0);
    for _ in 0..TRIES {
        found = (within(length_us, draw), by_people(edges, draw));
        let share = awake(start.plus_s(seconds(found.0)), REGIONS[found.1].lon_deg);
        if draw.unit() < share {
            break;
        }
    }
    found
}

/// How much is asked for at a longitude, of what is at the busiest hour.
fn awake(at: Epoch, lon_deg: f64) -> f64 {
    let utc_h = at.seconds_since(Epoch::from_unix_ns(0)) / 3600.0;
    let local_h = (utc_h + lon_deg / 15.0).rem_euclid(24.0);
    let wave = ((local_h - BUSY_H) / 24.0 * core::f64::consts::TAU).cos();
    NIGHT + (1.0 - NIGHT) * (1.0 + wave) / 2.0
}

fn kind(draw: &mut SplitMix64) -> &'static Kind {
    let all: usize = KINDS.iter().map(|kind| kind.share).sum();
    let mut left = draw.below(all);
    for kind in KINDS {
        match left.checked_sub(kind.share) {
            None => return kind,
            Some(rest) => left = rest,
        }
    }
    KINDS[0]
}

/// One of the satellites that are near an edge node at a moment; the nearest where none is.
fn data_satellite(
    (fleet, sky): (&Fleet, &FixedSky),
    edge: NodeIx,
    at_us: u64,
    draw: &mut SplitMix64,
) -> NodeIx {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "steps of a run")]
    let step = (seconds(at_us) / STEP_S) as u32;
    let here = sky.place(edge, step);
    let distances = (0..fleet.satellites())
        .map(number)
        .filter_map(|satellite| Some((satellite, distance_km(here?, sky.place(satellite, step)?))));
    let distances: Vec<_> = distances.collect();
    let near: Vec<_> = distances.iter().filter(|(_, km)| *km <= DATA_KM).collect();
    if let Some((satellite, _)) = near.get(draw.below(near.len())) {
        return *satellite;
    }
    let nearest = distances.iter().min_by(|(_, a), (_, b)| a.total_cmp(b));
    nearest.map_or(NodeIx(0), |(satellite, _)| *satellite)
}

/// A moment from 0 to below a length; 0 where it has none.
fn within(length_us: u64, draw: &mut SplitMix64) -> u64 {
    if length_us == 0 { 0 } else { draw.bits() % length_us }
}

/// Microseconds in seconds.
pub(super) fn seconds(us: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a run of 12 hours is far below 2^53 µs")]
    let us = us as f64;
    us / 1.0e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_asked_for_by_day_than_by_night() {
        let at = |text| Epoch::parse(text).unwrap();
        let [noon, night] = ["2026-01-01T15:00:00Z", "2026-01-01T03:00:00Z"].map(at);
        assert!((awake(noon, 0.0) - 1.0).abs() < 1e-9);
        assert!((awake(night, 0.0) - NIGHT).abs() < 1e-9);
        // Where the day is twelve hours ahead.
        assert!((awake(night, 180.0) - 1.0).abs() < 1e-9);
    }
}
