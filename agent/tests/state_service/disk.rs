//! A disk for redb that forgets, when it is pulled, what was not synced.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// What a sync does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syncs {
    Work,
    /// The mutation: they claim to have worked.
    AreLeftOut,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug, Default)]
struct Platter {
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

/// A handle; clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    platter: Arc<Mutex<Platter>>,
    syncs: Syncs,
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(len) => bytes.resize(*len, 0),
        Change::Write(offset, data) => {
            let end = offset + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset..end].copy_from_slice(data);
        }
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("test disks are small")
}

impl Disk {
    pub(crate) fn new(syncs: Syncs) -> Self {
        Self { platter: Arc::default(), syncs }
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plug is pulled: what is on the disk then. Of what was not synced, `survives` decides piece by piece.
    /// Whoever still holds this disk writes on, to no effect.
    pub(crate) fn pulled(&self, mut survives: impl FnMut() -> bool) -> Self {
        let platter = self.platter();
        let mut durable = platter.durable.clone();
        for change in &platter.unsynced {
            // A file's new length is metadata that a later write implies; writes may be lost one by one.
            if matches!(change, Change::Length(_)) || survives() {
                apply(&mut durable, change);
            }
        }
        let seen = durable.clone();
        let platter = Platter { seen, durable, unsynced: Vec::new() };
        Self { platter: Arc::new(Mutex::new(platter)), syncs: self.syncs }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.platter().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.platter();
        let offset = place(offset);
        let found = platter.seen.get(offset..offset + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Length(place(len)));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.syncs == Syncs::Work {
            let mut platter = self.platter();
            platter.durable = platter.seen.clone();
            platter.unsynced.clear();
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(place(offset), data.to_vec()));
        Ok(())
    }
}

impl Disk {
    fn change(&self, change: Change) {
        let mut platter = self.platter();
        apply(&mut platter.seen, &change);
        platter.unsynced.push(change);
    }
}
