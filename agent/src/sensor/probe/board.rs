//! Which board this is, in its own words. Nothing depends on it: what a board can do is probed.

use crate::sensor::finding::Finding;
use crate::sensor::tree::{Missing, Tree};

/// The name of this probe.
pub const PROBE: &str = "board";
const MODEL: &str = "/proc/device-tree/model";
const COMPATIBLE: &str = "/proc/device-tree/compatible";
const L4T: &str = "/etc/nv_tegra_release";
const DMI: &str = "/sys/class/dmi/id/product_name";

/// Words of a device tree at most.
const WORDS_MAX: usize = 8;

/// What Linux for Tegra calls itself, for example `36.4.3` from `# R36 (release), REVISION: 4.3, …`.
///
/// # Errors
/// If the text does not begin so.
pub fn l4t(text: &str) -> Result<String, Missing> {
    let malformed = || Missing::Malformed(text.chars().take(24).collect());
    let rest = text.strip_prefix("# R").ok_or_else(malformed)?;
    let (major, rest) = rest.split_once(" (release), REVISION: ").ok_or_else(malformed)?;
    let minor = rest.split(',').next().unwrap_or_default().trim();
    let digits =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if digits(major) && digits(minor) { Ok(format!("{major}.{minor}")) } else { Err(malformed()) }
}

/// All that this probe can say.
pub fn survey(tree: &Tree) -> Vec<Finding> {
    let has_tree = tree.has(MODEL);
    let path = if has_tree { MODEL } else { DMI };
    let mut rows = vec![Finding::word(PROBE, "model".to_owned(), tree.text(path), path.to_owned())];
    if has_tree {
        let words = tree
            .text(COMPATIBLE)
            .map(|text| text.split('\0').take(WORDS_MAX).collect::<Vec<_>>().join(" "));
        rows.push(Finding::word(PROBE, "compatible".to_owned(), words, COMPATIBLE.to_owned()));
    }
    if tree.has(L4T) {
        let release = tree.text(L4T).and_then(|text| l4t(&text));
        rows.push(Finding::word(PROBE, "l4t".to_owned(), release, L4T.to_owned()));
    }
    rows
}
