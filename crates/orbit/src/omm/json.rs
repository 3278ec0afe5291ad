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
/// White space between the parts of JSON.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];
/// Longest excerpt of a text that does not read on, in characters.
const EXCERPT_CHARS_MAX: usize = 40;

/// Reads an array of messages, or one.
///
/// Where the text does not read on, the sink is told, and if it wants more, reading goes on where the next record begins.
pub(super) fn read(text: &str, sink: &mut dyn Sink) -> Result<(), ElementError> {
    let mut cursor = Cursor::new(text);
    let mut several = true;
    let mut next = cursor.begin(&mut several);
    for number in 1.. {
        let went_on = match next {
            Ok(false) => break,
            Ok(true) => {
                let begin = cursor.mark;
                let mut message = Message::new(text, begin);
                match cursor.object(&mut message) {
                    Ok(()) => {
                        sink.take(message.read(number))?;
                        next = cursor.another(several);
                        continue;
                    }
                    Err(error) => {
                        sink.take(Err(message.name_in(error, number)))?;
                        // A text without its end was read across the end of the record.
                        let at = message.last_quoted_at().unwrap_or(cursor.fault);
                        cursor.mark = begin;
                        cursor.go_on_within(at)
                    }
                }
            }
            Err(error) => {
                sink.take(Err(error))?;
                cursor.go_on_between()
            }
        };
        // A text that is not one record is several.
        (several, next) = (true, Ok(went_on));
    }
    Ok(())
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
    /// Where the text did not read on the last time.
    fault: usize,
}

impl<'a> Cursor<'a> {
    const fn new(text: &'a str) -> Self {
        Self { text, mark: Mark::BEGIN, fault: 0 }
    }

    /// Goes to the first record; answers whether there is one, and tells `several` whether more may follow.
    fn begin(&mut self, several: &mut bool) -> Result<bool, ElementError> {
        *several = self.peek() != Some('{');
        if *several {
            self.expect('[', JSON, "must begin with '[' or '{'")?;
            if self.takes(']') {
                return self.end("must end after the records");
            }
        }
        self.peek();
        Ok(true)
    }

    /// Goes from the end of a record to the next one; answers whether there is one.
    fn another(&mut self, several: bool) -> Result<bool, ElementError> {
        if !several {
            let rule =
                "must end after the record; several stand in brackets, with commas between them";
            return self.end(rule);
        }
        if self.takes(',') {
            self.peek();
            return Ok(true);
        }
        self.expect(']', JSON, "must go on with ',' or end with ']' after a record")?;
        self.end("must end after the records")
    }

    /// Goes to the first record that begins at the fault or behind it, if that lies between records; answers whether there is
    /// one.
    fn go_on_between(&mut self) -> bool {
        self.go_to_record(self.fault, |_| true)
    }

    /// Goes to the first record that begins behind `at`, a place within a record that is not one: records follow a comma or
    /// the end of one, while what stands in a record follows a colon or a bracket.
    fn go_on_within(&mut self, at: usize) -> bool {
        self.go_to_record(at, |before| before.ends_with([',', '}']))
    }

    /// A record begins with a brace and the quote of its first key, after a text that `follows` takes.
    fn go_to_record(&mut self, from: usize, follows: impl Fn(&str) -> bool) -> bool {
        let text = self.text;
        let begins = |at: &usize| {
            text[at + 1..].trim_start_matches(BLANKS).starts_with('"')
                && follows(text[..*at].trim_end_matches(BLANKS))
        };
        let mut braces = text[from..].match_indices('{').map(|(offset, _)| from + offset);
        let Some(at) = braces.find(begins) else { return false };
        self.mark = self.mark.on(text, at);
        true
    }

    /// The next character that is no white space.
    fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        self.skip(rest.len() - rest.trim_start_matches(BLANKS).len());
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

    /// The end of the text, which must come next: there is no further record.
    fn end(&mut self, rule: &str) -> Result<bool, ElementError> {
        match self.peek() {
            None => Ok(false),
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
    fn unreadable(&mut self, at: usize, field: &str, rule: &str) -> ElementError {
        let excerpt: String = self.text[at..].chars().take(EXCERPT_CHARS_MAX).collect();
        let mark = self.mark.on(self.text, at);
        self.fault = at;
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
