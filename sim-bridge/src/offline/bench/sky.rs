//! Satellites and stations of the bench: element sets that the user has, or Walker shells like Starlink's.

use std::sync::Arc;

use orbit::catalog;
use orbit::elements::{Elements, MeanElements, parse_elements};
use orbit::station::{Station, StationKind};
use orbit::tle;
use serde::Deserialize;
use types::{Epoch, Geodetic};

use super::rows::BenchError;

/// 85 cities: as many stations as the paper has.
const CITIES: &str = include_str!("../../../../configs/ground-stations/cities-85.csv");
/// What a row says of satellites that were not read from a file.
pub const WALKER_SOURCE: &str = "Walker shells";
/// The moment for which the shells hold.
const EPOCH: Epoch = Epoch::from_unix_ns(1_767_225_600_000_000_000);

/// Shells of the kind of Starlink's: share of the satellites, height in km, inclination in degrees.
const SHELLS: [(f64, f64, f64); 5] = [
    (0.34, 550.0, 53.0),
    (0.24, 540.0, 53.2),
    (0.26, 530.0, 43.0),
    (0.08, 570.0, 70.0),
    (0.08, 560.0, 97.6),
];
/// Planes of a shell at most.
const PLANES_MAX: usize = 72;

/// Satellites and stations, and the text that the satellites were read from.
#[derive(Clone, Debug)]
pub struct BenchSky {
    /// Two-line element sets.
    pub text: String,
    /// The same, read.
    pub elements: Arc<[Elements]>,
    /// The stations.
    pub stations: Arc<[Station]>,
    /// Where the satellites come from, for the rows.
    pub source: String,
    /// Where the bench begins: the newest epoch.
    pub start: Epoch,
}

impl BenchSky {
    /// `count` satellites: the first ones of `given`, and beyond those their duplicates; Walker shells without any.
    ///
    /// # Errors
    /// [`BenchError`] when sets cannot be made of `given`, or not be read again.
    pub fn new(
        given: &[Elements],
        stations: &Arc<[Station]>,
        given_source: &str,
        count: usize,
    ) -> Result<Self, BenchError> {
        let walker = given.is_empty();
        let text = text_of(if walker { shells(count) } else { duplicated(given, count)? })?;
        let elements: Arc<[Elements]> = parse_elements(&text)?.into();
        let start = catalog::newest_epoch(&elements).unwrap_or(EPOCH);
        let source = if walker {
            WALKER_SOURCE.to_owned()
        } else if given.len() < count {
            format!("{given_source}, duplicated")
        } else {
            given_source.to_owned()
        };
        Ok(Self { text, elements, stations: Arc::clone(stations), source, start })
    }
}

/// Three-line sets, numbered from 1: copies have the numbers of their originals, and satellites of shells have none.
fn text_of(mut sets: Vec<Elements>) -> Result<String, BenchError> {
    for (number, set) in (1_usize..).zip(&mut sets) {
        set.catalog = number.to_string();
    }
    Ok(tle::write(&sets).map_err(|e| BenchError::Sets(e.to_string()))?.text)
}

/// The paper's rule for sets larger than the real one.
fn duplicated(given: &[Elements], count: usize) -> Result<Vec<Elements>, BenchError> {
    catalog::duplicated(given, count).map_err(|e| BenchError::Sets(e.to_string()))
}

/// `count` satellites in Walker shells; the last shell takes what rounding leaves.
///
/// # Panics
/// Never: SGP4 has an orbit for each of them.
pub fn shells(count: usize) -> Vec<Elements> {
    let mut sets = Vec::with_capacity(count);
    for (number, (share, altitude_km, inclination_deg)) in SHELLS.into_iter().enumerate() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count of satellites"
        )]
        let of_share = (share * super::super::report::real(count)).round() as usize;
        let left = count - sets.len();
        let of_shell = if number + 1 == SHELLS.len() { left } else { of_share.min(left) };
        shell(number + 1, of_shell, (altitude_km, inclination_deg), &mut sets);
    }
    sets
}

/// One shell: evenly spread planes; where the last slots are not all filled, the gaps lie in different planes.
fn shell(
    number: usize,
    count: usize,
    (altitude_km, inclination_deg): (f64, f64),
    sets: &mut Vec<Elements>,
) {
    let planes = PLANES_MAX.min(count.div_ceil(10)).max(1);
    let slots = count.div_ceil(planes).max(1);
    let part = |n: usize, of: usize| super::super::report::real(n) / super::super::report::real(of);
    // n = sqrt(mu / a^3), with mu and the radius of WGS-72.
    let a_km: f64 = 6378.135 + altitude_km;
    let mean_motion_rad_s = (398_600.8 / a_km.powi(3)).sqrt();
    let places = (0..slots).flat_map(|slot| (0..planes).map(move |plane| (plane, slot)));
    for (plane, slot) in places.take(count) {
        // Neighbouring planes are half a slot apart, so that shells do not cross in step.
        let phase = part(slot, slots) + part(plane % 2, 2 * slots);
        let mean = MeanElements {
            inclination_deg,
            raan_deg: 360.0 * part(plane, planes),
            eccentricity: 0.0001,
            arg_perigee_deg: 0.0,
            mean_anomaly_deg: (360.0 * phase).rem_euclid(360.0),
            mean_motion_rev_day: mean_motion_rad_s * 86_400.0 / core::f64::consts::TAU,
            bstar: 0.0001,
        };
        let name = format!("SHELL{number}-{plane:02}-{slot:03}");
        let satellite = Elements::made_up(name, EPOCH, mean);
        sets.push(satellite.expect("a low orbit that is nearly a circle"));
    }
}

/// A line of the list of cities.
#[derive(Debug, Deserialize)]
struct City {
    name: String,
    lat_deg: f64,
    lon_deg: f64,
    kind: StationKind,
}

/// The 85 cities of `configs/ground-stations/cities-85.csv`.
///
/// # Panics
/// Never: the list is part of the program, and a test reads it.
pub fn cities() -> Arc<[Station]> {
    let mut reader = csv::Reader::from_reader(CITIES.as_bytes());
    let station = |city: City| Station {
        name: city.name,
        kind: city.kind,
        place: Geodetic { lat_deg: city.lat_deg, lon_deg: city.lon_deg, alt_km: 0.0 },
        min_elevation_deg: None,
        terminals: None,
        way: Vec::new(),
    };
    let cities = reader.deserialize().map(|city| city.map(station));
    cities.collect::<Result<Arc<[Station]>, _>>().expect("the list is good")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use orbit::geodesy::great_circle_km;

    use super::*;

    #[test]
    fn there_are_85_different_cities_all_over_the_world() {
        let cities = cities();
        assert_eq!(cities.len(), 85);
        let names: BTreeSet<&str> = cities.iter().map(|city| city.name.as_str()).collect();
        assert_eq!(names.len(), 85);
        let mut sorted = cities.to_vec();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(sorted, cities.to_vec());
        for city in cities.iter() {
            assert!(city.place.checked().is_ok(), "{city:?}");
            // A slip of sign or of digits would put two together, or one into the ice.
            assert!((-56.0..=70.0).contains(&city.place.lat_deg), "{city:?}");
        }
        for (at, a) in cities.iter().enumerate() {
            for b in &cities[at + 1..] {
                assert!(50.0 < great_circle_km(&a.place, &b.place), "{} {}", a.name, b.name);
            }
        }
        let count = |test: fn(&Geodetic) -> bool| cities.iter().filter(|c| test(&c.place)).count();
        assert!(15 <= count(|p| p.lat_deg < 0.0) && 20 <= count(|p| p.lon_deg < -30.0));
        let kinds: BTreeSet<StationKind> = cities.iter().map(|city| city.kind).collect();
        assert_eq!(kinds.len(), 3);
    }

    #[test]
    fn shells_have_as_many_satellites_as_asked_for_and_all_names_differ() {
        for count in [0, 1, 2, 7, 250, 6_882] {
            let sets = shells(count);
            let names: BTreeSet<&str> = sets.iter().map(|set| set.name.as_str()).collect();
            assert_eq!((sets.len(), names.len()), (count, count));
        }
        let sky = BenchSky::new(&[], &cities(), "", 250).unwrap();
        assert_eq!((sky.elements.len(), sky.source.as_str()), (250, WALKER_SOURCE));
        assert_eq!(sky.start, EPOCH);
    }

    #[test]
    fn duplicates_follow_on_the_same_orbit_five_minutes_later() {
        let real = parse_elements(&text_of(shells(3)).unwrap()).unwrap();
        let sets = BenchSky::new(&real, &cities(), "my.tle", 8).unwrap().elements;
        let names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
        assert_eq!(
            (names.len(), names[2], names[3]),
            (8, real[2].name.as_str(), "SHELL1-00-000 DUPLICATE1")
        );
        assert!(names[6].ends_with(" DUPLICATE2"));
        // They were written as text, which keeps 1e-8 days of an epoch.
        assert!((sets[6].epoch.seconds_since(real[0].epoch) - 600.0).abs() < 1.0e-3);
        let sky = BenchSky::new(&real, &cities(), "my.tle", 8).unwrap();
        assert_eq!((sky.elements.len(), sky.source.as_str()), (8, "my.tle, duplicated"));
        // Fewer than there are: the first ones.
        let few = BenchSky::new(&real, &cities(), "my.tle", 2).unwrap();
        assert_eq!((few.elements.len(), few.source.as_str()), (2, "my.tle"));
    }
}
