//! Finds hot targets in the kept frames of a burst, except where the reference map says that it is
//! always hot, and knows them again from burst to burst by tracks in lasting state.

mod detect;
mod filter;
mod follow;
mod tracks;

use sdk::output::Level;
use sdk::{Fault, Guest, Request, objects, output, state};
use thermal::{Detections, Frame, Kept, Reference};

use crate::tracks::Tracks;

/// Key of the count of bursts in lasting state.
const RUNS: &str = "runs";
/// Key of the tracks in lasting state.
const TRACKS: &str = "tracks";

/// The function.
#[derive(Debug)]
pub struct ObjectDet;

impl Guest for ObjectDet {
    fn handle(_request: Request) -> Result<Vec<u8>, Fault> {
        let kept = Kept::decode(&thermal::read_one(thermal::KEPT)?)?;
        let scene = kept.scene;
        let frames: Vec<Frame> = thermal::read_folder(thermal::FRAMES)?
            .iter()
            .map(|bytes| Frame::decode(&scene, bytes))
            .collect::<Result<_, _>>()?;
        if frames.len() != usize::from(kept.frames) {
            let rule = format!("{} frames came of {} that were kept", frames.len(), kept.frames);
            return Err(Fault::BadInput(rule));
        }
        let maps = thermal::read_folder(thermal::REFERENCE)?;
        let map = maps.first().ok_or_else(|| {
            Fault::BadInput(String::from("no object \"reference/…\" came: is the source declared?"))
        })?;
        let targets = follow::targets(&scene, &frames, &Reference::decode(&scene, map)?);

        let runs_seen = count_run()?;
        let (tracks, version) = known_tracks(scene.seed)?;
        let (tracks, targets) = tracks.recognized(targets, runs_seen);
        state::put(TRACKS, &tracks.encode(), Some(version))?;

        let found = Detections { kept, runs_seen, tracks_seen: tracks.seen(), targets };
        objects::write(thermal::DETECTIONS, &found.encode())?;
        let (name, count) = (scene.name(), found.targets.len());
        output::log(
            Level::Info,
            &format!("burst {name}: {count} targets, {runs_seen} bursts so far"),
        );
        Ok(format!(r#"{{"burst":"{name}","targets":{count},"runs_seen":{runs_seen}}}"#)
            .into_bytes())
    }
}

sdk::export!(ObjectDet);

/// Counts this burst. Never resets: a smaller number than before means that state was lost.
fn count_run() -> Result<u64, Fault> {
    let kept = state::get(RUNS)?;
    let version = kept.as_ref().map_or(0, |kept| kept.version);
    let before = match kept.as_ref().map(|kept| <[u8; 8]>::try_from(kept.value.as_slice())) {
        None => 0,
        Some(Ok(bytes)) => u64::from_le_bytes(bytes),
        Some(Err(error)) => return Err(Fault::Internal(format!("state {RUNS:?}: {error}"))),
    };
    let runs = before.saturating_add(1);
    state::put(RUNS, &runs.to_le_bytes(), Some(version))?;
    Ok(runs)
}

/// The tracks of a place, and the version that they have in lasting state. Those of another place,
/// or what does not decode, are replaced.
fn known_tracks(seed: u64) -> Result<(Tracks, u64), Fault> {
    let kept = state::get(TRACKS)?;
    let version = kept.as_ref().map_or(0, |kept| kept.version);
    let tracks = kept.and_then(|kept| Tracks::decode(seed, &kept.value).ok());
    Ok((tracks.unwrap_or_else(|| Tracks::new(seed)), version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sdk::bytes::Writer;
    use sdk::fake::Node;
    use thermal::Scene;

    const SCENE: Scene = Scene { seed: 7, index: 2, width: 32, height: 32, frames: 4 };

    /// A call with two frames, each with hot squares around `hot`, and a map with marks at `marked`.
    fn node(hot: &[(usize, usize)], marked: &[(usize, usize)]) -> Node {
        let mut node = Node::default();
        let mut give = |task: &str, key: &str, bytes| {
            node.inputs.push((task.to_owned(), key.to_owned(), bytes));
        };
        let kept = Kept { scene: SCENE, frames: 2, background_runs: 3 };
        give("extract", thermal::KEPT, kept.encode());
        for number in [2, 3] {
            let frame = Frame::encode(&SCENE, number, &squares(80, 200, 2, hot));
            give("extract", &thermal::frame_key(number), frame);
        }
        let map = Writer::default().raw(b"SBR1").u64(SCENE.seed).u16(32).u16(32);
        give("eo-reference", "reference/v1", map.raw(&squares(0, 1, 3, marked)).finish());
        node
    }

    fn squares(cold: u8, hot: u8, radius: usize, middles: &[(usize, usize)]) -> Vec<u8> {
        let mut pixels = vec![cold; 1024];
        for (x, y) in middles {
            for row in y - radius..=y + radius {
                pixels[row * 32 + x - radius..=row * 32 + x + radius].fill(hot);
            }
        }
        pixels
    }

    fn found(node: &mut Node) -> Detections {
        node.call::<ObjectDet>(Vec::new()).unwrap();
        Detections::decode(&node.outputs[0].1).unwrap()
    }

    #[test]
    fn hot_places_are_found_but_not_where_it_is_always_hot() {
        let mut node = node(&[(8, 9), (22, 20)], &[(8, 9)]);
        let found = found(&mut node);
        let places: Vec<_> = found.targets.iter().map(|t| (t.x, t.y, t.first_frame)).collect();
        assert_eq!(places, [(22, 20, 2)]);
        let line = format!("burst {}: 1 targets, 1 bursts so far", SCENE.name());
        assert!(node.log.len() == 1 && node.log[0].ends_with(&line), "{:?}", node.log);
    }

    #[test]
    fn targets_are_known_again_and_runs_are_counted() {
        let mut node = node(&[(8, 9)], &[]);
        let first = found(&mut node);
        assert_eq!((first.runs_seen, first.tracks_seen, first.targets[0].sightings), (1, 1, 1));
        let second = found(&mut node);
        assert_eq!((second.runs_seen, second.tracks_seen, second.targets[0].sightings), (2, 1, 2));
        node.state.clear();
        assert_eq!(found(&mut node).runs_seen, 1);
    }

    #[test]
    fn a_call_without_its_map_is_refused_and_changes_nothing() {
        let mut node = node(&[(8, 9)], &[]);
        node.inputs.pop();
        assert!(matches!(node.call::<ObjectDet>(Vec::new()), Err(Fault::BadInput(_))));
        assert!(node.state.is_empty() && node.outputs.is_empty());
    }

    #[test]
    fn a_map_of_another_place_is_refused() {
        let mut node = node(&[(8, 9)], &[]);
        let map = &mut node.inputs.last_mut().unwrap().2;
        map[4] ^= 1;
        assert!(matches!(node.call::<ObjectDet>(Vec::new()), Err(Fault::BadInput(_))));
    }
}
