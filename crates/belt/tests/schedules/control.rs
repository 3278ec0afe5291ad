//! The controller and the driver of a schedule: what the real ones promise, and no more.

use std::collections::{BTreeMap, BTreeSet};

use belt::Stamp;
use belt::group::Part;

use crate::plan::{Event, Message, Mutation, Outcome, RoleSpec, Status, index};
use crate::world::{CONTROLLER, DRIVER, NODES, World};

const TICK: u64 = 12;
/// Silence after which a node counts as lost.
const LEASE: u64 = 60;
const RUNS: u32 = 22;

pub(crate) struct Controller {
    owner: usize,
    epoch: u64,
    specs: Vec<(u64, RoleSpec)>,
    /// By node: where it may put its second copy, by any word that it may be following.
    replicas: Vec<BTreeSet<Option<usize>>>,
    /// By node: what its second copy must hold to be trusted; `None` until the node follows its newest word.
    base: Vec<Option<Stamp>>,
    heard: Vec<u64>,
    status: Vec<Option<Status>>,
    next_hand_over: u64,
    /// By node: it has come back without what it had obeyed, so its store is gone.
    lost_store: Vec<bool>,
}

impl Controller {
    pub(crate) fn new() -> Self {
        let mut controller = Self {
            owner: 0,
            epoch: 1,
            specs: vec![(1, RoleSpec::None); NODES],
            replicas: vec![BTreeSet::new(); NODES],
            base: vec![None; NODES],
            heard: vec![0; NODES],
            status: vec![None; NODES],
            next_hand_over: 80,
            lost_store: vec![false; NODES],
        };
        controller.tell(0, RoleSpec::Own { epoch: 1, replica: Some(1), successor: None });
        controller
    }

    fn tell(&mut self, node: usize, role: RoleSpec) {
        if self.specs[node].1 == role {
            return;
        }
        if let Some(replica) = role.replica() {
            self.replicas[node].insert(replica);
        }
        if role.replica() != self.specs[node].1.replica() {
            self.base[node] = None;
        }
        self.specs[node] = (self.specs[node].0 + 1, role);
    }

    fn forget_others(&mut self, except: &[usize]) {
        for node in (0..NODES).filter(|node| !except.contains(node)) {
            self.tell(node, RoleSpec::None);
        }
    }

    fn is_heard(&self, node: usize, now: u64) -> bool {
        now < self.heard[node] + LEASE && self.status[node].is_some()
    }

    fn part(&self, node: usize) -> &Part {
        self.status[node].as_ref().map_or(&Part::Copy, |status| &status.part)
    }

    fn has_acted(&self, node: usize) -> bool {
        self.status[node].as_ref().is_some_and(|s| s.generation == self.specs[node].0)
    }

    fn own(&mut self, node: usize, epoch: u64, replica: Option<usize>) {
        self.owner = node;
        self.epoch = epoch;
        self.tell(node, RoleSpec::Own { epoch, replica, successor: None });
        self.forget_others(&[node]);
    }
}

impl World {
    pub(crate) fn controller_tick(&mut self) {
        for node in 0..NODES {
            let (generation, role) = self.controller.specs[node].clone();
            // Who has lost the state that it owned must not start over with none.
            let wait = node == self.controller.owner && self.controller.lost_store[node];
            if !self.controller.has_acted(node) && !wait {
                let boot = self.controller.status[node].as_ref().map_or(0, |status| status.boot);
                self.send(CONTROLLER, node, Message::SetRole { boot, generation, role });
            }
            self.send(CONTROLLER, node, Message::Poll);
        }
        self.decide();
        self.at(self.now + TICK, Event::ControllerTick);
    }

    pub(crate) fn on_status(&mut self, node: usize, status: Status) {
        let now = self.now;
        let controller = &mut self.controller;
        // Late news are no news.
        if controller.status[node].as_ref().is_some_and(|known| {
            (status.boot, status.generation, status.stamp)
                < (known.boot, known.generation, known.stamp)
        }) {
            return;
        }
        controller.heard[node] = now;
        let obeyed = controller.status[node].as_ref().map_or(0, |known| known.generation);
        controller.lost_store[node] |= status.generation < obeyed;
        if status.generation == controller.specs[node].0 {
            controller.lost_store[node] = false;
            controller.replicas[node] = controller.specs[node].1.replica().into_iter().collect();
            controller.base[node] = controller.base[node].or(Some(status.stamp));
        }
        let part = status.part.clone();
        controller.status[node] = Some(status);
        if let Part::Owner { epoch, .. } = part
            && controller.epoch < epoch.0
        {
            let replica = if controller.owner == node {
                match controller.specs[node].1 {
                    RoleSpec::Own { replica, .. } => replica,
                    _ => None,
                }
            } else {
                Some(controller.owner)
            };
            controller.own(node, epoch.0, replica);
        }
    }

    fn decide(&mut self) {
        let (owner, now) = (self.controller.owner, self.now);
        if !self.controller.is_heard(owner, now) {
            if self.controller.heard[owner] + LEASE <= now && self.controller.heard[owner] != 0 {
                self.fail_over_to_replica();
            }
            return;
        }
        let status = self.controller.status[owner].clone().expect("is heard");
        match status.part {
            _ if self.controller.lost_store[owner] => self.fail_over_to_freshest(),
            Part::Owner { epoch, .. } if epoch.0 == self.controller.epoch => self.plan_ahead(),
            Part::Granted { to, confirmed, .. } => self.watch_grant(index(&to), confirmed),
            _ => {}
        }
    }

    fn plan_ahead(&mut self) {
        let (owner, epoch, now) = (self.controller.owner, self.controller.epoch, self.now);
        let others: Vec<usize> =
            (0..NODES).filter(|n| *n != owner && self.controller.is_heard(*n, now)).collect();
        let RoleSpec::Own { replica, successor, .. } = self.controller.specs[owner].1.clone()
        else {
            return;
        };
        if others.is_empty() {
            return;
        }
        let other = others[self.rng.pick(others.len())];
        let due = self.controller.next_hand_over <= now && self.is_active();
        // An old successor is told to go only when the owner has forgotten it.
        if due && successor.is_none() && self.controller.has_acted(owner) {
            let at = now + self.rng.between(15, 60);
            let successor = Some((other, at));
            self.controller.tell(other, RoleSpec::StandBy { owner });
            let own = RoleSpec::Own { epoch, replica: Some(other), successor };
            self.controller.tell(owner, own);
            self.controller.forget_others(&[owner, other]);
            self.controller.next_hand_over = now + self.rng.between(60, 220);
        } else if successor.is_some_and(|(_, at)| at + LEASE < now) {
            self.controller.tell(owner, RoleSpec::Own { epoch, replica, successor: None });
        } else if successor.is_none() && replica.is_none_or(|r| !self.controller.is_heard(r, now)) {
            let own = RoleSpec::Own { epoch, replica: Some(other), successor: None };
            self.controller.tell(owner, own);
        }
    }

    /// The owner has granted. If its successor stays silent, it gets the group back, above the grant; if the successor
    /// has had it and gave it up, it gets it again.
    fn watch_grant(&mut self, to: usize, confirmed: bool) {
        let (owner, now) = (self.controller.owner, self.now);
        if !self.controller.has_acted(owner) {
            return;
        }
        let lost_store = self.controller.lost_store[to];
        let gave_up = confirmed && *self.controller.part(to) == Part::Copy;
        if gave_up && self.controller.has_acted(to) && !lost_store {
            self.fail_over(to);
        } else if lost_store || self.controller.heard[to] + 2 * LEASE < now {
            let replica =
                (0..NODES).find(|n| *n != owner && *n != to && self.controller.is_heard(*n, now));
            let epoch = self.controller.epoch + self.failover_step();
            self.controller.own(owner, epoch, replica);
        }
    }

    fn failover_step(&self) -> u64 {
        if self.mutation == Mutation::FailoverByOne { 1 } else { 2 }
    }

    fn fail_over_to_replica(&mut self) {
        let (owner, now) = (self.controller.owner, self.now);
        if self.is_hasty() {
            let possible: Vec<usize> = self.controller.replicas[owner]
                .iter()
                .flatten()
                .copied()
                .filter(|node| self.controller.is_heard(*node, now))
                .collect();
            if !possible.is_empty() {
                let heir = possible[self.rng.pick(possible.len())];
                self.fail_over(heir);
            }
            return;
        }
        // In doubt about where the second copy is, wait.
        let mut possible = self.controller.replicas[owner].iter();
        let (Some(Some(replica)), None) = (possible.next().copied(), possible.next()) else {
            return;
        };
        // A new second copy counts when it holds what the old one held.
        let Some(base) = self.controller.base[owner] else { return };
        let held = self.controller.status[replica].as_ref().map(|status| status.stamp);
        if self.controller.is_heard(replica, now) && Some(base) <= held {
            self.fail_over(replica);
        }
    }

    fn fail_over_to_freshest(&mut self) {
        let (owner, now) = (self.controller.owner, self.now);
        let others: Vec<usize> = (0..NODES).filter(|n| *n != owner).collect();
        if others.iter().all(|n| self.controller.is_heard(*n, now)) {
            let stamp = |n: &usize| self.controller.status[*n].as_ref().map(|s| s.stamp);
            let freshest = others.iter().copied().max_by_key(stamp).expect("three others");
            self.fail_over(freshest);
        }
    }

    fn fail_over(&mut self, to: usize) {
        let now = self.now;
        let old = self.controller.owner;
        let replica = (0..NODES)
            .filter(|n| *n != to && self.controller.is_heard(*n, now))
            .min_by_key(|n| *n == old);
        self.controller.lost_store[old] = false;
        let epoch = self.controller.epoch + self.failover_step();
        self.note(|| format!("failover from n{old} to n{to} under {epoch}"));
        self.controller.own(to, epoch, replica);
    }
}

/// Starts runs and tries each until it is done.
#[derive(Default)]
pub(crate) struct Driver {
    next: u32,
    waiting: BTreeMap<u32, Try>,
}

struct Try {
    attempt: u32,
    target: usize,
    due: u64,
}

impl Driver {
    pub(crate) fn is_done(&self) -> bool {
        self.next == RUNS && self.waiting.is_empty()
    }

    pub(crate) fn unfinished(&self) -> usize {
        self.waiting.len() + usize::try_from(RUNS - self.next).expect("small")
    }
}

impl World {
    pub(crate) fn driver_tick(&mut self) {
        let now = self.now;
        // The last runs start when all faults are over: they prove that somebody serves.
        let wanted = if self.is_active() { RUNS - 2 } else { RUNS };
        if self.driver.next < wanted && self.rng.chance(350) {
            let target = self.controller.owner;
            self.driver.waiting.insert(self.driver.next, Try { attempt: 0, target, due: now });
            self.driver.next += 1;
        }
        let due: Vec<u32> =
            self.driver.waiting.iter().filter(|(_, t)| t.due <= now).map(|(run, _)| *run).collect();
        for run in due {
            let believed = self.controller.owner;
            let lost = self.rng.chance(60).then(|| self.rng.pick(NODES));
            let patience = self.rng.between(30, 110);
            let tried = self.driver.waiting.get_mut(&run).expect("just seen");
            tried.attempt += 1;
            tried.due = now + patience;
            let (attempt, target) = (tried.attempt, lost.unwrap_or(tried.target));
            tried.target = believed;
            self.send(DRIVER, target, Message::Invoke { run, attempt });
        }
        self.at(now + 8, Event::DriverTick);
    }

    pub(crate) fn on_answered(&mut self, _from: usize, run: u32, outcome: &Outcome) {
        let (now, believed) = (self.now, self.controller.owner);
        match outcome {
            Outcome::Done => _ = self.driver.waiting.remove(&run),
            Outcome::Moved(to) => {
                if let Some(tried) = self.driver.waiting.get_mut(&run) {
                    tried.target = *to;
                    tried.due = now + 4;
                }
            }
            Outcome::Failed => {
                if let Some(tried) = self.driver.waiting.get_mut(&run) {
                    tried.target = believed;
                    tried.due = now + 10;
                }
            }
        }
    }
}
