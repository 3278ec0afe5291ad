//! Replays of [recordings](super::record): the states of a run, read from where they lie.

mod reader;

use std::io;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use orbit::frame::PolarTurn;
use orbit::ground::{GroundLink, StationNow};
use orbit::link::{Forest, Isl};
use orbit::visibility::Viewer;
use topology::NodeIx;
use types::{Epoch, Geodetic};

use super::frames::{Frames, Known};
use super::mapped;
use super::moment::Moment;
use super::nodes::Nodes;
use super::overrides::{Override, Overrides};
use super::record::{MAGIC, NO_FOREST, PREFIX, RecordHead, VERSION, distance_km};
use super::watch::{Part, Watch};
use reader::Reader;

/// Why a recording cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no recording, one of another version, or damaged.
    #[error("{}: {what}", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// It ends before the step.
    #[error("{}: has steps 0 to {last}, not {step}", file.display())]
    NoStep {
        /// The file.
        file: PathBuf,
        /// The step that was asked for.
        step: u64,
        /// The last step.
        last: u64,
    },
}

/// A recording that is being replayed, from its first step to its last.
#[derive(Debug)]
pub struct Replay {
    file: PathBuf,
    map: Mmap,
    head: RecordHead,
    frames: u64,
    index_at: usize,
    /// The pairs of the step before.
    links: Vec<(u32, u32)>,
    merged: Vec<(u32, u32)>,
    next_step: u64,
}

impl Replay {
    /// Opens a recording.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn open(file: &Path) -> Result<Self, ReplayError> {
        let failed = |source| ReplayError::Read { file: file.to_owned(), source };
        let map = mapped::map(file).map_err(failed)?;
        let invalid = |what: String| ReplayError::Invalid { file: file.to_owned(), what };
        let (head, frames, index_at) = open_head(&map).map_err(invalid)?;
        Ok(Self {
            file: file.to_owned(),
            map,
            head,
            frames,
            index_at,
            links: Vec::new(),
            merged: Vec::new(),
            next_step: 0,
        })
    }

    /// What was recorded.
    pub fn head(&self) -> &RecordHead {
        &self.head
    }

    /// How many steps were recorded.
    pub fn steps(&self) -> u64 {
        self.frames
    }

    /// Whether the last step was replayed.
    pub fn is_at_end(&self) -> bool {
        self.frames <= self.next_step
    }

    /// Begins again with the first step.
    pub fn rewind(&mut self) {
        self.next_step = 0;
        self.links.clear();
    }

    fn invalid(&self, what: String) -> ReplayError {
        ReplayError::Invalid { file: self.file.clone(), what }
    }

    /// The body of a frame, its sum checked.
    fn body(&self, step: u64) -> Result<&[u8], String> {
        let place = usize::try_from(step).ok().and_then(|step| step.checked_mul(8));
        let place =
            place.and_then(|place| self.index_at.checked_add(place)).ok_or("no such step")?;
        let mut index = Reader::at(&self.map, place)?;
        let offset = usize::try_from(index.u64()?).map_err(|e| e.to_string())?;
        let mut frame = Reader::at(&self.map, offset)?;
        let (length, sum) = (frame.u32()?, frame.u32()?);
        let body = frame.take(length as usize)?;
        if crc32fast::hash(body) != sum {
            return Err("its checksum does not match: the file is damaged".to_owned());
        }
        Ok(body)
    }
}

/// Head, number of frames, offset of their index.
fn open_head(bytes: &[u8]) -> Result<(RecordHead, u64, usize), String> {
    let mut reader = Reader::at(bytes, 0)?;
    if reader.take(8)? != MAGIC {
        return Err("is no recording (it does not begin with SBRECORD)".to_owned());
    }
    let version = reader.u32()?;
    if version != VERSION {
        return Err(format!("is of version {version}; this program reads version {VERSION}"));
    }
    let (length, head_crc, index_crc) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let index_at = usize::try_from(reader.u64()?).map_err(|e| e.to_string())?;
    let frames = reader.u64()?;
    let head = Reader::at(bytes, PREFIX)?.take(length as usize)?;
    if crc32fast::hash(head) != head_crc {
        return Err("the checksum of its head does not match: the file is damaged".to_owned());
    }
    let index_len = usize::try_from(frames).ok().and_then(|frames| frames.checked_mul(8));
    let index = Reader::at(bytes, index_at)?.take(index_len.ok_or("has too many frames")?)?;
    if crc32fast::hash(index) != index_crc {
        return Err("the checksum of its index does not match: the file is damaged".to_owned());
    }
    let head: RecordHead =
        serde_json::from_slice(head).map_err(|e| format!("its head is not valid: {e}"))?;
    let scenario = head.scenario.checked().map_err(|e| format!("its scenario: {e}"))?;
    Ok((RecordHead { scenario, ..head }, frames, index_at))
}

impl Frames for Replay {
    fn model(&self) -> &str {
        &self.head.model
    }

    fn fill(
        &mut self,
        nodes: &Nodes,
        overrides: &mut Overrides,
        moment: &mut Moment,
        watch: &mut dyn Watch,
    ) -> Result<Known, ReplayError> {
        let step = self.next_step;
        if self.frames <= step {
            let last = self.frames.saturating_sub(1);
            return Err(ReplayError::NoStep { file: self.file.clone(), step, last });
        }
        self.next_step += 1;
        let mut links = std::mem::take(&mut self.links);
        let mut merged = std::mem::take(&mut self.merged);
        let read = self.body(step).and_then(|body| {
            let mut frame = Frame { reader: Reader::at(body, 0)?, nodes, moment };
            let (known, counts) = frame.head()?;
            let positions = frame.reader.take(nodes.satellites() * 24)?;
            frame.stations()?;
            let changed = frame.changed(counts)?;
            // Both halves of a step of this size, side by side.
            rayon::join(
                || read_positions(positions, &mut frame.moment.positions_km),
                || merge(&links, changed, &mut merged),
            );
            std::mem::swap(&mut links, &mut merged);
            watch.done(Part::Positions);
            frame.links(counts.odd, &links)?;
            watch.done(Part::Links);
            frame.ground(counts.ground)?;
            frame.overrides(counts.changes, overrides)?;
            watch.done(Part::GroundLinks);
            Ok(known)
        });
        (self.links, self.merged) = (links, merged);
        read.map_err(|what| self.invalid(format!("step {step}: {what}")))
    }
}

/// How many entries the lists of a frame have.
#[derive(Clone, Copy, Debug)]
struct Counts {
    gone: usize,
    new: usize,
    odd: usize,
    ground: usize,
    changes: usize,
}

/// A frame that is being read into a moment.
struct Frame<'a> {
    reader: Reader<'a>,
    nodes: &'a Nodes,
    moment: &'a mut Moment,
}

impl<'a> Frame<'a> {
    fn head(&mut self) -> Result<(Known, Counts), String> {
        let reader = &mut self.reader;
        self.moment.at = Epoch::from_unix_ns(reader.i64()?);
        self.moment.turn = PolarTurn::from_parts([reader.f64()?, reader.f64()?, reader.f64()?]);
        let positions_hash = Some(format!("{:016x}", reader.u64()?));
        let components = Some(reader.count_u64()?);
        let edges = reader.u64()?;
        let forest = Forest {
            edges: usize::try_from(edges).unwrap_or(usize::MAX),
            components: reader.count_u64()?,
            weight_km: reader.f64()?,
            longest_km: reader.f64()?,
        };
        self.moment.isl.forest = (edges != NO_FOREST).then_some(forest);
        let mut count = || reader.u32().map(|count| count as usize);
        let counts = Counts {
            gone: count()?,
            new: count()?,
            odd: count()?,
            ground: count()?,
            changes: count()?,
        };
        count()?;
        Ok((Known { positions_hash, components }, counts))
    }

    fn stations(&mut self) -> Result<(), String> {
        self.moment.stations.clear();
        for _ in self.nodes.stations().iter() {
            let reader = &mut self.reader;
            let [lat_deg, lon_deg, alt_km] = reader.vector()?;
            let viewer = Viewer { position_km: reader.vector()?, up: reader.vector()? };
            let mask = reader.f64()?;
            let terminals = u16::try_from(reader.u32()?).map_err(|e| e.to_string())?;
            reader.u32()?;
            self.moment.stations.push(StationNow {
                place: Geodetic { lat_deg, lon_deg, alt_km },
                viewer,
                min_elevation_deg: (!mask.is_nan()).then_some(mask),
                terminals,
            });
        }
        Ok(())
    }

    /// How the links differ from those of the step before.
    fn changed(&mut self, counts: Counts) -> Result<Changed<'a>, String> {
        let changed = Changed {
            gone: self.reader.take(counts.gone * 8)?,
            new: self.reader.take(counts.new * 8)?,
        };
        let satellites = self.nodes.satellites();
        match pairs(changed.new).find(|(a, b)| b <= a || satellites <= *b as usize) {
            Some((a, b)) => Err(format!("a link joins satellites {a} and {b} of {satellites}")),
            None => Ok(changed),
        }
    }

    /// The links with their lengths, which follow from the positions but for `odd` ones.
    fn links(&mut self, odd: usize, links: &[(u32, u32)]) -> Result<(), String> {
        let moment = &mut *self.moment;
        moment.isl.links.clear();
        let positions_km = &moment.positions_km;
        moment.isl.links.extend(links.iter().map(|(a, b)| Isl {
            a: *a,
            b: *b,
            length_km: distance_km(positions_km, *a, *b),
        }));
        for _ in 0..odd {
            let (index, _) = (self.reader.u32()?, self.reader.u32()?);
            let length_km = self.reader.f64()?;
            let link = self.moment.isl.links.get_mut(index as usize);
            link.ok_or_else(|| format!("there is no link {index}"))?.length_km = length_km;
        }
        Ok(())
    }

    fn ground(&mut self, count: usize) -> Result<(), String> {
        self.moment.ground.clear();
        let (stations, satellites) = (self.nodes.stations().len(), self.nodes.satellites());
        for _ in 0..count {
            let (station, satellite) = (self.reader.u32()?, self.reader.u32()?);
            if stations <= station as usize || satellites <= satellite as usize {
                return Err(format!(
                    "a ground link joins station {station}, satellite {satellite}"
                ));
            }
            let (range_km, elevation_deg) = (self.reader.f64()?, self.reader.f64()?);
            self.moment.ground.push(GroundLink { station, satellite, range_km, elevation_deg });
        }
        Ok(())
    }

    fn overrides(&mut self, count: usize, overrides: &mut Overrides) -> Result<(), String> {
        overrides.clear();
        for _ in 0..count {
            let reader = &mut self.reader;
            let (a, b) = (NodeIx(reader.u32()?), NodeIx(reader.u32()?));
            let down = reader.u32()? != 0;
            let rate = reader.u32()?;
            let change = Override {
                down,
                rate_kbps_max: (rate != u32::MAX).then_some(rate),
                extra_delay_us: reader.f64()?,
                loss_ppm_min: reader.u32()?,
            };
            reader.u32()?;
            let set = if a == b {
                overrides.set_node(a, change)
            } else {
                overrides.set_link(a, b, change)
            };
            set.map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

/// The pairs that are no links any more, and those that have become links, ascending, as they lie in the file.
#[derive(Clone, Copy, Debug)]
struct Changed<'a> {
    gone: &'a [u8],
    new: &'a [u8],
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    bytes.chunks_exact(8).map(reader::pair)
}

fn read_positions(bytes: &[u8], positions_km: &mut Vec<[f64; 3]>) {
    positions_km.clear();
    positions_km.extend(bytes.chunks_exact(24).map(|chunk| {
        let axis = |axis: usize| reader::f64_at(chunk, axis * 8);
        [axis(0), axis(1), axis(2)]
    }));
}

/// `before` without what is gone and with what is new, all ascending.
fn merge(before: &[(u32, u32)], changed: Changed<'_>, out: &mut Vec<(u32, u32)>) {
    out.clear();
    let (mut gone, mut new) = (pairs(changed.gone).peekable(), pairs(changed.new).peekable());
    for pair in before {
        while let Some(first) = new.next_if(|first| first < pair) {
            out.push(first);
        }
        if gone.next_if_eq(pair).is_none() {
            out.push(*pair);
        }
    }
    out.extend(new);
}
