//! Certificates for the broker: TLS 1.2 and 1.3 by rustls with *ring*, nothing that cannot be checked.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::MqttError;
use crate::config::MqttTls;

/// Whom to believe, and who this node is.
pub(super) fn client(tls: &MqttTls) -> Result<Arc<ClientConfig>, MqttError> {
    let mut roots = RootCertStore::empty();
    // A collection of authorities may hold some that rustls does not know; one that it knows is enough.
    let (known, _unknown) = roots.add_parsable_certificates(certificates(&tls.ca)?);
    if known == 0 {
        return Err(unusable(&tls.ca, "it holds no authority; a PEM file with some is needed"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| unusable(&tls.ca, &error.to_string()))?;
    let config = config.with_root_certificates(roots);
    let mut config = match &tls.identity {
        None => config.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = certificates(cert)?;
            let secret = PrivateKeyDer::from_pem_slice(&read(key)?)
                .map_err(|error| unusable(key, &format!("it is no private key in PEM: {error}")))?;
            config
                .with_client_auth_cert(chain, secret)
                .map_err(|error| unusable(cert, &error.to_string()))?
        }
    };
    config.alpn_protocols = tls.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, MqttError> {
    let text = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|error| unusable(path, &format!("it is not PEM: {error}")))?;
    if all.is_empty() {
        return Err(unusable(path, "it holds no certificate in PEM"));
    }
    Ok(all)
}

/// A small file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, MqttError> {
    std::fs::read(path).map_err(|source| MqttError::Unreadable { path: path.to_owned(), source })
}

fn unusable(path: &Path, reason: &str) -> MqttError {
    MqttError::Unusable { path: path.to_owned(), reason: reason.to_owned() }
}
