//! The contact plan: pairs and windows.

use std::collections::BTreeSet;

use topology::{ContactPlan, ContactWindow, LinkNeed, PairState};
use types::{Epoch, LatencyUs, NodeId};

use super::{ViewError, not_found};
use crate::api::{PairSummary, PairWindows, WindowInfo};

pub(super) fn pair_summary(plan: &ContactPlan, sky: Epoch, a: &NodeId, b: &NodeId) -> PairSummary {
    let path = match plan.state(a, b, sky) {
        PairState::Path(path) => Some(path),
        PairState::Same | PairState::Down | PairState::Outside => None,
    };
    let windows = plan.windows(a, b, (plan.start, plan.end()), &LinkNeed::default());
    PairSummary {
        a: a.clone(),
        b: b.clone(),
        latency_ms: path.map(|path| path.latency.as_ms()),
        hops: path.map(|path| path.hops),
        rate_kbps: path.map(|path| path.rate_kbps),
        windows: u32::try_from(windows.len()).unwrap_or(u32::MAX),
    }
}

pub(super) fn pair_windows(
    plan: &ContactPlan,
    sky: Epoch,
    (a, b): (&NodeId, &NodeId),
    need: &LinkNeed,
) -> Result<PairWindows, ViewError> {
    let known: BTreeSet<&str> =
        plan.pairs().iter().flat_map(|pair| [pair.a.as_str(), pair.b.as_str()]).collect();
    for end in [a, b] {
        if !known.contains(end.as_str()) {
            return Err(not_found("endpoint", end.as_str(), known.iter().copied()));
        }
    }
    let windows = plan.windows(a, b, (sky, plan.end()), need);
    let (a, b) = if a <= b { (a, b) } else { (b, a) };
    Ok(PairWindows {
        a: a.clone(),
        b: b.clone(),
        latency_max_ms: need.latency_max.map(LatencyUs::as_ms),
        hops_max: need.hops_max,
        windows: windows.iter().map(window_info).collect(),
    })
}

pub(super) fn window_info(window: &ContactWindow) -> WindowInfo {
    WindowInfo {
        id: format!("{:016x}", window.id.0),
        a: window.a.clone(),
        b: window.b.clone(),
        open: window.open,
        close: window.close,
        open_known: window.open_known,
        close_known: window.close_known,
        latency_max_ms: window.latency_max.as_ms(),
    }
}
