//! The rules that a contact plan obeys.

use std::collections::BTreeSet;

use types::Epoch;

use super::{CONFIDENCE_PPM_MAX, LinkWindow, minutes_touched, on_minute};

/// Most nodes: ten times the largest constellation that is simulated.
pub const NODES_MAX: usize = 1 << 20;
/// Longest name of a node in bytes; names of element sets have 24 characters.
const NAME_BYTES_MAX: usize = 255;
/// Longest horizon, seconds: a month. Elements are worth less than that.
pub const HORIZON_S_MAX: f64 = 31.0 * 86_400.0;
/// Most windows: more than a file can be read in memory of.
const WINDOWS_MAX: usize = 1 << 28;
/// Largest coefficient of a range: far beyond the Moon, and small enough that no range is infinite.
const COEFFICIENT_MAX: f64 = 1.0e9;

/// Windows that make no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkPlanError {
    /// A horizon that no plan can have.
    #[error(
        "a plan from {start} to {end} must begin and end at whole minutes of UTC and last 1 minute to 31 days"
    )]
    Horizon {
        /// The beginning.
        start: Epoch,
        /// The end.
        end: Epoch,
    },
    /// Too many nodes or windows.
    #[error("a plan of {count} {what} is larger than {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many are allowed.
        max: usize,
    },
    /// A name that no node can have.
    #[error(
        "node {node}: name {name:?} must be 1 to 255 bytes without control characters, and no other node's"
    )]
    Name {
        /// The number of the node.
        node: usize,
        /// The refused name.
        name: String,
    },
    /// A window that breaks a rule.
    #[error("window {window}, of nodes {a} and {b} from {open}: {rule}")]
    Window {
        /// Its position in order of time.
        window: usize,
        /// One end.
        a: u32,
        /// The other end.
        b: u32,
        /// Its beginning.
        open: Epoch,
        /// The rule that it breaks.
        rule: &'static str,
    },
}

pub(super) fn horizon(start: Epoch, end: Epoch) -> Result<(), LinkPlanError> {
    let seconds = end.seconds_since(start);
    let lasts = 0.0 < seconds && seconds <= HORIZON_S_MAX;
    match lasts && on_minute(start) && on_minute(end) {
        true => Ok(()),
        false => Err(LinkPlanError::Horizon { start, end }),
    }
}

pub(super) fn nodes(nodes: &[String]) -> Result<(), LinkPlanError> {
    limit("nodes", nodes.len(), NODES_MAX)?;
    let mut seen = BTreeSet::new();
    for (node, name) in nodes.iter().enumerate() {
        let readable = !name.is_empty() && name.len() <= NAME_BYTES_MAX;
        if !readable || name.contains(char::is_control) || !seen.insert(name) {
            let name = name.chars().take(64).collect();
            return Err(LinkPlanError::Name { node, name });
        }
    }
    Ok(())
}

pub(super) fn count(windows: &[LinkWindow]) -> Result<(), LinkPlanError> {
    limit("windows", windows.len(), WINDOWS_MAX)?;
    let segments = windows.iter().map(|window| window.range.len()).sum();
    limit("range segments", segments, u32::MAX as usize)
}

fn limit(what: &'static str, count: usize, max: usize) -> Result<(), LinkPlanError> {
    if max < count { Err(LinkPlanError::TooMany { what, count, max }) } else { Ok(()) }
}

pub(super) fn window(
    at: usize,
    window: &LinkWindow,
    (start, end): (Epoch, Epoch),
    nodes: usize,
) -> Result<(), LinkPlanError> {
    let rule = if nodes <= window.b.index() {
        "both ends must be nodes of the plan"
    } else if window.b <= window.a {
        "the first end must have the lower number"
    } else if window.close <= window.open {
        "it must end after it begins"
    } else if window.open < start || end < window.close {
        "it must lie within the plan"
    } else if !window.open_known && start < window.open {
        "its beginning can be unknown at the beginning of the plan only"
    } else if !window.close_known && window.close < end {
        "its end can be unknown at the end of the plan only"
    } else if window.rate_kbps == 0 {
        "its rate must be at least 1 kbit/s"
    } else if CONFIDENCE_PPM_MAX < window.confidence_ppm {
        "its confidence must be 0 to 1000000 ppm"
    } else if i64::try_from(window.range.len()) != Ok(minutes_touched(window.open, window.close)) {
        "it must have one range for each minute of UTC that it touches"
    } else if !window.range.iter().all(|segment| {
        segment.c.iter().all(|c| c.abs() <= COEFFICIENT_MAX)
            && (0.0..=COEFFICIENT_MAX).contains(&segment.error_km_max)
    }) {
        "its ranges must be numbers within 1e9 either way, errors not negative"
    } else {
        return Ok(());
    };
    let (a, b, open) = (window.a.0, window.b.0, window.open);
    Err(LinkPlanError::Window { window: at, a, b, open, rule })
}

pub(super) fn overlaps(windows: &[LinkWindow], by_pair: &[u32]) -> Result<(), LinkPlanError> {
    for two in by_pair.windows(2) {
        let (before, after) = (&windows[two[0] as usize], &windows[two[1] as usize]);
        if (before.a, before.b) == (after.a, after.b) && after.open < before.close {
            let (a, b, open) = (after.a.0, after.b.0, after.open);
            let rule = "it must not begin before the last one of the pair ends";
            return Err(LinkPlanError::Window { window: two[1] as usize, a, b, open, rule });
        }
    }
    Ok(())
}
