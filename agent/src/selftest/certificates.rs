//! Certificates for the self-test alone: made anew each time, in its folder, and removed with it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use secure::identity::Paths;

/// Who signs: as the authority of a fleet does.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub(super) file: PathBuf,
}

impl Authority {
    /// Makes a key and the certificate of it.
    pub(super) fn new(dir: &Path, name: &str) -> Result<Self, String> {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().map_err(|error| error.to_string())?;
        let certificate = params.self_signed(&key).map_err(|error| error.to_string())?;
        let file = written(dir, &format!("{name}.pem"), &certificate.pem())?;
        Ok(Self { issuer: Issuer::new(params, key), file })
    }

    /// Makes an end that this authority vouches for, and that trusts `trusted`; it is reached at this machine's own address.
    pub(super) fn end(&self, dir: &Path, name: &str, trusted: &Path) -> Result<Paths, String> {
        let mut params = named(name);
        let usages = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.extended_key_usages = usages.to_vec();
        params.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
        let key = KeyPair::generate().map_err(|error| error.to_string())?;
        let signed = params.signed_by(&key, &self.issuer).map_err(|error| error.to_string())?;
        Ok(Paths {
            members: dir.join(format!("{name}-members.json")),
            authority: trusted.to_owned(),
            certificate: written(dir, &format!("{name}.pem"), &signed.pem())?,
            key: written(dir, &format!("{name}.key"), &key.serialize_pem())?,
        })
    }
}

/// Valid from 1975 to 4096, as rcgen has it: a board whose clock was never set can be tried too.
fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn written(dir: &Path, name: &str, text: &str) -> Result<PathBuf, String> {
    let file = dir.join(name);
    std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(file)
}
