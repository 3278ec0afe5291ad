//! Signed manifests, and who may sign: the bytes that a signature is over, and the list of keys that a fleet trusts.
//!
//! Nothing here computes a hash or a signature: who signs and who checks does, over [`SignedManifest::signed_bytes`].

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::{Epoch, KeyName, LeaderEpoch};

use crate::codec::{DecodeError, Message, Schema, decode};
use crate::manifest::Manifest;

/// Stands before the bytes of a manifest when they are signed, so that a signature that was given for anything else is
/// none for a function.
pub const FUNCTION_DOMAIN: &[u8] = b"starbelt-fn-v1";
/// Most keys that a fleet trusts.
pub const SIGNERS_MAX: usize = 64;
/// Most keys that a fleet remembers as revoked; they are never forgotten.
pub const REVOKED_MAX: usize = 1024;

/// Names a public key: the first 8 bytes of its SHA-256, printed as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

/// Text that is no key id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no key id: 16 hexadecimal digits, as `starbelt key ls` lists them")]
pub struct InvalidKeyId(pub String);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl core::str::FromStr for KeyId {
    type Err = InvalidKeyId;

    fn from_str(text: &str) -> Result<Self, InvalidKeyId> {
        let refused = || InvalidKeyId(text.chars().take(64).collect());
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| is_hex);
        number.map(|number| Self(number.to_be_bytes())).ok_or_else(refused)
    }
}

impl Serialize for KeyId {
    /// Digits for people, bytes for machines.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            <[u8; 8]>::deserialize(deserializer).map(Self)
        }
    }
}

/// An ed25519 signature, in its two halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The first 32 bytes.
    pub r: [u8; 32],
    /// The last 32 bytes.
    pub s: [u8; 32],
}

impl Signature {
    /// From the 64 bytes.
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let (mut r, mut s) = ([0; 32], [0; 32]);
        r.copy_from_slice(&bytes[..32]);
        s.copy_from_slice(&bytes[32..]);
        Self { r, s }
    }

    /// The 64 bytes.
    pub fn to_bytes(self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.r);
        bytes[32..].copy_from_slice(&self.s);
        bytes
    }
}

/// A manifest as it was signed. Believe nothing in it before the signature was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedManifest {
    /// The frame of the manifest, byte for byte.
    #[serde(with = "serde_bytes")]
    pub manifest: Vec<u8>,
    /// Who signed; the manifest names the same key.
    pub key: KeyId,
    /// Over [`SignedManifest::signed_bytes`].
    pub signature: Signature,
}

impl SignedManifest {
    /// What is signed for a manifest: the domain, then its frame.
    pub fn signed_bytes(manifest: &[u8]) -> Vec<u8> {
        [FUNCTION_DOMAIN, manifest].concat()
    }

    /// Reads the manifest. Only for whoever has checked the signature.
    ///
    /// # Errors
    /// [`DecodeError`] for bytes that are no manifest.
    pub fn open(&self) -> Result<Manifest, DecodeError> {
        decode(&self.manifest)
    }
}

impl Message for SignedManifest {
    const SCHEMA: Schema = Schema::SignedManifest;
    const BYTES_MAX: usize = Manifest::BYTES_MAX + 128;

    fn validate(&self) -> Result<(), &'static str> {
        let fits = self.manifest.len() <= Manifest::BYTES_MAX;
        fits.then_some(()).ok_or("a manifest has at most 128 KiB")
    }
}

/// Whose signatures a fleet takes. The controller keeps it, nodes remember the newest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signers {
    /// The controller's incarnation; a list of a lower one is refused.
    pub epoch: LeaderEpoch,
    /// Counts changes; a lower one of the same epoch is refused.
    pub serial: u64,
    /// The wall clock of the controller when it last changed: a clock that shows less is behind.
    pub at: Epoch,
    /// Keys whose signatures count, unless they are revoked.
    pub trusted: Vec<Signer>,
    /// Keys that never count again, whatever a later list says.
    pub revoked: Vec<KeyId>,
}

/// A key that is trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// Who that is, for people.
    pub name: KeyName,
    /// The ed25519 public key.
    pub key: [u8; 32],
}

impl Message for Signers {
    const SCHEMA: Schema = Schema::Signers;
    const BYTES_MAX: usize = 32 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        if SIGNERS_MAX < self.trusted.len() {
            return Err("a fleet trusts at most 64 keys");
        }
        if REVOKED_MAX < self.revoked.len() {
            return Err("a fleet revokes at most 1024 keys");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn a_key_id_is_16_digits() {
        let id: KeyId = "00ff0123456789ab".parse().unwrap();
        assert_eq!(id.to_string(), "00ff0123456789ab");
        for bad in
            ["", "00ff0123456789a", "00ff0123456789abc", "+0ff0123456789ab", "not hexadecimal!"]
        {
            assert_eq!(bad.parse::<KeyId>(), Err(InvalidKeyId(bad.to_string())));
        }
    }

    #[test]
    fn a_signature_keeps_its_halves_in_order() {
        let mut bytes = [0; 64];
        for (at, byte) in (0_u8..).zip(&mut bytes) {
            *byte = at;
        }
        assert_eq!(Signature::from_bytes(&bytes).to_bytes(), bytes);
    }
}
