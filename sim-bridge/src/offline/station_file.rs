//! Reads stations: Stardust's YAML, our TOML, or CSV; names unique over all files.

use std::path::{Path, PathBuf};

use orbit::station::{Station, StationProblem, first_same_name};

use crate::toml_file::{FileError, Problem, TOML_BYTES_MAX, read_text};

mod csv;
mod toml;
mod yaml;

/// Most stations in all: ten times a very dense ground segment, each is looked at in each step.
pub const STATIONS_MAX: usize = 10_000;

/// A station and where it was told of.
#[derive(Clone, Debug)]
struct Told {
    station: Station,
    file: PathBuf,
    line: Option<usize>,
    /// What the file calls it, such as `station[3]`; empty where the line says enough.
    field: String,
}

/// The notations of stations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notation {
    Yaml,
    Toml,
    Csv,
}

/// Reads the stations of all files, in their order.
///
/// # Errors
/// [`FileError`] with file, line, field and rule: what cannot be read, a rule that a station breaks, two of one name.
pub fn load(files: &[PathBuf]) -> Result<Vec<Station>, FileError> {
    let mut told = Vec::new();
    for file in files {
        let text = read_text(file, TOML_BYTES_MAX)?;
        let read = match notation(file, &text) {
            Notation::Yaml => yaml::read(file, &text)?,
            Notation::Toml => toml::read(file, &text)?,
            Notation::Csv => csv::read(file, &text)?,
        };
        if read.is_empty() {
            return Err(problem(file, None, "", "must hold at least one station").into());
        }
        told.extend(read);
    }
    if STATIONS_MAX < told.len() {
        let rule = format!("{} stations in all must be at most {STATIONS_MAX}", told.len());
        return Err(problem(&told[STATIONS_MAX].file, None, "", &rule).into());
    }
    if let Some((first, again)) = first_same_name(told.iter().map(|t| t.station.name.as_str())) {
        return Err(same_name(&told[first], &told[again]).into());
    }
    Ok(told.into_iter().map(|told| told.station).collect())
}

fn same_name(first: &Told, again: &Told) -> Problem {
    let place = match first.line {
        Some(line) => format!("line {line}"),
        None => first.field.clone(),
    };
    let file = if first.file == again.file {
        String::new()
    } else {
        format!(" of {}", first.file.display())
    };
    let name = &again.station.name;
    let rule = format!("name {name:?} must not come twice, but is that of {place}{file} already");
    problem(&again.file, again.line, &again.field, &rule)
}

fn problem(file: &Path, line: Option<usize>, field: &str, rule: &str) -> Problem {
    Problem { file: file.to_owned(), line, field: field.to_owned(), rule: rule.to_owned() }
}

/// Told by the name of the file, or by how its text begins.
fn notation(file: &Path, text: &str) -> Notation {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml") => return Notation::Yaml,
        Some("toml") => return Notation::Toml,
        Some("csv") => return Notation::Csv,
        _ => {}
    }
    let mut lines = text.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    match first.unwrap_or_default() {
        line if line.starts_with('[') => Notation::Toml,
        line if line.contains(',') && line.contains("lat_deg") => Notation::Csv,
        _ => Notation::Yaml,
    }
}

/// The problems of a station, each at its place: `spell` says the line and the field of a key.
fn check(
    file: &Path,
    station: &Station,
    spell: impl Fn(&StationProblem) -> (Option<usize>, String),
) -> Result<(), FileError> {
    let found: Vec<Problem> = station
        .problems()
        .iter()
        .map(|found| {
            let (line, field) = spell(found);
            // Files give heights in metres, whose field a rule about kilometres must not seem to quote.
            problem(file, line, &field, &found.rule.replace("alt_km", "height in km"))
        })
        .collect();
    if found.is_empty() { Ok(()) } else { Err(FileError::Invalid(found)) }
}

#[cfg(test)]
mod tests;
