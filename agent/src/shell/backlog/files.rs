//! The files of the queue.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use queue::segment::SEGMENT_BYTES_MAX;
use queue::{Cause, Room, Storage, StorageError};

/// What is written beside before it is put in place.
const BESIDE: &str = ".new";

/// One directory.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
    /// Files whose names are not durable yet.
    fresh: BTreeSet<String>,
}

impl Files {
    pub(super) const fn new(dir: PathBuf) -> Self {
        Self { dir, fresh: BTreeSet::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let beside = self.path(&format!(".{name}{BESIDE}"));
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, self.path(name))?;
        self.sync_dir()
    }
}

fn failed(what: &'static str, name: &str) -> impl FnOnce(io::Error) -> StorageError {
    let name = name.to_owned();
    move |error| {
        let cause = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Cause::Full,
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Cause::ReadOnly,
            _ => Cause::Other,
        };
        StorageError { what, name, cause, reason: error.to_string() }
    }
}

impl Storage for Files {
    fn list(&mut self) -> Result<Vec<(String, u64)>, StorageError> {
        let failed = |error| failed("list", ".")(error);
        fs::create_dir_all(&self.dir).map_err(failed)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let facts = entry.metadata().map_err(failed)?;
            // Only plain files of plain names are the queue's.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !facts.is_file() {
                continue;
            }
            if name.starts_with('.') && name.ends_with(BESIDE) {
                // Left by an end in the middle; if it stays, it is in nobody's way.
                fs::remove_file(entry.path()).ok();
                continue;
            }
            files.push((name, facts.len()));
        }
        Ok(files)
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, StorageError> {
        let read = |path: &Path| {
            let mut bytes = Vec::new();
            File::open(path)?.take(SEGMENT_BYTES_MAX).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read(&self.path(name)).map_err(failed("read", name))
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        let path = self.path(name);
        if !path.exists() {
            self.fresh.insert(name.to_owned());
        }
        let open = OpenOptions::new().append(true).create(true).open(&path);
        open.and_then(|mut file| file.write_all(bytes)).map_err(failed("append to", name))
    }

    fn sync(&mut self, name: &str) -> Result<(), StorageError> {
        let synced = File::open(self.path(name)).and_then(|file| file.sync_all());
        synced.map_err(failed("sync", name))?;
        if self.fresh.contains(name) {
            self.sync_dir().map_err(failed("sync", "."))?;
            // All names that there are became durable.
            self.fresh.clear();
        }
        Ok(())
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        self.put(name, bytes).map_err(failed("replace", name))
    }

    fn remove(&mut self, name: &str) -> Result<(), StorageError> {
        self.fresh.remove(name);
        fs::remove_file(self.path(name)).map_err(failed("remove", name))
    }

    fn room(&mut self) -> Result<Room, StorageError> {
        let facts = rustix::fs::statvfs(&self.dir)
            .map_err(|error| failed("look for room in", ".")(error.into()))?;
        let bytes = |blocks: u64| blocks.saturating_mul(facts.f_frsize);
        Ok(Room { free: bytes(facts.f_bavail), total: bytes(facts.f_blocks) })
    }
}
