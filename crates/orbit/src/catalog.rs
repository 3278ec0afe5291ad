//! Many element sets as one: read under a policy, with names that tell satellites apart, and a report of what was put up with.

use std::collections::{BTreeMap, BTreeSet};

use crate::elements::{ElementError, Elements};
use crate::format::{self, Format, unmarked};
use crate::{omm, tle};

mod age;
mod duplicate;

pub use age::{EpochAges, OLD_DAYS, epoch_ages, newest_epoch};
pub use duplicate::{DuplicateError, duplicated};

/// How many records that were skipped are told one by one; the rest is counted.
pub const SKIPPED_TOLD_MAX: usize = 20;

/// What to do with records that are not as they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Faults {
    /// The first one ends the reading.
    #[default]
    Refuse,
    /// Wrong checksums and repeated catalogue numbers are taken and counted; what cannot be read is skipped and told.
    TakeOrSkip,
}

/// What to do with a second satellite of the same name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameNames {
    /// It ends the reading.
    #[default]
    Refuse,
    /// It becomes `NAME#2`, the next one `NAME#3`.
    Rename,
    /// Both stay, for users that tell satellites apart by number.
    Keep,
}

/// How texts of element sets are read: strict by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadPolicy {
    /// What to do with records that are not as they should be.
    pub faults: Faults,
    /// What to do with names that repeat.
    pub same_names: SameNames,
}

/// A record that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The source, as the caller called it; empty for an only one.
    pub source: String,
    /// Where and why.
    pub error: ElementError,
}

/// How the reading went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// Records that were taken.
    pub records: usize,
    /// Lines of two-line sets with a wrong checksum that were taken.
    pub wrong_checksums: usize,
    /// Records whose catalogue number another one had before.
    pub repeated_catalog_numbers: usize,
    /// Satellites that got a new name because theirs was taken.
    pub renamed: usize,
    /// Records, or ends of texts, that could not be read.
    pub skipped: usize,
    /// The first [`SKIPPED_TOLD_MAX`] of them.
    pub skipped_told: Vec<Skipped>,
}

impl ReadReport {
    /// What people should know, a line each.
    pub fn warnings(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (count, what) in [
            (self.wrong_checksums, "lines with a wrong checksum were taken"),
            (self.repeated_catalog_numbers, "records repeat a catalogue number and were taken"),
            (self.renamed, "satellites were renamed because their name was taken"),
            (self.skipped, "records could not be read and were skipped"),
        ] {
            if 0 < count {
                lines.push(format!("{count} {what}"));
            }
        }
        for Skipped { source, error } in &self.skipped_told {
            let colon = if source.is_empty() { "" } else { ": " };
            lines.push(format!("skipped: {source}{colon}{error}"));
        }
        if SKIPPED_TOLD_MAX < self.skipped {
            lines.push(format!("skipped: and {} more", self.skipped - SKIPPED_TOLD_MAX));
        }
        lines
    }
}

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: Option<usize>,
    pub(crate) field: &'static str,
}

/// One record as a reader hands it over.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) elements: Elements,
    /// Where the catalogue number stands.
    pub(crate) id: Place,
    pub(crate) wrong_checksums: usize,
}

/// Takes what a reader reads.
pub(crate) trait Sink {
    /// Takes a record, or what is wrong with it; an error ends the reading.
    fn take(&mut self, read: Result<Read, ElementError>) -> Result<(), ElementError>;
}

/// Element sets from any number of sources.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    policy: ReadPolicy,
    elements: Vec<Elements>,
    /// The first satellite with each catalogue number.
    by_number: BTreeMap<u32, usize>,
    /// The name of each source, and the index of its first satellite.
    sources: Vec<(String, usize)>,
    /// Records met in the present source, good or bad.
    met: usize,
    report: ReadReport,
}

impl Catalog {
    /// An empty one.
    pub fn new(policy: ReadPolicy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Says that what follows comes from this source, as errors are to call it.
    pub fn begin_source(&mut self, name: &str) {
        self.met = 0;
        self.sources.push((name.to_owned(), self.elements.len()));
    }

    /// Reads a text in this format, or in the one that it begins like.
    ///
    /// A text without any record is no error here; [`Self::finish`] wants at least one in all.
    ///
    /// # Errors
    /// The first [`ElementError`], unless the policy puts up with it.
    pub fn read(&mut self, text: &str, format: Option<Format>) -> Result<(), ElementError> {
        let text = unmarked(text);
        if format::says_no_data(text) {
            return Ok(());
        }
        match format.map_or_else(|| format::detect(text), Ok)? {
            Format::Tle => {
                let checksum = match self.policy.faults {
                    Faults::Refuse => tle::Checksum::Refuse,
                    Faults::TakeOrSkip => tle::Checksum::Count,
                };
                tle::read_into(text, checksum, self)
            }
            omm => omm::read(text, omm, self),
        }
    }

    /// Takes satellites that no text describes.
    pub fn extend(&mut self, elements: impl IntoIterator<Item = Elements>) {
        self.elements.extend(elements);
    }

    /// How many satellites there are so far.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there is none so far.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// How the reading went so far.
    pub fn report(&self) -> &ReadReport {
        &self.report
    }

    /// The satellites in the order of their sources, and how the reading went.
    ///
    /// # Errors
    /// [`ElementError`] when there is none at all, or for a name that comes twice, unless the policy puts up with it.
    pub fn finish(mut self) -> Result<(Vec<Elements>, ReadReport), ElementError> {
        if self.elements.is_empty() {
            let rule = match self.report.skipped_told.first() {
                None => "must hold at least one element set".to_owned(),
                Some(first) => format!(
                    "must hold at least one element set that can be read; {} could not, the first: {}",
                    self.report.skipped, first.error
                ),
            };
            return Err(ElementError::new(1, "file", "", rule));
        }
        match self.policy.same_names {
            SameNames::Keep => {}
            SameNames::Refuse => self.refuse_same_names()?,
            SameNames::Rename => self.rename(),
        }
        self.report.records = self.elements.len();
        Ok((self.elements, self.report))
    }

    pub(crate) fn into_elements(self) -> Vec<Elements> {
        self.elements
    }

    /// Which satellites have the name of another one before them: pairs of index and index of the first.
    fn same_names(&self) -> Vec<(usize, usize)> {
        let mut order: Vec<usize> = (0..self.elements.len()).collect();
        order.sort_unstable_by_key(|index| (&self.elements[*index].name, *index));
        let mut found = Vec::new();
        for group in order.chunk_by(|a, b| self.elements[*a].name == self.elements[*b].name) {
            found.extend(group[1..].iter().map(|again| (*again, group[0])));
        }
        found.sort_unstable();
        found
    }

    fn refuse_same_names(&self) -> Result<(), ElementError> {
        let Some((again, first)) = self.same_names().first().copied() else { return Ok(()) };
        let rule = self.twin_rule(first, self.source_of(again));
        let Elements { name, line, .. } = &self.elements[again];
        let object = self
            .source_of(again)
            .map(|(source, begin)| format!("record {} of {source}", again + 1 - begin));
        Err(ElementError { object, ..ElementError::new(*line, "name", name, rule) })
    }

    fn rename(&mut self) {
        let twins = self.same_names();
        if twins.is_empty() {
            return;
        }
        let mut taken: BTreeSet<String> = self.elements.iter().map(|e| e.name.clone()).collect();
        let mut last: BTreeMap<usize, u32> = BTreeMap::new();
        for (again, first) in twins {
            let number = last.entry(first).or_insert(1);
            let name = loop {
                *number += 1;
                let name = format!("{}#{number}", self.elements[first].name);
                if taken.insert(name.clone()) {
                    break name;
                }
            };
            self.elements[again].name = name;
            self.report.renamed += 1;
        }
    }

    /// The source of a satellite.
    fn source_of(&self, index: usize) -> Option<&(String, usize)> {
        self.sources.iter().rev().find(|(_, begin)| *begin <= index)
    }

    /// The rule that a second satellite like `first` breaks; its source is told where it is another one.
    fn twin_rule(&self, first: usize, from: Option<&(String, usize)>) -> String {
        let source = self.source_of(first);
        let Elements { name, line, .. } = &self.elements[first];
        let place = match line {
            0 => format!("{name:?}"),
            line => {
                let record = first + 1 - source.map_or(0, |(_, begin)| *begin);
                format!("record {record} {name:?} on line {line}")
            }
        };
        let of = match source {
            Some((source, begin)) if from.map(|(_, begin)| begin) != Some(begin) => {
                format!(" of {source}")
            }
            _ => String::new(),
        };
        format!("must not come twice, but is that of {place}{of} already")
    }

    fn check_number(&mut self, read: &Read) -> Result<(), ElementError> {
        let new = &read.elements;
        // None for satellites without a number.
        let Ok(number) = new.catalog.parse::<u32>() else { return Ok(()) };
        let first = match self.by_number.get(&number) {
            None => {
                self.by_number.insert(number, self.elements.len());
                return Ok(());
            }
            Some(first) => *first,
        };
        if self.policy.faults == Faults::TakeOrSkip {
            self.report.repeated_catalog_numbers += 1;
            return Ok(());
        }
        let rule = self.twin_rule(first, self.sources.last());
        let Place { line, column, field } = read.id;
        let error = ElementError::new(line, field, &new.catalog, rule);
        // A name that is but the number says nothing more.
        let name = Some(new.name.clone()).filter(|name| *name != new.catalog);
        Err(ElementError { column, ..error }.of(self.met, name))
    }

    fn skip(&mut self, error: ElementError) {
        self.report.skipped += 1;
        if self.report.skipped_told.len() < SKIPPED_TOLD_MAX {
            let source = self.sources.last().map_or_else(String::new, |(name, _)| name.clone());
            self.report.skipped_told.push(Skipped { source, error });
        }
    }
}

impl Sink for Catalog {
    fn take(&mut self, read: Result<Read, ElementError>) -> Result<(), ElementError> {
        self.met += 1;
        match (read, self.policy.faults) {
            (Ok(read), _) => {
                self.check_number(&read)?;
                self.report.wrong_checksums += read.wrong_checksums;
                self.elements.push(read.elements);
                Ok(())
            }
            (Err(error), Faults::Refuse) => Err(error),
            (Err(error), Faults::TakeOrSkip) => {
                self.skip(error);
                Ok(())
            }
        }
    }
}

/// Reads a text of element sets in any format under a policy.
///
/// # Errors
/// [`ElementError`] for what the policy does not put up with, and for a text without any record.
pub fn read(
    text: &str,
    format: Option<Format>,
    policy: ReadPolicy,
) -> Result<(Vec<Elements>, ReadReport), ElementError> {
    let mut catalog = Catalog::new(policy);
    catalog.read(text, format)?;
    catalog.finish()
}

#[cfg(test)]
mod tests;
