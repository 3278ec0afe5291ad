//! How old element sets are at the start of a simulation.

use types::Epoch;

use crate::elements::Elements;

/// Days from the epoch after which the error of SGP4 along the track is commonly tens of kilometres.
pub const OLD_DAYS: f64 = 14.0;

const S_PER_DAY: f64 = 86_400.0;

/// How far the epochs of elements lie from an instant, days; negative before their epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochAges {
    /// Of the newest elements.
    pub least_days: f64,
    /// Of the one in the middle; of two the older one.
    pub median_days: f64,
    /// Of the oldest elements.
    pub most_days: f64,
    /// How many are more than [`OLD_DAYS`] away, before or after.
    pub far: usize,
}

/// How far the epochs of elements lie from `start`; `None` without elements.
pub fn epoch_ages(elements: &[Elements], start: Epoch) -> Option<EpochAges> {
    let mut days: Vec<f64> =
        elements.iter().map(|e| start.seconds_since(e.epoch) / S_PER_DAY).collect();
    days.sort_unstable_by(f64::total_cmp);
    Some(EpochAges {
        least_days: *days.first()?,
        median_days: days[days.len() / 2],
        most_days: *days.last()?,
        far: days.iter().filter(|age| OLD_DAYS < age.abs()).count(),
    })
}
