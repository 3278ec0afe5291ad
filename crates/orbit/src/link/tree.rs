//! What the protocols that build a spanning forest share.

use std::fmt::Debug;

use super::field::Field;
use super::protocol::{Forest, Isl, IslSet, LinkProtocol, Scene};

/// A rule that spans the satellites with a forest.
pub(super) trait Tree: Debug + Send {
    /// Its name on the command line and in scenarios.
    fn name(&self) -> &'static str;

    /// Puts the links of the forest in the place of what `links` held, in any order, and answers how many trees there are.
    fn grow(&mut self, positions: &[[f64; 3]], links: &mut Vec<Isl>) -> usize;

    /// The satellites of the last forest, sorted by place.
    fn field(&self) -> &Field;
}

/// The protocol whose links are a forest and nothing else.
#[derive(Debug)]
pub(super) struct Bare<T>(pub(super) T);

impl<T: Tree> LinkProtocol for Bare<T> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn choose(&mut self, scene: &Scene<'_>, set: &mut IslSet) {
        grow(&mut self.0, scene, set);
    }
}

/// Puts the forest of an instant in the place of what `set` held.
pub(super) fn grow(tree: &mut impl Tree, scene: &Scene<'_>, set: &mut IslSet) {
    set.links.clear();
    let components = tree.grow(scene.positions_km, &mut set.links);
    finish(set, components);
}

/// Brings the links of a forest into order and measures it.
pub(super) fn finish(set: &mut IslSet, components: usize) {
    sort(&mut set.links);
    set.forest = Some(Forest {
        edges: set.links.len(),
        components,
        // The sum of no numbers is -0.0, which would be shown.
        weight_km: set.links.iter().map(|link| link.length_km).fold(0.0, |sum, km| sum + km),
        longest_km: set.links.iter().map(|link| link.length_km).fold(0.0, f64::max),
    });
}

/// Brings links into the order of an [`IslSet`].
pub(super) fn sort(links: &mut [Isl]) {
    links.sort_unstable_by_key(key);
}

/// Adds links to others; both are brought into order.
pub(super) fn add(links: &mut Vec<Isl>, mut added: Vec<Isl>) {
    sort(&mut added);
    links.append(&mut added);
    // Finds the two runs and merges them.
    links.sort_by_key(key);
}

fn key(link: &Isl) -> u64 {
    u64::from(link.a) << 32 | u64::from(link.b)
}
