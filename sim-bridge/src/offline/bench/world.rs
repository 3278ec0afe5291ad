//! One step as the bench measures it: positions, links between satellites, links to stations.

use std::sync::Arc;

use orbit::elements::Elements;
use orbit::geodesy;
use orbit::ground::{GroundLink, GroundPolicy, GroundScene, StationNow};
use orbit::link::{IslSet, LinkProtocol, Scene};
use orbit::propagate::{Propagator, positions};
use orbit::sky::{GROUND_RATE_KBPS, ISL_RATE_KBPS, SPEED_OF_LIGHT_KM_S};
use orbit::station::Station;
use orbit::visibility::Viewer;
use topology::{Graph, Link, NodeIx};
use types::Epoch;

/// Lowest elevation at which stations see satellites, degrees.
pub const MASK_DEG: f64 = 25.0;
/// Satellites that a station holds links with at a time.
pub const STATION_TERMINALS: u16 = 4;
/// Stations that a satellite holds links with at a time.
pub const SATELLITE_TERMINALS: u16 = 8;

/// How the links are chosen.
#[derive(Debug)]
pub struct Rules {
    /// Where the satellites are.
    pub propagator: Box<dyn Propagator>,
    /// Who of them links with whom.
    pub links: Box<dyn LinkProtocol>,
    /// Which of them the stations link with.
    pub ground: Box<dyn GroundPolicy>,
}

/// Satellites, stations and links at one instant, computed step by step into the same memory.
#[derive(Debug)]
pub struct World {
    elements: Arc<[Elements]>,
    rules: Rules,
    /// Place, position and up of each station, Earth-fixed.
    fixed: Vec<StationNow>,
    /// The same in inertial axes.
    stations: Vec<StationNow>,
    positions_km: Vec<[f64; 3]>,
    isl: IslSet,
    ground: Vec<GroundLink>,
}

impl World {
    /// Before its first step.
    pub fn new(elements: Arc<[Elements]>, stations: &[Station], rules: Rules) -> Self {
        let fixed = stations.iter().map(|station| StationNow {
            place: station.place,
            viewer: Viewer {
                position_km: geodesy::to_ecef_km(&station.place),
                up: geodesy::up(&station.place),
            },
            min_elevation_deg: Some(station.min_elevation_deg.unwrap_or(MASK_DEG)),
            terminals: station.terminals.unwrap_or(STATION_TERMINALS),
        });
        Self {
            fixed: fixed.collect(),
            stations: Vec::with_capacity(stations.len()),
            positions_km: vec![[f64::NAN; 3]; elements.len()],
            isl: IslSet::default(),
            ground: Vec::new(),
            elements,
            rules,
        }
    }

    /// Goes to an instant, links and all.
    pub fn step(&mut self, at: Epoch) {
        self.place(at);
        let propagator = self.rules.propagator.as_ref();
        let turn = propagator.ground_turn(at);
        let positions_km = self.positions_km.as_slice();
        let scene = Scene { at, positions_km, elements: &self.elements, propagator };
        self.rules.links.choose(&scene, &mut self.isl);
        let scene = GroundScene {
            at,
            turn,
            positions_km,
            stations: &self.stations,
            satellite_terminals: SATELLITE_TERMINALS,
            propagator,
        };
        self.rules.ground.choose(&scene, &mut self.ground);
    }

    /// Moves satellites and stations to an instant and leaves the links as they are.
    pub fn place(&mut self, at: Epoch) {
        let propagator = self.rules.propagator.as_ref();
        positions(propagator, at, &mut self.positions_km);
        let turn = propagator.ground_turn(at);
        self.stations.clear();
        self.stations.extend(self.fixed.iter().map(|fixed| StationNow {
            viewer: Viewer {
                position_km: turn.to_teme(fixed.viewer.position_km),
                up: turn.to_teme(fixed.viewer.up),
            },
            ..*fixed
        }));
    }

    /// The network: first the satellites, then the stations.
    ///
    /// # Panics
    /// Never: links join different nodes of the world and are some kilometres long.
    pub fn graph(&self) -> Graph {
        let satellites = u32::try_from(self.elements.len()).unwrap_or(u32::MAX);
        let link = |a, b, km: f64, rate_kbps| Link {
            a: NodeIx(a),
            b: NodeIx(b),
            delay_us: km / SPEED_OF_LIGHT_KM_S * 1e6,
            rate_kbps,
            loss_ppm: 0,
        };
        let isl = self.isl.links.iter().map(|l| link(l.a, l.b, l.length_km, ISL_RATE_KBPS));
        let ground = self.ground.iter();
        let ground =
            ground.map(|l| link(l.satellite, satellites + l.station, l.range_km, GROUND_RATE_KBPS));
        let links: Vec<Link> = isl.chain(ground).collect();
        Graph::new(self.elements.len() + self.fixed.len(), &links).expect("links join its nodes")
    }

    /// The links between satellites.
    pub fn isl(&self) -> &IslSet {
        &self.isl
    }

    /// The links to stations.
    pub fn ground(&self) -> &[GroundLink] {
        &self.ground
    }

    /// The stations at the instant.
    pub fn stations(&self) -> &[StationNow] {
        &self.stations
    }

    /// The positions at the instant, inertial axes, km.
    pub fn positions_km(&self) -> &[[f64; 3]] {
        &self.positions_km
    }
}
