//! OMM as CSV: a header with keywords in any order, a record a line, quotes where a value needs them.

use std::borrow::Cow;

use csv::{ReaderBuilder, StringRecord};

use super::message::{Field, Message};
use super::place::Mark;
use crate::catalog::Sink;
use crate::elements::ElementError;

/// The field of what is wrong with a line as a whole.
const LINE: &str = "line";

/// Reads a header and the records under it.
pub(super) fn read(text: &str, sink: &mut dyn Sink) -> Result<(), ElementError> {
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut rows = Rows { text, mark: Mark::BEGIN };
    let mut row = StringRecord::new();
    let mut header: Option<Vec<String>> = None;
    let mut number = 0;
    loop {
        let at = position(&reader, text);
        match reader.read_record(&mut row) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            // Cannot happen for a text in memory but for its size; then nothing behind it is known.
            Err(error) => {
                let error =
                    ElementError::new(rows.mark.line, LINE, "", format!("must be CSV: {error}"));
                return sink.take(Err(error));
            }
        }
        let end = position(&reader, text);
        let begin = rows.go_to(at);
        match &header {
            None => header = Some(columns(&row, begin)?),
            Some(header) => {
                number += 1;
                let message = rows.message(header, &row, begin, end);
                sink.take(message.read(number))?;
            }
        }
    }
}

/// How far the reader has come, in bytes.
fn position(reader: &csv::Reader<&[u8]>, text: &str) -> usize {
    usize::try_from(reader.position().byte()).unwrap_or(usize::MAX).min(text.len())
}

/// The keywords of the header.
fn columns(row: &StringRecord, begin: Mark) -> Result<Vec<String>, ElementError> {
    let names: Vec<String> = row.iter().map(|name| name.trim().to_owned()).collect();
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            return Err(begin.wrong("header", name, "must not name a column twice"));
        }
    }
    Ok(names)
}

#[derive(Debug)]
struct Rows<'a> {
    text: &'a str,
    mark: Mark,
}

impl<'a> Rows<'a> {
    /// The beginning of the row that is read from `at` on: empty lines before it belong to nothing.
    fn go_to(&mut self, at: usize) -> Mark {
        let rest = &self.text[at..];
        let blanks = rest.len() - rest.trim_start_matches(['\r', '\n']).len();
        self.mark = self.mark.on(self.text, at + blanks);
        self.mark
    }

    fn message(
        &self,
        header: &[String],
        row: &StringRecord,
        begin: Mark,
        end: usize,
    ) -> Message<'a> {
        let mut message = Message::new(self.text, begin);
        // Quotes are not among the values, so that places behind them are not known.
        let plain = !self.text[begin.at..end.max(begin.at)].contains('"');
        for (index, (key, value)) in header.iter().zip(row).enumerate() {
            let blanks = value.len() - value.trim_start().len();
            let at = row.range(index).filter(|_| plain);
            // Commas are not among the values either.
            let at = at.map(|range| begin.at + range.start + index + blanks);
            let text = Cow::Owned(value.trim().to_owned());
            message.push(Field { key: Cow::Owned(key.clone()), at, text });
        }
        if row.len() != header.len() {
            let rule = format!("must have {} values like the header", header.len());
            message.spoil(ElementError::new(
                begin.line,
                LINE,
                &format!("{} values", row.len()),
                rule,
            ));
        }
        message
    }
}
