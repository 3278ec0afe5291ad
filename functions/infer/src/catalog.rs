//! The models that a node holds: files in one folder, each with the hash that it must have.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::fault::Fault;
use crate::onnx::{self, Facts, MODEL_BYTES_MAX};

/// Models that a node knows by name.
pub const MODELS_MAX: usize = 256;
/// Longest name of a model.
pub const MODEL_NAME_MAX: usize = 64;

/// SHA-256 of a file.
pub type Sha256Hash = [u8; 32];

/// The models.
#[derive(Debug)]
pub(crate) struct Catalog {
    dir: PathBuf,
    entries: Mutex<BTreeMap<String, Entry>>,
}

#[derive(Clone, Debug)]
struct Entry {
    hash: Sha256Hash,
    /// What the check said; `None` until somebody asks.
    checked: Option<Result<Arc<Facts>, Fault>>,
}

/// Why a model is not taken into the catalog.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// Not a name.
    #[error(
        "{0:?} names no model: 1 to {MODEL_NAME_MAX} of a-z, A-Z, 0-9, '.', '_', '-', not first a '.'"
    )]
    Name(String),
    /// Too many.
    #[error("a node holds at most {MODELS_MAX} models: remove one first")]
    Full,
}

impl Catalog {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, entries: Mutex::default() }
    }

    /// Says which file a name stands for; anything known of an earlier one is forgotten.
    pub(crate) fn insert(&self, name: &str, hash: Sha256Hash) -> Result<(), CatalogError> {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !(1..=MODEL_NAME_MAX).contains(&name.len())
            || name.starts_with('.')
            || !name.chars().all(is_fine)
        {
            return Err(CatalogError::Name(name.chars().take(MODEL_NAME_MAX).collect()));
        }
        let mut entries = self.lock();
        if MODELS_MAX <= entries.len() && !entries.contains_key(name) {
            return Err(CatalogError::Full);
        }
        entries.insert(name.to_owned(), Entry { hash, checked: None });
        Ok(())
    }

    pub(crate) fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// What a model takes, gives and needs; reads and checks its file the first time.
    pub(crate) fn facts(&self, name: &str) -> Result<(Sha256Hash, Arc<Facts>), Fault> {
        let entry = self.lock().get(name).cloned();
        let entry = entry.ok_or_else(|| Fault::UnknownModel(name.to_owned()))?;
        if let Some(checked) = entry.checked {
            return checked.map(|facts| (entry.hash, facts));
        }
        let checked = self.read(name, &entry.hash).and_then(|bytes| facts_of(name, &bytes));
        // A file that cannot be read may come; one that is read and refused stays refused.
        if !matches!(checked, Err(Fault::Unreadable { .. })) {
            let mut entries = self.lock();
            if let Some(now) = entries.get_mut(name).filter(|now| now.hash == entry.hash) {
                now.checked = Some(checked.clone());
            }
        }
        checked.map(|facts| (entry.hash, facts))
    }

    /// The file of a model, if it is the one that was meant.
    pub(crate) fn read(&self, name: &str, hash: &Sha256Hash) -> Result<Vec<u8>, Fault> {
        let mut options = OpenOptions::new();
        // Neither through a link nor waiting for a pipe.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.read(true).custom_flags(flags.bits().cast_signed());
        let file = options.open(self.dir.join(format!("{name}.onnx")));
        read(name, &file.map_err(|error| unreadable(name, &error))?, hash)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open file of a model, if it is the one that was meant.
pub(crate) fn read(name: &str, file: &File, hash: &Sha256Hash) -> Result<Vec<u8>, Fault> {
    let metadata = file.metadata().map_err(|error| unreadable(name, &error))?;
    if !metadata.is_file() {
        return Err(corrupted(name, "it is no file".to_owned()));
    }
    let bytes = metadata.len();
    if MODEL_BYTES_MAX < bytes {
        let what = format!("model {name:?}");
        return Err(Fault::TooLarge { what, bytes, max: MODEL_BYTES_MAX });
    }
    let mut content = vec![0; usize::try_from(bytes).unwrap_or(0)];
    // At its place and not at the cursor, which others who read the same file move.
    file.read_exact_at(&mut content, 0).map_err(|error| unreadable(name, &error))?;
    let found: Sha256Hash = Sha256::digest(&content).into();
    if found != *hash {
        let (found, wanted) = (short(&found), short(hash));
        let reason = format!("its SHA-256 starts with {found}, not with {wanted}: fetch it again");
        return Err(corrupted(name, reason));
    }
    Ok(content)
}

/// What a model takes, gives and needs.
pub(crate) fn facts_of(name: &str, bytes: &[u8]) -> Result<Arc<Facts>, Fault> {
    let reject = |reason: onnx::Reject| corrupted(name, reason.to_string());
    onnx::check(bytes).map(Arc::new).map_err(reject)
}

fn unreadable(model: &str, error: &std::io::Error) -> Fault {
    Fault::Unreadable { model: model.to_owned(), reason: error.to_string() }
}

fn short(hash: &Sha256Hash) -> String {
    hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn corrupted(model: &str, reason: String) -> Fault {
    Fault::Corrupted { model: model.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Catalog) {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(dir.path().join(name), content).unwrap();
        }
        let catalog = Catalog::new(dir.path().to_owned());
        (dir, catalog)
    }

    #[test]
    fn names_stay_in_the_folder() {
        let (_dir, catalog) = catalog(&[]);
        for name in ["", ".hidden", "..", "a/b", "kernel/matmul", "ä", &"n".repeat(65)] {
            assert!(matches!(catalog.insert(name, [0; 32]), Err(CatalogError::Name(_))), "{name}");
        }
        for index in 0..MODELS_MAX {
            catalog.insert(&format!("m{index}"), [0; 32]).unwrap();
        }
        assert_eq!(catalog.insert("more", [0; 32]), Err(CatalogError::Full));
        catalog.insert("m0", [1; 32]).unwrap();
        catalog.remove("m1");
        catalog.insert("more", [0; 32]).unwrap();
        assert_eq!(catalog.names().len(), MODELS_MAX);
    }

    #[test]
    fn a_file_that_is_not_the_one_meant_is_refused() {
        let (dir, catalog) = catalog(&[("a.onnx", b"other")]);
        catalog.insert("a", Sha256::digest(b"meant").into()).unwrap();
        assert!(
            matches!(catalog.facts("a"), Err(Fault::Corrupted { reason, .. }) if reason.contains("SHA-256"))
        );
        catalog.insert("gone", [0; 32]).unwrap();
        assert!(matches!(catalog.facts("gone"), Err(Fault::Unreadable { .. })));
        std::os::unix::fs::symlink(dir.path().join("a.onnx"), dir.path().join("link.onnx"))
            .unwrap();
        catalog.insert("link", Sha256::digest(b"other").into()).unwrap();
        assert!(matches!(catalog.facts("link"), Err(Fault::Unreadable { .. })));
        assert!(matches!(catalog.facts("never"), Err(Fault::UnknownModel(_))));
    }

    #[test]
    fn a_file_that_comes_later_is_found() {
        let (dir, catalog) = catalog(&[]);
        catalog.insert("late", Sha256::digest(b"x").into()).unwrap();
        assert!(matches!(catalog.facts("late"), Err(Fault::Unreadable { .. })));
        std::fs::write(dir.path().join("late.onnx"), b"x").unwrap();
        assert!(matches!(catalog.facts("late"), Err(Fault::Corrupted { .. })));
    }
}
