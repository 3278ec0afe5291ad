//! The contract between nodes and functions that this version speaks; its text is `functions/wit/world.wit`.

use sha2::{Digest as _, Sha256};

/// Its name, as `function.toml` says it.
pub const NAME: &str = "starbelt:function/function@0.2.0";
/// The name of the world of functions that may be kept warm.
pub const STATEFUL: &str = "starbelt:function/stateful-function@0.2.0";
/// Its text, whose hash is in every manifest.
const TEXT: &str = include_str!("../../functions/wit/world.wit");

/// SHA-256 of its text.
pub fn hash() -> [u8; 32] {
    Sha256::digest(TEXT).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_text() {
        for name in [NAME, STATEFUL] {
            let (package, version) = name.split_once('@').unwrap();
            let (package, world) = package.split_once('/').unwrap();
            assert!(TEXT.contains(&format!("\npackage {package}@{version};")), "{name}");
            assert!(TEXT.contains(&format!("\nworld {world} {{")), "{name}");
        }
    }
}
