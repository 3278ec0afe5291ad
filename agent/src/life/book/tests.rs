//! Orders: which are taken, which are the same again, and what comes of them.

use super::*;
use crate::life::release::key_id;
use crate::life::slots::Slot;
use crate::life::starts::Mode;
use ed25519_dalek::{Signer as _, SigningKey};
use protocol::encode;
use protocol::release::SignedRelease;
use protocol::signed::Signature;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

fn asked(command: u64, more: u64, sha: u8) -> Asked {
    let (_, running) = crate::life::own();
    let public = key().verifying_key().to_bytes();
    let release = Release {
        number: running + more,
        version: format!("0.{more}"),
        arch: OWN_ARCH,
        sha256: [sha; 32],
        bytes: 1000,
        key: key_id(&public),
        may_be_older: false,
    };
    let release = encode(&release).unwrap();
    let signature = key().sign(&SignedRelease::signed_bytes(&release)).to_bytes();
    let signature = Signature::from_bytes(&signature);
    let signed = SignedRelease { release, key: key_id(&public), signature };
    let release = encode(&signed).unwrap();
    Asked { command: (1, command), release, within_s: 60, is_rehearsal: false }
}

struct Bed {
    dir: tempfile::TempDir,
    keys: Vec<[u8; 32]>,
    mode: Mode,
}

impl Bed {
    fn new() -> Self {
        let keys = vec![key().verifying_key().to_bytes()];
        Self { dir: tempfile::tempdir().unwrap(), keys, mode: Mode::Normal }
    }

    fn open(&self, slot: Option<Slot>) -> LifeBook {
        let limits = Limits { failures_max: 5, backoff: Duration::from_secs(600) };
        let life = Life::apart(self.dir.path().to_owned(), limits);
        let life = Life { slot, mode: self.mode, ..life };
        let start = StartConfig { limits, healthy: Duration::from_secs(1) };
        LifeBook::open(life, start, UpdateConfig { keys: self.keys.clone(), starts: 3 })
    }
}

fn denied(verdict: &CommandVerdict) -> &str {
    match verdict {
        CommandVerdict::Denied { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_order_lasts_and_the_same_again_is_the_same() {
    let bed = Bed::new();
    let book = bed.open(None);
    assert_eq!(book.report(), None, "nothing to tell");
    let rehearsal = Asked { is_rehearsal: true, ..asked(1, 1, 1) };
    assert_eq!(book.order(&rehearsal), (CommandVerdict::Done, None));
    assert_eq!(book.ordered(), None, "a rehearsal changes nothing");
    let (verdict, told) = book.order(&asked(1, 1, 1));
    assert_eq!(verdict, CommandVerdict::Scheduled);
    assert!(matches!(told, Some(EventKind::Update { step: UpdateStep::Ordered, .. })));
    let order = book.ordered().unwrap();
    let book = bed.open(None);
    assert_eq!(book.ordered(), Some(order));
    for again in [asked(1, 1, 1), asked(2, 1, 1)] {
        assert_eq!(book.order(&again), (CommandVerdict::Scheduled, None));
    }
    book.note(500, "waits for a contact");
    let update = book.report().unwrap().update.unwrap();
    assert_eq!(
        (update.have, update.bytes, update.reason.as_str()),
        (500, 1000, "waits for a contact")
    );
    assert_eq!(book.order(&asked(3, 2, 2)).0, CommandVerdict::Scheduled, "a newer one replaces it");
    assert_eq!(book.ordered().unwrap().program.sha256, [2; 32]);
}

#[test]
fn what_was_given_up_is_not_tried_again_by_the_same_command() {
    let bed = Bed::new();
    let book = bed.open(None);
    book.order(&asked(1, 1, 1));
    assert!(book.refuse(&book.ordered().unwrap(), "it is no program").unwrap());
    let book = bed.open(None);
    assert!(denied(&book.order(&asked(1, 1, 1)).0).contains("it is no program"));
    let told = book.untold().unwrap();
    assert!(matches!(told, EventKind::Update { step: UpdateStep::Refused, .. }), "{told:?}");
    book.told().unwrap();
    assert_eq!(bed.open(None).untold(), None);
    assert_eq!(book.order(&asked(2, 1, 1)).0, CommandVerdict::Scheduled, "another one asks again");
}

#[test]
fn without_keys_nothing_is_taken_and_nothing_older_silently() {
    let bed = Bed { keys: Vec::new(), ..Bed::new() };
    assert!(denied(&bed.open(None).order(&asked(1, 1, 1)).0).contains("names no key"));
    let book = Bed::new().open(None);
    assert!(denied(&book.order(&asked(1, 0, 1)).0).contains("other content"));
    assert_eq!(book.ordered(), None);
}

#[test]
fn safe_mode_is_told_and_left_by_an_operator_or_in_time() {
    let bed = Bed { mode: Mode::Safe { failed: 5 }, ..Bed::new() };
    let starts = Starts { failed: 6, ..Starts::default() };
    file::replace(&starts_file(bed.dir.path()), &starts).unwrap();
    let book = bed.open(None);
    assert_eq!(book.report().unwrap().safe_mode, Some(SafeMode { failed: 5, left_s: 600 }));
    book.waited(60).unwrap();
    book.proved().unwrap();
    assert_eq!(bed.open(None).safe_mode(), Some(SafeMode { failed: 5, left_s: 540 }));
    assert_eq!(book.resume(), (CommandVerdict::Done, true));
    book.ended().unwrap();
    let kept = file::read::<Starts>(&starts_file(bed.dir.path()));
    assert_eq!(kept, file::Kept::Value(Starts::default()), "its end does not count any more");
    let book = Bed::new().open(None);
    assert_eq!(book.resume(), (CommandVerdict::Done, false), "nothing to leave");
}
