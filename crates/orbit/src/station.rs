//! Places on the ground, at sea and in the air: what the sky is seen from.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use types::{Epoch, Geodetic};

use crate::geodesy::up;
use crate::vector::norm;

/// What a station is, and so what computes there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StationKind {
    /// A ground station of the operator, without computing of its own.
    #[default]
    Ground,
    /// A data centre.
    Cloud,
    /// A server or device at the edge.
    Edge,
    /// A user, who may move.
    User,
}

impl fmt::Display for StationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ground => "ground",
            Self::Cloud => "cloud",
            Self::Edge => "edge",
            Self::User => "user",
        })
    }
}

/// Longest name of a station, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Most way-points of a station: a day of one each ten seconds.
pub const WAY_POINTS_MAX: usize = 10_000;
/// Highest mask, degrees: above it hardly any satellite is ever seen.
const MASK_DEG_MAX: f64 = 89.0;
/// Nearer to the opposite side of the Earth than this there is no way that is the shortest, degrees.
const OPPOSITE_DEG: f64 = 179.99;

/// A rule that a station breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StationProblem {
    /// The index of the way-point at fault, from 0; `None` for the station itself.
    pub way_point: Option<usize>,
    /// The key at fault.
    pub key: &'static str,
    /// The value and the rule in words.
    pub rule: String,
}

/// Where a moving station is at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WayPoint {
    /// The instant, UTC.
    pub at: Epoch,
    /// The place.
    pub place: Geodetic,
}

/// A place that the sky is seen from.
#[derive(Clone, Debug, PartialEq)]
pub struct Station {
    /// Its name, unique in a scenario.
    pub name: String,
    /// What it is.
    pub kind: StationKind,
    /// Where it is; of a moving station, where it is before its first way-point's time.
    pub place: Geodetic,
    /// Lowest elevation at which it sees a satellite, degrees; `None`: the rule of the scenario.
    pub min_elevation_deg: Option<f64>,
    /// How many satellites it can hold links with at a time; `None`: the rule of the scenario.
    pub terminals: Option<u16>,
    /// Its way, ascending in time; empty for a station that stays.
    pub way: Vec<WayPoint>,
}

impl Station {
    /// Where it is at an instant: between way-points on the great circle from one to the other, evenly in time, height
    /// included; before the first one at its own place, after the last one there.
    pub fn place_at(&self, at: Epoch) -> Geodetic {
        let after = self.way.partition_point(|point| point.at <= at);
        let Some(begin) = after.checked_sub(1).map(|before| &self.way[before]) else {
            return self.place;
        };
        match self.way.get(after) {
            None => begin.place,
            Some(end) => {
                let share = at.seconds_since(begin.at) / end.at.seconds_since(begin.at);
                between(&begin.place, &end.place, share)
            }
        }
    }

    /// The rules that it breaks.
    pub fn problems(&self) -> Vec<StationProblem> {
        let mut found = Vec::new();
        let mut say = |way_point, key, rule| found.push(StationProblem { way_point, key, rule });
        let chars = self.name.chars().count();
        if chars == 0 || NAME_CHARS_MAX < chars || self.name.chars().any(char::is_control) {
            say(None, "name", format!("{:?} must be 1 to 64 characters", self.name));
        }
        if let Err(error) = self.place.checked() {
            say(None, error.field, error.to_string());
        }
        if let Some(mask) = self.min_elevation_deg.filter(|m| !(0.0..=MASK_DEG_MAX).contains(m)) {
            say(None, "min_elevation_deg", format!("{mask} must be 0 to 89"));
        }
        if self.terminals == Some(0) {
            say(None, "terminals", "0 must be at least 1".to_owned());
        }
        if WAY_POINTS_MAX < self.way.len() {
            say(None, "way", format!("{} way-points must be at most 10000", self.way.len()));
        }
        for (index, point) in self.way.iter().enumerate() {
            if let Err(error) = point.place.checked() {
                say(Some(index), error.field, error.to_string());
            }
        }
        for (index, pair) in self.way.windows(2).enumerate() {
            if pair[1].at <= pair[0].at {
                let rule =
                    format!("{} must be after the way-point before, {}", pair[1].at, pair[0].at);
                say(Some(index + 1), "at", rule);
            }
            if OPPOSITE_DEG < angle(&pair[0].place, &pair[1].place).to_degrees() {
                let rule = "must not be opposite to the way-point before: no way is the shortest";
                say(Some(index + 1), "lat_deg", format!("{} {rule}", pair[1].place.lat_deg));
            }
        }
        found
    }
}

/// The angle between two places as seen from the middle of a sphere, radians.
fn angle(a: &Geodetic, b: &Geodetic) -> f64 {
    let (a, b) = (up(a), up(b));
    let cross = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    // atan2(|a x b|, a . b) is exact for small and large angles alike.
    norm(cross).atan2(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])
}

/// The place at this share of the way along the great circle (spherical linear interpolation, Shoemake 1985).
fn between(begin: &Geodetic, end: &Geodetic, share: f64) -> Geodetic {
    let whole = angle(begin, end);
    let alt_km = begin.alt_km + share * (end.alt_km - begin.alt_km);
    if whole < 1.0e-12 {
        return Geodetic { alt_km, ..*begin };
    }
    // v = (sin((1 - s) w) a + sin(s w) b) / sin w; the common factor does not turn it.
    let (from_begin, from_end) = (((1.0 - share) * whole).sin(), (share * whole).sin());
    let (a, b) = (up(begin), up(end));
    let v: [f64; 3] = std::array::from_fn(|axis| from_begin * a[axis] + from_end * b[axis]);
    let lat_deg = v[2].atan2(v[0].hypot(v[1])).to_degrees();
    Geodetic { lat_deg, lon_deg: v[1].atan2(v[0]).to_degrees(), alt_km }
}

/// The first station whose name one before it has: the index of both, the earlier first.
pub fn first_same_name<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<(usize, usize)> {
    let mut seen = BTreeMap::new();
    for (index, name) in names.into_iter().enumerate() {
        if let Some(first) = seen.insert(name, index) {
            return Some((first, index));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geodesy::great_circle_km;

    fn place(lat_deg: f64, lon_deg: f64, alt_km: f64) -> Geodetic {
        Geodetic { lat_deg, lon_deg, alt_km }
    }

    fn at(second: i64) -> Epoch {
        Epoch::from_unix_ns(second * 1_000_000_000)
    }

    fn ship(way: Vec<WayPoint>) -> Station {
        Station {
            name: "ship".to_owned(),
            kind: StationKind::User,
            place: place(10.0, 170.0, 0.0),
            min_elevation_deg: None,
            terminals: None,
            way,
        }
    }

    #[test]
    fn a_station_without_a_way_stays() {
        assert_eq!(ship(Vec::new()).place_at(at(77)), place(10.0, 170.0, 0.0));
    }

    #[test]
    fn a_station_moves_evenly_on_the_shortest_way() {
        let way = vec![
            WayPoint { at: at(100), place: place(50.0, 170.0, 0.0) },
            WayPoint { at: at(500), place: place(60.0, -160.0, 0.4) },
        ];
        let ship = ship(way.clone());
        assert!(ship.problems().is_empty());
        assert_eq!(ship.place_at(at(99)), ship.place);
        assert_eq!(ship.place_at(at(500)), way[1].place);
        assert_eq!(ship.place_at(at(10_000)), way[1].place);
        let whole_km = great_circle_km(&way[0].place, &way[1].place);
        for second in [100, 150, 300, 499] {
            let here = ship.place_at(at(second));
            let share = f64::from(u32::try_from(second - 100).unwrap()) / 400.0;
            let (from, to) =
                (great_circle_km(&way[0].place, &here), great_circle_km(&here, &way[1].place));
            assert!((from - share * whole_km).abs() < 1.0e-6, "{second}: {from} of {whole_km}");
            assert!((from + to - whole_km).abs() < 1.0e-6, "{second}: {here:?}");
            assert!((here.alt_km - 0.4 * share).abs() < 1.0e-12);
            assert!(here.checked().is_ok());
        }
    }

    #[test]
    fn each_broken_rule_is_named() {
        let far = WayPoint { at: at(5), place: place(-50.0, -10.0, 0.0) };
        let near = WayPoint { at: at(5), place: place(50.0, 170.0, f64::NAN) };
        let broken = Station {
            name: String::new(),
            place: place(91.0, 0.0, 0.0),
            min_elevation_deg: Some(f64::NAN),
            terminals: Some(0),
            ..ship(vec![near, far])
        };
        let found = broken.problems();
        let keys: Vec<_> = found.iter().map(|p| (p.way_point, p.key)).collect();
        let expected = [
            (None, "name"),
            (None, "lat_deg"),
            (None, "min_elevation_deg"),
            (None, "terminals"),
            (Some(0), "alt_km"),
            (Some(1), "at"),
            (Some(1), "lat_deg"),
        ];
        assert_eq!(keys, expected);
        let long = ship(vec![far; WAY_POINTS_MAX + 1]);
        assert_eq!(long.problems()[0].key, "way");
    }

    #[test]
    fn names_that_repeat_are_found() {
        assert_eq!(first_same_name(["a", "b", "c", "b", "a"]), Some((1, 3)));
        assert_eq!(first_same_name(["a", "b"]), None);
    }
}
