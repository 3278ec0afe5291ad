//! What is refused, and why.

use super::*;
use ed25519_dalek::{Signer as _, SigningKey};
use protocol::encode;
use protocol::signed::{FUNCTION_DOMAIN, Signature as Halves};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> [u8; 32] {
    key(seed).verifying_key().to_bytes()
}

fn release(number: u64) -> Release {
    Release {
        number,
        version: "0.3.1".to_owned(),
        arch: Arch::Arm64,
        sha256: [7; 32],
        bytes: 1000,
        key: key_id(&public(1)),
        may_be_older: false,
    }
}

fn signed_over(release: &Release, domain: &[u8], seed: u8) -> SignedRelease {
    let release = encode(release).unwrap();
    let signature = key(seed).sign(&[domain, &release].concat()).to_bytes();
    SignedRelease { release, key: key_id(&public(seed)), signature: Halves::from_bytes(&signature) }
}

fn signed(release: &Release) -> SignedRelease {
    signed_over(release, protocol::release::RELEASE_DOMAIN, 1)
}

#[test]
fn only_what_a_named_key_signed_as_a_release_is_read() {
    let frame = |signed: &SignedRelease| encode(signed).unwrap();
    let good = signed(&release(9));
    assert_eq!(open(&frame(&good), &[public(2), public(1)]), Ok(release(9)));
    assert_eq!(open(&frame(&good), &[]), Err(Refusal::NoKeys));
    let id = key_id(&public(1));
    assert_eq!(open(&frame(&good), &[public(2)]), Err(Refusal::UnknownKey(id)));
    assert!(matches!(open(b"\x01\x2a", &[public(1)]), Err(Refusal::Malformed(_))));
    let as_function = signed_over(&release(9), FUNCTION_DOMAIN, 1);
    assert_eq!(open(&frame(&as_function), &[public(1)]), Err(Refusal::BadSignature(id)));
    let of_another = signed_over(&release(9), protocol::release::RELEASE_DOMAIN, 2);
    let named = Refusal::OtherKey { named: id, signed: key_id(&public(2)) };
    assert_eq!(open(&frame(&of_another), &[public(1), public(2)]), Err(named));
    let claimed = SignedRelease { key: id, ..of_another };
    assert_eq!(open(&frame(&claimed), &[public(1)]), Err(Refusal::BadSignature(id)));
    // A key with which everything counts as signed.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let weak = SignedRelease { key: key_id(&neutral), ..good };
    assert!(matches!(open(&frame(&weak), &[neutral]), Err(Refusal::UnknownKey(_))));
}

#[test]
fn one_turned_bit_anywhere_is_refused() {
    let good = encode(&signed(&release(9))).unwrap();
    for at in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[at / 8] ^= 1 << (at % 8);
        assert!(open(&bad, &[public(1)]).is_err(), "bit {at}");
    }
}

#[test]
fn a_release_is_newer_than_what_runs_or_signed_as_one_that_may_be_older() {
    let standing = Standing { running: 10, floor: 12, arch: Arch::Arm64 };
    assert_eq!(admit(&release(13), &standing), Ok(()));
    assert_eq!(admit(&release(12), &standing), Err(Refusal::Older { number: 12, seen: 12 }));
    assert_eq!(admit(&release(9), &standing), Err(Refusal::Older { number: 9, seen: 12 }));
    assert_eq!(admit(&release(10), &standing), Err(Refusal::SameNumber(10)));
    for number in [9, 10, 12] {
        assert_eq!(admit(&Release { may_be_older: true, ..release(number) }, &standing), Ok(()));
    }
    let other = Refusal::OtherArch { is: Arch::Armv7, should: Arch::Arm64 };
    let armv7 = Release { arch: Arch::Armv7, may_be_older: true, ..release(13) };
    assert_eq!(admit(&armv7, &standing), Err(other));
}
