//! The shortest route that keeps loss and jitter within limits, by exact label setting.
//!
//! A label is a partial route: delay, share of packets kept, jitter. One that is no better than another at the same node in any respect
//! is dropped (dominance), and so is one that cannot be completed within the limits, which shortest paths from the goals by each
//! respect tell beforehand. The problem is NP-hard, hence [`LABELS_MAX`].

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{NoRoute, Route, RouteNeed, kept_by, lost};
use crate::graph::{Graph, NOWHERE, NodeIx};

/// Most partial routes that a search looks at: some 100 MB. Limits that bind hard in networks of thousands of nodes take some
/// hundred thousand.
pub const LABELS_MAX: usize = 1_000_000;

/// Most comparisons of two labels: about a second, however many labels meet at one node.
pub const COMPARISONS_MAX: usize = 500_000_000;

/// How much limits are widened where they only tell what is not worth looking at, so that rounding drops nothing.
const SLACK: f64 = 1.0e-9;

#[derive(Clone, Copy, Debug)]
struct Label {
    node: u32,
    before: u32,
    link: u32,
    delay_us: f64,
    kept: f64,
    jitter_us: f64,
}

/// The least that is left to go from each node, in one respect each.
struct Left {
    delay_us: Vec<f64>,
    /// -ln of the share of packets kept.
    loss: Vec<f64>,
    jitter_us: Vec<f64>,
}

struct LabelSearch<'a> {
    graph: &'a Graph,
    need: &'a RouteNeed,
    left: Left,
    labels: Vec<Label>,
    /// The labels that hold at each node.
    held: Vec<Vec<u32>>,
    open: BinaryHeap<Reverse<(u64, u32, u32)>>,
    comparisons: usize,
}

/// The shortest route to any of the goals that meets the need. All nodes exist, jitter is known where it is needed.
pub(super) fn find(
    graph: &Graph,
    from: NodeIx,
    goals: &[NodeIx],
    need: &RouteNeed,
) -> Result<Route, NoRoute> {
    let mut search = LabelSearch {
        graph,
        need,
        left: Left::of(graph, goals, need),
        labels: Vec::new(),
        held: vec![Vec::new(); graph.node_count()],
        open: BinaryHeap::new(),
        comparisons: 0,
    };
    let (before, link) = (NOWHERE, NOWHERE);
    let node = from.0;
    search.hold(Label { node, before, link, delay_us: 0.0, kept: 1.0, jitter_us: 0.0 });
    search.run(from, goals)
}

impl LabelSearch<'_> {
    fn run(&mut self, from: NodeIx, goals: &[NodeIx]) -> Result<Route, NoRoute> {
        while let Some(Reverse((_, node, number))) = self.open.pop() {
            if !self.held[node as usize].contains(&number) {
                continue;
            }
            let label = self.labels[number as usize];
            if goals.contains(&NodeIx(node)) {
                return Ok(Route::along(self.graph, from, &self.links_to(label)));
            }
            for end in self.graph.row(node) {
                self.extend(number, label, end.to, end.link);
            }
            if LABELS_MAX < self.labels.len() || COMPARISONS_MAX < self.comparisons {
                return Err(NoRoute::Undecided { labels: self.labels.len() });
            }
        }
        Err(NoRoute::NeedUnmet)
    }

    fn extend(&mut self, before: u32, label: Label, node: u32, link: u32) {
        let over = &self.graph.links()[link as usize];
        if self.need.rate_kbps_min.is_some_and(|min| over.rate_kbps < min) {
            return;
        }
        let mut next = Label { node, before, link, ..label };
        next.delay_us += over.delay_us;
        // What nobody asks for is the same for all, so that it tells no labels apart.
        if self.need.loss_ppm_max.is_some() {
            next.kept *= kept_by(over.loss_ppm);
        }
        if self.need.jitter_us_max.is_some() {
            next.jitter_us += self.graph.jitter_us(link as usize).unwrap_or(0.0);
        }
        if self.within_limits(&next) && self.can_be_completed(&next) {
            self.hold(next);
        }
    }

    fn within_limits(&self, label: &Label) -> bool {
        self.need.latency_us_max.is_none_or(|max| label.delay_us <= max)
            && self.need.loss_ppm_max.is_none_or(|max| lost(label.kept) <= max)
            && self.need.jitter_us_max.is_none_or(|max| label.jitter_us <= max)
    }

    fn can_be_completed(&self, label: &Label) -> bool {
        let node = label.node as usize;
        let fits = |sum: f64, max: f64| sum <= max + SLACK * (1.0 + max.abs());
        self.left.delay_us[node].is_finite()
            && self
                .need
                .latency_us_max
                .is_none_or(|max| fits(label.delay_us + self.left.delay_us[node], max))
            && self
                .need
                .jitter_us_max
                .is_none_or(|max| fits(label.jitter_us + self.left.jitter_us[node], max))
            && self.need.loss_ppm_max.is_none_or(|max| {
                let kept_min = 1.0 - max / 1.0e6;
                let kept = label.kept * (-self.left.loss[node]).exp();
                kept_min - SLACK <= kept
            })
    }

    /// Keeps a label unless another at its node is as good; drops those that are no better than it.
    fn hold(&mut self, label: Label) {
        let labels = &self.labels;
        let held = &mut self.held[label.node as usize];
        self.comparisons += 2 * held.len();
        if held.iter().any(|other| labels[*other as usize].covers(&label)) {
            return;
        }
        held.retain(|other| !label.covers(&labels[*other as usize]));
        let number = u32::try_from(self.labels.len()).unwrap_or(NOWHERE);
        held.push(number);
        self.labels.push(label);
        // As in A*: never more than what is left to go, whatever the rounding.
        let left_us = (self.left.delay_us[label.node as usize] * (1.0 - SLACK) - 1.0e-6).max(0.0);
        self.open.push(Reverse(((label.delay_us + left_us).to_bits(), label.node, number)));
    }

    fn links_to(&self, label: Label) -> Vec<u32> {
        let before = |label: &Label| self.labels.get(label.before as usize).copied();
        let mut links: Vec<u32> = std::iter::successors(Some(label), before)
            .map(|label| label.link)
            .filter(|link| *link != NOWHERE)
            .collect();
        links.reverse();
        links
    }
}

impl Label {
    fn covers(&self, other: &Self) -> bool {
        self.delay_us <= other.delay_us
            && other.kept <= self.kept
            && self.jitter_us <= other.jitter_us
    }
}

impl Left {
    fn of(graph: &Graph, goals: &[NodeIx], need: &RouteNeed) -> Self {
        let none = || vec![0.0; graph.node_count()];
        let links = graph.links();
        Self {
            delay_us: least(graph, goals, need, |link| links[link].delay_us),
            loss: match need.loss_ppm_max {
                Some(_) => least(graph, goals, need, |link| -kept_by(links[link].loss_ppm).ln()),
                None => none(),
            },
            jitter_us: match need.jitter_us_max {
                Some(_) => least(graph, goals, need, |link| graph.jitter_us(link).unwrap_or(0.0)),
                None => none(),
            },
        }
    }
}

/// The least sum of `cost` from each node to any goal, over links of the needed rate; infinite where no path leads.
fn least(
    graph: &Graph,
    goals: &[NodeIx],
    need: &RouteNeed,
    cost: impl Fn(usize) -> f64,
) -> Vec<f64> {
    let mut sums = vec![f64::INFINITY; graph.node_count()];
    let mut open = BinaryHeap::new();
    for goal in goals {
        sums[goal.index()] = 0.0;
        open.push(Reverse((0.0_f64.to_bits(), goal.0)));
    }
    while let Some(Reverse((bits, node))) = open.pop() {
        if sums[node as usize].to_bits() < bits {
            continue;
        }
        for end in graph.row(node) {
            let link = end.link as usize;
            let narrow = need.rate_kbps_min.is_some_and(|min| graph.links()[link].rate_kbps < min);
            // A cost of -0.0, the logarithm of 1, would have the bits of a huge number.
            let through = f64::from_bits(bits) + cost(link) + 0.0;
            if !narrow && through < sums[end.to as usize] {
                sums[end.to as usize] = through;
                open.push(Reverse((through.to_bits(), end.to)));
            }
        }
    }
    sums
}
