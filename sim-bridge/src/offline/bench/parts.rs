//! What of the engine is measured: the one place where the bench meets it.

use std::sync::Arc;

use orbit::elements::Elements;
use orbit::ground::{GroundPolicy, GroundPolicyKind, policy};
use orbit::link::{IslRules, LinkProtocol, ProtocolKind, Rulebook, protocol};
use orbit::link_plan::{
    LinkRates, PlanRequest, PlanRequestError, ground_passes, link_plan as plan_of,
};
use orbit::propagate::{Propagator, Sgp4};
use orbit::visibility::SightRule;
use topology::{NodeIx, Router, RouterKind};

use super::brute::{GRAZING_KM, RANGE_KM, TERMINALS};
use super::engine::Start;
use super::flood;
use super::rows::BenchError;
use super::sky::BenchSky;
use super::world::MASK_DEG;
use crate::offline::compute::Compute;
use crate::offline::moment::Moment;
use crate::offline::overrides::Overrides;
use crate::offline::scenario::Scenario;
use crate::offline::simulation::{Simulation, SimulationError};
use crate::offline::watch::NoWatch;
use crate::offline::workload::Workload;

/// How often the contact plan looks at the sky, seconds; it finds rise and set to a millisecond.
const LOOK_S: u32 = 10;
/// Plans begin at whole minutes, ns.
const MINUTE_NS: i64 = 60_000_000_000;

/// From one anchor of the baseline's workflows to the next: a prime, so that they lie all over the sky.
const ANCHOR_STRIDE: u32 = 7_919;

/// Work that is measured, made ready; answers how much came of it.
pub type Job = Box<dyn FnMut() -> Result<usize, BenchError>>;

/// The engine's work and the baseline's.
pub struct Contest {
    /// What is measured.
    pub engine: Job,
    /// What it is compared with.
    pub baseline: Job,
}

impl std::fmt::Debug for Contest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contest").finish_non_exhaustive()
    }
}

/// The default model of motion.
pub fn propagator(elements: Arc<[Elements]>) -> Box<dyn Propagator> {
    Box::new(Sgp4::new(elements))
}

/// A protocol by the rules that the baseline keeps too.
pub fn links(kind: ProtocolKind) -> Box<dyn LinkProtocol> {
    let sight = SightRule { range_max_km: RANGE_KM, grazing_altitude_km: GRAZING_KM };
    let rules = IslRules { sight, terminals: TERMINALS, ..IslRules::default() };
    protocol(kind, &rules, Rulebook::Starbelt, Vec::new())
}

/// The nearest satellites above the mask.
pub fn ground() -> Box<dyn GroundPolicy> {
    policy(GroundPolicyKind::Nearest, None)
}

/// Dijkstra's router, the default one.
pub fn router() -> Box<dyn Router> {
    RouterKind::Dijkstra.router()
}

/// Makes the contact plan of all stations with all satellites over a horizon, ranges included, without links between satellites;
/// answers the number of windows.
pub fn link_plan(sky: &BenchSky, horizon_s: f64) -> Job {
    let (elements, stations) = (Arc::clone(&sky.elements), Arc::clone(&sky.stations));
    let propagator = propagator(Arc::clone(&elements));
    let start_ns = sky.start.unix_ns();
    let start = types::Epoch::from_unix_ns(start_ns - start_ns.rem_euclid(MINUTE_NS));
    Box::new(move || {
        let request = PlanRequest {
            version: 1,
            start,
            end: start.plus_s(horizon_s),
            step_s: LOOK_S,
            elements: &elements,
            propagator: propagator.as_ref(),
            stations: &stations,
            min_elevation_deg: MASK_DEG,
            rates: LinkRates::default(),
        };
        let failed = |e: PlanRequestError| BenchError::Plan(e.to_string());
        let passes = ground_passes(&request).map_err(failed)?;
        let mut none = links(ProtocolKind::None);
        let plan = plan_of(&request, none.as_mut(), &passes).map_err(failed)?;
        Ok(plan.windows().len())
    })
}

/// Schedules so many four-task workflows on the network of one step; answers the number of tasks placed.
///
/// Each call removes those of the call before and draws other anchors.
///
/// # Errors
/// When the engine cannot be started.
pub fn schedule(start: &Start<'_>, workflows: u32) -> Result<Contest, BenchError> {
    let (moment, _) = start.simulation()?.step(&mut NoWatch)?;
    let nodes = start.nodes()?;
    let scenario = Scenario { workflows: vec![flood::entry(workflows)], ..start.scenario() };
    let compute = Compute::new(&scenario.compute, &nodes);
    let mut workload =
        Workload::new(&scenario, &nodes, compute.clone()).map_err(SimulationError::from)?;
    let mut now = Moment::clone(&moment);
    let overrides = Overrides::default();
    let count = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
    let engine = move || {
        let summary = workload.step(&nodes, &now, &overrides);
        now.step += 1;
        Ok(summary.map_or(0, |summary| summary.tasks))
    };
    let mut drawn = 0_u32;
    let baseline = move || {
        let mut compute = compute.clone();
        let place = |_| {
            drawn = drawn.wrapping_add(ANCHOR_STRIDE) % count;
            flood::place_by_brute_force(&moment, &mut compute, NodeIx(drawn))
        };
        Ok((0..workflows).map(place).sum())
    };
    Ok(Contest { engine: Box::new(engine), baseline: Box::new(baseline) })
}

/// Replays a recorded step, another one with each call, against computing it; answers its number of links.
///
/// # Errors
/// When the engine cannot be started, or its steps not be recorded.
pub fn replay(start: &Start<'_>) -> Result<Contest, BenchError> {
    let job = |mut simulation: Simulation| -> Job {
        Box::new(move || Ok(simulation.step(&mut NoWatch)?.1.links))
    };
    Ok(Contest { engine: job(start.replayed()?), baseline: job(start.simulation()?) })
}
