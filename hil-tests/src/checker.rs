//! The independent checker: reads what the agents acknowledged and reads all of it back.
//!
//! The logs are written by the agents outside of their stores, before they answer. Every acknowledged write is judged
//! once: *superseded* when a newer one of the same key took its place, *expired* when it is older than its promise
//! (outputs of runs only), *unchecked* beyond the bound, and else *checked*: kept when some node answers its bytes'
//! hash, *unreachable* when nobody has it but not everybody could be asked, *lost* when nobody has it.

mod fate;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use types::{Epoch, NodeId, RunId, StateKey, TaskId, WorkflowId};

use fate::{Fate, History};

/// One acknowledged write, as an agent logged it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Acknowledged {
    /// When (sky).
    pub at: Epoch,
    /// The node that answered.
    pub node: NodeId,
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The run; `None` for lasting state.
    pub run: Option<RunId>,
    /// The task.
    pub task: TaskId,
    /// The key.
    pub key: StateKey,
    /// The version.
    pub version: u64,
    /// The owner epoch of the writer.
    pub owner_epoch: u64,
    /// BLAKE3 of the bytes, in hexadecimal.
    pub hash: String,
    /// Size.
    pub bytes: u64,
    /// The nodes that hold it.
    pub copies: Vec<NodeId>,
    /// Whether the key was deleted.
    #[serde(default)]
    pub deleted: bool,
}

/// How long an agent keeps the outputs of a run at least: it frees older ones when its store is more than four fifths
/// full (the agent's own bound, wall time).
pub const RUNS_KEPT: Duration = Duration::from_secs(600);
/// Outputs that are read back at most, the newest ones: a minute of reading on a busy machine. Lasting state is read
/// whole.
pub const OUTPUTS_READ_MAX: usize = 4_000;
/// Objects that are read back at once: the way to a node and back takes up to a fifth of a second.
const READERS: usize = 32;
/// A node that did not answer for so many objects is not asked any more: each costs many seconds.
const UNANSWERED_MAX: u32 = 3;
/// Between two words on how far the checker is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// Between two looks at whether the readers are done.
const PROGRESS_LOOK: Duration = Duration::from_millis(20);

/// What a node says about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It holds it, whole.
    Held {
        /// In this version.
        version: u64,
        /// With this hash.
        hash: String,
    },
    /// It does not hold it, or not whole.
    Absent,
    /// It did not answer, whatever was tried.
    Unreachable(String),
}

/// Reads objects back.
pub trait ReadBack: Sync {
    /// An object as a node holds it now.
    ///
    /// # Errors
    /// When nobody can be asked.
    fn read(&self, node: &NodeId, write: &Acknowledged) -> Result<Found, String>;

    /// The sky now.
    fn sky(&self) -> Epoch;
}

/// How much must still be there, and how much of it is read.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Outputs of runs are promised for so long, sky seconds.
    pub kept_s: f64,
    /// They are stored at most so long before they are acknowledged, sky seconds; from then on they age.
    pub stored_before_s: f64,
    /// Outputs that are read back at most, the newest first.
    pub outputs_max: usize,
}

/// What the checker found. Every acknowledged write is in one of `superseded`, `expired`, `unchecked` and `checked`,
/// and every checked one in one of `kept`, `lost` and `unreachable`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged writes.
    pub acknowledged: u64,
    /// Those that a newer acknowledged write of the same key replaced.
    pub superseded: u64,
    /// Outputs of runs that are older than their promise, and were not read, or are freed.
    pub expired: u64,
    /// Outputs of runs beyond the bound: not read.
    pub unchecked: u64,
    /// Those that were judged.
    pub checked: u64,
    /// Those that were read back, and deletions.
    pub kept: u64,
    /// Those that nobody has, one line each.
    pub lost: Vec<String>,
    /// Those that nobody has who could be asked, one line each.
    pub unreachable: Vec<String>,
    /// Keys that two nodes acknowledged with different values under the same version.
    pub forked: Vec<String>,
}

/// Reads an agent's log; a last line cut short by a crash was never answered and does not count.
///
/// # Errors
/// When the file cannot be read or a complete line is malformed.
pub fn read_log(path: &Path) -> io::Result<Vec<Acknowledged>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete
        .lines()
        .enumerate()
        .map(|(i, line)| {
            serde_json::from_str(line)
                .map_err(|error| io::Error::other(format!("{}:{}: {error}", path.display(), i + 1)))
        })
        .collect()
}

/// Checks every acknowledged write. `nodes` are asked in order after those that said they hold it; `progress` is told
/// now and then how many objects of how many are read.
///
/// # Errors
/// When nobody can be asked.
///
/// # Panics
/// When a reader panics.
pub fn check(
    writes: &[Acknowledged],
    nodes: &[NodeId],
    read_back: &impl ReadBack,
    bounds: Bounds,
    mut progress: impl FnMut(usize, usize),
) -> Result<Verdict, String> {
    let (mut verdict, due) = judge(writes, read_back.sky(), bounds);
    let asking = Asking { nodes, read_back, bounds, unanswered: Mutex::default() };
    let next = AtomicUsize::new(0);
    let reader = || {
        let mut part = Verdict::default();
        while let Some(write) = due.get(next.fetch_add(1, Ordering::Relaxed)) {
            part.take(write, asking.look_for(write)?);
        }
        Ok::<_, String>(part)
    };
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(reader)).collect();
        let mut told = Instant::now();
        while !readers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            if PROGRESS_EVERY <= told.elapsed() {
                progress(next.load(Ordering::Relaxed).min(due.len()), due.len());
                told = Instant::now();
            }
            std::thread::sleep(PROGRESS_LOOK);
        }
        for reader in readers {
            verdict.add(reader.join().expect("a reader does not panic")?);
        }
        Ok::<_, String>(())
    })?;
    verdict.lost.sort();
    verdict.unreachable.sort();
    Ok(verdict)
}

type Name<'a> = (&'a WorkflowId, Option<RunId>, &'a TaskId, &'a StateKey);

/// What can be said without asking anybody, and what must be asked for.
fn judge(writes: &[Acknowledged], sky: Epoch, bounds: Bounds) -> (Verdict, Vec<&Acknowledged>) {
    let mut by_name: BTreeMap<Name<'_>, Vec<&Acknowledged>> = BTreeMap::new();
    for write in writes {
        let name = (&write.workflow, write.run, &write.task, &write.key);
        by_name.entry(name).or_default().push(write);
    }
    let mut verdict = Verdict { acknowledged: writes.len() as u64, ..Verdict::default() };
    let (mut lasting, mut outputs) = (Vec::new(), Vec::new());
    for group in by_name.values() {
        verdict.forked.extend(forks(group));
        let history = History::of(group);
        for write in group {
            match history.fate(write) {
                Fate::Superseded => verdict.superseded += 1,
                Fate::Deleted => verdict.take(write, Outcome::Kept),
                Fate::Passed { epoch, version } => {
                    verdict.take(write, Outcome::Passed { epoch, version });
                }
                Fate::Due if write.run.is_none() => lasting.push(*write),
                Fate::Due if bounds.kept_s < sky.seconds_since(write.at) => verdict.expired += 1,
                Fate::Due => outputs.push(*write),
            }
        }
    }
    outputs.sort_by_key(|write| std::cmp::Reverse(write.at));
    verdict.unchecked = outputs.len().saturating_sub(bounds.outputs_max) as u64;
    outputs.truncate(bounds.outputs_max);
    // The oldest promise ends first, so it is read first.
    lasting.extend(outputs.into_iter().rev());
    (verdict, lasting)
}

/// What became of a write.
enum Outcome {
    Kept,
    Expired,
    Lost,
    Passed { epoch: u64, version: u64 },
    Unreachable { reasons: Vec<String> },
}

impl Verdict {
    fn take(&mut self, write: &Acknowledged, outcome: Outcome) {
        if matches!(outcome, Outcome::Expired) {
            self.expired += 1;
            return;
        }
        self.checked += 1;
        match outcome {
            Outcome::Kept | Outcome::Expired => self.kept += 1,
            Outcome::Lost => self.lost.push(describe(write)),
            Outcome::Passed { epoch, version } => self.lost.push(format!(
                "{}; its heir under epoch {epoch} went on with version {version}",
                describe(write)
            )),
            Outcome::Unreachable { reasons } => {
                self.unreachable.push(format!("{}; {}", describe(write), reasons.join("; ")));
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.expired += other.expired;
        self.checked += other.checked;
        self.kept += other.kept;
        self.lost.extend(other.lost);
        self.unreachable.extend(other.unreachable);
    }
}

/// Two different values under one version of one key: two owners wrote.
fn forks(group: &[&Acknowledged]) -> Vec<String> {
    let mut hashes: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for write in group {
        hashes.entry(write.version).or_default().insert(&write.hash);
    }
    let Some(one) = group.first() else { return Vec::new() };
    hashes
        .into_iter()
        .filter(|(_, values)| 1 < values.len())
        .map(|(version, _)| format!("{}/{}/{} version {version}", one.workflow, one.task, one.key))
        .collect()
}

/// Asks nodes for objects.
struct Asking<'a, R> {
    nodes: &'a [NodeId],
    read_back: &'a R,
    bounds: Bounds,
    /// Objects for which a node gave no answer.
    unanswered: Mutex<BTreeMap<NodeId, u32>>,
}

impl<R: ReadBack> Asking<'_, R> {
    fn look_for(&self, write: &Acknowledged) -> Result<Outcome, String> {
        let others = self.nodes.iter().filter(|node| !write.copies.contains(node));
        let mut reasons = Vec::new();
        for node in write.copies.iter().chain(others) {
            match self.ask(node, write)? {
                // A newer version on a node is no loss of an older one only if someone acknowledged it; the newest
                // acknowledged one must be there itself, or be followed by one that was written but not yet answered.
                Found::Held { version, hash }
                    if hash == write.hash || (write.run.is_none() && write.version < version) =>
                {
                    return Ok(Outcome::Kept);
                }
                Found::Held { .. } | Found::Absent => {}
                Found::Unreachable(reason) => reasons.push(reason),
            }
        }
        if write.run.is_some() && self.may_be_freed(write) {
            return Ok(Outcome::Expired);
        }
        Ok(if reasons.is_empty() { Outcome::Lost } else { Outcome::Unreachable { reasons } })
    }

    /// Whether the promise has ended while others were read.
    fn may_be_freed(&self, write: &Acknowledged) -> bool {
        let age_s = self.read_back.sky().seconds_since(write.at) + self.bounds.stored_before_s;
        self.bounds.kept_s < age_s
    }

    fn ask(&self, node: &NodeId, write: &Acknowledged) -> Result<Found, String> {
        let unanswered = || self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        if unanswered().get(node).is_some_and(|count| UNANSWERED_MAX <= *count) {
            return Ok(Found::Unreachable(format!("{node} did not answer before")));
        }
        let found = self.read_back.read(node, write)?;
        if matches!(found, Found::Unreachable(_)) {
            *unanswered().entry(node.clone()).or_default() += 1;
        }
        Ok(found)
    }
}

fn describe(write: &Acknowledged) -> String {
    let run = write.run.map_or_else(|| "-".to_owned(), |run| run.to_string());
    format!(
        "{}/{run}/{}/{} version {} (epoch {}) acknowledged by {}",
        write.workflow, write.task, write.key, write.version, write.owner_epoch, write.node
    )
}

#[cfg(test)]
mod tests;
