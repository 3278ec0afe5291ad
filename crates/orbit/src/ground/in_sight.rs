//! The satellites that each station sees.

use super::{GroundLink, GroundScene, StationNow};
use crate::link::cells::{Cells, Point};
use crate::parallel::map_parts;
use crate::vector::{dot, minus, norm};
use crate::visibility::Viewer;

/// Satellites up to here are sorted by place, km from the Earth's centre (2,000 km of height: low orbits); those above
/// are seen from half the Earth and few, and looked at one by one.
const LOW_RADIUS_KM: f64 = 8_378.0;
/// Edge of a cell, km: about half the slant range to a low satellite above a mask of 25 degrees; measured.
const CELL_KM: f64 = 600.0;
/// The vertical (across the ellipsoid) and the direction of the Earth's centre differ by 0.1924 degrees at most.
const VERTICAL_OFF_DEG: f64 = 0.2;
/// Stations of one part: tens of microseconds of work.
const PART: usize = 8;
/// Where the search for the nearest satellite of all begins, km, and how much farther it looks each time.
const NEAREST_KM: f64 = 1000.0;
const WIDER: f64 = 1.6;

/// A satellite that a station sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) satellite: u32,
    pub(super) range_km: f64,
    /// Sine of the elevation.
    pub(super) sin_elevation: f64,
}

/// The satellites of an instant, sorted by place.
#[derive(Debug, Default)]
pub(super) struct InSight {
    low: Cells,
    /// How far out the highest of the low ones is, km.
    low_radius_km: f64,
    high: Vec<Point>,
}

impl InSight {
    /// Takes the satellites of an instant.
    pub(super) fn prepare(&mut self, positions_km: &[[f64; 3]]) {
        self.low.rebuild(positions_km, CELL_KM, LOW_RADIUS_KM);
        self.high.clear();
        let mut low_radius2 = 0.0_f64;
        for (id, at) in (0_u32..).zip(positions_km) {
            let radius2 = dot(*at, *at);
            if radius2 <= LOW_RADIUS_KM * LOW_RADIUS_KM {
                low_radius2 = low_radius2.max(radius2);
            } else if radius2.is_finite() {
                self.high.push(Point { id, at: *at });
            }
        }
        self.low_radius_km = low_radius2.sqrt();
    }

    /// What each station sees above its mask (the horizon, where it has none), ascending by satellite.
    pub(super) fn of_all(&self, scene: &GroundScene<'_>) -> Vec<Vec<Seen>> {
        let parts = map_parts(scene.stations, PART, |stations| {
            stations.iter().map(|station| self.of(station)).collect::<Vec<_>>()
        });
        parts.into_iter().flatten().collect()
    }

    fn of(&self, station: &StationNow) -> Vec<Seen> {
        let mut seen = Vec::new();
        let sin_mask = sin_mask(station);
        let mut look = |point: &Point| {
            let range_km = station.viewer.range_above_km(point.at, sin_mask);
            seen.extend(range_km.map(|range_km| Seen {
                satellite: point.id,
                range_km,
                sin_elevation: sin_elevation(&station.viewer, point.at, range_km),
            }));
        };
        let range_km = slant_range_km(station, self.low_radius_km);
        self.low.visit(station.viewer.position_km, range_km, |range| {
            self.low.points()[range].iter().for_each(&mut look);
        });
        self.high.iter().for_each(&mut look);
        seen.sort_unstable_by_key(|seen| seen.satellite);
        seen
    }

    /// The nearest `wanted` satellites of each station, whether in sight or not, the nearest first.
    pub(super) fn nearest_of_all(&self, scene: &GroundScene<'_>, wanted: usize) -> Vec<Vec<Seen>> {
        let parts = map_parts(scene.stations, PART, |stations| {
            stations.iter().map(|station| self.nearest_of(station, wanted)).collect::<Vec<_>>()
        });
        parts.into_iter().flatten().collect()
    }

    fn nearest_of(&self, station: &StationNow, wanted: usize) -> Vec<Seen> {
        let here = station.viewer.position_km;
        let mut near: Vec<(f64, u32, [f64; 3])> = Vec::new();
        let farthest_km = LOW_RADIUS_KM + norm(here);
        let mut radius_km = NEAREST_KM;
        while near.len() < wanted {
            near.clear();
            self.low.visit(here, radius_km, |range| {
                let points = self.low.points()[range].iter();
                let all = points.map(|point| (point.distance2(here), point.id, point.at));
                near.extend(all.filter(|(d2, ..)| *d2 <= radius_km * radius_km));
            });
            if farthest_km <= radius_km {
                break;
            }
            radius_km = (radius_km * WIDER).min(farthest_km);
        }
        near.extend(self.high.iter().map(|point| (point.distance2(here), point.id, point.at)));
        near.sort_unstable_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
        near.truncate(wanted);
        let seen = near.into_iter().map(|(d2, satellite, at)| {
            let range_km = d2.sqrt();
            let sin_elevation = sin_elevation(&station.viewer, at, range_km);
            Seen { satellite, range_km, sin_elevation }
        });
        seen.collect()
    }
}

impl Seen {
    /// The link from a station to this satellite.
    pub(super) fn link(&self, station: u32) -> GroundLink {
        let elevation_deg = self.sin_elevation.clamp(-1.0, 1.0).asin().to_degrees();
        GroundLink { station, satellite: self.satellite, range_km: self.range_km, elevation_deg }
    }
}

/// The sine of a station's mask; of the horizon where it has none.
pub(super) fn sin_mask(station: &StationNow) -> f64 {
    station.min_elevation_deg.unwrap_or(0.0).to_radians().sin().max(0.0)
}

fn sin_elevation(viewer: &Viewer, at: [f64; 3], range_km: f64) -> f64 {
    dot(viewer.up, minus(at, viewer.position_km)) / range_km
}

/// The farthest that a satellite up to `radius_km` can be above the mask, km; a little more than that.
fn slant_range_km(station: &StationNow, radius_km: f64) -> f64 {
    let mask_deg = station.min_elevation_deg.unwrap_or(0.0).max(0.0);
    let sin = (mask_deg - VERTICAL_OFF_DEG).to_radians().sin();
    let here_km = norm(station.viewer.position_km);
    // d = -R sin e + sqrt(R^2 sin^2 e + r^2 - R^2): law of cosines in the triangle of centre, station and satellite.
    let below = (radius_km * radius_km - here_km * here_km).max(0.0);
    -here_km * sin + (here_km * here_km * sin * sin + below).sqrt()
}
