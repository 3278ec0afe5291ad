//! The way to other nodes: queries of the belt, as the shell's bus session carries them.

use std::future::Future;
use std::time::Duration;

use protocol::key::BeltService;
use types::NodeId;

/// Why a query has no answer. Silence never means refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Nothing came in time.
    #[error("no answer from {node} within {waited:?}")]
    Timeout {
        /// Who was asked.
        node: NodeId,
        /// How long was waited.
        waited: Duration,
    },
    /// There is no way to the node, or it answers no such query.
    #[error("{node} cannot be reached: {reason}")]
    Unreachable {
        /// Who was asked.
        node: NodeId,
        /// The session's words.
        reason: String,
    },
}

/// Asks other nodes. Implemented by the shell over its bus session, and by tests in one process.
pub trait Peers: Send + Sync {
    /// Sends `payload`, one frame, to a belt service of `node` and waits for the frame that answers it.
    ///
    /// # Errors
    /// [`PeerError`] when no answer comes within `timeout`.
    fn belt(
        &self,
        node: &NodeId,
        service: BeltService,
        payload: Vec<u8>,
        timeout: Duration,
    ) -> impl Future<Output = Result<Vec<u8>, PeerError>> + Send;
}
