//! How old element sets are at the start of a simulation, and where one starts by default.

use std::time::Duration;

use types::Epoch;

use crate::elements::Elements;

/// Days from the epoch after which the error of SGP4 along the track is commonly tens of kilometres.
pub const OLD_DAYS: f64 = 14.0;

/// An epoch so long after the median is no newer element set but a mistake, or one object among old ones: a month,
/// after which SGP4 is wrong by hundreds of kilometres in low orbits.
const EPOCH_AHEAD_MAX: Duration = Duration::from_secs(30 * 86_400);

const S_PER_DAY: f64 = 86_400.0;

/// How far the epochs of elements lie from a time, days: from whichever of its ends is farther, before or after.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochAges {
    /// Of the elements that are nearest.
    pub least_days: f64,
    /// Of the one in the middle; of two the farther one.
    pub median_days: f64,
    /// Of the elements that are farthest.
    pub most_days: f64,
    /// How many are more than [`OLD_DAYS`] away.
    pub far: usize,
}

/// How far the epochs of elements lie from the time between `from` and `to`; `None` without elements.
pub fn epoch_ages(elements: &[Elements], (from, to): (Epoch, Epoch)) -> Option<EpochAges> {
    let age_days = |set: &Elements| {
        let (before, after) = (from.seconds_since(set.epoch), to.seconds_since(set.epoch));
        before.abs().max(after.abs()) / S_PER_DAY
    };
    let mut days: Vec<f64> = elements.iter().map(age_days).collect();
    days.sort_unstable_by(f64::total_cmp);
    Some(EpochAges {
        least_days: *days.first()?,
        median_days: days[days.len() / 2],
        most_days: *days.last()?,
        far: days.iter().filter(|age| OLD_DAYS < **age).count(),
    })
}

/// The newest epoch: the latest moment that elements were made for; `None` without elements.
///
/// An epoch more than 30 days after the median (of two in the middle the later one) does not count: one mistyped year would
/// move the start of a simulation to where all other elements are worthless. Epochs long before the median change nothing.
pub fn newest_epoch(elements: &[Elements]) -> Option<Epoch> {
    let mut epochs: Vec<Epoch> = elements.iter().map(|e| e.epoch).collect();
    epochs.sort_unstable();
    let epoch_max = epochs.get(epochs.len() / 2)?.plus(EPOCH_AHEAD_MAX);
    epochs.into_iter().rfind(|epoch| *epoch <= epoch_max)
}
