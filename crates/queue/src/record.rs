//! A record and its bytes. All numbers are little-endian.
//!
//! ```text
//! length u32 │ CRC-32C u32 of length and body │ body
//! body: id u64 │ age stamp u64 (ms) │ from i64 │ to i64 (sky, ns) │ stands for u32 │ series u8 │ kind u8 │ content
//! content: kind 0: the payload; kind 1: columns of count u32, min f32, max f32, mean f64
//! ```

use types::Epoch;

use crate::check::crc32c;
use crate::column::Column;

/// Largest payload: that of the largest event.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a record besides its content.
pub const OVERHEAD_BYTES: usize = FRAME_BYTES + FIXED_BYTES;
/// Length and checksum.
const FRAME_BYTES: usize = 8;
/// What a body begins with.
const FIXED_BYTES: usize = 38;
const COLUMN_BYTES: usize = 20;
/// Most columns: far more than any series has.
pub const COLUMNS_MAX: usize = 64;
const BODY_BYTES_MAX: usize = FIXED_BYTES + PAYLOAD_BYTES_MAX;

const WHOLE: u8 = 0;
const SUMMARY: u8 = 1;

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its number within its stream and start of the queue; they only rise.
    pub id: u64,
    /// How old the queue was when it was taken, in milliseconds; see [`crate::Queue`].
    pub stamp_ms: u64,
    /// The earliest sky of what is in it.
    pub from: Epoch,
    /// The latest sky of what is in it.
    pub to: Epoch,
    /// Records that it stands for: 1, or more once it was thinned.
    pub stands_for: u32,
    /// Records of one series can be merged.
    pub series: u8,
    /// What is in it.
    pub content: Content,
}

/// What is in a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// What was put in.
    Whole(Vec<u8>),
    /// What is left of many.
    Summary(Vec<Column>),
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// They end too early.
    #[error("cut off")]
    CutOff,
    /// The length cannot be one.
    #[error("a length that cannot be")]
    Length,
    /// The checksum is another.
    #[error("another checksum")]
    Checksum,
    /// The checksum is right, and yet it is no record of this version.
    #[error("not a record of this version")]
    Unknown,
}

impl Record {
    /// Appends its bytes; content that is over its bounds is cut to them by [`crate::Queue::push`] before.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; FRAME_BYTES]);
        for word in [self.id, self.stamp_ms] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for word in [self.from, self.to] {
            out.extend_from_slice(&word.unix_ns().to_le_bytes());
        }
        out.extend_from_slice(&self.stands_for.to_le_bytes());
        out.push(self.series);
        match &self.content {
            Content::Whole(payload) => {
                out.push(WHOLE);
                out.extend_from_slice(payload);
            }
            Content::Summary(columns) => {
                out.push(SUMMARY);
                for column in columns {
                    out.extend_from_slice(&column.count.to_le_bytes());
                    out.extend_from_slice(&column.min.to_le_bytes());
                    out.extend_from_slice(&column.max.to_le_bytes());
                    out.extend_from_slice(&column.mean.to_le_bytes());
                }
            }
        }
        let length = u32::try_from(out.len() - start - FRAME_BYTES).unwrap_or(u32::MAX);
        let length = length.to_le_bytes();
        let crc = crc32c(&[&length, &out[start + FRAME_BYTES..]]).to_le_bytes();
        out[start..start + 4].copy_from_slice(&length);
        out[start + 4..start + FRAME_BYTES].copy_from_slice(&crc);
    }

    /// Its size on disk.
    pub fn bytes(&self) -> usize {
        OVERHEAD_BYTES
            + match &self.content {
                Content::Whole(payload) => payload.len(),
                Content::Summary(columns) => columns.len() * COLUMN_BYTES,
            }
    }

    /// Reads the record that `bytes` begin with; also says how many bytes it takes.
    ///
    /// # Errors
    /// [`Damage`]; nothing is guessed.
    pub fn read(bytes: &[u8]) -> Result<(Self, usize), Damage> {
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or(Damage::CutOff)?;
        let (crc, rest) = rest.split_first_chunk::<4>().ok_or(Damage::CutOff)?;
        let body_bytes = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if !(FIXED_BYTES..=BODY_BYTES_MAX).contains(&body_bytes) {
            return Err(Damage::Length);
        }
        let body = rest.get(..body_bytes).ok_or(Damage::CutOff)?;
        if crc32c(&[length, body]) != u32::from_le_bytes(*crc) {
            return Err(Damage::Checksum);
        }
        let record = read_body(body).ok_or(Damage::Unknown)?;
        Ok((record, FRAME_BYTES + body_bytes))
    }
}

fn read_body(body: &[u8]) -> Option<Record> {
    let mut rest = body;
    let mut word = || {
        let (word, after) = rest.split_first_chunk::<8>()?;
        rest = after;
        Some(u64::from_le_bytes(*word))
    };
    let (id, stamp_ms) = (word()?, word()?);
    let (from, to) = (word()?.cast_signed(), word()?.cast_signed());
    let (stands_for, rest) = rest.split_first_chunk::<4>()?;
    let ([series, kind], content) = rest.split_first_chunk::<2>()?;
    let content = match *kind {
        WHOLE => Content::Whole(content.to_vec()),
        SUMMARY => Content::Summary(read_columns(content)?),
        _ => return None,
    };
    let stands_for = u32::from_le_bytes(*stands_for);
    let (from, to) = (Epoch::from_unix_ns(from), Epoch::from_unix_ns(to));
    Some(Record { id, stamp_ms, from, to, stands_for, series: *series, content })
}

fn read_columns(bytes: &[u8]) -> Option<Vec<Column>> {
    let (columns, rest) = bytes.as_chunks::<COLUMN_BYTES>();
    if !rest.is_empty() || COLUMNS_MAX < columns.len() {
        return None;
    }
    let read = |column: &[u8; COLUMN_BYTES]| {
        let (count, rest) = column.split_first_chunk::<4>()?;
        let (min, rest) = rest.split_first_chunk::<4>()?;
        let (max, mean) = rest.split_first_chunk::<4>()?;
        let column = Column {
            count: u32::from_le_bytes(*count),
            min: f32::from_le_bytes(*min),
            max: f32::from_le_bytes(*max),
            mean: f64::from_le_bytes(mean.try_into().ok()?),
        };
        column.is_possible().then_some(column)
    };
    columns.iter().map(read).collect()
}
