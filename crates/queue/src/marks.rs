//! Up to where each stream of each start of the agent was acknowledged: a small file, replaced as a whole.

use std::collections::BTreeMap;

use crate::check::crc32c;

/// The file.
pub(crate) const NAME: &str = "marks";
const MAGIC: [u8; 4] = *b"SBM1";
const ENTRY_BYTES: usize = 17;

/// The highest acknowledged id, by boot and stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(pub(crate) BTreeMap<(u64, u8), u64>);

impl Marks {
    pub(crate) fn through(&self, boot: u64, stream: u8) -> u64 {
        self.0.get(&(boot, stream)).copied().unwrap_or_default()
    }

    /// "SBM1", then boot u64, stream u8, id u64 for each, then CRC-32C of all that.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for ((boot, stream), through) in &self.0 {
            bytes.extend_from_slice(&boot.to_le_bytes());
            bytes.push(*stream);
            bytes.extend_from_slice(&through.to_le_bytes());
        }
        let crc = crc32c(&[&bytes]);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` for anything else.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c(&[body]).to_le_bytes() != *crc {
            return None;
        }
        let entries = body.strip_prefix(&MAGIC)?;
        if !entries.len().is_multiple_of(ENTRY_BYTES) {
            return None;
        }
        let mut marks = BTreeMap::new();
        for entry in entries.chunks_exact(ENTRY_BYTES) {
            let (boot, rest) = entry.split_first_chunk::<8>()?;
            let ([stream], through) = rest.split_first_chunk::<1>()?;
            let through = u64::from_le_bytes(through.try_into().ok()?);
            marks.insert((u64::from_le_bytes(*boot), *stream), through);
        }
        Some(Self(marks))
    }
}
