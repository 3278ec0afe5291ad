//! Whose functions this node runs: the list of signers, the highest version of each function, and the checks that a signed
//! manifest passes before anything is fetched, compiled or run for it. All of it outlives the process.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use ed25519_dalek::{Signature, VerifyingKey};
use protocol::desired::FunctionRef;
use protocol::manifest::Manifest;
use protocol::signed::{KeyId, REVOKED_MAX, SignedManifest, Signers};
use protocol::{DecodeError, decode, encode};
use sha2::{Digest as _, Sha256};
use types::{Epoch, FunctionId, WallTime};

use super::grants::{Grants, Validity};
use super::{locked, world};
use crate::state::{StateError, StateService};

/// The record of the newest list of signers, as its frame.
const SIGNERS: &str = "signers";
/// The record of the moment that is surely over: 8 bytes, nanoseconds since 1970, little-endian.
const FLOOR: &str = "clock-floor";
/// What stands before the name of a function in its record: its highest version, 8 bytes, little-endian, and the SHA-256 of
/// the signed manifest of that version.
const FUNCTION: &str = "function/";
/// When this program was built, in seconds since 1970.
const BUILT_AT_S: &str = env!("STARBELT_BUILT_AT_S");

/// Why a function is not run.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The bytes are no signed manifest, or not the one that was asked for.
    #[error("its signed manifest is not the one that was asked for")]
    OtherManifest,
    /// The manifest is none.
    #[error("its manifest is refused: {0}")]
    Manifest(#[from] DecodeError),
    /// Nobody trusts the key.
    #[error("it is signed with key {0}, which is not trusted")]
    UnknownKey(KeyId),
    /// The key was revoked.
    #[error("it is signed with key {0}, which was revoked")]
    RevokedKey(KeyId),
    /// The bytes were not signed with that key, or not as a function.
    #[error("it was not signed with key {0}, or was changed since")]
    BadSignature(KeyId),
    /// Manifest and signature name different keys.
    #[error("its manifest names key {named}, it is signed with {signed}")]
    OtherKey {
        /// In the manifest.
        named: KeyId,
        /// Beside the signature.
        signed: KeyId,
    },
    /// It is signed for another function or another component.
    #[error("its manifest is that of another function or component ({0})")]
    OtherFunction(FunctionId),
    /// A newer one was seen.
    #[error("version {version} is lower than {seen}, which was seen here")]
    Rollback {
        /// Its version.
        version: u64,
        /// The highest so far.
        seen: u64,
    },
    /// Something else has that version.
    #[error("version {0} was seen here with other content")]
    OtherContent(u64),
    /// Its time has not come.
    #[error("it is valid from {not_before} on, it is {now}")]
    NotYet {
        /// From when on.
        not_before: Epoch,
        /// What this node takes for the time.
        now: Epoch,
    },
    /// Its time is over.
    #[error("it was valid until {not_after}, it is {now}")]
    Expired {
        /// Until when.
        not_after: Epoch,
        /// What this node takes for the time.
        now: Epoch,
    },
    /// It was built against another contract.
    #[error("it was built against another contract than that of this node")]
    OtherWorld,
    /// The store failed.
    #[error("it cannot be remembered: {0}")]
    Store(#[from] StateError),
}

/// Why a list of signers is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// A newer one is known.
    #[error("it is older than the one that is known")]
    Stale,
    /// Too many keys were revoked, by this list and those before.
    #[error("with it more than {REVOKED_MAX} keys were revoked")]
    TooMany,
    /// The store failed.
    #[error("it cannot be remembered: {0}")]
    Store(#[from] StateError),
    /// It cannot be written.
    #[error(transparent)]
    Encode(#[from] protocol::EncodeError),
}

/// What this node remembers of trust; clones are handles to the same.
#[derive(Clone, Debug)]
pub struct TrustBook {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: StateService,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// None came yet: nobody is trusted.
    signers: Option<Signers>,
    /// What the wall clock surely shows: the greatest of build time, the times of lists, and what signers vouched for.
    floor: Epoch,
}

impl TrustBook {
    /// What earlier starts left.
    ///
    /// # Errors
    /// [`StateError`] when the store fails. A list that cannot be read counts as none: nobody is trusted then.
    pub fn open(state: StateService) -> Result<Self, StateError> {
        let signers = state.load_record(SIGNERS)?.and_then(|frame| {
            let signers = decode::<Signers>(&frame);
            signers.inspect_err(|error| tracing::error!(%error, "signers cannot be read")).ok()
        });
        let floor = state.load_record(FLOOR)?;
        let floor = floor.and_then(|bytes| Some(i64::from_le_bytes(bytes.try_into().ok()?)));
        let mut known = Known { signers, floor: built_at() };
        known.raise(floor.map_or(known.floor, Epoch::from_unix_ns));
        if let Some(at) = known.signers.as_ref().map(|signers| signers.at) {
            known.raise(at);
        }
        Ok(Self { inner: Arc::new(Inner { state, known: Mutex::new(known) }) })
    }

    /// Takes a list of signers, durably; says whether it is another one. Blocks for one sync.
    ///
    /// # Errors
    /// [`ListError`]; the one before stays then.
    pub fn take(&self, mut list: Signers) -> Result<bool, ListError> {
        let mut known = locked(&self.inner.known);
        if let Some(old) = &known.signers {
            if (list.epoch, list.serial) < (old.epoch, old.serial) {
                return Err(ListError::Stale);
            }
            let revoked: BTreeSet<KeyId> =
                old.revoked.iter().chain(&list.revoked).copied().collect();
            list.revoked = revoked.into_iter().collect();
            if REVOKED_MAX < list.revoked.len() {
                return Err(ListError::TooMany);
            }
            if list == *old {
                return Ok(false);
            }
        }
        self.inner.state.save_record(SIGNERS, &encode(&list)?)?;
        let is_other = known
            .signers
            .as_ref()
            .is_none_or(|old| (&old.trusted, &old.revoked) != (&list.trusted, &list.revoked));
        known.raise(list.at);
        known.signers = Some(list);
        Ok(is_other)
    }

    /// Checks a signed manifest in the order of the contract, and remembers its version. Blocks for a sync if that is new.
    ///
    /// # Errors
    /// [`Refusal`] with the first check that fails.
    pub fn admit(
        &self,
        function: &FunctionRef,
        signed: &[u8],
        wall: WallTime,
    ) -> Result<Manifest, Refusal> {
        if sha256(signed) != function.manifest {
            return Err(Refusal::OtherManifest);
        }
        let signed: SignedManifest = decode(signed)?;
        // Held until the version is durable, so that of two the higher one stays.
        let mut known = locked(&self.inner.known);
        let manifest = known.open(&signed)?;
        if manifest.name != function.name || manifest.sha256 != function.sha256 {
            return Err(Refusal::OtherFunction(manifest.name));
        }
        let is_new = self.is_new(&manifest, &function.manifest)?;
        known.is_in_time(Validity::of(&manifest), Epoch::from_unix_ns(wall.0))?;
        if !manifest.fits_world(&world::hash()) {
            return Err(Refusal::OtherWorld);
        }
        if is_new {
            let record = [&manifest.version.to_le_bytes()[..], &function.manifest].concat();
            self.inner.state.save_record(&format!("{FUNCTION}{}", manifest.name), &record)?;
        }
        if let Some(not_before) = manifest.not_before.filter(|at| known.floor < *at) {
            self.inner.state.save_record(FLOOR, &not_before.unix_ns().to_le_bytes())?;
            known.raise(not_before);
        }
        Ok(manifest)
    }

    /// Checks the signed manifest of a function that runs on another node, with which that one vouches for a call of it. Nothing is
    /// remembered: whoever calls does not decide which versions may run here.
    ///
    /// # Errors
    /// [`Refusal`] with the first check that fails.
    pub fn vouch(&self, signed: &[u8], wall: WallTime) -> Result<Manifest, Refusal> {
        let hash = sha256(signed);
        let signed: SignedManifest = decode(signed)?;
        let known = locked(&self.inner.known);
        let manifest = known.open(&signed)?;
        self.is_new(&manifest, &hash)?;
        known.is_in_time(Validity::of(&manifest), Epoch::from_unix_ns(wall.0))?;
        Ok(manifest)
    }

    /// Whether a function that was admitted may still be started: its key counts, and its time is not over. Never blocks.
    ///
    /// # Errors
    /// [`Refusal`] with what has changed since.
    pub fn may_start(&self, grants: &Grants, wall: WallTime) -> Result<(), Refusal> {
        let known = locked(&self.inner.known);
        known.signer(grants.key)?;
        known.is_in_time(grants.validity, Epoch::from_unix_ns(wall.0))
    }

    /// Whether a version is higher than any before.
    fn is_new(&self, manifest: &Manifest, sha256: &[u8; 32]) -> Result<bool, Refusal> {
        let record = self.inner.state.load_record(&format!("{FUNCTION}{}", manifest.name))?;
        let Some((seen, hash)) = record.as_ref().and_then(|bytes| bytes.split_first_chunk::<8>())
        else {
            return Ok(true);
        };
        let (version, seen) = (manifest.version, u64::from_le_bytes(*seen));
        if version < seen {
            return Err(Refusal::Rollback { version, seen });
        }
        if version == seen && hash != sha256 {
            return Err(Refusal::OtherContent(version));
        }
        Ok(seen < version)
    }
}

impl Known {
    fn raise(&mut self, at: Epoch) {
        self.floor = self.floor.max(at);
    }

    /// Reads a manifest, if its signature counts.
    fn open(&self, signed: &SignedManifest) -> Result<Manifest, Refusal> {
        let id = signed.key;
        let key = VerifyingKey::from_bytes(self.signer(id)?).ok();
        let key = key.filter(|key| !key.is_weak()).ok_or(Refusal::UnknownKey(id))?;
        let signature = Signature::from_bytes(&signed.signature.to_bytes());
        key.verify_strict(&SignedManifest::signed_bytes(&signed.manifest), &signature)
            .map_err(|_wrong| Refusal::BadSignature(id))?;
        let manifest = signed.open()?;
        if manifest.key != id {
            return Err(Refusal::OtherKey { named: manifest.key, signed: id });
        }
        Ok(manifest)
    }

    /// The public key of that id, if its signatures count.
    fn signer(&self, id: KeyId) -> Result<&[u8; 32], Refusal> {
        let signers = self.signers.as_ref().ok_or(Refusal::UnknownKey(id))?;
        if signers.revoked.contains(&id) {
            return Err(Refusal::RevokedKey(id));
        }
        let signer = signers.trusted.iter().find(|signer| key_id(&signer.key) == id);
        signer.map(|signer| &signer.key).ok_or(Refusal::UnknownKey(id))
    }

    fn is_in_time(&self, validity: Validity, wall: Epoch) -> Result<(), Refusal> {
        let now = wall.max(self.floor);
        if let Some(not_before) = validity.not_before.filter(|from| now < *from) {
            return Err(Refusal::NotYet { not_before, now });
        }
        if let Some(not_after) = validity.not_after.filter(|until| *until < now) {
            return Err(Refusal::Expired { not_after, now });
        }
        Ok(())
    }
}

/// When this program was built.
pub fn built_at() -> Epoch {
    let built = BUILT_AT_S.parse().ok().and_then(Epoch::from_unix_s);
    built.unwrap_or(Epoch::from_unix_ns(0))
}

/// The id of a public key: the first 8 bytes of its SHA-256.
fn key_id(public: &[u8; 32]) -> KeyId {
    let mut id = [0; 8];
    id.copy_from_slice(&sha256(public)[..8]);
    KeyId(id)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests;
