//! The world of a schedule: nodes, links and time, all by seed.

use std::collections::{BTreeMap, BTreeSet};

use belt::group::{Group, Part, Record};

use crate::audit::{Audit, Violation};
use crate::control::{Controller, Driver};
use crate::disk::Contents;
use crate::node::{Memory, Node};
use crate::plan::{Event, Message, Mutation, Timer};
use crate::rng::Rng;

pub(crate) const NODES: usize = 4;
pub(crate) const CONTROLLER: usize = NODES;
pub(crate) const DRIVER: usize = NODES + 1;
/// Faults happen until then.
const FAULTS_UNTIL: u64 = 900;
/// Time for everything to come to rest.
const REST: u64 = 1500;

/// Which faults a schedule has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Faults {
    /// Crashes at any point and cut links; disks survive.
    CrashesAndCuts,
    /// One disk dies; nodes and links hold.
    OneDisk,
    /// One node is killed and stays away for a while, and the controller replaces it without being sure who holds the
    /// newest copy.
    OneKill,
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    count: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) controller: Controller,
    pub(crate) driver: Driver,
    pub(crate) audit: Audit,
    cut: BTreeSet<(usize, usize)>,
    pub(crate) mutation: Mutation,
    faults: Faults,
    story: Option<Vec<String>>,
}

/// What came out of a schedule.
pub(crate) struct Report {
    pub(crate) violations: BTreeSet<Violation>,
    pub(crate) audit: Audit,
    /// What happened, if it was asked for.
    pub(crate) story: Vec<String>,
}

/// Plays one schedule.
pub(crate) fn play(seed: u64, faults: Faults, mutation: Mutation) -> Report {
    play_and_tell(seed, faults, mutation, None)
}

/// Plays one schedule again, to be read.
pub(crate) fn tell(seed: u64, faults: Faults, mutation: Mutation) -> Vec<String> {
    play_and_tell(seed, faults, mutation, Some(Vec::new())).story
}

fn play_and_tell(
    seed: u64,
    faults: Faults,
    mutation: Mutation,
    story: Option<Vec<String>>,
) -> Report {
    let mut world = World {
        rng: Rng::new(seed),
        now: 0,
        queue: BTreeMap::new(),
        count: 0,
        nodes: (0..NODES).map(|_| Node { up: true, ..Node::default() }).collect(),
        controller: Controller::new(),
        driver: Driver::default(),
        audit: Audit::default(),
        cut: BTreeSet::new(),
        mutation,
        faults,
        story,
    };
    world.plan_faults();
    world.at(1, Event::ControllerTick);
    world.at(15, Event::DriverTick);
    world.run();
    world.report()
}

impl World {
    pub(crate) fn at(&mut self, time: u64, event: Event) {
        self.count += 1;
        self.queue.insert((time.max(self.now), self.count), event);
    }

    pub(crate) fn timer(&mut self, node: usize, after: u64, timer: Timer) {
        let boot = self.nodes[node].boot;
        self.at(self.now + after, Event::Timer { node, boot, timer });
    }

    /// Adds a line to the story, if somebody listens.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(format!("{:>5} {}", self.now, line()));
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.now < FAULTS_UNTIL
    }

    fn plan_faults(&mut self) {
        if self.faults == Faults::OneKill {
            let (time, node) = (self.rng.between(60, FAULTS_UNTIL), self.rng.pick(NODES));
            self.at(time, Event::KillNow { node });
            return;
        }
        if self.faults == Faults::OneDisk {
            let (time, node) = (self.rng.between(100, FAULTS_UNTIL), self.rng.pick(NODES));
            self.at(time, Event::DestroyNow { node });
            return;
        }
        for _ in 0..self.rng.between(0, 5) {
            let (time, node) = (self.rng.between(20, FAULTS_UNTIL), self.rng.pick(NODES));
            self.at(time, Event::CrashNow { node });
        }
        for _ in 0..self.rng.between(0, 6) {
            let time = self.rng.between(20, FAULTS_UNTIL);
            let until = time + self.rng.between(10, 180);
            let one = self.rng.pick(NODES);
            let isolated = self.rng.chance(400);
            let other = self.rng.pick(NODES + 2);
            for peer in 0..NODES + 2 {
                if peer != one && (isolated || peer == other) {
                    let pair = (one.min(peer), one.max(peer));
                    self.at(time, Event::Cut { pair, until });
                }
            }
        }
    }

    pub(crate) fn send(&mut self, from: usize, to: usize, message: Message) {
        let pair = (from.min(to), from.max(to));
        let lossy = self.is_active();
        if from != to && (self.cut.contains(&pair) || (lossy && self.rng.chance(40))) {
            return;
        }
        let copies = if lossy && self.rng.chance(50) { 2 } else { 1 };
        for _ in 0..copies {
            let late = lossy && self.rng.chance(40);
            let delay = if late { self.rng.between(20, 160) } else { self.rng.between(1, 6) };
            let message = self.maybe_corrupt(message.clone());
            self.at(self.now + delay, Event::Deliver { from, to, message });
        }
    }

    fn maybe_corrupt(&mut self, mut message: Message) -> Message {
        if let Message::Chunk { bytes, .. } = &mut message
            && self.now < FAULTS_UNTIL
            && self.rng.chance(10)
        {
            let at = self.rng.pick(bytes.len());
            bytes[at] ^= 1;
        }
        message
    }

    fn run(&mut self) {
        while let Some(((time, _), event)) = self.queue.pop_first() {
            if FAULTS_UNTIL + REST < time {
                break;
            }
            self.now = time;
            self.step(event);
            if !self.is_active() && self.driver.is_done() && self.owner().is_some() {
                break;
            }
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, message } if to < NODES => {
                if self.nodes[to].up {
                    self.on_message(to, from, message);
                }
            }
            Event::Deliver { from, message: Message::Status(status), .. } => {
                self.on_status(from, status);
            }
            Event::Deliver { from, message: Message::Answered { run, outcome }, .. } => {
                self.on_answered(from, run, &outcome);
            }
            Event::Deliver { .. } => {}
            Event::Timer { node, boot, timer } => {
                if self.nodes[node].up && self.nodes[node].boot == boot {
                    self.on_timer(node, timer);
                }
            }
            Event::ControllerTick => self.controller_tick(),
            Event::DriverTick => self.driver_tick(),
            Event::CrashNow { node } => self.crash(node),
            Event::Restart { node } => self.restart(node),
            Event::KillNow { node } => {
                let after = self.rng.between(60, 300);
                self.crash_for(node, after);
            }
            Event::DestroyNow { node } => {
                self.note(|| format!("n{node} loses its disk"));
                self.audit.destroyed(node);
                // A new disk takes longer than any message.
                let after = self.rng.between(170, 260);
                self.crash_for(node, after);
                self.nodes[node].disk.destroy();
            }
            Event::Cut { pair, until } => {
                self.note(|| format!("cut {pair:?} until {until}"));
                self.cut.insert(pair);
                self.at(until, Event::Heal { pair });
            }
            Event::Heal { pair } => {
                self.cut.remove(&pair);
            }
        }
    }

    /// Between any two things that a node does it may die.
    pub(crate) fn dies_here(&mut self, node: usize) -> bool {
        let dies = self.faults == Faults::CrashesAndCuts && self.is_active() && self.rng.chance(4);
        if dies {
            self.crash(node);
        }
        dies
    }

    fn crash(&mut self, node: usize) {
        let (short, long) = (self.rng.between(2, 20), self.rng.between(60, 200));
        let after = if self.rng.chance(500) { short } else { long };
        self.crash_for(node, after);
    }

    fn crash_for(&mut self, node: usize, after: u64) {
        if !self.nodes[node].up {
            return;
        }
        self.note(|| format!("n{node} crashes"));
        self.audit.crashes += 1;
        let written_out = self.rng.chance(300);
        self.nodes[node].up = false;
        self.nodes[node].disk.crash(written_out);
        self.at(self.now + after, Event::Restart { node });
    }

    fn restart(&mut self, node: usize) {
        self.note(|| format!("n{node} restarts"));
        let restarted = &mut self.nodes[node];
        restarted.up = true;
        restarted.boot += 1;
        let record: Record = restarted.disk.seen.record.clone();
        restarted.memory = Memory::new(Group::new(record));
        self.apply_desired(node);
        self.catch_up(node);
        self.grant_again(node);
    }

    pub(crate) fn is_hasty(&self) -> bool {
        self.faults == Faults::OneKill
    }

    /// Who owns now; `None` while a grant is on its way.
    fn owner(&self) -> Option<usize> {
        let parts = self.nodes.iter().map(|node| &node.disk.seen.record.part).enumerate();
        let newest = parts.max_by_key(|(_, part)| match part {
            Part::Owner { epoch, .. } => (epoch.0, true),
            Part::Granted { epoch, .. } => (epoch.0 + 1, false),
            Part::Copy | Part::Standby { .. } => (0, false),
        });
        newest.filter(|(_, part)| matches!(part, Part::Owner { .. })).map(|(node, _)| node)
    }

    fn report(self) -> Report {
        let disks: Vec<&Contents> = self.nodes.iter().map(|node| &node.disk.seen).collect();
        let owner = self.owner();
        let unfinished = self.driver.unfinished();
        let violations = self.audit.clone().check(owner, &disks, unfinished);
        Report { violations, audit: self.audit, story: self.story.unwrap_or_default() }
    }
}
