//! What reports tell of a step beyond its summary: coverage of each station, links that opened and closed.

use orbit::ground::StationNow;
use rayon::prelude::*;

use super::super::moment::Moment;
use super::super::summary::StepSummary;

/// A step with all that reports tell of it.
#[derive(Clone, Copy, Debug)]
pub struct StepFacts<'a> {
    /// The sky and its network.
    pub moment: &'a Moment,
    /// What the run says of it.
    pub summary: &'a StepSummary,
    /// What each station sees, by index.
    pub cover: &'a [StationCover],
    /// Links that are there and were not at the step before, or the reverse; satellites first, ascending by ends.
    pub changes: &'a [LinkChange],
}

/// What a station sees at a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StationCover {
    /// Satellites above its mask; above the horizon for a station without one.
    pub in_sight: u32,
    /// Satellites with which it holds a link.
    pub linked: u32,
    /// The elevation of the highest satellite in sight, degrees; `None` when none is.
    pub best_elevation_deg: Option<f64>,
}

/// Between whom a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkKind {
    /// Two satellites.
    Isl,
    /// A station, the first end, and a satellite.
    Ground,
}

/// A link that came or went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkChange {
    /// Between whom.
    pub kind: LinkKind,
    /// Whether it came.
    pub opened: bool,
    /// The first end: a satellite, or the station of a ground link.
    pub a: u32,
    /// The other end, a satellite.
    pub b: u32,
    /// Its length when it came, km; `None` when it went.
    pub length_km: Option<f64>,
}

/// Finds the facts of each step, with the memory of the step before.
#[derive(Debug, Default)]
pub(super) struct FactFinder {
    isl: Vec<(u32, u32, f64)>,
    ground: Vec<(u32, u32, f64)>,
    cover: Vec<StationCover>,
    changes: Vec<LinkChange>,
}

impl FactFinder {
    /// The facts of the next step.
    pub(super) fn find<'a>(
        &'a mut self,
        moment: &'a Moment,
        summary: &'a StepSummary,
    ) -> StepFacts<'a> {
        moment
            .stations
            .par_iter()
            .map(|station| in_sight(station, &moment.positions_km))
            .collect_into_vec(&mut self.cover);
        for link in &moment.ground {
            if let Some(cover) = self.cover.get_mut(link.station as usize) {
                cover.linked += 1;
            }
        }
        self.changes.clear();
        let isl = moment.isl.links.iter().map(|link| (link.a, link.b, link.length_km));
        compare(LinkKind::Isl, &mut self.isl, isl.collect(), &mut self.changes);
        let ground = moment.ground.iter().map(|link| (link.station, link.satellite, link.range_km));
        compare(LinkKind::Ground, &mut self.ground, ground.collect(), &mut self.changes);
        StepFacts { moment, summary, cover: &self.cover, changes: &self.changes }
    }
}

/// Counts the satellites above the mask of a station.
fn in_sight(station: &StationNow, positions_km: &[[f64; 3]]) -> StationCover {
    let sin_mask = station.min_elevation_deg.unwrap_or(0.0).to_radians().sin();
    let viewer = &station.viewer;
    let mut cover = StationCover::default();
    let seen = positions_km
        .iter()
        .filter(|position| viewer.range_above_km(**position, sin_mask).is_some());
    for position in seen {
        cover.in_sight += 1;
        let elevation_deg = viewer.elevation_deg(*position);
        let best_deg = cover.best_elevation_deg.unwrap_or(elevation_deg);
        cover.best_elevation_deg = Some(best_deg.max(elevation_deg));
    }
    cover
}

/// Puts `now` in the place of `before` and appends what differs; both ascending by ends.
fn compare(
    kind: LinkKind,
    before: &mut Vec<(u32, u32, f64)>,
    now: Vec<(u32, u32, f64)>,
    changes: &mut Vec<LinkChange>,
) {
    let mut old = before.iter().peekable();
    let mut new = now.iter().peekable();
    loop {
        let (old_ends, new_ends) = (old.peek().map(|l| (l.0, l.1)), new.peek().map(|l| (l.0, l.1)));
        match (old_ends, new_ends) {
            (None, None) => break,
            (Some(ends), other) if other.is_none_or(|other| ends < other) => {
                old.next();
                let (a, b) = ends;
                changes.push(LinkChange { kind, opened: false, a, b, length_km: None });
            }
            (other, Some((a, b))) if other.is_none_or(|other| (a, b) < other) => {
                let length_km = new.next().map(|link| link.2);
                changes.push(LinkChange { kind, opened: true, a, b, length_km });
            }
            // Both: the link stays.
            _ => {
                old.next();
                new.next();
            }
        }
    }
    *before = now;
}

#[cfg(test)]
mod tests {
    use orbit::geodesy;
    use orbit::visibility::Viewer;
    use types::Geodetic;

    use super::*;

    #[test]
    fn a_link_is_told_when_it_comes_and_when_it_goes_and_not_in_between() {
        let (mut before, mut changes) = (Vec::new(), Vec::new());
        let mut told = |now: &[(u32, u32)]| {
            changes.clear();
            let now = now.iter().map(|(a, b)| (*a, *b, 7.0)).collect();
            compare(LinkKind::Isl, &mut before, now, &mut changes);
            changes.iter().map(|c| (c.opened, c.a, c.b)).collect::<Vec<_>>()
        };
        assert_eq!(told(&[(0, 1), (2, 3)]), [(true, 0, 1), (true, 2, 3)]);
        assert_eq!(told(&[(0, 1), (2, 3)]), []);
        assert_eq!(told(&[(0, 2), (2, 3)]), [(false, 0, 1), (true, 0, 2)]);
        assert_eq!(told(&[]), [(false, 0, 2), (false, 2, 3)]);
    }

    fn station(min_elevation_deg: Option<f64>) -> StationNow {
        let place = Geodetic { lat_deg: 10.0, lon_deg: 20.0, alt_km: 1.0 };
        let viewer = Viewer { position_km: geodesy::to_ecef_km(&place), up: geodesy::up(&place) };
        StationNow { place, viewer, min_elevation_deg, terminals: 1 }
    }

    #[test]
    fn a_station_sees_what_stands_above_its_mask() {
        let at = |lat_deg| geodesy::to_ecef_km(&Geodetic { lat_deg, lon_deg: 20.0, alt_km: 550.0 });
        // Overhead, 4 degrees away (about 48 degrees high), 12 degrees (about 14), 30 degrees (below), and one that is down.
        let sky = [at(10.0), at(14.0), at(22.0), at(40.0), [f64::NAN; 3]];
        let seen = |mask| in_sight(&station(mask), &sky).in_sight;
        assert_eq!((seen(Some(60.0)), seen(Some(25.0)), seen(None)), (1, 2, 3));
        let best = in_sight(&station(None), &sky).best_elevation_deg.unwrap();
        assert!((best - 90.0).abs() < 1.0e-3, "{best}");
        assert_eq!(in_sight(&station(None), &sky[3..]).best_elevation_deg, None);
    }
}
