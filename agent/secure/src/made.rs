//! Certificates for tests, made by an authority that is made there too.

use std::fs;
use std::path::Path;

use protocol::join::Members;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};
use types::{LeaderEpoch, NodeId};

use crate::identity::{self, Identity};

pub(crate) fn name(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

/// A list of nobody.
pub(crate) fn nobody(serial: u64) -> Members {
    Members {
        epoch: LeaderEpoch(1),
        serial,
        members: Vec::new(),
        revoked: Vec::new(),
        keys: Vec::new(),
    }
}

/// An authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) text: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let text = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), text }
    }

    /// A certificate of that name for a key, for an hour and for 127.0.0.1.
    pub(crate) fn sign(&self, name: &str, key: &KeyPair) -> String {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let now = OffsetDateTime::now_utc();
        (params.not_before, params.not_after) = (now - Duration::MINUTE, now + Duration::HOUR);
        params.signed_by(key, &self.issuer).unwrap().pem()
    }

    /// An identity of that name in a folder.
    pub(crate) fn joined(&self, dir: &Path, who: &str) -> Identity {
        let key = identity::key_to_join(dir).unwrap();
        let certificate = self.sign(who, &key);
        let what = (certificate.as_str(), self.text.as_str());
        identity::keep_joined(dir, (&name(who), &key), what, &nobody(0)).unwrap()
    }
}

/// Everything in a folder, to see that nothing has changed.
pub(crate) fn content(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap())
        })
        .collect();
    all.sort();
    all
}
