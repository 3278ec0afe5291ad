//! Maps over parts of a list, on as many threads as the caller's pool has where the feature `parallel` is on.
//!
//! Parts are cut by length and never by the number of threads, and answers come in the order of the parts, so that
//! results do not depend on threads.

/// The answers of `map` for each run of `length` items, in order; a single run stays on the caller's thread.
pub(crate) fn map_parts<T: Sync, R: Send>(
    items: &[T],
    length: usize,
    map: impl Fn(&[T]) -> R + Sync + Send,
) -> Vec<R> {
    #[cfg(feature = "parallel")]
    if length < items.len() {
        use rayon::prelude::*;
        return items.par_chunks(length).map(map).collect();
    }
    items.chunks(length).map(map).collect()
}
