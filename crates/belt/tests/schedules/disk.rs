//! A disk that forgets what was not synced, and what lies on it.

use std::collections::BTreeMap;

use belt::group::Record;
use belt::{Hash, hash_of};

use crate::plan::RoleSpec;

/// Everything that a node stores, for the one group of a schedule.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    pub(crate) record: Record,
    /// The lasting state: the runs whose effect is in it, in order.
    pub(crate) log: Vec<u32>,
    /// The commit records that travel with the state.
    pub(crate) commits: Vec<u32>,
    /// Commit records that were acknowledged here.
    pub(crate) settled: Vec<u32>,
    /// Outputs of runs, made here or received.
    pub(crate) outputs: BTreeMap<u32, Vec<u8>>,
    /// States that were replaced although they might hold what the new owner lacks.
    pub(crate) kept: Vec<Vec<u32>>,
    /// Chunks of bundles that are not complete.
    pub(crate) staged: BTreeMap<(Hash, u32), Vec<u8>>,
    /// The desired state, kept by the shell.
    pub(crate) desired: (u64, RoleSpec),
}

impl Contents {
    /// The parts of the group as they travel.
    pub(crate) fn group_items(&self) -> Vec<Vec<u8>> {
        vec![to_bytes(&self.log), to_bytes(&self.commits)]
    }

    pub(crate) fn holds(&self, hash: &Hash, run: Option<u32>) -> Option<Vec<u8>> {
        let mut candidates = match run {
            Some(run) => self.outputs.get(&run).cloned().into_iter().collect(),
            None => self.group_items(),
        };
        candidates.retain(|bytes| hash_of(bytes) == *hash);
        candidates.pop()
    }
}

pub(crate) fn to_bytes(runs: &[u32]) -> Vec<u8> {
    runs.iter().flat_map(|run| run.to_le_bytes()).collect()
}

pub(crate) fn from_bytes(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|four| u32::from_le_bytes(*four)).collect()
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    /// What the running process sees.
    pub(crate) seen: Contents,
    durable: Contents,
}

impl Disk {
    pub(crate) fn sync(&mut self) {
        self.durable = self.seen.clone();
    }

    /// The process dies. What was not synced is gone, unless the machine happened to write it out.
    pub(crate) fn crash(&mut self, written_out: bool) {
        if written_out {
            self.sync();
        } else {
            self.seen = self.durable.clone();
        }
    }

    /// The disk itself dies; an empty one takes its place.
    pub(crate) fn destroy(&mut self) {
        *self = Self::default();
    }
}
