//! The agent's life as a machine: inputs and the time go in, what to do comes out. Performs no I/O and reads no clock.
//!
//! It holds the desired state behind its fence of epoch and generation, the part that each task plays here, the runs
//! that this node drives, when to report and to measure, and what was said. The shell calls [`Agent::handle`] with
//! each input, does the outputs in order, and calls again with [`Input::Timer`] at [`Agent::deadline`].

mod boards;
mod commands;
mod drive;
mod fence;
mod log;
mod schedule;
mod tasks;
mod timed;

use std::collections::VecDeque;
use std::time::Duration;

use protocol::command::{Act, Command, CommandReply, CommandVerdict, Verb};
use protocol::desired::{CalleeSpec, Desired, DesiredReply, Phase, TaskStatus, Verdict};
use protocol::event::{EventKind, NodeFacts, TEXT_BYTES_MAX};
use protocol::report::{
    ComputeReport, LINKS_MAX, LinkReport, LinkSample, QueueReport, ReportBody, SafeMode,
};
use types::{BootId, Capacity, EnergySource, Instant, MiB, MilliCpu, NodeId, NodeKind};

use self::boards::AtBoards;
use self::commands::Answered;
use self::drive::Driver;
use self::fence::{Fence, Judgement};
use self::log::Log;
use self::schedule::{GROUPS, Rounds, Schedule};
use self::tasks::{Effects, Tasks};
use self::timed::{Judged, Timetable};
use crate::event::{Input, Now, Output, Record, Ticket};
use crate::life::book::Asked;

/// Orders that wait while one is made durable: a controller sends the next only after the answer.
const ORDERS_WAITING_MAX: usize = 4;
/// Pause before a command that has its time is tried again after it could not be made durable.
const TIMED_RETRY: Duration = Duration::from_secs(1);

/// What the agent is told about its node.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Its name.
    pub node: NodeId,
    /// This start.
    pub boot: BootId,
    /// Its role.
    pub kind: NodeKind,
    /// Its processor.
    pub arch: types::Arch,
    /// What it offers to functions.
    pub capacity: Capacity,
    /// Where its energy comes from.
    pub energy: EnergySource,
    /// Between two reports of a group.
    pub report_interval: Duration,
    /// Whose links are measured.
    pub peers: Vec<NodeId>,
    /// Between two measurements of a link.
    pub ping_interval: Duration,
    /// In safe mode: why, and for how long. It offers nothing to functions then, and does nothing of what is desired.
    pub safe_mode: Option<SafeMode>,
}

/// What an earlier start has left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    /// The desired state that was obeyed last.
    pub desired: Option<Desired>,
    /// The highest epoch that a command came with.
    pub fence: Option<Vec<u8>>,
    /// The commands that have their time.
    pub timed: Option<Vec<u8>>,
}

/// The machine.
#[derive(Debug)]
pub struct Agent {
    setup: Setup,
    desired: Option<Desired>,
    /// Where functions are that those of this node may call, as the shell knows it.
    callees: Vec<CalleeSpec>,
    fence: Fence,
    /// What is being made durable; nothing of it is obeyed before.
    saving: Option<Order>,
    waiting: VecDeque<Order>,
    tasks: Tasks,
    driver: Driver,
    answered: Answered,
    at_boards: AtBoards,
    timetable: Timetable,
    /// Not before, after it could not be made durable.
    timed_at: Instant,
    schedule: Schedule,
    links: Vec<LinkSample>,
    log: Log,
    outputs: Vec<Output>,
}

/// Something that must be durable before it is obeyed.
#[derive(Debug)]
enum Order {
    Desired(Box<Desired>, Ticket),
    Command(Command, Ticket),
    Timed(Box<Step>),
}

/// A change of the timetable.
#[derive(Debug)]
struct Step {
    next: Timetable,
    told: Vec<EventKind>,
    then: Then,
}

/// What follows once a timetable is durable.
#[derive(Debug)]
enum Then {
    /// A command is answered.
    Answer(Ticket, u64, CommandVerdict),
    /// These are done, and then marked as done.
    Act(Vec<Act>),
    /// Nothing.
    Rest,
}

impl Agent {
    /// Starts where an earlier start has left off, link or no link.
    pub fn start(setup: Setup, remembered: Remembered, now: &Now) -> (Self, Vec<Output>) {
        let schedule = Schedule {
            reports: Rounds::together(now.at, setup.report_interval, &GROUPS),
            pings: Rounds::spread(now.at, setup.ping_interval, &setup.peers),
        };
        let (timetable, interrupted) = Timetable::remembered(remembered.timed.as_deref());
        let mut agent = Self {
            fence: Fence::remembered(remembered.desired.as_ref(), remembered.fence.as_deref()),
            desired: remembered.desired,
            callees: Vec::new(),
            saving: None,
            waiting: VecDeque::new(),
            tasks: Tasks::default(),
            driver: Driver::default(),
            answered: Answered::default(),
            at_boards: AtBoards::default(),
            timetable,
            timed_at: now.at,
            schedule,
            links: Vec::new(),
            log: Log::new(setup.node.clone(), setup.boot),
            outputs: Vec::new(),
            setup,
        };
        let facts = agent.facts();
        agent.tell(now, EventKind::Started(facts));
        if let Some(SafeMode { failed, left_s: for_s }) = agent.setup.safe_mode {
            agent.tell(now, EventKind::SafeMode { failed, for_s });
        }
        if !interrupted.is_empty() {
            let next = agent.timetable.clone();
            agent.change(now, Step { next, told: interrupted, then: Then::Rest });
        }
        agent.obey(now);
        agent.tick(now);
        let outputs = std::mem::take(&mut agent.outputs);
        (agent, outputs)
    }

    /// Applies `input` at `now` and says what to do.
    pub fn handle(&mut self, now: &Now, input: Input) -> Vec<Output> {
        let mut effects = Effects::default();
        match input {
            Input::Timer => {}
            Input::Desired { desired, ticket } => self.order(now, Order::Desired(desired, ticket)),
            Input::StatusAsked(ticket) => self.reply(ticket, Verdict::Reported),
            Input::Command { command, ticket } => self.command(now, command, ticket),
            Input::EventsAsked { query, ticket } => {
                let page = self.log.page(query.from_seq);
                self.outputs.push(Output::AnswerEvents { ticket, page });
            }
            Input::Saved { record, result } => self.saved(now, record, result, &mut effects),
            Input::Read { record: Record::Journal(workflow), bytes } => {
                self.driver.opened(now, &workflow, bytes.as_deref(), &mut effects);
            }
            Input::Read { .. } => {}
            Input::StageAnswered { call, answer } => {
                self.driver.answered(now, &call, answer, &mut effects);
            }
            Input::Sampled(body) => self.report(now, body),
            Input::Pinged(sample) => {
                // Latest wins: a full report drops the oldest sample.
                if self.links.len() == LINKS_MAX {
                    self.links.remove(0);
                }
                self.links.push(sample);
            }
            Input::BackEnd { name, change, reason } => {
                let reason = cut(reason);
                self.tell(now, EventKind::BackEnd { name, change, reason });
            }
            Input::Judged { ticket, id, verdict } => self.judged(ticket, id, &verdict),
            Input::Happened(kind) => self.tell(now, kind),
            Input::Stopping => self.driver.stop(),
            other => self.task_input(now, other, &mut effects),
        }
        self.apply(now, effects);
        self.tick(now);
        std::mem::take(&mut self.outputs)
    }

    /// When to call [`Agent::handle`] with [`Input::Timer`] at the latest.
    pub fn deadline(&self, now: &Now) -> Option<Instant> {
        let serves = |workflow: &_, task: &_| self.tasks.serves(&group(workflow, task));
        let timed = self.timetable.deadline(now).filter(|_| self.saving.is_none());
        let timed = timed.map(|at| at.max(self.timed_at));
        let (schedule, tasks) = (self.schedule.deadline(), self.tasks.deadline(now));
        let due = [schedule, tasks, self.driver.deadline(serves), timed];
        due.into_iter().flatten().min()
    }

    /// What this node is.
    pub fn facts(&self) -> NodeFacts {
        NodeFacts {
            kind: self.setup.kind,
            arch: self.setup.arch,
            capacity: self.setup.capacity,
            energy: self.setup.energy.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: self.fence.epoch,
            generation: self.fence.generation,
        }
    }

    /// The tasks that are desired, and those of them that run or wait for their grant: `workflow.task`.
    pub fn standing(&self) -> (Vec<String>, Vec<String>) {
        let desired = self.desired.iter().flat_map(|desired| &desired.tasks);
        let desired = desired.map(|task| format!("{}.{}", task.workflow, task.task)).collect();
        let runs = |status: &TaskStatus| matches!(status.phase, Phase::Active | Phase::Ready);
        let running = self.tasks.statuses().into_iter().filter(runs);
        (desired, running.map(|task| format!("{}.{}", task.workflow, task.task)).collect())
    }

    /// What this node is to do.
    pub fn desired(&self) -> Option<&Desired> {
        self.desired.as_ref()
    }

    fn task_input(&mut self, now: &Now, input: Input, effects: &mut Effects) {
        match input {
            Input::RoleTaken { group, result, status } => {
                self.tasks.role_taken(now, &group, result, status, effects);
            }
            Input::GroupChanged { event, status } => {
                self.tasks.group_changed(event, status, effects);
            }
            Input::Loaded { manifest, result } => self.tasks.loaded(manifest, result, effects),
            Input::Replicated { group, to, result, status } => {
                self.tasks.replicated(now, (&group, to), result, status);
            }
            Input::HandedOver { group, result, status } => {
                self.tasks.handed_over(now, &group, result, status, effects);
            }
            Input::Called { group, run, status } => {
                self.tasks.called(&group, run, status, effects);
            }
            _ => {}
        }
    }

    fn tick(&mut self, now: &Now) {
        let mut effects = Effects::default();
        self.tasks.tick(now, &mut effects);
        let tasks = &self.tasks;
        let serves = |workflow: &_, task: &_| tasks.serves(&group(workflow, task));
        self.driver.tick(now, serves, &mut effects);
        if self.saving.is_none()
            && self.timed_at <= now.at
            && let Some(due) = self.timetable.due(now.sky, self.fence.epoch)
        {
            let timed::Due { next, acts, told } = due;
            self.change(now, Step { next, told, then: Then::Act(acts) });
        }
        for group in self.schedule.reports.due(now.at) {
            effects.outputs.push(Output::Sample(group));
        }
        for peer in self.schedule.pings.due(now.at) {
            effects.outputs.push(Output::Ping(peer));
        }
        self.apply(now, effects);
    }

    fn apply(&mut self, now: &Now, effects: Effects) {
        for kind in effects.events {
            self.tell(now, kind);
        }
        self.outputs.extend(effects.outputs);
    }

    fn tell(&mut self, now: &Now, kind: EventKind) {
        let event = self.log.event(now, kind);
        self.outputs.push(Output::Event(Box::new(event)));
    }

    /// Completes what only the agent knows, numbers the report and publishes it.
    fn report(&mut self, now: &Now, body: ReportBody) {
        let body = match body {
            ReportBody::Compute(compute) => ReportBody::Compute(ComputeReport {
                capacity: self.setup.capacity,
                free: minus(self.setup.capacity, self.tasks.promised()),
                ..compute
            }),
            ReportBody::Link(_) => {
                ReportBody::Link(LinkReport { samples: std::mem::take(&mut self.links) })
            }
            ReportBody::Queue(queue) => {
                let waiting = u32::try_from(self.tasks.waiting()).unwrap_or(u32::MAX);
                ReportBody::Queue(QueueReport { transfers_waiting: waiting, ..queue })
            }
            other => other,
        };
        let report = self.log.report(now, body);
        self.outputs.push(Output::Report(Box::new(report)));
    }

    fn order(&mut self, now: &Now, order: Order) {
        if self.saving.is_none() {
            return self.judge(now, order);
        }
        if self.waiting.len() < ORDERS_WAITING_MAX {
            return self.waiting.push_back(order);
        }
        let reason = "too many orders at once".to_owned();
        match order {
            Order::Desired(_, ticket) => self.reply(ticket, Verdict::Denied { reason }),
            Order::Command(command, ticket) => self.not_now(ticket, command.id, reason),
            Order::Timed(step) => self.unchanged(now, *step, reason),
        }
    }

    /// Answers an order at once, or begins to make it durable.
    fn judge(&mut self, now: &Now, order: Order) {
        match order {
            Order::Desired(desired, ticket) => {
                match self.fence.judge(&desired, self.desired.as_ref(), &self.setup) {
                    Judgement::Answer(verdict) => self.reply(ticket, verdict),
                    Judgement::Obey(bytes) => {
                        self.saving = Some(Order::Desired(desired, ticket));
                        self.outputs.push(Output::Save { record: Record::Desired, bytes });
                    }
                }
            }
            Order::Command(command, ticket) if self.fence.epoch < command.epoch => {
                let bytes = Fence::bytes(command.epoch);
                self.saving = Some(Order::Command(command, ticket));
                self.outputs.push(Output::Save { record: Record::Fence, bytes });
            }
            Order::Command(command, ticket) => self.execute(now, &command, ticket),
            Order::Timed(step) => self.change(now, *step),
        }
    }

    fn saved(
        &mut self,
        now: &Now,
        record: Record,
        result: Result<(), String>,
        effects: &mut Effects,
    ) {
        if let Record::Journal(workflow) = &record {
            return self.driver.saved(now, workflow, result, effects);
        }
        let Some(order) = self.saving.take() else { return };
        match (order, result) {
            (Order::Desired(desired, ticket), Ok(())) => self.accept(now, *desired, ticket),
            (Order::Command(command, ticket), Ok(())) => {
                self.fence.raise(command.epoch);
                self.execute(now, &command, ticket);
            }
            (Order::Timed(step), Ok(())) => self.changed(now, *step),
            (Order::Timed(step), Err(reason)) => self.unchanged(now, *step, reason),
            (Order::Desired(_, ticket), Err(reason)) => {
                let reason = cut(format!("cannot be made durable: {reason}"));
                self.reply(ticket, Verdict::Denied { reason });
            }
            (Order::Command(command, ticket), Err(reason)) => {
                let reason = cut(format!("cannot be made durable: {reason}"));
                self.not_now(ticket, command.id, reason);
            }
        }
        while self.saving.is_none() {
            let Some(next) = self.waiting.pop_front() else { return };
            self.judge(now, next);
        }
    }

    fn accept(&mut self, now: &Now, desired: Desired, ticket: Ticket) {
        let same = self.desired.as_ref().is_some_and(|old| digest(old) == digest(&desired));
        self.fence.raise_to(&desired);
        self.desired = Some(desired);
        if same {
            return self.reply(ticket, Verdict::Adopted);
        }
        self.obey(now);
        self.reply(ticket, Verdict::Accepted);
    }

    /// Makes tasks and drives what is desired; what is that already is left alone.
    fn obey(&mut self, now: &Now) {
        if self.setup.safe_mode.is_some() {
            return;
        }
        let Some(desired) = self.desired.take() else { return };
        let mut effects = Effects::default();
        if self.callees != desired.callees {
            self.callees.clone_from(&desired.callees);
            effects.outputs.push(Output::Callees(desired.callees.clone()));
        }
        self.tasks.apply(now, &desired.tasks, desired.generation, &mut effects);
        self.driver.apply(now, &desired.drives, &mut effects);
        self.desired = Some(desired);
        self.apply(now, effects);
    }

    fn reply(&mut self, ticket: Ticket, verdict: Verdict) {
        let reply = DesiredReply {
            verdict,
            facts: self.facts(),
            digest: self.desired.as_ref().map_or([0; 32], digest),
            tasks: self.tasks.statuses(),
        };
        self.outputs.push(Output::AnswerDesired { ticket, reply: Box::new(reply) });
    }

    fn command(&mut self, now: &Now, command: Command, ticket: Ticket) {
        // Commands that have their time are remembered on disk, by epoch and id.
        let is_timed = matches!(command.verb, Verb::At { .. } | Verb::Cancel { .. });
        let known = self.answered.verdict_on(command.id).filter(|_| !is_timed);
        if let Some(verdict) = known {
            let reply = CommandReply { id: command.id, verdict };
            self.outputs.push(Output::AnswerCommand { ticket, reply });
        } else if let Some(verdict) = self.fence.refuses(now, &command, &self.setup.node) {
            self.answer(ticket, &command, verdict);
        } else {
            self.order(now, Order::Command(command, ticket));
        }
    }

    fn execute(&mut self, now: &Now, command: &Command, ticket: Ticket) {
        if let Some(verdict) = self.fence.refuses(now, command, &self.setup.node) {
            return self.answer(ticket, command, verdict);
        }
        let verdict = match &command.verb {
            Verb::Nop => CommandVerdict::Done,
            Verb::ReportNow => {
                self.outputs.extend(GROUPS.map(Output::Sample));
                CommandVerdict::Done
            }
            Verb::At { at, until, act } => {
                let (epoch, id) = (command.epoch, command.id);
                let asked = timed::Asked { epoch, id, at: *at, until: *until, act: *act };
                match self.timetable.add(now.sky, &asked) {
                    Judged::Answer(verdict) => verdict,
                    Judged::Change(next) => {
                        let then = Then::Answer(ticket, id, CommandVerdict::Scheduled);
                        return self.change(now, Step { next, told: Vec::new(), then });
                    }
                }
            }
            Verb::Cancel { epoch, id } => match self.timetable.cancel(*epoch, *id) {
                Judged::Answer(verdict) => verdict,
                Judged::Change(next) => {
                    let outcome = protocol::event::TimedOutcome::Cancelled;
                    let told = vec![EventKind::Timed { epoch: *epoch, id: *id, outcome }];
                    let then = Then::Answer(ticket, command.id, CommandVerdict::Done);
                    return self.change(now, Step { next, told, then });
                }
            },
            Verb::Update { release, within_s, is_rehearsal } => {
                let (release, within_s) = (release.clone(), *within_s);
                let command = (command.epoch.0, command.id);
                let is_rehearsal = *is_rehearsal;
                let asked = Box::new(Asked { command, release, within_s, is_rehearsal });
                return self.outputs.push(Output::Update { ticket, asked });
            }
            Verb::Resume => {
                return self.outputs.push(Output::Resume { ticket, id: command.id });
            }
            Verb::Board { board, order } => {
                match self.order_board((command.id, ticket), board, *order) {
                    Some(verdict) => verdict,
                    None => return,
                }
            }
            Verb::SetExecMode { .. }
            | Verb::RunProfileJob { .. }
            | Verb::FlTrain { .. }
            | Verb::SetPolicy { .. } => CommandVerdict::Unsupported,
        };
        self.answer(ticket, command, verdict);
    }

    /// Begins to make another timetable durable.
    fn change(&mut self, now: &Now, step: Step) {
        match step.next.to_bytes() {
            Ok(bytes) => {
                self.saving = Some(Order::Timed(Box::new(step)));
                self.outputs.push(Output::Save { record: Record::Timed, bytes });
            }
            Err(reason) => self.unchanged(now, step, reason),
        }
    }

    /// The timetable is durable: now it counts.
    fn changed(&mut self, now: &Now, step: Step) {
        self.timetable = step.next;
        for kind in step.told {
            self.tell(now, kind);
        }
        match step.then {
            Then::Answer(ticket, id, verdict) => {
                let reply = CommandReply { id, verdict };
                self.outputs.push(Output::AnswerCommand { ticket, reply });
            }
            Then::Act(acts) if !acts.is_empty() => {
                for act in acts {
                    match act {
                        Act::Nop => {}
                        Act::ReportNow => self.outputs.extend(GROUPS.map(Output::Sample)),
                    }
                }
                let (next, told) = self.timetable.done();
                self.change(now, Step { next, told, then: Then::Rest });
            }
            Then::Act(_) | Then::Rest => {}
        }
    }

    /// The timetable could not be made durable: nothing of it is done, but what was done stays done.
    fn unchanged(&mut self, now: &Now, step: Step, reason: String) {
        match step.then {
            Then::Answer(ticket, id, _) => {
                self.not_now(ticket, id, cut(format!("cannot be made durable: {reason}")));
            }
            Then::Act(_) => self.timed_at = now.at.plus(TIMED_RETRY),
            Then::Rest => {
                self.timetable = step.next;
                for kind in step.told {
                    self.tell(now, kind);
                }
            }
        }
    }

    /// Refuses a command that may be tried again under the same id.
    fn not_now(&mut self, ticket: Ticket, id: u64, reason: String) {
        let verdict = CommandVerdict::Denied { reason };
        self.outputs.push(Output::AnswerCommand { ticket, reply: CommandReply { id, verdict } });
    }

    fn answer(&mut self, ticket: Ticket, command: &Command, verdict: CommandVerdict) {
        let id = command.id;
        if !matches!(command.verb, Verb::At { .. } | Verb::Cancel { .. }) {
            self.answered.remember(id, &verdict);
        }
        self.outputs.push(Output::AnswerCommand { ticket, reply: CommandReply { id, verdict } });
    }
}

/// BLAKE3 of what a desired state asks for, without who asked when.
pub fn digest(desired: &Desired) -> [u8; 32] {
    *blake3::hash(&desired.spec_bytes()).as_bytes()
}

fn group(workflow: &types::WorkflowId, task: &types::TaskId) -> crate::state::GroupId {
    crate::state::GroupId { workflow: workflow.clone(), task: task.clone() }
}

fn minus(all: Capacity, promised: Capacity) -> Capacity {
    Capacity {
        milli_cpu: MilliCpu(all.milli_cpu.0.saturating_sub(promised.milli_cpu.0)),
        memory_mib: MiB(all.memory_mib.0.saturating_sub(promised.memory_mib.0)),
    }
}

/// A text that fits into a message.
pub(crate) fn cut(mut text: String) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests;
