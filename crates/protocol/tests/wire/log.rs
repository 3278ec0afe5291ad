//! Logs and topics: the largest message, and one step beyond.

use protocol::log::{LINE_BYTES_MAX, LINES_MAX, LogBatch, LogLevel, LogLine};
use protocol::report::Header;
use protocol::topic::{TOPIC_BODY_BYTES_MAX, TopicMessage};
use types::{BootId, Epoch, FunctionId, NodeId, RunId, TaskId, Uptime, WorkflowId};

use crate::maxima::{fits, is_refused, name, text};

fn batch() -> LogBatch {
    let at = Epoch::from_unix_ns(i64::MIN);
    let line =
        LogLine { at, run: RunId(u64::MAX), level: LogLevel::Error, text: text(LINE_BYTES_MAX) };
    let header = Header {
        node: NodeId::new(&name(0)).expect("a valid name"),
        boot: BootId(u64::MAX),
        seq: u64::MAX,
        at,
        uptime: Uptime(u64::MAX),
    };
    LogBatch {
        header,
        workflow: WorkflowId::new(&name(0)).expect("a valid name"),
        task: TaskId::new(&name(0)).expect("a valid name"),
        function: FunctionId::new(&name(0)).expect("a valid name"),
        lines: vec![line; LINES_MAX],
        dropped: u64::MAX,
    }
}

#[test]
fn a_full_batch_fits_and_one_more_is_refused() {
    fits(&batch());
    is_refused(batch(), "lines", |batch| batch.lines.push(batch.lines[0].clone()));
    is_refused(batch(), "line", |batch| batch.lines[0].text.push('x'));
}

fn message() -> TopicMessage {
    let LogBatch { header, workflow, task, function, .. } = batch();
    let (run, body) = (RunId(u64::MAX), vec![0xff; TOPIC_BODY_BYTES_MAX]);
    TopicMessage { header, workflow, task, function, run, topic: text(64), body }
}

#[test]
fn the_largest_message_on_a_topic_fits_and_one_byte_more_is_refused() {
    fits(&message());
    is_refused(message(), "256 KiB", |message| message.body.push(0));
    for bad in ["", "/", "a//b", "/a", "a/", "a*", "a b"] {
        is_refused(message(), "topic", |message| message.topic = bad.to_owned());
    }
}
