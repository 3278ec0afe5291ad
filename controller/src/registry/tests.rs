//! Tokens, certificates and revocations, step by step.

use super::*;

const ID: TokenId = TokenId([1; 8]);
const SECRET: Hash = Hash([2; 32]);
const KEY: Hash = Hash([3; 32]);
const OTHER_KEY: Hash = Hash([4; 32]);

fn name(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn token(node: &str) -> Token {
    Token { node: name(node), id: ID, secret: [0; 16], authority: [0; 32] }
}

fn grant(node: &str) -> Grant {
    Grant { name: name(node), addresses: vec!["10.0.0.1".to_owned()] }
}

fn certificate(node: &str, key: Hash, from_s: i64, until_s: i64) -> Certificate {
    Certificate { grant: grant(node), key, not_before_s: from_s, not_after_s: until_s }
}

/// A registry with one token, good from 100 to 200.
fn waiting() -> Registry {
    let mut registry = Registry::default();
    registry.grant(ID, (grant("sat-1"), SECRET), (100, 200)).unwrap();
    registry
}

#[test]
fn a_token_is_good_for_one_key_and_the_same_answer_again() {
    let mut registry = waiting();
    let redeem = |registry: &Registry, key| registry.redeem(&token("sat-1"), (SECRET, key), 150);
    assert_eq!(redeem(&registry, KEY), Ok(Redeemed::Grant(grant("sat-1"))));
    registry.issued(&[7], (certificate("sat-1", KEY, 150, 300), "PEM"), Some(ID));
    assert_eq!(redeem(&registry, KEY), Ok(Redeemed::Again("PEM".to_owned())));
    assert_eq!(redeem(&registry, OTHER_KEY), Err(JoinError::Used(name("sat-1"))));
    assert_eq!(
        registry.redeem(&token("sat-1"), (SECRET, KEY), 200),
        Err(JoinError::Expired(name("sat-1")))
    );
}

#[test]
fn who_does_not_know_the_secret_learns_nothing() {
    let registry = waiting();
    let unknown = Err(JoinError::Unknown);
    assert_eq!(registry.redeem(&token("sat-1"), (Hash([9; 32]), KEY), 150), unknown);
    assert_eq!(registry.redeem(&token("sat-1"), (Hash([9; 32]), KEY), 999), unknown);
    assert_eq!(registry.redeem(&token("sat-2"), (SECRET, KEY), 150), unknown, "another name");
    let other = Token { id: TokenId([5; 8]), ..token("sat-1") };
    assert_eq!(registry.redeem(&other, (SECRET, KEY), 150), unknown);
}

#[test]
fn a_certificate_is_renewed_by_its_own_holder_while_it_counts() {
    let mut registry = Registry::default();
    registry.issued(&[7], (certificate("sat-1", KEY, 100, 300), ""), None);
    let renewal = |registry: &Registry, node, serial: &[u8], key, at| {
        registry.renewal(&name(node), (serial, key), at)
    };
    assert_eq!(renewal(&registry, "sat-1", &[7], KEY, 250), Ok(grant("sat-1")));
    for (node, serial, key, at) in [
        ("sat-2", [7], KEY, 250),
        ("sat-1", [8], KEY, 250),
        ("sat-1", [7], OTHER_KEY, 250),
        ("sat-1", [7], KEY, 300),
    ] {
        let refused = Err(JoinError::OtherCertificate(name(node)));
        assert_eq!(renewal(&registry, node, &serial, key, at), refused);
    }
    for serial in 8..15 {
        registry.issued(&[serial], (certificate("sat-1", KEY, 100, 300), ""), None);
    }
    assert!(matches!(renewal(&registry, "sat-1", &[7], KEY, 250), Err(JoinError::TooMany(_))));
    registry.forget(300);
    assert_eq!(registry.until_s(&name("sat-1")), None);
}

#[test]
fn a_revoked_name_never_comes_back_and_neither_do_its_keys() {
    let mut registry = waiting();
    registry.issued(&[7], (certificate("sat-1", KEY, 100, 300), "PEM"), Some(ID));
    assert_eq!(registry.revoke(&name("sat-1"), 160), Ok(true));
    assert_eq!(registry.revoke(&name("sat-1"), 161), Ok(false));
    let revoked = || JoinError::Revoked(name("sat-1"));
    assert_eq!(registry.renewal(&name("sat-1"), (&[7], KEY), 170), Err(revoked()));
    assert_eq!(registry.redeem(&token("sat-1"), (SECRET, KEY), 170), Err(JoinError::Unknown));
    assert_eq!(registry.grant(ID, (grant("sat-1"), SECRET), (170, 200)), Err(revoked()));
    // Its key under another name, from the same stolen disk.
    registry.grant(ID, (grant("sat-2"), SECRET), (170, 400)).unwrap();
    let stolen = registry.redeem(&token("sat-2"), (SECRET, KEY), 180);
    assert_eq!(stolen, Err(JoinError::Revoked(name("sat-2"))));
    assert!(registry.redeem(&token("sat-2"), (SECRET, OTHER_KEY), 180).is_ok());
    registry.forget(1_000);
    assert!(registry.is_revoked(&name("sat-1")), "forgotten certificates stay revoked");
}

#[test]
fn members_are_those_of_the_configuration_without_the_revoked() {
    let mut registry = Registry::default();
    registry.issued(&[7], (certificate("sat-1", KEY, 0, 300), ""), None);
    let configured: BTreeMap<NodeId, Role> = [("ctl", Role::Controller), ("sat-1", Role::Node)]
        .map(|(node, role)| (name(node), role))
        .into();
    let before = registry.members(LeaderEpoch(4), &configured);
    assert_eq!(before.members.len(), 2);
    registry.revoke(&name("sat-1"), 10).unwrap();
    let after = registry.members(LeaderEpoch(4), &configured);
    assert!(after.is_newer_than(&before));
    assert_eq!(after.role("sat-1"), None);
    assert_eq!((after.revoked, after.keys), (vec![name("sat-1")], vec![KEY.0]));
    assert!(protocol::encode(&before).is_ok());
}

#[test]
fn it_reads_back_from_its_file_and_unknown_fields_are_refused() {
    let mut registry = waiting();
    registry.issued(&[7], (certificate("sat-1", KEY, 100, 300), "PEM"), Some(ID));
    registry.revoke(&name("sat-9"), 1).unwrap();
    let text = serde_json::to_string(&registry).unwrap();
    assert_eq!(serde_json::from_str::<Registry>(&text).unwrap(), registry);
    let other = text.replacen("\"serial\"", "\"new\":1,\"serial\"", 1);
    assert!(serde_json::from_str::<Registry>(&other).is_err());
}

#[test]
fn tokens_and_addresses_are_bounded() {
    let mut registry = Registry::default();
    for nth in 0..TOKENS_MAX {
        let id = TokenId(u64::try_from(nth).unwrap().to_be_bytes());
        registry.grant(id, (grant("sat-1"), SECRET), (0, 100)).unwrap();
    }
    let one_more = |registry: &mut Registry, at| {
        registry.grant(TokenId([0xff; 8]), (grant("sat-1"), SECRET), (at, 200))
    };
    assert!(matches!(one_more(&mut registry, 50), Err(JoinError::TooMany(_))));
    assert_eq!(one_more(&mut registry, 100), Ok(()), "the others have expired");
    let wide = Grant { addresses: vec![String::new(); ADDRESSES_MAX + 1], ..grant("sat-1") };
    let refused = registry.grant(ID, (wide, SECRET), (100, 200));
    assert!(matches!(refused, Err(JoinError::TooMany(_))));
}
