//! OMM as "keyword = value" lines: several messages may follow each other, each from its `CCSDS_OMM_VERS` on.

use std::borrow::Cow;

use super::message::{Field, Message};
use super::place::Mark;
use crate::catalog::Sink;
use crate::elements::ElementError;

const FIRST_KEY: &str = "CCSDS_OMM_VERS";

/// Reads messages one after the other.
pub(super) fn read(text: &str, sink: &mut dyn Sink) -> Result<(), ElementError> {
    let mut mark = Mark::BEGIN;
    let mut number = 0;
    let mut open: Option<Message<'_>> = None;
    for raw in text.split_inclusive('\n') {
        let next = mark.on(text, mark.at + raw.len());
        let line = raw.trim();
        if line.is_empty() || is_comment(line) {
            mark = next;
            continue;
        }
        let begin = mark.on(text, mark.at + raw.len() - raw.trim_start().len());
        if open.is_none() || line.starts_with(FIRST_KEY) {
            if let Some(message) = open.take() {
                sink.take(message.read(number))?;
            }
            number += 1;
        }
        let message = open.get_or_insert_with(|| Message::new(text, begin));
        take(message, line, begin);
        mark = next;
    }
    open.map_or(Ok(()), |message| sink.take(message.read(number)))
}

fn is_comment(line: &str) -> bool {
    let rest = line.strip_prefix("COMMENT");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '=']))
}

fn take<'a>(message: &mut Message<'a>, line: &'a str, begin: Mark) {
    let Some((key, value)) = line.split_once('=') else {
        return message.spoil(begin.wrong("line", line, "must be 'keyword = value' or a COMMENT"));
    };
    let key = key.trim_end();
    let is_first = message.begin == begin;
    if is_first && key != FIRST_KEY {
        message.spoil(begin.wrong(
            key,
            line,
            "must come after CCSDS_OMM_VERS, which begins a message",
        ));
    }
    let blanks = value.len() - value.trim_start().len();
    let at = begin.at + line.len() - value.len() + blanks;
    message.push(Field {
        key: Cow::Borrowed(key),
        at: Some(at),
        text: Cow::Borrowed(value.trim()),
    });
}
