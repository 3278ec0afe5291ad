//! A background model: what each pixel shows when nothing burns, averaged over bursts.

use sdk::Fault;
use sdk::bytes::{Reader, Writer};
use thermal::{Frame, Scene};

const MAGIC: &[u8] = b"SBG1";

/// Steps of a pixel's value by which change is hotter than the background (22.5 K): clouds and noise
/// together stay below.
const RISE_MIN: u16 = 45;
/// Pixels that must have changed: a flashing pixel is none.
const PIXELS_MIN: usize = 8;
/// How slowly the model follows: after eight bursts, each new one counts for an eighth.
const MEMORY_RUNS: u64 = 8;
/// Parts of one step in which the model counts, so that slow change is not rounded away.
const PARTS: u16 = 128;

/// What a place looks like when nothing burns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Background {
    seed: u64,
    width: u16,
    height: u16,
    runs: u64,
    /// In parts of a step, row by row.
    pixels: Vec<u16>,
}

impl Background {
    /// Begins with the ground of one burst.
    pub(crate) fn new(scene: &Scene, ground: &[u8]) -> Self {
        let pixels = ground.iter().map(|value| in_parts(*value)).collect();
        Self { seed: scene.seed, width: scene.width, height: scene.height, runs: 1, pixels }
    }

    /// Follows the ground of another burst.
    pub(crate) fn learned(mut self, ground: &[u8]) -> Self {
        self.runs = self.runs.saturating_add(1);
        let weight = i32::try_from(self.runs.min(MEMORY_RUNS)).unwrap_or(1);
        for (known, value) in self.pixels.iter_mut().zip(ground) {
            let step = (i32::from(in_parts(*value)) - i32::from(*known)) / weight;
            *known = u16::try_from(i32::from(*known) + step).unwrap_or(*known);
        }
        self
    }

    /// Bursts that it has learned from.
    pub(crate) fn runs(&self) -> u64 {
        self.runs
    }

    /// Whether a frame is hotter than this in more than a few places.
    pub(crate) fn is_changed(&self, frame: &[u8]) -> bool {
        let rise = RISE_MIN * in_parts(1);
        let is_hot = |(value, known): &(&u8, &u16)| known.saturating_add(rise) < in_parts(**value);
        PIXELS_MIN <= frame.iter().zip(&self.pixels).filter(is_hot).count()
    }

    /// Encodes it for lasting state.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let writer = Writer::default().raw(MAGIC).u64(self.seed).u16(self.width).u16(self.height);
        let writer = writer.u64(self.runs);
        self.pixels.iter().fold(writer, |writer, value| writer.u16(*value)).finish()
    }

    /// Decodes the background of the place that `scene` shows.
    ///
    /// # Errors
    /// [`Fault::BadInput`] when it is none, or of another place.
    pub(crate) fn decode(scene: &Scene, bytes: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new("background", bytes);
        reader.magic(MAGIC)?;
        let (seed, width, height) = (reader.u64()?, reader.u16()?, reader.u16()?);
        if (seed, width, height) != (scene.seed, scene.width, scene.height) {
            return Err(reader.bad(&format!("it shows {seed:016x}, not {scene:?}")));
        }
        let runs = reader.u64()?;
        let pixels = (0..scene.pixels()).map(|_| reader.u16()).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Self { seed, width, height, runs, pixels })
    }
}

/// What a burst shows of the ground: for each pixel, the value that a quarter of the frames do not
/// exceed. A fire that is absent in so many leaves no trace.
pub(crate) fn ground(frames: &[Frame]) -> Vec<u8> {
    let rank = (frames.len() / 4).max(1) - 1;
    let pixels = frames.first().map_or(0, |frame| frame.pixels.len());
    let mut values: Vec<u8> = Vec::with_capacity(frames.len());
    let quarter = |at: usize| {
        values.clear();
        values.extend(frames.iter().filter_map(|frame| frame.pixels.get(at)));
        values.sort_unstable();
        values.get(rank).copied().unwrap_or(0)
    };
    (0..pixels).map(quarter).collect()
}

fn in_parts(value: u8) -> u16 {
    u16::from(value) * PARTS
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENE: Scene = Scene { seed: 7, index: 2, width: 16, height: 16, frames: 4 };

    fn gray(value: u8) -> Vec<u8> {
        vec![value; 256]
    }

    #[test]
    fn the_ground_is_what_a_quarter_of_the_frames_show() {
        let frame = |number, value| Frame { number, pixels: gray(value) };
        let values = [200, 90, 95, 200, 80, 200, 200, 200];
        let frames: Vec<_> = values.iter().zip(0..).map(|(v, n)| frame(n, *v)).collect();
        assert_eq!(ground(&frames), gray(90));
        assert_eq!(ground(&frames[..1]), gray(200));
        assert_eq!(ground(&[]), []);
    }

    #[test]
    fn the_model_follows_slowly_and_arrives() {
        let mut background = Background::new(&SCENE, &gray(80));
        for _ in 0..7 {
            background = background.learned(&gray(80));
        }
        background = background.learned(&gray(160));
        assert_eq!(background.pixels, vec![in_parts(90); 256]);
        for _ in 0..80 {
            background = background.learned(&gray(160));
        }
        assert!(in_parts(159) < background.pixels[0]);
        assert_eq!(background.runs(), 89);
    }

    #[test]
    fn change_needs_heat_and_size() {
        let background = Background::new(&SCENE, &gray(80));
        let hot = |pixels: usize, value: u8| {
            let mut frame = gray(80);
            frame[..pixels].fill(value);
            background.is_changed(&frame)
        };
        assert!(hot(8, 126));
        assert!(!hot(7, 255));
        assert!(!hot(200, 125));
        assert!(!hot(200, 20));
    }

    #[test]
    fn what_is_encoded_decodes_for_its_place_only() {
        let background = Background::new(&SCENE, &gray(80)).learned(&gray(81));
        let bytes = background.encode();
        assert_eq!(Background::decode(&SCENE, &bytes), Ok(background));
        assert!(Background::decode(&Scene { seed: 8, ..SCENE }, &bytes).is_err());
        for len in 0..bytes.len() {
            assert!(Background::decode(&SCENE, &bytes[..len]).is_err(), "{len} bytes");
        }
    }
}
