//! Programs of the agent, from the controller.

use std::sync::atomic::Ordering;

use protocol::module::ModuleQuery;
use protocol::release::ProgramChunk;
use protocol::{decode, encode};

use super::{Class, FETCH_TIMEOUT, Fleet, controller};
use crate::state::PeerError;

impl Fleet {
    /// Asks the controller for a part of a program of the agent.
    ///
    /// # Errors
    /// [`PeerError`] when nobody answers.
    pub async fn program(&self, query: &ModuleQuery) -> Result<ProgramChunk, PeerError> {
        let node = controller();
        let unreachable = |reason: String| PeerError::Unreachable { node: node.clone(), reason };
        let frame = encode(query).map_err(|error| unreachable(error.to_string()))?;
        let key = self.inner.keys.programs();
        let answer = self.ask(&node, key, frame, Class::Bulk, FETCH_TIMEOUT).await?;
        decode(&answer).map_err(|error| {
            self.inner.frames_dropped.fetch_add(1, Ordering::Relaxed);
            unreachable(error.to_string())
        })
    }
}
