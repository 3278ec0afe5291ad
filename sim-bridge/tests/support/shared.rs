//! Data from beside the repository, and what is said where they are missing.

use std::path::{Path, PathBuf};

/// Files or folders below `../shared/data`; says that `test` is skipped where none is there.
///
/// # Panics
/// When only some are there: a test that ran on a part would look like one that ran on all.
#[expect(clippy::print_stdout, reason = "what was skipped is counted from the tests' output")]
pub(crate) fn shared<const N: usize>(test: &str, paths: [&str; N]) -> Option<[PathBuf; N]> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let missing: Vec<_> = paths.into_iter().filter(|path| !data.join(path).exists()).collect();
    if missing.is_empty() {
        return Some(paths.map(|path| data.join(path)));
    }
    let all = missing.join(", ");
    assert_eq!(missing.len(), N, "{all} not in ../shared/data, which has the rest: complete it");
    println!("skipped: {test}: not in ../shared/data: {all}");
    None
}
