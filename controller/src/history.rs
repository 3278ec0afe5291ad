//! What happened lately, bounded: the newest records, each with a cursor that readers give back to read on.

use std::collections::VecDeque;

/// The newest records of one kind; the oldest goes first.
#[derive(Clone, Debug)]
pub struct History<T> {
    kept: VecDeque<(u64, T)>,
    last: u64,
    most: usize,
}

/// A part of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<T> {
    /// The records with their cursors, oldest first.
    pub records: Vec<(u64, T)>,
    /// The cursor after which to read on.
    pub next: u64,
    /// Whether more follow already.
    pub more: bool,
}

impl<T: Clone> History<T> {
    /// Keeps the newest `most` records.
    pub const fn new(most: usize) -> Self {
        Self { kept: VecDeque::new(), last: 0, most }
    }

    /// Adds a record.
    pub fn add(&mut self, record: T) {
        self.last += 1;
        if self.kept.len() == self.most {
            self.kept.pop_front();
        }
        self.kept.push_back((self.last, record));
    }

    /// The newest record that is wanted.
    pub fn newest(&self, is_wanted: impl Fn(&T) -> bool) -> Option<(u64, &T)> {
        self.kept.iter().rev().find(|(_, r)| is_wanted(r)).map(|(cursor, r)| (*cursor, r))
    }

    /// At most `limit` wanted records after a cursor.
    pub fn after(&self, after: u64, limit: usize, is_wanted: impl Fn(&T) -> bool) -> Part<T> {
        let first = self.kept.partition_point(|(cursor, _)| *cursor <= after);
        let mut wanted = self.kept.range(first..).filter(|(_, record)| is_wanted(record));
        let records: Vec<(u64, T)> = wanted.by_ref().take(limit).cloned().collect();
        let more = wanted.next().is_some();
        // Without more to come, the reader skips what it does not want.
        let next = match records.last() {
            Some((cursor, _)) if more => *cursor,
            _ => self.last.max(after),
        };
        Part { records, next, more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_gets_each_record_once() {
        let mut history = History::new(3);
        for n in 1..=5 {
            history.add(n);
        }
        let first = history.after(0, 2, |_| true);
        assert_eq!((first.records, first.next, first.more), (vec![(3, 3), (4, 4)], 4, true));
        let second = history.after(4, 2, |_| true);
        assert_eq!((second.records, second.next, second.more), (vec![(5, 5)], 5, false));
        assert_eq!(history.after(5, 2, |_| true).records, vec![]);
    }

    #[test]
    fn unwanted_records_are_skipped_for_good() {
        let mut history = History::new(10);
        for n in 1..=5 {
            history.add(n);
        }
        let part = history.after(0, 10, |n| n % 2 == 0);
        assert_eq!((part.records, part.next), (vec![(2, 2), (4, 4)], 5));
        assert_eq!(history.newest(|n| n % 2 == 0), Some((4, &4)));
    }
}
