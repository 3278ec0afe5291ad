//! Failures and other changes of nodes and links, on top of what the sky gives.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use topology::graph::DELAY_US_MAX;
use topology::{Link, NodeIx};
use types::Epoch;

use super::link_cost::kbps;
use super::nodes::{Nodes, UnknownName};
use super::scenario::ChangeEntry;

/// Most nodes and links that are changed at a time: all of the largest constellation, and their links.
pub const OVERRIDES_MAX: usize = 1_000_000;

/// What a change does to a link; to all links of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Override {
    /// Nothing passes.
    pub down: bool,
    /// At most this rate, kbit/s.
    pub rate_kbps_max: Option<u32>,
    /// This much later, microseconds.
    pub extra_delay_us: f64,
    /// At least this loss, parts per million.
    pub loss_ppm_min: u32,
}

impl Override {
    /// Both at once: the worse of the two; delays add up.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let rates = [self.rate_kbps_max, other.rate_kbps_max];
        Self {
            down: self.down || other.down,
            rate_kbps_max: rates.into_iter().flatten().min(),
            extra_delay_us: self.extra_delay_us + other.extra_delay_us,
            loss_ppm_min: self.loss_ppm_min.max(other.loss_ppm_min),
        }
    }

    fn apply(self, link: &mut Link) {
        link.delay_us = (link.delay_us + self.extra_delay_us).min(DELAY_US_MAX);
        link.rate_kbps = link.rate_kbps.min(self.rate_kbps_max.unwrap_or(u32::MAX).max(1));
        link.loss_ppm = link.loss_ppm.max(self.loss_ppm_min);
    }
}

/// More changes than a simulation holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {OVERRIDES_MAX} nodes and links are changed")]
pub struct TooManyOverrides;

/// The changes that hold now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    nodes: BTreeMap<NodeIx, Override>,
    links: BTreeMap<(NodeIx, NodeIx), Override>,
}

impl Overrides {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.links.is_empty()
    }

    /// Changes all links of a node, in place of what held before.
    ///
    /// # Errors
    /// [`TooManyOverrides`].
    pub fn set_node(&mut self, node: NodeIx, change: Override) -> Result<(), TooManyOverrides> {
        self.has_room()?;
        self.nodes.insert(node, change);
        Ok(())
    }

    /// Changes the links of a pair, in place of what held before.
    ///
    /// # Errors
    /// [`TooManyOverrides`].
    pub fn set_link(
        &mut self,
        a: NodeIx,
        b: NodeIx,
        change: Override,
    ) -> Result<(), TooManyOverrides> {
        self.has_room()?;
        self.links.insert((a.min(b), a.max(b)), change);
        Ok(())
    }

    /// Lets a node be as it is.
    pub fn clear_node(&mut self, node: NodeIx) {
        self.nodes.remove(&node);
    }

    /// Lets the links of a pair be as they are.
    pub fn clear_link(&mut self, a: NodeIx, b: NodeIx) {
        self.links.remove(&(a.min(b), a.max(b)));
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.nodes.clear();
        self.links.clear();
    }

    /// Whether a node is down.
    pub fn is_down(&self, node: NodeIx) -> bool {
        self.nodes.get(&node).is_some_and(|change| change.down)
    }

    /// The nodes that are down, ascending.
    pub fn down_nodes(&self) -> impl Iterator<Item = NodeIx> {
        self.nodes.iter().filter(|(_, change)| change.down).map(|(node, _)| *node)
    }

    /// The link as it is under these changes; `None` where it is down.
    pub fn applied(&self, mut link: Link) -> Option<Link> {
        let of_pair = self.links.get(&(link.a.min(link.b), link.a.max(link.b)));
        for change in [self.nodes.get(&link.a), self.nodes.get(&link.b), of_pair] {
            let change = change.copied().unwrap_or_default();
            if change.down {
                return None;
            }
            change.apply(&mut link);
        }
        Some(link)
    }

    fn has_room(&self) -> Result<(), TooManyOverrides> {
        let held = self.nodes.len() + self.links.len();
        if held < OVERRIDES_MAX { Ok(()) } else { Err(TooManyOverrides) }
    }

    /// All changes, of nodes as pairs of a node with itself, ascending.
    pub(super) fn entries(&self) -> impl Iterator<Item = (NodeIx, NodeIx, Override)> {
        let nodes = self.nodes.iter().map(|(node, change)| (*node, *node, *change));
        nodes.chain(self.links.iter().map(|((a, b), change)| (*a, *b, *change)))
    }
}

/// The changes of a scenario, with the time when they hold.
#[derive(Clone, Debug)]
pub struct Timetable(Vec<Timed>);

#[derive(Clone, Copy, Debug)]
struct Timed {
    from: Epoch,
    to: Option<Epoch>,
    ends: (NodeIx, NodeIx),
    change: Override,
}

impl Timetable {
    /// Of the entries of a scenario that starts at `start`.
    ///
    /// # Errors
    /// [`UnknownName`].
    pub fn new(entries: &[ChangeEntry], nodes: &Nodes, start: Epoch) -> Result<Self, UnknownName> {
        let timed = |entry: &ChangeEntry| {
            let ends = match (&entry.node, &entry.link) {
                (Some(node), _) => (nodes.find(node)?, nodes.find(node)?),
                (None, Some([a, b])) => (nodes.find(a)?, nodes.find(b)?),
                (None, None) => return Err(nodes.find("").expect_err("no node has no name")),
            };
            let change = Override {
                down: entry.down,
                rate_kbps_max: entry.rate_max_mbps.map(kbps),
                extra_delay_us: entry.extra_delay_ms * 1000.0,
                loss_ppm_min: entry.loss_min_ppm,
            };
            let to = entry.to_s.map(|to_s| start.plus_s(to_s));
            Ok(Timed { from: start.plus_s(entry.from_s), to, ends, change })
        };
        entries.iter().map(timed).collect::<Result<_, _>>().map(Self)
    }

    /// The changes that hold at an instant: from `from_s` on, until `to_s`, which is not included.
    ///
    /// # Errors
    /// [`TooManyOverrides`].
    pub fn at(&self, at: Epoch, overrides: &mut Overrides) -> Result<(), TooManyOverrides> {
        let holds = |timed: &&Timed| timed.from <= at && timed.to.is_none_or(|to| at < to);
        for Timed { ends: (a, b), change, .. } in self.0.iter().filter(holds) {
            if a == b {
                let held = overrides.nodes.get(a).copied().unwrap_or_default();
                overrides.set_node(*a, held.and(*change))?;
            } else {
                let held = overrides.links.get(&(*a.min(b), *a.max(b))).copied();
                overrides.set_link(*a, *b, held.unwrap_or_default().and(*change))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Link =
        Link { a: NodeIx(4), b: NodeIx(1), delay_us: 10.0, rate_kbps: 100, loss_ppm: 5 };

    #[test]
    fn the_worst_of_node_and_link_holds_and_delays_add_up() {
        let mut overrides = Overrides::default();
        assert_eq!(overrides.applied(LINK), Some(LINK));
        let slow = Override { rate_kbps_max: Some(30), extra_delay_us: 7.0, ..Override::default() };
        overrides.set_node(NodeIx(1), slow).unwrap();
        let lossy = Override { loss_ppm_min: 9, extra_delay_us: 1.0, ..Override::default() };
        overrides.set_link(NodeIx(1), NodeIx(4), lossy).unwrap();
        let expected = Link { delay_us: 18.0, rate_kbps: 30, loss_ppm: 9, ..LINK };
        assert_eq!(overrides.applied(LINK), Some(expected));
        overrides.set_node(NodeIx(4), Override { down: true, ..Override::default() }).unwrap();
        assert_eq!(overrides.applied(LINK), None);
        overrides.clear_node(NodeIx(4));
        overrides.clear_node(NodeIx(1));
        overrides.clear_link(NodeIx(4), NodeIx(1));
        assert!(overrides.is_empty());
    }
}
