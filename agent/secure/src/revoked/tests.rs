//! What counts as a signature, before and after a key was revoked.

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData as _, SigningKey as _};

use super::*;

const WORDS: &[u8] = b"words";

/// Whether any algorithm of fleets takes the signature of a key over some words.
fn counts(key: &KeyPair, words: &[u8]) -> bool {
    let signature = key.sign(WORDS).unwrap();
    let all = provider().signature_verification_algorithms.all;
    all.iter().any(|a| a.verify_signature(key.der_bytes(), words, &signature).is_ok())
}

#[test]
fn signatures_of_a_revoked_key_count_no_more_and_those_of_others_do() {
    let bad = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let good = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    assert!(counts(&bad, WORDS) && counts(&good, WORDS));
    assert!(!counts(&good, b"other words"));
    refuse([sha256(bad.der_bytes())]);
    assert!(is_refused(&sha256(bad.der_bytes())) && !is_refused(&sha256(good.der_bytes())));
    assert!(!counts(&bad, WORDS) && counts(&good, WORDS));
    // Nothing takes it back.
    refuse([]);
    assert!(!counts(&bad, WORDS));
}

#[test]
fn one_kind_of_signature_counts() {
    let provider = provider();
    let mapping = provider.signature_verification_algorithms.mapping;
    let schemes: Vec<_> = mapping.iter().map(|(scheme, _)| *scheme).collect();
    assert_eq!(schemes, [SignatureScheme::ECDSA_NISTP256_SHA256]);
    assert!(!provider.signature_verification_algorithms.all.is_empty());
    assert!(!counts(&KeyPair::generate_for(&PKCS_ED25519).unwrap(), WORDS));
}

#[test]
fn it_is_installed_once_and_again_is_no_error() {
    assert_eq!((install(), install()), (Ok(()), Ok(())));
}
