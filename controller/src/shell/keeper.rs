//! Keeps the registry on disk and lets members in: the one place where tokens become certificates.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::join::{Member, Members, Role, Token, TokenId};
use rcgen::{KeyPair, PublicKeyData};
use rustix::rand::{GetRandomFlags, getrandom};
use secure::client::Issued;
use secure::identity::{self, Identity, IdentityError, replace};
use secure::x509::{Facts, sha256};
use tokio::sync::watch;
use types::{LeaderEpoch, NodeId};

use crate::authority::{Authority, AuthorityError, RequestError, Signed, read_request};
use crate::config::{Config, IdentitySection};
use crate::registry::{Certificate, Grant, Hash, JoinError, Redeemed, Registry};

/// The registry in the state directory.
const FILE: &str = "members.json";
/// The controller's own identity in the state directory.
const OWN: &str = "identity";

/// Why somebody is not let in, or nothing can be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Who asks may not.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// What was asked is malformed.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The files.
    #[error(transparent)]
    Files(#[from] IdentityError),
    /// The registry cannot be read.
    #[error("{}: {reason}; restore it from a copy: without it nobody knows who was revoked", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The system.
    #[error("no randomness: {0}")]
    Randomness(std::io::Error),
}

/// Lets members in. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Keeper(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    authority: Authority,
    me: NodeId,
    configured: BTreeMap<NodeId, Role>,
    epoch: LeaderEpoch,
    life_s: i64,
    file: PathBuf,
    own_dir: PathBuf,
    registry: Mutex<Registry>,
    members: watch::Sender<Members>,
}

/// A token that was made.
#[derive(Debug)]
pub struct Granted {
    /// The token itself: told once, kept nowhere.
    pub token: Token,
    /// Until when it is good, seconds since 1970.
    pub expires_s: i64,
}

/// The wall clock, seconds since 1970.
pub fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

impl Keeper {
    /// Reads authority and registry; `base` is the folder of the configuration, `state` that of the controller's state.
    ///
    /// # Errors
    /// [`KeepError`].
    pub fn open(
        config: &Config,
        section: &IdentitySection,
        (base, state): (&Path, &Path),
        epoch: LeaderEpoch,
    ) -> Result<Self, KeepError> {
        let file = state.join(FILE);
        let corrupt = |reason: String| KeepError::Corrupt { path: file.clone(), reason };
        let mut registry = match fs::read(&file) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Registry::default(),
            Err(error) => return Err(corrupt(error.to_string())),
        };
        registry.forget(now_s());
        let configured = config.members();
        let members = watch::Sender::new(registry.members(epoch, &configured));
        Ok(Self(Arc::new(Inner {
            authority: Authority::load(&base.join(&section.authority))?,
            me: config.controller.name.clone(),
            configured,
            epoch,
            life_s: i64::from(section.life_s),
            file,
            own_dir: state.join(OWN),
            registry: Mutex::new(registry),
            members,
        })))
    }

    /// The controller's own identity: made at the first start, and anew when two thirds of its life are over.
    ///
    /// # Errors
    /// [`KeepError`].
    pub fn own(&self, addresses: &[String]) -> Result<Identity, KeepError> {
        let Inner { authority, own_dir, me, .. } = &*self.0;
        let grant = Grant { name: me.clone(), addresses: addresses.to_vec() };
        let members = self.members();
        match Identity::load(own_dir) {
            Ok(mut own) => {
                // A new start may have other addresses, so that it always has a new certificate.
                let key = identity::read_key(&own.paths.key)?;
                own.keep_certificate(&self.sign_own(&grant, &key)?)?;
                own.keep_members(members)?;
                Ok(own)
            }
            Err(IdentityError::None { .. }) => {
                let key: KeyPair = identity::key_to_join(own_dir)?;
                let signed = self.sign_own(&grant, &key)?;
                let what = (signed.as_str(), authority.text.as_str());
                Ok(identity::keep_joined(own_dir, (me, &key), what, &members)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The authority.
    pub fn authority(&self) -> &Authority {
        &self.0.authority
    }

    /// Who belongs to the fleet now.
    pub fn members(&self) -> Members {
        self.0.members.borrow().clone()
    }

    /// Tells the list whenever it changes.
    pub fn changes(&self) -> watch::Receiver<Members> {
        self.0.members.subscribe()
    }

    /// Makes a token that is good for so many seconds.
    ///
    /// # Errors
    /// [`KeepError`]; the token is durable before it is told.
    pub fn grant(&self, grant: Grant, good_for_s: u32) -> Result<Granted, KeepError> {
        self.known(&grant.name)?;
        let (mut id, mut secret) = ([0; 8], [0; 16]);
        for bytes in [&mut id[..], &mut secret[..]] {
            getrandom(bytes, GetRandomFlags::empty())
                .map_err(|error| KeepError::Randomness(error.into()))?;
        }
        let (now_s, expires_s) = (now_s(), now_s().saturating_add(i64::from(good_for_s)));
        let token = Token {
            node: grant.name.clone(),
            id: TokenId(id),
            secret,
            authority: self.0.authority.hash(),
        };
        let hash = Hash(sha256(&secret));
        self.change(|registry| registry.grant(token.id, (grant, hash), (now_s, expires_s)))?;
        Ok(Granted { token, expires_s })
    }

    /// Gives a certificate for a token.
    ///
    /// # Errors
    /// [`KeepError`].
    pub fn join(&self, token: &Token, request: &str) -> Result<Issued, KeepError> {
        self.known(&token.node)?;
        let public = read_request(request, &token.node)?;
        let (secret, key) = (Hash(sha256(&token.secret)), Hash(sha256(public.der_bytes())));
        let mut registry = self.0.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let certificate = match registry.redeem(token, (secret, key), now_s())? {
            Redeemed::Again(certificate) => certificate,
            Redeemed::Grant(grant) => {
                self.sign_into(&mut registry, &grant, &public, Some(token.id))?.pem
            }
        };
        Ok(Issued { certificate, members: self.members() })
    }

    /// Gives the next certificate to a member that shows its present one; the connection has checked that it is
    /// genuine and counts.
    ///
    /// # Errors
    /// [`KeepError`].
    pub fn renew(&self, shown: &Facts, request: &str) -> Result<Issued, KeepError> {
        self.known(&shown.name)?;
        let public = read_request(request, &shown.name)?;
        let other = || JoinError::OtherCertificate(shown.name.clone());
        if sha256(public.der_bytes()) != shown.key {
            return Err(other().into());
        }
        let mut registry = self.0.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let grant = registry.renewal(&shown.name, (&shown.serial, Hash(shown.key)), now_s())?;
        let certificate = self.sign_into(&mut registry, &grant, &public, None)?.pem;
        Ok(Issued { certificate, members: self.members() })
    }

    /// Never lets a member in again.
    ///
    /// # Errors
    /// [`KeepError`]; nobody hears of it before it is durable.
    pub fn revoke(&self, name: &NodeId) -> Result<bool, KeepError> {
        self.known(name)?;
        let is_new = self.change(|registry| registry.revoke(name, now_s()))?;
        let registry = self.0.registry.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.members.send_replace(registry.members(self.0.epoch, &self.0.configured));
        Ok(is_new)
    }

    /// A member, its role, whether it was revoked, and until when its certificate counts.
    pub fn member(&self, name: &NodeId) -> Option<(Member, bool, Option<i64>)> {
        let role = *self.0.configured.get(name)?;
        let registry = self.0.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let member = Member { name: name.clone(), role };
        Some((member, registry.is_revoked(name), registry.until_s(name)))
    }

    /// Everybody that the configuration names, in order.
    pub fn names(&self) -> Vec<NodeId> {
        self.0.configured.keys().cloned().collect()
    }

    fn known(&self, name: &NodeId) -> Result<(), JoinError> {
        // The controller lets itself in.
        let is_member = self.0.configured.contains_key(name) && *name != self.0.me;
        is_member.then_some(()).ok_or_else(|| JoinError::NoMember(name.clone()))
    }

    /// Nobody can revoke the controller, so that nothing of its own certificates is kept.
    fn sign_own(&self, grant: &Grant, key: &KeyPair) -> Result<String, KeepError> {
        Ok(self.0.authority.sign(grant, key, (now_s(), self.0.life_s))?.pem)
    }

    /// Signs, and says so only when the registry with the certificate in it is durable.
    fn sign_into(
        &self,
        registry: &mut Registry,
        grant: &Grant,
        key: &impl PublicKeyData,
        token: Option<TokenId>,
    ) -> Result<Signed, KeepError> {
        let now_s = now_s();
        let signed = self.0.authority.sign(grant, key, (now_s, self.0.life_s))?;
        let certificate = Certificate {
            grant: grant.clone(),
            key: Hash(signed.key),
            not_before_s: signed.not_before_s,
            not_after_s: signed.not_after_s,
        };
        let mut next = registry.clone();
        next.forget(now_s);
        next.issued(&signed.serial, (certificate, &signed.pem), token);
        self.save(&next)?;
        *registry = next;
        Ok(signed)
    }

    /// Changes the registry, if the change can be made durable.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Registry) -> Result<T, JoinError>,
    ) -> Result<T, KeepError> {
        let mut registry = self.0.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = registry.clone();
        let value = change(&mut next)?;
        self.save(&next)?;
        *registry = next;
        Ok(value)
    }

    fn save(&self, registry: &Registry) -> Result<(), KeepError> {
        let corrupt = |reason| KeepError::Corrupt { path: self.0.file.clone(), reason };
        let bytes = serde_json::to_vec(registry).map_err(|error| corrupt(error.to_string()))?;
        Ok(replace(&self.0.file, 0o600, &bytes)?)
    }
}
