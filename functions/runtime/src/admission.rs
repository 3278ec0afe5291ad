//! Who may run now: calls of one function and linear memory of all are counted, and a call beyond is turned away.

use std::sync::atomic::{AtomicU32, Ordering};

/// Calls of one function that run at once. More would wait for the same processors.
pub(crate) const IN_FLIGHT_MAX: u32 = 8;

/// A share of something countable, given back when dropped.
#[derive(Debug)]
pub(crate) struct Share<'a> {
    taken: &'a AtomicU32,
    amount: u32,
}

impl<'a> Share<'a> {
    /// Takes `amount`, unless more than `limit` would be taken then.
    pub(crate) fn take(taken: &'a AtomicU32, amount: u32, limit: u32) -> Option<Self> {
        let add = |now: u32| now.checked_add(amount).filter(|then| *then <= limit);
        taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, add).ok()?;
        Some(Self { taken, amount })
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.amount, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_given_back() {
        let taken = AtomicU32::new(0);
        let first = Share::take(&taken, 6, 8);
        assert!(first.is_some());
        assert!(Share::take(&taken, 3, 8).is_none());
        drop(first);
        assert!(Share::take(&taken, 8, 8).is_some());
        assert_eq!(taken.load(Ordering::Acquire), 0);
        assert!(Share::take(&taken, u32::MAX, 8).is_none());
    }
}
