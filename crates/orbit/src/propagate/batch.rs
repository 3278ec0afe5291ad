//! All satellites at once, on as many threads as the caller's pool has.

use types::Epoch;

use super::Propagator;

/// Satellites of one part: a few tens of microseconds of SGP4, enough to be worth handing over.
#[cfg(feature = "parallel")]
const PART: usize = 256;

/// Writes the positions, km, of all satellites in inertial axes; not a number where a satellite is down.
///
/// Each position depends on its own index only, so the result is the same for any number of threads.
///
/// # Panics
/// If `out` has not exactly one place per satellite.
pub fn positions(propagator: &dyn Propagator, at: Epoch, out: &mut [[f64; 3]]) {
    assert_eq!(out.len(), propagator.satellites(), "one place per satellite");
    #[cfg(feature = "parallel")]
    {
        use rayon::prelude::*;
        out.par_chunks_mut(PART)
            .enumerate()
            .for_each(|(part, out)| propagator.positions(part * PART, at, out));
    }
    #[cfg(not(feature = "parallel"))]
    propagator.positions(0, at, out);
}
