//! When a satellite in sight will set.

use types::{Epoch, Geodetic};

use super::in_sight::{Seen, sin_mask};
use super::{GroundScene, StationNow};
use crate::geodesy;
use crate::parallel::map_parts;
use crate::vector::norm;
use crate::visibility::Viewer;

/// Steps of the march to the end of a pass in one turn of the orbit: 28 s at 550 km, where a pass lasts minutes, and
/// 7 minutes for those that stand still. A dip below the mask that is shorter goes unnoticed.
const STEPS_PER_TURN: f64 = 200.0;
/// Nobody looks farther ahead: a satellite that stays for a day stays for good, seconds.
const AHEAD_S_MAX: f64 = 86_400.0;
/// How exactly the end is found, seconds.
const EXACT_S: f64 = 0.1;
/// Gravitational parameter of the Earth, km^3/s^2 (WGS-84); sets the length of steps and no more.
const MU_KM3_S2: f64 = 398_600.441_8;
/// Stations of one part.
const PART: usize = 4;

/// The ends of the passes that go on, so that each is derived once.
#[derive(Debug, Default)]
pub(super) struct PassEnds {
    last: Option<Epoch>,
    stations: Vec<Known>,
}

/// What is known of one station's passes.
#[derive(Clone, Debug)]
struct Known {
    place: Geodetic,
    sin_mask: f64,
    /// Satellite and end of its pass, ascending by satellite.
    ends: Vec<(u32, Epoch)>,
}

impl PassEnds {
    /// When each satellite in sight will set, in the order of `seen`, which ascends by satellite.
    pub(super) fn of_all(
        &mut self,
        scene: &GroundScene<'_>,
        seen: &[Vec<Seen>],
    ) -> Vec<Vec<Epoch>> {
        if self.last.is_some_and(|last| scene.at < last) {
            self.stations.clear();
        }
        let each: Vec<_> = scene.stations.iter().zip(seen).enumerate().collect();
        let parts = map_parts(&each, PART, |each| {
            let known = |place: usize| self.stations.get(place);
            each.iter()
                .map(|(place, (station, seen))| known_now(scene, station, seen, known(*place)))
                .collect::<Vec<_>>()
        });
        self.stations = parts.into_iter().flatten().collect();
        self.last = Some(scene.at);
        let ends = |known: &Known| known.ends.iter().map(|(_, end)| *end).collect();
        self.stations.iter().map(ends).collect()
    }
}

fn known_now(
    scene: &GroundScene<'_>,
    station: &StationNow,
    seen: &[Seen],
    before: Option<&Known>,
) -> Known {
    let sin_mask = sin_mask(station);
    let same = |known: &&Known| {
        known.place == station.place && known.sin_mask.to_bits() == sin_mask.to_bits()
    };
    let before = before.filter(same).map_or(&[][..], |known| &known.ends);
    let end = |satellite: u32| {
        let known = before.binary_search_by_key(&satellite, |(known, _)| *known);
        match known.map(|place| before[place].1) {
            Ok(end) if scene.at < end => end,
            _ => pass_end(scene, station, satellite),
        }
    };
    let ends = seen.iter().map(|seen| (seen.satellite, end(seen.satellite))).collect();
    Known { place: station.place, sin_mask, ends }
}

/// The end of the pass that goes on, by marching until the satellite is below the mask and halving the last step.
fn pass_end(scene: &GroundScene<'_>, station: &StationNow, satellite: u32) -> Epoch {
    let index = satellite as usize;
    let site = (geodesy::to_ecef_km(&station.place), geodesy::up(&station.place));
    let sin_mask = sin_mask(station);
    let is_up = |after_s: f64| {
        let at = scene.at.plus_s(after_s);
        let turn = scene.propagator.ground_turn(at);
        let viewer = Viewer { position_km: turn.to_teme(site.0), up: turn.to_teme(site.1) };
        let state = scene.propagator.state(index, at);
        state.is_ok_and(|(position, _)| viewer.range_above_km(position, sin_mask).is_some())
    };
    let radius_km = norm(scene.positions_km[index]);
    // T = 2 pi sqrt(r^3 / mu)
    let turn_s = core::f64::consts::TAU * (radius_km.powi(3) / MU_KM3_S2).sqrt();
    let step_s = turn_s / STEPS_PER_TURN;
    let (mut up_s, mut down_s) = (0.0, step_s);
    while is_up(down_s) {
        if AHEAD_S_MAX <= down_s {
            return scene.at.plus_s(AHEAD_S_MAX);
        }
        (up_s, down_s) = (down_s, down_s + step_s);
    }
    while EXACT_S < down_s - up_s {
        let middle_s = f64::midpoint(up_s, down_s);
        if is_up(middle_s) {
            up_s = middle_s;
        } else {
            down_s = middle_s;
        }
    }
    scene.at.plus_s(down_s)
}
