//! OMM as CSV: a header with keywords in any order, a record a line, quotes where a value needs them.

use std::borrow::Cow;

use csv::{ReaderBuilder, StringRecord};

use super::message::{Field, KEYS_MAX, Message};
use super::place::Mark;
use crate::catalog::Sink;
use crate::elements::ElementError;

/// The field of what is wrong with a line as a whole.
const LINE: &str = "line";

/// How many times the length of a text may be read again behind quotes that are not closed: each makes a row of all that
/// follows it, of which there may be as many as lines.
const AGAIN_MAX: usize = 4;

/// Reads a header and the records under it.
///
/// A row of several lines that is no record may be one whose quote was not closed: if the sink wants more, reading goes on
/// on the next line.
pub(super) fn read(text: &str, sink: &mut dyn Sink) -> Result<(), ElementError> {
    let mut rows = Rows { text, mark: Mark::BEGIN };
    let mut reader = Reader::at(text, 0);
    let mut again = text.len().saturating_mul(AGAIN_MAX);
    let mut header: Option<Vec<String>> = None;
    let mut number = 0;
    loop {
        let at = reader.position();
        match reader.next() {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            // Cannot happen for a text in memory but for its size; then nothing behind it is known.
            Err(error) => {
                let error =
                    ElementError::new(rows.mark.line, LINE, "", format!("must be CSV: {error}"));
                return sink.take(Err(error));
            }
        }
        let (begin, end) = (rows.go_to(at), reader.position());
        let Some(header) = &header else {
            header = Some(columns(&reader.row, begin)?);
            continue;
        };
        number += 1;
        let read = rows.message(header, &reader.row, begin, end).read(number);
        let next = read.as_ref().err().and_then(|_| next_line(text, begin.at, end));
        sink.take(read)?;
        if let Some(next) = next
            && end - next <= again
        {
            again -= end - next;
            reader = Reader::at(text, next);
        }
    }
}

/// Where the line after the first one of a row begins; `None` for a row of one line.
fn next_line(text: &str, begin: usize, end: usize) -> Option<usize> {
    let row = text.get(begin..end)?.trim_end_matches(['\r', '\n']);
    row.find(['\r', '\n']).map(|at| begin + at + 1)
}

/// Reads rows from a place in a text on.
#[derive(Debug)]
struct Reader<'a> {
    text: &'a str,
    from: usize,
    csv: csv::Reader<&'a [u8]>,
    /// The row that was read last.
    row: StringRecord,
}

impl<'a> Reader<'a> {
    fn at(text: &'a str, from: usize) -> Self {
        let rest = &text.as_bytes()[from..];
        let csv = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(rest);
        Self { text, from, csv, row: StringRecord::new() }
    }

    /// How far it has come, in bytes.
    fn position(&self) -> usize {
        let read = usize::try_from(self.csv.position().byte()).unwrap_or(usize::MAX);
        self.from.saturating_add(read).min(self.text.len())
    }

    /// Reads the next row; answers whether there is one.
    fn next(&mut self) -> csv::Result<bool> {
        self.csv.read_record(&mut self.row)
    }
}

/// The keywords of the header.
fn columns(row: &StringRecord, begin: Mark) -> Result<Vec<String>, ElementError> {
    if KEYS_MAX < row.len() {
        let columns = format!("{} columns", row.len());
        return Err(begin.wrong(
            "header",
            &columns,
            format!("must have at most {KEYS_MAX} columns"),
        ));
    }
    let mut names: Vec<String> = Vec::with_capacity(row.len());
    for name in row {
        let name = name.trim();
        if names.iter().any(|known| known == name) {
            return Err(begin.wrong("header", name, "must not name a column twice"));
        }
        names.push(name.to_owned());
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
            message.push_known(Field { key: Cow::Owned(key.clone()), at, text });
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
