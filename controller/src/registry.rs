//! Who may join, who has, and who never may again: join tokens, certificates, revocations. Pure: time, secrets and
//! hashes come in.
//!
//! A token is granted, redeemed once for one key, and forgotten when its time is over. A certificate is known by its
//! serial number as long as it counts. A name that was revoked never comes back, and neither do its keys.

use std::collections::{BTreeMap, BTreeSet};

use protocol::join::{Member, Members, REVOKED_MAX, Role, Token, TokenId, is_same};
use serde::{Deserialize, Serialize};
use types::{LeaderEpoch, NodeId};

/// Tokens that wait at once.
pub const TOKENS_MAX: usize = 1024;
/// Certificates of one name that count at once: the present one, the next, and room for a node that asks again.
pub const CERTIFICATES_PER_NAME_MAX: usize = 8;
/// Names or addresses in one certificate.
pub const ADDRESSES_MAX: usize = 16;

/// 32 bytes that are hexadecimal digits in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hash(
    #[serde(serialize_with = "crate::hex::write_hex", deserialize_with = "crate::hex::read_hex")]
    pub [u8; 32],
);

/// What a certificate will say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Its CN.
    pub name: NodeId,
    /// Host names and IP addresses under which others dial it, besides its name.
    pub addresses: Vec<String>,
}

/// Why nobody is let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// No such token, or another secret.
    #[error("this token is not known here; make one: starbelt node token NAME")]
    Unknown,
    /// Its time is over.
    #[error("this token has expired; make another one: starbelt node token {0}")]
    Expired(NodeId),
    /// It was good for one certificate.
    #[error(
        "this token was used for another key; if that was not this machine, run starbelt node revoke {0}; make another token with starbelt \
         node token"
    )]
    Used(NodeId),
    /// The name is not let in again.
    #[error("{0} was revoked, and a revoked name never comes back; join under another name")]
    Revoked(NodeId),
    /// The name is not of this fleet.
    #[error("{0} is no member of this fleet; add it to the controller's configuration first")]
    NoMember(NodeId),
    /// The certificate is not one of ours that counts.
    #[error("this certificate is not known here as that of {0}; join anew with a token")]
    OtherCertificate(NodeId),
    /// More than anybody needs.
    #[error("{0}")]
    TooMany(&'static str),
}

/// What a token is redeemed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// A new certificate.
    Grant(Grant),
    /// The same key has been here before, and its answer was lost: this is the certificate, PEM.
    Again(String),
}

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// What it says.
    pub grant: Grant,
    /// The hash of its public key.
    pub key: Hash,
    /// From when it counts, seconds since 1970.
    pub not_before_s: i64,
    /// Until when it counts, seconds since 1970.
    pub not_after_s: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    grant: Grant,
    secret: Hash,
    expires_s: i64,
    /// Who redeemed it, and with what.
    used: Option<Used>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Used {
    key: Hash,
    certificate: String,
}

/// The registry. Kept on disk as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// Counts changes that others have to hear of.
    serial: u64,
    tokens: BTreeMap<String, Waiting>,
    /// By serial number, in digits.
    certificates: BTreeMap<String, Certificate>,
    /// When each was revoked, seconds since 1970.
    revoked: BTreeMap<NodeId, i64>,
    keys: BTreeSet<Hash>,
}

impl Registry {
    /// Lets a machine in once, until a time.
    ///
    /// # Errors
    /// [`JoinError::Revoked`] or [`JoinError::TooMany`].
    pub fn grant(
        &mut self,
        id: TokenId,
        (grant, secret): (Grant, Hash),
        (now_s, expires_s): (i64, i64),
    ) -> Result<(), JoinError> {
        self.forget(now_s);
        if self.revoked.contains_key(&grant.name) {
            return Err(JoinError::Revoked(grant.name));
        }
        if ADDRESSES_MAX < grant.addresses.len() {
            return Err(JoinError::TooMany("a certificate has at most 16 names and addresses"));
        }
        if TOKENS_MAX <= self.tokens.len() {
            return Err(JoinError::TooMany("1024 tokens wait already; let some expire"));
        }
        self.tokens.insert(id.to_string(), Waiting { grant, secret, expires_s, used: None });
        Ok(())
    }

    /// Says what a token is good for, for whoever holds that key.
    ///
    /// # Errors
    /// [`JoinError`]; which one says nothing to who does not know the secret.
    pub fn redeem(
        &self,
        token: &Token,
        (secret, key): (Hash, Hash),
        now_s: i64,
    ) -> Result<Redeemed, JoinError> {
        let waiting = self.tokens.get(&token.id.to_string()).ok_or(JoinError::Unknown)?;
        if !is_same(&waiting.secret.0, &secret.0) || waiting.grant.name != token.node {
            return Err(JoinError::Unknown);
        }
        let name = || waiting.grant.name.clone();
        if waiting.expires_s <= now_s {
            return Err(JoinError::Expired(name()));
        }
        if self.revoked.contains_key(&waiting.grant.name) || self.keys.contains(&key) {
            return Err(JoinError::Revoked(name()));
        }
        match &waiting.used {
            None => {
                self.has_room(&waiting.grant.name, now_s)?;
                Ok(Redeemed::Grant(waiting.grant.clone()))
            }
            Some(used) if used.key == key => Ok(Redeemed::Again(used.certificate.clone())),
            Some(_) => Err(JoinError::Used(name())),
        }
    }

    /// Says what the next certificate of a member says that shows its present one.
    ///
    /// # Errors
    /// [`JoinError`].
    pub fn renewal(
        &self,
        name: &NodeId,
        (serial, key): (&[u8], Hash),
        now_s: i64,
    ) -> Result<Grant, JoinError> {
        if self.revoked.contains_key(name) || self.keys.contains(&key) {
            return Err(JoinError::Revoked(name.clone()));
        }
        let known = self.certificates.get(&digits(serial));
        let known = known.filter(|known| {
            known.grant.name == *name && known.key == key && now_s < known.not_after_s
        });
        let known = known.ok_or_else(|| JoinError::OtherCertificate(name.clone()))?;
        self.has_room(name, now_s)?;
        Ok(known.grant.clone())
    }

    fn has_room(&self, name: &NodeId, now_s: i64) -> Result<(), JoinError> {
        let counting = self.certificates.values();
        let counting = counting.filter(|one| one.grant.name == *name && now_s < one.not_after_s);
        if CERTIFICATES_PER_NAME_MAX <= counting.count() {
            let rule = "8 certificates of this name count already; it asks too often, wait until one expires";
            return Err(JoinError::TooMany(rule));
        }
        Ok(())
    }

    /// Remembers a certificate; a token that it was issued for is used up.
    pub fn issued(
        &mut self,
        serial: &[u8],
        (certificate, pem): (Certificate, &str),
        token: Option<TokenId>,
    ) {
        let waiting = token.and_then(|token| self.tokens.get_mut(&token.to_string()));
        if let Some(waiting) = waiting {
            waiting.used = Some(Used { key: certificate.key, certificate: pem.to_owned() });
        }
        self.certificates.insert(digits(serial), certificate);
    }

    /// Never lets a name in again, nor any key that it had; answers whether that is new.
    ///
    /// # Errors
    /// [`JoinError::TooMany`].
    pub fn revoke(&mut self, name: &NodeId, now_s: i64) -> Result<bool, JoinError> {
        if self.revoked.contains_key(name) {
            return Ok(false);
        }
        let keys = self.certificates.values().filter(|one| one.grant.name == *name);
        let keys: BTreeSet<Hash> = keys.map(|one| one.key).collect();
        if REVOKED_MAX <= self.revoked.len() || REVOKED_MAX < self.keys.len() + keys.len() {
            let rule = "a fleet revokes at most 1024 names and keys; provision a new one";
            return Err(JoinError::TooMany(rule));
        }
        self.keys.extend(keys);
        self.revoked.insert(name.clone(), now_s);
        self.tokens.retain(|_, waiting| waiting.grant.name != *name);
        self.serial += 1;
        Ok(true)
    }

    /// Forgets tokens and certificates whose time is over.
    pub fn forget(&mut self, now_s: i64) {
        self.tokens.retain(|_, waiting| now_s < waiting.expires_s);
        self.certificates.retain(|_, one| now_s < one.not_after_s);
    }

    /// Whether a name is never let in again.
    pub fn is_revoked(&self, name: &NodeId) -> bool {
        self.revoked.contains_key(name)
    }

    /// Until when the last certificate of a name counts, seconds since 1970.
    pub fn until_s(&self, name: &NodeId) -> Option<i64> {
        let own = self.certificates.values().filter(|one| one.grant.name == *name);
        own.map(|one| one.not_after_s).max()
    }

    /// Who belongs to the fleet, of those that the configuration names.
    pub fn members(&self, epoch: LeaderEpoch, configured: &BTreeMap<NodeId, Role>) -> Members {
        let members = configured.iter().filter(|(name, _)| !self.revoked.contains_key(*name));
        Members {
            epoch,
            serial: self.serial,
            members: members
                .map(|(name, role)| Member { name: name.clone(), role: *role })
                .collect(),
            revoked: self.revoked.keys().cloned().collect(),
            keys: self.keys.iter().map(|key| key.0).collect(),
        }
    }
}

fn digits(serial: &[u8]) -> String {
    secure::client::hex(serial)
}

#[cfg(test)]
mod tests;
