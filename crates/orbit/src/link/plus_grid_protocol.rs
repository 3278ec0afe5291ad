//! Protocol `plus_grid`: ahead, behind, and one neighbour on either side.
//!
//! Satellites of Walker shells have fixed partners, the seam shifted by the phasing. All others find them by geometry,
//! derived anew for the beginning of each slot of ten minutes. Every link is looked at for range and sight.

use types::Epoch;

use super::cells::Point;
use super::protocol::{Isl, IslSet, LinkProtocol, Scene};
use super::rules::IslRules;
use super::{LinkLayout, grid, plus_grid, slot_begin};
use crate::propagate::State;
use crate::sky_spec::IslKind;
use crate::visibility::SightRule;
use crate::walker::WalkerShell;

/// A Walker shell and which satellites are its own.
#[derive(Clone, Debug, PartialEq)]
pub struct ShellAt {
    /// The index of its first satellite; the others follow, plane by plane.
    pub first: u32,
    /// The shell.
    pub shell: WalkerShell,
}

impl ShellAt {
    fn satellites(&self) -> core::ops::Range<u32> {
        let count = u64::from(self.shell.planes) * u64::from(self.shell.slots);
        let end = u64::from(self.first) + count;
        self.first..u32::try_from(end).unwrap_or(u32::MAX)
    }
}

/// Protocol `plus_grid`.
#[derive(Debug)]
pub(super) struct PlusGrid {
    sight: SightRule,
    terminals: u32,
    shells: Vec<ShellAt>,
    fixed: LinkLayout,
    derived: Option<(Epoch, LinkLayout)>,
    free: Vec<u32>,
}

impl PlusGrid {
    pub(super) fn new(rules: &IslRules, shells: Vec<ShellAt>) -> Self {
        let pairs = shells.iter().flat_map(|at| {
            let layout = plus_grid(&at.shell);
            let pairs: Vec<_> = layout.pairs().to_vec();
            pairs.into_iter().map(|(a, b)| (at.first + a, at.first + b))
        });
        let fixed = LinkLayout::new(pairs);
        let terminals = u32::from(rules.terminals);
        Self { sight: rules.sight, terminals, shells, fixed, derived: None, free: Vec::new() }
    }

    /// The layout of the satellites of no shell, for the slot of this instant.
    fn derive(&mut self, scene: &Scene<'_>) {
        let slot = slot_begin(IslKind::Grid, scene.at).unwrap_or(scene.at);
        if self.derived.as_ref().is_some_and(|(of, _)| *of == slot) {
            return;
        }
        let count = u32::try_from(scene.elements.len()).expect("satellites are counted in u32");
        let is_free = |one: u32| !self.shells.iter().any(|at| at.satellites().contains(&one));
        let state = |one: u32| -> Option<State> {
            scene.propagator.state(one as usize, slot).ok().filter(|_| is_free(one))
        };
        let states: Vec<Option<State>> = (0..count).map(state).collect();
        let layout = match states.iter().any(Option::is_some) {
            true => grid(scene.elements, &states, &self.sight),
            false => LinkLayout::default(),
        };
        self.derived = Some((slot, layout));
    }
}

impl LinkProtocol for PlusGrid {
    fn name(&self) -> &'static str {
        "plus_grid"
    }

    /// With fewer than four terminals the pairs of the lower numbers come first.
    fn choose(&mut self, scene: &Scene<'_>, set: &mut IslSet) {
        self.derive(scene);
        set.links.clear();
        set.forest = None;
        self.free.clear();
        self.free.resize(scene.positions_km.len(), self.terminals);
        let derived = self.derived.iter().flat_map(|(_, layout)| layout.pairs());
        for (a, b) in self.fixed.pairs().iter().chain(derived) {
            let ends = [*a, *b].map(|end| scene.positions_km.get(end as usize).copied());
            let [Some(from), Some(to)] = ends else { continue };
            let both_free = 0 < self.free[*a as usize] && 0 < self.free[*b as usize];
            if both_free && self.sight.distance_km(from, to).is_some() {
                self.free[*a as usize] -= 1;
                self.free[*b as usize] -= 1;
                let length_km = Point { id: *a, at: from }.distance2(to).sqrt();
                set.links.push(Isl { a: *a, b: *b, length_km });
            }
        }
        super::tree::sort(&mut set.links);
    }
}
