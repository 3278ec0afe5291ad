//! Judges releases: who signed, for which processor, and whether it is newer than what runs. Pure; keys come from the configuration.

use ed25519_dalek::{Signature, VerifyingKey};
use protocol::release::{Release, SignedRelease};
use protocol::signed::KeyId;
use protocol::{DecodeError, decode};
use sha2::{Digest as _, Sha256};
use types::Arch;

/// The processor that this was built for.
pub const OWN_ARCH: Arch = if cfg!(target_arch = "aarch64") {
    Arch::Arm64
} else if cfg!(target_arch = "arm") {
    Arch::Armv7
} else if cfg!(target_arch = "riscv64") {
    Arch::Riscv64
} else {
    Arch::X86_64
};

/// Why a release is not taken.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Nobody may update this node.
    #[error(
        "this node takes no updates: its configuration names no key (update.keys in agent.toml)"
    )]
    NoKeys,
    /// It is none.
    #[error("the release is refused: {0}")]
    Malformed(#[from] DecodeError),
    /// Nobody trusts the key.
    #[error("the release is signed with key {0}, which update.keys of this node does not name")]
    UnknownKey(KeyId),
    /// The bytes were not signed with that key, or not as a release.
    #[error("the release was not signed with key {0}, or was changed since")]
    BadSignature(KeyId),
    /// Release and signature name different keys.
    #[error("the release names key {named}, it is signed with {signed}")]
    OtherKey {
        /// In the release.
        named: KeyId,
        /// Beside the signature.
        signed: KeyId,
    },
    /// For another processor.
    #[error("the program is for {is:?}, this node is {should:?}")]
    OtherArch {
        /// That of the release.
        is: Arch,
        /// That of this node.
        should: Arch,
    },
    /// It is older than what runs, or than what ran.
    #[error(
        "number {number} is lower than {seen}, which runs or ran here; a release that may be older is signed so (--may-be-older)"
    )]
    Older {
        /// Its number.
        number: u64,
        /// The highest that was kept, or that of what runs.
        seen: u64,
    },
    /// Something else has that number.
    #[error(
        "number {0} is that of the program that runs, with other content; build it again, or sign it with --may-be-older"
    )]
    SameNumber(u64),
}

/// What a release is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// The number of the program that runs.
    pub running: u64,
    /// The highest that was ever kept.
    pub floor: u64,
    /// The processor.
    pub arch: Arch,
}

/// Reads a release, if it was signed with one of the keys.
///
/// # Errors
/// [`Refusal`] with the first check that fails.
pub fn open(frame: &[u8], keys: &[[u8; 32]]) -> Result<Release, Refusal> {
    if keys.is_empty() {
        return Err(Refusal::NoKeys);
    }
    let signed: SignedRelease = decode(frame)?;
    let id = signed.key;
    let key = keys.iter().find(|key| key_id(key) == id).ok_or(Refusal::UnknownKey(id))?;
    let key = VerifyingKey::from_bytes(key).ok().filter(|key| !key.is_weak());
    let key = key.ok_or(Refusal::UnknownKey(id))?;
    let signature = Signature::from_bytes(&signed.signature.to_bytes());
    key.verify_strict(&SignedRelease::signed_bytes(&signed.release), &signature)
        .map_err(|_wrong| Refusal::BadSignature(id))?;
    let release = signed.open()?;
    if release.key != id {
        return Err(Refusal::OtherKey { named: release.key, signed: id });
    }
    Ok(release)
}

/// Whether a release may take the place of what runs.
///
/// # Errors
/// [`Refusal`] with the first check that fails.
pub fn admit(release: &Release, standing: &Standing) -> Result<(), Refusal> {
    if release.arch != standing.arch {
        return Err(Refusal::OtherArch { is: release.arch, should: standing.arch });
    }
    if release.may_be_older {
        return Ok(());
    }
    let (number, seen) = (release.number, standing.running.max(standing.floor));
    if number == standing.running {
        return Err(Refusal::SameNumber(number));
    }
    if number <= seen {
        return Err(Refusal::Older { number, seen });
    }
    Ok(())
}

/// Whether 32 bytes are a key that can be trusted.
pub fn is_key(bytes: &[u8; 32]) -> bool {
    VerifyingKey::from_bytes(bytes).is_ok_and(|key| !key.is_weak())
}

/// The id of a public key: the first 8 bytes of its SHA-256.
pub fn key_id(public: &[u8; 32]) -> KeyId {
    let hash: [u8; 32] = Sha256::digest(public).into();
    let mut id = [0; 8];
    id.copy_from_slice(&hash[..8]);
    KeyId(id)
}

#[cfg(test)]
mod tests;
