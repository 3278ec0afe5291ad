//! A node of a schedule: carries out what the machines say, the way the agent does.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use belt::commit::{Finish, SecondCopy, Settled, Single, Stages, Start, settle};
use belt::group::{Answer, CallRefusal, Covered, Group, Input, Kind, Output, Part, Record, With};
use belt::transfer::Receiver;
use belt::{Hash, StageId, Stamp};
use types::{OwnerEpoch, RunId, TaskId, WorkflowId};

use crate::audit::{Claim, output_of};
use crate::disk::{Contents, Disk, from_bytes};
use crate::plan::{
    Bundle, Content, Message, Mutation, Outcome, RoleSpec, Status, Timer, index, name,
};
use crate::send::{Purpose, Transfer};
use crate::world::{CONTROLLER, DRIVER, NODES, World};

const FREEZE_WAIT: u64 = 30;
const GRANT_AGAIN: u64 = 25;
const SETTLE_AGAIN: u64 = 15;

#[derive(Default)]
pub(crate) struct Node {
    pub(crate) up: bool,
    pub(crate) boot: u64,
    pub(crate) disk: Disk,
    pub(crate) memory: Memory,
}

/// What a crash takes.
pub(crate) struct Memory {
    pub(crate) group: Group,
    pub(crate) receiver: Receiver,
    pub(crate) open: BTreeMap<Hash, Rc<Bundle>>,
    pub(crate) transfers: BTreeMap<u64, Transfer>,
    stages: Stages,
    calls: BTreeMap<u64, Call>,
    pending: BTreeMap<u32, Pending>,
    granting: bool,
    pub(crate) catching_up: Option<CatchUp>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(Group::new(Record::default()))
    }
}

impl Memory {
    pub(crate) fn new(group: Group) -> Self {
        Self {
            group,
            receiver: Receiver::default(),
            open: BTreeMap::new(),
            transfers: BTreeMap::new(),
            stages: Stages::default(),
            calls: BTreeMap::new(),
            pending: BTreeMap::new(),
            granting: false,
            catching_up: None,
        }
    }
}

/// A new owner asks the others.
pub(crate) struct CatchUp {
    pub(crate) request: u64,
    pub(crate) rounds: u32,
    pub(crate) answered: BTreeSet<usize>,
    pub(crate) best: Option<(Stamp, Vec<Vec<u8>>)>,
}

struct Call {
    run: u32,
    attempt: u32,
    epoch: OwnerEpoch,
    read: Stamp,
}

/// A commit that waits for its second copies.
#[derive(Default)]
struct Pending {
    outputs: Option<SecondCopy>,
    state: Option<SecondCopy>,
}

/// What goes into the transaction of a record.
pub(crate) enum Payload {
    None,
    Call { run: u32 },
    Items(Vec<Vec<u8>>),
}

fn stage(run: u32) -> StageId {
    StageId {
        workflow: WorkflowId::new("w").expect("a letter"),
        run: RunId(u64::from(run)),
        task: TaskId::new("t").expect("a letter"),
    }
}

impl World {
    pub(crate) fn group(&mut self, node: usize) -> &mut Group {
        &mut self.nodes[node].memory.group
    }

    pub(crate) fn on_message(&mut self, node: usize, from: usize, message: Message) {
        match message {
            Message::Invoke { run, attempt } => self.on_invoke(node, run, attempt),
            Message::Offer { bundle, transfer, request } => {
                self.on_offer(node, &bundle, (transfer, request));
            }
            Message::Chunk { bundle, index, bytes, transfer, request } => {
                self.on_chunk(node, from, (&bundle, index, bytes), (transfer, request));
            }
            Message::Replied { transfer, request, reply } => {
                self.on_reply(node, transfer, request, Some(reply));
            }
            Message::SetRole { boot, generation, role } if boot == self.nodes[node].boot => {
                self.on_role(node, generation, role);
            }
            Message::SetRole { .. } => {}
            Message::Poll => {
                let seen = &self.nodes[node].disk.seen;
                let status = Status {
                    part: self.nodes[node].memory.group.record().part.clone(),
                    stamp: seen.record.stamp,
                    generation: seen.desired.0,
                    boot: self.nodes[node].boot,
                };
                self.send(node, CONTROLLER, Message::Status(status));
            }
            Message::Ask { request, epoch } => {
                if !self.show_fence(node, from, epoch) {
                    return;
                }
                let seen = &self.nodes[node].disk.seen;
                let (stamp, items) = (seen.record.stamp, seen.group_items());
                self.send(node, from, Message::Told { request, stamp, items });
            }
            Message::Told { request, stamp, items } => {
                self.on_told(node, from, request, (stamp, items));
            }
            Message::Status(_) | Message::Answered { .. } => {}
        }
    }

    pub(crate) fn on_timer(&mut self, node: usize, timer: Timer) {
        match timer {
            Timer::Executed { call } => self.on_executed(node, call),
            Timer::NoReply { transfer, request } => self.on_reply(node, transfer, request, None),
            Timer::HandOver => self.hand_over(node),
            Timer::FreezeOver => {
                if self.group(node).freezing().is_some() {
                    self.grant(node);
                }
            }
            Timer::Settle { run } => self.push_state(node, run),
            Timer::LateSync => self.nodes[node].disk.sync(),
            Timer::AskAgain { request } => self.ask_again(node, request),
        }
    }

    /// Carries out what must be durable and answers the rest; `None` if the node died on the way.
    pub(crate) fn carry_out(
        &mut self,
        node: usize,
        outputs: Vec<Output>,
        payload: &Payload,
    ) -> Option<Vec<Output>> {
        let mut rest = Vec::new();
        for output in outputs {
            if self.dies_here(node) {
                return None;
            }
            match output {
                Output::Persist { record, with } => self.persist(node, record, with, payload),
                Output::TookOver { epoch, from } => {
                    self.note(|| format!("n{node} owns under {epoch}, from {from:?}"));
                    self.audit.took_over(node, epoch.0, from.as_ref().map(index));
                }
                Output::Resumed { epoch } => {
                    self.note(|| format!("n{node} owns again under {epoch}"));
                    self.audit.resumed += 1;
                    self.audit.took_over(node, epoch.0, None);
                }
                other => {
                    if !matches!(other, Output::Take) {
                        self.note(|| format!("n{node} {other:?}"));
                    }
                    rest.push(other);
                }
            }
        }
        Some(rest)
    }

    fn persist(&mut self, node: usize, record: Record, with: With, payload: &Payload) {
        let mutation = self.mutation;
        let disk = &mut self.nodes[node].disk;
        disk.seen.record = record;
        match (with, payload) {
            (With::Call, Payload::Call { run }) => {
                disk.seen.log.push(*run);
                disk.seen.commits.push(*run);
                disk.seen.outputs.insert(*run, output_of(*run));
            }
            (With::Bundle { keep_old }, Payload::Items(items)) => {
                let new = from_bytes(&items[0]);
                if keep_old && mutation != Mutation::NothingKept && disk.seen.log != new {
                    let old = std::mem::take(&mut disk.seen.log);
                    disk.seen.kept.push(old);
                }
                disk.seen.log = new;
                disk.seen.commits = from_bytes(&items[1]);
            }
            _ => {}
        }
        let skipped = match with {
            With::Nothing => mutation == Mutation::NoSyncOfRecords,
            With::Call => mutation == Mutation::NoSyncOfCalls,
            With::Bundle { .. } => mutation == Mutation::NoSyncOfBundles,
        };
        if mutation == Mutation::AnswerBeforePersist {
            let after = self.rng.between(1, 25);
            self.timer(node, after, Timer::LateSync);
        } else if !skipped {
            self.nodes[node].disk.sync();
        }
    }

    fn on_role(&mut self, node: usize, generation: u64, role: RoleSpec) {
        if generation <= self.nodes[node].disk.seen.desired.0 {
            return;
        }
        self.note(|| format!("n{node} is told {generation}: {role:?}"));
        self.nodes[node].disk.seen.desired = (generation, role);
        self.nodes[node].disk.sync();
        self.apply_desired(node);
    }

    pub(crate) fn apply_desired(&mut self, node: usize) {
        let (_, role) = self.nodes[node].disk.seen.desired.clone();
        let input = match &role {
            RoleSpec::None => Input::Drop,
            RoleSpec::Own { epoch, .. } => Input::Own { epoch: OwnerEpoch(*epoch) },
            RoleSpec::StandBy { owner } => Input::StandBy { owner: name(*owner) },
        };
        let outputs = self.group(node).handle(input);
        if self.carry_out(node, outputs, &Payload::None).is_none() {
            return;
        }
        let named = match &role {
            RoleSpec::Own { successor: Some((to, _)), .. } => Some(name(*to)),
            _ => None,
        };
        if self.group(node).freezing().is_some_and(|to| Some(to) != named.as_ref()) {
            self.group(node).handle(Input::Thaw);
        }
        self.catch_up(node);
        if let RoleSpec::Own { successor: Some((to, at)), .. } = role {
            let wait = at.saturating_sub(self.now);
            self.timer(node, wait, Timer::HandOver);
            if self.group(node).owner_epoch().is_some() && self.group(node).is_checked() {
                self.start_copy(node, to, Purpose::Prepare);
            }
        }
    }

    fn answer(&mut self, node: usize, run: u32, outcome: Outcome) {
        self.send(node, DRIVER, Message::Answered { run, outcome });
    }

    fn refuse(&mut self, node: usize, run: u32, outputs: &[Output]) {
        let outcome = match outputs.first() {
            Some(Output::RefuseCall(CallRefusal::Moved { to, .. })) => Outcome::Moved(index(to)),
            _ => Outcome::Failed,
        };
        self.answer(node, run, outcome);
    }

    fn on_invoke(&mut self, node: usize, run: u32, attempt: u32) {
        if self.nodes[node].disk.seen.settled.contains(&run)
            && self.mutation != Mutation::NoStageTable
        {
            return self.answer(node, run, Outcome::Done);
        }
        if !self.group(node).is_checked() && self.nodes[node].memory.catching_up.is_some() {
            return self.answer(node, run, Outcome::Failed);
        }
        let outputs = self.group(node).handle(Input::Call);
        let Some(Output::Admit { epoch }) = outputs.first() else {
            return self.refuse(node, run, &outputs);
        };
        let epoch = *epoch;
        self.audit.admitted(node, epoch.0);
        if self.nodes[node].memory.stages.start(&stage(run), attempt, false) != Start::Run {
            self.call_ended(node);
            return self.answer(node, run, Outcome::Failed);
        }
        let read = self.group(node).record().stamp;
        let call = self.rng.next();
        self.nodes[node].memory.calls.insert(call, Call { run, attempt, epoch, read });
        let takes = self.rng.between(2, 15);
        self.timer(node, takes, Timer::Executed { call });
    }

    fn on_executed(&mut self, node: usize, call: u64) {
        let memory = &mut self.nodes[node].memory;
        let Call { run, attempt, epoch, read } = memory.calls.remove(&call).expect("it runs");
        memory.stages.end(&stage(run), attempt);
        let committed = self.nodes[node].disk.seen.commits.contains(&run)
            && self.mutation != Mutation::NoStageTable;
        if Stages::finish(committed) == Finish::Again {
            self.call_ended(node);
            return self.push(node, run);
        }
        if self.group(node).record().stamp != read {
            self.call_ended(node);
            return self.answer(node, run, Outcome::Failed);
        }
        let outputs = self.group(node).handle(Input::Commit { epoch });
        let Some(rest) = self.carry_out(node, outputs, &Payload::Call { run }) else { return };
        let is_committed = matches!(rest.first(), Some(Output::Committed { .. }));
        if !is_committed {
            self.refuse(node, run, &rest);
        }
        self.call_ended(node);
        if is_committed && self.nodes[node].up {
            self.push(node, run);
        }
    }

    fn call_ended(&mut self, node: usize) {
        if self.group(node).handle(Input::CallEnded).contains(&Output::Quiet) {
            self.grant(node);
        }
    }

    fn replica(&self, node: usize) -> Option<usize> {
        self.nodes[node].disk.seen.desired.1.replica().flatten()
    }

    /// Sends a commit's outputs and state to second nodes; it is acknowledged when both are settled.
    fn push(&mut self, node: usize, run: u32) {
        if self.nodes[node].memory.pending.contains_key(&run) {
            return;
        }
        self.nodes[node].memory.pending.insert(run, Pending::default());
        let next = usize::try_from(run).expect("small") * 7 % NODES;
        let target = if next == node { self.replica(node) } else { Some(next) };
        let held = self.nodes[node].disk.seen.outputs.get(&run).cloned();
        match (target, held) {
            (_, None) => self.outputs_settled(node, run, SecondCopy::NotNeeded),
            (None, Some(_)) => self.outputs_settled(node, run, SecondCopy::NonePlanned),
            (Some(to), Some(_)) if self.mutation == Mutation::NoSecondCopy => {
                self.outputs_settled(node, run, SecondCopy::On(name(to)));
            }
            (Some(to), Some(bytes)) => {
                let bundle = Bundle::new(Content::Output { run }, node, &[bytes]);
                self.start_transfer(node, to, bundle, Purpose::Outputs { run });
            }
        }
        self.push_state(node, run);
    }

    fn push_state(&mut self, node: usize, run: u32) {
        match self.replica(node) {
            Some(to) if to != node && self.mutation == Mutation::NoSecondCopy => {
                self.state_settled(node, run, SecondCopy::On(name(to)));
            }
            Some(to) if to != node => self.start_copy(node, to, Purpose::State { run }),
            _ => self.state_settled(node, run, SecondCopy::NonePlanned),
        }
    }

    pub(crate) fn outputs_settled(&mut self, node: usize, run: u32, copy: SecondCopy) {
        if let Some(pending) = self.nodes[node].memory.pending.get_mut(&run) {
            pending.outputs = Some(copy);
            self.settle(node, run);
        }
    }

    pub(crate) fn state_settled(&mut self, node: usize, run: u32, copy: SecondCopy) {
        if let Some(pending) = self.nodes[node].memory.pending.get_mut(&run) {
            pending.state = Some(copy);
            self.settle(node, run);
        }
    }

    /// A copy of the state met the fence of a newer owner.
    pub(crate) fn state_fenced(&mut self, node: usize, run: u32, by: usize, epoch: OwnerEpoch) {
        match self.group(node).covered(epoch) {
            Covered::By(to) => self.state_settled(node, run, SecondCopy::On(to)),
            Covered::NotYet => self.timer(node, SETTLE_AGAIN, Timer::Settle { run }),
            Covered::No => {
                self.state_settled(node, run, SecondCopy::Fenced { epoch, by: name(by) });
            }
        }
    }

    fn settle(&mut self, node: usize, run: u32) {
        let Some(Pending { outputs: Some(outputs), state: Some(state) }) =
            self.nodes[node].memory.pending.get(&run)
        else {
            return;
        };
        let settled = settle(&name(node), outputs, state);
        let claim = |copy: &SecondCopy| match copy {
            SecondCopy::NotNeeded => Claim::Nothing,
            SecondCopy::On(_) => Claim::TwoCopies,
            SecondCopy::NonePlanned
            | SecondCopy::Refused
            | SecondCopy::Unanswered
            | SecondCopy::Fenced { .. } => Claim::SingleCopy,
        };
        let (outputs, state) = (claim(outputs), claim(state));
        self.nodes[node].memory.pending.remove(&run);
        match settled {
            Settled::Acknowledge { single, .. } => {
                assert!(
                    single != Some(Single::NonePlanned)
                        || state != Claim::TwoCopies
                        || outputs != Claim::TwoCopies,
                    "a reason without need"
                );
                self.note(|| format!("n{node} acknowledges run {run}: {state:?} {outputs:?}"));
                self.audit.acknowledged(run, node, state, outputs);
                self.nodes[node].disk.seen.settled.push(run);
                self.answer(node, run, Outcome::Done);
            }
            Settled::Unanswered | Settled::Fenced { .. } => {
                self.answer(node, run, Outcome::Failed);
            }
        }
    }

    /// The moment of a planned hand-over, or another try of a grant that stands.
    fn hand_over(&mut self, node: usize) {
        let (to, epoch) = match &self.nodes[node].disk.seen {
            // A grant stands whatever the controller has said since.
            Contents { record: Record { part: Part::Granted { epoch, to, .. }, .. }, .. } => {
                (index(to), epoch.0)
            }
            Contents {
                desired: (_, RoleSpec::Own { epoch, successor: Some((to, at)), .. }),
                ..
            } if *at <= self.now => (*to, *epoch),
            _ => return,
        };
        if self.nodes[node].memory.granting {
            return;
        }
        let freeze = Input::Freeze { to: name(to), epoch: OwnerEpoch(epoch) };
        let outputs = self.group(node).handle(freeze);
        match outputs.first() {
            None => self.timer(node, FREEZE_WAIT, Timer::FreezeOver),
            Some(Output::Quiet) => self.grant(node),
            Some(Output::SendGrant { epoch, .. }) => self.send_grant(node, to, *epoch),
            Some(_) => {}
        }
    }

    fn grant(&mut self, node: usize) {
        let outputs = self.group(node).handle(Input::Grant);
        let Some(rest) = self.carry_out(node, outputs, &Payload::None) else { return };
        if let Some(Output::SendGrant { to, epoch }) = rest.first() {
            self.send_grant(node, index(to), *epoch);
        }
    }

    fn send_grant(&mut self, node: usize, to: usize, epoch: OwnerEpoch) {
        self.nodes[node].memory.granting = true;
        let seen = &self.nodes[node].disk.seen;
        let content = Content::Group { kind: Kind::Grant, epoch, stamp: seen.record.stamp };
        let bundle = Bundle::new(content, node, &seen.group_items());
        self.start_transfer(node, to, bundle, Purpose::Grant { epoch });
    }

    pub(crate) fn grant_answered(&mut self, node: usize, epoch: OwnerEpoch, answer: Answer) {
        self.nodes[node].memory.granting = false;
        let refused = self.mutation == Mutation::SilenceIsRefusal && answer == Answer::Silence;
        let answer = if refused { Answer::Declined } else { answer };
        let outputs = self.group(node).handle(Input::GrantAnswered { epoch, answer });
        if self.carry_out(node, outputs, &Payload::None).is_some() {
            self.grant_again(node);
        }
    }

    pub(crate) fn grant_again(&mut self, node: usize) {
        let part = &self.group(node).record().part;
        if matches!(part, Part::Granted { confirmed: false, .. }) {
            self.timer(node, GRANT_AGAIN, Timer::HandOver);
        }
    }
}
