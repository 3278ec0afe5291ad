//! `starbelt-sim route`: the best route between two nodes at an instant.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use orbit::ground::GroundPolicyKind;
use orbit::link::ProtocolKind;
use serde::Serialize;
use topology::{NoRoute, NodeIx, Parts as NetworkParts, Route, RouteNeed, RouterKind};
use types::Epoch;

use super::CommandError;
use super::answer::{is_for_people, print, write_json};
use super::motion::MotionArgs;
use super::plan::protocol_kind;
use super::source::{Source, SourceArgs};
use crate::offline::moment::Moment;
use crate::offline::nodes::Nodes;
use crate::offline::parts::Parts;
use crate::offline::scenario::Draft;
use crate::offline::simulation::Simulation;
use crate::offline::watch::NoWatch;

/// What is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The constellation and the stations.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Where the route begins: a satellite or a station
    #[arg(long, value_name = "NODE")]
    pub from: String,
    /// Where it ends
    #[arg(long, value_name = "NODE")]
    pub to: String,
    /// The instant, RFC 3339 in UTC
    #[arg(long, value_name = "TIME", value_parser = Epoch::parse)]
    pub at: Epoch,
    /// Which satellites hold links with each other
    #[arg(long, value_name = "PROTOCOL", default_value = "plus_grid", value_parser = protocol_kind)]
    pub links: ProtocolKind,
    /// Which satellites stations hold links with
    #[arg(long, value_name = "POLICY", default_value = "nearest", value_parser = policy_kind)]
    pub ground_links: GroundPolicyKind,
    /// How routes are found
    #[arg(long, value_name = "ROUTER", default_value = "dijkstra", value_parser = router_kind)]
    pub router: RouterKind,
    /// Lowest elevation at which stations without a rule of their own see satellites, degrees
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true)]
    pub min_elevation: Option<f64>,
    /// How satellites move.
    #[command(flatten)]
    pub motion: MotionArgs,
    /// Smallest rate of each link, Mbit/s
    #[arg(long, value_name = "MBPS", value_parser = clap::value_parser!(u32).range(1..=4_294_967))]
    pub min_rate_mbps: Option<u32>,
    /// Largest loss of the whole route, parts per million
    #[arg(long, value_name = "PPM")]
    pub max_loss_ppm: Option<f64>,
    /// Longest latency, ms
    #[arg(long, value_name = "MS")]
    pub max_latency_ms: Option<f64>,
    /// Writes the route as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// A ground policy by name, for the command line.
///
/// # Errors
/// Text that lists the names there are.
pub fn policy_kind(name: &str) -> Result<GroundPolicyKind, String> {
    GroundPolicyKind::of_name(name).ok_or_else(|| {
        let names = GroundPolicyKind::ALL.map(GroundPolicyKind::name).join(", ");
        format!("must be one of {names}")
    })
}

/// A router by name, for the command line.
///
/// # Errors
/// Text that lists the names there are.
pub fn router_kind(name: &str) -> Result<RouterKind, String> {
    RouterKind::of_name(name).ok_or_else(|| {
        let names = RouterKind::ALL.map(RouterKind::name).join(", ");
        format!("must be one of {names}")
    })
}

impl Args {
    /// Does it.
    ///
    /// # Errors
    /// [`CommandError`], whose exit code tells the kind.
    pub fn run(&self) -> Result<(), CommandError> {
        let source = self.source.load()?;
        source.warn_at((self.at, self.at))?;
        let nodes = Arc::new(Nodes::new(&source.elements, source.stations.clone())?);
        let moment = self.moment_at(&source, &nodes)?;
        let view = self.answer(&nodes, &moment)?;
        if let Some(file) = &self.json {
            write_json(file, &view)?;
        }
        match &view.reason {
            Some(reason) => Err(CommandError::NoRoute(reason.clone())),
            None if is_for_people(&[&self.json]) => print(&view.table()),
            None => Ok(()),
        }
    }

    /// The network at the instant: the first step that somebody sees of a run that began at the start.
    fn moment_at(&self, source: &Source, nodes: &Arc<Nodes>) -> Result<Arc<Moment>, CommandError> {
        let mut draft = Draft::default();
        draft.set(("model", "--model"), Some(self.motion.model), |s, kind| {
            s.model = kind.name().to_owned();
        });
        draft.set(("links.protocol", "--links"), Some(self.links), |s, kind| {
            s.links.protocol = kind.name().to_owned();
        });
        draft.set(("ground_links.policy", "--ground-links"), Some(self.ground_links), |s, kind| {
            s.ground_links.policy = kind.name().to_owned();
        });
        let mask = self.min_elevation;
        draft.set(("ground_links.min_elevation_deg", "--min-elevation"), mask, |s, mask| {
            s.ground_links.min_elevation_deg = mask;
        });
        let scenario = draft.finish()?;
        let elements = Arc::clone(&source.elements);
        let start = self.motion.start(self.at);
        let parts = Parts::new(&scenario, &elements, source.shells.clone(), start);
        let mut simulation =
            Simulation::new(&scenario, elements, Arc::clone(nodes), self.at, parts)?;
        Ok(simulation.step(&mut NoWatch)?.0)
    }

    /// The route in a network, or why there is none.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] for a name that no node has.
    pub fn answer(&self, nodes: &Nodes, moment: &Moment) -> Result<RouteView, CommandError> {
        let (from, to) = (nodes.find(&self.from)?, nodes.find(&self.to)?);
        let places = places_km(moment);
        let mut router = self.router.router();
        router.begin(&moment.graph);
        router.place(&moment.graph, &places);
        let need = RouteNeed {
            rate_kbps_min: self.min_rate_mbps.map(|mbps| mbps.saturating_mul(1000)),
            loss_ppm_max: self.max_loss_ppm,
            latency_us_max: self.max_latency_ms.map(|ms| ms * 1000.0),
            jitter_us_max: None,
        };
        let view = RouteView {
            time: moment.at,
            from: self.from.clone(),
            to: self.to.clone(),
            latency_ms: None,
            hops: None,
            rate_kbps: None,
            loss_ppm: None,
            path: Vec::new(),
            legs: Vec::new(),
            reason: None,
        };
        Ok(match router.find(&moment.graph, from, &[to], &need) {
            Ok(route) => view.with(&route, nodes, &places),
            Err(why) => {
                let reason = reason(nodes, moment, (from, to), why);
                RouteView { reason: Some(reason), ..view }
            }
        })
    }
}

/// Where all nodes are, in the axes of the moment.
fn places_km(moment: &Moment) -> Vec<[f64; 3]> {
    let stations = moment.stations.iter().map(|station| station.viewer.position_km);
    moment.positions_km.iter().copied().chain(stations).collect()
}

/// Why there is no route, for people.
fn reason(nodes: &Nodes, moment: &Moment, (from, to): (NodeIx, NodeIx), why: NoRoute) -> String {
    let head = format!("no route from {} to {} at {}", nodes.name(from), nodes.name(to), moment.at);
    let parts = NetworkParts::of(&moment.graph);
    let alone = [from, to].into_iter().find(|node| moment.graph.links_of(*node).next().is_none());
    match (why, alone) {
        (NoRoute::Unreachable, Some(node)) if nodes.station_of(node).is_some() => {
            format!("{head}: {} has no link to any satellite then", nodes.name(node))
        }
        (NoRoute::Unreachable, Some(node)) => {
            format!("{head}: {} has no link at all then", nodes.name(node))
        }
        (NoRoute::Unreachable, None) if !parts.joined(from, to) => format!(
            "{head}: they are in different parts of the network, of {} and {} of {} nodes ({} parts)",
            parts.size(from),
            parts.size(to),
            moment.graph.node_count(),
            parts.count(),
        ),
        (other, _) => format!("{head}: {other}"),
    }
}

/// A route for people and scripts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouteView {
    /// The instant.
    pub time: Epoch,
    /// Where it begins.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// One-way latency; `null` without a route.
    pub latency_ms: Option<f64>,
    /// Links passed; `null` without a route.
    pub hops: Option<usize>,
    /// The rate of the narrowest link; `null` without a route or without links.
    pub rate_kbps: Option<u32>,
    /// The loss of all links together; `null` without a route.
    pub loss_ppm: Option<f64>,
    /// The names of the nodes passed, both ends included; empty without a route.
    pub path: Vec<String>,
    /// The links passed, in order.
    pub legs: Vec<Leg>,
    /// Why there is no route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One link of a route.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Leg {
    /// One end.
    pub from: String,
    /// The other end.
    pub to: String,
    /// The straight line between them, km.
    pub length_km: f64,
}

impl RouteView {
    fn with(self, route: &Route, nodes: &Nodes, places_km: &[[f64; 3]]) -> Self {
        let name = |node: &NodeIx| nodes.name(*node).to_owned();
        let leg = |two: &[NodeIx]| {
            let [p, q] = [two[0], two[1]].map(|node| places_km[node.index()]);
            let d = [p[0] - q[0], p[1] - q[1], p[2] - q[2]];
            let length_km = (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]).sqrt();
            Leg { from: name(&two[0]), to: name(&two[1]), length_km }
        };
        Self {
            latency_ms: Some(route.latency_us / 1000.0),
            hops: Some(route.hops()),
            rate_kbps: (0 < route.hops()).then_some(route.rate_kbps),
            loss_ppm: Some(route.loss_ppm),
            path: route.path.iter().map(name).collect(),
            legs: route.path.windows(2).map(leg).collect(),
            ..self
        }
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut out = format!("{} to {} at {}\n", self.from, self.to, self.time);
        let mut put = |line: String| {
            out.push_str(&line);
            out.push('\n');
        };
        put(format!("latency   {:.3} ms one-way", self.latency_ms.unwrap_or(f64::NAN)));
        put(format!("hops      {}", self.hops.unwrap_or(0)));
        if let Some(rate_kbps) = self.rate_kbps {
            put(format!("narrowest {:.1} Mbit/s", f64::from(rate_kbps) / 1000.0));
        }
        let width = self.legs.iter().map(|leg| leg.from.chars().count()).max().unwrap_or(0);
        for leg in &self.legs {
            let mut line = String::new();
            write!(line, "  {:width$}  {:9.3} km  {}", leg.from, leg.length_km, leg.to)
                .expect("memory takes it");
            put(line);
        }
        out
    }
}
