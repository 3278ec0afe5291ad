//! `starbelt-sim convert`: element sets of any format into any other.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use orbit::catalog::{ReadReport, SameNames};
use orbit::elements::Elements;
use orbit::format::Format;
use orbit::{omm, tle};
use serde::Serialize;

use super::CommandError;
use super::answer::{refuse_twins, write_json};
use super::source::{Source, SourceArgs};
use crate::out_file;

/// What is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The constellation; stations are read and checked, but no format of element sets holds them.
    #[command(flatten)]
    pub source: SourceArgs,
    /// The format to write
    #[arg(long, value_enum)]
    pub to: Target,
    /// Where to write; standard output without it
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Writes counts and warnings as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Numbers satellites without a catalogue number, such as those of Walker shells, from this one on
    #[arg(long, value_name = "NUMBER")]
    pub first_number: Option<u32>,
}

/// A format to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// Three-line element sets
    Tle,
    /// OMM as JSON, as CelesTrak writes it
    OmmJson,
    /// OMM as CSV, as CelesTrak writes it
    OmmCsv,
    /// OMM as KVN, one message after the other
    OmmKvn,
    /// OMM as XML, all messages in one ndm
    OmmXml,
}

impl Target {
    const fn format(self) -> Format {
        match self {
            Self::Tle => Format::Tle,
            Self::OmmJson => Format::OmmJson,
            Self::OmmCsv => Format::OmmCsv,
            Self::OmmKvn => Format::OmmKvn,
            Self::OmmXml => Format::OmmXml,
        }
    }
}

/// What `--json` writes.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    to: &'static str,
    satellites: usize,
    bytes: usize,
    wrong_checksums: usize,
    repeated_catalog_numbers: usize,
    renamed: usize,
    skipped: usize,
    designators_left_out: usize,
    warnings: &'a [String],
}

impl Args {
    /// Does it.
    ///
    /// # Errors
    /// [`CommandError`], whose exit code tells the kind.
    pub fn run(&self) -> Result<(), CommandError> {
        let out = self.out.as_deref().unwrap_or_else(|| Path::new("-"));
        refuse_twins(&[("--out", Some(out)), ("--json", self.json.as_deref())])?;
        let mut source = self.source.load_with(SameNames::Keep)?;
        if let Some(first) = self.first_number {
            source.elements = numbered(&source.elements, first)?.into();
        }
        let (text, left_out) = written(&source.elements, self.to)?;
        if 0 < left_out {
            let what = "designators do not fit into TLE and were left out";
            source.warnings.push(format!("{left_out} {what}"));
        }
        source.warn()?;
        out_file::write(out, text.as_bytes())?;
        match &self.json {
            None => Ok(()),
            Some(file) => write_json(file, &summary(self.to, &source, text.len(), left_out)),
        }
    }
}

fn summary(to: Target, source: &Source, bytes: usize, left_out: usize) -> Summary<'_> {
    let ReadReport { wrong_checksums, repeated_catalog_numbers, renamed, skipped, .. } =
        source.report;
    Summary {
        to: to.format().name(),
        satellites: source.elements.len(),
        bytes,
        wrong_checksums,
        repeated_catalog_numbers,
        renamed,
        skipped,
        designators_left_out: left_out,
        warnings: &source.warnings,
    }
}

/// The satellites as text, and how many of their designators found no room.
fn written(elements: &[Elements], to: Target) -> Result<(String, usize), CommandError> {
    match to {
        Target::Tle => {
            let text = tle::write(elements).map_err(|e| CommandError::Input(e.to_string()))?;
            Ok((text.text, text.designators_left_out))
        }
        Target::OmmJson => Ok((omm::to_json(elements), 0)),
        Target::OmmCsv => Ok((omm::to_csv(elements), 0)),
        Target::OmmKvn => Ok((omm::to_kvn(elements), 0)),
        Target::OmmXml => Ok((omm::to_xml(elements), 0)),
    }
}

/// The same satellites, those without a catalogue number numbered from `first` on, past the numbers that are taken.
fn numbered(elements: &[Elements], first: u32) -> Result<Vec<Elements>, CommandError> {
    let taken: std::collections::BTreeSet<u32> =
        elements.iter().filter_map(|e| e.catalog.parse().ok()).collect();
    let mut free = (first..=999_999_999).filter(|number| !taken.contains(number));
    let mut all = elements.to_vec();
    for object in all.iter_mut().filter(|object| object.catalog.is_empty()) {
        let number = free.next().ok_or_else(|| {
            let text =
                "--first-number: must leave a number of up to nine digits for each satellite";
            CommandError::Input(text.to_owned())
        })?;
        object.catalog = number.to_string();
    }
    Ok(all)
}
