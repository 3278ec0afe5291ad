//! Packs detections into a labelled data set: labels as JSON, and the targets' images as one picture.
//! Its answer is the result of the workflow.

mod chips;
mod labels;

use sdk::{Fault, Guest, Request, objects};
use thermal::Detections;

/// Key of the labels.
const LABELS: &str = "dataset/labels.json";
/// Key of the images: one portable gray map, the chips one below the other.
const CHIPS: &str = "dataset/chips.pgm";

/// The function.
#[derive(Debug)]
pub struct PrepareDs;

impl Guest for PrepareDs {
    fn handle(_request: Request) -> Result<Vec<u8>, Fault> {
        let found = Detections::decode(&thermal::read_one(thermal::DETECTIONS)?)?;
        objects::write(LABELS, labels::data_set(&found).as_bytes())?;
        objects::write(CHIPS, &chips::picture(&found.targets))?;
        Ok(labels::result(&found).into_bytes())
    }
}

sdk::export!(PrepareDs);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::tests::some;
    use sdk::fake::Node;

    #[test]
    fn detections_become_labels_and_a_picture() {
        let mut node = Node::default();
        let found = some();
        let input = ("object-det".to_owned(), thermal::DETECTIONS.to_owned(), found.encode());
        node.inputs.push(input);
        assert_eq!(node.call::<PrepareDs>(Vec::new()), Ok(labels::result(&found).into_bytes()));
        let keys: Vec<_> = node.outputs.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, [LABELS, CHIPS]);
    }

    #[test]
    fn what_is_no_detection_is_refused() {
        let mut node = Node::default();
        let input = ("object-det".to_owned(), thermal::DETECTIONS.to_owned(), b"SBD0".to_vec());
        node.inputs.push(input);
        assert!(matches!(node.call::<PrepareDs>(Vec::new()), Err(Fault::BadInput(_))));
        assert!(node.outputs.is_empty());
    }
}
