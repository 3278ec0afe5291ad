//! Stardust's list of ground stations: YAML with `Name`, `Lat`, `Lon`, and what computes there.
//!
//! `Protocol` and `Router`, which Stardust keeps for each station, are the scenario's to say here; they are read and not used.

use std::path::Path;

use orbit::station::{Station, StationKind};
use serde::Deserialize;
use serde_saphyr::Spanned;
use types::Geodetic;

use super::{Told, check, problem};
use crate::toml_file::FileError;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(rename = "Name")]
    name: Spanned<String>,
    #[serde(rename = "Lat")]
    lat_deg: f64,
    #[serde(rename = "Lon")]
    lon_deg: f64,
    #[serde(rename = "ComputingType", default)]
    computing: Computing,
    #[serde(rename = "Protocol")]
    _protocol: Option<String>,
    #[serde(rename = "Router")]
    _router: Option<String>,
}

/// What computes there, in Stardust's words.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum Computing {
    #[default]
    None,
    Edge,
    Cloud,
}

pub(super) fn read(file: &Path, text: &str) -> Result<Vec<Told>, FileError> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#')) {
        return Ok(Vec::new());
    }
    let entries: Vec<Entry> = serde_saphyr::from_str(text).map_err(|error| {
        let error = error.without_snippet();
        let line = error.location().and_then(|at| usize::try_from(at.line()).ok());
        let words = error.to_string();
        problem(file, line, "", words.lines().next().unwrap_or_default())
    })?;
    entries.into_iter().enumerate().map(|(index, entry)| told(file, index, entry)).collect()
}

fn told(file: &Path, index: usize, entry: Entry) -> Result<Told, FileError> {
    let line = usize::try_from(entry.name.referenced.line()).ok().filter(|line| 0 < *line);
    let kind = match entry.computing {
        Computing::None => StationKind::Ground,
        Computing::Edge => StationKind::Edge,
        Computing::Cloud => StationKind::Cloud,
    };
    let station = Station {
        name: entry.name.value,
        kind,
        // Stardust's list knows no heights.
        place: Geodetic { lat_deg: entry.lat_deg, lon_deg: entry.lon_deg, alt_km: 0.0 },
        min_elevation_deg: None,
        terminals: None,
        way: Vec::new(),
    };
    check(file, &station, |found| {
        let key = match found.key {
            "name" => "Name",
            "lat_deg" => "Lat",
            "lon_deg" => "Lon",
            other => other,
        };
        (line, format!("item {} {:?}, {key}", index + 1, station.name))
    })?;
    Ok(Told { station, file: file.to_owned(), line, field: format!("item {}", index + 1) })
}
