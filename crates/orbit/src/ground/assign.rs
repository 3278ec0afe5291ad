//! Who gets the terminals.

use super::in_sight::Seen;
use super::{GroundLink, GroundScene};

/// Terminals in use.
#[derive(Debug)]
pub(super) struct Terminals<'a> {
    scene: &'a GroundScene<'a>,
    of_satellites: Vec<u16>,
    of_stations: Vec<u16>,
}

impl<'a> Terminals<'a> {
    /// None in use.
    pub(super) fn new(scene: &'a GroundScene<'a>) -> Self {
        Self {
            scene,
            of_satellites: vec![0; scene.positions_km.len()],
            of_stations: vec![0; scene.stations.len()],
        }
    }

    /// Takes one of either end, if both have one left.
    pub(super) fn take(&mut self, station: usize, satellite: u32) -> bool {
        let there = &mut self.of_satellites[satellite as usize];
        let here = &mut self.of_stations[station];
        let both = *there < self.scene.satellite_terminals
            && *here < self.scene.stations[station].terminals;
        if both {
            *there += 1;
            *here += 1;
        }
        both
    }

    /// Whether a station can hold one more link.
    pub(super) fn has_free(&self, station: usize) -> bool {
        self.of_stations[station] < self.scene.stations[station].terminals
    }
}

/// Gives out terminals in turns; `wishes` are the satellites that each station asks for, the best first.
pub(super) fn in_turns(
    terminals: &mut Terminals<'_>,
    wishes: &[Vec<Seen>],
    links: &mut Vec<GroundLink>,
) {
    let mut rest: Vec<_> = wishes.iter().map(|wishes| wishes.iter()).collect();
    loop {
        let mut gained = false;
        for (station, wishes) in (0_u32..).zip(&mut rest) {
            let place = station as usize;
            if !terminals.has_free(place) {
                continue;
            }
            if let Some(seen) = wishes.find(|seen| terminals.take(place, seen.satellite)) {
                links.push(seen.link(station));
                gained = true;
            }
        }
        if !gained {
            break;
        }
    }
    links.sort_unstable_by_key(|link| (link.station, link.satellite));
}
