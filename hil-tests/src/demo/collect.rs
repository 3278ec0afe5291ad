//! Gathers what the controller's API tells, look by look, and makes a [`View`] of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller::api;
use placement::{Task, Workflow};
use types::{Epoch, NodeId, SkyClock, TaskId, WallTime};

use crate::client::{Api, ClientError};
use crate::fleet::{CHAIN_LATENCY_MAX_MS, DRONE, Fleet};
use crate::layout;
use crate::report::RunningNeed;
use crate::watch::{Contact, NodeRow, Note, Reach, RunRow, TaskRow, View};

/// Most notes that are kept for the table.
const NOTES_MAX: usize = 64;

/// The workflow as it ships, with this fleet's holder of the reference.
///
/// # Errors
/// When the file in the program is malformed.
pub(super) fn workflow_for(fleet: &Fleet) -> Result<Workflow, String> {
    let text = layout::workflow_toml(fleet, layout::FLOOD_RESPONSE);
    let workflow: Workflow = toml::from_str(&text).map_err(|error| error.to_string())?;
    workflow.check().map_err(|error| error.to_string())?;
    Ok(workflow)
}

/// Everything that was seen so far.
#[derive(Debug)]
pub(super) struct Collector {
    workflow: Workflow,
    seed: u64,
    clock: SkyClock,
    run_cursor: u64,
    link_cursor: u64,
    pub(super) first_look: Option<Epoch>,
    pub(super) last_look: Option<Epoch>,
    pub(super) heard: BTreeSet<NodeId>,
    pub(super) completed: u64,
    pub(super) failures: Vec<String>,
    pub(super) run_ms: Vec<f64>,
    pub(super) links: Vec<api::LinkSampleInfo>,
    pub(super) needs: Vec<RunningNeed>,
    pub(super) pss_mib: BTreeMap<NodeId, f64>,
    pub(super) handovers: api::HandoverList,
    /// Per node, start and task: the newest sums, since a restart begins at 0.
    pub(super) calls: BTreeMap<(NodeId, u32, TaskId), api::TaskCalls>,
    pub(super) went_back: Vec<String>,
    newest_count: Option<(u64, u64)>,
    last_run: Option<RunRow>,
    notes: Vec<Note>,
    noted_moves: BTreeSet<(u64, bool)>,
}

impl Collector {
    pub(super) fn new(workflow: Workflow, seed: u64) -> Self {
        Self {
            workflow,
            seed,
            clock: SkyClock::REAL,
            run_cursor: 0,
            link_cursor: 0,
            first_look: None,
            last_look: None,
            heard: BTreeSet::new(),
            completed: 0,
            failures: Vec::new(),
            run_ms: Vec::new(),
            links: Vec::new(),
            needs: Vec::new(),
            pss_mib: BTreeMap::new(),
            handovers: api::HandoverList { handovers: Vec::new(), failovers: Vec::new() },
            calls: BTreeMap::new(),
            went_back: Vec::new(),
            newest_count: None,
            last_run: None,
            notes: Vec::new(),
            noted_moves: BTreeSet::new(),
        }
    }

    pub(super) const fn workflow(&self) -> &Workflow {
        &self.workflow
    }

    /// The sky now, by the clock that the controller follows.
    pub(super) fn sky_now(&self) -> Epoch {
        self.clock.sky(wall_now())
    }

    pub(super) fn note(&mut self, at: Epoch, text: String) {
        if self.notes.len() == NOTES_MAX {
            self.notes.remove(0);
        }
        self.notes.push(Note { at, text });
    }

    /// Asks the API for everything that is new.
    pub(super) fn look(
        &mut self,
        api: &Api,
        fleet: &Fleet,
        elapsed: Duration,
    ) -> Result<View, ClientError> {
        self.clock = api.get::<api::ClockInfo>("/clock")?.clock;
        let sky = self.sky_now();
        let since_last_s = self.last_look.map_or(0.0, |last| sky.seconds_since(last));
        self.first_look.get_or_insert(sky);
        self.last_look = Some(sky);
        self.take_runs(api)?;
        self.take_links(api)?;
        self.take_moves(api, sky)?;
        let placements: api::PlacementList = api.get("/placements")?;
        self.take_needs(&placements, sky, since_last_s);
        let nodes: api::NodeList = api.get("/nodes")?;
        self.take_nodes(&nodes);
        let to_drone = self.paths_to_drone(api, fleet)?;
        Ok(View {
            sky,
            elapsed,
            nodes: nodes.nodes.iter().map(|node| node_row(node, &to_drone, &placements)).collect(),
            tasks: self.task_rows(&placements),
            last_run: self.last_run.clone(),
            completed: self.completed,
            failed: self.failures.len() as u64,
            handovers: self.finished_handovers(),
            failovers: self.handovers.failovers.len(),
            notes: self.notes.clone(),
        })
    }

    fn finished_handovers(&self) -> usize {
        let is_done = |one: &&api::Handover| {
            one.kind == api::HandoverKind::Planned && one.took_over_at.is_some()
        };
        self.handovers.handovers.iter().filter(is_done).count()
    }

    /// Reads the runs that ended since the last look; also used to drain them at the end.
    pub(super) fn take_runs(&mut self, api: &Api) -> Result<(), ClientError> {
        loop {
            let page: api::RunPage = api.get(&format!("/runs?after={}", self.run_cursor))?;
            for run in &page.runs {
                self.take_run(run);
            }
            self.run_cursor = page.next;
            if !page.more {
                return Ok(());
            }
        }
    }

    fn take_run(&mut self, run: &api::RunInfo) {
        let verdict = match &run.failure {
            Some(failure) => Err(failure.clone()),
            None => crate::demo::conclude::check_result(self.seed, run.result.as_bytes()),
        };
        let result = match verdict {
            Ok((index, outcome)) => {
                self.completed += 1;
                self.run_ms.push(run_ms(run.wall_us));
                self.follow_state(run.run.0, outcome.runs_seen);
                format!(
                    "burst {index}: all {} fires found, state of {} runs",
                    outcome.targets.len(),
                    outcome.runs_seen
                )
            }
            Err(why) => {
                self.failures.push(format!("run {}: {why}", run.run));
                why
            }
        };
        self.last_run = Some(RunRow {
            run: run.run.0,
            wall_ms: run_ms(run.wall_us),
            stages: run
                .stages
                .iter()
                .map(|stage| {
                    let cost = &stage.cost;
                    let ns = cost.fetch_ns + cost.instantiate_ns + cost.run_ns + cost.commit_ns;
                    (stage.task.clone(), stage.node.clone(), run_ms(ns / 1000))
                })
                .collect(),
            result,
        });
    }

    /// object-det counts the runs in its lasting state: the count rises, or state was lost on the way.
    fn follow_state(&mut self, run: u64, runs_seen: u64) {
        if let Some((before, count)) = self.newest_count
            && before < run
            && runs_seen <= count
        {
            let text = format!(
                "run {run} saw the state of {runs_seen} runs, run {before} that of {count}"
            );
            self.went_back.push(text);
        }
        if self.newest_count.is_none_or(|(before, _)| before < run) {
            self.newest_count = Some((run, runs_seen));
        }
    }

    fn take_links(&mut self, api: &Api) -> Result<(), ClientError> {
        loop {
            let page: api::LinkSamples = api.get(&format!("/links?after={}", self.link_cursor))?;
            self.link_cursor = page.next;
            self.links.extend(page.samples);
            if !page.more {
                return Ok(());
            }
        }
    }

    pub(super) fn take_moves(&mut self, api: &Api, sky: Epoch) -> Result<(), ClientError> {
        self.handovers = api.get("/handovers")?;
        let all: Vec<api::Handover> =
            self.handovers.handovers.iter().chain(&self.handovers.failovers).cloned().collect();
        for one in all {
            if self.noted_moves.insert((one.id, false)) {
                let text = format!("{} → {}: {} ({})", one.from, one.to, one.function, one.reason);
                self.note(one.decided_at, text);
            }
            if one.took_over_at.is_some() && self.noted_moves.insert((one.id, true)) {
                let planned =
                    one.predicted_close.filter(|_| one.kind == api::HandoverKind::Planned);
                let early = planned.map_or_else(String::new, |close| {
                    let at = one.took_over_at.unwrap_or(sky);
                    format!(", {:.0} s before the window closes", close.seconds_since(at))
                });
                let text = format!("{} now owns {}{early}", one.to, one.function);
                self.note(one.took_over_at.unwrap_or(sky), text);
            }
        }
        Ok(())
    }

    fn take_needs(&mut self, placements: &api::PlacementList, at: Epoch, for_s: f64) {
        let host = |task: &TaskId| {
            placements.placements.iter().find(|p| p.task == *task).and_then(|p| p.node.clone())
        };
        for task in &self.workflow.tasks {
            let Some(node) = host(&task.id) else { continue };
            let before = task
                .after
                .iter()
                .filter_map(|after| Some((host(&after.task)?, after.latency_max_ms?)));
            let sources = task.sources.iter().filter_map(|need| {
                let source = self.workflow.sources.iter().find(|s| s.name == need.source)?;
                Some((source.node.clone(), need.latency_max_ms?))
            });
            self.needs.extend(before.chain(sources).map(|(other, limit_ms)| RunningNeed {
                at,
                for_s,
                host: node.clone(),
                other,
                limit_ms,
            }));
        }
    }

    fn take_nodes(&mut self, nodes: &api::NodeList) {
        for node in &nodes.nodes {
            if node.heard {
                self.heard.insert(node.id.clone());
            }
            if let Some(pss) = node.pss_mib {
                let largest = self.pss_mib.entry(node.id.clone()).or_insert(pss);
                *largest = largest.max(pss);
            }
            for calls in &node.calls {
                let name = (node.id.clone(), node.boots_seen, calls.task.clone());
                self.calls.insert(name, calls.clone());
            }
        }
    }

    /// Latency to the drone and the contact that meets the tightest limit, per node.
    fn paths_to_drone(&self, api: &Api, fleet: &Fleet) -> Result<Paths, ClientError> {
        let mut paths = Paths::new();
        let plan: api::PlanInfo = api.get("/plan")?;
        let sky = self.sky_now();
        for node in fleet.nodes().filter(|node| node.as_str() != DRONE) {
            let (a, b) =
                if node.as_str() < DRONE { (node.as_str(), DRONE) } else { (DRONE, node.as_str()) };
            let now = plan.pairs.iter().find(|pair| pair.a.as_str() == a && pair.b.as_str() == b);
            let asked: api::PlanInfo =
                api.get(&format!("/plan?a={a}&b={b}&latency_ms={CHAIN_LATENCY_MAX_MS}"))?;
            let windows = asked.asked.map(|asked| asked.windows).unwrap_or_default();
            let contact = match windows.iter().find(|window| sky < window.close) {
                Some(window) if window.open <= sky => Contact::OpenUntil(window.close),
                Some(window) => Contact::OpensAt(window.open),
                None => Contact::None,
            };
            paths.insert(node.clone(), (now.and_then(|pair| pair.latency_ms), contact));
        }
        paths.insert(NodeId::new(DRONE).expect("a valid name"), (Some(0.0), Contact::None));
        Ok(paths)
    }

    fn task_rows(&self, placements: &api::PlacementList) -> Vec<TaskRow> {
        placements.placements.iter().map(|placement| self.task_row(placement)).collect()
    }

    fn task_row(&self, placement: &api::PlacementInfo) -> TaskRow {
        let task = self.workflow.tasks.iter().find(|task| task.id == placement.task);
        TaskRow {
            task: placement.task.clone(),
            node: placement.node.clone(),
            reach: task.map_or(Reach::Unknown, |task| reach(task, placement)),
            closes: placement.window.as_ref().filter(|w| w.close_known).map(|w| w.close),
            next: placement.next.as_ref().map(|next| (next.node.clone(), next.at)),
            because: placement.because.clone(),
        }
    }
}

fn reach(task: &Task, placement: &api::PlacementInfo) -> Reach {
    if task.after.is_empty() && task.sources.is_empty() {
        return Reach::Source;
    }
    let after = task.after.iter().filter_map(|after| after.latency_max_ms);
    let sources = task.sources.iter().filter_map(|need| need.latency_max_ms);
    let limit_ms = after.chain(sources).reduce(f64::min);
    let is_cut = |refusal: &api::RefusalInfo| {
        Some(&refusal.node) == placement.node.as_ref() && refusal.constraint.starts_with("outage")
    };
    match placement.latency_ms {
        Some(ms) => Reach::Path { ms, limit_ms },
        None if placement.refused.iter().any(is_cut) => Reach::NoPath,
        None => Reach::Unknown,
    }
}

type Paths = BTreeMap<NodeId, (Option<f64>, Contact)>;

fn node_row(node: &api::NodeInfo, paths: &Paths, placements: &api::PlacementList) -> NodeRow {
    let (to_drone_ms, contact) = paths.get(&node.id).copied().unwrap_or((None, Contact::None));
    let tasks = placements.placements.iter().filter(|p| p.node.as_ref() == Some(&node.id));
    NodeRow {
        node: node.id.clone(),
        kind: node.kind,
        alive: matches!(node.state, api::NodeState::Up | api::NodeState::Silent),
        silent_for: node.age_ms.map(Duration::from_millis),
        to_drone_ms,
        contact,
        battery: node.state_of_charge,
        temperature_c: node.temperature_c,
        sunlit: node.sunlit,
        load_cores: node.load_milli_cpu.map(|milli| milli / 1000.0),
        tasks: tasks.map(|placement| placement.task.clone()).collect(),
    }
}

fn run_ms(wall_us: u64) -> f64 {
    Duration::from_micros(wall_us).as_secs_f64() * 1000.0
}

fn wall_now() -> WallTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ns = since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
    WallTime(ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task of the shipped workflow as the API tells of it.
    #[track_caller]
    fn check(task: &str, latency_ms: Option<f64>, refused: &str, expected: Reach) {
        let workflow: Workflow = toml::from_str(layout::FLOOD_RESPONSE).unwrap();
        let refusal = serde_json::json!({
            "task": task, "node": "a", "constraint": refused, "at": "2026-01-01T00:00:00Z",
            "value": 0.0, "limit": 1.0, "unit": "", "text": "",
        });
        let placement = serde_json::json!({
            "workflow": workflow.id, "task": task, "node": "a", "phase": null, "owner_epoch": 1,
            "replica": null, "since": null, "because": "", "latency_ms": latency_ms,
            "window": null, "next": null, "refused": [refusal],
        });
        let placement: api::PlacementInfo = serde_json::from_value(placement).unwrap();
        let task = workflow.tasks.iter().find(|one| one.id == placement.task).unwrap();
        assert_eq!(reach(task, &placement), expected);
    }

    #[test]
    fn a_task_whose_latency_is_not_known_is_no_source() {
        check("ingest", None, "stays", Reach::Source);
        check("extract-frames", None, "stays", Reach::Unknown);
        check("extract-frames", None, "outage to ingest", Reach::NoPath);
        let path = Reach::Path { ms: 7.0, limit_ms: Some(150.0) };
        check("object-det", Some(7.0), "stays", path);
    }
}
