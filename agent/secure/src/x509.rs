//! What a certificate says, as far as a fleet cares.

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use types::NodeId;

/// What a certificate of a member says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whose it is: its CN.
    pub name: NodeId,
    /// Its serial number, big-endian.
    pub serial: Vec<u8>,
    /// SHA-256 of the bits of its public key.
    pub key: [u8; 32],
    /// From when it counts, seconds since 1970.
    pub not_before_s: i64,
    /// Until when it counts, seconds since 1970.
    pub not_after_s: i64,
}

/// Bytes that are no certificate of a member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no certificate of a member: {0}")]
pub struct NoCertificate(pub String);

/// SHA-256 of anything: of a certificate, it is how one is known; of the bits of a public key, how a key is.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Reads a certificate. Whether it is genuine is not asked here.
///
/// # Errors
/// [`NoCertificate`] when it does not parse, or its subject is not exactly one CN that is a name.
pub fn facts(certificate: &CertificateDer<'_>) -> Result<Facts, NoCertificate> {
    let refused = |reason: &str| NoCertificate(reason.to_owned());
    let (rest, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| NoCertificate(error.to_string()))?;
    if !rest.is_empty() {
        return Err(refused("bytes follow it"));
    }
    let mut names = parsed.subject().iter_common_name();
    let name = names.next().and_then(|name| name.as_str().ok());
    let name = name.ok_or_else(|| refused("its subject has no CN"))?;
    if names.next().is_some() {
        return Err(refused("its subject has more than one CN"));
    }
    Ok(Facts {
        name: NodeId::new(name).map_err(|error| NoCertificate(error.to_string()))?,
        serial: parsed.raw_serial().to_vec(),
        key: sha256(&parsed.public_key().subject_public_key.data),
        not_before_s: parsed.validity().not_before.timestamp(),
        not_after_s: parsed.validity().not_after.timestamp(),
    })
}
