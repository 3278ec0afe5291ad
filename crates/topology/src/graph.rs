//! A network at one instant, and the shortest paths in it.

use serde::{Deserialize, Serialize};
use types::LatencyUs;

use crate::search::PathSearch;

/// Longest delay of one link in microseconds: what [`LatencyUs`] can hold, 71 minutes.
pub const DELAY_US_MAX: f64 = u32::MAX as f64;
/// A loss of everything, in parts per million.
pub const LOSS_PPM_MAX: u32 = 1_000_000;

/// Marks a node that no path has reached.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// A node of a graph, counted from 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct NodeIx(pub u32);

impl NodeIx {
    /// The number as an index into a slice.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A connection of two nodes, usable in both directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// One end.
    pub a: NodeIx,
    /// The other end.
    pub b: NodeIx,
    /// One-way delay in microseconds, 0 to [`DELAY_US_MAX`].
    pub delay_us: f64,
    /// What it carries, in kbit/s; at least 1.
    pub rate_kbps: u32,
    /// What it loses, in parts per million, 0 to [`LOSS_PPM_MAX`].
    pub loss_ppm: u32,
}

/// What a path offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathState {
    /// One-way latency: the sum over the links, to the nearest microsecond.
    pub latency: LatencyUs,
    /// The rate of the narrowest link, in kbit/s; `u32::MAX` where there is no link to pass.
    pub rate_kbps: u32,
    /// The loss of all links together, in parts per million.
    pub loss_ppm: u32,
    /// Links passed.
    pub hops: u16,
}

impl PathState {
    /// The path of a node to itself.
    pub const NONE_NEEDED: Self =
        Self { latency: LatencyUs(0), rate_kbps: u32::MAX, loss_ppm: 0, hops: 0 };

    /// How long it takes until so many KiB are there: the latency, and their bits at the rate, rounded up to the next
    /// microsecond. `None` where nothing passes, or where that is longer than a [`LatencyUs`] can say.
    pub fn arrival(&self, kib: u32) -> Option<LatencyUs> {
        if self.rate_kbps == 0 {
            return None;
        }
        // Bits by kbit/s are milliseconds.
        let sending_us = (u64::from(kib) * 8192 * 1000).div_ceil(u64::from(self.rate_kbps));
        u32::try_from(u64::from(self.latency.0) + sending_us).ok().map(LatencyUs)
    }

    /// The worse of the two in each respect.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        Self {
            latency: self.latency.max(other.latency),
            rate_kbps: self.rate_kbps.min(other.rate_kbps),
            loss_ppm: self.loss_ppm.max(other.loss_ppm),
            hops: self.hops.max(other.hops),
        }
    }
}

/// Links that make no graph.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GraphError {
    /// More nodes than numbers for them.
    #[error("a graph of {nodes} nodes is larger than {max} nodes")]
    TooManyNodes {
        /// The wanted number of nodes.
        nodes: usize,
        /// The largest possible one.
        max: u32,
    },
    /// A link to a node that does not exist.
    #[error("link {link} ends at node {node}, but the graph has {nodes} nodes (0 to {nodes} - 1)")]
    UnknownNode {
        /// The position of the link.
        link: usize,
        /// The node at fault.
        node: u32,
        /// How many nodes there are.
        nodes: usize,
    },
    /// A link from a node to itself.
    #[error("link {link} joins node {node} to itself; a link joins two nodes")]
    Loop {
        /// The position of the link.
        link: usize,
        /// The node at fault.
        node: u32,
    },
    /// A number that no link can have.
    #[error("link {link}: {field} {value} is outside {range}")]
    OutOfRange {
        /// The position of the link.
        link: usize,
        /// The field at fault.
        field: &'static str,
        /// The refused number.
        value: f64,
        /// The allowed range in words.
        range: &'static str,
    },
    /// Not one jitter per link.
    #[error("{numbers} numbers of jitter do not fit {links} links; there must be one per link")]
    JitterCount {
        /// The numbers given.
        numbers: usize,
        /// The links of the graph.
        links: usize,
    },
}

/// A network at one instant: compressed sparse rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    links: Vec<Link>,
    /// Where the row of each node begins in `ends`; one entry more than there are nodes.
    rows: Vec<u32>,
    ends: Vec<End>,
    /// By link; `None` where it is not known.
    jitter_us: Option<Box<[f64]>>,
    /// The mean delay of the links, and the longest.
    delay_span_us: (f64, f64),
}

/// One direction of a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct End {
    pub(crate) to: u32,
    pub(crate) link: u32,
    pub(crate) delay_us: f64,
}

impl Default for Graph {
    /// No node and no link.
    fn default() -> Self {
        Self {
            links: Vec::new(),
            rows: vec![0],
            ends: Vec::new(),
            jitter_us: None,
            delay_span_us: (0.0, 0.0),
        }
    }
}

impl Graph {
    /// Builds a graph of `nodes` nodes. Parallel links are allowed; the order of the links decides ties only.
    ///
    /// # Errors
    /// [`GraphError`] for the first link that joins a node to itself or to one that does not exist, or
    /// has a number outside its range.
    pub fn new(nodes: usize, links: &[Link]) -> Result<Self, GraphError> {
        let mut graph = Self::default();
        graph.rebuild(nodes, links)?;
        Ok(graph)
    }

    /// Makes this graph the one that [`Graph::new`] would build, in the memory that it holds already.
    ///
    /// # Errors
    /// As [`Graph::new`]; the graph stays as it was then.
    pub fn rebuild(&mut self, nodes: usize, links: &[Link]) -> Result<(), GraphError> {
        let is_numbered = u32::try_from(nodes).is_ok_and(|nodes| nodes < NOWHERE);
        if !is_numbered || NOWHERE as usize / 2 <= links.len() {
            return Err(GraphError::TooManyNodes {
                nodes: nodes.max(links.len()),
                max: NOWHERE - 1,
            });
        }
        for (at, link) in links.iter().enumerate() {
            check_link(at, link, nodes)?;
        }
        self.links.clear();
        self.links.extend_from_slice(links);
        self.jitter_us = None;
        self.delay_span_us = delay_span_us(links);
        self.fill_rows(nodes);
        Ok(())
    }

    /// Sorts both directions of each link by the node where they begin, in the order of the links (counting sort).
    fn fill_rows(&mut self, nodes: usize) {
        let Self { links, rows, ends, .. } = self;
        rows.clear();
        rows.resize(nodes + 2, 0);
        // Counted two places up: after the sums a row's place holds its begin, and after the filling its end, which is
        // the begin of the next one.
        for link in links.iter() {
            rows[link.a.index() + 2] += 1;
            rows[link.b.index() + 2] += 1;
        }
        for node in 0..nodes {
            rows[node + 2] += rows[node + 1];
        }
        ends.resize(links.len() * 2, End { to: 0, link: 0, delay_us: 0.0 });
        for (at, link) in (0_u32..).zip(links.iter()) {
            for (from, to) in [(link.a, link.b), (link.b, link.a)] {
                let slot = &mut rows[from.index() + 1];
                ends[*slot as usize] = End { to: to.0, link: at, delay_us: link.delay_us };
                *slot += 1;
            }
        }
        rows.truncate(nodes + 1);
    }

    pub(crate) fn delay_span_us(&self) -> (f64, f64) {
        self.delay_span_us
    }

    /// The same graph, of whose links also the jitter is known: how much later than usual a packet comes at worst,
    /// microseconds, by link. Without it no route can be asked for by jitter.
    ///
    /// # Errors
    /// [`GraphError`] unless there is one number per link, each in the range of a delay.
    pub fn with_jitter(mut self, jitter_us: &[f64]) -> Result<Self, GraphError> {
        if jitter_us.len() != self.links.len() {
            let (numbers, links) = (jitter_us.len(), self.links.len());
            return Err(GraphError::JitterCount { numbers, links });
        }
        let wrong = jitter_us.iter().position(|jitter| !(0.0..=DELAY_US_MAX).contains(jitter));
        if let Some(link) = wrong {
            let (field, range) = ("jitter_us", "0 to 4294967295");
            return Err(GraphError::OutOfRange { link, field, value: jitter_us[link], range });
        }
        self.jitter_us = Some(jitter_us.into());
        Ok(self)
    }

    /// The jitter of a link, by its position, microseconds; `None` where it is not known.
    pub fn jitter_us(&self, link: usize) -> Option<f64> {
        self.jitter_us.as_ref()?.get(link).copied()
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.rows.len() - 1
    }

    /// The links, in the order in which they were given.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The neighbours of a node, each with its link, in the order of the links.
    pub fn links_of(&self, node: NodeIx) -> impl Iterator<Item = (NodeIx, &Link)> {
        self.row(node.0).iter().map(|end| (NodeIx(end.to), &self.links[end.link as usize]))
    }

    pub(crate) fn row(&self, node: u32) -> &[End] {
        let row = node as usize;
        match (self.rows.get(row), self.rows.get(row + 1)) {
            (Some(from), Some(to)) => &self.ends[*from as usize..*to as usize],
            _ => &[],
        }
    }

    /// The shortest path by delay from one node to each other (E. W. Dijkstra, 1959).
    ///
    /// Among paths of equal delay the one whose last step comes from the lower node wins, so the result
    /// does not depend on the order of the links between different nodes. A `from` outside the graph
    /// reaches nothing.
    pub fn shortest_paths(&self, from: NodeIx) -> PathTree {
        let mut search = PathSearch::default();
        search.start(self, from, None);
        search.finish(self);
        search.into_tree(self)
    }
}

/// The mean delay and the longest.
fn delay_span_us(links: &[Link]) -> (f64, f64) {
    let delays = || links.iter().map(|link| link.delay_us);
    #[expect(clippy::cast_precision_loss, reason = "a number of links")]
    let count = links.len().max(1) as f64;
    (delays().sum::<f64>() / count, delays().fold(0.0, f64::max))
}

fn check_link(at: usize, link: &Link, nodes: usize) -> Result<(), GraphError> {
    for end in [link.a, link.b] {
        if nodes <= end.index() {
            return Err(GraphError::UnknownNode { link: at, node: end.0, nodes });
        }
    }
    if link.a == link.b {
        return Err(GraphError::Loop { link: at, node: link.a.0 });
    }
    let refuse =
        |field, value, range| Err(GraphError::OutOfRange { link: at, field, value, range });
    if !(0.0..=DELAY_US_MAX).contains(&link.delay_us) {
        return refuse("delay_us", link.delay_us, "0 to 4294967295");
    }
    if link.rate_kbps == 0 {
        return refuse("rate_kbps", 0.0, "1 to 4294967295");
    }
    if LOSS_PPM_MAX < link.loss_ppm {
        return refuse("loss_ppm", f64::from(link.loss_ppm), "0 to 1000000");
    }
    Ok(())
}

/// The shortest paths from one node to all others.
#[derive(Clone, Debug, PartialEq)]
pub struct PathTree {
    pub(crate) from: NodeIx,
    pub(crate) delay_us: Vec<f64>,
    pub(crate) last: Vec<Step>,
}

/// The last step of a path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) from: u32,
    pub(crate) rate_kbps: u32,
    pub(crate) loss_ppm: u32,
}

impl PathTree {
    /// Where the paths begin.
    pub fn from(&self) -> NodeIx {
        self.from
    }

    /// The delay to a node in microseconds, unrounded; `None` where no path leads.
    pub fn delay_us(&self, to: NodeIx) -> Option<f64> {
        self.delay_us.get(to.index()).copied().filter(|delay_us| delay_us.is_finite())
    }

    /// What the path to a node offers; `None` where no path leads.
    pub fn state_to(&self, to: NodeIx) -> Option<PathState> {
        let delay_us = self.delay_us(to)?;
        let mut state = PathState { latency: rounded(delay_us), ..PathState::NONE_NEEDED };
        // kept = product of (1 - loss) over the links.
        let mut kept = 1.0;
        for step in self.steps_back(to) {
            state.rate_kbps = state.rate_kbps.min(step.rate_kbps);
            state.hops = state.hops.saturating_add(1);
            kept *= 1.0 - f64::from(step.loss_ppm) / f64::from(LOSS_PPM_MAX);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a product of numbers from 0 to 1 stays there"
        )]
        {
            state.loss_ppm = ((1.0 - kept) * f64::from(LOSS_PPM_MAX)).round() as u32;
        }
        Some(state)
    }

    /// The nodes of the path, both ends included; `None` where no path leads.
    pub fn path_to(&self, to: NodeIx) -> Option<Vec<NodeIx>> {
        self.delay_us(to)?;
        let mut path = vec![to];
        path.extend(self.steps_back(to).map(|step| NodeIx(step.from)));
        path.reverse();
        Some(path)
    }

    fn steps_back(&self, to: NodeIx) -> impl Iterator<Item = Step> {
        let step = |node: u32| self.last.get(node as usize).copied();
        std::iter::successors(step(to.0), move |last| step(last.from))
            .take_while(|last| last.from != NOWHERE)
    }
}

fn rounded(delay_us: f64) -> LatencyUs {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a sum of delays that are not negative; a path beyond 71 minutes saturates"
    )]
    LatencyUs((delay_us + 0.5) as u32)
}
