//! Knows targets again: which places of a scene were seen burning, and how often.

use sdk::Fault;
use sdk::bytes::{Reader, Writer};
use thermal::Detection;

use crate::follow::DISTANCE_MAX;

const MAGIC: &[u8] = b"SBT1";
/// Most places that are remembered; of more, the one that was not seen longest is forgotten.
const TRACKS_MAX: usize = 256;

/// The known places of a scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tracks {
    seed: u64,
    /// Tracks ever begun, and so the name of the newest.
    seen: u32,
    known: Vec<Track>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Track {
    name: u32,
    x: u16,
    y: u16,
    sightings: u32,
    last_run: u64,
}

impl Tracks {
    /// Knows nothing of a place yet.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, seen: 0, known: Vec::new() }
    }

    /// Different targets ever seen.
    pub(crate) fn seen(&self) -> u32 {
        self.seen
    }

    /// Names the targets of a run, those that were seen before as before, and answers them in the
    /// order of their names.
    pub(crate) fn recognized(
        mut self,
        mut targets: Vec<Detection>,
        run: u64,
    ) -> (Self, Vec<Detection>) {
        for target in &mut targets {
            let is_it = |track: &Track| {
                track.x.abs_diff(target.x) <= DISTANCE_MAX
                    && track.y.abs_diff(target.y) <= DISTANCE_MAX
            };
            let at = self.known.iter().position(is_it);
            let at = at.unwrap_or_else(|| self.begin(target.x, target.y));
            if let Some(track) = self.known.get_mut(at) {
                track.sightings = track.sightings.saturating_add(1);
                track.last_run = run;
                (target.track, target.sightings) = (track.name, track.sightings);
            }
        }
        targets.sort_by_key(|target| target.track);
        (self, targets)
    }

    /// Encodes them for lasting state.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let count = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        let mut writer = Writer::default().raw(MAGIC).u64(self.seed).u32(self.seen).u32(count);
        for track in &self.known {
            writer = writer.u32(track.name).u16(track.x).u16(track.y);
            writer = writer.u32(track.sightings).u64(track.last_run);
        }
        writer.finish()
    }

    /// Decodes those of a place.
    ///
    /// # Errors
    /// [`Fault::BadInput`] when they are none, or of another place.
    pub(crate) fn decode(seed: u64, bytes: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new("tracks", bytes);
        reader.magic(MAGIC)?;
        let of = reader.u64()?;
        if of != seed {
            return Err(reader.bad(&format!("they are of {of:016x}, not {seed:016x}")));
        }
        let (seen, count) = (reader.u32()?, reader.u32()?);
        if usize::try_from(count).map_or(true, |count| TRACKS_MAX < count) {
            return Err(reader.bad(&format!("{count} tracks, at most {TRACKS_MAX} are kept")));
        }
        let known = (0..count).map(|_| Track::read(&mut reader)).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(Self { seed, seen, known })
    }

    /// Begins a track and answers its place in the list.
    fn begin(&mut self, x: u16, y: u16) -> usize {
        self.seen = self.seen.saturating_add(1);
        let track = Track { name: self.seen, x, y, sightings: 0, last_run: 0 };
        if self.known.len() < TRACKS_MAX {
            self.known.push(track);
            return self.known.len() - 1;
        }
        let by_age = self.known.iter().enumerate().min_by_key(|(_, track)| track.last_run);
        let oldest = by_age.map_or(0, |(at, _)| at);
        if let Some(place) = self.known.get_mut(oldest) {
            *place = track;
        }
        oldest
    }
}

impl Track {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        Ok(Self {
            name: reader.u32()?,
            x: reader.u16()?,
            y: reader.u16()?,
            sightings: reader.u32()?,
            last_run: reader.u64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(x: u16, y: u16) -> Detection {
        let (track, sightings, first_frame, last_frame, peak) = (0, 0, 0, 1, 200);
        Detection { track, sightings, x, y, first_frame, last_frame, peak, chip: Vec::new() }
    }

    /// Names and sightings after a run that sees these places.
    fn see(tracks: &mut Tracks, run: u64, places: &[(u16, u16)]) -> Vec<(u32, u32)> {
        let targets = places.iter().map(|(x, y)| target(*x, *y)).collect();
        let (after, named) = tracks.clone().recognized(targets, run);
        *tracks = after;
        named.iter().map(|target| (target.track, target.sightings)).collect()
    }

    #[test]
    fn places_are_known_again_within_three_pixels() {
        let mut tracks = Tracks::new(7);
        assert_eq!(see(&mut tracks, 1, &[(10, 10), (40, 40)]), [(1, 1), (2, 1)]);
        assert_eq!(see(&mut tracks, 2, &[(60, 20), (13, 7)]), [(1, 2), (3, 1)]);
        assert_eq!(see(&mut tracks, 3, &[(14, 10)]), [(4, 1)]);
        assert_eq!(tracks.seen(), 4);
    }

    #[test]
    fn the_place_that_was_not_seen_longest_is_forgotten_first() {
        let mut tracks = Tracks::new(7);
        for run in 0..256_u16 {
            see(&mut tracks, u64::from(run) + 1, &[(run * 8, 0)]);
        }
        see(&mut tracks, 257, &[(0, 0)]);
        assert_eq!(see(&mut tracks, 258, &[(0, 100)]), [(257, 1)]);
        assert_eq!(see(&mut tracks, 259, &[(0, 0)]), [(1, 3)]);
        assert_eq!(see(&mut tracks, 260, &[(8, 0)]), [(258, 1)]);
        assert_eq!(tracks.known.len(), TRACKS_MAX);
    }

    #[test]
    fn what_is_encoded_decodes_for_its_place_only() {
        let mut tracks = Tracks::new(7);
        see(&mut tracks, 1, &[(10, 10), (40, 40)]);
        let bytes = tracks.encode();
        assert_eq!(Tracks::decode(7, &bytes), Ok(tracks));
        assert!(Tracks::decode(8, &bytes).is_err());
        for len in 0..bytes.len() {
            assert!(Tracks::decode(7, &bytes[..len]).is_err(), "{len} bytes");
        }
    }
}
