//! Tensors as bytes: the format of `.safetensors` files, in which tensors travel to native programs and over HTTP.
//!
//! Eight bytes with the length of a header (little-endian), the header (JSON: for each tensor its `dtype`, its `shape`, and where its data
//! begins and ends behind the header), and the data without gaps. Written here, and not taken from the library of that name, because that
//! keeps the last of two tensors with one name, reads a header of 100 MB before it says no, and does not say which tensor is wrong. A test
//! reads a file that the library has written.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::tensor::{Dims, InvalidTensor, Kind, Tensor, elements};

/// What such bytes are called in HTTP and in calls of functions.
pub const CONTENT_TYPE: &str = "application/vnd.safetensors";
/// Most tensors in one piece: four times what the largest models of the ONNX zoo take or give.
pub const TENSORS_MAX: usize = 64;
/// Longest header: so many tensors with the longest names, each byte of them escaped, and as much again for who adds metadata.
pub const HEADER_BYTES_MAX: usize = 128 * 1024;

/// Bytes of the length of the header.
const LENGTH_BYTES: usize = 8;
/// The data begins at a multiple of this, so that elements of every kind are aligned.
const ALIGNMENT: usize = 8;
/// The one name that is no tensor's.
const METADATA: &str = "__metadata__";

/// Why bytes are no tensors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not even a header.
    #[error("safetensors: the header ends at byte {end}, but there are {given} bytes")]
    Short {
        /// Where it would end; saturates.
        end: u64,
        /// How many bytes there are.
        given: usize,
    },
    /// A header that nobody needs.
    #[error(
        "safetensors: the header has {0} bytes, at most {HEADER_BYTES_MAX} are read: leave metadata out"
    )]
    LongHeader(u64),
    /// The header is not as the format says.
    #[error("safetensors: the header is not as the format says: {0}")]
    Header(String),
    /// A kind of numbers that no model here takes.
    #[error(
        "safetensors: tensor {name:?} is of {dtype:?}, only U8, I32, I64, F16 and F32 are taken: convert it first"
    )]
    Dtype {
        /// Which tensor.
        name: String,
        /// What it is of.
        dtype: String,
    },
    /// Data that overlaps, leaves a gap, or is not there.
    #[error(
        "safetensors: the data of tensor {name:?} is at bytes {begin} to {end}, but it has to begin at {expected} and to end within {given}"
    )]
    Place {
        /// Which tensor.
        name: String,
        /// Where it begins, behind the header.
        begin: u64,
        /// Where it ends.
        end: u64,
        /// Where the data before it ends.
        expected: u64,
        /// How many bytes of data there are.
        given: u64,
    },
    /// Data that belongs to no tensor.
    #[error("safetensors: the tensors end at byte {end} of the data, but there are {given} bytes")]
    Rest {
        /// Where the last tensor ends, behind the header.
        end: u64,
        /// How many bytes of data there are.
        given: u64,
    },
    /// A tensor that breaks a rule of all tensors.
    #[error("safetensors: {0}")]
    Tensor(#[from] InvalidTensor),
}

/// What the header says of a tensor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Vec<u32>,
    data_offsets: (u64, u64),
}

/// The bytes of these tensors. In the header they are in the given order; the data of the widest comes first, so that all is aligned.
///
/// What [`decode`] refuses is not looked for: two tensors of one name, or more than [`TENSORS_MAX`].
///
/// # Panics
/// Never: names and numbers are JSON.
pub fn encode<T: Borrow<Tensor>>(tensors: &[T]) -> Vec<u8> {
    let tensors: Vec<&Tensor> = tensors.iter().map(Borrow::borrow).collect();
    let mut by_width: Vec<usize> = (0..tensors.len()).collect();
    by_width.sort_by_key(|index| std::cmp::Reverse(tensors[*index].kind().bytes()));
    let mut offsets = vec![(0, 0); tensors.len()];
    let mut end = 0;
    for index in &by_width {
        let begin = end;
        end += tensors[*index].data().len() as u64;
        offsets[*index] = (begin, end);
    }
    let header = Header(tensors.iter().copied().zip(offsets).map(entry_of).collect());
    let mut header = serde_json::to_vec(&header).expect("names and numbers are JSON");
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    let data = by_width.iter().map(|index| tensors[*index].data());
    let length = (header.len() as u64).to_le_bytes();
    let mut bytes = Vec::with_capacity(
        LENGTH_BYTES + header.len() + data.clone().map(<[u8]>::len).sum::<usize>(),
    );
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(&header);
    data.for_each(|data| bytes.extend_from_slice(data));
    bytes
}

/// The tensors in these bytes, in the order of the header.
///
/// # Errors
/// [`Malformed`] with the first rule that is broken; nothing is copied before all are checked.
pub fn decode(bytes: &[u8]) -> Result<Vec<Tensor>, Malformed> {
    let (header, data) = split(bytes)?;
    let header: Header =
        serde_json::from_slice(header).map_err(|error| Malformed::Header(error.to_string()))?;
    check_places(&header, data.len() as u64)?;
    let kinds = header.0.iter().map(|(name, entry)| kind_of(name, entry));
    let kinds = kinds.collect::<Result<Vec<_>, _>>()?;
    header
        .0
        .into_iter()
        .zip(kinds)
        .map(|((name, entry), kind)| tensor(name, entry, kind, data))
        .collect()
}

/// Header and data.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let given = bytes.len();
    let short = |end| Malformed::Short { end, given };
    let (length, rest) =
        bytes.split_first_chunk::<LENGTH_BYTES>().ok_or_else(|| short(LENGTH_BYTES as u64))?;
    let length = u64::from_le_bytes(*length);
    let fits = usize::try_from(length).ok().filter(|length| *length <= HEADER_BYTES_MAX);
    let fits = fits.ok_or(Malformed::LongHeader(length))?;
    rest.split_at_checked(fits).ok_or_else(|| short(length.saturating_add(LENGTH_BYTES as u64)))
}

/// Whether the tensors lie one behind the other and are all that there is.
fn check_places(header: &Header, given: u64) -> Result<(), Malformed> {
    let mut entries: Vec<_> = header.0.iter().collect();
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut expected = 0;
    for (name, entry) in entries {
        let (begin, end) = entry.data_offsets;
        if begin != expected || end < begin || given < end {
            return Err(Malformed::Place { name: name.clone(), begin, end, expected, given });
        }
        expected = end;
    }
    if expected == given { Ok(()) } else { Err(Malformed::Rest { end: expected, given }) }
}

fn kind_of(name: &str, entry: &Entry) -> Result<Kind, Malformed> {
    let kind = Kind::ALL.into_iter().find(|kind| dtype_of(*kind) == entry.dtype);
    kind.ok_or_else(|| Malformed::Dtype { name: name.to_owned(), dtype: entry.dtype.clone() })
}

/// One tensor; its place is checked.
fn tensor(name: String, entry: Entry, kind: Kind, data: &[u8]) -> Result<Tensor, Malformed> {
    let (begin, end) = entry.data_offsets;
    let place = usize::try_from(begin).ok().zip(usize::try_from(end).ok());
    let data = place.and_then(|(begin, end)| data.get(begin..end)).unwrap_or_default();
    let expected = elements(&entry.shape).and_then(|count| count.checked_mul(kind.bytes()));
    if expected.is_some_and(|expected| expected != data.len() as u64) {
        let (dims, given) = (Dims(entry.shape), data.len());
        let expected = expected.unwrap_or_default();
        return Err(InvalidTensor::Length { name, dims, kind, expected, given }.into());
    }
    Ok(Tensor::new(name, entry.shape, kind, data.to_vec())?)
}

fn entry_of((tensor, data_offsets): (&Tensor, (u64, u64))) -> (String, Entry) {
    let entry = Entry {
        dtype: dtype_of(tensor.kind()).to_owned(),
        shape: tensor.dims().to_vec(),
        data_offsets,
    };
    (tensor.name().to_owned(), entry)
}

/// What the format calls a kind.
const fn dtype_of(kind: Kind) -> &'static str {
    match kind {
        Kind::U8 => "U8",
        Kind::I32 => "I32",
        Kind::I64 => "I64",
        Kind::F16 => "F16",
        Kind::F32 => "F32",
    }
}

/// The tensors of a header in its order; each name is there once.
#[derive(Debug)]
struct Header(Vec<(String, Entry)>);

impl Serialize for Header {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, entry)| (name, entry)))
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

/// Reads the header, entry by entry, since a map would keep the last of two with one name.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with an entry for each tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut entries: Vec<(String, Entry)> = Vec::new();
        let mut has_metadata = false;
        while let Some(name) = map.next_key::<String>()? {
            let is_again = match name == METADATA {
                true => std::mem::replace(&mut has_metadata, true),
                false => entries.iter().any(|(other, _)| *other == name),
            };
            if is_again {
                return Err(A::Error::custom(format_args!("{name:?} is there twice")));
            }
            if name == METADATA {
                // Text about the tensors, for people.
                map.next_value::<BTreeMap<String, String>>()?;
                continue;
            }
            if entries.len() == TENSORS_MAX {
                return Err(A::Error::custom(format_args!("more than {TENSORS_MAX} tensors")));
            }
            let entry = map
                .next_value()
                .map_err(|error| A::Error::custom(format_args!("tensor {name:?}: {error}")))?;
            entries.push((name, entry));
        }
        Ok(Header(entries))
    }
}

#[cfg(test)]
mod tests;
