//! Takes a burst of camera frames from the drone into the belt: checks the file that is the call's
//! body, and writes its scene and each frame as an object of its own.

mod burst;

use sdk::{Fault, Guest, Request, objects};
use thermal::Frame;

use crate::burst::Burst;

/// The function.
#[derive(Debug)]
pub struct Ingest;

impl Guest for Ingest {
    fn handle(request: Request) -> Result<Vec<u8>, Fault> {
        let burst = Burst::parse(&request.body)?;
        objects::write(thermal::BURST, &burst.scene.encode())?;
        for (number, pixels) in (0..burst.scene.frames).zip(burst.frames()) {
            let frame = Frame::encode(&burst.scene, number, pixels);
            objects::write(&thermal::frame_key(number), &frame)?;
        }
        let (name, frames) = (burst.scene.name(), burst.scene.frames);
        Ok(format!(r#"{{"burst":"{name}","frames":{frames}}}"#).into_bytes())
    }
}

sdk::export!(Ingest);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::burst::tests::file;
    use sdk::fake::Node;

    #[test]
    fn a_burst_becomes_its_scene_and_frames() {
        let mut node = Node::default();
        let answer = node.call::<Ingest>(file(16, 17, 3)).unwrap();
        assert_eq!(answer, br#"{"burst":"0000000000000007-2","frames":3}"#);
        let keys: Vec<_> = node.outputs.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["burst", "frames/00", "frames/01", "frames/02"]);
    }

    #[test]
    fn a_bad_burst_writes_nothing() {
        let mut node = Node::default();
        assert!(matches!(node.call::<Ingest>(b"hello".to_vec()), Err(Fault::BadInput(_))));
        assert!(node.outputs.is_empty());
    }
}
