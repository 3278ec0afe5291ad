//! A fake agent that keeps the contract of the wire and does nothing else; and the small world around it.
#![expect(dead_code, reason = "each test program uses its part")]

pub(crate) mod served;
pub(crate) mod signing;

use std::collections::BTreeMap;

use controller::config::Config;
use placement::Workflow;
use protocol::desired::{
    Desired, DesiredReply, Phase, Role, Successor, TaskSpec, TaskStatus, Verdict,
};
use protocol::event::{Event, EventKind, EventPage, NodeFacts, PAGE_EVENTS_MAX, RunRecord};
use protocol::report::{
    Header, LinkReport, LinkSample, NoReading, PowerReport, QueueReport, Reading, Report,
    ReportBody, Source, ThermalReport,
};
use protocol::{decode, encode};
use topology::{ContactPlan, PairSeries, PathState};
use types::{
    Arch, BootId, Capacity, EnergySource, Epoch, Generation, LatencyUs, LeaderEpoch, MiB, MilliCpu,
    NodeId, NodeKind, OwnerEpoch, PlanVersion, RunId, TaskId, Uptime, WorkflowId,
};

/// A task of a workflow.
pub(crate) type Key = (WorkflowId, TaskId);

/// What an agent holds of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) phase: Phase,
    pub(crate) epoch: OwnerEpoch,
    pub(crate) successor: Option<Successor>,
    first_call: bool,
}

/// A fake agent. It obeys at once and is always prepared.
#[derive(Debug)]
pub(crate) struct FakeAgent {
    pub(crate) node: NodeId,
    pub(crate) boot: BootId,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) generation: Generation,
    /// Desired states that were taken or adopted.
    pub(crate) obeyed: Vec<Desired>,
    pub(crate) held: BTreeMap<Key, Held>,
    pub(crate) events: Vec<Event>,
    /// Tasks that it will not take, and those whose function it cannot run.
    pub(crate) declines: Vec<TaskId>,
    pub(crate) cannot_run: Vec<TaskId>,
    reports: u64,
    desired: Option<Desired>,
}

impl FakeAgent {
    pub(crate) fn new(name: &str, boot: u64) -> Self {
        Self {
            node: id(name),
            boot: BootId(boot),
            epoch: LeaderEpoch(0),
            generation: Generation(0),
            obeyed: vec![],
            held: BTreeMap::new(),
            events: vec![],
            declines: vec![],
            cannot_run: vec![],
            reports: 0,
            desired: None,
        }
    }

    /// A new start that has kept what was durable.
    pub(crate) fn restart(&mut self) {
        self.boot = BootId(self.boot.0 + 1);
        self.reports = 0;
        self.events.clear();
    }

    fn header(&self, at: Epoch, seq: u64) -> Header {
        Header { node: self.node.clone(), boot: self.boot, seq, at, uptime: Uptime(seq * 1000) }
    }

    fn say(&mut self, at: Epoch, kind: EventKind) {
        let header = self.header(at, self.events.len() as u64 + 1);
        self.events.push(Event { header, kind });
    }

    /// The next report.
    pub(crate) fn report(&mut self, at: Epoch, body: ReportBody) -> Vec<u8> {
        self.reports += 1;
        let header = self.header(at, self.reports);
        let last_event_seq = self.events.len() as u64;
        encode(&Report { header, last_event_seq, body }).expect("valid")
    }

    /// Answers a question for events.
    pub(crate) fn page(&self, from_seq: u64) -> Vec<u8> {
        let wanted = self.events.iter().filter(|event| from_seq <= event.header.seq);
        let events = wanted.take(PAGE_EVENTS_MAX).cloned().collect();
        encode(&EventPage { events, lost: 0 }).expect("valid")
    }

    /// Takes a desired state, or says how it stands.
    pub(crate) fn desired(&mut self, at: Epoch, frame: &[u8]) -> Vec<u8> {
        let verdict = if frame.is_empty() {
            Verdict::Reported
        } else {
            self.obey(at, decode(frame).expect("the controller writes valid frames"))
        };
        encode(&self.reply(verdict)).expect("valid")
    }

    fn obey(&mut self, at: Epoch, desired: Desired) -> Verdict {
        assert_eq!(desired.node, self.node);
        if (desired.epoch, desired.generation) < (self.epoch, self.generation) {
            return Verdict::Stale { epoch: self.epoch, generation: self.generation };
        }
        let is_new =
            |task: &TaskSpec| !self.held.contains_key(&(task.workflow.clone(), task.task.clone()));
        if desired.tasks.iter().any(|task| is_new(task) && self.declines.contains(&task.task)) {
            return Verdict::Denied { reason: "no room for that".to_owned() };
        }
        self.epoch = desired.epoch;
        self.generation = desired.generation;
        let same = self
            .desired
            .as_ref()
            .is_some_and(|old| old.tasks == desired.tasks && old.drives == desired.drives);
        self.obeyed.push(desired.clone());
        self.desired = Some(desired.clone());
        if same {
            return Verdict::Adopted;
        }
        let keys: Vec<Key> =
            desired.tasks.iter().map(|t| (t.workflow.clone(), t.task.clone())).collect();
        self.held.retain(|key, _| keys.contains(key));
        for (key, spec) in keys.into_iter().zip(desired.tasks) {
            self.hold(at, key, &spec.role);
        }
        Verdict::Accepted
    }

    fn hold(&mut self, at: Epoch, key: Key, role: &Role) {
        let (workflow, task) = key.clone();
        let generation = self.generation;
        if self.cannot_run.contains(&task) {
            let (phase, epoch) = (Phase::Failed, OwnerEpoch(0));
            self.held.insert(key, Held { phase, epoch, successor: None, first_call: false });
            return;
        }
        let prepared =
            EventKind::Prepared { workflow: workflow.clone(), task: task.clone(), generation };
        match role {
            Role::Owner { owner_epoch, successor } => {
                let successor = successor.clone();
                match self.held.get_mut(&key) {
                    Some(held) if *owner_epoch <= held.epoch => held.successor = successor,
                    _ => {
                        let (phase, epoch) = (Phase::Active, *owner_epoch);
                        self.held.insert(key, Held { phase, epoch, successor, first_call: true });
                        let (owner_epoch, from) = (epoch, None);
                        self.say(at, EventKind::TookOver { workflow, task, owner_epoch, from });
                        self.say(at, prepared);
                    }
                }
            }
            Role::Standby { .. } if !self.held.contains_key(&key) => {
                let (phase, epoch) = (Phase::Ready, OwnerEpoch(0));
                self.held.insert(key, Held { phase, epoch, successor: None, first_call: false });
                self.say(at, prepared);
            }
            Role::Standby { .. } => {}
        }
    }

    /// Hand-overs whose time has come: task, new owner, its epoch.
    pub(crate) fn due(&mut self, at: Epoch) -> Vec<(Key, NodeId, OwnerEpoch)> {
        let mut due = Vec::new();
        for (key, held) in &mut self.held {
            if held.phase == Phase::Active
                && let Some(successor) = held.successor.clone().filter(|s| s.at <= at)
            {
                held.phase = Phase::Released;
                due.push((key.clone(), successor.node, held.epoch.next()));
            }
        }
        due
    }

    /// Owns a task from now on.
    pub(crate) fn take_over(&mut self, at: Epoch, key: Key, epoch: OwnerEpoch, from: &NodeId) {
        let held = Held { phase: Phase::Active, epoch, successor: None, first_call: true };
        self.held.insert(key.clone(), held);
        let (workflow, task) = key;
        let from = Some(from.clone());
        self.say(at, EventKind::TookOver { workflow, task, owner_epoch: epoch, from });
    }

    /// A run passes: every task that is served here is called.
    pub(crate) fn call_all(&mut self, at: Epoch, run: u64) {
        let mut first: Vec<(Key, OwnerEpoch)> = Vec::new();
        for (key, held) in self.held.iter_mut().filter(|(_, held)| held.phase == Phase::Active) {
            if std::mem::take(&mut held.first_call) {
                first.push((key.clone(), held.epoch));
            }
        }
        for ((workflow, task), owner_epoch) in first {
            self.say(at, EventKind::FirstCall { workflow, task, run: RunId(run), owner_epoch });
        }
    }

    /// A run that this node drove has ended.
    pub(crate) fn run_finished(
        &mut self,
        at: Epoch,
        workflow: &str,
        run: u64,
        failure: Option<&str>,
    ) {
        let record = RunRecord {
            workflow: WorkflowId::new(workflow).expect("a valid name"),
            run: RunId(run),
            started_at: at,
            wall_us: 120_000,
            failure: failure.map(str::to_owned),
            stages: vec![],
            result: b"{\"targets\":3}".to_vec(),
        };
        self.say(at, EventKind::RunFinished(record));
    }

    fn reply(&self, verdict: Verdict) -> DesiredReply {
        let status = |(key, held): (&Key, &Held)| TaskStatus {
            workflow: key.0.clone(),
            task: key.1.clone(),
            phase: held.phase,
            owner_epoch: held.epoch,
            state_bytes: 0,
        };
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&(self.obeyed.len() as u64).to_le_bytes());
        DesiredReply {
            verdict,
            facts: NodeFacts {
                kind: NodeKind::Satellite,
                arch: Arch::X86_64,
                capacity: Capacity { milli_cpu: MilliCpu(32_000), memory_mib: MiB(32_768) },
                energy: EnergySource::Unknown,
                version: "fake".to_owned(),
                epoch: self.epoch,
                generation: self.generation,
            },
            digest,
            tasks: self.held.iter().map(status).collect(),
        }
    }
}

pub(crate) fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("a valid name")
}

pub(crate) fn queue() -> ReportBody {
    ReportBody::Queue(QueueReport {
        invocations_waiting: 0,
        transfers_waiting: 0,
        state_bytes: 77,
        frames_dropped: 0,
        reports_dropped: 0,
    })
}

pub(crate) fn power(charge: f32) -> ReportBody {
    let unknown = Reading::Unknown(NoReading::NoSensor);
    ReportBody::Power(PowerReport {
        state_of_charge: Reading::known(charge, Source::Virtual),
        capacity_wh: Reading::known(74.0, Source::Virtual),
        load_w: unknown,
        solar_w: unknown,
        source: EnergySource::Photovoltaic,
    })
}

pub(crate) fn thermal(celsius: f32) -> ReportBody {
    ReportBody::Thermal(ThermalReport {
        hottest_c: Reading::known(celsius, Source::Virtual),
        limit_c: Reading::Unknown(NoReading::NoSensor),
    })
}

pub(crate) fn link(peer: &str, at: Epoch, rtt_us: u32) -> ReportBody {
    let sample = LinkSample { peer: id(peer), at, rtt_us: Some(rtt_us) };
    ReportBody::Link(LinkReport { samples: vec![sample] })
}

/// The sky when a test begins: on the grid of plans.
pub(crate) fn start() -> Epoch {
    Epoch::parse("2026-01-01T00:00:00Z").expect("a time")
}

/// A configuration with a drone, two satellites and a station.
pub(crate) fn config(prediction: bool) -> Config {
    let mut text = format!(
        r#"
        version = 1
        [controller]
        fleet = "demo"
        state_dir = "state"
        [bus]
        insecure = true
        [sim]
        connect = "tcp/127.0.0.1:1"
        [sky]
        file = "sky.toml"
        [plan]
        guard_s = 45.0
        prediction = {prediction}
        "#
    );
    for (name, kind, cpu) in [
        ("drone", "edge", 2_000),
        ("ground", "ground-station", 32_000),
        ("sat-1", "satellite", 4_000),
        ("sat-2", "satellite", 4_000),
    ] {
        text.extend([format!(
            "\n[[node]]\nname = \"{name}\"\nkind = \"{kind}\"\nmilli_cpu = {cpu}\nmemory_mib = 8192\n"
        )]);
    }
    toml::from_str(&text).expect("a valid configuration")
}

/// `ingest` at the drone, then `extract` within 20 ms of it.
pub(crate) fn workflow() -> Workflow {
    let text = r#"
        id = "flood"
        every_ms = 1000
        run_deadline_ms = 10000
        [[task]]
        id = "ingest"
        function = "ingest"
        pinned = "drone"
        milli_cpu = 1000
        memory_mib = 512
        linear_memory_mib = 16
        expected_run_s = 60.0
        deadline_ms = 1000
        [[task]]
        id = "extract"
        function = "extract"
        milli_cpu = 4000
        memory_mib = 2048
        linear_memory_mib = 16
        expected_run_s = 60.0
        deadline_ms = 1000
        after = [{ task = "ingest", latency_max_ms = 20.0 }]
    "#;
    toml::from_str(text).expect("a valid workflow")
}

/// A sky of twenty minutes: `sat-1` is near the drone until 600 s, `sat-2` from 300 s on; all others are 50 ms apart.
pub(crate) fn contact_plan() -> ContactPlan {
    let steps = 121;
    let series = |a: &str, b: &str, near: &dyn Fn(u32) -> bool| PairSeries {
        confidence_ppm: 1_000_000,
        a: id(a),
        b: id(b),
        states: (0..steps)
            .map(|step| {
                let (us, hops) = if near(step * 10) { (10_000, 1) } else { (50_000, 2) };
                Some(PathState { latency: LatencyUs(us), rate_kbps: 500_000, loss_ppm: 0, hops })
            })
            .collect(),
    };
    let names = ["controller", "drone", "ground", "sat-1", "sat-2"];
    let mut pairs = Vec::new();
    for (index, a) in names.iter().enumerate() {
        for b in &names[index + 1..] {
            pairs.push(match (*a, *b) {
                ("drone", "sat-1") => series(a, b, &|s| s <= 600),
                ("drone", "sat-2") => series(a, b, &|s| 300 <= s),
                _ => series(a, b, &|_| false),
            });
        }
    }
    ContactPlan::new(PlanVersion(1), start(), 10_000, steps, pairs, vec![]).expect("a plan")
}

/// The smallest component that keeps the contract; `salt` makes another one of it.
pub(crate) fn component(salt: u8) -> Vec<u8> {
    let name = accel::contract::HANDLER.as_bytes();
    let name_len = u8::try_from(name.len()).expect("a short name");
    // Preamble of a component, then section 5: one instance without exports.
    let mut bytes = b"\0asm\x0d\0\x01\0\x05\x03\x01\x01\x00".to_vec();
    // Section 11: that instance is exported under the name.
    bytes.extend_from_slice(&[11, name_len + 6, 1, 0, name_len]);
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(&[5, 0, 0]);
    // Section 0: a custom section `s` with one byte.
    bytes.extend_from_slice(&[0, 3, 1, b's', salt]);
    bytes
}
