//! Maps over stations and windows, on as many threads as the caller's pool has. Each item is computed from itself alone, so that
//! the results are the same for any number.

#[cfg(feature = "parallel")]
pub(super) fn each<T: Send>(items: &mut [T], work: impl Fn(&mut T) + Sync + Send) {
    use rayon::prelude::*;
    items.par_iter_mut().for_each(work);
}

#[cfg(not(feature = "parallel"))]
pub(super) fn each<T>(items: &mut [T], work: impl Fn(&mut T)) {
    items.iter_mut().for_each(work);
}

#[cfg(feature = "parallel")]
pub(super) fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync + Send) -> Vec<R> {
    use rayon::prelude::*;
    items.par_iter().map(work).collect()
}

#[cfg(not(feature = "parallel"))]
pub(super) fn map<T, R>(items: &[T], work: impl Fn(&T) -> R) -> Vec<R> {
    items.iter().map(work).collect()
}
