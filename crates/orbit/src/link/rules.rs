//! What links between satellites must keep, and which protocol follows which book of rules.

use super::TERMINALS;
use super::acquisition::Acquisition;
use super::loops::{Loops, WithLoops};
use super::mst::Mst;
use super::nearest::Nearest;
use super::none::NoLinks;
use super::plus_grid_protocol::{PlusGrid, ShellAt};
use super::protocol::{LinkProtocol, ProtocolKind};
use super::pst::Pst;
use super::sight::{STARDUST_RANGE_KM, Sight};
use super::tree::{Bare, Tree};
use crate::visibility::SightRule;

/// What links between satellites must keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IslRules {
    /// Line of sight and longest range.
    pub sight: SightRule,
    /// How many links a satellite can hold at a time, at least 1.
    pub terminals: u8,
    /// How many links a satellite wants (loops, nearest), at least 1.
    pub neighbours: u8,
    /// How long a newly chosen link takes until it carries, seconds, not negative; see [`super::Acquisition`].
    pub acquisition_s: f64,
}

impl Default for IslRules {
    /// 5500 km at a height of 80 km, four terminals, four neighbours, no time to acquire.
    fn default() -> Self {
        let sight = SightRule { range_max_km: 5500.0, grazing_altitude_km: 80.0 };
        Self { sight, terminals: TERMINALS, neighbours: TERMINALS, acquisition_s: 0.0 }
    }
}

/// Whose rules a protocol follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rulebook {
    /// Ours: sight along the segment, terminals for all protocols.
    #[default]
    Starbelt,
    /// Those that Stardust publishes, made deterministic where the original is not.
    ///
    /// Reproduced in full: `mst` (all pairs up to 2126 km, no limit of links). The original also wants the endless line
    /// through a pair to clear the Earth, which is meant to change nothing at such a range; it hides one pair of the
    /// 665,706 of December 2024 (12 km apart, nearly above each other), and the golden totals are without. By the rule, with the satellites taken in
    /// ascending order where the original takes them in the order of a hash map or of its threads: `pst` (up to four
    /// links, any range in sight), the loops and the smart loops (of the Go version), `nearest` (each its neighbours and
    /// those that chose it; the original drops some of the latter by timing). `plus_grid` is not in Stardust: it
    /// follows our rules. Terminals, sight and acquisition of [`IslRules`] do not apply; neighbours do.
    Stardust,
}

/// The protocol of this kind; `shells` says which satellites are Walker shells (`plus_grid` wants to know).
pub fn protocol(
    kind: ProtocolKind,
    rules: &IslRules,
    rulebook: Rulebook,
    shells: Vec<ShellAt>,
) -> Box<dyn LinkProtocol> {
    let terms = Terms::new(rules, rulebook);
    let chosen: Box<dyn LinkProtocol> = match kind {
        ProtocolKind::None => Box::new(NoLinks),
        ProtocolKind::PlusGrid => Box::new(PlusGrid::new(rules, shells)),
        ProtocolKind::Nearest => Box::new(Nearest::new(&terms)),
        ProtocolKind::Mst => Box::new(Bare(Mst::new(&terms))),
        ProtocolKind::Pst => Box::new(Bare(Pst::new(&terms))),
        ProtocolKind::MstLoop => looped(kind, Mst::new(&terms), &terms, Loops::Near),
        ProtocolKind::PstLoop => looped(kind, Pst::new(&terms), &terms, Loops::Near),
        ProtocolKind::MstSmartLoop => looped(kind, Mst::new(&terms), &terms, Loops::Smart),
        ProtocolKind::PstSmartLoop => looped(kind, Pst::new(&terms), &terms, Loops::Smart),
    };
    let takes_time = rulebook == Rulebook::Starbelt && 0.0 < rules.acquisition_s;
    if takes_time { Box::new(Acquisition::new(chosen, rules)) } else { chosen }
}

fn looped(
    kind: ProtocolKind,
    tree: impl Tree + 'static,
    terms: &Terms,
    loops: Loops,
) -> Box<dyn LinkProtocol> {
    Box::new(WithLoops::new(kind.name(), tree, terms, loops))
}

/// What a book of rules means for each protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) rulebook: Rulebook,
    pub(super) neighbours: u8,
    pub(super) tree_sight: Sight,
    pub(super) tree_terminals: u32,
    pub(super) pst_sight: Sight,
    pub(super) pst_terminals: u32,
    pub(super) pst_takes_more_turns: bool,
    pub(super) loop_sight: Sight,
    pub(super) loop_links_max: u32,
    pub(super) nearest_sight: Sight,
    pub(super) nearest_terminals: u32,
}

/// Links per satellite that Stardust's `pst` allows, whatever the configuration says.
const STARDUST_PST_LINKS: u32 = 4;

impl Terms {
    pub(super) fn new(rules: &IslRules, rulebook: Rulebook) -> Self {
        match rulebook {
            Rulebook::Starbelt => Self::ours(rules),
            Rulebook::Stardust => Self::stardust(rules),
        }
    }

    fn ours(rules: &IslRules) -> Self {
        let sight = Sight::Segment(rules.sight);
        let terminals = u32::from(rules.terminals);
        Self {
            rulebook: Rulebook::Starbelt,
            neighbours: rules.neighbours,
            tree_sight: sight,
            tree_terminals: terminals,
            pst_sight: sight,
            pst_terminals: terminals,
            pst_takes_more_turns: true,
            loop_sight: sight,
            loop_links_max: terminals.min(u32::from(rules.neighbours)),
            nearest_sight: sight,
            nearest_terminals: terminals,
        }
    }

    fn stardust(rules: &IslRules) -> Self {
        let near = Sight::Range { range_max_km: STARDUST_RANGE_KM };
        let anywhere = Sight::Line { range_max_km: f64::INFINITY };
        Self {
            rulebook: Rulebook::Stardust,
            neighbours: rules.neighbours,
            tree_sight: near,
            tree_terminals: u32::MAX,
            pst_sight: anywhere,
            pst_terminals: STARDUST_PST_LINKS,
            pst_takes_more_turns: false,
            loop_sight: near,
            loop_links_max: u32::from(rules.neighbours),
            nearest_sight: anywhere,
            nearest_terminals: u32::MAX,
        }
    }
}
