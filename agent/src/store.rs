//! The durable store of a node: one redb file with objects, groups, commits and staged chunks, under a quota.
//!
//! A transaction is durable when [`Store::write`] with [`Sync::Now`] returns. redb checks what it finds at opening, so
//! after a crash at any point the file holds the last durable transaction, and what that one built on.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{Database, Durability, ReadableDatabase, StorageBackend};

mod row;
mod snapshot;
mod tables;
mod writer;

pub(crate) use row::{GroupRow, ObjectRow, Settlement, object_key};
pub(crate) use snapshot::{Snapshot, Tombstone, is_reserved, visible_keys};
pub(crate) use writer::{Chunks, Room, Writer};

/// Memory that the store may use to cache pages: the agent's whole budget is some tens of MiB.
const CACHE_BYTES: usize = 8 * 1024 * 1024;
/// The format of what is in the tables; a store of another one is refused.
const FORMAT: u64 = 1;
/// Counted for each object on top of its bytes: its row, its share of tree pages.
pub(crate) const OBJECT_OVERHEAD: u64 = 256;
/// Share of the quota that own writes leave to what other nodes entrust to this one, in percent.
const CUSTODY_PERCENT: u64 = 15;

/// Why the store does not do something.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The store or a file beside it failed.
    #[error("{what}: {reason}")]
    Store {
        /// What was tried.
        what: String,
        /// The failure in words.
        reason: String,
    },
    /// It would be over the quota.
    #[error(
        "{wanted} more bytes do not fit: {used} of {limit} bytes are in use; raise store.quota_bytes or free some"
    )]
    Full {
        /// Bytes to add.
        wanted: u64,
        /// Bytes in use.
        used: u64,
        /// Bytes that may be in use for this purpose.
        limit: u64,
    },
}

impl StateError {
    pub(crate) fn new(what: &str, reason: impl std::fmt::Display) -> Self {
        Self::Store { what: what.to_owned(), reason: reason.to_string() }
    }
}

/// Turns the many error types of redb into ours.
pub(crate) fn failed<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> StateError {
    move |error| StateError::new(what, error)
}

/// When a transaction must be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Before `write` returns.
    Now,
    /// With the next one that is durable; a crash before may forget it.
    Later,
}

/// How full the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreUsage {
    /// Bytes of objects and of staged chunks, with a little for each object.
    pub bytes: u64,
    /// Most bytes.
    pub quota_bytes: u64,
    /// Objects.
    pub objects: u64,
}

#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
    quota_bytes: u64,
    /// Whether something was written that is not durable yet.
    is_behind: AtomicBool,
}

impl Store {
    /// Opens or makes a store in a file.
    pub(crate) fn open(path: &Path, quota_bytes: u64) -> Result<Self, StateError> {
        let what = || format!("open {}", path.display());
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(path)
            .map_err(|error| StateError::new(&what(), error))?;
        Self::checked(database, quota_bytes)
    }

    /// Opens or makes a store on a backend.
    pub(crate) fn open_on(
        backend: impl StorageBackend,
        quota_bytes: u64,
    ) -> Result<Self, StateError> {
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(backend)
            .map_err(failed("open the store"))?;
        Self::checked(database, quota_bytes)
    }

    fn checked(database: Database, quota_bytes: u64) -> Result<Self, StateError> {
        let store = Self { database, quota_bytes, is_behind: AtomicBool::new(false) };
        // Makes all tables, so that snapshots find them.
        let format = store.write(Sync::Now, |writer| {
            let format = writer.counter("format")?;
            if format == 0 {
                writer.set_counter("format", FORMAT)?;
            }
            Ok::<_, StateError>(format)
        })?;
        if format != 0 && format != FORMAT {
            let reason = format!("its format is {format}, this version reads {FORMAT}");
            return Err(StateError::new("open the store", reason));
        }
        Ok(store)
    }

    /// Runs one transaction: all of it happens, or nothing if `work` or the commit fails.
    pub(crate) fn write<T, E: From<StateError>>(
        &self,
        sync: Sync,
        work: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut transaction = self.database.begin_write().map_err(failed("begin a transaction"))?;
        let durability = match sync {
            Sync::Now => Durability::Immediate,
            Sync::Later => Durability::None,
        };
        transaction.set_durability(durability).map_err(failed("begin a transaction"))?;
        let mut writer = Writer::open(&transaction, self.quota_bytes)?;
        let done = work(&mut writer)?;
        writer.finish()?;
        // Before the commit: until then nobody else writes.
        self.is_behind.store(sync == Sync::Later, Ordering::Relaxed);
        transaction.commit().map_err(|error| {
            self.is_behind.store(true, Ordering::Relaxed);
            StateError::new("commit a transaction", error)
        })?;
        Ok(done)
    }

    /// Whether something was written that waits for the next durable transaction.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Relaxed)
    }

    /// What is committed now, whatever is written later.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, StateError> {
        Snapshot::open(&self.database.begin_read().map_err(failed("begin to read"))?)
    }

    pub(crate) const fn quota_bytes(&self) -> u64 {
        self.quota_bytes
    }

    pub(crate) fn usage(&self) -> Result<StoreUsage, StateError> {
        let snapshot = self.snapshot()?;
        Ok(StoreUsage {
            bytes: snapshot.counter("used")?,
            quota_bytes: self.quota_bytes,
            objects: snapshot.counter("objects")?,
        })
    }
}
