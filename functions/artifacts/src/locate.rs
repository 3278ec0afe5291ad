//! Finds the components that `cargo xtask functions` built.

use std::fmt;
use std::path::{Path, PathBuf};

/// The example functions of the demo's workflow.
pub const NAMES: [&str; 4] = ["ingest", "extract-frames", "object-det", "prepare-ds"];

/// The example functions in other languages, or with a standard library: they need compilers that a machine may lack.
pub const LANGUAGES: [&str; 2] = ["despeckle-c", "digest-std"];

/// The functions of the bench, and `echo`, which measures what moving bytes costs.
pub const SUITE: [&str; 12] = [
    "audio",
    "decrypt",
    "echo",
    "encrypt",
    "fibonacci",
    "fuzzy-search",
    "hello-world",
    "language-detection",
    "mandelbrot",
    "planets",
    "primes",
    "resize",
];

/// How many folders above a program its target directory may be: `<target>/<triple>/debug/deps/`.
const FOLDERS_UP_MAX: usize = 5;

/// What `cargo xtask functions` leaves beside components that are those of the present sources.
const STAMP: &str = "stamp";

/// Components that were not built, or of other sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Their names.
    pub names: Vec<&'static str>,
    /// Where they should be.
    pub folder: PathBuf,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (names, folder) = (self.names.join(", "), self.folder.display());
        write!(f, "no current components of {names} in {folder}: run `cargo xtask functions`")
    }
}

impl std::error::Error for Missing {}

/// Where the component of a function is or should be.
pub fn component_path(name: &str) -> PathBuf {
    folder().join(name).with_extension("wasm")
}

/// Where the component of a function of the bench is or should be.
pub fn suite_path(name: &str) -> PathBuf {
    folder().join("suite").join(name).with_extension("wasm")
}

/// Whether all functions of the bench are built, and from the sources of the last `cargo xtask functions`.
///
/// # Errors
/// [`Missing`] names those that are not.
pub fn suite_available() -> Result<(), Missing> {
    let folder = folder();
    let is_current = folder.join(STAMP).is_file();
    missing(&SUITE, folder.join("suite"), is_current)
}

/// Whether the functions of the workflow are built, and from the sources of the last `cargo xtask functions`.
///
/// # Errors
/// [`Missing`] names those that are not.
pub fn available() -> Result<(), Missing> {
    available_in(folder(), &NAMES)
}

/// The same for these functions.
///
/// # Errors
/// [`Missing`] names those that are not.
pub fn are_available(names: &[&'static str]) -> Result<(), Missing> {
    available_in(folder(), names)
}

fn available_in(folder: PathBuf, names: &[&'static str]) -> Result<(), Missing> {
    let is_current = folder.join(STAMP).is_file();
    missing(names, folder, is_current)
}

fn missing(wanted: &[&'static str], folder: PathBuf, is_current: bool) -> Result<(), Missing> {
    let is_there = |name: &str| folder.join(name).with_extension("wasm").is_file();
    let lacking = |name: &&&str| !is_current || !is_there(name);
    let names: Vec<_> = wanted.iter().filter(lacking).copied().collect();
    if names.is_empty() { Ok(()) } else { Err(Missing { names, folder }) }
}

/// The folder of components in the target directory that this program lies in: so a
/// `CARGO_TARGET_DIR` of the build counts without being set now.
fn folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let above = program.ancestors().skip(1).take(FOLDERS_UP_MAX).map(|dir| dir.join("functions"));
    let beside = above.into_iter().find(|folder| folder.join(STAMP).is_file());
    beside.unwrap_or_else(|| {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        let root = root.unwrap_or_else(|| Path::new("."));
        root.join(target.unwrap_or_else(|| PathBuf::from("target"))).join("functions")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_named_after_its_function() {
        let path = component_path("object-det");
        assert!(path.ends_with("functions/object-det.wasm"), "{}", path.display());
    }

    #[test]
    fn what_is_missing_and_what_to_do_is_said() {
        let missing = Missing { names: vec!["a", "b"], folder: PathBuf::from("x/functions") };
        let said = "no current components of a, b in x/functions: run `cargo xtask functions`";
        assert_eq!(missing.to_string(), said);
    }

    #[test]
    fn components_without_a_stamp_are_of_other_sources() {
        let folder =
            std::env::temp_dir().join(format!("starbelt-artifacts-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for name in NAMES {
            std::fs::write(folder.join(name).with_extension("wasm"), "").unwrap();
        }
        let stale = available_in(folder.clone(), &NAMES);
        std::fs::write(folder.join(STAMP), "").unwrap();
        let current = available_in(folder.clone(), &NAMES);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(stale.unwrap_err().names, NAMES);
        assert_eq!(current, Ok(()));
    }
}
