//! Keeps the frames of a burst that show change: those with places hotter than the background, which
//! it learns from burst to burst and keeps in lasting state.

mod background;

use sdk::{Fault, Guest, Request, objects, state};
use thermal::{Frame, Kept, Scene};

use crate::background::Background;

/// Key of the background in lasting state.
const BACKGROUND: &str = "background";

/// The function.
#[derive(Debug)]
pub struct ExtractFrames;

impl Guest for ExtractFrames {
    fn handle(_request: Request) -> Result<Vec<u8>, Fault> {
        let scene = Scene::decode(&thermal::read_one(thermal::BURST)?)?;
        let frames: Vec<Frame> = thermal::read_folder(thermal::FRAMES)?
            .iter()
            .map(|bytes| Frame::decode(&scene, bytes))
            .collect::<Result<_, _>>()?;
        if frames.len() != usize::from(scene.frames) {
            let rule = format!("{} frames came of a burst of {}", frames.len(), scene.frames);
            return Err(Fault::BadInput(rule));
        }
        let background = learn(&scene, &frames)?;
        let mut kept = Kept { scene, frames: 0, background_runs: background.runs() };
        for frame in frames.iter().filter(|frame| background.is_changed(&frame.pixels)) {
            let bytes = Frame::encode(&scene, frame.number, &frame.pixels);
            objects::write(&thermal::frame_key(frame.number), &bytes)?;
            kept.frames += 1;
        }
        objects::write(thermal::KEPT, &kept.encode())?;
        let (name, frames) = (scene.name(), kept.frames);
        Ok(format!(r#"{{"burst":"{name}","frames_kept":{frames}}}"#).into_bytes())
    }
}

sdk::export!(ExtractFrames);

/// Learns from this burst and keeps what was learned. A background of another place, or one that
/// does not decode, is replaced.
fn learn(scene: &Scene, frames: &[Frame]) -> Result<Background, Fault> {
    let kept = state::get(BACKGROUND)?;
    let version = kept.as_ref().map_or(0, |kept| kept.version);
    let known = kept.and_then(|kept| Background::decode(scene, &kept.value).ok());
    let ground = background::ground(frames);
    let background = match known {
        Some(known) => known.learned(&ground),
        None => Background::new(scene, &ground),
    };
    state::put(BACKGROUND, &background.encode(), Some(version))?;
    Ok(background)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sdk::fake::Node;

    const SCENE: Scene = Scene { seed: 7, index: 2, width: 16, height: 16, frames: 4 };

    /// Inputs of a burst whose last frames have a hot square.
    fn inputs(scene: &Scene, hot_frames: u16) -> Vec<(String, String, Vec<u8>)> {
        let object = |key: &str, bytes| ("ingest".to_owned(), key.to_owned(), bytes);
        let mut inputs = vec![object(thermal::BURST, scene.encode())];
        for number in 0..scene.frames {
            let mut pixels = vec![80; scene.pixels()];
            if scene.frames <= number + hot_frames {
                for at in [100, 101, 102, 116, 117, 118, 132, 133, 134] {
                    pixels[at] = 180;
                }
            }
            let frame = Frame::encode(scene, number, &pixels);
            inputs.push(object(&thermal::frame_key(number), frame));
        }
        inputs
    }

    fn keys(node: &Node) -> Vec<&str> {
        node.outputs.iter().map(|(key, _)| key.as_str()).collect()
    }

    #[test]
    fn frames_with_change_are_kept() {
        let mut node = Node { inputs: inputs(&SCENE, 2), ..Node::default() };
        let answer = node.call::<ExtractFrames>(Vec::new()).unwrap();
        assert_eq!(answer, br#"{"burst":"0000000000000007-2","frames_kept":2}"#);
        assert_eq!(keys(&node), ["frames/02", "frames/03", "kept"]);
    }

    #[test]
    fn the_background_grows_with_each_burst_of_a_place() {
        let mut node = Node { inputs: inputs(&SCENE, 0), ..Node::default() };
        for runs in 1..4 {
            node.call::<ExtractFrames>(Vec::new()).unwrap();
            let kept = Kept::decode(&node.outputs[0].1).unwrap();
            assert_eq!((kept.frames, kept.background_runs), (0, runs));
            assert_eq!(node.state[BACKGROUND].1, runs);
        }
        node.inputs = inputs(&Scene { seed: 8, ..SCENE }, 0);
        node.call::<ExtractFrames>(Vec::new()).unwrap();
        assert_eq!(Kept::decode(&node.outputs[0].1).unwrap().background_runs, 1);
        assert_eq!(node.state[BACKGROUND].1, 4);
    }

    #[test]
    fn a_known_background_finds_what_burns_from_the_first_frame_on() {
        let mut node = Node { inputs: inputs(&SCENE, 0), ..Node::default() };
        node.call::<ExtractFrames>(Vec::new()).unwrap();
        node.inputs = inputs(&SCENE, 4);
        node.call::<ExtractFrames>(Vec::new()).unwrap();
        let kept = node.outputs.iter().find(|(key, _)| key == thermal::KEPT).unwrap();
        assert_eq!(Kept::decode(&kept.1).unwrap().frames, 4);
    }

    #[test]
    fn a_burst_without_its_frames_is_refused_and_changes_nothing() {
        let mut node = Node { inputs: inputs(&SCENE, 0), ..Node::default() };
        node.inputs.pop();
        let said = "3 frames came of a burst of 4".to_owned();
        assert_eq!(node.call::<ExtractFrames>(Vec::new()), Err(Fault::BadInput(said)));
        node.inputs.clear();
        let said = r#"no object "burst" came"#.to_owned();
        assert_eq!(node.call::<ExtractFrames>(Vec::new()), Err(Fault::BadInput(said)));
        assert!(node.state.is_empty());
    }
}
