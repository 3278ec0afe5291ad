//! How moves begin, go on and end.

use std::time::Duration;

use placement::{Assignment, Constraint, Next, Plan};
use protocol::desired::{Phase, TaskStatus};
use types::{Epoch, NodeId, OwnerEpoch, WindowId, WorkflowId};

use super::ledger::decided;
use super::parking::ParkedTask;
use super::world::{Room, World};
use super::{Host, HostWindow, Hosting, Ledger, Step, TaskKey};
use crate::api::{Handover, HandoverKind};

/// A hand-over is announced at most so long before its time (wall), so that nobody waits for hours.
const ANNOUNCE_EARLIEST: Duration = Duration::from_secs(60);
/// And at least so long before: both nodes have to hear of it first.
const ANNOUNCE_LATEST: Duration = Duration::from_millis(750);
/// A new owner that does not say so within this after the time (wall) is not coming.
const GRANT_GRACE: Duration = Duration::from_secs(6);
/// From so long before its time on (wall) an announced hand-over may have begun: giving it up needs a new epoch.
const GRANT_MARGIN: Duration = Duration::from_secs(2);
/// The planner has to want another successor for so long (wall) before it gets it: plans must not flutter.
const RIVAL_PATIENCE: Duration = Duration::from_secs(2);
/// The time of an announced hand-over is corrected when it is off by more than this, sky seconds: half a grid step.
const AT_TOLERANCE_S: f64 = 5.0;
/// When all who hold the state of a lost owner are lost too, one of them may come back within this (wall), before
/// the state is given up and the task starts anew on a node that holds nothing: a board that boots again, or somebody
/// who drives there, is back by then.
pub const HEIR_WAIT: Duration = Duration::from_secs(15 * 60);
/// A living node that holds the state and cannot run the task may get room within this (wall), before another one runs
/// it and fetches the state from there.
const ROOM_WAIT: Duration = Duration::from_secs(20);
/// The clocks of two nodes may differ by so much (wall).
const CLOCKS_DIFFER: Duration = Duration::from_millis(500);
/// Preparing takes about so long (wall): a hand-over that is due sooner waits until the next host is prepared.
const PREPARE_LEAD: Duration = Duration::from_millis(1_500);
/// An owner that says for so long (wall) that it does not serve has granted its state to a node that never took it,
/// or knows of an owner that is gone: a new epoch ends that.
const IDLE_PATIENCE: Duration = Duration::from_secs(4);

/// What is at hand while one task is looked at.
struct Desk<'a> {
    world: &'a World,
    ledger: &'a mut Ledger,
    room: &'a mut Room,
    key: &'a TaskKey,
}

impl Hosting {
    /// Brings the table nearer to a plan.
    pub fn apply(&mut self, world: &World, plan: &Plan) {
        let mut room = Room::of(world, &self.hosts);
        for assignment in &plan.assignments {
            let key = &TaskKey { workflow: plan.workflow.clone(), task: assignment.task.clone() };
            let mut desk = Desk { world, ledger: &mut self.ledger, room: &mut room, key };
            match self.hosts.get_mut(key) {
                None => {
                    room.take(world, key, &assignment.node);
                    let parked = self.parked.take(key);
                    self.hosts.insert(key.clone(), first_host(world, assignment, parked));
                }
                Some(host) if !world.is_alive(&host.node) => {
                    desk.fail_over(host, Some(assignment));
                }
                Some(host) if host.node == assignment.node => desk.stay(host, assignment),
                Some(host) => desk.leave(host, assignment),
            }
        }
    }

    /// Looks after what does not need a plan: lost successors, overdue hand-overs, owners that do not serve, and
    /// lost owners of workflows for which `has_plan` says that there is no plan now.
    pub fn tend(&mut self, world: &World, has_plan: impl Fn(&WorkflowId) -> bool) {
        let mut room = Room::of(world, &self.hosts);
        for (key, host) in &mut self.hosts {
            if !world.is_alive(&host.node) {
                if !has_plan(&key.workflow) {
                    let mut desk = Desk { world, ledger: &mut self.ledger, room: &mut room, key };
                    desk.fail_over(host, None);
                }
                continue;
            }
            host.orphan_since = None;
            host.tend_step(world, &mut self.ledger);
            host.tend_idle(world);
            if !has_plan(&key.workflow) && host.step.is_none() {
                let desk = Desk { world, ledger: &mut self.ledger, room: &mut room, key };
                host.replica = desk.any_keeper(host, &host.node);
            }
        }
    }

    /// A node says that code and state of a task are there.
    pub fn prepared(&mut self, world: &World, key: &TaskKey, node: &NodeId, at: Epoch) {
        let Some(host) = self.hosts.get_mut(key) else { return };
        if host.node == *node {
            host.has_served = true;
            let epoch = host.owner_epoch;
            if let Some(id) = self.ledger.open(key, node, epoch).map(|record| record.id) {
                self.ledger.prepared(id, at);
            }
            return;
        }
        let Some(step) = host.step.as_mut().filter(|step| step.to == *node) else { return };
        // What it says of an earlier move of this task to the same node does not count.
        let heard_at = at.plus_s(CLOCKS_DIFFER.as_secs_f64() * world.moment.rate);
        if self.ledger.decided_at(step.record).is_none_or(|decided| heard_at < decided) {
            return;
        }
        step.is_prepared = true;
        self.ledger.prepared(step.record, at);
        announce(world, &mut self.ledger, step);
    }

    /// A node says that it owns a task now; `true` if that is news.
    pub fn took_over(
        &mut self,
        key: &TaskKey,
        node: &NodeId,
        owner_epoch: OwnerEpoch,
        from: Option<&NodeId>,
        at: Epoch,
    ) -> bool {
        let Some(host) = self.hosts.get_mut(key) else { return false };
        if owner_epoch < host.owner_epoch {
            return false;
        }
        host.has_served = true;
        self.ledger.took_over(key, node, owner_epoch, at);
        if owner_epoch == host.owner_epoch {
            return false;
        }
        let before = host.node.clone();
        host.settle_on(node.clone(), at);
        host.owner_epoch = owner_epoch;
        if let Some(step) = host.step.take().filter(|step| step.to != *node) {
            self.ledger.abandon(step.record, "another node took over");
        }
        // The old owner holds everything: it keeps the second copy.
        host.replica = Some(from.cloned().unwrap_or(before)).filter(|replica| replica != node);
        true
    }

    /// A node answered its first call of a task.
    pub fn first_call(&mut self, key: &TaskKey, node: &NodeId, epoch: OwnerEpoch, at: Epoch) {
        self.ledger.first_call(key, node, epoch, at);
    }

    /// A node says how it stands with a task that it holds.
    pub fn stands(&mut self, world: &World, node: &NodeId, status: &TaskStatus) {
        let key = TaskKey { workflow: status.workflow.clone(), task: status.task.clone() };
        let Some(host) = self.hosts.get_mut(&key) else { return };
        let is_ahead = host.owner_epoch < status.owner_epoch;
        host.has_served |= matches!(status.phase, Phase::Active);
        if is_ahead && matches!(status.phase, Phase::Active) {
            // It took over, and the event that said so got lost with its start.
            self.took_over(&key, node, status.owner_epoch, None, world.moment.sky);
            return;
        }
        if host.node != *node {
            if status.phase == Phase::Ready {
                self.prepared(world, &key, node, world.moment.sky);
            }
            return;
        }
        let is_idle = match status.phase {
            Phase::Released | Phase::Freezing => true,
            Phase::Preparing | Phase::Ready => is_ahead,
            Phase::Active | Phase::Failed => false,
        };
        if is_idle && host.step.is_none() {
            let since = host.idle.map_or(world.moment.instant, |idle| idle.0);
            host.idle = Some((since, host.owner_epoch.max(status.owner_epoch)));
        } else {
            host.idle = None;
        }
    }

    /// Owners that have to be asked again how they stand.
    pub fn doubtful(&self) -> impl Iterator<Item = &NodeId> {
        self.hosts.values().filter(|host| host.idle.is_some()).map(|host| &host.node)
    }
}

/// A host of a task that had none, or was parked: then under an epoch that fences off all before, and whoever owns it looks for
/// the newest copy of its state first.
fn first_host(world: &World, assignment: &Assignment, parked: Option<ParkedTask>) -> Host {
    let owner_epoch = parked.as_ref().map_or(OwnerEpoch(1), |p| OwnerEpoch(p.owner_epoch.0 + 2));
    Host {
        node: assignment.node.clone(),
        owner_epoch,
        replica: assignment.replica.clone(),
        since: world.moment.sky,
        window: host_window(assignment),
        step: None,
        has_served: parked.is_some_and(|parked| parked.has_served),
        orphan_since: None,
        rival: None,
        idle: None,
    }
}

fn host_window(assignment: &Assignment) -> Option<HostWindow> {
    assignment.window.as_ref().map(|window| HostWindow {
        id: window.id,
        close: window.close,
        close_known: window.close_known,
    })
}

impl Desk<'_> {
    /// The planner leaves the task where it is.
    fn stay(&mut self, host: &mut Host, assignment: &Assignment) {
        host.window = host_window(assignment);
        let next = assignment.next.as_ref();
        match (&host.step, next) {
            // What is under way or about to begin is not stopped any more.
            (Some(step), _) if step.may_have_begun(self.world) => {}
            (None, None) => host.keep_replica(self.world, self.key, assignment),
            (None, Some(next)) => {
                host.keep_replica(self.world, self.key, assignment);
                self.plan_ahead(host, next);
            }
            (Some(step), Some(next)) if step.to == next.node => {
                host.rival = None;
                self.correct(host, next.at);
            }
            (Some(_), next) => {
                let other = next.map(|next| next.node.clone());
                if host.outwaited(self.world, other) {
                    host.give_up(self.world, self.ledger, "the plan has changed");
                }
            }
        }
    }

    /// The planner wants the task elsewhere at once.
    fn leave(&mut self, host: &mut Host, assignment: &Assignment) {
        if let Some(step) = &host.step {
            if step.to == assignment.node {
                host.rival = None;
                return;
            }
            let may_change = !step.may_have_begun(self.world);
            if !may_change || !host.outwaited(self.world, Some(assignment.node.clone())) {
                return;
            }
            host.give_up(self.world, self.ledger, "the plan has changed");
        }
        if !self.room.has(self.world, self.key, &assignment.node) {
            // Who has to make room there is on the move.
            return;
        }
        if !host.has_served && self.world.is_declined(self.key, &host.node) {
            return self.begin_elsewhere(host, assignment);
        }
        let sky = self.world.moment.sky;
        // Who makes room for another task, or runs out of charge, does not leave because of a window.
        let ends_sooner = assignment
            .refused
            .iter()
            .any(|refusal| refusal.node == host.node && refusal.constraint == Constraint::Shorter);
        let before_close = host.window.filter(|w| ends_sooner && w.close_known && sky < w.close);
        let mut record = decided(self.key, &host.node, &assignment.node, sky);
        record.owner_epoch = host.owner_epoch.next();
        record.planned = before_close.is_some();
        record.kind = if record.planned { HandoverKind::Planned } else { HandoverKind::Reactive };
        record.reason.clone_from(&assignment.because);
        set_window(&mut record, before_close);
        let step = Step {
            record: self.ledger.add(record),
            to: assignment.node.clone(),
            at: None,
            window: before_close.map_or(WindowId(0), |window| window.id),
            window_closes: before_close.map_or(sky, |window| window.close),
            is_prepared: false,
        };
        self.begin(host, step);
    }

    /// The task begins on another node than the one that has declined it: it was never served, so there is nothing to hand
    /// over. The epoch fences off whatever that node has begun all the same.
    fn begin_elsewhere(&mut self, host: &mut Host, assignment: &Assignment) {
        self.room.take(self.world, self.key, &assignment.node);
        host.owner_epoch = OwnerEpoch(host.owner_epoch.0 + 2);
        host.settle_on(assignment.node.clone(), self.world.moment.sky);
        host.window = host_window(assignment);
        host.replica.clone_from(&assignment.replica);
    }

    fn plan_ahead(&mut self, host: &mut Host, next: &Next) {
        let moment = &self.world.moment;
        if next.node == host.node
            || moment.sky_after(ANNOUNCE_EARLIEST) < next.at
            || !self.world.is_alive(&next.node)
            || !self.room.has(self.world, self.key, &next.node)
        {
            return;
        }
        let Some(window) = host.window else { return };
        let at = Some(next.at).filter(|at| moment.sky_after(PREPARE_LEAD) <= *at);
        let mut record = decided(self.key, &host.node, &next.node, moment.sky);
        record.owner_epoch = host.owner_epoch.next();
        record.at = at;
        record.reason = format!("{} leaves its window at {}", host.node, window.close);
        set_window(&mut record, Some(window));
        let step = Step {
            record: self.ledger.add(record),
            to: next.node.clone(),
            at,
            window: window.id,
            window_closes: window.close,
            is_prepared: false,
        };
        self.begin(host, step);
    }

    fn begin(&mut self, host: &mut Host, step: Step) {
        self.room.take(self.world, self.key, &step.to);
        host.rival = None;
        host.step = Some(step);
    }

    /// A newer plan may know the time better.
    fn correct(&mut self, host: &mut Host, at: Epoch) {
        let window = host.window;
        let Some(step) = host.step.as_mut() else { return };
        let earliest = self.world.moment.sky_after(GRANT_MARGIN);
        let Some(announced) = step.at else { return };
        let at = at.max(earliest);
        if at.seconds_since(announced).abs() <= AT_TOLERANCE_S {
            return;
        }
        step.at = Some(at);
        if let Some(window) = window {
            step.window = window.id;
            step.window_closes = window.close;
        }
        if let Some(record) = self.ledger.get_mut(step.record) {
            record.at = Some(at);
            set_window(record, window);
        }
    }

    /// The owner is lost: who holds its state takes over, under an epoch that fences off the lost one.
    fn fail_over(&mut self, host: &mut Host, assignment: Option<&Assignment>) {
        let moment = &self.world.moment;
        if self.world.pinned.contains(self.key) {
            // What it needs is on that node alone: it goes on there when the node is back.
            return;
        }
        let orphan_since = *host.orphan_since.get_or_insert(moment.instant);
        let waited_for = moment.instant.saturating_since(orphan_since);
        let (to, state) = match (self.heir(host, assignment), assignment) {
            (Some(heir), _) => (heir, String::new()),
            (None, Some(assignment)) => match self.without_heir(host, waited_for) {
                Some(state) => (assignment.node.clone(), state),
                None => return,
            },
            (None, None) => return,
        };
        if let Some(step) = host.step.take() {
            self.ledger.abandon(step.record, "the host was lost");
        }
        let silence = self.world.node(&host.node).silence;
        let mut record = decided(self.key, &host.node, &to, moment.sky);
        host.owner_epoch = OwnerEpoch(host.owner_epoch.0 + 2);
        record.kind = HandoverKind::Failover;
        record.planned = false;
        record.owner_epoch = host.owner_epoch;
        record.detection_ms = u64::try_from(silence.as_millis()).ok();
        record.reason =
            format!("{} was silent for {:.1} s{state}", host.node, silence.as_secs_f64());
        set_window(&mut record, host.window);
        self.ledger.add(record);
        self.room.take(self.world, self.key, &to);
        let kept = assignment.and_then(|a| a.replica.clone()).filter(|replica| *replica != to);
        let lost = host.node.clone();
        host.settle_on(to, moment.sky);
        host.replica = kept.or_else(|| self.any_keeper(host, &lost));
    }

    /// Somebody to keep the second copy while there is no plan that says who: who keeps it already, or else the first
    /// in order that is alive, those with room for the task first.
    fn any_keeper(&self, host: &Host, lost: &NodeId) -> Option<NodeId> {
        let is_other = |node: &NodeId| *node != host.node && node != lost;
        let is_there = |node: &&NodeId| is_other(node) && self.world.may_hold(self.key, node);
        if let Some(kept) = host.replica.as_ref().filter(is_there) {
            return Some(kept.clone());
        }
        let all = self.world.nodes.keys().filter(is_there);
        all.min_by_key(|node| !self.room.has(self.world, self.key, node)).cloned()
    }

    /// What becomes of the state when a node that holds nothing takes over, in words; `None` while it has to wait.
    fn without_heir(&self, host: &Host, waited_for: Duration) -> Option<String> {
        let holders = [host.replica.as_ref(), host.step.as_ref().map(|step| &step.to)];
        let living = holders.into_iter().flatten().find(|node| self.world.is_alive(node));
        match living {
            // Before it was served there is nothing to hold.
            _ if !host.has_served => Some(String::new()),
            Some(holder) if ROOM_WAIT <= waited_for => {
                Some(format!("; {holder} has no room, its state is fetched from there"))
            }
            None if HEIR_WAIT <= waited_for => {
                Some("; nobody alive holds its state, which is given up".to_owned())
            }
            Some(_) | None => None,
        }
    }

    /// Who is alive, holds the state of a lost owner and could run the task.
    fn heir(&self, host: &Host, assignment: Option<&Assignment>) -> Option<NodeId> {
        let step = host.step.as_ref();
        let prepared = step.filter(|step| step.is_prepared).map(|step| &step.to);
        let candidates = [prepared, host.replica.as_ref(), step.map(|step| &step.to)];
        let can = |node: &NodeId| {
            *node != host.node
                && self.world.may_hold(self.key, node)
                && self.room.has(self.world, self.key, node)
                && !assignment.is_some_and(|assignment| cannot_carry(assignment, node))
        };
        candidates.into_iter().flatten().find(|node| can(node)).cloned()
    }
}

impl Host {
    /// A new owner: what was known of the old one does not count any more.
    fn settle_on(&mut self, node: NodeId, since: Epoch) {
        self.node = node;
        self.since = since;
        self.window = None;
        self.orphan_since = None;
        self.rival = None;
        self.idle = None;
    }

    /// Who keeps the second copy; while nobody new can, who kept it before, unless that one is lost or must not see it.
    fn keep_replica(&mut self, world: &World, key: &TaskKey, assignment: &Assignment) {
        let wanted = assignment.replica.as_ref().filter(|node| **node != self.node);
        match wanted {
            Some(replica) => self.replica = Some(replica.clone()),
            None => self.replica = self.replica.take().filter(|kept| world.may_hold(key, kept)),
        }
    }

    /// Whether the planner has wanted something else for long enough.
    fn outwaited(&mut self, world: &World, other: Option<NodeId>) -> bool {
        let now = world.moment.instant;
        match &self.rival {
            Some((rival, since)) if *rival == other => since.plus(RIVAL_PATIENCE) <= now,
            Some(_) | None => {
                self.rival = Some((other, now));
                false
            }
        }
    }

    fn give_up(&mut self, world: &World, ledger: &mut Ledger, why: &str) {
        self.rival = None;
        let Some(step) = self.step.take() else { return };
        ledger.abandon(step.record, why);
        if step.may_have_begun(world) {
            // The grant may be on its way: what comes of it is fenced off.
            self.owner_epoch = OwnerEpoch(self.owner_epoch.0 + 2);
            self.since = world.moment.sky;
        }
    }

    fn tend_step(&mut self, world: &World, ledger: &mut Ledger) {
        let Some(step) = self.step.as_mut() else { return };
        if !world.is_alive(&step.to) {
            return self.give_up(world, ledger, "the next host was lost");
        }
        if step.at.is_some_and(|at| at <= world.moment.sky_before(GRANT_GRACE)) {
            return self.give_up(world, ledger, "the next host did not take over");
        }
        if step.is_prepared {
            announce(world, ledger, step);
        }
    }

    fn tend_idle(&mut self, world: &World) {
        let Some((since, newest)) = self.idle.filter(|_| self.step.is_none()) else { return };
        if since.plus(IDLE_PATIENCE) <= world.moment.instant {
            self.idle = None;
            self.owner_epoch = OwnerEpoch(newest.0 + 2);
        }
    }
}

impl Step {
    /// Whether the old host may have begun to hand over, by its own clock.
    fn may_have_begun(&self, world: &World) -> bool {
        self.at.is_some_and(|at| at <= world.moment.sky_after(GRANT_MARGIN))
    }
}

/// The next host is prepared: a move that waited for that gets its time.
fn announce(world: &World, ledger: &mut Ledger, step: &mut Step) {
    if step.at.is_some() {
        return;
    }
    let at = world.moment.sky_after(ANNOUNCE_LATEST);
    step.at = Some(at);
    if let Some(record) = ledger.get_mut(step.record) {
        record.at = Some(at);
    }
}

fn set_window(record: &mut Handover, window: Option<HostWindow>) {
    record.window_id = window.map(|window| format!("{:016x}", window.id.0));
    record.predicted_close = window.map(|window| window.close);
}

/// Whether a node could not run the task at all; a path that is too long is better than lost state, and so is a task
/// that is for a while not beside the one that it goes with.
fn cannot_carry(assignment: &Assignment, node: &NodeId) -> bool {
    let forbids = |constraint: &Constraint| {
        matches!(
            constraint,
            Constraint::Alive
                | Constraint::Pinned
                | Constraint::Kind
                | Constraint::Declined { .. }
                | Constraint::Trust { .. }
                | Constraint::Region { .. }
                | Constraint::Apart { .. }
                | Constraint::Cpu
                | Constraint::Memory
                | Constraint::Battery
                | Constraint::Temperature
        )
    };
    assignment.refused.iter().any(|r| r.node == *node && forbids(&r.constraint))
}
