//! From the sky to the contact plan, and from the plan to the wire. Performs no I/O and reads no clock.
//!
//! Plans lie on one grid of sky time, so a new plan takes over the rows of the one before: only what the sky has
//! not shown yet is computed.

use std::collections::BTreeMap;
use std::time::Duration;

use orbit::predict::PlanGrid;
use orbit::{PairNow, Sky, SkyError};
use protocol::plan::{NODES_MAX, PlanMessage, WireNode, WirePair};
use topology::{ContactPlan, PairSeries};
use types::{Epoch, NodeId, NodeKind, PlanVersion};

/// The rows of grid points that are known.
#[derive(Debug)]
pub struct Feed {
    sky: Sky,
    step_ms: u32,
    rows: BTreeMap<Epoch, Vec<PairNow>>,
}

impl Feed {
    /// A feed that knows nothing yet.
    pub const fn new(sky: Sky, step_ms: u32) -> Self {
        Self { sky, step_ms, rows: BTreeMap::new() }
    }

    /// The sky that it predicts.
    pub const fn sky(&self) -> &Sky {
        &self.sky
    }

    /// The grid points from `start` on that are not known yet, oldest first; what lies before is forgotten.
    ///
    /// # Errors
    /// [`SkyError`] for a grid that is empty or too long.
    pub fn missing(&mut self, start: Epoch, horizon: Duration) -> Result<Vec<Epoch>, SkyError> {
        let points = PlanGrid::new(start, horizon, self.step_ms)?.points();
        if let Some((first, last)) = points.first().zip(points.last()) {
            // A clock that was set back or far ahead leaves nothing of use.
            self.rows.retain(|at, _| first <= at && at <= last);
        }
        Ok(points.into_iter().filter(|at| !self.rows.contains_key(at)).collect())
    }

    /// Takes the rows of grid points.
    pub fn fill(&mut self, points: &[Epoch], rows: Vec<Vec<PairNow>>) {
        self.rows.extend(points.iter().copied().zip(rows));
    }

    /// The plan from `start` on; all its points must be known.
    ///
    /// # Errors
    /// [`SkyError`] for a grid that is empty or too long, or a point that is not known.
    pub fn plan(
        &self,
        version: PlanVersion,
        start: Epoch,
        horizon: Duration,
    ) -> Result<ContactPlan, SkyError> {
        let grid = PlanGrid::new(start, horizon, self.step_ms)?;
        let rows = grid.points().iter().filter_map(|at| self.rows.get(at).cloned()).collect();
        self.sky.assemble_plan(version, &grid, rows)
    }
}

/// The plan on the wire, with what the nodes are: all pairs, or those of one node.
pub fn to_wire(
    plan: &ContactPlan,
    of: Option<&NodeId>,
    kinds: impl IntoIterator<Item = (NodeId, NodeKind)>,
) -> PlanMessage {
    let own = |pair: &&PairSeries| of.is_none_or(|node| pair.a == *node || pair.b == *node);
    PlanMessage {
        version: plan.version,
        start: plan.start,
        step_ms: plan.step_ms,
        steps: plan.steps,
        pairs: plan.pairs().iter().filter(own).map(wire_pair).collect(),
        nodes: kinds
            .into_iter()
            .map(|(node, kind)| WireNode { node, kind })
            .take(NODES_MAX)
            .collect(),
    }
}

/// The plan without its pairs: the answer to who has it already.
pub fn known(plan: &ContactPlan) -> PlanMessage {
    let ContactPlan { version, start, step_ms, steps, .. } = *plan;
    PlanMessage { version, start, step_ms, steps, pairs: Vec::new(), nodes: Vec::new() }
}

fn wire_pair(pair: &PairSeries) -> WirePair {
    let latency_us_plus_one =
        |state: &Option<topology::PathState>| state.map_or(0, |s| s.latency.0.saturating_add(1));
    let rates = pair.states.iter().flatten().map(|state| state.rate_kbps);
    let losses = pair.states.iter().flatten().map(|state| state.loss_ppm);
    WirePair {
        a: pair.a.clone(),
        b: pair.b.clone(),
        latency_us_plus_one: pair.states.iter().map(latency_us_plus_one).collect(),
        rate_kbps_min: rates.min().unwrap_or(0),
        loss_ppm_max: losses.max().unwrap_or(0),
        confidence_ppm: pair.confidence_ppm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKY: &str = r#"
        [constellation]
        walker = { name = "w", planes = 12, slots = 10, altitude_km = 1000.0, inclination_deg = 60.0, phasing = 1, epoch = "2026-01-01T00:00:00Z" }
        [[site]]
        node = "ground"
        lat_deg = 40.0
        lon_deg = 10.0
        [[site]]
        node = "drone"
        lat_deg = 45.0
        lon_deg = 12.0
        [[satellite]]
        node = "sat-1"
        name = "w-03-04"
        [[same_place]]
        node = "controller"
        at = "ground"
    "#;

    fn feed() -> Feed {
        let sky = Sky::new(&toml::from_str(SKY).unwrap(), None).unwrap();
        Feed::new(sky, 10_000)
    }

    fn fill(feed: &mut Feed, start: Epoch, horizon: Duration) -> usize {
        let missing = feed.missing(start, horizon).unwrap();
        let rows = feed.sky().plan_slice(&missing);
        feed.fill(&missing, rows);
        missing.len()
    }

    #[test]
    fn a_refresh_computes_only_what_is_new_and_says_the_same_as_a_fresh_plan() {
        let start = Epoch::parse("2026-01-01T00:00:00Z").unwrap();
        let horizon = Duration::from_secs(600);
        let mut rolling = feed();
        assert_eq!(fill(&mut rolling, start, horizon), 61);
        let later = start.plus_s(125.0);
        assert_eq!(fill(&mut rolling, later, horizon), 13);
        let rolled = rolling.plan(PlanVersion(2), later, horizon).unwrap();
        let mut fresh = feed();
        fill(&mut fresh, later, horizon);
        assert_eq!(rolled, fresh.plan(PlanVersion(2), later, horizon).unwrap());
        assert_eq!(rolled.start, start.plus_s(120.0));
    }

    #[test]
    fn a_clock_set_back_starts_anew() {
        let start = Epoch::parse("2026-01-01T00:00:00Z").unwrap();
        let horizon = Duration::from_secs(600);
        let mut feed = feed();
        fill(&mut feed, start.plus_s(36_000.0), horizon);
        assert_eq!(fill(&mut feed, start, horizon), 61);
        assert!(feed.plan(PlanVersion(1), start, horizon).is_ok());
    }

    #[test]
    fn a_node_gets_its_own_pairs() {
        let start = Epoch::parse("2026-01-01T00:00:00Z").unwrap();
        let mut feed = feed();
        fill(&mut feed, start, Duration::from_secs(60));
        let plan = feed.plan(PlanVersion(1), start, Duration::from_secs(60)).unwrap();
        assert_eq!(to_wire(&plan, None, []).pairs.len(), 6);
        let (sat, drone) = (NodeId::new("sat-1").unwrap(), NodeId::new("drone").unwrap());
        let kinds = [(sat.clone(), NodeKind::Satellite), (drone.clone(), NodeKind::Edge)];
        let own = to_wire(&plan, Some(&sat), kinds);
        assert_eq!(own.pairs.len(), 3);
        assert_eq!(own.nodes[1], WireNode { node: drone, kind: NodeKind::Edge });
        protocol::encode(&own).unwrap();
        // The controller sits at the ground station: a path of nothing, which is not "no path".
        let all = to_wire(&plan, None, []);
        let same =
            all.pairs.iter().find(|p| p.a.as_str() == "controller" && p.b.as_str() == "ground");
        assert_eq!(same.unwrap().latency_us_plus_one[0], 1);
        assert!(known(&plan).pairs.is_empty());
    }
}
