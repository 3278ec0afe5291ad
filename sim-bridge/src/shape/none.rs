//! No shaping: nodes dial each other's own addresses, the bridge opens no pair port.

use protocol::sim::FaultAction;
use types::NodeId;

use crate::shape::{FaultError, LinkParams, LinkShaper, PairCounts, PairId};

/// The shaper that does nothing; it knows no pair, so a fault finds none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

impl LinkShaper for Direct {
    fn pairs(&self) -> &[PairId] {
        &[]
    }

    fn apply(&self, _links: Vec<Option<LinkParams>>) {}

    fn fault(
        &self,
        node: &NodeId,
        peer: Option<&NodeId>,
        _action: FaultAction,
    ) -> Result<u32, FaultError> {
        Err(FaultError::nobody(node, peer))
    }

    fn counts(&self) -> Vec<PairCounts> {
        Vec::new()
    }
}
