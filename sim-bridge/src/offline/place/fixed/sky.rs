//! The network of the corrected scenario as it will be: a +Grid whose seam joins true neighbours and whose links pass the Earth, stations that
//! hold on to satellites until they set, light at its speed, and the Sun.
//!
//! Where satellites are, their light and whom stations choose is worked out once, in the order of time; the graph of a step is made when it
//! is asked for, and only so many are kept. All of it on the ellipsoid, by the functions of `orbit`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use orbit::frame::PolarTurn;
use orbit::geodesy;
use orbit::ground::{GroundPolicy, GroundPolicyKind, GroundScene, StationNow};
use orbit::link::{IslRules, IslSet, ProtocolKind, Rulebook, Scene, ShellAt, protocol};
use orbit::propagate::{Propagator, Sgp4, positions};
use orbit::sky::SPEED_OF_LIGHT_KM_S;
use orbit::sunlight::{sun_teme_km, sunlit_fraction};
use orbit::visibility::{SightRule, Viewer};
use placement::{Forecast, Step};
use topology::{Graph, Link, NodeIx};
use types::{Epoch, Geodetic};

use super::STEP_S;
use super::fleet::Fleet;

/// Lowest elevation at which a station sees a satellite, degrees.
pub const MASK_DEG: f64 = 25.0;
/// The links between satellites must stay this high, km; what is longer than 5500 km never does.
pub const SIGHT: SightRule = SightRule { range_max_km: 5500.0, grazing_altitude_km: 80.0 };
/// How many stations a satellite can hold links with at a time, as in scenarios that do not say.
const SATELLITE_ANTENNAS: u16 = 16;
/// What links in space carry, kbit/s: they are never full in this scenario, which moves no bytes.
const SPACE_KBPS: u32 = u32::MAX;
/// Most graphs that are kept: the longest workflow spans 50 steps, and two runs share a sky; 60 MB at the largest size.
const GRAPHS_MAX: usize = 112;

/// The network, step by step.
#[derive(Debug)]
pub struct FixedSky {
    nodes: usize,
    /// The pairs of satellites that point their terminals at each other.
    pairs: Vec<(u32, u32)>,
    cables: Vec<Link>,
    sites: Vec<Geodetic>,
    moments: Vec<Moment>,
    /// The light on each satellite, 0 to 1, step by step: who asks does so for one satellite and many steps.
    sunlit: Vec<Vec<f32>>,
    graphs: Mutex<Graphs>,
}

/// What is worked out in advance for a step.
#[derive(Debug)]
struct Moment {
    /// Earth-fixed axes, km, by satellite.
    positions_km: Vec<[f64; 3]>,
    /// Between stations and satellites.
    ground: Vec<Link>,
}

/// The graphs that were asked for last.
#[derive(Debug, Default)]
struct Graphs {
    /// Each with the number of the question that asked for it last.
    by_step: BTreeMap<Step, (u64, Arc<Graph>)>,
    asked: u64,
}

impl FixedSky {
    /// The network of these nodes from a moment on.
    ///
    /// # Errors
    /// The satellite that has no orbit, and why.
    pub fn new(fleet: &Fleet, start: Epoch, steps: Step) -> Result<Self, String> {
        let elements: Arc<[_]> = fleet.shell.elements()?.into();
        let motion = Sgp4::new(Arc::clone(&elements));
        let mut policy = orbit::ground::policy(GroundPolicyKind::FewestHandovers, None);
        let mut sunlit = vec![Vec::new(); fleet.satellites()];
        let moments = (0..steps).map(|step| {
            let at = start.plus_s(f64::from(step) * STEP_S);
            moment(fleet, &motion, (policy.as_mut(), &mut sunlit), at)
        });
        let moments: Vec<_> = moments.collect();
        let pairs = pairs(fleet, &elements, &motion, start);
        Ok(Self {
            nodes: fleet.nodes.len(),
            pairs,
            cables: fleet.cables.clone(),
            sites: fleet.sites.iter().map(|site| site.place).collect(),
            moments,
            sunlit,
            graphs: Mutex::default(),
        })
    }

    /// How many graphs are kept now.
    pub fn kept(&self) -> usize {
        self.graphs.lock().unwrap_or_else(PoisonError::into_inner).by_step.len()
    }

    /// Where a satellite is at a step, Earth-fixed axes, km; `None` for other nodes.
    pub fn position_km(&self, satellite: NodeIx, step: Step) -> Option<[f64; 3]> {
        self.moment(step).positions_km.get(satellite.index()).copied()
    }

    fn moment(&self, step: Step) -> &Moment {
        let last = self.moments.len().saturating_sub(1);
        &self.moments[(step as usize).min(last)]
    }

    fn made(&self, step: Step) -> Graph {
        let moment = self.moment(step);
        let between = self.pairs.iter().filter_map(|(a, b)| {
            let [from, to] = [a, b].map(|end| moment.positions_km[*end as usize]);
            SIGHT.distance_km(from, to).map(|km| in_space(*a, *b, km))
        });
        let on_ground = moment.ground.iter().chain(&self.cables).copied();
        let links: Vec<_> = between.chain(on_ground).collect();
        Graph::new(self.nodes, &links).expect("ends are nodes, and lengths are finite")
    }
}

impl Forecast for FixedSky {
    fn steps(&self) -> Step {
        Step::try_from(self.moments.len()).unwrap_or(Step::MAX)
    }

    fn step_s(&self) -> f64 {
        STEP_S
    }

    fn graph(&self, step: Step) -> Arc<Graph> {
        let step = step.min(self.steps().saturating_sub(1));
        let lock = || self.graphs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().again(step) {
            return known;
        }
        // Outside of the lock: whoever makes the same graph meanwhile makes an equal one.
        let made = Arc::new(self.made(step));
        lock().keep(step, Arc::clone(&made));
        made
    }

    fn place(&self, node: NodeIx, step: Step) -> Option<Geodetic> {
        let positions_km = &self.moment(step).positions_km;
        match positions_km.get(node.index()) {
            Some(position_km) if position_km[0].is_nan() => None,
            Some(position_km) => Some(geodesy::from_ecef_km(*position_km)),
            None => self.sites.get(node.index() - positions_km.len()).copied(),
        }
    }

    fn sunlit(&self, node: NodeIx, step: Step) -> f64 {
        let Some(steps) = self.sunlit.get(node.index()) else { return 1.0 };
        steps.get(step as usize).or_else(|| steps.last()).map_or(1.0, |share| f64::from(*share))
    }
}

impl Graphs {
    fn again(&mut self, step: Step) -> Option<Arc<Graph>> {
        self.asked += 1;
        let (asked, graph) = self.by_step.get_mut(&step)?;
        *asked = self.asked;
        Some(Arc::clone(graph))
    }

    /// Keeps a graph in the place of the one that nobody has asked for the longest.
    fn keep(&mut self, step: Step, graph: Arc<Graph>) {
        if self.by_step.len() == GRAPHS_MAX {
            let oldest = self.by_step.iter().min_by_key(|(_, (asked, _))| *asked);
            if let Some(oldest) = oldest.map(|(step, _)| *step) {
                self.by_step.remove(&oldest);
            }
        }
        self.by_step.insert(step, (self.asked, graph));
    }
}

fn in_space(a: u32, b: u32, km: f64) -> Link {
    let delay_us = km / SPEED_OF_LIGHT_KM_S * 1.0e6;
    Link { a: NodeIx(a), b: NodeIx(b), delay_us, rate_kbps: SPACE_KBPS, loss_ppm: 0 }
}

/// The pairs of the +Grid, in sight or not.
fn pairs(fleet: &Fleet, elements: &[orbit::Elements], motion: &Sgp4, at: Epoch) -> Vec<(u32, u32)> {
    let everywhere =
        SightRule { range_max_km: f64::INFINITY, grazing_altitude_km: -geodesy::WGS84_A_KM };
    let rules = IslRules { sight: everywhere, ..IslRules::default() };
    let shells = vec![ShellAt { first: 0, shell: fleet.shell.clone() }];
    let mut plus_grid = protocol(ProtocolKind::PlusGrid, &rules, Rulebook::Starbelt, shells);
    let mut positions_km = vec![[f64::NAN; 3]; elements.len()];
    positions(motion, at, &mut positions_km);
    let scene = Scene { at, positions_km: &positions_km, elements, propagator: motion };
    let mut set = IslSet::default();
    plus_grid.choose(&scene, &mut set);
    set.links.iter().map(|link| (link.a, link.b)).collect()
}

fn moment(
    fleet: &Fleet,
    motion: &Sgp4,
    (policy, sunlit): (&mut dyn GroundPolicy, &mut [Vec<f32>]),
    at: Epoch,
) -> Moment {
    let mut positions_km = vec![[f64::NAN; 3]; fleet.satellites()];
    positions(motion, at, &mut positions_km);
    let turn = motion.ground_turn(at);
    let stations = fleet.sites.iter().map(|site| {
        let viewer = Viewer {
            position_km: turn.to_teme(geodesy::to_ecef_km(&site.place)),
            up: turn.to_teme(geodesy::up(&site.place)),
        };
        let min_elevation_deg = Some(MASK_DEG);
        StationNow { place: site.place, viewer, min_elevation_deg, terminals: site.antennas }
    });
    let stations: Vec<_> = stations.collect();
    let scene = GroundScene {
        at,
        turn,
        positions_km: &positions_km,
        stations: &stations,
        satellite_terminals: SATELLITE_ANTENNAS,
        propagator: motion,
    };
    let mut links = Vec::new();
    policy.choose(&scene, &mut links);
    let first = u32::try_from(fleet.satellites()).expect("satellites are counted in u32");
    let ground =
        links.iter().map(|link| in_space(link.satellite, first + link.station, link.range_km));
    let ground = ground.collect();
    let sun_km = sun_teme_km(at);
    for (steps, position_km) in sunlit.iter_mut().zip(&positions_km) {
        steps.push(light_at(*position_km, sun_km));
    }
    Moment { ground, positions_km: fixed(&positions_km, turn) }
}

fn light_at(position_km: [f64; 3], sun_km: [f64; 3]) -> f32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a share; seven digits are more than it has"
    )]
    let share = sunlit_fraction(position_km, sun_km) as f32;
    share
}

fn fixed(positions_km: &[[f64; 3]], turn: PolarTurn) -> Vec<[f64; 3]> {
    positions_km.iter().map(|position_km| turn.to_ecef(*position_km)).collect()
}
