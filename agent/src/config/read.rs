//! Reads a section key by key, collects every problem, and at the end names each key that nobody asked for.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::Problem;
use super::tree::{Entry, Origin, Table, Value};

/// Most letters that may be wrong in a key for another to be suggested.
const TYPO_LETTERS_MAX: usize = 3;

/// A section that is being read.
pub(super) struct Section<'p> {
    path: String,
    origin: Origin,
    entries: Table,
    asked: BTreeSet<&'static str>,
    problems: &'p mut Vec<Problem>,
}

impl<'p> Section<'p> {
    pub(super) fn new(
        path: &str,
        origin: Origin,
        entries: Table,
        problems: &'p mut Vec<Problem>,
    ) -> Self {
        Self { path: path.to_owned(), origin, entries, asked: BTreeSet::new(), problems }
    }

    /// Whether the key is written; does not count as asking for its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// A table below this one; an absent one reads as an empty one.
    pub(super) fn table(&mut self, key: &'static str) -> Section<'_> {
        let path = self.path_of(key);
        let (entries, origin) = match self.take(key) {
            Some(Entry { value: Value::Table(table), origin }) => (table, origin),
            Some(entry) => {
                self.complain(&entry.origin, key, format!("{} is not a table", entry.value));
                (Table::new(), entry.origin)
            }
            None => (Table::new(), self.origin.clone()),
        };
        Section::new(&path, origin, entries, self.problems)
    }

    /// The tables of an array of tables.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<(Table, Origin)> {
        let list = match self.take(key) {
            None => return Vec::new(),
            Some(Entry { value: Value::List(list), .. }) => list,
            Some(entry) => {
                let rule = format!("{} is not an array of tables [[{key}]]", entry.value);
                self.complain(&entry.origin, key, rule);
                return Vec::new();
            }
        };
        let mut tables = Vec::new();
        for entry in list {
            match entry.value {
                Value::Table(table) => tables.push((table, entry.origin)),
                other => self.complain(&entry.origin, key, format!("{other} is not a table")),
            }
        }
        tables
    }

    /// The problems, so that a section read from [`Section::tables`] can add its own.
    pub(super) fn problems(&mut self) -> &mut Vec<Problem> {
        self.problems
    }

    /// A text that parses as `T`, or `None` if it is not written.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Option<T> {
        self.converted(key, str::parse)
    }

    /// The same, but it must be written.
    pub(super) fn needed<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Option<T> {
        self.require(key);
        self.parsed(key)
    }

    /// A text that `convert` takes, or `None` if it is not written.
    pub(super) fn converted<T, E: Display>(
        &mut self,
        key: &'static str,
        convert: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let (text, origin) = self.text_at(key)?;
        match convert(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.complain(&origin, key, error.to_string());
                None
            }
        }
    }

    /// Says so if a key is not written.
    pub(super) fn require(&mut self, key: &'static str) {
        if !self.has(key) {
            let origin = self.origin.clone();
            self.complain(&origin, key, "it must be given".to_owned());
        }
    }

    /// Says what is wrong with a key, whatever its value.
    pub(super) fn refuse(&mut self, key: &'static str, rule: String) {
        let origin = self.origin.clone();
        self.complain(&origin, key, rule);
    }

    /// One of the given words.
    pub(super) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let (text, origin) = self.text_at(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let list: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.complain(&origin, key, format!("{text:?} is none of {}", list.join(", ")));
        }
        found
    }

    /// A list of texts that `convert` takes; empty if it is not written.
    pub(super) fn list<T, E: Display>(
        &mut self,
        key: &'static str,
        convert: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let list = match self.take(key) {
            None => return Vec::new(),
            Some(Entry { value: Value::List(list), .. }) => list,
            Some(entry) => {
                self.complain(&entry.origin, key, format!("{} is not a list", entry.value));
                return Vec::new();
            }
        };
        let mut values = Vec::new();
        for entry in list {
            match &entry.value {
                Value::Text(text) => match convert(text) {
                    Ok(value) => values.push(value),
                    Err(error) => self.complain(&entry.origin, key, error.to_string()),
                },
                other => self.complain(&entry.origin, key, format!("{other} is not a text")),
            }
        }
        values
    }

    /// A whole number of the range, `default` if it is not written.
    pub(super) fn integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        let Some(entry) = self.take(key) else { return default };
        let number = match &entry.value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            _ => None,
        };
        match number.filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                let (low, high) = range.into_inner();
                let rule = format!("{} is not a whole number from {low} to {high}", entry.value);
                self.complain(&entry.origin, key, rule);
                default
            }
        }
    }

    /// A number of the range, `default` if it is not written.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<f64>,
        default: f64,
    ) -> f64 {
        let Some(entry) = self.take(key) else { return default };
        let number = match &entry.value {
            Value::Float(number) => Some(*number),
            // Every whole number that a range of ours holds is exact in a float.
            Value::Integer(number) => i32::try_from(*number).ok().map(f64::from),
            _ => None,
        };
        match number.filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                let (low, high) = range.into_inner();
                let rule = format!("{} is not a number from {low} to {high}", entry.value);
                self.complain(&entry.origin, key, rule);
                default
            }
        }
    }

    /// `true` or `false`; false if it is not written.
    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        let Some(entry) = self.take(key) else { return false };
        match entry.value {
            Value::Bool(value) => value,
            other => {
                self.complain(&entry.origin, key, format!("{other} is not true or false"));
                false
            }
        }
    }

    /// Refuses keys that later versions read, which is not the same as a slip of the pen.
    pub(super) fn refuse_reserved(&mut self, keys: &[&str]) {
        for key in keys {
            if let Some(entry) = self.entries.remove(*key) {
                self.complain(&entry.origin, key, "not supported by this version".to_owned());
            }
        }
    }

    /// Ends the reading: whatever nobody asked for is unknown.
    pub(super) fn finish(mut self) {
        for (key, entry) in std::mem::take(&mut self.entries) {
            let nearest = nearest(&key, &self.asked);
            let hint = nearest.map_or_else(
                || {
                    let known: Vec<_> = self.asked.iter().copied().collect();
                    format!("known here: {}", known.join(", "))
                },
                |near| format!("did you mean {near}?"),
            );
            self.complain(&entry.origin, &key, format!("unknown key; {hint}"));
        }
    }

    fn complain(&mut self, origin: &Origin, key: &str, rule: String) {
        let path = self.path_of(key);
        self.problems.push(Problem::new(origin, &path, rule));
    }

    fn text_at(&mut self, key: &'static str) -> Option<(String, Origin)> {
        let entry = self.take(key)?;
        match entry.value {
            Value::Text(text) => Some((text, entry.origin)),
            other => {
                self.complain(&entry.origin, key, format!("{other} is not a text"));
                None
            }
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Entry> {
        self.asked.insert(key);
        self.entries.remove(key)
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

fn nearest<'a>(key: &str, known: &BTreeSet<&'a str>) -> Option<&'a str> {
    let near = known.iter().map(|name| (strsim::osa_distance(key, name), *name)).min()?;
    (near.0 <= TYPO_LETTERS_MAX && near.0 < key.len()).then_some(near.1)
}
