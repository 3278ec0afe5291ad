//! What the instance of one call may take.

use wasmtime::ResourceLimiter;

/// Core instances of one function; `wit-component` makes three or four.
pub(crate) const INSTANCES_MAX: u32 = 8;
/// Functions that are called in the store of their caller, besides itself: a pipeline of four.
pub(crate) const FUSED_MAX: usize = 3;
/// Linear memories of one function.
pub(crate) const MEMORIES_MAX: u32 = 2;
/// Tables of one function; `wit-component` adds one to those of the module.
pub(crate) const TABLES_MAX: u32 = 8;
/// Elements of one table.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 10_000;

/// Counts the linear memory of one call and refuses what goes beyond its grant.
#[derive(Debug)]
pub(crate) struct Limiter {
    granted_bytes: usize,
    held_bytes: usize,
    /// What was held before the last growth, in case that fails after all.
    held_before: usize,
    peak_bytes: usize,
    refused: bool,
}

impl Limiter {
    pub(crate) fn new(granted_bytes: usize) -> Self {
        Self { granted_bytes, held_bytes: 0, held_before: 0, peak_bytes: 0, refused: false }
    }

    /// Counts for another call of an instance that holds memory already.
    pub(crate) fn go_on(&mut self, before: &Self) {
        self.held_bytes = before.held_bytes;
        self.held_before = before.held_bytes;
        self.peak_bytes = before.held_bytes;
    }

    /// Linear memory now, all memories together.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Largest linear memory so far, all memories together.
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.peak_bytes as u64
    }

    /// Whether memory beyond the grant was asked for.
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }

    /// Another function has not been refused anything yet; says whether this one was.
    pub(crate) fn forget_refusal(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }

    /// It is the turn again of one that was, or was not.
    pub(crate) fn remember_refusal(&mut self, refused: bool) {
        self.refused = refused;
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let held = self.held_bytes.saturating_add(desired.saturating_sub(current));
        if self.granted_bytes < held {
            self.refused = true;
            return Ok(false);
        }
        self.held_before = self.held_bytes;
        self.held_bytes = held;
        self.peak_bytes = self.peak_bytes.max(held);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.held_bytes = self.held_before;
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        (1 + FUSED_MAX) * INSTANCES_MAX as usize
    }

    fn memories(&self) -> usize {
        (1 + FUSED_MAX) * MEMORIES_MAX as usize
    }

    fn tables(&self) -> usize {
        (1 + FUSED_MAX) * TABLES_MAX as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_of_a_call_share_one_grant() {
        let mut limiter = Limiter::new(100);
        for (current, desired, granted) in [(0, 60, true), (0, 40, true), (60, 61, false)] {
            assert_eq!(limiter.memory_growing(current, desired, None).unwrap(), granted);
        }
        assert!(limiter.refused());
        assert_eq!(limiter.peak_bytes(), 100);
    }

    #[test]
    fn what_an_instance_holds_counts_in_its_next_call() {
        let mut first = Limiter::new(100);
        assert!(first.memory_growing(0, 70, None).unwrap());
        let mut second = Limiter::new(80);
        second.go_on(&first);
        assert_eq!((second.held_bytes(), second.peak_bytes()), (70, 70));
        assert!(!second.memory_growing(70, 90, None).unwrap());
        assert!(second.memory_growing(70, 80, None).unwrap());
    }

    #[test]
    fn a_growth_that_fails_is_given_back() {
        let mut limiter = Limiter::new(100);
        assert!(limiter.memory_growing(0, 90, None).unwrap());
        limiter.memory_grow_failed(wasmtime::Error::msg("no memory")).unwrap();
        assert!(limiter.memory_growing(0, 100, None).unwrap());
        assert!(!limiter.refused());
    }
}
