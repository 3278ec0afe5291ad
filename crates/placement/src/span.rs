//! How long a node would meet the needs of a task: links to where its inputs are at each time, the tasks that it goes with
//! or keeps apart from, battery and temperature, one scan over the grid.

use topology::{ContactWindow, PairSeries, PairState, SunSeries, window_id};
use types::{Epoch, LatencyUs, NodeId, TaskId};

use crate::body::Body;
use crate::constraint::{Constraint, NodeRefusal, Tie, ties};
use crate::view::NodeView;
use crate::workflow::Task;
use crate::world::World;

/// Where a task is in the time ahead.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Itinerary<'a> {
    /// Hosts, each from a step on; the first from the beginning of the grid.
    pub(crate) stays: Vec<(u32, &'a NodeId)>,
    /// The last step of which this is known; after it the last host is a guess.
    pub(crate) known_until: u32,
}

/// Why a span ends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    /// The look-ahead ends first.
    Horizon,
    /// This fails then.
    Fails(NodeRefusal),
    /// This would fail then, if the predecessor stayed where it was last known to be.
    Guess(NodeRefusal),
}

/// A run of steps at which a node meets all needs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span<'a> {
    /// The step that was asked for.
    pub(crate) from: u32,
    /// The last step that meets all needs.
    pub(crate) last: u32,
    /// Why no later one does.
    pub(crate) ending: Ending,
    /// The track that fails first, or else the first input, and the node at its other end; `None` where none decides.
    binding: Option<(usize, &'a NodeId)>,
}

impl Span<'_> {
    /// The step by which the task must be gone: the guard before a known end.
    pub(crate) fn leave_by(&self, guard: u32) -> Option<u32> {
        match self.ending {
            Ending::Fails(_) => self.guarded(guard),
            Ending::Horizon | Ending::Guess(_) => None,
        }
    }

    /// The guard before the end. Who shares the node of another task leaves when that one does, no sooner: that move has
    /// its guard already.
    pub(crate) fn guarded(&self, guard: u32) -> Option<u32> {
        let goes_with =
            |refusal: &NodeRefusal| matches!(refusal.constraint, Constraint::With { .. });
        let guard = if self.failure().is_some_and(goes_with) { 0 } else { guard };
        self.last.checked_sub(guard)
    }

    /// What fails at its end.
    pub(crate) fn failure(&self) -> Option<&NodeRefusal> {
        match &self.ending {
            Ending::Fails(refusal) | Ending::Guess(refusal) => Some(refusal),
            Ending::Horizon => None,
        }
    }
}

/// One node considered for one task.
#[derive(Clone, Debug)]
pub(crate) struct Prospect<'w, 'a> {
    world: &'w World<'a>,
    node: &'a NodeView,
    tracks: Vec<Track<'a>>,
    /// The light on the node, where the plan knows it.
    sun: Option<&'a SunSeries>,
    /// Watts of everything but the task.
    base_w: f64,
    /// Watts of the task.
    task_w: f64,
}

/// The way to one input, or to a task that it goes with or keeps apart from, over time.
#[derive(Clone, Debug)]
struct Track<'a> {
    to: &'a TaskId,
    tie: Tie,
    /// Largest change of the latency from one step to the next.
    jitter_max: Option<LatencyUs>,
    known_until: u32,
    legs: Vec<Leg<'a>>,
}

/// The way to one host of the other end, from a step on.
#[derive(Clone, Copy, Debug)]
struct Leg<'a> {
    from: u32,
    peer: &'a NodeId,
    /// `None` for a pair that the plan does not have, or for one and the same node.
    series: Option<&'a PairSeries>,
}

impl<'w, 'a> Prospect<'w, 'a> {
    /// `itinerary_of` tells where the tasks before it are; `base_w` is what other tasks draw on the node.
    pub(crate) fn new<'i>(
        world: &'w World<'a>,
        task: &'a Task,
        node: &'a NodeView,
        base_w: f64,
        itinerary_of: impl Fn(&TaskId) -> Option<&'i Itinerary<'a>>,
    ) -> Self
    where
        'a: 'i,
    {
        let track = |(to, tie): (&'a TaskId, Tie)| {
            let leg = |(from, peer): (u32, &'a NodeId)| {
                let series = world.view.plan.pair(&node.id, peer);
                Leg { from, peer, series: series.filter(|_| !world.grid.blind) }
            };
            let source = world.workflow.sources.iter().find(|source| source.name == *to);
            let (legs, known_until) = match (source, itinerary_of(to)) {
                (Some(source), _) => (vec![leg((0, &source.node))], u32::MAX),
                (None, Some(itinerary)) => {
                    (itinerary.stays.iter().copied().map(leg).collect(), itinerary.known_until)
                }
                (None, None) => (vec![], u32::MAX),
            };
            let need = tie.path().and_then(|_| task.needs().find(|need| need.to == to));
            let jitter_max = need.and_then(|need| need.jitter_max());
            Track { to, tie, jitter_max, known_until, legs }
        };
        let tracks = ties(task).map(track).collect();
        let base_w = base_w + node.idle_w;
        let sun = world.view.plan.sun_on(&node.id);
        Self { world, node, tracks, sun, base_w, task_w: task.watts }
    }

    /// The node.
    pub(crate) fn node(&self) -> &'a NodeView {
        self.node
    }

    /// How long the needs are met from a step on, at which the task begins there.
    ///
    /// From the beginning of the grid they must be met until after now, or else they are not met now.
    ///
    /// # Errors
    /// The first thing that fails, when it fails at the start.
    pub(crate) fn scan(&self, from: u32) -> Result<Span<'a>, NodeRefusal> {
        let grid = self.world.grid;
        let load_w = self.base_w + self.task_w;
        let start = if from == grid.first { [from, grid.soon] } else { [from, from] };
        if let Some((refusal, _)) = self.broken(from, start, start[0]) {
            return Err(refusal);
        }
        let mut body = self.body_at(from);
        if let Some(refusal) = body.refusal(self.world.time_of(from)) {
            return Err(refusal);
        }
        let mut last = from;
        while last < grid.last {
            body = self.advanced(body, last + 1, load_w);
            match self.failure_after(last, &body) {
                Some((refusal, _)) if last < grid.soon => return Err(refusal),
                Some((refusal, binding)) => {
                    let known_until =
                        binding.map_or(u32::MAX, |(at, _)| self.tracks[at].known_until);
                    let ending = if known_until <= last {
                        Ending::Guess(refusal)
                    } else {
                        Ending::Fails(refusal)
                    };
                    return Ok(Span { from, last, ending, binding });
                }
                None => last += 1,
            }
        }
        let first_path = self.tracks.iter().position(|track| track.tie.path().is_some());
        let leg = |track: usize| Leg::after(&self.tracks[track].legs, last);
        let binding = first_path.and_then(|track| Some((track, leg(track)?.peer)));
        Ok(Span { from, last, ending: Ending::Horizon, binding })
    }

    /// What fails between a step and the next: an input that moves away, a link, a task that it goes with or keeps apart
    /// from, the node itself.
    fn failure_after(
        &self,
        step: u32,
        body: &Body<'_>,
    ) -> Option<(NodeRefusal, Option<(usize, &'a NodeId)>)> {
        if let Some((refusal, track)) = self.broken(step, [step, step], step) {
            // Its former host is the one that was in contact until then.
            let leg = Leg::before(&self.tracks[track].legs, step);
            return Some((refusal, self.bound(track, leg)));
        }
        if let Some((refusal, track)) = self.broken(step, [step, step + 1], step + 1) {
            let leg = Leg::after(&self.tracks[track].legs, step);
            return Some((refusal, self.bound(track, leg)));
        }
        let at = self.world.time_of(step + 1);
        body.refusal(at).map(|refusal| (refusal, None))
    }

    /// A track that fails, and its other end; where no path is asked for, the node itself.
    fn bound(&self, track: usize, leg: Option<Leg<'a>>) -> Option<(usize, &'a NodeId)> {
        let asks_for_path = self.tracks[track].tie.path().is_some();
        let peer = if asks_for_path { leg?.peer } else { &self.node.id };
        Some((track, peer))
    }

    /// The first tie that fails at either of two steps (the worse of both counts, as in the contact
    /// plan), and its track, for other ends that are where they are from `hosts_from` on; said of the step `said_of`.
    fn broken(
        &self,
        hosts_from: u32,
        steps: [u32; 2],
        said_of: u32,
    ) -> Option<(NodeRefusal, usize)> {
        let at = self.world.time_of(said_of);
        self.tracks.iter().enumerate().find_map(|(index, track)| {
            let leg = Leg::after(&track.legs, hosts_from);
            Some((self.objection(track, leg, steps, at)?, index))
        })
    }

    /// What a track says against the node over two steps.
    fn objection(
        &self,
        track: &Track<'a>,
        leg: Option<Leg<'a>>,
        steps: [u32; 2],
        at: Epoch,
    ) -> Option<NodeRefusal> {
        let me = &self.node.id;
        let state = leg.map_or(PairState::Outside, |leg| leg.state_over(me, steps));
        let refusal = track.tie.refusal((me, at), track.to, leg.map(|leg| leg.peer), state);
        refusal.or_else(|| self.jitter(track, leg?, steps, at))
    }

    /// That the latency of a path changes by too much between two steps.
    fn jitter(
        &self,
        track: &Track<'a>,
        leg: Leg<'a>,
        steps: [u32; 2],
        at: Epoch,
    ) -> Option<NodeRefusal> {
        let max = track.jitter_max?;
        let [before, after] = steps.map(|step| leg.state(&self.node.id, step).path());
        let change = LatencyUs(before?.latency.0.abs_diff(after?.latency.0));
        let constraint = Constraint::Jitter { to: track.to.clone() };
        (max < change).then(|| NodeRefusal {
            value: change.as_ms(),
            limit: max.as_ms(),
            unit: "ms",
            ..NodeRefusal::plain(&self.node.id, constraint, at)
        })
    }

    fn body_at(&self, from: u32) -> Body<'a> {
        let first = self.world.grid.first;
        let task_w = if from == first { self.task_w } else { 0.0 };
        let body = Body::new(self.node, self.base_w + task_w);
        (first + 1..=from).fold(body, |body, step| self.advanced(body, step, self.base_w))
    }

    /// The body one step later; without look-ahead as it is.
    fn advanced(&self, body: Body<'a>, step: u32, load_w: f64) -> Body<'a> {
        if !self.world.grid.ahead || body.is_unlimited() {
            return body;
        }
        let (from, to) = (self.world.time_of(step - 1), self.world.time_of(step));
        // Where the light is not known, it is dark.
        let sunlit = self.sun.map_or(0.0, |sun| {
            let at = |step: u32| f64::from(sun.sunlit[step as usize]);
            at(step - 1).midpoint(at(step))
        });
        body.after(to.seconds_since(from), load_w, sunlit)
    }

    /// The longest latency to an input, now or at a later step; `None` without inputs.
    pub(crate) fn latency_at(&self, step: u32) -> Option<LatencyUs> {
        let grid = self.world.grid;
        let steps = if step <= grid.soon { [grid.first, grid.soon] } else { [step, step] };
        let paths = self.tracks.iter().filter(|track| track.tie.path().is_some());
        let latencies = paths.filter_map(|track| {
            let leg = Leg::after(&track.legs, steps[0])?;
            leg.state_over(&self.node.id, steps).path().map(|path| path.latency)
        });
        latencies.max()
    }

    /// The window of a span: its pair is the node and the neighbour whose path fails first.
    pub(crate) fn window(&self, span: &Span<'_>) -> ContactWindow {
        let plan = self.world.view.plan;
        let me = &self.node.id;
        let track = span.binding.map(|(at, _)| &self.tracks[at]);
        let peer = span.binding.map_or(me, |(_, peer)| peer);
        let track = track.filter(|track| track.tie.path().is_some());
        let need = track.and_then(|track| track.tie.path()).copied().unwrap_or_default();
        let first = self.opened(span.from);
        let latency_max = (first..=span.last).filter_map(|step| {
            let leg = Leg::after(&track?.legs, step)?;
            leg.state(me, step).path().map(|path| path.latency)
        });
        let close = plan.time_of(span.last);
        let (a, b) = if me <= peer { (me, peer) } else { (peer, me) };
        ContactWindow {
            id: window_id(a, b, &need, close),
            a: a.clone(),
            b: b.clone(),
            open: plan.time_of(first),
            close,
            open_known: 0 < first,
            close_known: matches!(span.ending, Ending::Fails(_)),
            latency_max: latency_max.max().unwrap_or_default(),
        }
    }

    /// The first step from which on all ties held until `from`.
    fn opened(&self, from: u32) -> u32 {
        let held = |step: &u32| {
            // Between a step and the next the hosts of the former count, at both ends.
            self.tracks.iter().all(|track| {
                let leg = Leg::after(&track.legs, *step);
                self.objection(track, leg, [*step, *step + 1], self.world.time_of(*step)).is_none()
            })
        };
        (0..from).rev().take_while(held).last().unwrap_or(from)
    }
}

impl<'a> Leg<'a> {
    /// The leg that was in force just before a step.
    fn before(legs: &[Self], step: u32) -> Option<Self> {
        legs.iter().rev().find(|leg| leg.from < step).or_else(|| legs.first()).copied()
    }

    /// The leg that is in force from a step on.
    fn after(legs: &[Self], step: u32) -> Option<Self> {
        legs.iter().rev().find(|leg| leg.from <= step).or_else(|| legs.first()).copied()
    }

    /// The worse of the states at two steps.
    fn state_over(&self, node: &NodeId, steps: [u32; 2]) -> PairState {
        match steps.map(|step| self.state(node, step)) {
            [PairState::Path(one), PairState::Path(other)] => PairState::Path(one.worse(other)),
            [PairState::Path(_), worse] => worse,
            [worse, _] => worse,
        }
    }

    fn state(&self, node: &NodeId, step: u32) -> PairState {
        if node == self.peer {
            return PairState::Same;
        }
        match self.series.and_then(|series| series.states.get(step as usize)) {
            Some(Some(path)) => PairState::Path(*path),
            Some(None) => PairState::Down,
            None => PairState::Outside,
        }
    }
}
