//! The future of single links: when two nodes see each other, at what rate, and how far apart they are then.
//!
//! [`crate::plan`] holds the best *paths* of the nodes that run an agent; this is what the sky offers underneath, link by
//! link, for any number of satellites: what store-and-forward routing, the belt and other stacks (ION, BPv7) read.

mod check;
mod export;
mod file;
mod refresh;
mod view;

use types::Epoch;

pub use check::{HORIZON_S_MAX, LinkPlanError, NODES_MAX};
pub use export::{to_csv, to_ion};
pub use file::{FORMAT_VERSION, encode};
pub use refresh::RefreshError;
pub use view::{LinkPlanView, PlanFileError, WindowView};

use crate::graph::{DELAY_US_MAX, Graph, Link, NodeIx};

/// How long the part of a window is whose range one quadratic describes, seconds. Parts are the minutes of UTC, so that they stay
/// the same whenever a plan begins.
pub const SEGMENT_S: f64 = 60.0;
/// The same in nanoseconds.
const SEGMENT_NS: i64 = 60_000_000_000;
/// A certain prediction, parts per million.
pub const CONFIDENCE_PPM_MAX: u32 = 1_000_000;
/// Speed of light in vacuum (exact, SI 2019), km/s.
const SPEED_OF_LIGHT_KM_S: f64 = 299_792.458;

/// The range in one minute: `c[0] + c[1] t + c[2] t^2` km, with t in seconds since the minute began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RangeSegment {
    /// The coefficients.
    pub c: [f64; 3],
    /// The largest error of the fit, km.
    pub error_km_max: f64,
}

impl RangeSegment {
    /// The range at `t` seconds since the minute began, km.
    pub fn range_km(&self, t: f64) -> f64 {
        self.c[0] + (self.c[1] + self.c[2] * t) * t
    }

    /// The largest range between two times, error included, km.
    fn range_km_max(&self, from: f64, to: f64) -> f64 {
        // The quadratic turns at t = -c1 / (2 c2).
        let turn = -self.c[1] / (2.0 * self.c[2]);
        let turn = if (from..=to).contains(&turn) { turn } else { from };
        let largest = [from, turn, to].map(|t| self.range_km(t)).into_iter();
        largest.fold(f64::NEG_INFINITY, f64::max) + self.error_km_max
    }
}

/// A time in which two nodes hold, or could hold, a link.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkWindow {
    /// The node with the lower number.
    pub a: NodeIx,
    /// The other one.
    pub b: NodeIx,
    /// Its beginning.
    pub open: Epoch,
    /// Its end, not included.
    pub close: Epoch,
    /// False when it was open before the plan began.
    pub open_known: bool,
    /// False when it runs beyond the plan.
    pub close_known: bool,
    /// What it carries, kbit/s.
    pub rate_kbps: u32,
    /// How sure the prediction is at the end of the window, parts per million: falls with the age of the elements.
    pub confidence_ppm: u32,
    /// One for each minute of UTC that it touches.
    pub range: Vec<RangeSegment>,
}

impl LinkWindow {
    /// Whether the link is up at an instant.
    pub fn contains(&self, at: Epoch) -> bool {
        self.open <= at && at < self.close
    }

    /// How far apart the nodes are, km; `None` outside the window (its end belongs to it here).
    pub fn range_km(&self, at: Epoch) -> Option<f64> {
        if at < self.open || self.close < at {
            return None;
        }
        let minute = minute_of(at).min(minute_of(self.close) - i64::from(on_minute(self.close)));
        let segment = usize::try_from(minute - minute_of(self.open)).ok()?;
        Some(self.range.get(segment)?.range_km(seconds_since(at, minute)))
    }

    /// How long light takes from one node to the other, microseconds; `None` outside the window.
    pub fn delay_us(&self, at: Epoch) -> Option<f64> {
        self.range_km(at).map(light_us)
    }

    /// The longest delay in the window, the error of the fit included, microseconds, rounded up.
    pub fn owlt_us_max(&self) -> u32 {
        let longest = |(minute, segment): (i64, &RangeSegment)| {
            let from = seconds_since(self.open, minute).max(0.0);
            segment.range_km_max(from, seconds_since(self.close, minute).min(SEGMENT_S))
        };
        let parts = (minute_of(self.open)..).zip(&self.range).map(longest);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is cut")]
        let us = light_us(parts.fold(0.0, f64::max)).ceil() as u32;
        us
    }

    /// Seconds from beginning to end.
    pub fn seconds(&self) -> f64 {
        self.close.seconds_since(self.open)
    }
}

/// The delay of so many km, in the range that a graph allows.
fn light_us(km: f64) -> f64 {
    (km / SPEED_OF_LIGHT_KM_S * 1.0e6).clamp(0.0, DELAY_US_MAX)
}

/// The minute of UTC in which an instant lies, counted from 1970.
fn minute_of(at: Epoch) -> i64 {
    at.unix_ns().div_euclid(SEGMENT_NS)
}

fn on_minute(at: Epoch) -> bool {
    at.unix_ns().rem_euclid(SEGMENT_NS) == 0
}

/// Seconds since a minute began; negative before.
fn seconds_since(at: Epoch, minute: i64) -> f64 {
    at.seconds_since(Epoch::from_unix_ns(minute.saturating_mul(SEGMENT_NS)))
}

/// How many minutes a window touches.
fn minutes_touched(open: Epoch, close: Epoch) -> i64 {
    minute_of(close) + i64::from(!on_minute(close)) - minute_of(open)
}

/// The windows of all links of a constellation over a horizon. Obeys the rules of [`LinkPlanError`].
#[derive(Clone, Debug, PartialEq)]
pub struct LinkPlan {
    version: u64,
    start: Epoch,
    end: Epoch,
    nodes: Vec<String>,
    windows: Vec<LinkWindow>,
    /// The windows by pair, then by beginning.
    by_pair: Vec<u32>,
    /// Where the windows of each node begin in `of_node`; one entry more than there are nodes.
    rows: Vec<u32>,
    of_node: Vec<u32>,
}

impl LinkPlan {
    /// Makes a plan of windows in any order.
    ///
    /// # Errors
    /// [`LinkPlanError`] for the first rule that is broken.
    ///
    /// # Panics
    /// Never: the number of windows is checked before it is cast.
    pub fn new(
        version: u64,
        (start, end): (Epoch, Epoch),
        nodes: Vec<String>,
        mut windows: Vec<LinkWindow>,
    ) -> Result<Self, LinkPlanError> {
        check::horizon(start, end)?;
        check::nodes(&nodes)?;
        check::count(&windows)?;
        windows.sort_by_key(|window| (window.open, window.a, window.b));
        for (at, window) in windows.iter().enumerate() {
            check::window(at, window, (start, end), nodes.len())?;
        }
        let count = u32::try_from(windows.len()).expect("just counted");
        let mut by_pair: Vec<u32> = (0..count).collect();
        by_pair.sort_by_key(|at| pair_key(&windows[*at as usize]));
        check::overlaps(&windows, &by_pair)?;
        let (rows, of_node) = index_by_node(nodes.len(), &windows);
        Ok(Self { version, start, end, nodes, windows, by_pair, rows, of_node })
    }

    /// Counts plans.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The beginning; a whole minute of UTC.
    pub fn start(&self) -> Epoch {
        self.start
    }

    /// The end, not included; a whole minute of UTC.
    pub fn end(&self) -> Epoch {
        self.end
    }

    /// The names of the nodes, by number.
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<NodeIx> {
        let at = self.nodes.iter().position(|node| node == name)?;
        u32::try_from(at).ok().map(NodeIx)
    }

    /// The windows, ascending by beginning, then by both ends.
    pub fn windows(&self) -> &[LinkWindow] {
        &self.windows
    }

    /// The windows of a node, by position in [`Self::windows`], ascending by beginning.
    pub fn windows_of(&self, node: NodeIx) -> &[u32] {
        let at = node.index();
        match (self.rows.get(at), self.rows.get(at + 1)) {
            (Some(from), Some(to)) => &self.of_node[*from as usize..*to as usize],
            _ => &[],
        }
    }

    /// The windows of a pair in either order, by position in [`Self::windows`], ascending by beginning.
    pub fn windows_between(&self, a: NodeIx, b: NodeIx) -> &[u32] {
        let pair = (a.min(b), a.max(b));
        let of = |at: &u32| (self.windows[*at as usize].a, self.windows[*at as usize].b);
        let from = self.by_pair.partition_point(|at| of(at) < pair);
        let to = self.by_pair.partition_point(|at| of(at) <= pair);
        &self.by_pair[from..to]
    }

    /// The window of a pair that is open at an instant.
    pub fn window_at(&self, a: NodeIx, b: NodeIx, at: Epoch) -> Option<&LinkWindow> {
        let between = self.windows_between(a, b);
        let later = between.partition_point(|window| self.windows[*window as usize].open <= at);
        let last = &self.windows[*between.get(later.checked_sub(1)?)? as usize];
        last.contains(at).then_some(last)
    }

    /// The network of all links that are up at an instant, with light's delays and without loss; `None` outside the plan.
    ///
    /// # Panics
    /// Never: windows obey the rules of links.
    pub fn graph_at(&self, at: Epoch) -> Option<Graph> {
        if at < self.start || self.end <= at {
            return None;
        }
        let begun = self.windows.partition_point(|window| window.open <= at);
        let open = self.windows[..begun].iter().filter(|window| window.contains(at));
        let link = |window: &LinkWindow| {
            let (a, b, rate_kbps) = (window.a, window.b, window.rate_kbps);
            Some(Link { a, b, delay_us: window.delay_us(at)?, rate_kbps, loss_ppm: 0 })
        };
        let links: Vec<Link> = open.filter_map(link).collect();
        Some(Graph::new(self.nodes.len(), &links).expect("windows obey the rules of links"))
    }
}

fn pair_key(window: &LinkWindow) -> (NodeIx, NodeIx, Epoch) {
    (window.a, window.b, window.open)
}

fn index_by_node(nodes: usize, windows: &[LinkWindow]) -> (Vec<u32>, Vec<u32>) {
    let mut rows = vec![0_u32; nodes + 1];
    for end in windows.iter().flat_map(|window| [window.a, window.b]) {
        rows[end.index() + 1] += 1;
    }
    for node in 0..nodes {
        rows[node + 1] += rows[node];
    }
    let mut next = rows.clone();
    let mut of_node = vec![0_u32; windows.len() * 2];
    for (at, window) in (0_u32..).zip(windows) {
        for end in [window.a, window.b] {
            of_node[next[end.index()] as usize] = at;
            next[end.index()] += 1;
        }
    }
    (rows, of_node)
}
