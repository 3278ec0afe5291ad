//! The network of the published scenario, bit by bit as it was: links at 0.587 of the speed of light, seam links through the Earth, one
//! antenna per station, nothing between stations (StarryNet, branch `features/hyper-drive-changes`, f6770dd).
//!
//! Not a model of a real constellation: `docs/reproduction.md` says what is wrong with it.

use std::sync::Arc;

use placement::{Forecast, Step};
use rayon::prelude::*;
use topology::graph::GraphError;
use topology::{Graph, Link, NodeIx};
use types::Geodetic;

use super::fixture::Fixture;

/// Radius of the Earth, km.
const EARTH_KM: f64 = 6371.0;
/// Speed on every link, km/s.
const SPEED_KM_S: f64 = 17.31 / 29.5 * 299_792.458;
/// Largest difference of latitudes of a station and its satellite, degrees: the arc between the shell and the horizon, of an inclination that
/// was taken for degrees after it had been turned into radians.
const WINDOW_DEG: f64 = 22.088_624_342_626_076;
/// Longest link to a station, km: the slant range at an elevation of 25°, times 29.5/17.31.
const GROUND_LINK_KM: f64 = 1_914.308_003_844_495_3;

/// All minutes of it.
#[derive(Debug)]
pub struct PublishedSky {
    step_s: f64,
    graphs: Vec<Arc<Graph>>,
    /// By minute and satellite.
    positions: Vec<Vec<Geodetic>>,
    /// By node; `None` for satellites.
    ground: Vec<Option<Geodetic>>,
}

impl PublishedSky {
    /// Makes the network of each minute.
    ///
    /// # Errors
    /// [`GraphError`] for distances that no link can have.
    pub fn new(fixture: &Fixture) -> Result<Self, GraphError> {
        let minutes = fixture.positions.par_iter();
        let graphs = minutes.map(|positions| graph(fixture, positions).map(Arc::new));
        Ok(Self {
            step_s: fixture.workload.minute_step_s,
            graphs: graphs.collect::<Result<_, _>>()?,
            positions: fixture.positions.clone(),
            ground: fixture.ground.clone(),
        })
    }
}

impl Forecast for PublishedSky {
    fn steps(&self) -> Step {
        Step::try_from(self.graphs.len()).unwrap_or(Step::MAX)
    }

    fn step_s(&self) -> f64 {
        self.step_s
    }

    fn graph(&self, step: Step) -> Arc<Graph> {
        let last = self.graphs.len().saturating_sub(1);
        Arc::clone(&self.graphs[(step as usize).min(last)])
    }

    fn place(&self, node: NodeIx, step: Step) -> Option<Geodetic> {
        let satellites = self.positions.get(step as usize)?;
        let ground = || self.ground.get(node.index()).copied().flatten();
        satellites.get(node.index()).copied().or_else(ground)
    }
}

/// The angles are taken for spherical ones, as published.
fn xyz_km(place: Geodetic) -> [f64; 3] {
    let radius = EARTH_KM + place.alt_km;
    let (lat, lon) = (place.lat_deg.to_radians(), place.lon_deg.to_radians());
    [radius * lat.cos() * lon.cos(), radius * lat.cos() * lon.sin(), radius * lat.sin()]
}

fn distance_km(a: [f64; 3], b: [f64; 3]) -> f64 {
    let squares: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
    squares.sqrt()
}

fn graph(fixture: &Fixture, positions: &[Geodetic]) -> Result<Graph, GraphError> {
    let satellites: Vec<_> = positions.iter().map(|place| (*place, xyz_km(*place))).collect();
    let link = |a: u32, b: u32, km: f64| Link {
        a: NodeIx(a),
        b: NodeIx(b),
        delay_us: km / SPEED_KM_S * 1e6,
        rate_kbps: u32::MAX,
        loss_ppm: 0,
    };
    let between = fixture.links.iter().map(|(a, b)| {
        let km = distance_km(satellites[*a as usize].1, satellites[*b as usize].1);
        link(*a, *b, km)
    });
    let ground = (0_u32..).zip(&fixture.ground).filter_map(|(node, place)| {
        let (satellite, km) = nearest(&satellites, (*place)?)?;
        Some(link(node, satellite, km))
    });
    // What has no delay is no link.
    let links: Vec<_> = between.chain(ground).filter(|link| 0.0 < link.delay_us).collect();
    Graph::new(fixture.nodes.len(), &links)
}

/// The one satellite that a station is attached to, of equally near ones the lowest, and its distance in km.
fn nearest(satellites: &[(Geodetic, [f64; 3])], station: Geodetic) -> Option<(u32, f64)> {
    let here = xyz_km(station);
    let mut best: Option<(u32, f64)> = None;
    for (number, (place, there)) in (0_u32..).zip(satellites) {
        if WINDOW_DEG < (place.lat_deg - station.lat_deg).abs() {
            continue;
        }
        let km = distance_km(here, *there);
        if km < GROUND_LINK_KM && best.is_none_or(|(_, best_km)| km < best_km) {
            best = Some((number, km));
        }
    }
    best
}
