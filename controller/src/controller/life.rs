//! What nodes tell of their own program.

use protocol::event::EventKind;
use types::NodeId;

use super::Controller;

impl Controller {
    /// Notes it beside what is wrong with the node.
    pub(super) fn note_life(&mut self, node: &NodeId, kind: &EventKind) {
        let words = match kind {
            EventKind::Update { version, step, reason, .. } => {
                let colon = if reason.is_empty() { "" } else { ": " };
                format!("program {version} {}{colon}{reason}", step.words())
            }
            EventKind::SafeMode { failed, .. } => {
                format!("started in safe mode after {failed} failed starts")
            }
            _ => return,
        };
        tracing::info!(%node, "{words}");
        self.fleet.note(node, words);
    }
}
