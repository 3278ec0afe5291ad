//! Keys that never count again: whatever is signed with one is no signature, in any handshake of this process.
//!
//! Zenoh reads no list of revoked certificates. What it does use is the process's default provider of cryptography, so
//! that one is set before any session opens: the same as always, but it checks only the kind of signature that fleets
//! use (ECDSA over P-256 with SHA-256), and none of a revoked key. This takes effect at once, without a restart.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use rustls::SignatureScheme;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

use crate::x509::sha256;

/// Hashes of the bits of public keys.
static REVOKED: RwLock<BTreeSet<[u8; 32]>> = RwLock::new(BTreeSet::new());

/// Another provider of cryptography was there first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cryptography of this process was set by something else, so that revoked keys could not be refused"
)]
pub struct OtherProvider;

/// Lets this process check signatures as fleets do. Done once, before any session opens; again is no error.
///
/// # Errors
/// [`OtherProvider`] when something else has set another one.
pub fn install() -> Result<(), OtherProvider> {
    static INSTALLED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    let is_ours = *INSTALLED.get_or_init(|| provider().install_default().is_ok());
    is_ours.then_some(()).ok_or(OtherProvider)
}

/// Never takes a signature of these keys again.
pub fn refuse(keys: impl IntoIterator<Item = [u8; 32]>) {
    REVOKED.write().unwrap_or_else(PoisonError::into_inner).extend(keys);
}

/// Whether signatures of a key, by the hash of its bits, are refused.
pub fn is_refused(key: &[u8; 32]) -> bool {
    REVOKED.read().unwrap_or_else(PoisonError::into_inner).contains(key)
}

/// What fleets use: *ring*, with one kind of signature.
pub fn provider() -> CryptoProvider {
    let ring = ring::default_provider();
    CryptoProvider { signature_verification_algorithms: algorithms(&ring), ..ring }
}

#[derive(Debug)]
struct Refusing(&'static dyn SignatureVerificationAlgorithm);

impl SignatureVerificationAlgorithm for Refusing {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        if is_refused(&sha256(public_key)) {
            return Err(InvalidSignature);
        }
        self.0.verify_signature(public_key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.0.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.0.signature_alg_id()
    }
}

/// Made once and kept for as long as the process lives, as rustls wants them.
fn algorithms(ring: &CryptoProvider) -> WebPkiSupportedAlgorithms {
    static MADE: std::sync::OnceLock<WebPkiSupportedAlgorithms> = std::sync::OnceLock::new();
    *MADE.get_or_init(|| {
        let scheme = SignatureScheme::ECDSA_NISTP256_SHA256;
        let known = ring.signature_verification_algorithms.mapping;
        let wrapped = known.iter().filter(|(known, _)| *known == scheme).flat_map(|(_, all)| *all);
        let wrapped = wrapped.map(|algorithm| -> &'static dyn SignatureVerificationAlgorithm {
            Box::leak(Box::new(Refusing(*algorithm)))
        });
        let all: &'static [_] = Vec::leak(wrapped.collect());
        WebPkiSupportedAlgorithms { all, mapping: Vec::leak(vec![(scheme, all)]) }
    })
}

#[cfg(test)]
mod tests;
