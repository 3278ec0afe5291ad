//! What nodes said late: what of it is new, as lines that are kept, and up to where each node was heard.
//!
//! Late records are history. None of them renews a lease or replaces what a node says now.

use std::collections::{BTreeMap, VecDeque};

use protocol::backlog::{Backlog, Late, LateContent, LateRecord, LateStream, LateSummary};
use protocol::decode;
use protocol::event::Event;
use protocol::report::Report;
use serde::{Deserialize, Serialize};
use types::{BootId, NodeId};

/// Streams of starts that are remembered of each node: two of each of its last sixteen.
const MARKS_MAX: usize = 32;

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Who said it.
    pub node: NodeId,
    /// Which start of it.
    pub boot: BootId,
    /// In which stream.
    pub stream: LateStream,
    /// Its number there.
    pub id: u64,
    /// What.
    pub said: Said,
}

/// What was said late.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// A report.
    Report(Box<Report>),
    /// An event.
    Event(Box<Event>),
    /// Many reports as one.
    Summary(LateSummary),
    /// What cannot be read, and why.
    Unreadable(String),
}

/// What of a line is read again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Mark {
    node: NodeId,
    boot: BootId,
    stream: LateStream,
    id: u64,
}

/// Up to where each stream of each start of each node is kept.
#[derive(Clone, Debug, Default)]
pub struct LateBook {
    marks: BTreeMap<NodeId, VecDeque<(BootId, LateStream, u64)>>,
}

impl LateBook {
    /// Up to which id a stream is kept.
    pub fn through(&self, node: &NodeId, boot: BootId, stream: LateStream) -> u64 {
        let marks = self.marks.get(node).into_iter().flatten();
        let mut found = marks.filter(|mark| (mark.0, mark.1) == (boot, stream));
        found.next().map_or(0, |mark| mark.2)
    }

    /// The lines of what is new in a message.
    pub fn lines(&self, node: &NodeId, late: &Late) -> Vec<Line> {
        let through = self.through(node, late.boot, late.stream);
        let new = late.records.iter().filter(|record| through < record.id);
        new.map(|record| line(node, late, record)).collect()
    }

    /// Everything up to an id is durable.
    pub fn kept(&mut self, node: &NodeId, boot: BootId, stream: LateStream, through: u64) {
        let marks = self.marks.entry(node.clone()).or_default();
        let known = marks.iter().position(|mark| (mark.0, mark.1) == (boot, stream));
        // The one that was heard last goes to the end.
        let before = known.and_then(|at| marks.remove(at)).map_or(0, |mark| mark.2);
        marks.push_back((boot, stream, through.max(before)));
        if MARKS_MAX < marks.len() {
            marks.pop_front();
        }
    }

    /// A line that an earlier controller kept.
    pub fn again(&mut self, mark: &Mark) {
        self.kept(&mark.node, mark.boot, mark.stream, mark.id);
    }
}

fn line(node: &NodeId, late: &Late, record: &LateRecord) -> Line {
    let said = match (&record.content, late.stream) {
        (LateContent::Summary(summary), _) => Said::Summary(summary.clone()),
        (LateContent::Frame(frame), LateStream::Reports) => match decode::<Report>(frame) {
            Ok(report) if (&report.header.node, report.header.boot) == (node, late.boot) => {
                Said::Report(Box::new(report))
            }
            Ok(report) => Said::Unreadable(format!("it claims to be of {}", report.header.node)),
            Err(error) => Said::Unreadable(error.to_string()),
        },
        (LateContent::Frame(frame), LateStream::Events) => match decode::<Event>(frame) {
            Ok(event) if (&event.header.node, event.header.boot) == (node, late.boot) => {
                Said::Event(Box::new(event))
            }
            Ok(event) => Said::Unreadable(format!("it claims to be of {}", event.header.node)),
            Err(error) => Said::Unreadable(error.to_string()),
        },
    };
    let (node, boot, stream) = (node.clone(), late.boot, late.stream);
    Line { node, boot, stream, id: record.id, said }
}

/// The last id of the late records of a message.
pub fn last_id(backlog: &Backlog) -> Option<u64> {
    backlog.late.as_ref()?.records.last().map(|record| record.id)
}

#[cfg(test)]
mod tests {
    use protocol::encode;
    use protocol::event::EventKind;
    use protocol::report::Header;
    use types::{Epoch, Uptime};

    use super::*;

    fn node(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    fn event(name: &str, boot: u64, seq: u64) -> LateRecord {
        let at = Epoch::from_unix_ns(0);
        let header = Header { node: node(name), boot: BootId(boot), seq, at, uptime: Uptime(1) };
        let kind = EventKind::Refused { reason: "full".to_owned() };
        LateRecord {
            id: seq,
            content: LateContent::Frame(encode(&Event { header, kind }).unwrap()),
        }
    }

    fn late(records: Vec<LateRecord>) -> Late {
        Late { boot: BootId(7), stream: LateStream::Events, records }
    }

    #[test]
    fn what_is_kept_is_not_new_again() {
        let mut book = LateBook::default();
        let first = late((1..=3).map(|seq| event("sat-1", 7, seq)).collect());
        assert_eq!(book.lines(&node("sat-1"), &first).len(), 3);
        book.kept(&node("sat-1"), BootId(7), LateStream::Events, 2);
        let ids: Vec<_> = book.lines(&node("sat-1"), &first).iter().map(|line| line.id).collect();
        assert_eq!(ids, [3]);
        // Another start, another stream and another node are other things.
        assert_eq!(book.through(&node("sat-1"), BootId(8), LateStream::Events), 0);
        assert_eq!(book.through(&node("sat-1"), BootId(7), LateStream::Reports), 0);
        assert_eq!(book.lines(&node("sat-2"), &first).len(), 3);
    }

    #[test]
    fn what_speaks_for_another_node_or_start_is_kept_as_that() {
        let book = LateBook::default();
        let garbage = LateRecord { id: 4, content: LateContent::Frame(vec![1, 2, 3]) };
        let records =
            vec![event("sat-2", 7, 1), event("sat-1", 8, 2), event("sat-1", 7, 3), garbage];
        let lines = book.lines(&node("sat-1"), &late(records));
        let readable = |line: &Line| matches!(line.said, Said::Event(_));
        assert_eq!(lines.iter().map(readable).collect::<Vec<_>>(), [false, false, true, false]);
    }

    #[test]
    fn a_line_reads_back_as_its_mark() {
        let lines = LateBook::default().lines(&node("sat-1"), &late(vec![event("sat-1", 7, 9)]));
        let text = serde_json::to_string(&lines[0]).unwrap();
        let mut book = LateBook::default();
        book.again(&serde_json::from_str(&text).unwrap());
        assert_eq!(book.through(&node("sat-1"), BootId(7), LateStream::Events), 9);
    }

    #[test]
    fn starts_of_a_node_are_bounded() {
        let mut book = LateBook::default();
        for boot in 0..100 {
            book.kept(&node("sat-1"), BootId(boot), LateStream::Events, 5);
        }
        assert_eq!(book.marks[&node("sat-1")].len(), MARKS_MAX);
        assert_eq!(book.through(&node("sat-1"), BootId(99), LateStream::Events), 5);
    }
}
