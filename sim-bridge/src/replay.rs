//! The clock of a replay: where it starts, how it runs.

use std::time::{SystemTime, UNIX_EPOCH};

use orbit::Sky;
use types::{Epoch, InvalidSkyClock, SkyClock, WallTime};

use crate::config::SimConfig;

/// The wall clock that all processes of the machine share; 1970 for a clock before that.
pub fn wall_now() -> WallTime {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since_1970.as_nanos()).unwrap_or(i64::MAX))
}

/// Where a replay of `sky` starts: as told, or at the newest epoch of its elements.
pub fn start_of(config: &SimConfig, sky: &Sky) -> Epoch {
    config.start.unwrap_or_else(|| sky.newest_epoch())
}

/// A clock that starts now.
///
/// # Errors
/// [`InvalidSkyClock`] for a rate that no replay can have.
pub fn start_clock(config: &SimConfig, sky: &Sky) -> Result<SkyClock, InvalidSkyClock> {
    SkyClock::new(start_of(config, sky), wall_now(), config.rate)
}
