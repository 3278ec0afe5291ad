//! What functions log, as it comes: the last lines of each, and those who follow. Kept in memory: logs are no records.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::decode;
use protocol::key::node_of;
use protocol::log::LogBatch;
use tokio::sync::broadcast;
use types::{BootId, FleetId, FunctionId, NodeId};

use crate::api::LogEntry;

/// Lines that are kept of a function.
const LINES_KEPT: usize = 500;
/// Functions whose lines are kept; the one that was silent longest is forgotten first. With lines of 1 KiB less than 64 MiB.
const FUNCTIONS_KEPT: usize = 128;
/// Nodes whose numbers are followed: the most that a fleet has many times over.
const NODES_MAX: usize = 65_536;
/// Lines that one who follows may be behind; then the oldest are left out for it, and counted.
const BEHIND_MAX: usize = 1024;

/// Lines of all functions; clones are handles to the same.
#[derive(Clone, Debug)]
pub struct LogBook {
    fleet: FleetId,
    kept: Arc<Mutex<Kept>>,
    coming: broadcast::Sender<Arc<(FunctionId, LogEntry)>>,
}

#[derive(Debug, Default)]
struct Kept {
    functions: BTreeMap<FunctionId, Lines>,
    /// The newest batch of each node.
    newest: BTreeMap<NodeId, (BootId, u64)>,
    /// Counts batches.
    clock: u64,
}

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<LogEntry>,
    /// When the newest came, in batches.
    at: u64,
}

impl LogBook {
    /// No lines yet.
    pub fn new(fleet: FleetId) -> Self {
        Self { fleet, kept: Arc::default(), coming: broadcast::channel(BEHIND_MAX).0 }
    }

    /// Takes a batch; what does not decode, or is not of the node that its key names, is dropped.
    pub fn take(&self, key: &str, frame: &[u8]) {
        let batch = match decode::<LogBatch>(frame) {
            Ok(batch) if node_of(&self.fleet, key).as_ref() == Some(&batch.header.node) => batch,
            Ok(batch) => {
                return tracing::debug!(key, node = %batch.header.node, "log of another node");
            }
            Err(error) => return tracing::debug!(key, %error, "log refused"),
        };
        let function = batch.function.clone();
        let mut kept = self.kept();
        let lost = kept.lost_before(&batch);
        let entries = entries(batch, lost);
        kept.keep(&function, &entries);
        drop(kept);
        for entry in entries {
            // Nobody may follow.
            self.coming.send(Arc::new((function.clone(), entry))).ok();
        }
    }

    /// What is kept of a function, the oldest first, and what comes after that, of all functions.
    pub fn read(
        &self,
        function: &FunctionId,
    ) -> (Vec<LogEntry>, broadcast::Receiver<Arc<(FunctionId, LogEntry)>>) {
        // Between both nothing may come: it would be missed or told twice.
        let kept = self.kept();
        let coming = self.coming.subscribe();
        let lines = kept.functions.get(function);
        (lines.map(|lines| lines.lines.iter().cloned().collect()).unwrap_or_default(), coming)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Batches of a node that did not arrive before this one.
    fn lost_before(&mut self, batch: &LogBatch) -> u64 {
        let header = &batch.header;
        if NODES_MAX <= self.newest.len() && !self.newest.contains_key(&header.node) {
            return 0;
        }
        let newest = self.newest.insert(header.node.clone(), (header.boot, header.seq));
        match newest {
            Some((boot, seq)) if boot == header.boot => header.seq.saturating_sub(seq + 1),
            // Of a start that was not heard from its beginning nothing is known.
            Some(_) | None => 0,
        }
    }

    fn keep(&mut self, function: &FunctionId, entries: &[LogEntry]) {
        self.clock += 1;
        if FUNCTIONS_KEPT <= self.functions.len() && !self.functions.contains_key(function) {
            let quietest = self.functions.iter().min_by_key(|(_, lines)| lines.at);
            if let Some(name) = quietest.map(|(name, _)| name.clone()) {
                self.functions.remove(&name);
            }
        }
        let lines = self.functions.entry(function.clone()).or_default();
        lines.at = self.clock;
        lines.lines.extend(entries.iter().cloned());
        let surplus = lines.lines.len().saturating_sub(LINES_KEPT);
        lines.lines.drain(..surplus);
    }
}

fn entries(batch: LogBatch, lost: u64) -> Vec<LogEntry> {
    let gap = LogEntry {
        node: batch.header.node,
        workflow: Some(batch.workflow),
        task: Some(batch.task),
        at: batch.header.at,
        run: None,
        level: None,
        text: String::new(),
        dropped: batch.dropped,
        lost,
    };
    let line = |line: protocol::log::LogLine| LogEntry {
        at: line.at,
        run: Some(line.run),
        level: Some(line.level),
        text: line.text,
        dropped: 0,
        lost: 0,
        ..gap.clone()
    };
    let lines: Vec<LogEntry> = batch.lines.into_iter().map(line).collect();
    let is_gap = gap.dropped != 0 || gap.lost != 0;
    is_gap.then_some(gap).into_iter().chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use protocol::encode;
    use protocol::log::{LogLevel, LogLine};
    use protocol::report::Header;
    use types::{Epoch, RunId, TaskId, Uptime, WorkflowId};

    use super::*;

    fn batch(boot: u64, seq: u64, texts: &[&str]) -> LogBatch {
        let at = Epoch::from_unix_ns(5);
        let line = |text: &&str| LogLine {
            at,
            run: RunId(3),
            level: LogLevel::Warn,
            text: (*text).to_owned(),
        };
        LogBatch {
            header: Header {
                node: NodeId::new("sat-1").unwrap(),
                boot: BootId(boot),
                seq,
                at,
                uptime: Uptime(1),
            },
            workflow: WorkflowId::new("flood").unwrap(),
            task: TaskId::new("detect").unwrap(),
            function: FunctionId::new("f").unwrap(),
            lines: texts.iter().map(line).collect(),
            dropped: 0,
        }
    }

    fn book() -> LogBook {
        LogBook::new(FleetId::new("demo").unwrap())
    }

    const KEY: &str = "starbelt/demo/sat-1/evt/log";

    #[test]
    fn lines_are_kept_in_order_and_what_is_missing_is_said() {
        let book = book();
        let function = FunctionId::new("f").unwrap();
        let (before, mut coming) = book.read(&function);
        assert_eq!(before, []);
        for (boot, seq, text) in [(1, 4, "a"), (1, 5, "b"), (1, 8, "c"), (2, 9, "d")] {
            book.take(KEY, &encode(&batch(boot, seq, &[text])).unwrap());
        }
        let cut = LogBatch { dropped: 7, ..batch(2, 10, &["e"]) };
        book.take(KEY, &encode(&cut).unwrap());
        let told: Vec<_> = book.read(&function).0;
        let told: Vec<(&str, u64, u64)> =
            told.iter().map(|entry| (entry.text.as_str(), entry.dropped, entry.lost)).collect();
        let expected = [
            ("a", 0, 0),
            ("b", 0, 0),
            ("", 0, 2),
            ("c", 0, 0),
            ("d", 0, 0),
            ("", 7, 0),
            ("e", 0, 0),
        ];
        assert_eq!(told, expected);
        assert_eq!(coming.try_recv().unwrap().1.text, "a");
    }

    #[test]
    fn what_is_kept_is_bounded_and_must_be_of_the_node_that_says_it() {
        let book = book();
        let function = FunctionId::new("f").unwrap();
        book.take("starbelt/demo/sat-2/evt/log", &encode(&batch(1, 1, &["x"])).unwrap());
        book.take(KEY, b"\xff");
        assert_eq!(book.read(&function).0, []);
        for seq in 0..600 {
            book.take(KEY, &encode(&batch(1, seq, &["x"])).unwrap());
        }
        assert_eq!(book.read(&function).0.len(), LINES_KEPT);
    }
}
