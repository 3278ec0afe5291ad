//! The end of a demo: reads everything back and computes the report.

use std::collections::BTreeMap;
use std::time::Duration;

use artifacts::burst::Outcome;
use controller::api::{Handover, HandoverKind};
use types::{Epoch, NodeId};

use super::collect::Collector;
use super::{Demo, DemoError, Watched};
use crate::checker::{self, Acknowledged, Bounds, Found, ReadBack};
use crate::client::Api;
use crate::layout::BURSTS;
use crate::report::{self, Move, Report};

/// The exact sky is computed on this grid, wall seconds: the bridge's tick.
const EXACT_GRID_WALL_S: f64 = 0.1;

/// The result of a run, if it holds the known targets of its image burst and nothing else.
///
/// # Errors
/// What is missing or wrong.
pub(super) fn check_result(seed: u64, result: &[u8]) -> Result<(u32, Outcome), String> {
    let outcome = Outcome::parse(result)?;
    let index = outcome
        .burst
        .rsplit_once('-')
        .and_then(|(_, index)| index.parse::<u32>().ok())
        .filter(|index| *index < BURSTS)
        .ok_or_else(|| format!("{:?} is no burst of this demo", outcome.burst))?;
    artifacts::burst::check(&artifacts::burst::generate(seed, index), result)?;
    Ok((index, outcome))
}

/// Reads objects back through the controller's API.
struct Reader<'a> {
    api: &'a Api,
    seen: &'a Collector,
}

impl ReadBack for Reader<'_> {
    fn read(&self, node: &NodeId, write: &Acknowledged) -> Result<Found, String> {
        self.api.read_object(node, write)
    }

    fn sky(&self) -> Epoch {
        self.seen.sky_now()
    }
}

impl Demo<'_> {
    pub(super) fn conclude(&mut self, watched: Watched) -> Result<Report, DemoError> {
        self.collector.take_runs(&self.api)?;
        let sky = self.collector.sky_now();
        self.collector.take_moves(&self.api, sky)?;
        let mut report = self.measured(&watched);
        let writes = self.acknowledged()?;
        let nodes: Vec<_> = self.fleet.nodes().cloned().collect();
        let reader = Reader { api: &self.api, seen: &self.collector };
        let progress = |read, all| {
            // Whoever closed stdout still gets the report.
            super::say(&format!("{read} of {all} objects are read back")).ok();
        };
        let verdict = checker::check(&writes, &nodes, &reader, self.bounds(), progress);
        report::take_verdict(&mut report, &verdict.map_err(DemoError::Check)?);
        Ok(report)
    }

    fn bounds(&self) -> Bounds {
        let sky_s = |wall: Duration| wall.as_secs_f64() * self.options.speed;
        let deadline_ms = self.collector.workflow().run_deadline_ms;
        Bounds {
            kept_s: sky_s(checker::RUNS_KEPT),
            // A stage that was stored but not answered is tried again until its run ends.
            stored_before_s: sky_s(Duration::from_millis(deadline_ms.into())),
            outputs_max: checker::OUTPUTS_READ_MAX,
        }
    }

    fn acknowledged(&self) -> Result<Vec<Acknowledged>, DemoError> {
        let mut writes = Vec::new();
        for node in self.fleet.nodes() {
            let log = checker::read_log(&self.bed.layout().audit_log(node));
            writes.extend(log.map_err(super::io_error("reading what was acknowledged"))?);
        }
        Ok(writes)
    }

    fn measured(&self, watched: &Watched) -> Report {
        let seen = &self.collector;
        let grid_s = EXACT_GRID_WALL_S * self.options.speed;
        let (planned, reactive): (Vec<&Handover>, Vec<&Handover>) = seen
            .handovers
            .handovers
            .iter()
            .filter(|one| one.took_over_at.is_some())
            .partition(|one| one.kind == HandoverKind::Planned);
        let handovers: Vec<Move> = planned.into_iter().map(Move::from).collect();
        Report {
            seed: self.options.seed,
            constellation: self.fleet.constellation.clone(),
            satellites: self.fleet.satellites,
            speed: self.options.speed,
            min_elevation_deg: self.options.min_elevation,
            prediction: !self.options.no_prediction,
            sky_from: seen.first_look.unwrap_or(self.fleet.start),
            sky_until: seen.last_look.unwrap_or(self.fleet.start),
            wall_seconds: watched.wall_s,
            stopped_early: watched.stopped_early,
            nodes_reporting: seen.heard.len(),
            workflows_completed: seen.completed,
            workflows_failed: seen.failures.len() as u64,
            workflow_failures: seen.failures.clone(),
            workflow_ms: report::percentiles(seen.run_ms.iter().copied()),
            handovers_before_close: handovers.iter().filter(|one| one.is_before_close()).count(),
            handovers,
            reactive_moves: reactive.into_iter().map(Move::from).collect(),
            failovers: seen.handovers.failovers.iter().map(Move::from).collect(),
            faults: watched.faults.clone(),
            state_writes_acknowledged: 0,
            state_writes_superseded: 0,
            state_writes_expired: 0,
            state_writes_unchecked: 0,
            state_writes_checked: 0,
            state_lost: 0,
            state_lost_objects: Vec::new(),
            state_unreachable: 0,
            state_unreachable_objects: Vec::new(),
            state_forked: 0,
            state_went_back: seen.went_back.clone(),
            state_local_at_start_ratio: self.local_ratio(),
            slo_violation_run_seconds: report::violation_seconds(
                &self.fleet.sky,
                &seen.needs,
                grid_s,
            ),
            link_rtt_error_ms: report::rtt_errors(&self.fleet.sky, &seen.links, grid_s),
            agent_pss_mib: seen.pss_mib.clone(),
            cpu_load: watched.cpu_load,
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// Of the calls of tasks that take inputs; the source takes none.
    fn local_ratio(&self) -> f64 {
        let takes_inputs: BTreeMap<_, _> = self
            .collector
            .workflow()
            .tasks
            .iter()
            .map(|task| (task.id.clone(), !task.after.is_empty() || !task.sources.is_empty()))
            .collect();
        let (local, all) = self
            .collector
            .calls
            .iter()
            .filter(|((_, _, task), _)| takes_inputs.get(task).copied().unwrap_or(false))
            .fold((0_u64, 0_u64), |(local, all), (_, calls)| {
                (local + calls.local_starts, all + calls.calls)
            });
        #[expect(clippy::cast_precision_loss, reason = "counts of calls")]
        {
            local as f64 / all.max(1) as f64
        }
    }
}
