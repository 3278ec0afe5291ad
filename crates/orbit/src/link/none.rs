//! No links between satellites.

use super::protocol::{IslSet, LinkProtocol, Scene};

/// Protocol `none`: each satellite reaches the ground or nobody.
#[derive(Debug)]
pub(super) struct NoLinks;

impl LinkProtocol for NoLinks {
    fn name(&self) -> &'static str {
        "none"
    }

    fn choose(&mut self, _scene: &Scene<'_>, set: &mut IslSet) {
        set.links.clear();
        set.forest = None;
    }
}
