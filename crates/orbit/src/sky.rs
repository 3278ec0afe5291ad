//! The prepared world: satellites, places and rules, and what holds between them at one instant.

use std::sync::Arc;

use topology::{Graph, Link, NodeIx, PathState, PathTree, PlanError};
use types::{Epoch, Geodetic, LatencyUs, NodeId};

use crate::elements::{ElementError, Elements};
use crate::frame::PolarTurn;
use crate::geodesy;
use crate::link::{self, LinkLayout};
use crate::propagate::State;
use crate::sky_spec::{IslKind, SkySpec, SpecProblem};
use crate::sunlight;
use crate::visibility::{SightRule, Viewer};
use crate::world::World;

/// Speed of light in vacuum (exact, SI 2019), km/s.
pub const SPEED_OF_LIGHT_KM_S: f64 = 299_792.458;
/// A link between satellites, as in Stardust: 200 Gbit/s.
pub const ISL_RATE_KBPS: u32 = 200_000_000;
/// A link between a site and a satellite, as in Stardust: 500 Mbit/s.
pub const GROUND_RATE_KBPS: u32 = 500_000;

/// A sky that cannot be prepared, or a question that it cannot answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SkyError {
    /// The description breaks rules; all of them are listed.
    #[error("{}", listed(.0))]
    Spec(Vec<SpecProblem>),
    /// The element sets are malformed.
    #[error(transparent)]
    Elements(#[from] ElementError),
    /// An endpoint that the sky does not have, or not of the needed kind.
    #[error("node {node:?} is not {needed} of this sky")]
    Endpoint {
        /// Its name.
        node: String,
        /// What is needed, for example `a site`.
        needed: &'static str,
    },
    /// A number that makes no sense.
    #[error("{what} {value} is outside {range}")]
    Argument {
        /// What it is.
        what: &'static str,
        /// The refused number.
        value: f64,
        /// The allowed range in words.
        range: &'static str,
    },
    /// Fewer satellites can be chosen than are asked for.
    #[error(
        "only {found} of {wanted} satellites come within {latency_max} of {anchor} in {horizon_s} s from {start}"
    )]
    TooFew {
        /// The site.
        anchor: NodeId,
        /// Satellites found.
        found: usize,
        /// Satellites wanted.
        wanted: usize,
        /// Longest one-way latency.
        latency_max: LatencyUs,
        /// Beginning of the search.
        start: Epoch,
        /// Its length in seconds.
        horizon_s: f64,
    },
    /// A plan that cannot be made.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

fn listed(problems: &[SpecProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What may be attached: a name and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Its name.
    pub node: NodeId,
    /// Where it is.
    pub kind: EndpointKind,
}

/// Where an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EndpointKind {
    /// On the satellite with this index.
    Satellite(usize),
    /// On the ground.
    Site(Geodetic),
}

/// The best path of a pair of endpoints at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairNow {
    /// The endpoint that comes first in order.
    pub a: NodeId,
    /// The other one.
    pub b: NodeId,
    /// The best path; `None` where there is none.
    pub state: Option<PathState>,
}

/// The layout of links that was used last, to be reused while it holds.
///
/// Results are the same with and without; callers that ask for many near instants save the derivation
/// (several milliseconds for thousands of real satellites) by keeping one.
#[derive(Clone, Debug, Default)]
pub struct LayoutMemo(Option<Remembered>);

#[derive(Clone, Debug)]
struct Remembered {
    world: Arc<World>,
    slot: Epoch,
    layout: LinkLayout,
}

/// The prepared world: constellation, places and rules. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sky {
    pub(crate) world: Arc<World>,
}

impl Sky {
    /// Prepares a sky; `elements_text` is the content of `spec.constellation.file`, if that is given.
    ///
    /// # Errors
    /// [`SkyError::Spec`] with all rules that the spec breaks, [`SkyError::Elements`] for malformed element sets.
    pub fn new(spec: &SkySpec, elements_text: Option<&str>) -> Result<Self, SkyError> {
        Ok(Self { world: Arc::new(World::new(spec, elements_text)?) })
    }

    /// How many satellites there are.
    pub fn satellites(&self) -> usize {
        self.world.elements.len()
    }

    /// The elements of all satellites, by index.
    pub fn elements(&self) -> &[Elements] {
        &self.world.elements
    }

    /// The endpoints, sorted by name.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.world.endpoints
    }

    /// The name of a satellite in its element set; empty for an index that no satellite has.
    pub fn satellite_name(&self, index: usize) -> &str {
        self.world.elements.get(index).map_or("", |elements| elements.name.as_str())
    }

    /// The [newest epoch](crate::catalog::newest_epoch) of the elements: where a replay starts by default. J2000 without any satellite.
    pub fn newest_epoch(&self) -> Epoch {
        self.world.newest_epoch
    }

    /// The elements whose epoch lies more than 30 days after the median: [`Self::newest_epoch`] passes over them.
    pub fn ahead_of_time(&self) -> impl Iterator<Item = &Elements> {
        self.world.elements.iter().filter(|elements| self.world.newest_epoch < elements.epoch)
    }

    /// The sky at an instant.
    pub fn at(&self, at: Epoch) -> SkyMoment {
        self.at_with(&mut LayoutMemo::default(), at)
    }

    /// The same, reusing the layout of links while it holds.
    pub fn at_with(&self, memo: &mut LayoutMemo, at: Epoch) -> SkyMoment {
        SkyMoment::new(&self.world, self.layout(memo, at), at)
    }

    /// The best paths of all pairs of endpoints at an instant, sorted.
    pub fn pairs_at(&self, at: Epoch) -> Vec<PairNow> {
        self.pairs_at_with(&mut LayoutMemo::default(), at)
    }

    /// The same, reusing the layout of links while it holds.
    pub fn pairs_at_with(&self, memo: &mut LayoutMemo, at: Epoch) -> Vec<PairNow> {
        self.at_with(memo, at).pairs()
    }

    /// The sunlit fraction of an endpoint, 0 to 1: the part of the Sun's disk that a satellite sees; 1 or 0
    /// for a site by day or night. `None` for a name that no endpoint has and where propagation fails.
    pub fn sunlit(&self, endpoint: &NodeId, at: Epoch) -> Option<f32> {
        let kind = self.world.endpoint(endpoint)?.kind;
        self.sunlit_at(kind, at, sunlight::sun_teme_km(at), PolarTurn::at(at))
    }

    /// Where an endpoint is at `at`; `None` for one that the sky does not have or cannot place.
    pub fn place(&self, endpoint: &NodeId, at: Epoch) -> Option<Geodetic> {
        match self.world.endpoint(endpoint)?.kind {
            EndpointKind::Site(place) => Some(place),
            EndpointKind::Satellite(index) => {
                let (position, _) = self.world.elements[index].satellite_state(at).ok()?;
                Some(geodesy::from_ecef_km(PolarTurn::at(at).to_ecef(position)))
            }
        }
    }

    pub(crate) fn sunlit_at(
        &self,
        kind: EndpointKind,
        at: Epoch,
        sun: [f64; 3],
        turn: PolarTurn,
    ) -> Option<f32> {
        let fraction = match kind {
            EndpointKind::Satellite(index) => {
                let (position, _) = self.world.elements[index].satellite_state(at).ok()?;
                sunlight::sunlit_fraction(position, sun)
            }
            EndpointKind::Site(place) => {
                f64::from(u8::from(sunlight::is_day(turn.to_teme(geodesy::up(&place)), sun)))
            }
        };
        #[expect(clippy::cast_possible_truncation, reason = "a fraction from 0 to 1")]
        Some(fraction as f32)
    }

    /// The layout of links that holds at `at`: a pure function of the slot in which `at` lies.
    fn layout<'a>(&'a self, memo: &'a mut LayoutMemo, at: Epoch) -> &'a LinkLayout {
        let world = &self.world;
        let Some(slot) = link::slot_begin(world.isl, at) else { return &world.fixed_layout };
        let holds = |kept: &Remembered| kept.slot == slot && Arc::ptr_eq(&kept.world, world);
        if !memo.0.as_ref().is_some_and(holds) {
            memo.0 =
                Some(Remembered { world: Arc::clone(world), slot, layout: derive(world, slot) });
        }
        memo.0.as_ref().map_or(&world.fixed_layout, |kept| &kept.layout)
    }
}

fn derive(world: &World, slot: Epoch) -> LinkLayout {
    let states: Vec<Option<State>> =
        world.elements.iter().map(|elements| elements.satellite_state(slot).ok()).collect();
    match world.isl {
        IslKind::Grid => link::grid(&world.elements, &states, &world.sight),
        IslKind::Nearest => link::nearest(&states, &world.sight),
        IslKind::PlusGrid => world.fixed_layout.clone(),
    }
}

/// The sky at one instant: where everything is, and the graph of all links in sight.
///
/// Nodes of the graph: first the satellites by index, then the sites.
#[derive(Clone, Debug)]
pub struct SkyMoment {
    world: Arc<World>,
    at: Epoch,
    turn: PolarTurn,
    /// TEME, km; not a number where a satellite has no orbit any more.
    satellites: Vec<[f64; 3]>,
    graph: Graph,
    isl_count: usize,
    ground_link_count: usize,
}

impl SkyMoment {
    fn new(world: &Arc<World>, layout: &LinkLayout, at: Epoch) -> Self {
        let turn = PolarTurn::at(at);
        let position =
            |elements: &Elements| elements.satellite_state(at).map_or([f64::NAN; 3], |(r, _)| r);
        let satellites: Vec<[f64; 3]> = world.elements.iter().map(position).collect();
        let mut links = Vec::with_capacity(layout.pairs().len() + world.fibres.len() + 256);
        push_isls(&satellites, layout, &world.sight, &mut links);
        let isl_count = links.len();
        for (node, viewer) in (world.first_site()..).zip(&world.viewers) {
            let viewer = Viewer {
                position_km: turn.to_teme(viewer.position_km),
                up: turn.to_teme(viewer.up),
            };
            push_ground_links(&satellites, &viewer, world.sin_mask, NodeIx(node), &mut links);
        }
        let ground_link_count = links.len() - isl_count;
        links.extend_from_slice(&world.fibres);
        let graph = Graph::new(satellites.len() + world.viewers.len(), &links)
            .expect("links join satellites and sites that exist, with delays of bounded ranges");
        let world = Arc::clone(world);
        Self { world, at, turn, satellites, graph, isl_count, ground_link_count }
    }

    /// The instant.
    pub fn epoch(&self) -> Epoch {
        self.at
    }

    /// Earth-fixed position of a satellite in km; `None` where propagation fails, the satellite
    /// has come down, or no satellite has the index.
    pub fn satellite_ecef_km(&self, index: usize) -> Option<[f64; 3]> {
        self.satellite_teme_km(index).map(|position| self.turn.to_ecef(position))
    }

    /// Position of a satellite in TEME in km; `None` as for [`Self::satellite_ecef_km`].
    pub fn satellite_teme_km(&self, index: usize) -> Option<[f64; 3]> {
        self.satellites.get(index).copied().filter(|position| position[0].is_finite())
    }

    /// Elevation of a satellite above the horizon of a site in degrees; `None` where either is not known.
    pub fn elevation_deg(&self, site: &NodeId, satellite: usize) -> Option<f64> {
        let EndpointKind::Site(place) = self.world.endpoint(site)?.kind else { return None };
        let viewer = Viewer { position_km: geodesy::to_ecef_km(&place), up: geodesy::up(&place) };
        Some(viewer.elevation_deg(self.satellite_ecef_km(satellite)?))
    }

    /// The place above which a satellite stands, with its height.
    pub fn subpoint(&self, satellite: usize) -> Option<Geodetic> {
        self.satellite_ecef_km(satellite).map(geodesy::from_ecef_km)
    }

    /// The graph of all satellites and sites.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The node of an endpoint in the graph; endpoints at the same place share one.
    pub fn node_ix(&self, endpoint: &NodeId) -> Option<NodeIx> {
        self.world.node_ix(endpoint)
    }

    /// Links between satellites in sight now.
    pub fn isl_count(&self) -> usize {
        self.isl_count
    }

    /// Links between sites and satellites above the mask now.
    pub fn ground_link_count(&self) -> usize {
        self.ground_link_count
    }

    /// The best paths of all pairs of endpoints, sorted.
    pub fn pairs(&self) -> Vec<PairNow> {
        let endpoints = &self.world.endpoints;
        let nodes = &self.world.endpoint_nodes;
        let mut pairs = Vec::with_capacity(endpoints.len() * endpoints.len().saturating_sub(1) / 2);
        let mut trees: Vec<PathTree> = Vec::new();
        for (first, (a, from)) in endpoints.iter().zip(nodes).enumerate() {
            let known = trees.iter().position(|tree| tree.from() == *from);
            let mut later = endpoints.iter().zip(nodes).skip(first + 1).peekable();
            if later.peek().is_none() {
                break;
            }
            let tree = known.unwrap_or_else(|| {
                trees.push(self.graph.shortest_paths(*from));
                trees.len() - 1
            });
            pairs.extend(later.map(|(b, to)| PairNow {
                a: a.node.clone(),
                b: b.node.clone(),
                state: trees[tree].state_to(*to),
            }));
        }
        pairs
    }
}

fn push_isls(
    satellites: &[[f64; 3]],
    layout: &LinkLayout,
    sight: &SightRule,
    links: &mut Vec<Link>,
) {
    for (a, b) in layout.pairs() {
        let km = sight.distance_km(satellites[*a as usize], satellites[*b as usize]);
        links.extend(km.map(|km| link(NodeIx(*a), NodeIx(*b), km, ISL_RATE_KBPS)));
    }
}

fn push_ground_links(
    satellites: &[[f64; 3]],
    viewer: &Viewer,
    sin_mask: f64,
    site: NodeIx,
    links: &mut Vec<Link>,
) {
    for (satellite, position) in (0_u32..).zip(satellites) {
        let km = viewer.range_above_km(*position, sin_mask);
        links.extend(km.map(|km| link(NodeIx(satellite), site, km, GROUND_RATE_KBPS)));
    }
}

fn link(a: NodeIx, b: NodeIx, km: f64, rate_kbps: u32) -> Link {
    Link { a, b, delay_us: km / SPEED_OF_LIGHT_KM_S * 1.0e6, rate_kbps, loss_ppm: 0 }
}

#[cfg(test)]
mod tests;
