//! A disk that does what disks do when power goes: what was not synced is there in part, damaged, or not at all.

use std::collections::BTreeMap;

use queue::{Cause, Room, Storage, StorageError};

/// A small generator of numbers that look random (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).expect("it fits"))
            .expect("it is there")
    }

    pub(crate) fn is(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    now: Vec<u8>,
    durable: Vec<u8>,
    is_name_durable: bool,
    /// After a sync that failed, the pages count as clean: bytes up to here are never written.
    forgotten: usize,
}

/// The disk.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk {
    pub(crate) files: BTreeMap<String, File>,
    pub(crate) removed: BTreeMap<String, Vec<u8>>,
    pub(crate) capacity: u64,
    /// Bytes that others use.
    pub(crate) foreign: u64,
    pub(crate) is_read_only: bool,
    pub(crate) syncs_fail: bool,
    pub(crate) is_gone: bool,
    /// Syncs that were asked for.
    pub(crate) syncs: u64,
}

impl Default for SimDisk {
    fn default() -> Self {
        Self {
            files: BTreeMap::new(),
            removed: BTreeMap::new(),
            capacity: 1 << 30,
            foreign: 0,
            is_read_only: false,
            syncs_fail: false,
            is_gone: false,
            syncs: 0,
        }
    }
}

impl SimDisk {
    pub(crate) fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(|file| file.now.as_slice())
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.files.keys().cloned().collect()
    }

    /// Puts bytes there that nobody wrote.
    pub(crate) fn set(&mut self, name: &str, bytes: Vec<u8>) {
        let durable = bytes.clone();
        let file = File { now: bytes, durable, is_name_durable: true, forgotten: 0 };
        self.files.insert(name.to_owned(), file);
    }

    fn used(&self) -> u64 {
        self.files.values().map(|file| file.now.len() as u64).sum::<u64>() + self.foreign
    }

    /// The process is killed: all that was written is there.
    pub(crate) fn killed(&self) -> Self {
        self.clone()
    }

    /// Power goes.
    pub(crate) fn crashed(&self, dice: &mut Dice) -> Self {
        let mut after = Self { files: BTreeMap::new(), removed: BTreeMap::new(), ..self.clone() };
        for (name, file) in &self.files {
            if !file.is_name_durable && dice.is(50) {
                continue;
            }
            let durable = file.durable.len().min(file.now.len());
            let kept = durable + dice.below(file.now.len() - durable + 1);
            let mut bytes = file.durable[..durable].to_vec();
            bytes.extend_from_slice(&file.now[durable..kept]);
            // Pages come to the disk in any order: some of the new bytes may be others.
            for _ in 0..dice.below(3) {
                if durable < bytes.len() {
                    let at = durable + dice.below(bytes.len() - durable);
                    bytes[at] = if dice.is(50) { 0 } else { bytes[at] ^ (1 << dice.below(8)) };
                }
            }
            after.set(name, bytes);
        }
        for (name, bytes) in &self.removed {
            if dice.is(50) && !after.files.contains_key(name) {
                after.set(name, bytes.clone());
            }
        }
        after
    }

    fn check(&self, what: &'static str, name: &str, writes: bool) -> Result<(), StorageError> {
        let failed = |cause, reason: &str| {
            Err(StorageError { what, name: name.to_owned(), cause, reason: reason.to_owned() })
        };
        if self.is_gone {
            return failed(Cause::Other, "input/output error");
        }
        if writes && self.is_read_only {
            return failed(Cause::ReadOnly, "read-only file system");
        }
        Ok(())
    }
}

fn full(what: &'static str, name: &str) -> StorageError {
    let reason = "no space left on device".to_owned();
    StorageError { what, name: name.to_owned(), cause: Cause::Full, reason }
}

impl Storage for SimDisk {
    fn list(&mut self) -> Result<Vec<(String, u64)>, StorageError> {
        self.check("list", ".", false)?;
        Ok(self.files.iter().map(|(name, file)| (name.clone(), file.now.len() as u64)).collect())
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, StorageError> {
        self.check("read", name, false)?;
        let file = self.files.get(name).ok_or_else(|| StorageError {
            what: "read",
            name: name.to_owned(),
            cause: Cause::Other,
            reason: "no such file".to_owned(),
        })?;
        Ok(file.now.clone())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        self.check("append", name, true)?;
        let free = self.capacity.saturating_sub(self.used());
        let fits = usize::try_from(free).expect("it fits").min(bytes.len());
        let file = self.files.entry(name.to_owned()).or_default();
        file.now.extend_from_slice(&bytes[..fits]);
        if fits < bytes.len() { Err(full("append", name)) } else { Ok(()) }
    }

    fn sync(&mut self, name: &str) -> Result<(), StorageError> {
        self.syncs += 1;
        self.check("sync", name, false)?;
        let file = self.files.get_mut(name).expect("only files that are there are synced");
        if self.syncs_fail || self.is_read_only {
            file.forgotten = file.now.len();
            self.check("sync", name, true)?;
            return Err(full("sync", name));
        }
        let before = file.durable.len();
        file.durable.clone_from(&file.now);
        let forgotten = before..file.forgotten.max(before);
        file.durable[forgotten].fill(0);
        file.is_name_durable = true;
        Ok(())
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        self.syncs += 1;
        self.check("replace", name, true)?;
        if self.syncs_fail || self.capacity.saturating_sub(self.used()) < bytes.len() as u64 {
            return Err(full("replace", name));
        }
        self.set(name, bytes.to_vec());
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), StorageError> {
        self.check("remove", name, true)?;
        let file = self.files.remove(name).expect("only files that are there are removed");
        if file.is_name_durable {
            self.removed.insert(name.to_owned(), file.durable);
        }
        Ok(())
    }

    fn room(&mut self) -> Result<Room, StorageError> {
        self.check("room", ".", false)?;
        let free = self.capacity.saturating_sub(self.used());
        Ok(Room { free, total: self.capacity })
    }
}
