//! What happens: dice, links, and the observer.

use std::collections::BTreeSet;

use controller::executor::{Order, Wanted};

use crate::controller_side::{Controller, Kept, task};
use crate::node_side::{Disk, Node, Watched};

/// A step of the world, in milliseconds.
const STEP_MS: u64 = 100;

/// What the world is like.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chaos {
    /// Every start finds an empty queue.
    pub(crate) forgets_disk: bool,
    /// Every start finds the timetable as it was at first.
    pub(crate) forgets_timetable: bool,
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) cuts: u64,
    pub(crate) kills: u64,
    pub(crate) reboots: u64,
    pub(crate) controllers: u64,
    pub(crate) jumps: u64,
    pub(crate) commands: u64,
    pub(crate) done: u64,
    pub(crate) late: u64,
    pub(crate) durable: u64,
}

impl Seen {
    pub(crate) fn add(&mut self, other: &Self) {
        self.cuts += other.cuts;
        self.kills += other.kills;
        self.reboots += other.reboots;
        self.controllers += other.controllers;
        self.jumps += other.jumps;
        self.commands += other.commands;
        self.done += other.done;
        self.late += other.late;
        self.durable += other.durable;
    }
}

/// A small generator of numbers that look random (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % end
    }

    /// Once in so many steps, on average.
    fn once_in(&mut self, steps: u64) -> bool {
        self.below(steps) == 0
    }
}

/// Everything.
pub(crate) struct World {
    dice: Dice,
    ms: u64,
    node: Option<Node>,
    controller: Option<Controller>,
    boots: u64,
    is_up: bool,
    /// Questions and answers that get lost, in percent.
    loss: u64,
    jump_ms: i64,
    watched: Watched,
    heard: BTreeSet<(u64, u64)>,
    seen: Seen,
    first_timetable: Option<Vec<u8>>,
}

impl World {
    pub(crate) fn begin(seed: u64) -> Self {
        let mut watched = Watched::default();
        let node = Node::begin(Disk::default(), 1, 0, 0, &mut watched);
        let wanted = Wanted { tasks: vec![task("a", 100)], ..Wanted::default() };
        let kept = Kept::new(wanted);
        Self {
            dice: Dice(seed),
            ms: 0,
            node: Some(node),
            controller: Some(Controller::begin(kept, 0)),
            boots: 1,
            is_up: true,
            loss: 10,
            jump_ms: 0,
            watched,
            heard: BTreeSet::new(),
            seen: Seen::default(),
            first_timetable: None,
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen { done: self.watched.done, durable: self.watched.durable.len() as u64, ..self.seen }
    }

    /// Lives for so long, with everything that can happen.
    pub(crate) fn lives(&mut self, ms: u64, chaos: Chaos) {
        let end = self.ms + ms;
        while self.ms < end {
            self.fate(chaos);
            self.step();
        }
    }

    fn fate(&mut self, chaos: Chaos) {
        if self.dice.once_in(if self.is_up { 150 } else { 100 }) {
            self.is_up = !self.is_up;
            self.seen.cuts += u64::from(!self.is_up);
        }
        if self.dice.once_in(250) {
            self.again(false, chaos);
        }
        if self.dice.once_in(400) {
            self.again(true, chaos);
        }
        if self.dice.once_in(300) {
            self.seen.controllers += 1;
            let kept = self.controller.take().map(|controller| controller.kept).unwrap_or_default();
            self.controller = Some(Controller::begin(kept, self.ms));
        }
        if self.dice.once_in(300) {
            self.wish();
        }
        if self.dice.once_in(100) {
            self.seen.commands += 1;
            let (in_s, for_s) = (self.dice.below(40), 5 + self.dice.below(60));
            let (in_s, for_s) = (
                f64::from(u32::try_from(in_s).expect("it fits")),
                f64::from(u32::try_from(for_s).expect("it fits")),
            );
            if let Some(controller) = &mut self.controller {
                controller.command(self.ms, in_s, for_s);
            }
        }
        if self.dice.once_in(25)
            && let Some(node) = &mut self.node
        {
            node.happens(self.ms, self.jump_ms, &mut self.watched);
        }
        if self.dice.once_in(800) {
            self.seen.jumps += 1;
            // An hour ahead, an hour back, 1970, and right again.
            self.jump_ms = [3_600_000, -3_600_000, -1_700_000_000_000, 0]
                [usize::try_from(self.dice.below(4)).expect("it fits")];
        }
    }

    /// Wants other tasks, or the same again.
    fn wish(&mut self) {
        let names = ["a", "bb", "ccc"];
        let count = 1 + self.dice.below(3);
        let memory = [100, 200][usize::try_from(self.dice.below(2)).expect("it fits")];
        let names = names.iter().take(usize::try_from(count).expect("it fits"));
        let tasks = names.map(|name| task(name, memory)).collect();
        if let Some(controller) = &mut self.controller {
            controller.want(self.ms, Wanted { tasks, ..Wanted::default() });
        }
    }

    /// The agent is killed, or its board loses power, and starts again.
    fn again(&mut self, is_reboot: bool, chaos: Chaos) {
        let Some(node) = self.node.take() else { return };
        let mut disk = node.killed(usize::try_from(self.dice.below(3)).expect("it fits"));
        if is_reboot {
            self.seen.reboots += 1;
            disk.lose_power();
        } else {
            self.seen.kills += 1;
        }
        if chaos.forgets_disk {
            disk.forget_queue();
        }
        if chaos.forgets_timetable {
            // As it was before anything of it had begun.
            if let Some(now) = disk.records.get("timed").cloned() {
                let first = self.first_timetable.get_or_insert(now).clone();
                disk.records.insert("timed".to_owned(), first);
            }
        }
        self.boots += 1;
        self.node = Some(Node::begin(disk, self.boots, self.ms, self.jump_ms, &mut self.watched));
    }

    /// Whether a message comes through.
    fn passes(&mut self) -> bool {
        self.is_up && self.loss <= self.dice.below(100)
    }

    fn step(&mut self) {
        self.ms += STEP_MS;
        let (Some(mut node), Some(mut controller)) = (self.node.take(), self.controller.take())
        else {
            return;
        };
        let writes = !self.dice.once_in(5);
        for put in node.step(self.ms, self.jump_ms, writes, &mut self.watched) {
            if self.passes() {
                controller.hears(self.ms, &put, &mut self.heard);
            }
        }
        if let Some(question) = node.question(self.ms) {
            let came = self.passes();
            let late = &mut self.seen.late;
            let receipt =
                came.then(|| controller.receipt(&question, &mut self.heard, late)).flatten();
            let receipt = receipt.filter(|_| self.passes());
            node.receipted(self.ms, &question, receipt.as_ref());
        }
        self.orders(&mut node, &mut controller);
        (self.node, self.controller) = (Some(node), Some(controller));
    }

    fn orders(&mut self, node: &mut Node, controller: &mut Controller) {
        let (ms, jump_ms) = (self.ms, self.jump_ms);
        let (orders, missing) = controller.due(ms);
        for order in orders {
            let desired = match order {
                Order::Ask(_) => None,
                Order::Tell(desired) => Some(*desired),
            };
            let told = desired.as_ref().map(|desired| desired.generation);
            let came = self.passes();
            let reply =
                came.then(|| node.told(ms, jump_ms, desired.as_ref(), &mut self.watched)).flatten();
            let reply = reply.filter(|_| self.passes());
            controller.answered(ms, told, reply.as_ref());
        }
        for from_seq in missing {
            let came = self.passes();
            let page = came.then(|| node.replays(ms, from_seq, &mut self.watched)).flatten();
            let page = page.filter(|_| self.passes());
            controller.replayed(ms, page.as_ref(), &mut self.heard);
        }
        if self.dice.once_in(5) {
            for command in controller.commands.clone() {
                let came = self.passes();
                let reply = came
                    .then(|| node.commanded(ms, jump_ms, &command, &mut self.watched))
                    .flatten();
                if let Some(reply) = reply.filter(|_| self.passes()) {
                    controller.command_answered(&reply);
                }
            }
        }
    }

    /// All is whole again, for as long as it takes to catch up.
    pub(crate) fn heals(&mut self, seed: u64) {
        (self.is_up, self.loss, self.jump_ms) = (true, 0, 0);
        let begin_ms = self.ms;
        while self.ms < begin_ms + 180_000 {
            self.step();
            let is_settled = self.controller.as_ref().is_some_and(Controller::is_settled);
            let is_time = begin_ms + 30_000 < self.ms && self.ms.is_multiple_of(5_000);
            // What is live waits for its receipt all the time.
            let waits = self.node.as_ref().map_or(0, Node::waits);
            if is_time && is_settled && waits <= 8 && self.lost_events() == 0 {
                return;
            }
        }
        let waits = self.node.as_ref().map_or(0, Node::waits);
        assert!(waits <= 16, "seed {seed}: {waits} records still wait");
    }

    /// Events that were durable and never heard.
    pub(crate) fn lost_events(&self) -> u64 {
        self.watched.durable.difference(&self.heard).count() as u64
    }

    /// Commands whose end was told more than once, and what was done beyond once for each that was begun.
    pub(crate) fn done_twice(&self) -> u64 {
        let told_twice = self.watched.told.values().filter(|told| 1 < told.len()).count() as u64;
        told_twice + self.watched.done.saturating_sub(self.watched.begun.len() as u64)
    }

    pub(crate) fn judge(&self, seed: u64) {
        let (Some(node), Some(controller)) = (&self.node, &self.controller) else {
            panic!("seed {seed}: nothing is left");
        };
        let desired = node.desired().unwrap_or_else(|| panic!("seed {seed}: nothing is desired"));
        assert_eq!(desired.tasks, controller.kept.wanted.tasks, "seed {seed}: desired");
        assert_eq!(node.held(), desired.tasks, "seed {seed}: held");
        assert!(controller.is_settled(), "seed {seed}: not settled");
        assert_eq!(self.watched.needless, 0, "seed {seed}: needless restarts");
        assert_eq!(self.lost_events(), 0, "seed {seed}: durable events that never came");
        assert_eq!(self.done_twice(), 0, "seed {seed}: commands done twice");
    }
}
