//! The folder of a run belongs to one run at a time, and to no one else's files.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::process_bed::BedError;

/// Only a folder with this file in it is ever emptied.
const MARK: &str = ".starbelt-bed";

/// A folder that was made anew and is held until this is dropped.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
}

impl Claim {
    /// Takes the folder, and empties it of what an earlier run left.
    ///
    /// The lock lies beside the folder, since the folder itself is removed.
    ///
    /// # Errors
    /// [`BedError::InUse`] while another run holds it, [`BedError::Foreign`] when it holds other files.
    pub fn of(dir: &Path) -> Result<Self, BedError> {
        let failed = |what: &str, path: &Path| {
            let what = format!("{what} {}", path.display());
            move |source| BedError::Io { what, source }
        };
        let lock_path = lock_path(dir);
        if let Some(parent) = lock_path.parent() {
            std::fs::create_dir_all(parent).map_err(failed("making", parent))?;
        }
        let lock = File::options()
            .create(true)
            .append(true)
            .open(&lock_path)
            .map_err(failed("opening", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BedError::InUse { path: dir.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed("locking", &lock_path)(source)),
        }
        if is_foreign(dir).map_err(failed("reading", dir))? {
            return Err(BedError::Foreign { path: dir.to_owned() });
        }
        match std::fs::remove_dir_all(dir) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(failed("emptying", dir)(source));
            }
            Ok(()) | Err(_) => {}
        }
        std::fs::create_dir_all(dir).map_err(failed("making", dir))?;
        std::fs::write(dir.join(MARK), "").map_err(failed("marking", dir))?;
        Ok(Self { _lock: lock })
    }
}

fn lock_path(dir: &Path) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    dir.with_file_name(format!(".{name}.lock"))
}

/// Whether it holds anything that no run wrote.
fn is_foreign(dir: &Path) -> io::Result<bool> {
    if dir.join(MARK).exists() {
        return Ok(false);
    }
    match std::fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_by_one_and_emptied_for_the_next() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("bed");
        let first = Claim::of(&dir).unwrap();
        std::fs::write(dir.join("report.json"), "{}").unwrap();
        assert!(matches!(Claim::of(&dir), Err(BedError::InUse { .. })));
        assert!(dir.join("report.json").exists());
        drop(first);
        let _second = Claim::of(&dir).unwrap();
        assert!(!dir.join("report.json").exists());
    }

    #[test]
    fn files_of_others_are_never_removed() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("thesis.tex"), "years of work").unwrap();
        assert!(matches!(Claim::of(home.path()), Err(BedError::Foreign { .. })));
        assert!(home.path().join("thesis.tex").exists());
    }
}
