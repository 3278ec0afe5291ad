//! What would help where nothing can be placed: when to come back, or what to ask for instead.
//!
//! Each alternative was found by deciding again under it, so none is a guess; and the work is bounded, so there may be
//! one that is not found.

use std::collections::BTreeSet;

use serde::Serialize;
use topology::{Arrival, LinkNeed, PairSeries, PathState};
use types::{Epoch, LatencyUs, NodeId, TaskId};

use crate::body::Body;
use crate::constraint::{Constraint, inputs};
use crate::decision::{Decision, Refusal};
use crate::need::Limit;
use crate::planner::{is_possible, plan};
use crate::view::{NodeView, Options, Prediction, WorldView};
use crate::workflow::{Task, Workflow};
use crate::world::World;

/// Most moments that are decided about; those at which some input is out of reach of all that could host its task are
/// not counted.
const MOMENTS_MAX: usize = 128;

/// A change under which a refused workflow can be placed. All else stays as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alternative {
    /// To ask again: the first whole second of the contact plan's grid at which it can be placed, if until then the
    /// fleet does what it does now.
    From {
        /// The moment (sky).
        at: Epoch,
    },
    /// To allow the refused task more latency: rounded up, and no shorter one that the contact plan knows would do.
    Latency {
        /// The input.
        to: TaskId,
        /// The limit that would do, ms.
        limit_ms: f64,
        /// The limit that was asked for, ms.
        asked_ms: f64,
    },
    /// To ask for less bandwidth.
    Bandwidth {
        /// The input.
        to: TaskId,
        /// The limit that would do, kbit/s.
        limit_kbps: u32,
        /// The limit that was asked for, kbit/s.
        asked_kbps: u32,
    },
    /// To allow what a call takes more time to arrive; rounded up as a latency is.
    Arrival {
        /// The input.
        to: TaskId,
        /// The limit that would do, ms.
        limit_ms: f64,
        /// The limit that was asked for, ms.
        asked_ms: f64,
    },
    /// To bear more loss.
    Loss {
        /// The input.
        to: TaskId,
        /// The limit that would do, parts per million.
        limit_ppm: u32,
        /// The limit that was asked for, parts per million.
        asked_ppm: u32,
    },
}

/// Decides as [`plan`] does, and looks for alternatives if nothing can be placed. That takes up to some hundred
/// decisions: for people who ask, not for each round.
pub fn advise(view: &WorldView<'_>, workflow: &Workflow, options: &Options) -> Decision {
    match plan(view, workflow, options) {
        Decision::Refused(refusal) => {
            let asking = Asking { view, workflow, options };
            let mut alternatives: Vec<_> = asking.moment().into_iter().collect();
            alternatives.extend(asking.limits(&refusal));
            Decision::Refused(Refusal { alternatives, ..refusal })
        }
        placed @ Decision::Placed(_) => placed,
    }
}

/// The nodes at a later moment, if until then they do what they do now: charge and temperature as they follow from light
/// and from what runs. Where the light is not known, it is dark.
pub fn nodes_at(view: &WorldView<'_>, at: Epoch) -> Vec<NodeView> {
    let step_s = f64::from(view.plan.step_ms) / 1000.0;
    let later = |node: &NodeView| {
        let here = view.running.iter().filter(|running| running.node == node.id);
        let load_w = node.idle_w + here.map(|running| running.watts).sum::<f64>();
        let mut body = Body::new(node, load_w);
        let mut now = view.now;
        while !body.is_unlimited() && now < at {
            let step = view.plan.step_at(now);
            let next = step.map_or(at, |step| view.plan.time_of(step).plus_s(step_s).min(at));
            let light = |at| view.plan.sunlit(&node.id, at).map_or(0.0, f64::from);
            let sunlit = light(now).midpoint(light(next));
            body = body.after(next.seconds_since(now), load_w, sunlit);
            now = next;
        }
        body.as_view()
    };
    view.nodes.iter().map(later).collect()
}

/// What was asked for and refused.
struct Asking<'a> {
    view: &'a WorldView<'a>,
    workflow: &'a Workflow,
    options: &'a Options,
}

impl Asking<'_> {
    /// The first later moment at which the workflow can be placed.
    fn moment(&self) -> Option<Alternative> {
        if self.view.prediction == Prediction::Off {
            return None;
        }
        let plan = self.view.plan;
        let world = World::new(self.view, self.workflow, self.options);
        let ways = Ways::all(&world)?;
        let runs_s = self.workflow.tasks.iter().map(|task| task.expected_run_s);
        let run_s = self.options.prepare_s.max(0.0) + runs_s.fold(0.0, f64::max);
        let moments = (world.grid.first + 1..plan.steps).map(|step| (step, plan.time_of(step)));
        // Printed to the second; and what would run beyond the plan is not known to do so.
        let whole = moments.filter(|(_, at)| at.unix_ns() % 1_000_000_000 == 0);
        let known = whole.take_while(|(_, at)| at.plus_s(run_s) <= plan.end());
        let open = known.filter(|(step, _)| ways.iter().all(|way| way.is_open(*step)));
        open.map(|(_, at)| at)
            .take(MOMENTS_MAX)
            .find(|at| self.is_possible_at(*at))
            .map(|at| Alternative::From { at })
    }

    fn is_possible_at(&self, at: Epoch) -> bool {
        let nodes = nodes_at(self.view, at);
        let view = WorldView { now: at, nodes: &nodes, ..*self.view };
        is_possible(&view, self.workflow, self.options)
    }

    /// For each objective of the refused task that keeps nodes away, the nearest that would do.
    fn limits(&self, refusal: &Refusal) -> Vec<Alternative> {
        let Some(task) = self.workflow.task(&refusal.task) else { return vec![] };
        let said: BTreeSet<&Constraint> = refusal.nodes.iter().map(|no| &no.constraint).collect();
        inputs(task)
            .flat_map(|(to, need)| {
                let is_said = |constraint| said.contains(&constraint);
                let latency = is_said(Constraint::Latency { to: to.clone() });
                let latency = need.latency_max.filter(|_| latency);
                let bandwidth = is_said(Constraint::Bandwidth { to: to.clone() });
                let bandwidth = need.rate_kbps_min.filter(|_| bandwidth);
                let loss =
                    need.loss_ppm_max.filter(|_| is_said(Constraint::Loss { to: to.clone() }));
                let latency = latency.and_then(|asked| self.latency(task, to, asked));
                let bandwidth = bandwidth.and_then(|asked| self.bandwidth(task, to, asked));
                let loss = loss.and_then(|asked| self.loss(task, to, asked));
                let arrival = need.arrival.filter(|arrival| {
                    is_said(Constraint::Arrival { to: to.clone(), kib: arrival.kib })
                });
                let arrival = arrival.and_then(|asked| self.arrival(task, to, asked));
                [latency, bandwidth, loss, arrival].into_iter().flatten()
            })
            .collect()
    }

    fn latency(&self, task: &Task, to: &TaskId, asked: LatencyUs) -> Option<Alternative> {
        let would_do = |latency: LatencyUs| {
            self.is_possible_with(task, to, Limit::LatencyMs(Some(latency.as_ms())))
        };
        let values = self.values(|path| path.latency);
        let limit = longer(&values, asked, would_do)?;
        let (limit_ms, asked_ms) = (limit.as_ms(), asked.as_ms());
        Some(Alternative::Latency { to: to.clone(), limit_ms, asked_ms })
    }

    fn arrival(&self, task: &Task, to: &TaskId, asked: Arrival) -> Option<Alternative> {
        let would_do = |within: LatencyUs| {
            self.is_possible_with(task, to, Limit::ArrivesMs(Some(within.as_ms())))
        };
        let values = self.values(|path| path.arrival(asked.kib));
        let values: Vec<_> = values.into_iter().flatten().collect();
        let limit = longer(&values, asked.within, would_do)?;
        let (limit_ms, asked_ms) = (limit.as_ms(), asked.within.as_ms());
        Some(Alternative::Arrival { to: to.clone(), limit_ms, asked_ms })
    }

    fn bandwidth(&self, task: &Task, to: &TaskId, asked: u32) -> Option<Alternative> {
        let values = self.values(|path| path.rate_kbps);
        let less: Vec<_> = values.into_iter().rev().filter(|kbps| *kbps < asked).collect();
        let would_do =
            |kbps: &u32| self.is_possible_with(task, to, Limit::BandwidthKbps(Some(*kbps)));
        let limit_kbps = *first(&less, would_do)?;
        Some(Alternative::Bandwidth { to: to.clone(), limit_kbps, asked_kbps: asked })
    }

    fn loss(&self, task: &Task, to: &TaskId, asked: u32) -> Option<Alternative> {
        let values = self.values(|path| path.loss_ppm);
        let more: Vec<_> = values.into_iter().filter(|ppm| asked < *ppm).collect();
        let would_do =
            |ppm: &u32| self.is_possible_with(task, to, Limit::Loss(Some(f64::from(*ppm) / 1e6)));
        let limit_ppm = *first(&more, would_do)?;
        Some(Alternative::Loss { to: to.clone(), limit_ppm, asked_ppm: asked })
    }

    fn is_possible_with(&self, task: &Task, to: &TaskId, limit: Limit) -> bool {
        let mut workflow = self.workflow.clone();
        for one in workflow.tasks.iter_mut().filter(|one| one.id == task.id) {
            *one = one.limited(to, limit);
        }
        is_possible(self.view, &workflow, self.options)
    }

    /// All values that the paths of the contact plan have within the look-ahead, rising: only at one of them can the
    /// verdict change. Between two steps, where the worse of both counts in each respect, a value may be that of neither.
    fn values<T: Ord>(&self, of: impl Fn(&PathState) -> T) -> Vec<T> {
        let grid = World::new(self.view, self.workflow, self.options).grid;
        let steps = grid.first as usize..=grid.last as usize;
        let pairs = self.view.plan.pairs().iter().filter(|_| !grid.blind);
        let states = pairs.filter_map(|pair| pair.states.get(steps.clone()));
        let at_and_between = |states: &[Option<PathState>]| {
            let worse = |two: &[Option<PathState>]| Some(two[0]?.worse(two[1]?));
            let between: Vec<_> = states.windows(2).filter_map(worse).collect();
            states.iter().flatten().copied().chain(between).collect::<Vec<_>>()
        };
        let all: BTreeSet<T> = states.flat_map(at_and_between).map(|path| of(&path)).collect();
        all.into_iter().collect()
    }
}

/// The shortest of some times that is longer than what was asked for and would do, rounded up if that does, too.
fn longer(
    values: &[LatencyUs],
    asked: LatencyUs,
    would_do: impl Fn(LatencyUs) -> bool,
) -> Option<LatencyUs> {
    let longer: Vec<_> = values.iter().copied().filter(|value| asked < *value).collect();
    let least = first(&longer, |value| would_do(*value))?;
    // Whole milliseconds are easier to read, tenths for short ones.
    let unit_us = if least.0 < 10_000 { 100 } else { 1_000 };
    let round = least.0.checked_next_multiple_of(unit_us).map(LatencyUs);
    Some(round.filter(|round| would_do(*round)).unwrap_or(*least))
}

/// The first value that would do, if those after it do, too (else one that does, after one that does not).
fn first<T>(values: &[T], would_do: impl Fn(&T) -> bool) -> Option<&T> {
    let last = values.last().filter(|last| would_do(last))?;
    let before = values[..values.len() - 1].partition_point(|value| !would_do(value));
    Some(values.get(before).unwrap_or(last))
}

/// The ways from all nodes that could host a task, as far as time does not matter, to where an input of it could be.
struct Ways<'a> {
    need: LinkNeed,
    /// Whether both can be on one node.
    is_short: bool,
    series: Vec<&'a PairSeries>,
}

impl<'a> Ways<'a> {
    /// One for each input; `None` if some task has no host at any time, or none that those it goes with and keeps apart
    /// from would allow.
    fn all(world: &World<'a>) -> Option<Vec<Self>> {
        let workflow = world.workflow;
        let mut all = vec![];
        for task in &workflow.tasks {
            let hosts = hosts(world, task);
            if hosts.is_empty() {
                return None;
            }
            if !Self::can_be_with(world, task, &hosts) {
                return None;
            }
            for (to, need) in inputs(task) {
                let source = workflow.sources.iter().find(|source| source.name == *to);
                let peers = match source {
                    Some(source) => vec![&source.node],
                    None => workflow.task(to).map(|task| self::hosts(world, task))?,
                };
                let is_short = hosts.iter().any(|host| peers.contains(host));
                let pair = |a: &NodeId, b: &NodeId| world.view.plan.pair(a, b);
                let pairs = hosts.iter().flat_map(|a| peers.iter().map(move |b| (*a, *b)));
                let series = pairs.filter_map(|(a, b)| pair(a, b)).collect();
                all.push(Self { need, is_short, series });
            }
        }
        Some(all)
    }

    /// Whether, for each task that one goes with or keeps apart from, some pair of their hosts would do.
    fn can_be_with(world: &World<'a>, task: &Task, hosts: &[&'a NodeId]) -> bool {
        let peers =
            |to: &TaskId| world.workflow.task(to).map_or(vec![], |task| self::hosts(world, task));
        let meets = |to: &TaskId| peers(to).iter().any(|peer| hosts.contains(peer));
        let parts = |to: &TaskId| peers(to).iter().any(|peer| hosts.iter().any(|one| one != peer));
        task.with.iter().all(meets) && task.apart.iter().all(parts)
    }

    fn is_open(&self, step: u32) -> bool {
        let serves = |series: &&PairSeries| {
            let state = series.states.get(step as usize).copied().flatten();
            state.is_some_and(|path| self.need.is_met_by(&path))
        };
        self.is_short || self.series.iter().any(serves)
    }
}

/// The nodes that can host a task as far as time does not matter.
fn hosts<'a>(world: &World<'a>, task: &Task) -> Vec<&'a NodeId> {
    let could = |node: &&&'a NodeView| {
        node.alive
            && task.pinned.as_ref().is_none_or(|pinned| *pinned == node.id)
            && (task.kinds.is_empty() || task.kinds.contains(&node.kind))
            && task.milli_cpu <= node.capacity.milli_cpu
            && task.memory_mib <= node.capacity.memory_mib
            && world.data_refusal(node, task).is_none()
    };
    world.nodes.iter().filter(could).map(|node| &node.id).collect()
}
