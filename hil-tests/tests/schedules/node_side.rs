//! The node: the agent's machine, its line and its queue, on a disk that outlives them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use agent::agent::{Agent, Remembered, Setup};
use agent::backlog::{EVENTS, Numbers, REPORTS, late, series};
use agent::event::{Input, Now, Output, Record, Ticket};
use agent::plan::Outlook;
use agent::state::{GroupId, GroupStatus, Ownership, RoleChange};
use agent::uplink::{Sent, Uplink};
use protocol::backlog::{Backlog, LateStream, Receipt};
use protocol::command::{Command, CommandReply};
use protocol::desired::{Desired, DesiredReply, TaskSpec};
use protocol::event::{BackEndChange, EventKind, EventPage, EventQuery};
use protocol::report::{Group, QueueReport, ReportBody};
use protocol::{decode, encode};
use queue::{Limits, New, Queue, Room, Storage, StorageError, StreamConfig};
use types::{
    Arch, BootId, Capacity, EnergySource, Epoch, Instant, MiB, MilliCpu, NodeId, NodeKind,
    OwnerEpoch, WallTime,
};

/// Groups that a command to report takes.
const GROUPS: usize = 10;
const STREAMS: [StreamConfig; 2] = [
    StreamConfig { ttl_ms: u64::MAX, is_thinned: false },
    StreamConfig { ttl_ms: u64::MAX, is_thinned: true },
];

pub(crate) fn me() -> NodeId {
    NodeId::new("sat-1").expect("a name")
}

/// Files: what is written, and what of it is durable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    files: BTreeMap<String, (Vec<u8>, Vec<u8>)>,
    /// Records of the store; each is durable when its save is answered.
    pub(crate) records: BTreeMap<String, Vec<u8>>,
}

impl Disk {
    /// Power goes: what was not synced is gone.
    pub(crate) fn lose_power(&mut self) {
        self.files.retain(|_, (_, durable)| !durable.is_empty());
        for (now, durable) in self.files.values_mut() {
            now.clone_from(durable);
        }
    }

    pub(crate) fn forget_queue(&mut self) {
        self.files.clear();
    }
}

impl Storage for Disk {
    fn list(&mut self) -> Result<Vec<(String, u64)>, StorageError> {
        Ok(self.files.iter().map(|(name, (now, _))| (name.clone(), now.len() as u64)).collect())
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, StorageError> {
        Ok(self.files.get(name).map(|(now, _)| now.clone()).unwrap_or_default())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        self.files.entry(name.to_owned()).or_default().0.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, name: &str) -> Result<(), StorageError> {
        let (now, durable) = self.files.entry(name.to_owned()).or_default();
        durable.clone_from(now);
        Ok(())
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        self.files.insert(name.to_owned(), (bytes.to_vec(), bytes.to_vec()));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), StorageError> {
        self.files.remove(name);
        Ok(())
    }

    fn room(&mut self) -> Result<Room, StorageError> {
        Ok(Room { free: 1 << 30, total: 1 << 30 })
    }
}

/// What a node says by itself.
#[derive(Debug)]
pub(crate) enum Put {
    Report(Vec<u8>),
    Event(Vec<u8>),
}

/// What an observer counts over all starts.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Events that were durable in the queue, by start and number.
    pub(crate) durable: BTreeSet<(u64, u64)>,
    /// Commands that were done, as the machine's samples show.
    pub(crate) done: u64,
    /// Commands that were durably begun, by epoch and number.
    pub(crate) begun: BTreeSet<(u64, u64)>,
    /// Ends of commands that were told, by id; a repeated event counts once.
    pub(crate) told: BTreeMap<u64, BTreeSet<(u64, u64)>>,
    /// Tasks that were let go of or taken anew while they were wanted as they were.
    pub(crate) needless: u64,
}

/// One process.
pub(crate) struct Node {
    agent: Agent,
    queue: Queue<Disk>,
    uplink: Uplink,
    boot: u64,
    started_ms: u64,
    /// Saves under way; a kill may come before them.
    saves: VecDeque<(Record, Vec<u8>)>,
    puts: Vec<Put>,
    held: BTreeMap<GroupId, TaskSpec>,
    answers: BTreeMap<u64, Output>,
    next_ticket: u64,
    records: BTreeMap<String, Vec<u8>>,
}

/// The clocks: sky is the wall clock, which may jump.
pub(crate) fn now_at(ms: u64, started_ms: u64, jump_ms: i64) -> Now {
    let at = Instant((ms - started_ms) * 1_000_000);
    let wall_ms = 1_700_000_000_000 + i64::try_from(ms).expect("short") + jump_ms;
    let ns = wall_ms.max(0) * 1_000_000;
    Now { at, wall: WallTime(ns), sky: Epoch::from_unix_ns(ns), rate: 1.0 }
}

impl Node {
    pub(crate) fn begin(
        mut disk: Disk,
        boot: u64,
        ms: u64,
        jump_ms: i64,
        seen: &mut Watched,
    ) -> Self {
        let setup = Setup {
            node: me(),
            boot: BootId(boot),
            kind: NodeKind::Satellite,
            arch: Arch::X86_64,
            capacity: Capacity { milli_cpu: MilliCpu(4000), memory_mib: MiB(4096) },
            energy: EnergySource::Unknown,
            report_interval: Duration::from_secs(1),
            peers: Vec::new(),
            ping_interval: Duration::from_secs(3600),
            safe_mode: None,
        };
        let record = |record: Record| disk.records.get(&record.to_string()).cloned();
        let desired = record(Record::Desired).and_then(|frame| decode::<Desired>(&frame).ok());
        let (fence, timed) = (record(Record::Fence), record(Record::Timed));
        let now = now_at(ms, ms, jump_ms);
        let (agent, outputs) = Agent::start(setup, Remembered { desired, fence, timed }, &now);
        let records = std::mem::take(&mut disk.records);
        let limits = Limits { segment_bytes: 2_000, ..Limits::new(4 << 20) };
        let mut node = Self {
            agent,
            queue: Queue::open(disk, limits, &STREAMS, boot, now.at),
            uplink: Uplink::new(now.at, None),
            boot,
            started_ms: ms,
            saves: VecDeque::new(),
            puts: Vec::new(),
            held: BTreeMap::new(),
            answers: BTreeMap::new(),
            next_ticket: 0,
            records,
        };
        node.perform(&now, outputs, seen);
        node
    }

    /// The process ends; saves under way are on disk or not.
    pub(crate) fn killed(mut self, saves: usize) -> Disk {
        for (record, bytes) in self.saves.drain(..).take(saves) {
            self.records.insert(record.to_string(), bytes);
        }
        let mut disk = self.queue.into_storage();
        disk.records = self.records;
        disk
    }

    fn now(&self, ms: u64, jump_ms: i64) -> Now {
        now_at(ms, self.started_ms, jump_ms)
    }

    fn handle(&mut self, now: &Now, input: Input, seen: &mut Watched) {
        let is_timed = matches!(&input, Input::Saved { record: Record::Timed, .. });
        if is_timed {
            // What is due by itself at this moment comes first, so that what follows was commanded.
            let due = self.agent.handle(now, Input::Timer);
            self.perform(now, due, seen);
        }
        let outputs = self.agent.handle(now, input);
        if is_timed {
            seen.begun.extend(begun(self.records.get(&Record::Timed.to_string())));
            let samples = outputs.iter().filter(|o| matches!(o, Output::Sample(_))).count();
            seen.done += u64::try_from(samples / GROUPS).expect("few");
        }
        self.perform(now, outputs, seen);
    }

    fn perform(&mut self, now: &Now, outputs: Vec<Output>, seen: &mut Watched) {
        for output in outputs {
            match output {
                Output::Save { record, bytes } => self.saves.push_back((record, bytes)),
                Output::Read(record) => {
                    let bytes = self.records.get(&record.to_string()).cloned();
                    self.handle(now, Input::Read { record, bytes }, seen);
                }
                Output::Hold(spec) => self.hold(now, *spec, seen),
                Output::LetGo(group) => {
                    if self.agent.desired().is_some_and(|desired| wants(desired, &group)) {
                        seen.needless += 1;
                    }
                    self.held.remove(&group);
                }
                Output::Load(function) => {
                    let loaded = Input::Loaded { manifest: function.manifest, result: Ok(()) };
                    self.handle(now, loaded, seen);
                }
                Output::Sample(Group::Queue) => {
                    let body = ReportBody::Queue(QueueReport {
                        invocations_waiting: 0,
                        transfers_waiting: 0,
                        state_bytes: 0,
                        frames_dropped: 0,
                        reports_dropped: 0,
                    });
                    self.handle(now, Input::Sampled(body), seen);
                }
                Output::Report(report) => {
                    let frame = encode(&*report).expect("a report");
                    let (seq, at) = (report.header.seq, report.header.at);
                    let sent = Sent { seq, group: Group::Queue, at, frame: frame.clone() };
                    self.puts.push(Put::Report(frame));
                    let surplus = self.uplink.sent(now.at, sent);
                    self.keep(now, surplus);
                }
                Output::Event(event) => {
                    let (seq, at) = (event.header.seq, event.header.at);
                    if let EventKind::Timed { id, .. } = &event.kind {
                        seen.told.entry(*id).or_default().insert((self.boot, seq));
                    }
                    let payload = encode(&*event).expect("an event");
                    self.puts.push(Put::Event(payload.clone()));
                    let new = New { stream: EVENTS, series: 0, at, payload };
                    assert_eq!(self.queue.push(now.at, new), Some(seq), "ids are numbers");
                }
                Output::AnswerDesired { ticket, .. }
                | Output::AnswerCommand { ticket, .. }
                | Output::AnswerEvents { ticket, .. } => {
                    self.answers.insert(ticket.0, output);
                }
                _ => {}
            }
        }
    }

    fn hold(&mut self, now: &Now, spec: TaskSpec, seen: &mut Watched) {
        let group = GroupId { workflow: spec.workflow.clone(), task: spec.task.clone() };
        let before = self.held.insert(group.clone(), spec.clone());
        if before.as_ref() == Some(&spec) {
            seen.needless += 1;
        }
        let took_over = before.is_none().then_some(OwnerEpoch(1));
        let status = GroupStatus {
            ownership: Ownership::Owner,
            owner_epoch: OwnerEpoch(1),
            state_bytes: 0,
            objects: 0,
            replica_current: true,
        };
        let result = Ok(RoleChange { took_over, ..RoleChange::default() });
        self.handle(now, Input::RoleTaken { group, result, status }, seen);
    }

    fn keep(&mut self, now: &Now, sent: impl IntoIterator<Item = Sent>) {
        for sent in sent {
            let (series, at, payload) = (series(sent.group), sent.at, sent.frame);
            self.queue.push(now.at, New { stream: REPORTS, series, at, payload });
        }
    }

    /// A tenth of a second passes; `writes` says whether the disk is done with a save.
    pub(crate) fn step(
        &mut self,
        ms: u64,
        jump_ms: i64,
        writes: bool,
        seen: &mut Watched,
    ) -> Vec<Put> {
        let now = self.now(ms, jump_ms);
        if writes && let Some((record, bytes)) = self.saves.pop_front() {
            self.records.insert(record.to_string(), bytes);
            self.handle(&now, Input::Saved { record, result: Ok(()) }, seen);
        }
        self.handle(&now, Input::Timer, seen);
        let overdue = self.uplink.overdue(now.at);
        self.keep(&now, overdue);
        self.uplink.look(now.at, Outlook::Unknown);
        self.queue.tick(now.at, &Numbers);
        let durable = self.queue.durable(EVENTS);
        seen.durable.extend((1..=durable).map(|seq| (self.boot, seq)));
        std::mem::take(&mut self.puts)
    }

    /// Something happens on the node.
    pub(crate) fn happens(&mut self, ms: u64, jump_ms: i64, seen: &mut Watched) {
        let now = self.now(ms, jump_ms);
        let (name, change, reason) =
            ("cpu".to_owned(), BackEndChange::Demoted, format!("at {ms} ms"));
        self.handle(&now, Input::BackEnd { name, change, reason }, seen);
    }

    /// What it asks the controller now, if it asks.
    pub(crate) fn question(&mut self, ms: u64) -> Option<Backlog> {
        let now = self.now(ms, 0).at;
        if now < self.uplink.ask_at() {
            return None;
        }
        let is_heard = self.uplink.line() == protocol::report::Line::Heard;
        let batch = if is_heard {
            self.queue.batch_older(now, 4_000, Duration::from_secs(5))
        } else {
            None
        };
        Some(Backlog { node: me(), boot: BootId(self.boot), late: batch.and_then(late) })
    }

    /// The answer, or none.
    pub(crate) fn receipted(&mut self, ms: u64, asked: &Backlog, receipt: Option<&Receipt>) {
        let now = self.now(ms, 0);
        let Some(receipt) = receipt else {
            return self.uplink.unanswered(now.at, Outlook::Unknown);
        };
        let (missed, _) = self.uplink.receipt(now.at, receipt, asked.late.is_some());
        self.keep(&now, missed);
        self.queue.acknowledge(self.boot, EVENTS, receipt.events_through);
        if let (Some(late), Some(through)) = (&asked.late, receipt.late_through) {
            let stream = if late.stream == LateStream::Events { EVENTS } else { REPORTS };
            self.queue.acknowledge(late.boot.0, stream, through);
        }
    }

    fn ask(
        &mut self,
        now: &Now,
        input: impl Fn(Ticket) -> Input,
        seen: &mut Watched,
    ) -> Option<Output> {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.handle(now, input(Ticket(ticket)), seen);
        // What has to be durable first is made so while the asker waits.
        for _ in 0..8 {
            if let Some(answer) = self.answers.remove(&ticket) {
                return Some(answer);
            }
            let (record, bytes) = self.saves.pop_front()?;
            self.records.insert(record.to_string(), bytes);
            self.handle(now, Input::Saved { record, result: Ok(()) }, seen);
        }
        None
    }

    /// The controller tells or asks.
    pub(crate) fn told(
        &mut self,
        ms: u64,
        jump_ms: i64,
        desired: Option<&Desired>,
        seen: &mut Watched,
    ) -> Option<DesiredReply> {
        let now = self.now(ms, jump_ms);
        let answer = self.ask(
            &now,
            |ticket| match desired {
                Some(desired) => Input::Desired { desired: Box::new(desired.clone()), ticket },
                None => Input::StatusAsked(ticket),
            },
            seen,
        );
        match answer {
            Some(Output::AnswerDesired { reply, .. }) => Some(*reply),
            _ => None,
        }
    }

    pub(crate) fn commanded(
        &mut self,
        ms: u64,
        jump_ms: i64,
        command: &Command,
        seen: &mut Watched,
    ) -> Option<CommandReply> {
        let now = self.now(ms, jump_ms);
        let answer =
            self.ask(&now, |ticket| Input::Command { command: command.clone(), ticket }, seen);
        match answer {
            Some(Output::AnswerCommand { reply, .. }) => Some(reply),
            _ => None,
        }
    }

    pub(crate) fn replays(
        &mut self,
        ms: u64,
        from_seq: u64,
        seen: &mut Watched,
    ) -> Option<EventPage> {
        let now = self.now(ms, 0);
        let query = EventQuery { from_seq };
        match self.ask(&now, |ticket| Input::EventsAsked { query, ticket }, seen) {
            Some(Output::AnswerEvents { page, .. }) => Some(page),
            _ => None,
        }
    }

    pub(crate) fn desired(&self) -> Option<&Desired> {
        self.agent.desired()
    }

    pub(crate) fn held(&self) -> Vec<TaskSpec> {
        self.held.values().cloned().collect()
    }

    pub(crate) fn waits(&self) -> u64 {
        self.queue.status().records
    }
}

/// The commands that a timetable on disk calls begun.
fn begun(timetable: Option<&Vec<u8>>) -> Vec<(u64, u64)> {
    let Some(bytes) = timetable else { return Vec::new() };
    let table: serde_json::Value = serde_json::from_slice(bytes).expect("a timetable");
    let entries = table["entries"].as_array().expect("entries");
    let begun = entries.iter().filter(|entry| entry["phase"] == "Begun");
    let number = |value: &serde_json::Value| value.as_u64().expect("a number");
    begun.map(|entry| (number(&entry["epoch"]), number(&entry["id"]))).collect()
}

fn wants(desired: &Desired, group: &GroupId) -> bool {
    desired.tasks.iter().any(|task| (&task.workflow, &task.task) == (&group.workflow, &group.task))
}
