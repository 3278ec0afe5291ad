//! The images of the targets as one picture that any viewer shows.

use thermal::{CHIP_SIDE, Detection};

/// A portable gray map (`P5`) of all chips, one below the other; without any it has no rows.
pub(crate) fn picture(targets: &[Detection]) -> Vec<u8> {
    let rows = targets.len() * usize::from(CHIP_SIDE);
    let mut picture = format!("P5\n{CHIP_SIDE} {rows}\n255\n").into_bytes();
    for target in targets {
        picture.extend_from_slice(&target.chip);
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::tests::some;

    #[test]
    fn chips_stand_one_below_the_other() {
        let targets = [some().targets, some().targets].concat();
        let picture = picture(&targets);
        assert!(picture.starts_with(b"P5\n16 32\n255\n"));
        assert_eq!(picture.len(), 13 + 512);
    }
}
