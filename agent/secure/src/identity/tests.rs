//! What is kept, what is refused, and that a refusal changes nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use protocol::join::{Member, Role};
use tempfile::tempdir;
use types::LeaderEpoch;

use super::*;
use crate::made::{Authority, content, name, nobody};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_joining_kept_is_loaded_and_the_key_is_its_owners() {
    let dir = tempdir().unwrap();
    let dir = dir.path().join("identity");
    let joined = Authority::new().joined(&dir, "sat-1");
    let loaded = Identity::load(&dir).unwrap();
    assert_eq!(loaded.facts, joined.facts);
    assert_eq!((loaded.authority, loaded.members), (joined.authority, nobody(0)));
    assert_eq!(loaded.facts.name, name("sat-1"));
    assert_eq!((mode(&dir), mode(&joined.paths.key)), (0o700, 0o600));
}

#[test]
fn nobody_joins_twice_in_one_folder_but_a_try_is_continued_with_its_key() {
    let dir = tempdir().unwrap();
    let none = Identity::load(dir.path()).unwrap_err();
    assert!(matches!(none, IdentityError::None { .. }));
    assert!(none.to_string().contains("starbelt-agent join"), "{none}");
    let (first, again) = (key_to_join(dir.path()).unwrap(), key_to_join(dir.path()).unwrap());
    assert_eq!(first.der_bytes(), again.der_bytes());
    Authority::new().joined(dir.path(), "sat-1");
    let twice = key_to_join(dir.path()).unwrap_err();
    assert!(matches!(&twice, IdentityError::Exists { name, .. } if name == "sat-1"), "{twice}");
}

#[test]
fn a_key_that_others_read_or_that_is_anothers_is_refused() {
    let dir = tempdir().unwrap();
    let joined = Authority::new().joined(dir.path(), "sat-1");
    for open in [0o640, 0o604, 0o666] {
        fs::set_permissions(&joined.paths.key, Permissions::from_mode(open)).unwrap();
        let said = Identity::load(dir.path()).unwrap_err().to_string();
        assert!(said.contains("chmod 600") && said.contains(&format!("{open:o}")), "{said}");
    }
    let other = KeyPair::generate().unwrap();
    replace(&joined.paths.key, 0o600, other.serialize_pem().as_bytes()).unwrap();
    let said = Identity::load(dir.path()).unwrap_err().to_string();
    assert!(said.contains("is not the key of node.pem"), "{said}");
    replace(&joined.paths.key, 0o600, b"-----BEGIN NOTHING-----").unwrap();
    let said = Identity::load(dir.path()).unwrap_err().to_string();
    assert!(said.contains("holds no key"), "{said}");
}

#[test]
fn damaged_files_are_named() {
    let dir = tempdir().unwrap();
    let joined = Authority::new().joined(dir.path(), "sat-1");
    let Paths { certificate, authority, members, .. } = joined.paths;
    for (file, content) in [
        (&members, vec![0; 9]),
        (&members, vec![7; usize::try_from(FILE_BYTES_MAX).unwrap() + 1]),
        (&authority, b"no certificate".to_vec()),
        (&certificate, vec![0xff; 12]),
    ] {
        let before = fs::read(file).unwrap();
        fs::write(file, content).unwrap();
        let said = Identity::load(dir.path()).unwrap_err().to_string();
        assert!(said.starts_with(&file.display().to_string()), "{said}");
        fs::write(file, before).unwrap();
    }
    Identity::load(dir.path()).expect("all is as before");
}

#[test]
fn the_next_certificate_is_of_the_same_key_and_name() {
    let dir = tempdir().unwrap();
    let authority = Authority::new();
    let mut joined = authority.joined(dir.path(), "sat-1");
    let key = read_key(&joined.paths.key).unwrap();
    let before = content(dir.path());
    let other_key = authority.sign("sat-1", &KeyPair::generate().unwrap());
    for wrong in [authority.sign("sat-2", &key), other_key, "PEM".to_owned()] {
        joined.keep_certificate(&wrong).unwrap_err();
        assert_eq!(content(dir.path()), before);
    }
    let next = authority.sign("sat-1", &key);
    joined.keep_certificate(&next).unwrap();
    assert_eq!(fs::read_to_string(&joined.paths.certificate).unwrap(), next);
    assert_eq!(Identity::load(dir.path()).unwrap().facts, joined.facts);
}

#[test]
fn the_certificate_of_another_is_not_kept() {
    let dir = tempdir().unwrap();
    let authority = Authority::new();
    let key = key_to_join(dir.path()).unwrap();
    let before = content(dir.path());
    let other_key = authority.sign("sat-1", &KeyPair::generate().unwrap());
    for wrong in [authority.sign("sat-2", &key), other_key] {
        let what = (wrong.as_str(), authority.text.as_str());
        keep_joined(dir.path(), (&name("sat-1"), &key), what, &nobody(0)).unwrap_err();
        assert_eq!(content(dir.path()), before);
    }
}

#[test]
fn revocations_are_united_and_older_lists_bring_nobody_back() {
    let dir = tempdir().unwrap();
    let mut joined = Authority::new().joined(dir.path(), "sat-1");
    let member = Member { name: name("sat-1"), role: Role::Node };
    let first = Members { members: vec![member.clone()], keys: vec![[1; 32]], ..nobody(3) };
    assert!(joined.keep_members(first.clone()).unwrap(), "who belongs to the fleet has changed");
    assert!(!joined.keep_members(first.clone()).unwrap(), "the same again");
    // Older, of an older incarnation: only what it revokes counts.
    let older = Members { revoked: vec![name("sat-9")], keys: vec![[2; 32]], ..nobody(2) };
    assert!(!joined.keep_members(older).unwrap(), "nobody has come or gone");
    let restored = Members { epoch: LeaderEpoch(2), ..Members { serial: 0, ..first } };
    assert!(!joined.keep_members(restored).unwrap(), "the same members");
    let kept = Identity::load(dir.path()).unwrap().members;
    assert_eq!(kept, joined.members);
    let revoked = Members { revoked: vec![name("sat-1")], ..nobody(9) };
    let revoked = Members { epoch: LeaderEpoch(2), ..revoked };
    assert!(!joined.keep_members(revoked).unwrap(), "a revocation needs no new start");
    let gone = Members { epoch: LeaderEpoch(2), ..nobody(10) };
    assert!(!joined.keep_members(gone).unwrap(), "it counts still");
    assert_eq!((kept.epoch, kept.members), (LeaderEpoch(2), vec![member]));
    assert_eq!((kept.revoked, kept.keys), (vec![name("sat-9")], vec![[1; 32], [2; 32]]));
}

#[test]
fn a_file_is_replaced_whole_and_with_its_mode_whatever_a_crash_left() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("node.key");
    let left = dir.path().join(".node.key.new");
    fs::write(&left, "half").unwrap();
    fs::set_permissions(&left, Permissions::from_mode(0o666)).unwrap();
    replace(&file, 0o600, b"whole").unwrap();
    assert_eq!((fs::read(&file).unwrap(), mode(&file)), (b"whole".to_vec(), 0o600));
    assert!(!left.exists());
    // Nowhere to write: the old one stays.
    fs::create_dir(&left).unwrap();
    replace(&file, 0o600, b"newer").unwrap_err();
    assert_eq!(fs::read(&file).unwrap(), b"whole");
}
