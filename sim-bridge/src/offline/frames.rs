//! Where positions and links of each step come from: computed ([`LiveFrames`]) or [replayed](super::replay).

use std::fmt::Debug;
use std::sync::Arc;

use orbit::elements::Elements;
use orbit::geodesy;
use orbit::ground::{GroundPolicy, GroundScene, StationNow};
use orbit::link::{LinkProtocol, Scene};
use orbit::propagate::{Propagator, positions};
use orbit::station::Station;
use orbit::visibility::Viewer;
use topology::NodeIx;

use super::moment::Moment;
use super::nodes::Nodes;
use super::overrides::Overrides;
use super::replay::ReplayError;
use super::scenario::Scenario;
use super::watch::{Part, Watch};

/// What a source of frames knows already, so that nobody has to compute it again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The hash of the positions.
    pub positions_hash: Option<String>,
    /// Parts of the network of satellites.
    pub components: Option<usize>,
}

/// Gives positions and links of one step after the other.
pub trait Frames: Debug + Send {
    /// The name of the model of motion.
    fn model(&self) -> &str;

    /// Fills positions, stations and links of `moment`, whose `step` and `at` are set; its graph is not looked at.
    ///
    /// `overrides` are the changes that hold; a recording puts its own in their place.
    ///
    /// # Errors
    /// [`ReplayError`] when a recording has no such step.
    fn fill(
        &mut self,
        nodes: &Nodes,
        overrides: &mut Overrides,
        moment: &mut Moment,
        watch: &mut dyn Watch,
    ) -> Result<Known, ReplayError>;
}

/// Computes each step.
#[derive(Debug)]
pub struct LiveFrames {
    elements: Arc<[Elements]>,
    propagator: Box<dyn Propagator>,
    protocol: Box<dyn LinkProtocol>,
    policy: Box<dyn GroundPolicy>,
    rules: StationRules,
    satellite_terminals: u16,
    /// Positions as protocols see them: those of failed satellites are not numbers. Empty while none has failed.
    masked_km: Vec<[f64; 3]>,
}

/// What holds for stations that say nothing themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
struct StationRules {
    min_elevation_deg: Option<f64>,
    terminals: u16,
}

impl LiveFrames {
    /// With these parts under the rules of a scenario.
    pub fn new(
        scenario: &Scenario,
        elements: Arc<[Elements]>,
        propagator: Box<dyn Propagator>,
        protocol: Box<dyn LinkProtocol>,
        policy: Box<dyn GroundPolicy>,
    ) -> Self {
        let ground = &scenario.ground_links;
        let published = scenario.is_published_model();
        // The published model knows neither a mask nor terminals: each station takes the nearest satellite.
        let rules = StationRules {
            min_elevation_deg: (!published).then_some(ground.min_elevation_deg),
            terminals: if published { 1 } else { ground.station_terminals },
        };
        let satellite_terminals = if published { u16::MAX } else { ground.satellite_terminals };
        let masked_km = Vec::new();
        Self { elements, propagator, protocol, policy, rules, satellite_terminals, masked_km }
    }

    fn place_stations(&self, nodes: &Nodes, overrides: &Overrides, moment: &mut Moment) {
        moment.turn = self.propagator.ground_turn(moment.at);
        moment.stations.clear();
        for (index, station) in nodes.stations().iter().enumerate() {
            let mut now = self.station_now(station, moment);
            if overrides.is_down(nodes.of_station(index)) {
                now.terminals = 0;
            }
            moment.stations.push(now);
        }
    }

    fn station_now(&self, station: &Station, moment: &Moment) -> StationNow {
        let place = station.place_at(moment.at);
        let viewer = Viewer {
            position_km: moment.turn.to_teme(geodesy::to_ecef_km(&place)),
            up: moment.turn.to_teme(geodesy::up(&place)),
        };
        StationNow {
            place,
            viewer,
            min_elevation_deg: station.min_elevation_deg.or(self.rules.min_elevation_deg),
            terminals: station.terminals.unwrap_or(self.rules.terminals),
        }
    }

    /// Hides failed satellites from protocols and policies.
    fn mask(&mut self, nodes: &Nodes, overrides: &Overrides, positions_km: &[[f64; 3]]) {
        self.masked_km.clear();
        let satellites = nodes.satellites();
        let failed = overrides.down_nodes().map(NodeIx::index).filter(|node| *node < satellites);
        for satellite in failed {
            if self.masked_km.is_empty() {
                self.masked_km.extend_from_slice(positions_km);
            }
            self.masked_km[satellite] = [f64::NAN; 3];
        }
    }
}

impl Frames for LiveFrames {
    fn model(&self) -> &str {
        self.propagator.name()
    }

    fn fill(
        &mut self,
        nodes: &Nodes,
        overrides: &mut Overrides,
        moment: &mut Moment,
        watch: &mut dyn Watch,
    ) -> Result<Known, ReplayError> {
        moment.positions_km.resize(nodes.satellites(), [f64::NAN; 3]);
        positions(&*self.propagator, moment.at, &mut moment.positions_km);
        self.place_stations(nodes, overrides, moment);
        watch.done(Part::Positions);
        self.mask(nodes, overrides, &moment.positions_km);
        let seen_km =
            if self.masked_km.is_empty() { &moment.positions_km } else { &self.masked_km };
        let scene = Scene {
            at: moment.at,
            positions_km: seen_km,
            elements: &self.elements,
            propagator: &*self.propagator,
        };
        self.protocol.choose(&scene, &mut moment.isl);
        watch.done(Part::Links);
        let scene = GroundScene {
            at: moment.at,
            turn: moment.turn,
            positions_km: seen_km,
            stations: &moment.stations,
            satellite_terminals: self.satellite_terminals,
            propagator: &*self.propagator,
        };
        self.policy.choose(&scene, &mut moment.ground);
        // Whatever the policy makes of a station without terminals, a failed one holds no link.
        moment.ground.retain(|link| 0 < moment.stations[link.station as usize].terminals);
        watch.done(Part::GroundLinks);
        Ok(Known::default())
    }
}
