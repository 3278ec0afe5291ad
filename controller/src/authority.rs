//! The fleet's authority: a key and a certificate on the controller's disk that sign those of all members.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber,
};
use rustix::rand::{GetRandomFlags, getrandom};
use rustls::pki_types::CertificateDer;
use secure::identity::{self, IdentityError, replace};
use secure::x509::sha256;
use time::OffsetDateTime;
use types::{FleetId, NodeId};

use crate::registry::Grant;

/// How long an authority counts: as long as a fleet may be up there.
const LIFE_S: i64 = 20 * 366 * 24 * 3600;
/// A certificate counts from so long before it was made: clocks of nodes may be a little behind.
const EARLY_S: i64 = 300;
/// Longest request: one of a P-256 key has 400 bytes.
pub const REQUEST_BYTES_MAX: usize = 4096;

/// Why the authority cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// It is there already.
    #[error(
        "{} is there already; an authority is never replaced, since every certificate hangs on it: choose another folder with --dir",
        path.display()
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Its files.
    #[error(transparent)]
    Files(#[from] IdentityError),
    /// The folder.
    #[error("{}: {source}", path.display())]
    Disk {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It does not sign.
    #[error("the authority cannot sign: {0}")]
    Sign(String),
}

/// Why a request is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Longer than any.
    #[error("a certificate request has at most {REQUEST_BYTES_MAX} bytes, this has {0}")]
    TooLarge(usize),
    /// It does not parse, or is not signed with its own key.
    #[error("this is no certificate request that was signed with its own key: {0}")]
    Malformed(String),
    /// It asks for another name.
    #[error("the request is for {asked:?}, and may be for {allowed} only")]
    OtherName {
        /// What it asks for.
        asked: String,
        /// What it may ask for.
        allowed: NodeId,
    },
    /// Another kind of key.
    #[error("the key is of another kind; fleets use ECDSA over P-256 with SHA-256")]
    OtherKey,
    /// It wants more than a name.
    #[error("the request asks for {0}; it may ask for a name only")]
    Extension(&'static str),
}

/// The authority, ready to sign.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, PEM.
    pub text: String,
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("hash", &self.hash()).finish_non_exhaustive()
    }
}

/// A certificate that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Its text.
    pub pem: String,
    /// Its serial number.
    pub serial: Vec<u8>,
    /// The hash of its public key.
    pub key: [u8; 32],
    /// From when it counts, seconds since 1970.
    pub not_before_s: i64,
    /// Until when it counts, seconds since 1970.
    pub not_after_s: i64,
}

/// Makes the authority of a fleet in a folder: `ca.key`, for nobody else to read, and `ca.pem`.
///
/// # Errors
/// [`AuthorityError::Exists`] rather than replace one.
pub fn provision(dir: &Path, fleet: &FleetId, now_s: i64) -> Result<Authority, AuthorityError> {
    let (key_file, file) = (dir.join("ca.key"), dir.join("ca.pem"));
    if let Some(path) = [&key_file, &file].into_iter().find(|path| path.exists()) {
        return Err(AuthorityError::Exists { path: path.clone() });
    }
    let disk = |source| AuthorityError::Disk { path: dir.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(disk)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(sign)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = name(&format!("starbelt fleet {fleet}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from_slice(&serial()?));
    (params.not_before, params.not_after) = (at(now_s - EARLY_S)?, at(now_s + LIFE_S)?);
    let certificate = params.self_signed(&key).map_err(sign)?;
    replace(&key_file, 0o600, key.serialize_pem().as_bytes())?;
    replace(&file, 0o644, certificate.pem().as_bytes())?;
    Authority::load(dir)
}

impl Authority {
    /// Reads the authority in a folder.
    ///
    /// # Errors
    /// [`AuthorityError`]; a key that others can read is refused.
    pub fn load(dir: &Path) -> Result<Self, AuthorityError> {
        let (text, certificate) = identity::read_certificate(&dir.join("ca.pem"))?;
        let key = identity::read_key(&dir.join("ca.key"))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(sign)?;
        Ok(Self { issuer, text, certificate })
    }

    /// The SHA-256 of its certificate, as tokens carry it.
    pub fn hash(&self) -> [u8; 32] {
        sha256(&self.certificate)
    }

    /// Signs a certificate for a key, from now on for so many seconds.
    ///
    /// # Errors
    /// [`AuthorityError::Sign`].
    pub fn sign(
        &self,
        grant: &Grant,
        key: &impl PublicKeyData,
        (now_s, life_s): (i64, i64),
    ) -> Result<Signed, AuthorityError> {
        let mut names = vec![grant.name.to_string()];
        names.extend(grant.addresses.iter().cloned());
        let mut params = CertificateParams::new(names).map_err(sign)?;
        params.distinguished_name = name(grant.name.as_str());
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let serial = serial()?;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        // A short life is not lengthened by much.
        let not_before_s = now_s - EARLY_S.min(life_s / 10);
        let not_after_s = now_s.saturating_add(life_s);
        (params.not_before, params.not_after) = (at(not_before_s)?, at(not_after_s)?);
        let certificate = params.signed_by(key, &self.issuer).map_err(sign)?;
        let (pem, key) = (certificate.pem(), sha256(key.der_bytes()));
        Ok(Signed { pem, serial: serial.to_vec(), key, not_before_s, not_after_s })
    }
}

/// The key of a request, if it asks for nothing but that name.
///
/// # Errors
/// [`RequestError`].
pub fn read_request(
    text: &str,
    allowed: &NodeId,
) -> Result<impl PublicKeyData + use<>, RequestError> {
    if REQUEST_BYTES_MAX < text.len() {
        return Err(RequestError::TooLarge(text.len()));
    }
    let request = CertificateSigningRequestParams::from_pem(text)
        .map_err(|error| RequestError::Malformed(error.to_string()))?;
    let params = &request.params;
    if *request.public_key.algorithm() != PKCS_ECDSA_P256_SHA256 {
        return Err(RequestError::OtherKey);
    }
    if params.distinguished_name != name(allowed.as_str()) {
        let asked: Vec<String> =
            params.distinguished_name.iter().map(|(_, value)| format!("{value:?}")).collect();
        let asked = asked.join(", ").chars().take(128).collect();
        return Err(RequestError::OtherName { asked, allowed: allowed.clone() });
    }
    if !params.subject_alt_names.is_empty() {
        return Err(RequestError::Extension("other names (subjectAltName)"));
    }
    if params.is_ca != IsCa::NoCa {
        return Err(RequestError::Extension("an authority's rights"));
    }
    if !params.key_usages.is_empty() || !params.extended_key_usages.is_empty() {
        return Err(RequestError::Extension("a use of its key"));
    }
    Ok(request.public_key)
}

fn name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn serial() -> Result<[u8; 16], AuthorityError> {
    let mut serial = [0; 16];
    getrandom(&mut serial[..], GetRandomFlags::empty())
        .map_err(|error| AuthorityError::Sign(format!("no randomness: {error}")))?;
    // A positive number that keeps all its bytes.
    serial[0] = serial[0] & 0x7f | 0x40;
    Ok(serial)
}

fn at(s: i64) -> Result<OffsetDateTime, AuthorityError> {
    OffsetDateTime::from_unix_timestamp(s).map_err(|error| AuthorityError::Sign(error.to_string()))
}

fn sign(error: rcgen::Error) -> AuthorityError {
    AuthorityError::Sign(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const NOW_S: i64 = 1_790_000_000;

    fn node(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    fn authority(dir: &Path) -> Authority {
        provision(dir, &FleetId::new("f").unwrap(), NOW_S).unwrap()
    }

    #[test]
    fn an_authority_is_made_once_and_its_key_kept_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("ca");
        let made = authority(&dir);
        assert_eq!(Authority::load(&dir).unwrap().hash(), made.hash());
        let key = dir.join("ca.key");
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let again = provision(&dir, &FleetId::new("f").unwrap(), NOW_S);
        assert!(matches!(again, Err(AuthorityError::Exists { .. })));
        assert_eq!(Authority::load(&dir).unwrap().hash(), made.hash());
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let said = Authority::load(&dir).unwrap_err().to_string();
        assert!(said.contains("chmod 600"), "{said}");
    }

    #[test]
    fn a_certificate_says_what_was_granted_and_for_how_long() {
        let dir = tempfile::tempdir().unwrap();
        let authority = authority(dir.path());
        let key = KeyPair::generate().unwrap();
        let request = identity::request(&node("sat-1"), &key).unwrap();
        let public = read_request(&request, &node("sat-1")).unwrap();
        let grant = Grant { name: node("sat-1"), addresses: vec!["10.0.0.7".to_owned()] };
        let signed = authority.sign(&grant, &public, (NOW_S, 86_400)).unwrap();
        use rustls::pki_types::pem::PemObject as _;
        let der = CertificateDer::from_pem_slice(signed.pem.as_bytes()).unwrap();
        let facts = secure::x509::facts(&der).unwrap();
        assert_eq!((facts.name, facts.key), (node("sat-1"), sha256(key.der_bytes())));
        assert_eq!(facts.serial, signed.serial);
        assert_eq!((facts.not_before_s, facts.not_after_s), (NOW_S - 300, NOW_S + 86_400));
    }

    #[test]
    fn requests_for_more_than_a_name_are_refused() {
        let key = KeyPair::generate().unwrap();
        let refused = |params: &CertificateParams, key: &KeyPair| {
            let text = params.serialize_request(key).unwrap().pem().unwrap();
            read_request(&text, &node("sat-1")).err().map(|error| error.to_string())
        };
        let mut good = CertificateParams::default();
        good.distinguished_name = name("sat-1");
        assert_eq!(refused(&good, &key), None);
        let with = |change: &dyn Fn(&mut CertificateParams)| {
            let mut params = good.clone();
            change(&mut params);
            params
        };
        let other = with(&|params| params.distinguished_name = name("sat-2"));
        let two = with(&|params| params.distinguished_name.push(DnType::OrganizationName, "x"));
        let names = with(&|params| {
            params.subject_alt_names =
                CertificateParams::new(vec!["controller".to_owned()]).unwrap().subject_alt_names;
        });
        let uses = with(&|params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign]);
        for (params, rule) in [
            (other, "may be for sat-1 only"),
            (two, "may be for sat-1 only"),
            (names, "subjectAltName"),
            (uses, "a use of its key"),
        ] {
            let said = refused(&params, &key).unwrap_or_default();
            assert!(said.contains(rule), "{said:?} lacks {rule:?}");
        }
        let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        assert!(refused(&good, &ed25519).unwrap().contains("P-256"));
        let own = |text: &str| read_request(text, &node("sat-1")).err().map(|e| e.to_string());
        assert!(own(&"x".repeat(5_000)).unwrap().contains("4096"));
        assert!(own("-----BEGIN").unwrap().contains("no certificate request"));
    }
}
