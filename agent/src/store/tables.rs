//! The tables of the store.

use redb::TableDefinition;

/// Bytes to bytes.
pub(super) type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// Object key → row (see `row.rs`).
pub(super) const OBJECTS: Bytes = TableDefinition::new("objects");
/// Objects that were replaced although a newer owner may lack them: object key, 0, BLAKE3 → row.
pub(super) const KEPT: Bytes = TableDefinition::new("kept");
/// Number of the blob and of the part → bytes.
pub(super) const BLOBS: TableDefinition<'static, (u64, u32), &'static [u8]> =
    TableDefinition::new("blobs");
/// Object key of a deleted value → version, seq (two u64, little endian).
pub(super) const DELETED: Bytes = TableDefinition::new("deleted");
/// Workflow, 0, task → group (JSON).
pub(super) const GROUPS: Bytes = TableDefinition::new("groups");
/// Key of a commit record → who holds it (JSON). Only of commits that were acknowledged here.
pub(super) const SETTLED: Bytes = TableDefinition::new("settled");
/// Bundle (32 bytes), number of the chunk (4 bytes, big endian) → bytes.
pub(super) const STAGED: Bytes = TableDefinition::new("staged");
/// Name → record of the shell.
pub(super) const RECORDS: TableDefinition<'static, &'static str, &'static [u8]> =
    TableDefinition::new("records");
/// `format`, `used`, `objects`, `next_blob`.
pub(super) const COUNTERS: TableDefinition<'static, &'static str, u64> =
    TableDefinition::new("counters");
