//! Where things stand in a text, told by line and column.

use crate::elements::ElementError;

/// A place whose line and column are known, so that later ones need not count from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Bytes into the text.
    pub(super) at: usize,
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
}

impl Mark {
    pub(super) const BEGIN: Self = Self { at: 0, line: 1, column: 1 };

    /// The place `at`, or of the character that it lies in; what comes before this one or behind the text counts as the nearest
    /// place in between.
    pub(super) fn on(self, text: &str, at: usize) -> Self {
        let at = text.floor_char_boundary(at).max(self.at);
        let between = &text[self.at..at];
        let lines = between.bytes().filter(|b| *b == b'\n').count();
        let column = match between.rfind('\n') {
            None => self.column + between.chars().count(),
            Some(end) => 1 + between[end + 1..].chars().count(),
        };
        Self { at, line: self.line + lines, column }
    }

    /// What is wrong with `value`, which stands here.
    pub(super) fn wrong(self, field: &str, value: &str, rule: impl Into<String>) -> ElementError {
        let column = Some(self.column);
        ElementError { column, ..ElementError::new(self.line, field, value, rule) }
    }
}

/// The byte of `text` at a line and column, both from 1; `columns` finds the column in the rest of that line.
pub(super) fn offset_of(text: &str, line: usize, columns: impl Fn(&str) -> usize) -> usize {
    let begin = match line.checked_sub(2) {
        Some(ends_before) => {
            text.match_indices('\n').nth(ends_before).map_or(text.len(), |(at, _)| at + 1)
        }
        None => 0,
    };
    let at = begin.saturating_add(columns(&text[begin..])).min(text.len());
    // A byte within a character belongs to it.
    text.floor_char_boundary(at)
}
