//! Samples of what comes late, and of commands that have their time.

use protocol::backlog::{
    Backlog, Late, LateColumn, LateContent, LateRecord, LateStream, LateSummary, Receipt,
};
use protocol::command::{Act, Command, Verb};
use protocol::event::{Event, EventKind, TimedOutcome};
use protocol::report::{BacklogReport, Group, Line, Report, ReportBody};
use types::{BootId, LeaderEpoch};

use crate::sample::{command, event, node, report, sky};

pub(crate) fn report_backlog() -> Report {
    report(ReportBody::Backlog(BacklogReport {
        records: 1,
        disk_bytes: 200_000,
        quota_bytes: 67_108_864,
        memory_bytes: 3,
        thinned: 4,
        lost_full: 5,
        lost_expired: 6,
        lost_memory: 7,
        damaged_bytes: 8,
        disk_failures: 9,
        line: Line::Expected,
    }))
}

pub(crate) fn backlog() -> Backlog {
    let summary = LateSummary {
        group: Group::Power,
        from: sky(-60),
        to: sky(-50),
        reports: 8,
        columns: vec![
            LateColumn { count: 8, min: 0.25, mean: 0.5, max: 0.75 },
            LateColumn { count: 0, min: 0.0, mean: 0.0, max: 0.0 },
        ],
    };
    let records = vec![
        LateRecord { id: 5, content: LateContent::Summary(summary) },
        LateRecord { id: 300, content: LateContent::Frame(vec![1, 1, 0xff]) },
    ];
    let late = Late { boot: BootId(76), stream: LateStream::Reports, records };
    Backlog { node: node("sat-1"), boot: BootId(77), late: Some(late) }
}

pub(crate) fn receipt() -> Receipt {
    Receipt {
        controller: node("controller"),
        reports_through: 600,
        reports_seen: 0b1011,
        events_through: 12,
        late_through: Some(300),
    }
}

pub(crate) fn event_timed() -> Event {
    event(EventKind::Timed { epoch: LeaderEpoch(4), id: 8, outcome: TimedOutcome::Missed })
}

pub(crate) fn command_at() -> Command {
    let verb = Verb::At { at: sky(600), until: sky(660), act: Act::ReportNow };
    Command { verb, ..command() }
}
