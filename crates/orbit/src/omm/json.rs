//! Where things stand in a JSON text: records are walked key by key, so that each value keeps its place.
//!
//! Values stay slices of the text; what nobody asks for costs no memory.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::elements::ElementError;

/// The field of what is wrong before the first key.
pub(super) const JSON: &str = "json";
/// Longest excerpt of a text that does not read on, in characters.
const EXCERPT_CHARS_MAX: usize = 40;

/// The value of a key: as it is written, and where it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    pub(super) at: usize,
    pub(super) raw: &'a str,
}

/// The keys of one object.
pub(super) type Members<'a> = BTreeMap<String, Member<'a>>;

/// Where the reader stands: so many bytes into the text, on that line.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0, line: 1 }
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) const fn line(&self) -> usize {
        self.line
    }

    /// The next character that is no white space.
    pub(super) fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        self.skip(rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len());
        self.rest().chars().next()
    }

    /// Steps over `mark` if it comes next.
    pub(super) fn takes(&mut self, mark: char) -> bool {
        let comes = self.peek() == Some(mark);
        if comes {
            self.skip(mark.len_utf8());
        }
        comes
    }

    /// Steps over `mark`, which must come next; `field` is the last key before it.
    pub(super) fn expect(
        &mut self,
        mark: char,
        field: &str,
        rule: &str,
    ) -> Result<(), ElementError> {
        if self.takes(mark) { Ok(()) } else { Err(self.unreadable(self.at, field, rule)) }
    }

    /// The end of the text, which must come next.
    pub(super) fn end(mut self, rule: &str) -> Result<(), ElementError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unreadable(self.at, JSON, rule)),
        }
    }

    /// Reads an object into `members`, which holds the keys before the fault if there is one.
    pub(super) fn object(&mut self, members: &mut Members<'a>) -> Result<(), ElementError> {
        self.expect('{', JSON, "must be a record, an object in braces")?;
        if self.takes('}') {
            return Ok(());
        }
        let mut last = JSON.to_owned();
        loop {
            if self.peek() != Some('"') {
                return Err(self.unreadable(self.at, &last, "must go on with a key in quotes"));
            }
            let begin = self.at;
            let key: String = self.value(&last)?;
            self.expect(':', &key, "must have ':' between a key and its value")?;
            self.peek();
            let at = self.at;
            self.value::<IgnoredAny>(&key)?;
            let member = Member { at, raw: &self.text[at..self.at] };
            if members.insert(key.clone(), member).is_some() {
                return Err(self.unreadable(begin, &key, "must not come twice in a record"));
            }
            last = key;
            if !self.takes(',') {
                let rule = "must go on with ',' or end with '}' after a value";
                return self.expect('}', &last, rule);
            }
        }
    }

    /// What is wrong with `value`, which begins at `at`.
    pub(super) fn wrong(
        &self,
        at: usize,
        field: &str,
        value: &str,
        rule: impl Into<String>,
    ) -> ElementError {
        let before = &self.text[..at];
        let line_begin = before.rfind('\n').map_or(0, |end| end + 1);
        let line = 1 + before.bytes().filter(|b| *b == b'\n').count();
        let column = 1 + before[line_begin..].chars().count();
        ElementError { column: Some(column), ..ElementError::new(line, field, value, rule) }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self, bytes: usize) {
        let done = &self.rest()[..bytes];
        self.line += done.bytes().filter(|b| *b == b'\n').count();
        self.at += bytes;
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
                let at = self.at + offset_of(rest, error.line(), error.column());
                let rule = format!("must be a value that JSON knows ({})", reason(&error));
                Err(self.unreadable(at, field, &rule))
            }
            Some(Err(_)) | None => Err(self.unreadable(self.text.len(), field, "")),
        }
    }

    /// What is wrong with the text from `at` on; that it ends there is wrong by itself.
    fn unreadable(&self, at: usize, field: &str, rule: &str) -> ElementError {
        let rest = &self.text[at..];
        let excerpt: String = rest.chars().take(EXCERPT_CHARS_MAX).collect();
        match excerpt.as_str() {
            "" => self.wrong(at, field, "end of text", "must not come here: the text is cut off"),
            excerpt => self.wrong(at, field, excerpt, rule),
        }
    }
}

/// The byte of `text` that serde names by line and column, both from 1; columns count bytes.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let begin = match line.checked_sub(2) {
        Some(ends_before) => {
            text.match_indices('\n').nth(ends_before).map_or(text.len(), |(at, _)| at + 1)
        }
        None => 0,
    };
    let at = begin.saturating_add(column.saturating_sub(1)).min(text.len());
    // A byte within a character belongs to it.
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Serde's words without the place, which it counts from where it began.
fn reason(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    text.truncate(text.rfind(" at line ").unwrap_or(text.len()));
    text
}
