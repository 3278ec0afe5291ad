//! Whose signatures the fleet takes, and the highest version of each function that was ever seen.

use std::collections::{BTreeMap, BTreeSet};

use protocol::signed::{KeyId, REVOKED_MAX, SIGNERS_MAX, Signer, Signers};
use serde::{Deserialize, Serialize};
use types::{Epoch, FunctionId, KeyName, LeaderEpoch};

use crate::deploy::PushError;
use crate::hex::{read_hex, write_hex};
use crate::keys::{is_public_key, key_id};

/// Why a key is not trusted or revoked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// It is none.
    #[error("these 32 bytes are no ed25519 public key")]
    NoKey,
    /// It was revoked.
    #[error("key {0} was revoked and stays so; make another one (starbelt key new NAME)")]
    Revoked(KeyId),
    /// Nobody knows it.
    #[error("there is no key {id}; trusted: {known}")]
    Unknown {
        /// Which.
        id: KeyId,
        /// The trusted ones.
        known: String,
    },
    /// No more are possible.
    #[error("{0}; revoke one that is not used any more")]
    TooMany(&'static str),
}

/// The keys that the fleet trusts, and those that it never will again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignerBook {
    /// Counts changes.
    serial: u64,
    /// The wall clock at the last change, in nanoseconds since 1970.
    changed_at_ns: i64,
    trusted: BTreeMap<KeyId, Trusted>,
    revoked: BTreeSet<KeyId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Trusted {
    name: KeyName,
    #[serde(serialize_with = "write_hex", deserialize_with = "read_hex")]
    key: [u8; 32],
}

impl SignerBook {
    /// The public key of that id, if its signatures count.
    ///
    /// # Errors
    /// [`PushError::RevokedKey`] or [`PushError::UnknownKey`].
    pub fn key(&self, id: KeyId) -> Result<[u8; 32], PushError> {
        if self.revoked.contains(&id) {
            return Err(PushError::RevokedKey(id));
        }
        self.trusted.get(&id).map(|trusted| trusted.key).ok_or(PushError::UnknownKey(id))
    }

    /// Trusts a key from now on; answers its id, and whether that is new.
    ///
    /// # Errors
    /// [`SignerError`] for a key that was revoked, is none, or is one too many.
    pub fn trust(
        &mut self,
        now: Epoch,
        name: KeyName,
        key: [u8; 32],
    ) -> Result<(KeyId, bool), SignerError> {
        if !is_public_key(&key) {
            return Err(SignerError::NoKey);
        }
        let id = key_id(&key);
        if self.revoked.contains(&id) {
            return Err(SignerError::Revoked(id));
        }
        if SIGNERS_MAX <= self.trusted.len() && !self.trusted.contains_key(&id) {
            return Err(SignerError::TooMany("a fleet trusts at most 64 keys"));
        }
        let trusted = Trusted { name, key };
        let is_new = self.trusted.insert(id, trusted.clone()) != Some(trusted);
        self.changed(now, is_new);
        Ok((id, is_new))
    }

    /// Never takes signatures of a key again; answers whether that is new.
    ///
    /// # Errors
    /// [`SignerError`] for a key that nobody knows, or one too many.
    pub fn revoke(&mut self, now: Epoch, id: KeyId) -> Result<bool, SignerError> {
        if self.revoked.contains(&id) {
            return Ok(false);
        }
        if !self.trusted.contains_key(&id) {
            let known: Vec<String> = self.trusted.keys().map(KeyId::to_string).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(SignerError::Unknown { id, known });
        }
        if REVOKED_MAX <= self.revoked.len() {
            return Err(SignerError::TooMany("a fleet revokes at most 1024 keys"));
        }
        self.trusted.remove(&id);
        self.revoked.insert(id);
        self.changed(now, true);
        Ok(true)
    }

    fn changed(&mut self, now: Epoch, is_changed: bool) {
        if is_changed {
            self.serial += 1;
            self.changed_at_ns = now.unix_ns();
        }
    }

    /// Whether signatures of that key count.
    pub fn is_trusted(&self, id: KeyId) -> bool {
        self.trusted.contains_key(&id)
    }

    /// The trusted keys: id, name, public key.
    pub fn trusted(&self) -> impl Iterator<Item = (KeyId, &KeyName, &[u8; 32])> {
        self.trusted.iter().map(|(id, trusted)| (*id, &trusted.name, &trusted.key))
    }

    /// The revoked keys.
    pub fn revoked(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.revoked.iter().copied()
    }

    /// The list as nodes take it.
    pub fn list(&self, epoch: LeaderEpoch) -> Signers {
        let signer = |trusted: &Trusted| Signer { name: trusted.name.clone(), key: trusted.key };
        Signers {
            epoch,
            serial: self.serial,
            at: Epoch::from_unix_ns(self.changed_at_ns),
            trusted: self.trusted.values().map(signer).collect(),
            revoked: self.revoked.iter().copied().collect(),
        }
    }
}

/// What was seen of a function: never forgotten, so that nothing older comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its highest version.
    pub version: u64,
    /// SHA-256 of the signed manifest of that version.
    #[serde(serialize_with = "write_hex", deserialize_with = "read_hex")]
    pub manifest: [u8; 32],
}

impl Seen {
    /// Whether something else may follow this: the same again, or a higher version.
    ///
    /// # Errors
    /// [`PushError::Rollback`] or [`PushError::OtherContent`].
    pub fn admits(&self, name: &FunctionId, other: &Self) -> Result<(), PushError> {
        let (name, version) = (name.clone(), other.version);
        if version < self.version {
            return Err(PushError::Rollback { name, version, seen: self.version });
        }
        if version == self.version && other.manifest != self.manifest {
            return Err(PushError::OtherContent { name, version });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SigningKey;

    const NOW: Epoch = Epoch::from_unix_ns(5);

    fn key() -> [u8; 32] {
        SigningKey::draw(name("a")).unwrap().public()
    }

    fn name(text: &str) -> KeyName {
        KeyName::new(text).unwrap()
    }

    #[test]
    fn a_key_that_was_revoked_stays_so() {
        let mut book = SignerBook::default();
        let (id, is_new) = book.trust(NOW, name("laptop"), key()).unwrap();
        assert!(is_new && book.is_trusted(id));
        let public = book.key(id).unwrap();
        assert_eq!(book.trust(NOW, name("laptop"), public), Ok((id, false)));
        assert_eq!(book.revoke(NOW, id), Ok(true));
        assert_eq!(book.revoke(NOW, id), Ok(false));
        assert_eq!(book.key(id), Err(PushError::RevokedKey(id)));
        assert_eq!(book.trust(NOW, name("laptop"), public), Err(SignerError::Revoked(id)));
        let list = book.list(LeaderEpoch(3));
        assert_eq!((list.serial, list.trusted.len(), &list.revoked[..]), (2, 0, &[id][..]));
        let text = serde_json::to_string(&book).unwrap();
        assert_eq!(serde_json::from_str::<SignerBook>(&text).unwrap(), book);
    }

    #[test]
    fn keys_are_bounded_and_must_be_keys() {
        let mut book = SignerBook::default();
        assert_eq!(book.trust(NOW, name("a"), [0xff; 32]), Err(SignerError::NoKey));
        let unknown = book.revoke(NOW, KeyId([1; 8])).unwrap_err().to_string();
        assert_eq!(unknown, "there is no key 0101010101010101; trusted: none");
        for _ in 0..SIGNERS_MAX {
            book.trust(NOW, name("a"), key()).unwrap();
        }
        assert!(matches!(book.trust(NOW, name("a"), key()), Err(SignerError::TooMany(_))));
        assert!(protocol::encode(&book.list(LeaderEpoch(1))).is_ok());
    }

    #[test]
    fn the_same_may_come_again_and_nothing_older() {
        let function = FunctionId::new("f").unwrap();
        let seen = Seen { version: 7, manifest: [1; 32] };
        assert_eq!(seen.admits(&function, &seen), Ok(()));
        assert_eq!(seen.admits(&function, &Seen { version: 8, manifest: [2; 32] }), Ok(()));
        for (version, manifest, words) in
            [(6, [1; 32], "version 6 is lower than 7"), (7, [2; 32], "with other content")]
        {
            let error = seen.admits(&function, &Seen { version, manifest }).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
