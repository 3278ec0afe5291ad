//! What goes into each group of reports, and events in words for the log.

use std::sync::atomic::Ordering;
use std::time::Instant;

use protocol::event::{Event, EventKind};
use protocol::report::{ComputeReport, Group, LinkReport, QueueReport, ReportBody};
use types::Capacity;

use super::{Work, locked};

/// Whether reading a group takes more than memory: the kernel makes up `/proc` on the spot, for a millisecond; a driver takes as long as it likes.
pub(super) const fn may_block(group: Group) -> bool {
    matches!(group, Group::Power | Group::Thermal | Group::Gpu | Group::Compute | Group::Queue)
}

/// Reads the sensors of a group; what only the machine knows is left empty for it.
pub(super) fn sample(work: &Work, group: Group) -> Option<ReportBody> {
    let now = work.clock().now();
    Some(match group {
        Group::Power => {
            // Functions that ask for the sensors do not wait for hardware.
            let told = locked(&work.parts.hardware).power(Instant::now());
            let mut sensors = locked(&work.parts.sensors);
            sensors.worked(work.exec().functions_cpu_ns(), now.at.0);
            ReportBody::Power(sensors.power(now.sky, told))
        }
        Group::Thermal => {
            let told = locked(&work.parts.hardware).warmth(Instant::now());
            ReportBody::Thermal(locked(&work.parts.sensors).thermal(now.sky, Some(told)))
        }
        Group::Compute => {
            let usage = locked(&work.parts.sensors).usage();
            ReportBody::Compute(ComputeReport {
                capacity: Capacity::default(),
                free: Capacity::default(),
                load_milli_cpu: usage.load_milli_cpu,
                pss_mib: usage.pss_mib,
                threads: usage.threads,
            })
        }
        Group::Link => ReportBody::Link(LinkReport { samples: Vec::new() }),
        Group::Function => ReportBody::Function(work.exec().report()),
        Group::Queue => ReportBody::Queue(QueueReport {
            invocations_waiting: work.exec().waiting(),
            transfers_waiting: 0,
            state_bytes: work.state().usage().bytes,
            frames_dropped: work.frames_dropped().load(Ordering::Relaxed),
            reports_dropped: work.reports_dropped.load(Ordering::Relaxed),
        }),
        Group::Gpu => ReportBody::Gpu(locked(&work.parts.hardware).gpu(Instant::now())?),
        Group::Position => ReportBody::Position(locked(&work.parts.sensors).position(now.sky)?),
        Group::Backlog => ReportBody::Backlog(work.keeping().report()?),
        Group::Life => ReportBody::Life(work.parts.life.report()?),
    })
}

/// An event in a few words.
pub(super) fn words(event: &Event) -> String {
    match &event.kind {
        EventKind::Started(facts) => {
            format!("started, epoch {} generation {}", facts.epoch, facts.generation)
        }
        EventKind::Prepared { workflow, task, generation } => {
            format!("{workflow}.{task} prepared for generation {generation}")
        }
        EventKind::TookOver { workflow, task, owner_epoch, from } => {
            let from = from.as_ref().map_or("nobody", |node| node.as_str());
            format!("{workflow}.{task} taken over from {from}, owner epoch {owner_epoch}")
        }
        EventKind::FirstCall { workflow, task, run, owner_epoch } => {
            format!("{workflow}.{task} first called by run {run}, owner epoch {owner_epoch}")
        }
        EventKind::RunFinished(run) => {
            let (workflow, number, ms) = (&run.workflow, run.run, run.wall_us / 1000);
            match &run.failure {
                None => format!("run {number} of {workflow} completed in {ms} ms"),
                Some(failure) => {
                    format!("run {number} of {workflow} failed after {ms} ms: {failure}")
                }
            }
        }
        EventKind::Refused { reason } => format!("refused: {reason}"),
        EventKind::Timed { epoch, id, outcome } => {
            format!("command {id} of epoch {epoch} {}", outcome.words())
        }
        EventKind::BackEnd { name, change, reason } => {
            format!("back end {name} {}: {reason}", change.words())
        }
        EventKind::Update { number, version, step, reason } => {
            format!("program {version} (number {number}) {}: {reason}", step.words())
        }
        EventKind::SafeMode { failed, for_s } => {
            format!("safe mode after {failed} failed starts: no functions for {for_s} s")
        }
    }
}
