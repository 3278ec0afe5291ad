//! Stations as TOML: `[[station]]`, and `[[station.way]]` for one that moves.

use std::path::Path;

use orbit::station::{Station, StationKind, WayPoint};
use serde::Deserialize;
use types::{Epoch, Geodetic};

use super::{Told, check};
use crate::toml_file::{Document, FileError, Step};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    station: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    /// May be left out of a station with a way, which then waits at its first way-point.
    lat_deg: Option<f64>,
    lon_deg: Option<f64>,
    alt_m: Option<f64>,
    #[serde(default)]
    kind: StationKind,
    min_elevation_deg: Option<f64>,
    terminals: Option<u16>,
    #[serde(default)]
    way: Vec<Point>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Point {
    at: Epoch,
    lat_deg: f64,
    lon_deg: f64,
    #[serde(default)]
    alt_m: f64,
}

const M_PER_KM: f64 = 1000.0;

pub(super) fn read(file: &Path, text: &str) -> Result<Vec<Told>, FileError> {
    let document = Document::of_text(file, text);
    let entries: File = document.parse()?;
    entries
        .station
        .into_iter()
        .enumerate()
        .map(|(index, entry)| told(&document, index, entry, file))
        .collect()
}

fn told(document: &Document, index: usize, entry: Entry, file: &Path) -> Result<Told, FileError> {
    let place_of = |key: &'static str| {
        document.problem(&[Step::Key("station"), Step::Index(index), Step::Key(key)], String::new())
    };
    let way: Vec<WayPoint> = entry.way.iter().map(way_point).collect();
    let place = match (entry.lat_deg, entry.lon_deg, way.first()) {
        (Some(lat_deg), Some(lon_deg), _) => {
            Geodetic { lat_deg, lon_deg, alt_km: entry.alt_m.unwrap_or(0.0) / M_PER_KM }
        }
        (None, None, Some(first)) => first.place,
        (lat, ..) => {
            let key = if lat.is_none() { "lat_deg" } else { "lon_deg" };
            let rule = "must be given, unless a way tells both lat_deg and lon_deg".to_owned();
            let path = [Step::Key("station"), Step::Index(index)];
            let field = format!("station[{index}].{key}");
            return Err(crate::toml_file::Problem { field, ..document.problem(&path, rule) }.into());
        }
    };
    let Entry { name, kind, min_elevation_deg, terminals, .. } = entry;
    let station = Station { name, kind, place, min_elevation_deg, terminals, way };
    check(file, &station, |found| {
        let key = if found.key == "alt_km" { "alt_m" } else { found.key };
        let at = match found.way_point {
            None => place_of(key),
            Some(point) => {
                let way = [Step::Key("way"), Step::Index(point), Step::Key(key)];
                let path = [&[Step::Key("station"), Step::Index(index)], way.as_slice()].concat();
                document.problem(&path, String::new())
            }
        };
        (at.line, at.field)
    })?;
    let at = place_of("name");
    Ok(Told { station, file: file.to_owned(), line: at.line, field: at.field })
}

fn way_point(point: &Point) -> WayPoint {
    let Point { at, lat_deg, lon_deg, alt_m } = *point;
    WayPoint { at, place: Geodetic { lat_deg, lon_deg, alt_km: alt_m / M_PER_KM } }
}
