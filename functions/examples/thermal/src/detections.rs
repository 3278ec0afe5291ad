//! Hot targets that were found in a burst.

use alloc::format;
use alloc::vec::Vec;

use sdk::Fault;
use sdk::bytes::{Reader, Writer};

use crate::frame::Kept;

const MAGIC: &[u8] = b"SBD1";

/// Side of the square image of a target, pixels.
pub const CHIP_SIDE: u16 = 16;
/// Bytes of that image.
pub const CHIP_BYTES: usize = 256;
/// Most targets of a burst: more is no fire but a broken camera.
const TARGETS_MAX: u16 = 64;

/// What object-det found in a burst.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detections {
    /// The burst and the frames that were looked at.
    pub kept: Kept,
    /// Bursts that object-det has looked at, this one included.
    pub runs_seen: u64,
    /// Different targets that it has ever seen at this place.
    pub tracks_seen: u32,
    /// The targets of this burst, in the order of their tracks.
    pub targets: Vec<Detection>,
}

/// A hot target of a burst.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection {
    /// Names the target across bursts.
    pub track: u32,
    /// Bursts in which it was seen, this one included.
    pub sightings: u32,
    /// Where it is: column.
    pub x: u16,
    /// Where it is: row.
    pub y: u16,
    /// The first frame that shows it.
    pub first_frame: u16,
    /// The last frame that shows it.
    pub last_frame: u16,
    /// The largest value of its pixels.
    pub peak: u8,
    /// Its image in the first frame, row by row; [`CHIP_BYTES`].
    pub chip: Vec<u8>,
}

impl Detections {
    /// Encodes it; of more targets than the format has room for, the first.
    pub fn encode(&self) -> Vec<u8> {
        let kept = self.kept.encode();
        let count = u16::try_from(self.targets.len()).unwrap_or(u16::MAX).min(TARGETS_MAX);
        let mut writer = Writer::default().raw(MAGIC).raw(&kept).u64(self.runs_seen);
        writer = writer.u32(self.tracks_seen).u16(count);
        for target in self.targets.iter().take(usize::from(count)) {
            writer = writer.u32(target.track).u32(target.sightings).u16(target.x).u16(target.y);
            writer = writer.u16(target.first_frame).u16(target.last_frame).u8(target.peak);
            writer = writer.raw(&target.chip);
        }
        writer.finish()
    }

    /// Decodes it.
    ///
    /// # Errors
    /// [`Fault::BadInput`] when it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new("detections", bytes);
        reader.magic(MAGIC)?;
        let kept = Kept::decode(reader.take(Kept::BYTES)?)?;
        let (runs_seen, tracks_seen, count) = (reader.u64()?, reader.u32()?, reader.u16()?);
        if TARGETS_MAX < count {
            return Err(reader.bad(&format!("{count} targets, at most {TARGETS_MAX} are told")));
        }
        let targets = (0..count).map(|_| Detection::read(&mut reader)).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Self { kept, runs_seen, tracks_seen, targets })
    }
}

impl Detection {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        Ok(Self {
            track: reader.u32()?,
            sightings: reader.u32()?,
            x: reader.u16()?,
            y: reader.u16()?,
            first_frame: reader.u16()?,
            last_frame: reader.u16()?,
            peak: reader.u8()?,
            chip: reader.take(CHIP_BYTES)?.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Scene;

    fn some() -> Detections {
        let scene = Scene { seed: 7, index: 3, width: 16, height: 20, frames: 4 };
        let target = Detection {
            track: 4,
            sightings: 2,
            x: 10,
            y: 11,
            first_frame: 1,
            last_frame: 3,
            peak: 200,
            chip: vec![9; CHIP_BYTES],
        };
        let kept = Kept { scene, frames: 3, background_runs: 5 };
        Detections { kept, runs_seen: 6, tracks_seen: 4, targets: vec![target.clone(), target] }
    }

    #[test]
    fn what_is_encoded_decodes() {
        assert_eq!(Detections::decode(&some().encode()), Ok(some()));
    }

    #[test]
    fn every_truncation_is_refused_and_none_panics() {
        let bytes = some().encode();
        for len in 0..bytes.len() {
            assert!(Detections::decode(bytes.get(..len).unwrap()).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_count_over_the_bound_is_refused_before_anything_is_reserved() {
        let mut bytes = Detections { targets: Vec::new(), ..some() }.encode();
        let at = bytes.len() - 2;
        bytes.splice(at.., u16::MAX.to_le_bytes());
        let said = "detections: 65535 targets, at most 64 are told";
        assert_eq!(Detections::decode(&bytes), Err(Fault::BadInput(said.into())));
    }
}
