//! Frames, what they belong to, and the map of places that are always hot.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use sdk::Fault;
use sdk::bytes::{Reader, Writer};

use crate::{FRAMES_MAX, SIDE_MAX, SIDE_MIN};

const SCENE_MAGIC: &[u8] = b"SBI1";
const FRAME_MAGIC: &[u8] = b"SBF1";
const KEPT_MAGIC: &[u8] = b"SBK1";
const REFERENCE_MAGIC: &[u8] = b"SBR1";

/// A burst: frames that a camera took one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// The place and camera: bursts of one seed show the same ground.
    pub seed: u64,
    /// Counts the bursts of a place.
    pub index: u32,
    /// Pixels in a row.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// Frames of the burst.
    pub frames: u16,
}

impl Scene {
    /// The name of the burst.
    pub fn name(&self) -> String {
        format!("{:016x}-{}", self.seed, self.index)
    }

    /// Pixels of a frame.
    pub fn pixels(&self) -> usize {
        usize::from(self.width) * usize::from(self.height)
    }

    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        self.write(Writer::default().raw(SCENE_MAGIC)).finish()
    }

    /// Decodes it.
    ///
    /// # Errors
    /// [`Fault::BadInput`] when it is no scene, or of a size that is not supported.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new("burst", bytes);
        reader.magic(SCENE_MAGIC)?;
        let scene = Self::read(&mut reader)?;
        reader.end()?;
        Ok(scene)
    }

    /// Reads the fields.
    ///
    /// # Errors
    /// [`Fault::BadInput`] when they are short, or of a size that is not supported.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let (seed, index) = (reader.u64()?, reader.u32()?);
        let (width, height, frames) = (reader.u16()?, reader.u16()?, reader.u16()?);
        let sides = SIDE_MIN..=SIDE_MAX;
        if !sides.contains(&width) || !sides.contains(&height) {
            let rule = format!("{width}x{height} pixels, a side has {SIDE_MIN} to {SIDE_MAX}");
            return Err(reader.bad(&rule));
        }
        if !(1..=FRAMES_MAX).contains(&frames) {
            return Err(reader.bad(&format!("{frames} frames, a burst has 1 to {FRAMES_MAX}")));
        }
        Ok(Self { seed, index, width, height, frames })
    }

    pub(crate) fn write(&self, writer: Writer) -> Writer {
        let writer = writer.u64(self.seed).u32(self.index);
        writer.u16(self.width).u16(self.height).u16(self.frames)
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its place in the burst, from 0.
    pub number: u16,
    /// Row by row; as many as the scene has.
    pub pixels: Vec<u8>,
}

impl Frame {
    /// Encodes a frame of `scene`.
    pub fn encode(scene: &Scene, number: u16, pixels: &[u8]) -> Vec<u8> {
        let writer = Writer::default().raw(FRAME_MAGIC).u16(number);
        writer.u16(scene.width).u16(scene.height).raw(pixels).finish()
    }

    /// Decodes a frame of `scene`.
    ///
    /// # Errors
    /// [`Fault::BadInput`] when it is no frame of that scene.
    pub fn decode(scene: &Scene, bytes: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new("frame", bytes);
        reader.magic(FRAME_MAGIC)?;
        let (number, width, height) = (reader.u16()?, reader.u16()?, reader.u16()?);
        if scene.frames <= number {
            return Err(reader.bad(&format!("number {number} of a burst of {}", scene.frames)));
        }
        if (width, height) != (scene.width, scene.height) {
            let rule =
                format!("{width}x{height} pixels in a burst of {}x{}", scene.width, scene.height);
            return Err(reader.bad(&rule));
        }
        let pixels = reader.take(scene.pixels())?.to_vec();
        reader.end()?;
        Ok(Self { number, pixels })
    }
}

/// What extract-frames kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The burst.
    pub scene: Scene,
    /// Frames that show change.
    pub frames: u16,
    /// Bursts that the background model has learned from, this one included.
    pub background_runs: u64,
}

impl Kept {
    /// Bytes of its encoding.
    pub const BYTES: usize = 32;

    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        let writer = self.scene.write(Writer::default().raw(KEPT_MAGIC));
        writer.u16(self.frames).u64(self.background_runs).finish()
    }

    /// Decodes it.
    ///
    /// # Errors
    /// [`Fault::BadInput`] when it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new("kept", bytes);
        reader.magic(KEPT_MAGIC)?;
        let scene = Scene::read(&mut reader)?;
        let (frames, background_runs) = (reader.u16()?, reader.u64()?);
        reader.end()?;
        Ok(Self { scene, frames, background_runs })
    }
}

/// The map of places that are always hot, such as a refinery: not to be reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Pixels in a row.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// Row by row; not 0 where it is always hot.
    pub mask: Vec<u8>,
}

impl Reference {
    /// Decodes the map of a scene: magic `SBR1`, seed (8 bytes), width (2), height (2), mask.
    ///
    /// # Errors
    /// [`Fault::BadInput`] when it is none, or of another place.
    pub fn decode(scene: &Scene, bytes: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new("reference", bytes);
        reader.magic(REFERENCE_MAGIC)?;
        let (seed, width, height) = (reader.u64()?, reader.u16()?, reader.u16()?);
        if (seed, width, height) != (scene.seed, scene.width, scene.height) {
            let rule = format!("it maps {width}x{height} pixels of {seed:016x}, not {scene:?}");
            return Err(reader.bad(&rule));
        }
        let mask = reader.take(scene.pixels())?.to_vec();
        reader.end()?;
        Ok(Self { width, height, mask })
    }

    /// Whether a place is always hot; places beyond the map are not.
    pub fn is_hot(&self, x: u16, y: u16) -> bool {
        let at = usize::from(y) * usize::from(self.width) + usize::from(x);
        x < self.width && y < self.height && self.mask.get(at).is_some_and(|mark| *mark != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENE: Scene = Scene { seed: 7, index: 3, width: 16, height: 20, frames: 4 };

    #[track_caller]
    fn check_refusal<T: core::fmt::Debug>(result: Result<T, Fault>, said: &str) {
        match result {
            Err(Fault::BadInput(text)) => assert_eq!(text, said),
            other => panic!("{other:?} instead of {said:?}"),
        }
    }

    #[test]
    fn what_is_encoded_decodes() {
        assert_eq!(Scene::decode(&SCENE.encode()), Ok(SCENE));
        let kept = Kept { scene: SCENE, frames: 2, background_runs: 9 };
        assert_eq!(Kept::decode(&kept.encode()), Ok(kept));
        assert_eq!(kept.encode().len(), Kept::BYTES);
        let frame = Frame { number: 3, pixels: vec![5; 320] };
        assert_eq!(Frame::decode(&SCENE, &Frame::encode(&SCENE, 3, &frame.pixels)), Ok(frame));
    }

    #[test]
    fn sizes_beyond_the_bounds_are_refused() {
        let wide = Scene { width: 513, ..SCENE }.encode();
        check_refusal(Scene::decode(&wide), "burst: 513x20 pixels, a side has 16 to 512");
        let long = Scene { frames: 33, ..SCENE }.encode();
        check_refusal(Scene::decode(&long), "burst: 33 frames, a burst has 1 to 32");
    }

    #[test]
    fn frames_of_another_burst_are_refused() {
        let late = Frame::encode(&SCENE, 4, &[0; 320]);
        check_refusal(Frame::decode(&SCENE, &late), "frame: number 4 of a burst of 4");
        let other = Scene { width: 20, height: 16, ..SCENE };
        let turned = Frame::encode(&other, 0, &[0; 320]);
        check_refusal(Frame::decode(&SCENE, &turned), "frame: 20x16 pixels in a burst of 16x20");
    }

    #[test]
    fn every_truncation_is_refused_and_none_panics() {
        let bytes = Frame::encode(&SCENE, 0, &[0; 320]);
        for len in 0..bytes.len() {
            assert!(Frame::decode(&SCENE, bytes.get(..len).unwrap()).is_err(), "{len} bytes");
        }
        let kept = Kept { scene: SCENE, frames: 2, background_runs: 9 }.encode();
        for len in 0..kept.len() {
            assert!(Kept::decode(kept.get(..len).unwrap()).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn places_beyond_a_map_are_not_hot() {
        let map = Reference { width: 2, height: 1, mask: vec![0, 1] };
        assert_eq!((map.is_hot(0, 0), map.is_hot(1, 0)), (false, true));
        assert_eq!((map.is_hot(2, 0), map.is_hot(0, 1)), (false, false));
    }
}
