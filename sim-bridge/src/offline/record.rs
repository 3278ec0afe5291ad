//! Recordings: the states of a run in a file, to be [replayed](super::replay) faster than they were computed.
//!
//! Little-endian, version [`VERSION`]; every part begins at a multiple of 8 bytes, gaps are 0.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `SBRECORD` |
//! | 8 | 4 | version |
//! | 12 | 4 | length of the head, bytes |
//! | 16 | 4 | CRC-32 of the head |
//! | 20 | 4 | CRC-32 of the index |
//! | 24 | 8 | offset of the index |
//! | 32 | 8 | number of frames |
//! | 40 | … | head: JSON, [`RecordHead`] |
//! | … | … | frames |
//! | … | 8 each | index: offset of each frame |
//!
//! A frame: 4 bytes length of its body, 4 bytes CRC-32 of its body, body:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | instant, ns since 1970 |
//! | 8, 8, 8 | sine and cosine of the turn of the ground, its rate in rad/s |
//! | 8 | hash of the positions |
//! | 8 | parts of the network of satellites |
//! | 8, 8, 8, 8 | spanning forest: edges (2^64-1: there is none), components, weight km, longest edge km |
//! | 4 each | counts: links gone, links new, odd lengths, ground links, changes, 0 |
//! | 24 per satellite | position x, y, z, km, inertial axes |
//! | 88 per station | latitude, longitude, height km; position x, y, z; up x, y, z; mask (not a number: none); 4 bytes terminals, 4 bytes 0 |
//! | 8 per link gone | satellites a, b of links that the frame before has and this one has not, ascending |
//! | 8 per link new | the same the other way round |
//! | 16 per odd length | index of the link, 4 bytes 0, length km, where it is not the distance of the two positions, bit by bit |
//! | 24 per ground link | station, satellite, range km, elevation degrees |
//! | 32 per change | nodes a, b (equal: of a node), 1 if down, rate kbit/s (2^32-1: no limit), extra delay µs, loss ppm, 4 bytes 0 |

use std::io::{self, Write};
use std::path::Path;

use orbit::link::Isl;
use orbit::station::Station;
use serde::{Deserialize, Serialize};
use types::{Epoch, Geodetic};

use super::moment::Moment;
use super::nodes::Nodes;
use super::overrides::Overrides;
use super::scenario::Scenario;
use super::summary::StepSummary;
use crate::out_file::{OutFile, WriteError};

/// The first bytes of a recording.
pub const MAGIC: [u8; 8] = *b"SBRECORD";
/// The version that is written and read.
pub const VERSION: u32 = 1;
/// Bytes before the head.
pub(super) const PREFIX: usize = 40;
/// What stands for no spanning forest.
pub(super) const NO_FOREST: u64 = u64::MAX;

/// What a replay must know beside the frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordHead {
    /// What was run.
    pub scenario: Scenario,
    /// The name of the model of motion.
    pub model: String,
    /// The instant of step 0.
    pub start: Epoch,
    /// The names of the satellites, by index.
    pub satellites: Vec<String>,
    /// The stations, by index.
    pub stations: Vec<StationHead>,
}

/// A station of a recording; where it is stands in the frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StationHead {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: orbit::station::StationKind,
    /// Where it is at the start.
    pub place: Geodetic,
}

impl RecordHead {
    /// The stations as replays know them.
    pub fn stations(&self) -> Vec<Station> {
        self.stations.iter().map(StationHead::station).collect()
    }
}

impl StationHead {
    fn station(&self) -> Station {
        Station {
            name: self.name.clone(),
            kind: self.kind,
            place: self.place,
            min_elevation_deg: None,
            terminals: None,
            way: Vec::new(),
        }
    }
}

/// The length of a link as replays compute it, km.
pub(super) fn distance_km(positions_km: &[[f64; 3]], a: u32, b: u32) -> f64 {
    let (a, b) = (positions_km[a as usize], positions_km[b as usize]);
    let [x, y, z] = [b[0] - a[0], b[1] - a[1], b[2] - a[2]];
    (x * x + y * y + z * z).sqrt()
}

/// Writes a recording, beside its place until it is complete.
#[derive(Debug)]
pub struct Recorder {
    out: OutFile,
    offset: u64,
    index: Vec<u64>,
    head_len: u32,
    head_crc: u32,
    links: Vec<(u32, u32)>,
    body: Vec<u8>,
}

impl Recorder {
    /// Begins a file.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn create(
        file: &Path,
        scenario: &Scenario,
        model: &str,
        start: Epoch,
        nodes: &Nodes,
    ) -> Result<Self, WriteError> {
        let mut out = OutFile::create(file)?;
        let head = head(scenario, model, start, nodes);
        let begun = Self::begun(&mut out, &head);
        let (head_len, head_crc) = begun.map_err(|source| out.failed(source))?;
        let mut recorder = Self {
            out,
            offset: PREFIX as u64 + u64::from(head_len),
            index: Vec::new(),
            head_len,
            head_crc,
            links: Vec::new(),
            body: Vec::new(),
        };
        recorder.pad().map_err(|source| recorder.out.failed(source))?;
        Ok(recorder)
    }

    /// Writes the head behind the room for the prefix; its length and its checksum.
    fn begun(out: &mut OutFile, head: &RecordHead) -> io::Result<(u32, u32)> {
        if !out.can_rewind() {
            return Err(io::Error::other(
                "a recording needs a file, whose beginning is written last",
            ));
        }
        let head = serde_json::to_vec(head)?;
        out.write_all(&[0; PREFIX])?;
        out.write_all(&head)?;
        Ok((u32::try_from(head.len()).map_err(io::Error::other)?, crc32fast::hash(&head)))
    }

    /// Adds a step.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn step(
        &mut self,
        moment: &Moment,
        summary: &StepSummary,
        overrides: &Overrides,
    ) -> Result<(), WriteError> {
        self.body.clear();
        self.fill_body(moment, summary, overrides);
        self.put_body().map_err(|source| self.out.failed(source))
    }

    fn put_body(&mut self) -> io::Result<()> {
        self.index.push(self.offset);
        let length = u32::try_from(self.body.len()).map_err(io::Error::other)?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&crc32fast::hash(&self.body).to_le_bytes())?;
        self.out.write_all(&self.body)?;
        self.offset += 8 + u64::from(length);
        self.pad()
    }

    /// Completes the file and puts it in its place.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn finish(mut self) -> Result<(), WriteError> {
        self.put_index().map_err(|source| self.out.failed(source))?;
        self.out.finish()
    }

    fn put_index(&mut self) -> io::Result<()> {
        let index: Vec<u8> = self.index.iter().flat_map(|at| at.to_le_bytes()).collect();
        self.out.write_all(&index)?;
        let mut prefix = Vec::with_capacity(PREFIX);
        prefix.extend_from_slice(&MAGIC);
        for word in [VERSION, self.head_len, self.head_crc, crc32fast::hash(&index)] {
            prefix.extend_from_slice(&word.to_le_bytes());
        }
        prefix.extend_from_slice(&self.offset.to_le_bytes());
        prefix.extend_from_slice(&(self.index.len() as u64).to_le_bytes());
        self.out.write_beginning(&prefix)
    }

    fn pad(&mut self) -> io::Result<()> {
        let gap = self.offset.next_multiple_of(8) - self.offset;
        self.offset += gap;
        self.out.write_all(&[0; 8][..usize::try_from(gap).unwrap_or(0)])
    }

    fn fill_body(&mut self, moment: &Moment, summary: &StepSummary, overrides: &Overrides) {
        let body = &mut self.body;
        put_i64(body, moment.at.unix_ns());
        put_all(body, &moment.turn.parts());
        let hash = u64::from_str_radix(&summary.positions_hash, 16).unwrap_or(0);
        for word in [hash, summary.components as u64] {
            body.extend_from_slice(&word.to_le_bytes());
        }
        let forest = moment.isl.forest;
        body.extend_from_slice(&forest.map_or(NO_FOREST, |f| f.edges as u64).to_le_bytes());
        let forest = forest.unwrap_or_default();
        body.extend_from_slice(&(forest.components as u64).to_le_bytes());
        put_all(body, &[forest.weight_km, forest.longest_km]);
        let now: Vec<(u32, u32)> = moment.isl.links.iter().map(|link| (link.a, link.b)).collect();
        let (gone, new) = (missing_in(&self.links, &now), missing_in(&now, &self.links));
        let odd = odd_lengths(moment);
        let changes: Vec<_> = overrides.entries().collect();
        for count in [gone.len(), new.len(), odd.len(), moment.ground.len(), changes.len(), 0] {
            put_u32(body, u32::try_from(count).unwrap_or(u32::MAX));
        }
        moment.positions_km.iter().for_each(|position| put_all(body, position));
        put_stations(body, moment);
        for (a, b) in gone.into_iter().chain(new) {
            put_u32(body, a);
            put_u32(body, b);
        }
        for (index, length_km) in odd {
            put_u32(body, index);
            put_u32(body, 0);
            put_all(body, &[length_km]);
        }
        for link in &moment.ground {
            put_u32(body, link.station);
            put_u32(body, link.satellite);
            put_all(body, &[link.range_km, link.elevation_deg]);
        }
        for (a, b, change) in changes {
            let rate = change.rate_kbps_max.unwrap_or(u32::MAX);
            [a.0, b.0, u32::from(change.down), rate].iter().for_each(|n| put_u32(body, *n));
            put_all(body, &[change.extra_delay_us]);
            put_u32(body, change.loss_ppm_min);
            put_u32(body, 0);
        }
        self.links = now;
    }
}

fn head(scenario: &Scenario, model: &str, start: Epoch, nodes: &Nodes) -> RecordHead {
    let stations = nodes.stations().iter().map(|station| StationHead {
        name: station.name.clone(),
        kind: station.kind,
        place: station.place,
    });
    RecordHead {
        scenario: scenario.clone(),
        model: model.to_owned(),
        start,
        satellites: nodes.satellite_names().to_vec(),
        stations: stations.collect(),
    }
}

/// Links whose length is not what a replay would compute, with their places.
fn odd_lengths(moment: &Moment) -> Vec<(u32, f64)> {
    let odd = |link: &Isl| {
        let computed = distance_km(&moment.positions_km, link.a, link.b);
        computed.to_bits() != link.length_km.to_bits()
    };
    let links = (0_u32..).zip(&moment.isl.links);
    links.filter(|(_, link)| odd(link)).map(|(index, link)| (index, link.length_km)).collect()
}

/// The pairs of `all` that are not in `other`; both ascending.
fn missing_in(all: &[(u32, u32)], other: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut other = other.iter().peekable();
    let mut is_missing = |pair: &&(u32, u32)| {
        while other.next_if(|candidate| candidate < pair).is_some() {}
        other.peek() != Some(pair)
    };
    all.iter().filter(|pair| is_missing(pair)).copied().collect()
}

fn put_stations(body: &mut Vec<u8>, moment: &Moment) {
    for station in &moment.stations {
        let Geodetic { lat_deg, lon_deg, alt_km } = station.place;
        put_all(body, &[lat_deg, lon_deg, alt_km]);
        put_all(body, &station.viewer.position_km);
        put_all(body, &station.viewer.up);
        put_all(body, &[station.min_elevation_deg.unwrap_or(f64::NAN)]);
        put_u32(body, u32::from(station.terminals));
        put_u32(body, 0);
    }
}

fn put_all(body: &mut Vec<u8>, numbers: &[f64]) {
    numbers.iter().for_each(|number| body.extend_from_slice(&number.to_le_bytes()));
}

fn put_u32(body: &mut Vec<u8>, number: u32) {
    body.extend_from_slice(&number.to_le_bytes());
}

fn put_i64(body: &mut Vec<u8>, number: i64) {
    body.extend_from_slice(&number.to_le_bytes());
}
