//! What is queued for want of a link: which streams there are, what can be merged, and how a record travels late.
//!
//! Pure; the queue itself is [`queue`], its files and its task are in the shell.

use protocol::backlog::{
    LATE_BYTES_MAX, LATE_RECORDS_MAX, Late, LateColumn, LateContent, LateRecord, LateStream,
    LateSummary,
};
use protocol::decode;
use protocol::report::{BacklogReport, Group, Line, Reading, Report, ReportBody};
use queue::{Batch, Column, Columns, Content, Record, Status, StreamConfig};
use types::BootId;

use crate::config::QueueConfig;

/// The stream of events: sent first, given up last, never merged.
pub const EVENTS: u8 = 0;
/// The stream of reports.
pub const REPORTS: u8 = 1;

/// The groups whose reports can be queued; a series is its place here.
const SERIES: [Group; 10] = [
    Group::Power,
    Group::Thermal,
    Group::Compute,
    Group::Gpu,
    Group::Link,
    Group::Position,
    Group::Function,
    Group::Queue,
    Group::Backlog,
    Group::Life,
];

/// The streams, in the order of their numbers.
pub fn streams(config: &QueueConfig) -> [StreamConfig; 2] {
    let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    [
        StreamConfig { ttl_ms: ms(config.event_ttl), is_thinned: false },
        StreamConfig { ttl_ms: ms(config.report_ttl), is_thinned: true },
    ]
}

/// The series of a group.
pub fn series(group: Group) -> u8 {
    let at = SERIES.iter().position(|known| *known == group);
    at.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}

/// Reads the numbers of reports.
#[derive(Clone, Copy, Debug)]
pub struct Numbers;

impl Columns for Numbers {
    fn columns(&self, _series: u8, payload: &[u8]) -> Option<Vec<Column>> {
        let report = decode::<Report>(payload).ok()?;
        let one = |reading: Reading| Column::of(reading.value());
        Some(match &report.body {
            ReportBody::Power(power) => {
                [power.state_of_charge, power.capacity_wh, power.load_w, power.solar_w]
                    .map(one)
                    .to_vec()
            }
            ReportBody::Thermal(thermal) => [thermal.hottest_c, thermal.limit_c].map(one).to_vec(),
            ReportBody::Compute(compute) => {
                let free = compute.free;
                let mut columns =
                    vec![count(free.milli_cpu.0.into()), count(free.memory_mib.0.into())];
                columns.extend([compute.load_milli_cpu, compute.pss_mib, compute.threads].map(one));
                columns
            }
            ReportBody::Link(link) => {
                let rtts = link.samples.iter().filter_map(|sample| sample.rtt_us);
                let answers =
                    link.samples.iter().map(|sample| f32::from(u8::from(sample.rtt_us.is_some())));
                vec![Column::over(rtts.map(|us| real(us.into()))), Column::over(answers)]
            }
            ReportBody::Queue(queue) => vec![
                count(queue.invocations_waiting.into()),
                count(queue.transfers_waiting.into()),
                count(queue.state_bytes),
            ],
            // Sums since the start: the newest says all. The others are not queued by this version.
            ReportBody::Function(_)
            | ReportBody::Backlog(_)
            | ReportBody::Life(_)
            | ReportBody::Gpu(_)
            | ReportBody::Position(_) => return None,
        })
    }
}

fn count(value: u64) -> Column {
    Column::of(Some(real(value)))
}

#[expect(clippy::cast_precision_loss, reason = "a mean over time; seven digits say enough")]
fn real(value: u64) -> f32 {
    value as f32
}

/// Records as they travel late, as many as one message holds; at least one.
pub fn late(batch: Batch) -> Option<Late> {
    let stream = match batch.stream {
        EVENTS => LateStream::Events,
        REPORTS => LateStream::Reports,
        _ => return None,
    };
    let (mut records, mut bytes) = (Vec::new(), 0);
    for record in batch.records {
        bytes += match &record.content {
            Content::Whole(frame) => frame.len(),
            Content::Summary(_) => 0,
        };
        if LATE_RECORDS_MAX == records.len() || (LATE_BYTES_MAX < bytes && !records.is_empty()) {
            break;
        }
        records.extend(late_record(record));
    }
    (!records.is_empty()).then_some(Late { boot: BootId(batch.boot), stream, records })
}

fn late_record(record: Record) -> Option<LateRecord> {
    let content = match record.content {
        Content::Whole(frame) => LateContent::Frame(frame),
        Content::Summary(columns) => LateContent::Summary(LateSummary {
            group: *SERIES.get(usize::from(record.series))?,
            from: record.from,
            to: record.to,
            reports: record.stands_for,
            columns: columns.iter().map(column).collect(),
        }),
    };
    Some(LateRecord { id: record.id, content })
}

fn column(column: &Column) -> LateColumn {
    let Column { count, min, mean, max } = *column;
    LateColumn { count, min, mean, max }
}

/// What is told of the queue.
pub fn report(status: &Status, quota_bytes: u64, line: Line) -> BacklogReport {
    let counters = &status.counters;
    BacklogReport {
        records: status.records,
        disk_bytes: status.disk_bytes,
        quota_bytes,
        memory_bytes: status.memory_bytes,
        thinned: counters.thinned,
        lost_full: counters.lost_full,
        lost_expired: counters.lost_expired,
        lost_memory: counters.lost_memory,
        damaged_bytes: counters.damaged_bytes,
        disk_failures: counters.disk_failures,
        line,
    }
}

#[cfg(test)]
mod tests {
    use protocol::encode;
    use protocol::report::{Header, LinkReport, LinkSample, Source, ThermalReport};
    use types::{Epoch, NodeId, Uptime};

    use super::*;

    fn frame(body: ReportBody) -> Vec<u8> {
        let node = NodeId::new("sat-1").unwrap();
        let at = Epoch::from_unix_ns(5);
        let header = Header { node, boot: BootId(1), seq: 1, at, uptime: Uptime(1) };
        encode(&Report { header, last_event_seq: 0, body }).unwrap()
    }

    #[test]
    fn unknown_stays_unknown_in_the_numbers_of_a_report() {
        let hottest_c = Reading::known(41.5, Source::Measured);
        let limit_c = Reading::Unknown(protocol::report::NoReading::NoSensor);
        let frame = frame(ReportBody::Thermal(ThermalReport { hottest_c, limit_c }));
        let columns = Numbers.columns(series(Group::Thermal), &frame).unwrap();
        assert_eq!(columns, [Column::of(Some(41.5)), Column::UNKNOWN]);
    }

    #[test]
    fn links_are_told_by_their_round_trips_and_their_silences() {
        let sample = |rtt_us| {
            let peer = NodeId::new("drone").unwrap();
            LinkSample { peer, at: Epoch::from_unix_ns(1), rtt_us }
        };
        let samples = vec![sample(Some(20)), sample(None), sample(Some(40)), sample(None)];
        let frame = frame(ReportBody::Link(LinkReport { samples }));
        let columns = Numbers.columns(series(Group::Link), &frame).unwrap();
        assert_eq!((columns[0].count, columns[0].min, columns[0].max), (2, 20.0, 40.0));
        assert_eq!((columns[1].count, columns[1].mean), (4, 0.5));
        assert_eq!(Numbers.columns(0, b"no report"), None);
    }

    #[test]
    fn a_message_holds_what_it_can_and_the_rest_comes_next() {
        let record = |id| Record {
            id,
            stamp_ms: 0,
            from: Epoch::from_unix_ns(0),
            to: Epoch::from_unix_ns(0),
            stands_for: 1,
            series: 0,
            content: Content::Whole(vec![0; 50_000]),
        };
        let batch = Batch { stream: EVENTS, boot: 9, records: (1..=5).map(record).collect() };
        let late = late(batch).unwrap();
        assert_eq!(
            (late.boot, late.stream, late.records.len()),
            (BootId(9), LateStream::Events, 2)
        );
        let backlog = protocol::backlog::Backlog {
            node: NodeId::new("sat-1").unwrap(),
            boot: BootId(9),
            late: Some(late),
        };
        assert!(encode(&backlog).is_ok());
    }
}
