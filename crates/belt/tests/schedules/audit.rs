//! The independent checker: notes what was acknowledged and who owned, and looks for all of it at the end.

use std::collections::{BTreeMap, BTreeSet};

use crate::disk::Contents;

/// Where a part of an acknowledged run is said to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// This part is empty, or not of this acknowledgement.
    Nothing,
    TwoCopies,
    /// On the acknowledging node alone, said so.
    SingleCopy,
}

#[derive(Clone, Debug)]
struct Acknowledged {
    run: u32,
    by: usize,
    state: Claim,
    outputs: Claim,
}

/// What may not happen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Violation {
    /// An acknowledged effect on lasting state cannot be read back.
    StateLost { run: u32, by: usize },
    /// Acknowledged outputs cannot be read back.
    OutputsLost { run: u32, by: usize },
    /// A run has its effect twice.
    Twice { run: u32 },
    /// Bytes that nobody wrote.
    Garbage,
    /// One epoch had two owners.
    TwoOwners { epoch: u64, first: usize, second: usize },
    /// A node served after its successor had taken over by its own grant.
    ServedAfterGrant { node: usize, epoch: u64 },
    /// When all faults were over, runs did not complete.
    Stuck { runs: usize },
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Audit {
    acknowledged: Vec<Acknowledged>,
    owners: BTreeMap<u64, usize>,
    /// By node: the epoch that its successor took from it.
    handed: BTreeMap<usize, u64>,
    destroyed: BTreeSet<usize>,
    found: BTreeSet<Violation>,
    pub(crate) hand_overs: u32,
    pub(crate) failovers: u32,
    pub(crate) crashes: u32,
    pub(crate) resumed: u32,
}

impl Audit {
    pub(crate) fn took_over(&mut self, node: usize, epoch: u64, from: Option<usize>) {
        let first = *self.owners.entry(epoch).or_insert(node);
        if first != node {
            self.found.insert(Violation::TwoOwners { epoch, first, second: node });
        }
        match from {
            Some(from) => {
                self.hand_overs += 1;
                self.handed.insert(from, epoch);
            }
            None => self.failovers += 1,
        }
    }

    pub(crate) fn admitted(&mut self, node: usize, epoch: u64) {
        if self.handed.get(&node).is_some_and(|taken| epoch < *taken) {
            self.found.insert(Violation::ServedAfterGrant { node, epoch });
        }
    }

    pub(crate) fn acknowledged(&mut self, run: u32, by: usize, state: Claim, outputs: Claim) {
        self.acknowledged.push(Acknowledged { run, by, state, outputs });
    }

    pub(crate) fn acknowledgements(&self) -> usize {
        self.acknowledged.len()
    }

    pub(crate) fn with_two_copies(&self) -> usize {
        self.acknowledged.iter().filter(|ack| ack.state == Claim::TwoCopies).count()
    }

    pub(crate) fn destroyed(&mut self, node: usize) {
        self.destroyed.insert(node);
        // What it owned died with it; a grant that it had taken and that nobody knows of may go to somebody else.
        self.owners.retain(|_, owner| *owner != node);
    }

    /// Reads everything back: `owner` is the last owner, `disks` what all nodes hold in the end.
    pub(crate) fn check(
        mut self,
        owner: Option<usize>,
        disks: &[&Contents],
        unfinished: usize,
    ) -> BTreeSet<Violation> {
        let log = owner.map_or(&[][..], |owner| &disks[owner].log);
        let mut seen = BTreeSet::new();
        for run in log {
            if !seen.insert(*run) {
                self.found.insert(Violation::Twice { run: *run });
            }
        }
        for ack in &self.acknowledged {
            let excused =
                |claim: &Claim| *claim == Claim::SingleCopy && self.destroyed.contains(&ack.by);
            let somewhere = disks.iter().any(|disk| {
                disk.log.contains(&ack.run) || disk.kept.iter().any(|k| k.contains(&ack.run))
            });
            let state_there = match ack.state {
                Claim::Nothing => true,
                Claim::TwoCopies => seen.contains(&ack.run),
                Claim::SingleCopy => somewhere || excused(&ack.state),
            };
            if !state_there {
                self.found.insert(Violation::StateLost { run: ack.run, by: ack.by });
            }
            let held: Vec<&Vec<u8>> =
                disks.iter().filter_map(|disk| disk.outputs.get(&ack.run)).collect();
            if ack.outputs != Claim::Nothing && held.is_empty() && !excused(&ack.outputs) {
                self.found.insert(Violation::OutputsLost { run: ack.run, by: ack.by });
            }
            if held.iter().any(|bytes| **bytes != output_of(ack.run)) {
                self.found.insert(Violation::Garbage);
            }
        }
        if unfinished != 0 || owner.is_none() {
            self.found.insert(Violation::Stuck { runs: unfinished });
        }
        self.found
    }
}

/// What a run's function writes for the stage after it.
pub(crate) fn output_of(run: u32) -> Vec<u8> {
    std::iter::repeat_n(run.to_le_bytes(), 12).flatten().collect()
}
