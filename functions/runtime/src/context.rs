//! What the store of one call holds.

use crate::lend::Lent;
use crate::limits::Limiter;
use crate::log::LogBudget;

/// The data of one store; the interfaces of the contract are implemented on it.
pub(crate) struct Context {
    pub(crate) host: Lent,
    pub(crate) limiter: Limiter,
    pub(crate) log: LogBudget,
    pub(crate) state_ops: u32,
    /// Whether the guest was stopped at its deadline.
    pub(crate) stopped: bool,
}

impl Context {
    pub(crate) fn new(host: Lent, granted_bytes: usize) -> Self {
        Self {
            host,
            limiter: Limiter::new(granted_bytes),
            log: LogBudget::new(),
            state_ops: 0,
            stopped: false,
        }
    }
}
