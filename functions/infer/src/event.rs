//! What happens to back ends, as values for whoever watches a node.

use std::time::Duration;

/// Something that happened to a back end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It passed its probe and is used from now on.
    Advertised {
        /// Which back end.
        backend: String,
        /// On which device.
        device: String,
    },
    /// It did not pass its probe.
    NotAdvertised {
        /// Which back end.
        backend: String,
        /// Why.
        reason: String,
        /// When it is probed again, after so long; `None`: not before a restart.
        again_after: Option<Duration>,
    },
    /// It failed while it ran, and is left alone for a time.
    Demoted {
        /// Which back end.
        backend: String,
        /// Why.
        reason: String,
        /// For so long.
        back_off: Duration,
    },
    /// A call goes on elsewhere.
    FellBack {
        /// Which model or kernel.
        model: String,
        /// Where it failed.
        from: String,
        /// Where it is tried next.
        to: String,
        /// Why.
        reason: String,
    },
}
