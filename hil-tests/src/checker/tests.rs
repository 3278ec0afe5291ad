//! What the checker says about small stories.

use super::*;

/// The sky of all stories.
const NOW_S: i64 = 100_000;

const BOUNDS: Bounds = Bounds { kept_s: 600.0, stored_before_s: 60.0, outputs_max: 100 };

pub(super) fn write(
    node: &str,
    run: Option<u64>,
    key: &str,
    version: u64,
    hash: &str,
) -> Acknowledged {
    Acknowledged {
        at: Epoch::from_unix_s(NOW_S).unwrap(),
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

fn aged(run: u64, age_s: i64) -> Acknowledged {
    let at = Epoch::from_unix_s(NOW_S - age_s).unwrap();
    Acknowledged { at, ..write("a", Some(run), "x", 1, "h") }
}

/// What each node holds: key, version, hash. A node with the key `?` does not answer.
struct Held {
    objects: Vec<(&'static str, &'static str, u64, &'static str)>,
    asked: AtomicUsize,
}

fn held(objects: &[(&'static str, &'static str, u64, &'static str)]) -> Held {
    Held { objects: objects.to_vec(), asked: AtomicUsize::new(0) }
}

impl ReadBack for Held {
    fn read(&self, node: &NodeId, write: &Acknowledged) -> Result<Found, String> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut of_node = self.objects.iter().filter(|(n, ..)| *n == node.as_str());
        let found = of_node.find(|(_, key, ..)| *key == "?" || *key == write.key.as_str());
        Ok(match found {
            None => Found::Absent,
            Some((_, "?", ..)) => Found::Unreachable(format!("{node} is silent")),
            Some((_, _, version, hash)) => {
                Found::Held { version: *version, hash: (*hash).to_owned() }
            }
        })
    }

    fn sky(&self) -> Epoch {
        Epoch::from_unix_s(NOW_S).unwrap()
    }
}

fn checked(writes: &[Acknowledged], held: &Held) -> Verdict {
    bounded(writes, held, BOUNDS)
}

/// Every write must be in one class.
fn bounded(writes: &[Acknowledged], held: &Held, bounds: Bounds) -> Verdict {
    let nodes = ["a", "b"].map(|n| NodeId::new(n).unwrap());
    let verdict = check(writes, &nodes, held, bounds, |_, _| {}).unwrap();
    let judged = verdict.kept + (verdict.lost.len() + verdict.unreachable.len()) as u64;
    assert_eq!(verdict.checked, judged, "{verdict:?}");
    let all = verdict.superseded + verdict.expired + verdict.unchecked + verdict.checked;
    assert_eq!(verdict.acknowledged, all, "{verdict:?}");
    verdict
}

#[test]
fn a_write_that_another_node_holds_is_kept() {
    let verdict = checked(&[write("a", Some(1), "x", 1, "h")], &held(&[("b", "x", 1, "h")]));
    assert_eq!(verdict.kept, 1);
}

#[test]
fn a_write_that_nobody_holds_is_lost() {
    let verdict = checked(&[write("a", Some(1), "x", 1, "h")], &held(&[]));
    assert_eq!(verdict.lost.len(), 1);
}

#[test]
fn changed_bytes_are_a_loss() {
    let changed = held(&[("a", "x", 1, "other"), ("b", "x", 1, "other")]);
    assert_eq!(checked(&[write("a", Some(1), "x", 1, "h")], &changed).lost.len(), 1);
}

#[test]
fn only_the_newest_version_of_lasting_state_must_be_there() {
    let writes = [write("a", None, "s", 1, "old"), write("a", None, "s", 2, "new")];
    let kept = checked(&writes, &held(&[("a", "s", 2, "new")]));
    assert_eq!((kept.kept, kept.superseded, kept.lost.len()), (1, 1, 0));
    let rolled_back = checked(&writes, &held(&[("a", "s", 1, "old")]));
    assert_eq!(rolled_back.lost.len(), 1);
    // Written, and not answered yet.
    assert_eq!(checked(&writes, &held(&[("a", "s", 3, "newer")])).kept, 1);
}

#[test]
fn an_heir_that_started_empty_is_a_loss_even_when_it_is_ahead_by_now() {
    let heir =
        |version, hash| Acknowledged { owner_epoch: 3, ..write("b", None, "s", version, hash) };
    let writes = [write("a", None, "s", 20, "old"), heir(1, "first"), heir(21, "newest")];
    let verdict = checked(&writes, &held(&[("b", "s", 21, "newest")]));
    assert_eq!((verdict.kept, verdict.superseded, verdict.lost.len()), (1, 1, 1));
    assert!(verdict.lost[0].contains("version 20 (epoch 1)"), "{verdict:?}");
    assert!(verdict.lost[0].contains("epoch 3 went on with version 1"), "{verdict:?}");
}

#[test]
fn two_values_under_one_version_are_a_fork() {
    let writes = [write("a", None, "s", 1, "h1"), write("b", None, "s", 1, "h2")];
    let both = held(&[("a", "s", 1, "h1"), ("b", "s", 1, "h2")]);
    assert_eq!(checked(&writes, &both).forked.len(), 1);
}

#[test]
fn what_only_a_silent_node_may_have_is_neither_kept_nor_lost() {
    let silent = held(&[("a", "?", 0, "")]);
    let verdict = checked(&[write("a", Some(1), "x", 1, "h")], &silent);
    assert_eq!((verdict.kept, verdict.lost.len(), verdict.unreachable.len()), (0, 0, 1));
    assert!(verdict.unreachable[0].contains("a is silent"), "{verdict:?}");
    // Another copy answers for it.
    let copied = held(&[("a", "?", 0, ""), ("b", "x", 1, "h")]);
    assert_eq!(checked(&[write("a", Some(1), "x", 1, "h")], &copied).kept, 1);
}

#[test]
fn a_silent_node_is_not_asked_for_ever() {
    let writes: Vec<Acknowledged> =
        (0..1_000).map(|run| write("a", Some(run), "x", 1, "h")).collect();
    let silent = held(&[("a", "?", 0, ""), ("b", "?", 0, "")]);
    let verdict = bounded(&writes, &silent, Bounds { outputs_max: 1_000, ..BOUNDS });
    assert_eq!(verdict.unreachable.len(), 1_000);
    // Readers that ask at the same time may each ask once more.
    let asked_max = 2 * (READERS + 3);
    assert!(silent.asked.load(Ordering::Relaxed) <= asked_max, "{:?}", silent.asked);
}

#[test]
fn outputs_are_promised_for_a_time_and_lasting_state_for_ever() {
    let fresh = checked(&[aged(1, 500)], &held(&[]));
    assert_eq!((fresh.expired, fresh.lost.len()), (0, 1));
    let old = held(&[("a", "x", 1, "h")]);
    assert_eq!(checked(&[aged(1, 601)], &old).expired, 1);
    assert_eq!(old.asked.load(Ordering::Relaxed), 0, "what is not promised is not asked for");
    // It may have been stored up to a minute before it was acknowledged: there it is kept, gone it is freed.
    assert_eq!(checked(&[aged(1, 550)], &old).kept, 1);
    assert_eq!(checked(&[aged(1, 550)], &held(&[])).expired, 1);
    let lasting = Acknowledged { run: None, ..aged(1, 90_000) };
    assert_eq!(checked(&[lasting], &held(&[])).lost.len(), 1);
}

#[test]
fn beyond_the_bound_the_oldest_outputs_are_not_read_and_lasting_state_is() {
    let mut writes: Vec<Acknowledged> =
        (1..=5).map(|run| aged(run, 10 * i64::try_from(run).unwrap())).collect();
    writes.push(Acknowledged { run: None, ..aged(0, 500) });
    let all = held(&[("a", "x", 1, "h")]);
    let verdict = bounded(&writes, &all, Bounds { outputs_max: 2, ..BOUNDS });
    assert_eq!((verdict.unchecked, verdict.checked, verdict.kept), (3, 3, 3));
    let (_, due) = judge(&writes, all.sky(), Bounds { outputs_max: 2, ..BOUNDS });
    let runs: Vec<Option<u64>> = due.iter().map(|write| write.run.map(|run| run.0)).collect();
    assert_eq!(runs, [None, Some(2), Some(1)]);
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
