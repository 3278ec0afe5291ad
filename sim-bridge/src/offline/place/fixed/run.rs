//! A run: workflows arrive, each task is placed when what it waits for has ended, runs, is handed over, ends, and leaves its room to others.
//!
//! Moments are whole microseconds since the start; what happens at the same one goes in a fixed order: ends, hand-overs, starts. Objectives are
//! looked at when a task starts and at each step of the grid.

mod life;
mod told;

use std::collections::BTreeSet;

use placement::policy::Tenure;
use placement::{
    Book, Forecast as _, JobTask, Latencies, NoChoice, Origin, Policy, Promise, Stay, Step, World,
};
use topology::NodeIx;

use super::bodies::Bodies;
use super::demand::Request;
use super::occupancy::Occupancy;
use super::outcome::{Outcome, Reason};
use super::{DRAIN_MIN, STEP_S, Setting, steps};
use crate::offline::place::entrant::Broken;
use life::{Flow, Leg, Phase, legs};

/// From one step to the next, microseconds.
const STEP_US: u64 = 30_000_000;
const _: () = assert!(STEP_S == 30.0, "the same step in both units");
/// How often a task asks for a host, a step apart, before its workflow is given up.
const ATTEMPTS_MAX: u32 = 4;

/// So many steps ahead the network is made ready before anybody asks, as a controller has its contact plan: the longest workflow fits.
const AHEAD: Step = 50;

/// Tells how long something took, microseconds since any moment.
pub type Clock<'c> = &'c dyn Fn() -> u64;

/// Why a task was not placed.
const NO_CANDIDATE: &str = "no node is a candidate";
const NONE_ELIGIBLE: &str = "no candidate can host it";
const UNPLACED: &str = "a predecessor has no host";
const NO_PATH: &str = "no path leads from an input to the host";
const NO_ROOM: &str = "the host has no room for all of the run, or is down";

/// What happens, in the order in which it does at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    End,
    HandOver,
    Start,
}

/// When, what, to which task of which workflow; which hand-over or attempt, counted from 0.
type Event = (u64, What, usize, usize, u32);

/// The moment of a step, microseconds since the start.
pub(super) fn instant_us(step: Step) -> u64 {
    u64::from(step) * STEP_US
}

fn step_of(at_us: u64) -> Step {
    Step::try_from(at_us / STEP_US).unwrap_or(Step::MAX)
}

/// Places all workflows by a policy, each task when its time has come.
///
/// # Errors
/// [`Broken`] as soon as the policy is.
pub fn run(
    setting: &Setting,
    requests: &[Request],
    policy: &mut dyn Policy,
    clock: Clock<'_>,
) -> Result<Outcome, Broken> {
    let capacities = || setting.fleet.nodes.iter().map(|node| node.capacity);
    let mut driver = Driver {
        setting,
        policy,
        clock,
        book: Book::new(capacities()),
        occupancy: Occupancy::new(capacities()),
        bodies: Bodies::new(setting, requests.len()),
        latencies: Latencies::new(&*setting.sky),
        searches: Latencies::new(&*setting.sky),
        flows: requests.iter().enumerate().map(Flow::new).collect(),
        active: BTreeSet::new(),
        queue: BTreeSet::new(),
        hand_overs: 0,
        decisions_us: Vec::new(),
        broken: None,
    };
    for (flow, request) in requests.iter().enumerate() {
        driver.queue.insert((request.at_us, What::Start, flow, 0, 0));
    }
    let last = steps(setting.minutes + DRAIN_MIN);
    let end = (0..last).find(|step| driver.step(*step)).unwrap_or(last);
    if let Some(reason) = driver.broken {
        return Err(Broken(reason));
    }
    driver.bodies.idle_for_an_orbit(end + 1);
    Ok(driver.told())
}

struct Driver<'a, 'p> {
    setting: &'a Setting,
    policy: &'p mut dyn Policy,
    clock: Clock<'p>,
    book: Book,
    occupancy: Occupancy,
    bodies: Bodies<'a>,
    /// For the driver's own questions, which are not measured.
    latencies: Latencies<'a>,
    /// What the policy has searched.
    searches: Latencies<'a>,
    flows: Vec<Flow>,
    /// Workflows of which a task runs.
    active: BTreeSet<usize>,
    queue: BTreeSet<Event>,
    hand_overs: usize,
    decisions_us: Vec<u64>,
    /// Why the policy decides no more.
    broken: Option<String>,
}

impl Driver<'_, '_> {
    /// All that happens from a step to the next; true when nothing is left to happen.
    fn step(&mut self, step: Step) -> bool {
        self.book.forget(step);
        let new = if step == 0 { 0..=AHEAD } else { step + AHEAD..=step + AHEAD };
        for ahead in new {
            drop(self.setting.sky.graph(ahead));
        }
        for flow in self.active.clone() {
            for task in 0..self.flows[flow].tasks.len() {
                self.watch(flow, task, step);
            }
        }
        while let Some(event) = self.queue.first().copied()
            && event.0 < instant_us(step + 1)
            && self.broken.is_none()
        {
            self.queue.remove(&event);
            self.happens(event);
        }
        let emptied = self.bodies.advance(step, &mut self.occupancy);
        self.notice(&emptied, instant_us(step + 1));
        self.broken.is_some() || (self.queue.is_empty() && self.active.is_empty())
    }

    fn happens(&mut self, (at_us, what, flow, task, nth): Event) {
        if self.flows[flow].is_over() {
            return;
        }
        match what {
            What::End => self.end(flow, task, at_us),
            What::HandOver => self.hand_over(flow, task, nth as usize, at_us),
            What::Start => match self.start(flow, task, at_us) {
                Ok(()) => {}
                Err(_) if nth + 1 < ATTEMPTS_MAX => {
                    self.queue.insert((at_us + STEP_US, what, flow, task, nth + 1));
                }
                Err(reason) => {
                    self.flows[flow].unplaced = Some(reason);
                    self.give_up(flow, at_us);
                }
            },
        }
    }

    fn start(&mut self, flow: usize, task: usize, at_us: u64) -> Result<(), Reason> {
        let now = step_of(at_us);
        let stays = if task == 0 {
            vec![Stay { node: self.flows[flow].request.edge, from: now }]
        } else {
            self.choose(flow, task, at_us)?
        };
        let latency_ms = self.arrival_ms(flow, task, &stays, now).ok_or(NO_PATH)?;
        let start_us = at_us + life::micros(latency_ms / 1000.0);
        let of = &self.flows[flow].job.tasks[task];
        let legs = legs(of, &stays, self.bodies.views(), start_us).ok_or(NO_ROOM)?;
        let promises = promises(of, &legs, now);
        let has_room = promises.iter().all(|(node, promise)| {
            self.book.has_room(*node, promise.needs, promise.from, promise.until)
        });
        if !has_room || !self.bodies.is_up(legs[0].node) {
            return Err(NO_ROOM.into());
        }
        for (node, promise) in &promises {
            self.book.promise(*node, *promise);
        }
        self.occupancy.enter(legs[0].node, (flow, of.needs), at_us);
        for (nth, leg) in (0_u32..).zip(&legs).skip(1) {
            self.queue.insert((leg.from_us, What::HandOver, flow, task, nth));
        }
        let end_us = legs[legs.len() - 1].until_us;
        self.queue.insert((end_us, What::End, flow, task, 0));
        self.flows[flow].begin(task, (start_us, end_us), latency_ms, (&legs, now));
        self.flows[flow].tasks[task].promises = promises;
        self.active.insert(flow);
        self.watch(flow, task, now);
        Ok(())
    }

    /// Where the policy wants a task.
    fn choose(&mut self, flow: usize, task: usize, at_us: u64) -> Result<Vec<Stay>, Reason> {
        self.flows[flow].expect_starts(at_us);
        let now = step_of(at_us);
        let waiting = 1 + self.later_starts(at_us);
        let mut world = World {
            nodes: self.bodies.views(),
            heat: &self.setting.fleet.heat,
            boards: self.bodies.boards(),
            book: &self.book,
            tenure: Tenure::Run,
            latencies: &mut self.searches,
            now,
            waiting,
        };
        let began_us = (self.clock)();
        let choice = self.policy.choose(&mut world, &self.flows[flow].job, task);
        self.decisions_us.push((self.clock)().saturating_sub(began_us));
        let stays = choice.map(|choice| choice.stays).map_err(|none| self.reason(none))?;
        if stays.is_empty() { Err(NONE_ELIGIBLE.into()) } else { Ok(stays) }
    }

    /// How many tasks start after this moment, until the next step.
    fn later_starts(&self, at_us: u64) -> usize {
        let next_us = instant_us(step_of(at_us) + 1);
        let later = (at_us, What::Start, 0, 0, 0)..(next_us, What::End, 0, 0, 0);
        self.queue.range(later).filter(|(_, what, ..)| *what == What::Start).count()
    }

    /// Why a policy places a task nowhere.
    fn reason(&mut self, none: NoChoice) -> Reason {
        match none {
            NoChoice::NoCandidate { .. } => NO_CANDIDATE.into(),
            NoChoice::NoneEligible { .. } => NONE_ELIGIBLE.into(),
            NoChoice::Unplaced { .. } | NoChoice::UnknownTask { .. } => UNPLACED.into(),
            NoChoice::Refused { reason, .. } => reason.into(),
            NoChoice::Broken { reason } => self.broken.insert(reason).clone().into(),
        }
    }

    /// The longest latency of the inputs of a task to where it starts, ms; `None` where no path leads.
    fn arrival_ms(&mut self, flow: usize, task: usize, stays: &[Stay], now: Step) -> Option<f64> {
        let host = stays.first()?.node;
        let mut longest_ms = 0.0_f64;
        for (origin, _) in self.flows[flow].inputs(task, now) {
            longest_ms = longest_ms.max(self.latencies.between(origin?, host, now)?);
        }
        Some(longest_ms)
    }

    fn hand_over(&mut self, flow: usize, task: usize, nth: usize, at_us: u64) {
        let needs = self.flows[flow].job.tasks[task].needs;
        let Some(stay) = self.flows[flow].job.tasks[task].stays.get(nth).copied() else { return };
        let life = &mut self.flows[flow].tasks[task];
        if let Some(before) = life.host.replace(stay.node) {
            self.occupancy.leave(before, (flow, needs), at_us);
        }
        self.occupancy.enter(stay.node, (flow, needs), at_us);
        self.hand_overs += 1;
        if !self.bodies.is_up(stay.node) {
            self.lose(flow, at_us);
        }
    }

    fn end(&mut self, flow: usize, task: usize, at_us: u64) {
        self.release(flow, task, at_us);
        let of = &mut self.flows[flow];
        of.tasks[task].phase = Phase::Done;
        if of.tasks.iter().all(|life| life.phase == Phase::Done) {
            of.finished_us = Some(at_us);
        }
        for next in of.ready_after(task) {
            self.queue.insert((at_us, What::Start, flow, next, 0));
        }
        self.settle(flow);
    }

    /// Gives back what a task was promised and has not used.
    fn release(&mut self, flow: usize, task: usize, at_us: u64) {
        let needs = self.flows[flow].job.tasks[task].needs;
        let life = &mut self.flows[flow].tasks[task];
        for (node, promise) in life.promises.drain(..) {
            self.book.end(node, &promise, step_of(at_us));
        }
        if let Some(host) = life.host.take() {
            self.occupancy.leave(host, (flow, needs), at_us);
        }
    }

    /// A workflow of which nothing runs needs no watching.
    fn settle(&mut self, flow: usize) {
        let runs = self.flows[flow].tasks.iter().any(|life| life.phase == Phase::Running);
        if self.flows[flow].is_over() || !runs {
            self.active.remove(&flow);
        }
    }

    fn give_up(&mut self, flow: usize, at_us: u64) {
        for task in 0..self.flows[flow].tasks.len() {
            if self.flows[flow].tasks[task].phase == Phase::Running {
                self.release(flow, task, at_us);
                self.flows[flow].tasks[task].end_us = at_us;
            }
        }
        self.settle(flow);
    }

    fn lose(&mut self, flow: usize, at_us: u64) {
        self.flows[flow].is_power_lost = true;
        self.give_up(flow, at_us);
    }

    /// What empty batteries take with them, and who runs where it is too hot.
    fn notice(&mut self, emptied: &[NodeIx], at_us: u64) {
        for flow in self.active.clone() {
            let hosts = self.flows[flow].tasks.iter().map(|life| life.host);
            let is_lost = hosts.flatten().any(|host| emptied.contains(&host));
            for life in &mut self.flows[flow].tasks {
                life.is_hot |= life.host.is_some_and(|host| self.bodies.is_hot(host));
            }
            if is_lost {
                self.lose(flow, at_us);
            }
        }
    }

    /// Counts the time until the next step in which a running task violates an objective at this one.
    fn watch(&mut self, flow: usize, task: usize, step: Step) {
        let life = &self.flows[flow].tasks[task];
        if life.phase != Phase::Running {
            return;
        }
        let from_us = life.start_us.max(instant_us(step));
        let until_us = life.end_us.min(instant_us(step + 1));
        if until_us <= from_us || self.meets(flow, task, step) {
            return;
        }
        self.flows[flow].tasks[task].violated_us += until_us - from_us;
    }

    /// Whether all objectives of a task hold at a step, on the node that has it then.
    fn meets(&mut self, flow: usize, task: usize, step: Step) -> bool {
        let Some(host) = self.flows[flow].job.tasks[task].host_at(step) else { return false };
        self.flows[flow].inputs(task, step).into_iter().all(|(origin, limit_ms)| {
            let latency_ms = origin.and_then(|origin| self.latencies.between(origin, host, step));
            latency_ms.is_some_and(|ms| limit_ms.is_none_or(|limit_ms| ms <= limit_ms))
        })
    }
}

/// What a task is promised on each of its hosts.
fn promises(of: &JobTask, legs: &[Leg], now: Step) -> Vec<(NodeIx, Promise)> {
    let (needs, watts) = (of.needs, of.watts);
    let promise = |leg: &Leg| {
        let from = step_of(leg.from_us).max(now);
        let from = if leg.is_first { now } else { from };
        let until = step_of(leg.until_us.saturating_add(STEP_US - 1)).max(from + 1);
        (leg.node, Promise { from, until, needs, watts })
    };
    legs.iter().map(promise).collect()
}

impl Flow {
    /// Where the inputs of a task come from at a step, each with its longest latency in ms.
    fn inputs(&self, task: usize, step: Step) -> Vec<(Option<NodeIx>, Option<f64>)> {
        let input = |input: &placement::Input| {
            let origin = match input.origin {
                Origin::Node(node) => Some(node),
                Origin::Task(before) => self.job.tasks[before].host_at(step),
            };
            (origin, input.latency_max_ms)
        };
        self.job.tasks[task].inputs.iter().map(input).collect()
    }
}
