//! Where things stand in a JSON text: records are walked key by key, so that each value keeps its place.
//!
//! Values stay slices of the text; what nobody asks for costs no memory.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::message::{Field, Message};
use super::place::{Mark, offset_of};
use crate::catalog::Sink;
use crate::elements::ElementError;

/// The field of what is wrong before the first key.
const JSON: &str = "json";
/// Longest excerpt of a text that does not read on, in characters.
const EXCERPT_CHARS_MAX: usize = 40;

/// Reads an array of messages, or one.
pub(super) fn read(text: &str, sink: &mut dyn Sink) -> Result<(), ElementError> {
    let mut cursor = Cursor::new(text);
    match records(&mut cursor, sink) {
        Ok(()) => Ok(()),
        Err(Stop::Sink(error)) => Err(error),
        // What follows cannot be told apart any more.
        Err(Stop::Text(error)) => sink.take(Err(error)),
    }
}

/// Why reading ends before the text does.
enum Stop {
    /// The text does not read on.
    Text(ElementError),
    /// The reader's caller wants no more.
    Sink(ElementError),
}

impl From<ElementError> for Stop {
    fn from(error: ElementError) -> Self {
        Self::Text(error)
    }
}

fn records(cursor: &mut Cursor<'_>, sink: &mut dyn Sink) -> Result<(), Stop> {
    if cursor.peek() == Some('{') {
        record(cursor, 1, sink)?;
        let rule = "must end after the record; several stand in brackets, with commas between them";
        return Ok(cursor.end(rule)?);
    }
    cursor.expect('[', JSON, "must begin with '[' or '{'")?;
    if !cursor.takes(']') {
        for number in 1.. {
            record(cursor, number, sink)?;
            if !cursor.takes(',') {
                cursor.expect(']', JSON, "must go on with ',' or end with ']' after a record")?;
                break;
            }
        }
    }
    Ok(cursor.end("must end after the records")?)
}

fn record(cursor: &mut Cursor<'_>, number: usize, sink: &mut dyn Sink) -> Result<(), Stop> {
    cursor.peek();
    let mut message = Message::new(cursor.text, cursor.mark);
    let whole = cursor.object(&mut message);
    whole.map_err(|error| message.name_in(error, number))?;
    sink.take(message.read(number)).map_err(Stop::Sink)
}

/// The value of a keyword as text: null is absent, a string stands for what it says, anything else for itself.
fn text_of(raw: &str) -> Cow<'_, str> {
    match raw.strip_prefix('"').and_then(|r| r.strip_suffix('"')) {
        None if raw == "null" => Cow::Borrowed(""),
        None => Cow::Borrowed(raw),
        Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain.trim()),
        // What is no text in the end, such as half a character, stands for itself.
        Some(_) => serde_json::from_str::<String>(raw)
            .map_or(Cow::Borrowed(raw), |text| Cow::Owned(text.trim().to_owned())),
    }
}

/// Where the reader stands.
#[derive(Debug)]
struct Cursor<'a> {
    text: &'a str,
    mark: Mark,
}

impl<'a> Cursor<'a> {
    const fn new(text: &'a str) -> Self {
        Self { text, mark: Mark::BEGIN }
    }

    /// The next character that is no white space.
    fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        self.skip(rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len());
        self.rest().chars().next()
    }

    /// Steps over `mark` if it comes next.
    fn takes(&mut self, mark: char) -> bool {
        let comes = self.peek() == Some(mark);
        if comes {
            self.skip(mark.len_utf8());
        }
        comes
    }

    /// Steps over `mark`, which must come next; `field` is the last key before it.
    fn expect(&mut self, mark: char, field: &str, rule: &str) -> Result<(), ElementError> {
        if self.takes(mark) { Ok(()) } else { Err(self.unreadable(self.mark.at, field, rule)) }
    }

    /// The end of the text, which must come next.
    fn end(&mut self, rule: &str) -> Result<(), ElementError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unreadable(self.mark.at, JSON, rule)),
        }
    }

    /// Reads an object into `message`, which holds the keys before the fault if there is one.
    fn object(&mut self, message: &mut Message<'a>) -> Result<(), ElementError> {
        self.expect('{', JSON, "must be a record, an object in braces")?;
        if self.takes('}') {
            return Ok(());
        }
        let mut last = JSON.to_owned();
        loop {
            if self.peek() != Some('"') {
                return Err(self.unreadable(
                    self.mark.at,
                    &last,
                    "must go on with a key in quotes",
                ));
            }
            let key: String = self.value(&last)?;
            self.expect(':', &key, "must have ':' between a key and its value")?;
            self.peek();
            let at = self.mark.at;
            self.value::<IgnoredAny>(&key)?;
            let text = text_of(&self.text[at..self.mark.at]);
            message.push(Field { key: Cow::Owned(key.clone()), at: Some(at), text });
            last = key;
            if !self.takes(',') {
                let rule = "must go on with ',' or end with '}' after a value";
                return self.expect('}', &last, rule);
            }
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.mark.at..]
    }

    fn skip(&mut self, bytes: usize) {
        self.mark = self.mark.on(self.text, self.mark.at + bytes);
    }

    /// Reads one value of JSON; `field` is the last key before it.
    fn value<T: Deserialize<'a>>(&mut self, field: &str) -> Result<T, ElementError> {
        let rest = self.rest();
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<T>();
        match stream.next() {
            Some(Ok(value)) => {
                let used = stream.byte_offset();
                self.skip(used);
                Ok(value)
            }
            Some(Err(error)) if !error.is_eof() => {
                // Serde counts bytes.
                let column = error.column().saturating_sub(1);
                let at = self.mark.at + offset_of(rest, error.line(), |_| column);
                let rule = format!("must be a value that JSON knows ({})", reason(&error));
                Err(self.unreadable(at, field, &rule))
            }
            Some(Err(_)) | None => Err(self.unreadable(self.text.len(), field, "")),
        }
    }

    /// What is wrong with the text from `at` on; that it ends there is wrong by itself.
    fn unreadable(&self, at: usize, field: &str, rule: &str) -> ElementError {
        let excerpt: String = self.text[at..].chars().take(EXCERPT_CHARS_MAX).collect();
        let mark = self.mark.on(self.text, at);
        match excerpt.as_str() {
            "" => mark.wrong(field, "end of text", "must not come here: the text is cut off"),
            excerpt => mark.wrong(field, excerpt, rule),
        }
    }
}

/// Serde's words without the place, which it counts from where it began.
fn reason(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    text.truncate(text.rfind(" at line ").unwrap_or(text.len()));
    text
}
