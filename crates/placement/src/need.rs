//! What a task asks of the path to one input, and another limit in its place.

use topology::{Arrival, LinkNeed};
use types::{LatencyUs, TaskId};

use crate::workflow::{After, SourceNeed, Task};

/// What a task asks of the path to one input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Need<'a> {
    /// The task or source.
    pub(crate) to: &'a TaskId,
    pub(crate) latency_max_ms: Option<f64>,
    pub(crate) bandwidth_min_kbps: Option<u32>,
    pub(crate) loss_max: Option<f64>,
    pub(crate) kib: Option<u32>,
    pub(crate) arrives_within_ms: Option<f64>,
    pub(crate) jitter_max_ms: Option<f64>,
}

/// One limit of a path; `None` asks for nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    /// `latency_max_ms`
    LatencyMs(Option<f64>),
    /// `bandwidth_min_kbps`
    BandwidthKbps(Option<u32>),
    /// `loss_max`
    Loss(Option<f64>),
    /// `arrives_within_ms`
    ArrivesMs(Option<f64>),
}

impl Limit {
    fn put(
        self,
        latency_ms: &mut Option<f64>,
        kbps: &mut Option<u32>,
        loss: &mut Option<f64>,
        arrives_ms: &mut Option<f64>,
    ) {
        match self {
            Self::LatencyMs(limit) => *latency_ms = limit,
            Self::BandwidthKbps(limit) => *kbps = limit,
            Self::Loss(limit) => *loss = limit,
            Self::ArrivesMs(limit) => *arrives_ms = limit,
        }
    }
}

impl Task {
    /// The same with another limit for the path to an input.
    pub(crate) fn limited(&self, to: &TaskId, limit: Limit) -> Self {
        let mut task = self.clone();
        for after in task.after.iter_mut().filter(|after| after.task == *to) {
            let After { latency_max_ms, bandwidth_min_kbps, loss_max, arrives_within_ms, .. } =
                after;
            limit.put(latency_max_ms, bandwidth_min_kbps, loss_max, arrives_within_ms);
        }
        for need in task.sources.iter_mut().filter(|need| need.source == *to) {
            let SourceNeed {
                latency_max_ms, bandwidth_min_kbps, loss_max, arrives_within_ms, ..
            } = need;
            limit.put(latency_max_ms, bandwidth_min_kbps, loss_max, arrives_within_ms);
        }
        task
    }

    /// The inputs, predecessors first, with what their paths must offer.
    pub(crate) fn needs(&self) -> impl Iterator<Item = Need<'_>> {
        let after = self.after.iter().map(|after| Need {
            to: &after.task,
            latency_max_ms: after.latency_max_ms,
            bandwidth_min_kbps: after.bandwidth_min_kbps,
            loss_max: after.loss_max,
            kib: after.kib,
            arrives_within_ms: after.arrives_within_ms,
            jitter_max_ms: after.jitter_max_ms,
        });
        after.chain(self.sources.iter().map(|need| Need {
            to: &need.source,
            latency_max_ms: need.latency_max_ms,
            bandwidth_min_kbps: need.bandwidth_min_kbps,
            loss_max: need.loss_max,
            kib: need.kib,
            arrives_within_ms: need.arrives_within_ms,
            jitter_max_ms: need.jitter_max_ms,
        }))
    }
}

impl Need<'_> {
    /// Largest change of latency from one step to the next, which is no matter of one state of a path.
    pub(crate) fn jitter_max(&self) -> Option<LatencyUs> {
        self.jitter_max_ms.map(|ms| LatencyUs::from_ms(ms).unwrap_or_default())
    }

    /// As a need of the contact plan.
    ///
    /// A limit that is none (which [`crate::Workflow::check`] refuses) is met by nothing but a latency or loss of 0; one
    /// of arrival without an amount asks for nothing.
    pub(crate) fn link(&self) -> LinkNeed {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "float to int saturates, and what is no number is 0"
        )]
        let ppm = |share: f64| (share * 1e6).round() as u32;
        let latency = |ms: f64| LatencyUs::from_ms(ms).unwrap_or_default();
        let amount = self.kib.zip(self.arrives_within_ms);
        LinkNeed {
            latency_max: self.latency_max_ms.map(latency),
            rate_kbps_min: self.bandwidth_min_kbps,
            loss_ppm_max: self.loss_max.map(ppm),
            arrival: amount.map(|(kib, within)| Arrival { kib, within: latency(within) }),
            ..LinkNeed::default()
        }
    }
}
