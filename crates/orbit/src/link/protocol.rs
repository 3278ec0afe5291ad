//! Link protocols: rules by which satellites choose whom to hold links with.

use std::fmt::Debug;

use types::Epoch;

use crate::elements::Elements;
use crate::propagate::Propagator;

/// The satellites at one instant, as link protocols see them.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The instant.
    pub at: Epoch,
    /// Inertial axes, km, by satellite; not a number where one is down.
    pub positions_km: &'a [[f64; 3]],
    /// The elements, by satellite.
    pub elements: &'a [Elements],
    /// Where they are at other instants.
    pub propagator: &'a dyn Propagator,
}

/// A link between two satellites.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Isl {
    /// The satellite with the lower index.
    pub a: u32,
    /// The other one.
    pub b: u32,
    /// Length, km.
    pub length_km: f64,
}

/// What a spanning forest measures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Forest {
    /// Its edges.
    pub edges: usize,
    /// Trees, satellites without any link among them; satellites that are down do not count.
    pub components: usize,
    /// The length of all edges together, km.
    pub weight_km: f64,
    /// The longest edge, km; 0 without edges.
    pub longest_km: f64,
}

/// The links between satellites at one instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IslSet {
    /// Ascending by both ends, no pair twice.
    pub links: Vec<Isl>,
    /// The spanning forest among them; `None` for protocols that build none.
    pub forest: Option<Forest>,
}

/// A rule by which satellites choose whom to hold links with.
///
/// A protocol may keep what it derived at earlier instants: to be quick, or because it is part of the rule (terminals
/// take time to turn). Called at the same instants in the same order it gives the same links, bit by bit, on any number
/// of threads.
pub trait LinkProtocol: Debug + Send {
    /// Its name on the command line and in scenarios.
    fn name(&self) -> &'static str;

    /// Puts the links of an instant in the place of what `set` held.
    fn choose(&mut self, scene: &Scene<'_>, set: &mut IslSet);
}

/// The protocols by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProtocolKind {
    /// No links between satellites.
    None,
    /// Ahead, behind, and one neighbour on either side.
    PlusGrid,
    /// The exact minimum spanning tree.
    Mst,
    /// The same, and one more link for those with few.
    MstLoop,
    /// The same, and loops that tie the leaves together.
    MstSmartLoop,
    /// Stardust's tree by one link per satellite.
    Pst,
    /// The same, and one more link for those with few.
    PstLoop,
    /// The same, and loops that tie the leaves together.
    PstSmartLoop,
    /// The nearest satellites in sight.
    Nearest,
}

impl ProtocolKind {
    /// All of them, in the order of their descriptions.
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::PlusGrid,
        Self::Mst,
        Self::MstLoop,
        Self::MstSmartLoop,
        Self::Pst,
        Self::PstLoop,
        Self::PstSmartLoop,
        Self::Nearest,
    ];

    /// The name on the command line and in scenarios.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::PlusGrid => "plus_grid",
            Self::Mst => "mst",
            Self::MstLoop => "mst_loop",
            Self::MstSmartLoop => "mst_smart_loop",
            Self::Pst => "pst",
            Self::PstLoop => "pst_loop",
            Self::PstSmartLoop => "pst_smart_loop",
            Self::Nearest => "nearest",
        }
    }

    /// The protocol of this name; `None` for a name that no protocol has.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_leads_back_to_its_protocol() {
        for kind in ProtocolKind::ALL {
            assert_eq!(ProtocolKind::of_name(kind.name()), Some(kind));
        }
        assert_eq!(ProtocolKind::of_name("other_mst"), None);
    }
}
