//! The controller: fleet, executor and book of what came late; epoch, wishes and late lines outlive it.

use std::collections::BTreeSet;
use std::time::Duration;

use controller::config::Config;
use controller::executor::{Executor, Order, Verdicts, Wanted};
use controller::fleet::{Change, Fleet, Lease};
use controller::late::{LateBook, Said, last_id};
use protocol::backlog::{Backlog, LateStream, Receipt};
use protocol::command::{Act, Command, CommandReply, CommandVerdict, Verb};
use protocol::desired::{DesiredReply, FunctionRef, Role, TaskSpec};
use protocol::event::{Event, EventPage};
use protocol::{decode, encode};
use types::{
    FunctionId, Generation, Instant, LeaderEpoch, MiB, MilliCpu, NodeId, OwnerEpoch, PlanVersion,
    TaskId, WorkflowId,
};

use crate::node_side::{Put, me, now_at};

const CONFIG: &str = r#"
    version = 1
    [controller]
    fleet = "demo"
    state_dir = "x"
    [bus]
    [sky]
    file = "sky.toml"
    [[node]]
    name = "sat-1"
    kind = "satellite"
    milli_cpu = 4000
    memory_mib = 4096
"#;

/// What outlives a controller.
#[derive(Clone, Default)]
pub(crate) struct Kept {
    epoch: u64,
    pub(crate) wanted: Wanted,
    late: LateBook,
    next_command: u64,
}

impl Kept {
    /// Of a controller that starts for the first time, and wants this.
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self { wanted, ..Self::default() }
    }
}

/// One process.
pub(crate) struct Controller {
    fleet: Fleet,
    executor: Executor,
    started_ms: u64,
    pub(crate) kept: Kept,
    /// Commands that are repeated until they are answered.
    pub(crate) commands: Vec<Command>,
    missing: Vec<u64>,
}

pub(crate) fn task(name: &str, memory_mib: u32) -> TaskSpec {
    let byte = u8::try_from(name.len()).expect("short");
    TaskSpec {
        workflow: WorkflowId::new("flood").expect("a name"),
        task: TaskId::new(name).expect("a name"),
        function: FunctionRef {
            name: FunctionId::new(name).expect("a name"),
            sha256: [byte; 32],
            bytes: 1000,
            manifest: [byte; 32],
        },
        role: Role::Owner { owner_epoch: OwnerEpoch(1), successor: None },
        replica: None,
        milli_cpu: MilliCpu(100),
        memory_mib: MiB(memory_mib),
        linear_memory_mib: MiB(32),
        deadline_ms: 2000,
        sources: Vec::new(),
    }
}

impl Controller {
    pub(crate) fn begin(mut kept: Kept, ms: u64) -> Self {
        kept.epoch += 1;
        let config: Config = toml::from_str(CONFIG).expect("a configuration");
        let nodes = config.node.iter().map(|node| node.name.clone());
        let mut executor = Executor::new(LeaderEpoch(kept.epoch), nodes);
        executor.want(&me(), kept.wanted.clone(), PlanVersion(1), now_at(ms, ms, 0).sky);
        let fleet = Fleet::new(config.controller.fleet, Duration::from_secs(3), &config.node);
        let commands = Vec::new();
        Self { fleet, executor, started_ms: ms, kept, commands, missing: Vec::new() }
    }

    fn now(&self, ms: u64) -> Instant {
        now_at(ms, self.started_ms, 0).at
    }

    pub(crate) fn want(&mut self, ms: u64, wanted: Wanted) {
        self.kept.wanted = wanted.clone();
        self.executor.want(&me(), wanted, PlanVersion(1), now_at(ms, ms, 0).sky);
    }

    /// Thinks of a command for a time from now.
    pub(crate) fn command(&mut self, ms: u64, in_s: f64, for_s: f64) {
        let sky = now_at(ms, ms, 0).sky;
        let id = self.kept.next_command;
        self.kept.next_command += 1;
        let at = sky.plus_s(in_s);
        self.commands.push(Command {
            id,
            seq: id,
            epoch: self.executor.epoch(),
            node: me(),
            deadline: sky.plus_s(3600.0),
            verb: Verb::At { at, until: at.plus_s(for_s), act: Act::ReportNow },
        });
    }

    pub(crate) fn hears(&mut self, ms: u64, put: &Put, heard: &mut BTreeSet<(u64, u64)>) {
        let now = self.now(ms);
        let changes = match put {
            Put::Report(frame) => self.fleet.report(now, "starbelt/demo/sat-1/tlm/queue", frame),
            Put::Event(frame) => {
                let event: Event = decode(frame).expect("an event");
                heard.insert((event.header.boot.0, event.header.seq));
                self.fleet.event(now, "starbelt/demo/sat-1/evt", frame)
            }
        };
        self.take(changes.expect("frames of the node"));
    }

    fn take(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Up(node) | Change::Restarted(node) => self.executor.came(&node),
                Change::Missing { from_seq, .. } => self.missing.push(from_seq),
                Change::Silent(_)
                | Change::Down { .. }
                | Change::Event(_)
                | Change::Past(_)
                | Change::Measured { .. } => {}
            }
        }
    }

    /// What it asks of the node now.
    pub(crate) fn due(&mut self, ms: u64) -> (Vec<Order>, Vec<u64>) {
        let now = self.now(ms);
        let changes = self.fleet.tick(now, |_| None);
        self.take(changes);
        let fleet = &self.fleet;
        let is_up = |node: &NodeId| fleet.node(node).is_some_and(|node| node.lease == Lease::Up);
        (self.executor.due(now, is_up), std::mem::take(&mut self.missing))
    }

    pub(crate) fn answered(
        &mut self,
        ms: u64,
        told: Option<Generation>,
        reply: Option<&DesiredReply>,
    ) {
        let now = self.now(ms);
        match reply {
            None => self.executor.unanswered(now, &me(), told),
            Some(reply) => {
                let verdicts = self.executor.answered(now, &me(), told, reply);
                assert!(!matches!(verdicts, Verdicts::Deposed(_)), "there is one controller");
            }
        }
    }

    pub(crate) fn replayed(
        &mut self,
        ms: u64,
        page: Option<&EventPage>,
        heard: &mut BTreeSet<(u64, u64)>,
    ) {
        let now = self.now(ms);
        let frame = page.map(|page| encode(page).expect("a page"));
        for event in page.iter().flat_map(|page| &page.events) {
            heard.insert((event.header.boot.0, event.header.seq));
        }
        let frame = frame.as_deref().ok_or("no answer");
        let changes = self.fleet.replayed(now, &me(), frame).expect("a page of the node");
        self.take(changes);
    }

    pub(crate) fn command_answered(&mut self, reply: &CommandReply) {
        if reply.verdict != CommandVerdict::Unsupported {
            self.commands.retain(|command| command.id != reply.id);
        }
    }

    /// Answers a question for a receipt, after what it brought is kept.
    pub(crate) fn receipt(
        &mut self,
        backlog: &Backlog,
        heard: &mut BTreeSet<(u64, u64)>,
        late: &mut u64,
    ) -> Option<Receipt> {
        let node = self.fleet.node(&me())?;
        let events = self.kept.late.through(&me(), backlog.boot, LateStream::Events);
        let (reports_through, reports_seen, events_through) = node.receipt(backlog.boot, events);
        let late_through = last_id(backlog);
        if let (Some(brought), Some(through)) = (&backlog.late, late_through) {
            let lines = self.kept.late.lines(&me(), brought);
            for line in &lines {
                *late += 1;
                if let Said::Event(event) = &line.said {
                    heard.insert((event.header.boot.0, event.header.seq));
                }
                assert!(!matches!(line.said, Said::Unreadable(_)), "{line:?}");
            }
            self.kept.late.kept(&me(), brought.boot, brought.stream, through);
            let changes = self.fleet.late(lines);
            self.take(changes);
        }
        let controller = NodeId::new("controller").expect("a name");
        Some(Receipt { controller, reports_through, reports_seen, events_through, late_through })
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.executor.is_settled(&me())
    }
}
