//! The independent checker: reads what the agents acknowledged and reads all of it back.
//!
//! The logs are written by the agents outside of their stores, before they answer. A write counts as kept when some
//! node answers its bytes' hash; a write of lasting state that a newer acknowledged write of the same key replaced
//! counts as superseded.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;
use types::{NodeId, RunId, StateKey, TaskId, WorkflowId};

/// One acknowledged write, as an agent logged it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Acknowledged {
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

/// Objects that are read back at once: the way to a node and back takes up to a fifth of a second.
const READERS: usize = 32;

/// Reads objects back.
pub trait ReadBack: Sync {
    /// The version and hash of an object as a node holds it now, `None` if it does not.
    ///
    /// # Errors
    /// When nobody can be asked.
    fn read(&self, node: &NodeId, write: &Acknowledged) -> Result<Option<(u64, String)>, String>;
}

/// What the checker found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged writes.
    pub acknowledged: u64,
    /// Those that a newer acknowledged write of the same key replaced.
    pub superseded: u64,
    /// Those that were read back.
    pub kept: u64,
    /// Those that nobody has, one line each.
    pub lost: Vec<String>,
    /// Keys of lasting state that two nodes acknowledged under the same version.
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

type Name = (WorkflowId, Option<RunId>, TaskId, StateKey);

/// Checks every acknowledged write. `nodes` are asked in order after those that said they hold it.
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
) -> Result<Verdict, String> {
    let mut by_name: BTreeMap<Name, Vec<&Acknowledged>> = BTreeMap::new();
    for write in writes {
        let name = (write.workflow.clone(), write.run, write.task.clone(), write.key.clone());
        by_name.entry(name).or_default().push(write);
    }
    let named: Vec<(Name, Vec<&Acknowledged>)> = by_name.into_iter().collect();
    let next = AtomicUsize::new(0);
    let reader = || {
        let mut verdict = Verdict::default();
        while let Some((name, group)) = named.get(next.fetch_add(1, Ordering::Relaxed)) {
            verdict.take(name, group, nodes, read_back)?;
        }
        Ok::<_, String>(verdict)
    };
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(reader)).collect();
        let mut whole = Verdict::default();
        for reader in readers {
            whole.add(reader.join().expect("a reader does not panic")?);
        }
        Ok(whole)
    })
}

impl Verdict {
    /// Judges all writes of one object.
    fn take(
        &mut self,
        name: &Name,
        group: &[&Acknowledged],
        nodes: &[NodeId],
        read_back: &impl ReadBack,
    ) -> Result<(), String> {
        self.acknowledged += group.len() as u64;
        self.forked.extend(forks(name, group));
        // The newest is what must be there; an object of a run is written once, so all of its lines are newest.
        let newest = group.iter().map(|w| (w.owner_epoch, w.version)).max();
        for write in group {
            if Some((write.owner_epoch, write.version)) != newest {
                self.superseded += 1;
            } else if write.deleted || is_held(write, nodes, read_back)? {
                self.kept += 1;
            } else {
                self.lost.push(describe(write));
            }
        }
        Ok(())
    }

    fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.superseded += other.superseded;
        self.kept += other.kept;
        self.lost.extend(other.lost);
        self.forked.extend(other.forked);
    }
}

/// Two different values under one version of one key: two owners wrote.
fn forks(name: &Name, group: &[&Acknowledged]) -> Vec<String> {
    let mut hashes: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for write in group {
        hashes.entry(write.version).or_default().insert(&write.hash);
    }
    hashes
        .into_iter()
        .filter(|(_, values)| 1 < values.len())
        .map(|(version, _)| format!("{}/{}/{} version {version}", name.0, name.2, name.3))
        .collect()
}

fn is_held(
    write: &Acknowledged,
    nodes: &[NodeId],
    read_back: &impl ReadBack,
) -> Result<bool, String> {
    let others = nodes.iter().filter(|node| !write.copies.contains(node));
    for node in write.copies.iter().chain(others) {
        if let Some((version, hash)) = read_back.read(node, write)? {
            // A newer version on a node is no loss of an older one only if someone acknowledged it; the newest
            // acknowledged one must be there itself, or be followed by one that was written but not yet answered.
            if hash == write.hash || (write.run.is_none() && write.version < version) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn describe(write: &Acknowledged) -> String {
    let run = write.run.map_or_else(|| "-".to_owned(), |run| run.to_string());
    format!(
        "{}/{run}/{}/{} version {} (epoch {}) acknowledged by {}",
        write.workflow, write.task, write.key, write.version, write.owner_epoch, write.node
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(node: &str, run: Option<u64>, key: &str, version: u64, hash: &str) -> Acknowledged {
        Acknowledged {
            node: NodeId::new(node).unwrap(),
            workflow: WorkflowId::new("w").unwrap(),
            run: run.map(RunId),
            task: TaskId::new("t").unwrap(),
            key: StateKey::new(key).unwrap(),
            version,
            owner_epoch: 1,
            hash: hash.to_owned(),
            bytes: 1,
            copies: vec![NodeId::new(node).unwrap()],
            deleted: false,
        }
    }

    /// What each node holds: key, version, hash.
    struct Held(Vec<(&'static str, &'static str, u64, &'static str)>);

    impl ReadBack for Held {
        fn read(
            &self,
            node: &NodeId,
            write: &Acknowledged,
        ) -> Result<Option<(u64, String)>, String> {
            let found = self
                .0
                .iter()
                .find(|(n, key, _, _)| *n == node.as_str() && *key == write.key.as_str());
            Ok(found.map(|(_, _, version, hash)| (*version, (*hash).to_owned())))
        }
    }

    fn nodes() -> Vec<NodeId> {
        ["a", "b"].map(|n| NodeId::new(n).unwrap()).to_vec()
    }

    #[test]
    fn a_write_that_another_node_holds_is_kept() {
        let verdict =
            check(&[write("a", Some(1), "x", 1, "h")], &nodes(), &Held(vec![("b", "x", 1, "h")]));
        assert_eq!(verdict.unwrap().kept, 1);
    }

    #[test]
    fn a_write_that_nobody_holds_is_lost() {
        let verdict = check(&[write("a", Some(1), "x", 1, "h")], &nodes(), &Held(vec![]));
        assert_eq!(verdict.unwrap().lost.len(), 1);
    }

    #[test]
    fn changed_bytes_are_a_loss() {
        let held = vec![("a", "x", 1, "other"), ("b", "x", 1, "other")];
        let verdict = check(&[write("a", Some(1), "x", 1, "h")], &nodes(), &Held(held));
        assert_eq!(verdict.unwrap().lost.len(), 1);
    }

    #[test]
    fn only_the_newest_version_of_lasting_state_must_be_there() {
        let writes = [write("a", None, "s", 1, "old"), write("a", None, "s", 2, "new")];
        let kept = check(&writes, &nodes(), &Held(vec![("a", "s", 2, "new")])).unwrap();
        assert_eq!((kept.kept, kept.superseded, kept.lost.len()), (1, 1, 0));
        let rolled_back = check(&writes, &nodes(), &Held(vec![("a", "s", 1, "old")])).unwrap();
        assert_eq!(rolled_back.lost.len(), 1);
    }

    #[test]
    fn two_values_under_one_version_are_a_fork() {
        let writes = [write("a", None, "s", 1, "h1"), write("b", None, "s", 1, "h2")];
        let held = vec![("a", "s", 1, "h1"), ("b", "s", 1, "h2")];
        assert_eq!(check(&writes, &nodes(), &Held(held)).unwrap().forked.len(), 1);
    }

    #[test]
    fn a_line_cut_by_a_crash_was_never_answered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let line = r#"{"at":"2026-01-01T00:00:00Z","node":"a","object":"w/1/t/x","workflow":"w","run":1,"task":"t","key":"x","version":1,"owner_epoch":0,"hash":"h","bytes":1,"copies":["a"]}"#;
        std::fs::write(&path, format!("{line}\n{}", &line[..40])).unwrap();
        assert_eq!(read_log(&path).unwrap().len(), 1);
        std::fs::write(&path, format!("{}\n{line}\n", &line[..40])).unwrap();
        assert!(read_log(&path).is_err());
    }
}
