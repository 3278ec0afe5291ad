//! A sky of a few nodes whose links are written down by hand, ten seconds a step from 10:00:00 on.

use std::fmt;

use placement::{
    After, Assignment, DataSource, Decision, NodeView, Options, Plan, Prediction, Priority,
    Refusal, Running, Snapshot, SourceNeed, Successor, Task, Workflow, violation,
};
use topology::{ContactPlan, PairSeries, PathState, SunSeries};
use types::{
    Arch, Capacity, DataClass, Epoch, FunctionId, LatencyUs, MiB, MilliCpu, NodeId, NodeKind,
    OwnerEpoch, PlanVersion, Region, TaskId, WorkflowId,
};

/// Grid points of every bed.
pub(crate) const STEPS: u32 = 100;
/// Seconds between them.
pub(crate) const STEP_S: f64 = 10.0;

pub(crate) fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("test names are names")
}

pub(crate) fn task_id(name: &str) -> TaskId {
    TaskId::new(name).expect("test names are names")
}

/// The moment of a grid point, or one between two.
pub(crate) fn at(step: f64) -> Epoch {
    let start = Epoch::parse("2026-11-22T10:00:00Z").expect("a time");
    start.plus_s(step * STEP_S)
}

/// A node of four cores on the grid.
pub(crate) fn plain_node(name: &str, kind: NodeKind) -> NodeView {
    let capacity = Capacity { milli_cpu: MilliCpu(4000), memory_mib: MiB(4096) };
    NodeView::new(node(name), kind, Arch::Arm64, capacity)
}

/// A task that needs a whole satellite, for a run of 60 s.
pub(crate) fn task(name: &str, after: &[(&str, f64)]) -> Task {
    let after = after.iter().map(|(name, limit_ms)| After {
        task: task_id(name),
        latency_max_ms: (0.0 < *limit_ms).then_some(*limit_ms),
        bandwidth_min_kbps: None,
        loss_max: None,
        kib: None,
        arrives_within_ms: None,
        jitter_max_ms: None,
    });
    Task {
        id: task_id(name),
        function: FunctionId::new(name).expect("test names are names"),
        milli_cpu: MilliCpu(4000),
        memory_mib: MiB(1024),
        linear_memory_mib: MiB(64),
        expected_run_s: 60.0,
        deadline_ms: 1000,
        after: after.collect(),
        sources: vec![],
        with: vec![],
        apart: vec![],
        pinned: None,
        kinds: vec![],
        watts: 10.0,
        class: None,
        regions: vec![],
        releases: None,
    }
}

pub(crate) fn region(name: &str) -> Region {
    Region::new(name).expect("test names are labels")
}

/// Everything that a decision needs, at 10:00:00 unless said otherwise.
#[derive(Clone)]
pub(crate) struct Bed {
    pub(crate) pairs: Vec<PairSeries>,
    pub(crate) sun: Vec<SunSeries>,
    pub(crate) nodes: Vec<NodeView>,
    pub(crate) running: Vec<Running>,
    pub(crate) prediction: Prediction,
    pub(crate) options: Options,
    pub(crate) workflow: Workflow,
}

impl fmt::Debug for Bed {
    /// Short enough to be read when a property fails.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for pair in &self.pairs {
            write!(f, "\n{}-{}:", pair.a, pair.b)?;
            let mut from = 0;
            for spell in pair.states.chunk_by(|x, y| x == y) {
                let ms = spell[0].map(|state| state.latency.as_ms());
                write!(f, " {from}..{}={ms:?}", from + spell.len())?;
                from += spell.len();
            }
        }
        for series in &self.sun {
            let light = series.sunlit.iter().map(|sunlit| if *sunlit < 0.5 { '.' } else { '*' });
            write!(f, "\n{} {}", series.node, light.collect::<String>())?;
        }
        for view in &self.nodes {
            let (charge, heat) = (view.state_of_charge, view.temperature_c);
            let cpu = view.capacity.milli_cpu.0;
            write!(f, "\n{} {cpu} alive {} {charge:?} {heat:?}", view.id, view.alive)?;
        }
        for task in &self.workflow.tasks {
            write!(f, "\n{} {} {:?}", task.id, task.milli_cpu.0, task.after)?;
            write!(f, " with {:?} apart {:?}", task.with, task.apart)?;
        }
        for running in &self.running {
            let Running { workflow, task, node, successor, milli_cpu, .. } = running;
            let successor = successor.as_ref().map(|s| format!("{} {:.0}", s.node, s.at));
            write!(f, "\n{workflow}.{task} {} on {node}, {successor:?}", milli_cpu.0)?;
        }
        Ok(())
    }
}

impl Bed {
    /// The drone `drone`, and `ingest` pinned to it.
    pub(crate) fn new() -> Self {
        let mut ingest = task("ingest", &[]);
        ingest.milli_cpu = MilliCpu(1000);
        ingest.pinned = Some(node("drone"));
        let workflow = Workflow {
            id: WorkflowId::new("flood").expect("a name"),
            priority: Priority::Normal,
            every_ms: 5000,
            run_deadline_ms: 20_000,
            tasks: vec![ingest],
            sources: vec![],
        };
        let options = Options { horizon_s: 11_400.0, guard_s: 30.0, prepare_s: 20.0, seed: 0 };
        let mut drone = plain_node("drone", NodeKind::Edge);
        drone.capacity.milli_cpu = MilliCpu(1000);
        Self {
            pairs: vec![],
            sun: vec![],
            nodes: vec![drone],
            running: vec![],
            prediction: Prediction::On,
            options,
            workflow,
        }
    }

    pub(crate) fn satellites(mut self, names: &[&str]) -> Self {
        self.nodes.extend(names.iter().map(|name| plain_node(name, NodeKind::Satellite)));
        self
    }

    pub(crate) fn task(mut self, task: Task) -> Self {
        self.workflow.tasks.push(task);
        self
    }

    /// A data source that the last task reads.
    pub(crate) fn source(mut self, name: &str, holder: &str, limit_ms: f64) -> Self {
        self.workflow.sources.push(DataSource {
            name: task_id(name),
            node: node(holder),
            class: DataClass::default(),
            regions: vec![],
        });
        let need = SourceNeed {
            source: task_id(name),
            latency_max_ms: Some(limit_ms),
            bandwidth_min_kbps: None,
            loss_max: None,
            kib: None,
            arrives_within_ms: None,
            jitter_max_ms: None,
        };
        self.workflow.tasks.last_mut().expect("a task").sources.push(need);
        self
    }

    /// Latencies in ms of a pair over spans of steps (from, to, both included); no path elsewhere.
    pub(crate) fn link(mut self, a: &str, b: &str, spans: &[(u32, u32, u32)]) -> Self {
        let state = |step: u32| {
            let span = spans.iter().find(|(from, to, _)| *from <= step && step <= *to)?;
            let latency = LatencyUs(span.2 * 1000);
            Some(PathState { latency, rate_kbps: 500_000, loss_ppm: 0, hops: 1 })
        };
        let (a, b) = if a < b { (a, b) } else { (b, a) };
        let states = (0..STEPS).map(state).collect();
        self.pairs.push(PairSeries { a: node(a), b: node(b), states, confidence_ppm: 1_000_000 });
        self
    }

    pub(crate) fn runs(mut self, task: &str, on: &str) -> Self {
        let needs = self.workflow.task(&task_id(task)).expect("a task of the bed").clone();
        self.running.push(Running {
            workflow: self.workflow.id.clone(),
            task: needs.id,
            node: node(on),
            priority: self.workflow.priority,
            owner_epoch: OwnerEpoch(1),
            replica: None,
            successor: None,
            milli_cpu: needs.milli_cpu,
            memory_mib: needs.memory_mib,
            watts: needs.watts,
        });
        self
    }

    /// The copy and the announced successor of what was said to run last.
    pub(crate) fn with(mut self, copy: &str, successor: Option<(&str, f64)>) -> Self {
        let running = self.running.last_mut().expect("something runs");
        running.replica = Some(node(copy));
        running.successor =
            successor.map(|(name, step)| Successor { node: node(name), at: at(step) });
        self
    }

    pub(crate) fn change(mut self, name: &str, change: impl Fn(&mut NodeView)) -> Self {
        let found = self.nodes.iter_mut().find(|view| view.id.as_str() == name);
        change(found.expect("a node of the bed"));
        self
    }

    pub(crate) fn down(self, name: &str) -> Self {
        self.change(name, |view| view.alive = false)
    }

    pub(crate) fn without_prediction(mut self) -> Self {
        self.prediction = Prediction::Off;
        self
    }

    /// Batteries and boards that limit nothing.
    pub(crate) fn without_bodies(mut self) -> Self {
        for view in &mut self.nodes {
            (view.battery_wh, view.temperature_c, view.conductance_w_k) = (None, None, None);
        }
        self
    }

    pub(crate) fn plan(&self) -> ContactPlan {
        let (pairs, sun) = (self.pairs.clone(), self.sun.clone());
        ContactPlan::new(PlanVersion(1), at(0.0), 10_000, STEPS, pairs, sun).expect("a good plan")
    }

    pub(crate) fn snapshot(&self, step: f64) -> Snapshot {
        Snapshot {
            now: at(step),
            plan: self.plan(),
            nodes: self.nodes.clone(),
            running: self.running.clone(),
            prediction: self.prediction,
            options: self.options,
            workflow: self.workflow.clone(),
        }
    }

    /// A refusal with what would help.
    #[track_caller]
    pub(crate) fn advised(&self, step: f64) -> Refusal {
        self.workflow.check().expect("a good workflow");
        match self.snapshot(step).advise() {
            Decision::Refused(refusal) => refusal,
            Decision::Placed(plan) => panic!("placed: {plan}"),
        }
    }

    pub(crate) fn decide(&self, step: f64) -> Decision {
        self.workflow.check().expect("a good workflow");
        self.snapshot(step).decide()
    }

    #[track_caller]
    pub(crate) fn placed(&self, step: f64) -> Plan {
        match self.decide(step) {
            Decision::Placed(plan) => plan,
            Decision::Refused(refusal) => panic!("refused: {refusal}"),
        }
    }

    #[track_caller]
    pub(crate) fn refused(&self, step: f64) -> Refusal {
        match self.decide(step) {
            Decision::Refused(refusal) => refusal,
            Decision::Placed(plan) => panic!("placed: {plan}"),
        }
    }

    /// What runs once a plan is carried out.
    pub(crate) fn carry_out(mut self, plan: &Plan) -> Self {
        self.running.retain(|running| running.workflow != self.workflow.id);
        for assignment in &plan.assignments {
            self = self.runs(assignment.task.as_str(), assignment.node.as_str());
            let running = self.running.last_mut().expect("just pushed");
            running.replica.clone_from(&assignment.replica);
            running.successor = assignment
                .next
                .as_ref()
                .map(|next| Successor { node: next.node.clone(), at: next.at });
        }
        self
    }

    /// Whether a task of the workflow runs where its links do not serve.
    pub(crate) fn is_violated(&self, step: f64) -> bool {
        let plan = self.plan();
        let host_of = |task: &TaskId| {
            let running = self.running.iter().find(|running| running.task == *task);
            running.map(|running| running.node.clone())
        };
        self.running.iter().any(|running| {
            let task = self.workflow.task(&running.task).expect("a task of the bed");
            let state = |a: &NodeId, b: &NodeId| plan.state(a, b, at(step));
            violation(&self.workflow, task, &running.node, at(step), host_of, state).is_some()
        })
    }

    /// The assignment of one task.
    #[track_caller]
    pub(crate) fn assigned(&self, step: f64, task: &str) -> Assignment {
        let plan = self.placed(step);
        let found = plan.assignments.into_iter().find(|a| a.task.as_str() == task);
        found.expect("each task has an assignment")
    }
}

/// Host, steps of the window, and next host with its step: what hand-over tests look at.
pub(crate) fn gist(assignment: &Assignment) -> String {
    let step = |epoch: Epoch| epoch.seconds_since(at(0.0)) / STEP_S;
    let window = assignment.window.as_ref().map(|window| {
        let mark = if window.close_known { "" } else { "+" };
        format!(" {}-{}{mark}", step(window.open), step(window.close))
    });
    let next = assignment.next.as_ref();
    let next = next.map(|next| format!(", {} at {}", next.node, step(next.at)));
    [Some(assignment.node.to_string()), window, next].into_iter().flatten().collect()
}
