//! Parses a burst file. Its format is in the README beside this crate.

use sdk::Fault;
use sdk::bytes::Reader;
use thermal::Scene;

const MAGIC: &[u8] = b"SBB1";
const BITS_OF_A_PIXEL: u16 = 8;

/// A burst file that holds together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Burst<'a> {
    /// What it shows.
    pub(crate) scene: Scene,
    /// All frames, one after the other.
    pixels: &'a [u8],
}

impl<'a> Burst<'a> {
    /// Checks a file.
    ///
    /// # Errors
    /// [`Fault::BadInput`] when it is no burst, cut off, too long or damaged.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new("burst file", bytes);
        reader.magic(MAGIC)?;
        let scene = Scene::read(&mut reader)?;
        let bits = reader.u16()?;
        if bits != BITS_OF_A_PIXEL {
            return Err(reader.bad(&format!("{bits} bits of a pixel, only 8 are supported")));
        }
        let hash = reader.u64()?;
        // Bounded: the sides and the number of frames are, and 32 frames of 256 KiB fit into memory.
        let pixels = reader.take(scene.pixels() * usize::from(scene.frames))?;
        reader.end()?;
        let found = fnv1a(pixels);
        if found != hash {
            return Err(reader.bad(&format!("its pixels hash to {found:016x}, not {hash:016x}")));
        }
        Ok(Self { scene, pixels })
    }

    /// The frames in order.
    pub(crate) fn frames(&self) -> impl Iterator<Item = &'a [u8]> {
        self.pixels.chunks_exact(self.scene.pixels())
    }
}

/// FNV-1a, 64 bits: finds damage, not forgery.
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use sdk::bytes::Writer;

    /// A burst file of gray frames.
    pub(crate) fn file(width: u16, height: u16, frames: u16) -> Vec<u8> {
        let pixels: Vec<u8> = (0..usize::from(width) * usize::from(height) * usize::from(frames))
            .map(|at| u8::try_from(at % 251).expect("it is below 251"))
            .collect();
        let head = Writer::default().raw(MAGIC).u64(7).u32(2).u16(width).u16(height).u16(frames);
        head.u16(BITS_OF_A_PIXEL).u64(fnv1a(&pixels)).raw(&pixels).finish()
    }

    #[track_caller]
    fn check_refusal(file: &[u8], said: &str) {
        match Burst::parse(file) {
            Err(Fault::BadInput(text)) => assert!(text.contains(said), "{text}"),
            other => panic!("{other:?} instead of {said:?}"),
        }
    }

    #[test]
    fn a_good_file_is_taken_apart() {
        let file = file(16, 17, 3);
        let burst = Burst::parse(&file).unwrap();
        assert_eq!(burst.scene, Scene { seed: 7, index: 2, width: 16, height: 17, frames: 3 });
        assert_eq!(burst.frames().map(<[u8]>::len).collect::<Vec<_>>(), [272, 272, 272]);
    }

    #[test]
    fn every_truncation_is_refused_and_none_panics() {
        let file = file(16, 16, 2);
        for len in 0..file.len() {
            check_refusal(file.get(..len).unwrap(), "are due at byte");
        }
    }

    #[test]
    fn what_follows_the_end_is_refused() {
        let mut long = file(16, 16, 2);
        long.push(0);
        check_refusal(&long, "1 bytes follow its end");
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let mut damaged = file(16, 16, 2);
        *damaged.last_mut().unwrap() ^= 1;
        check_refusal(&damaged, "its pixels hash to");
    }

    #[test]
    fn hostile_sizes_reserve_nothing() {
        let mut huge = file(16, 16, 2);
        huge.splice(16..22, [0xff; 6]);
        check_refusal(&huge, "65535x65535 pixels, a side has 16 to 512");
        let mut deep = file(16, 16, 2);
        deep.splice(22..24, 16_u16.to_le_bytes());
        check_refusal(&deep, "16 bits of a pixel, only 8 are supported");
    }
}
