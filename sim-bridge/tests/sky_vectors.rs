//! Positions, looks, passes and eclipses against an independent astronomy library (`vectors/make_sky_vectors.py`).

use std::sync::Arc;

use orbit::eclipse::Shadow;
use orbit::look::Observer;
use orbit::pass::{Search, Site, Whereabouts};
use orbit::propagate::{Propagator, Sgp4};
use orbit::{Elements, parse_elements};
use serde::Deserialize;
use types::{Epoch, Geodetic};

/// A span whose ends may lie outside of the day.
type Ends = (Option<Epoch>, Option<Epoch>);

#[derive(Debug, Deserialize)]
struct Place {
    name: String,
    lat_deg: f64,
    lon_deg: f64,
    alt_m: f64,
}

impl Place {
    fn geodetic(&self) -> Geodetic {
        Geodetic { lat_deg: self.lat_deg, lon_deg: self.lon_deg, alt_km: self.alt_m / 1000.0 }
    }
}

#[derive(Debug, Deserialize)]
struct Vectors {
    tle: String,
    mask_deg: f64,
    start: Epoch,
    end: Epoch,
    stations: Vec<Place>,
    positions: Vec<(String, Epoch, [f64; 3])>,
    looks: Vec<(String, String, Epoch, f64, f64, f64)>,
    passes: Vec<(String, String, Option<Epoch>, Option<Epoch>)>,
    eclipses: Vec<(String, String, Option<Epoch>, Option<Epoch>)>,
}

struct Sky {
    vectors: Vectors,
    elements: Arc<[Elements]>,
    model: Sgp4,
}

impl Sky {
    fn read() -> Self {
        let vectors: Vectors = serde_json::from_str(include_str!("vectors/sky.json"))
            .expect("the vectors are what the script writes");
        let elements: Arc<[Elements]> = parse_elements(&vectors.tle).expect("valid sets").into();
        Self { vectors, model: Sgp4::new(Arc::clone(&elements)), elements }
    }

    fn satellite(&self, name: &str) -> usize {
        self.elements.iter().position(|e| e.name == name).expect("a satellite of the sets")
    }

    fn station(&self, name: &str) -> &Place {
        self.vectors.stations.iter().find(|s| s.name == name).expect("a station of the list")
    }

    fn search(&self) -> Search<'_> {
        Search { propagator: &self.model, from: self.vectors.start, to: self.vectors.end }
    }
}

fn km_apart(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn positions_over_the_ground_agree_to_200_m_for_a_day() {
    let sky = Sky::read();
    let mut worst_km: f64 = 0.0;
    for (name, at, wanted) in &sky.vectors.positions {
        let state = sky.model.state(sky.satellite(name), *at).expect("all are up");
        let (ecef, _) = sky.model.ground_turn(*at).state_to_ecef(state);
        let off_km = km_apart(ecef, *wanted);
        assert!(off_km < 0.2, "{name} at {at}: {off_km} km");
        worst_km = worst_km.max(off_km);
    }
    println!("{} positions, the worst {worst_km:.4} km off", sky.vectors.positions.len());
    assert_eq!(sky.vectors.positions.len(), 16 * 25);
}

#[test]
fn azimuth_elevation_and_range_agree() {
    let sky = Sky::read();
    let (mut worst_el, mut worst_az, mut worst_km) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (name, station, at, azimuth, elevation, range_km) in &sky.vectors.looks {
        let state = sky.model.state(sky.satellite(name), *at).expect("all are up");
        let observer = Observer::at(&sky.station(station).geodetic());
        let look = observer.look(sky.model.ground_turn(*at).state_to_ecef(state));
        let off_az = (look.azimuth_deg - azimuth + 180.0).rem_euclid(360.0) - 180.0;
        // Towards the zenith azimuth loses its meaning: what counts is the angle on the sky.
        let off_az = off_az.abs() * elevation.to_radians().cos();
        let off_el = (look.elevation_deg - elevation).abs();
        let what = format!("{name} from {station} at {at}: {look:?}");
        assert!(off_el < 0.05 && off_az < 0.05, "{what}: {azimuth} {elevation}");
        assert!((look.range_km - range_km).abs() < 0.2, "{what}: {range_km}");
        (worst_el, worst_az) = (worst_el.max(off_el), worst_az.max(off_az));
        worst_km = worst_km.max((look.range_km - range_km).abs());
    }
    let looks = sky.vectors.looks.len();
    println!(
        "{looks} looks, the worst {worst_el:.4} and {worst_az:.4} degrees, {worst_km:.4} km off"
    );
    assert!(300 < looks);
}

/// The largest difference of the ends, s; an end that one side does not know must be that of the search.
fn off_s(got: Ends, wanted: Ends, what: &str) -> f64 {
    let off = |got: Option<Epoch>, wanted: Option<Epoch>| match (got, wanted) {
        (Some(got), Some(wanted)) => got.seconds_since(wanted).abs(),
        (None, None) => 0.0,
        _ => panic!("{what}: {got:?} is not {wanted:?}"),
    };
    off(got.0, wanted.0).max(off(got.1, wanted.1))
}

#[test]
fn passes_rise_and_set_within_two_seconds() {
    let sky = Sky::read();
    let all: Vec<u32> = (0_u32..).zip(sky.elements.iter()).map(|(index, _)| index).collect();
    let site = |place: &Place| Site {
        place: Whereabouts::Fixed(place.geodetic()),
        min_elevation_deg: sky.vectors.mask_deg,
    };
    let sites: Vec<Site<'_>> = sky.vectors.stations.iter().map(site).collect();
    let passes = sky.search().passes(&all, &sites).expect("a valid search");
    assert_eq!(passes.len(), sky.vectors.passes.len());
    let mut worst_s: f64 = 0.0;
    for (satellite, station, rise, set) in &sky.vectors.passes {
        let near = |pass: &&orbit::pass::Pass| {
            let far =
                |a: Epoch, b: Option<Epoch>| b.is_some_and(|b| 60.0 < a.seconds_since(b).abs());
            sky.elements[pass.satellite as usize].name == *satellite
                && sky.vectors.stations[pass.site as usize].name == *station
                && !far(pass.rise, *rise)
                && !far(pass.set, *set)
        };
        let what = format!("{satellite} over {station}");
        let pass = passes.iter().find(near).unwrap_or_else(|| panic!("{what} at {rise:?}"));
        let got = (pass.rise_known.then_some(pass.rise), pass.set_known.then_some(pass.set));
        let off = off_s(got, (*rise, *set), &what);
        assert!(off < 2.0, "{what}: {got:?} is {off} s beside {rise:?} {set:?}");
        worst_s = worst_s.max(off);
    }
    println!("{} passes, the worst {worst_s:.3} s off", passes.len());
    assert!(100 < passes.len());
}

#[test]
fn shadows_begin_and_end_within_two_seconds() {
    let sky = Sky::read();
    let all: Vec<u32> = (0_u32..).zip(sky.elements.iter()).map(|(index, _)| index).collect();
    let eclipses = sky.search().eclipses(&all).expect("a valid search");
    assert_eq!(eclipses.len(), sky.vectors.eclipses.len());
    let mut worst = (0.0, String::new());
    for (satellite, kind, enter, exit) in &sky.vectors.eclipses {
        let shadow = if kind == "umbra" { Shadow::Umbra } else { Shadow::Penumbra };
        let near = |eclipse: &&orbit::eclipse::Eclipse| {
            let far =
                |a: Epoch, b: Option<Epoch>| b.is_some_and(|b| 60.0 < a.seconds_since(b).abs());
            sky.elements[eclipse.satellite as usize].name == *satellite
                && eclipse.shadow == shadow
                && !far(eclipse.enter, *enter)
                && !far(eclipse.exit, *exit)
        };
        let what = format!("{satellite}, {kind}");
        let eclipse = eclipses.iter().find(near).unwrap_or_else(|| panic!("{what} at {enter:?}"));
        let got = (
            eclipse.enter_known.then_some(eclipse.enter),
            eclipse.exit_known.then_some(eclipse.exit),
        );
        let off = off_s(got, (*enter, *exit), &what);
        assert!(off < 2.0, "{what}: {got:?} is {off} s beside {enter:?} {exit:?}");
        if worst.0 < off {
            worst = (off, what);
        }
    }
    println!("{} eclipses, the worst {:.3} s off ({})", eclipses.len(), worst.0, worst.1);
    assert!(eclipses.iter().any(|eclipse| sky.elements[eclipse.satellite as usize].name == "GEO"));
}
