//! Constellations larger than any real one, by the rule of the Stardust paper: its sets of 13,764 and 20,646 satellites are the
//! 6,882 of December 2024 with one and two copies of each, under other names and a few minutes later on the same orbit.

use std::collections::BTreeSet;

use types::Epoch;

use crate::elements::Elements;

/// What the names of copies hold.
const MARK: &str = " DUPLICATE";

/// How much later each further copy's epoch is, seconds: about 19 degrees along a low orbit.
const COPY_S: i64 = 300;

/// Why there are no copies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DuplicateError {
    /// Nothing to copy.
    #[error("there must be at least one satellite to copy")]
    Empty,
    /// The epoch of a copy decides whether SGP4 has an orbit, for deep space.
    #[error("copy {copy:?} has no orbit: {reason}")]
    Orbit {
        /// The copy.
        copy: String,
        /// What SGP4 says.
        reason: String,
    },
}

/// `count` satellites: the given ones, then whole copies k = 1, 2, ... in the same order, named `NAME DUPLICATEk`, whose
/// epochs are 300 k s later, cut at `count`. Catalogue numbers repeat.
///
/// Where a name is taken, as in a set that holds copies already, the copy takes the next number whose name is free: names that
/// differ among `elements` differ in the whole.
///
/// # Errors
/// [`DuplicateError`] when there is nothing to copy, or a copy has no orbit.
pub fn duplicated(elements: &[Elements], count: usize) -> Result<Vec<Elements>, DuplicateError> {
    if elements.is_empty() {
        return Err(DuplicateError::Empty);
    }
    let mut names = Names::beside(elements);
    let mut all = Vec::with_capacity(count);
    all.extend(elements.iter().take(count).cloned());
    for k in 1_i64.. {
        if count <= all.len() {
            break;
        }
        for original in elements.iter().take(count - all.len()) {
            all.push(copy(original, names.of_copy(&original.name, k), k)?);
        }
    }
    Ok(all)
}

fn copy(original: &Elements, name: String, k: i64) -> Result<Elements, DuplicateError> {
    let later_ns = k * COPY_S * 1_000_000_000;
    let epoch = Epoch::from_unix_ns(original.epoch.unix_ns().saturating_add(later_ns));
    let failed = |reason: String| DuplicateError::Orbit { copy: name.clone(), reason };
    original.at_epoch(name.clone(), epoch).map_err(|e| failed(e.to_string()))
}

/// The names that copies cannot take; none while no original looks like a copy, since copies differ as their originals do.
#[derive(Debug)]
struct Names(BTreeSet<String>);

impl Names {
    fn beside(elements: &[Elements]) -> Self {
        let is_like_copy = |name: &str| name.contains(MARK);
        let names = elements.iter().map(|e| &e.name).filter(|name| is_like_copy(name));
        Self(names.cloned().collect())
    }

    /// The name of copy `k`, or of the next one that is free.
    fn of_copy(&mut self, original: &str, k: i64) -> String {
        let mut names = (k..).map(|k| format!("{original}{MARK}{k}"));
        if self.0.is_empty() {
            return names.next().expect("numbers go on");
        }
        names.find(|name| self.0.insert(name.clone())).expect("numbers go on")
    }
}
