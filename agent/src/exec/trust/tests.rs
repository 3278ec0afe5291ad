//! Every reason not to run a function, and what outlives a start.

use ed25519_dalek::{Signer as _, SigningKey};
use protocol::manifest::{self, Code, Exec, ExecFacts, Limits, Switch, default_tenant};
use protocol::signed::{Signature as WireSignature, Signer};
use types::{ExecutionMode, KeyName, LeaderEpoch, MiB, NodeId};

use super::*;
use crate::state::StoreConfig;

/// The wall clock of the tests, a day after the build; a fast machine and a slow one test the same.
fn wall() -> Epoch {
    built_at().plus_s(86_400.0)
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn id(key: &SigningKey) -> KeyId {
    key_id(&key.verifying_key().to_bytes())
}

fn list(epoch: u64, serial: u64, trusted: &[&SigningKey], revoked: &[KeyId]) -> Signers {
    let signer = |key: &&SigningKey| Signer {
        name: KeyName::new("test").unwrap(),
        key: key.verifying_key().to_bytes(),
    };
    Signers {
        epoch: LeaderEpoch(epoch),
        serial,
        at: Epoch::from_unix_ns(0),
        trusted: trusted.iter().map(signer).collect(),
        revoked: revoked.to_vec(),
    }
}

fn manifest(version: u64, key: &SigningKey) -> Manifest {
    Manifest {
        name: FunctionId::new("detect").unwrap(),
        version,
        sha256: [7; 32],
        world: world::hash(),
        tenant: default_tenant(),
        key: id(key),
        not_before: None,
        not_after: None,
        limits: Limits { linear_memory_mib: MiB(8), deadline_ms: 1_000 },
        grants: manifest::Grants::default(),
        exec: Exec {
            chosen: None,
            identified: ExecutionMode::Cpu,
            reason: String::new(),
            facts: ExecFacts::default(),
            switch: Switch::default(),
        },
        slo: None,
        capability: None,
        variants: Vec::new(),
        profiles: Vec::new(),
        triggers: Vec::new(),
        needs: manifest::slots::Needs::default(),
        input: None,
        output: None,
        failure: manifest::slots::FailurePolicy::default(),
        budgets: manifest::slots::Budgets::default(),
        preferences: Vec::new(),
        data: manifest::slots::DataPolicy::default(),
        sharing: manifest::slots::Sharing::default(),
        warm: None,
        code: Code::Component,
    }
}

/// A frame as `key` signs it behind `domain`.
fn signed(frame: Vec<u8>, key: &SigningKey, domain: &[u8]) -> Vec<u8> {
    let signature = key.sign(&[domain, &frame].concat()).to_bytes();
    let signature = WireSignature::from_bytes(&signature);
    encode(&SignedManifest { manifest: frame, key: id(key), signature }).unwrap()
}

fn good(manifest: &Manifest, key: &SigningKey) -> Vec<u8> {
    signed(encode(manifest).unwrap(), key, b"starbelt-fn-v1")
}

fn wanted(signed: &[u8]) -> FunctionRef {
    FunctionRef {
        name: FunctionId::new("detect").unwrap(),
        sha256: [7; 32],
        bytes: 1,
        manifest: sha256(signed),
    }
}

struct Node {
    book: TrustBook,
    dir: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { book: open(dir.path()), dir }
    }

    /// Another start.
    fn again(self) -> Self {
        let Self { book, dir } = self;
        drop(book);
        Self { book: open(dir.path()), dir }
    }

    fn admit(&self, signed: &[u8]) -> Result<Manifest, String> {
        let wall = WallTime(wall().unix_ns());
        self.book.admit(&wanted(signed), signed, wall).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refuses(&self, signed: &[u8], words: &str) {
        let said = self.admit(signed).unwrap_err();
        assert!(said.contains(words), "{said}");
    }
}

fn open(dir: &std::path::Path) -> TrustBook {
    let store = StoreConfig { dir: dir.to_owned(), quota_bytes: 64 << 20, audit_log: None };
    let state = StateService::open(&store, NodeId::new("sat-1").unwrap()).unwrap();
    TrustBook::open(state).unwrap()
}

#[test]
fn nothing_runs_before_a_list_came_and_then_what_it_trusts() {
    let (node, key) = (Node::new(), key(1));
    let signed = good(&manifest(1, &key), &key);
    node.refuses(&signed, "which is not trusted");
    assert!(node.book.take(list(1, 1, &[&key], &[])).unwrap());
    assert_eq!(node.admit(&signed).unwrap(), manifest(1, &key));
    // The same again is no change, and is still admitted after another start.
    assert!(!node.book.take(list(1, 1, &[&key], &[])).unwrap());
    let node = node.again();
    assert!(node.admit(&signed).is_ok());
}

#[test]
fn what_is_not_signed_by_somebody_trusted_for_this_is_refused() {
    let (node, trusted, other) = (Node::new(), key(1), key(2));
    node.book.take(list(1, 1, &[&trusted], &[])).unwrap();
    node.refuses(&good(&manifest(1, &other), &other), "which is not trusted");
    let frame = encode(&manifest(1, &trusted)).unwrap();
    for domain in [&b""[..], b"starbelt-aot-v1", b"starbelt-fn-v2"] {
        node.refuses(&signed(frame.clone(), &trusted, domain), "was not signed with key");
    }
    let mut forged: SignedManifest = decode(&good(&manifest(1, &trusted), &other)).unwrap();
    forged.key = id(&trusted);
    node.refuses(&encode(&forged).unwrap(), "was not signed with key");
    let mut changed: SignedManifest = decode(&good(&manifest(1, &trusted), &trusted)).unwrap();
    changed.manifest[20] ^= 1;
    node.refuses(&encode(&changed).unwrap(), "was not signed with key");
    node.refuses(&good(&manifest(1, &other), &trusted), "its manifest names key");
    // Signed nonsense, and bytes that are none.
    node.refuses(&signed(frame[..9].to_vec(), &trusted, b"starbelt-fn-v1"), "is refused");
    node.refuses(b"", "is refused");
    let signed = good(&manifest(1, &trusted), &trusted);
    let mut elsewhere = wanted(&signed);
    elsewhere.manifest[0] ^= 1;
    let wall = WallTime(wall().unix_ns());
    assert!(matches!(node.book.admit(&elsewhere, &signed, wall), Err(Refusal::OtherManifest)));
    assert!(node.admit(&signed).is_ok());
}

#[test]
fn a_manifest_is_for_one_function_and_one_component() {
    let (node, key) = (Node::new(), key(1));
    node.book.take(list(1, 1, &[&key], &[])).unwrap();
    let mut renamed = manifest(1, &key);
    renamed.name = FunctionId::new("other").unwrap();
    node.refuses(&good(&renamed, &key), "another function or component (other)");
    let mut replaced = manifest(1, &key);
    replaced.sha256 = [8; 32];
    node.refuses(&good(&replaced, &key), "another function or component");
    let mut elsewhere = manifest(1, &key);
    elsewhere.world = [0; 32];
    node.refuses(&good(&elsewhere, &key), "another contract");
}

#[test]
fn nothing_older_comes_back_after_a_start_either() {
    let (node, key) = (Node::new(), key(1));
    node.book.take(list(1, 1, &[&key], &[])).unwrap();
    assert!(node.admit(&good(&manifest(5, &key), &key)).is_ok());
    let node = node.again();
    node.refuses(&good(&manifest(4, &key), &key), "version 4 is lower than 5");
    let mut other = manifest(5, &key);
    other.limits.deadline_ms += 1;
    node.refuses(&good(&other, &key), "version 5 was seen here with other content");
    assert!(node.admit(&good(&manifest(6, &key), &key)).is_ok());
    // What was refused raises nothing.
    let mut late = manifest(9, &key);
    late.not_after = Some(built_at());
    node.refuses(&good(&late, &key), "it was valid until");
    assert!(node.admit(&good(&manifest(7, &key), &key)).is_ok());
}

#[test]
fn a_revoked_key_stays_revoked_whatever_later_lists_say() {
    let (node, gone) = (Node::new(), key(1));
    let signed = good(&manifest(1, &gone), &gone);
    node.book.take(list(1, 1, &[&gone], &[])).unwrap();
    assert!(node.admit(&signed).is_ok());
    assert!(node.book.take(list(1, 2, &[], &[id(&gone)])).unwrap());
    node.refuses(&signed, "which was revoked");
    assert!(matches!(node.book.take(list(1, 1, &[&gone], &[])), Err(ListError::Stale)));
    assert!(matches!(node.book.take(list(0, 9, &[&gone], &[])), Err(ListError::Stale)));
    let node = node.again();
    node.refuses(&signed, "which was revoked");
    node.book.take(list(2, 0, &[&gone], &[])).unwrap();
    node.refuses(&signed, "which was revoked");
}

#[test]
fn the_window_counts_and_a_clock_that_is_behind_does_not_open_it() {
    let (node, key) = (Node::new(), key(1));
    node.book.take(list(1, 1, &[&key], &[])).unwrap();
    let with = |not_before: Option<f64>, not_after: Option<f64>, version| {
        let at = |s: f64| wall().plus_s(s);
        let mut manifest = manifest(version, &key);
        manifest.not_before = not_before.map(at);
        manifest.not_after = not_after.map(at);
        good(&manifest, &key)
    };
    node.refuses(&with(Some(60.0), None, 1), "it is valid from");
    node.refuses(&with(None, Some(-60.0), 1), "it was valid until");
    assert!(node.admit(&with(Some(-60.0), Some(60.0), 1)).is_ok());
    // 1970: the clock was lost. What had expired when this was built, or when a signer said that it is later, stays so.
    let lost = |node: &Node, signed: &[u8]| {
        node.book.admit(&wanted(signed), signed, WallTime(0)).map_err(|error| error.to_string())
    };
    assert!(lost(&node, &with(Some(-86_500.0), Some(60.0), 2)).is_ok());
    assert!(lost(&node, &with(None, Some(-61.0), 3)).unwrap_err().contains("it was valid until"));
    let node = node.again();
    assert!(lost(&node, &with(None, Some(-61.0), 3)).unwrap_err().contains("it was valid until"));
    let mut told = list(1, 2, &[&key], &[]);
    told.at = wall().plus_s(100.0);
    node.book.take(told).unwrap();
    assert!(lost(&node, &with(None, Some(60.0), 4)).unwrap_err().contains("it was valid until"));
    assert!(lost(&node, &with(None, Some(200.0), 4)).is_ok());
}

#[test]
fn what_was_admitted_starts_until_its_time_is_over_or_its_key_is_revoked() {
    let (node, key) = (Node::new(), key(1));
    node.book.take(list(1, 1, &[&key], &[])).unwrap();
    let until = wall().plus_s(60.0);
    let manifest = Manifest { not_after: Some(until), ..manifest(1, &key) };
    let grants = Grants::of(&node.admit(&good(&manifest, &key)).unwrap(), [].into());
    let start = |at: Epoch| {
        let started = node.book.may_start(&grants, WallTime(at.unix_ns()));
        started.map_err(|refusal| refusal.to_string())
    };
    assert_eq!(start(wall()), Ok(()));
    assert_eq!(start(until), Ok(()));
    let said = start(until.plus_s(1.0)).unwrap_err();
    assert!(said.contains("it was valid until"), "{said}");
    // A clock that goes back does not bring it back once somebody vouched for the time.
    let later = Signers { at: until.plus_s(2.0), ..list(1, 2, &[&key], &[]) };
    node.book.take(later).unwrap();
    assert!(start(wall()).unwrap_err().contains("it was valid until"));
    // Revoked, and forgotten by a list.
    for (serial, trusted, revoked, words) in [
        (3, vec![], vec![], "which is not trusted"),
        (4, vec![&key], vec![id(&key)], "which was revoked"),
    ] {
        node.book.take(list(1, serial, &trusted, &revoked)).unwrap();
        let said = start(wall()).unwrap_err();
        assert!(said.contains(words), "{said}");
    }
}
