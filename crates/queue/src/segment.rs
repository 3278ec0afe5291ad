//! A segment: one file of records of one stream. Its name says which, its header says it again.
//!
//! ```text
//! header, 32 bytes: "SBQ1" │ start u32 │ boot u64 │ number u64 │ stream u8 │ level u8 │ 0 u16 │ CRC-32C u32
//! then records, one after the other
//! ```
//!
//! Only the start of the queue that made a segment appends to it. What a reader finds damaged ends it: every record
//! before is whole, and nothing after is believed.

use std::fmt;

use crate::check::crc32c;
use crate::record::{Damage, Record};

/// Largest segment.
pub const SEGMENT_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Bytes before the first record.
pub const HEADER_BYTES: usize = 32;
const MAGIC: [u8; 4] = *b"SBQ1";
const SUFFIX: &str = ".seg";

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Counts the starts of the queue.
    pub start: u32,
    /// The stream, by its place in the configuration.
    pub stream: u8,
    /// Counts the segments of a start.
    pub number: u64,
}

impl Name {
    /// What a file's name means, if it is a segment's.
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(SUFFIX)?.split('-');
        let number = |part: Option<&str>, digits: usize| {
            let part = part.filter(|part| part.len() == digits)?;
            let is_plain = part.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
            if is_plain { u64::from_str_radix(part, 16).ok() } else { None }
        };
        let stream = u8::try_from(number(parts.next(), 2)?).ok()?;
        let start = u32::try_from(number(parts.next(), 8)?).ok()?;
        let number = number(parts.next(), 16)?;
        parts.next().is_none().then_some(Self { start, stream, number })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}-{:08x}-{:016x}{SUFFIX}", self.stream, self.start, self.number)
    }
}

/// What a segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// As in the name.
    pub name: Name,
    /// The start of the agent that wrote it: with it, ids are unique for ever.
    pub boot: u64,
    /// How often it was thinned.
    pub level: u8,
}

impl Header {
    /// Its bytes.
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.name.start.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.boot.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.name.number.to_le_bytes());
        bytes[24..26].copy_from_slice(&[self.name.stream, self.level]);
        let crc = crc32c(&[&bytes[..28]]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header that `bytes` begin with.
    ///
    /// # Errors
    /// [`Damage`] when they are too short, or another thing.
    pub fn read(bytes: &[u8]) -> Result<Self, Damage> {
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(Damage::CutOff)?;
        let (head, crc) = header.split_at(28);
        if crc32c(&[head]).to_le_bytes() != crc {
            return Err(Damage::Checksum);
        }
        let word =
            |at: usize| header.get(at..)?.first_chunk::<8>().map(|word| u64::from_le_bytes(*word));
        let start = header.get(4..).and_then(|rest| rest.first_chunk::<4>());
        let (Some(start), Some(boot), Some(number), true) =
            (start, word(8), word(16), header.starts_with(&MAGIC))
        else {
            return Err(Damage::Unknown);
        };
        let name = Name { start: u32::from_le_bytes(*start), stream: header[24], number };
        Ok(Self { name, boot, level: header[25] })
    }
}

/// The records of a segment, as far as they are whole.
#[derive(Clone, Debug)]
pub struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    last: Option<u64>,
    damage: Option<Damage>,
}

impl<'a> Scan<'a> {
    /// Reads on at a place at which a record begins, for example after the header.
    pub const fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, last: None, damage: None }
    }

    /// Up to where everything was whole.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// What ended it, if not the end.
    pub const fn damage(&self) -> Option<Damage> {
        self.damage
    }
}

impl Iterator for Scan<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        if self.damage.is_some() {
            return None;
        }
        let (record, bytes) = match Record::read(rest) {
            Ok(read) => read,
            Err(damage) => {
                self.damage = Some(damage);
                return None;
            }
        };
        if self.last.is_some_and(|last| record.id <= last) {
            // Whole, and yet not what was written here.
            self.damage = Some(Damage::Unknown);
            return None;
        }
        self.last = Some(record.id);
        self.at += bytes;
        Some(record)
    }
}
