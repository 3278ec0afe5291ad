//! Getting a certificate: the first one with a token, later ones with the one before.
//!
//! A machine that joins knows nothing but its token. It first asks the address that it was given for the certificate of
//! the fleet's authority, without believing the answer; if its hash is that of the token, everything after is said to a
//! server with a certificate of that authority only. The secret of the token never leaves before that.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use protocol::join::{Members, Token, is_same};
use rcgen::KeyPair;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use types::NodeId;
use ureq::Agent;
use ureq::tls::{
    Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsConfigBuilder, TlsProvider,
};

use crate::identity::{self, Identity, IdentityError};
use crate::revoked::provider;
use crate::x509::sha256;

/// The path of the authority's certificate.
pub const AUTHORITY_PATH: &str = "/v1/authority";
/// The path where a token is given for a certificate.
pub const JOIN_PATH: &str = "/v1/join";
/// The path where a certificate is given for the next one.
pub const RENEW_PATH: &str = "/v1/renew";
/// Largest answer: a list of members with everything that was ever revoked.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// How long one request may take: links of the sky are slow.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Asks for the first certificate.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// The token.
    pub token: String,
    /// What is to be signed, PEM.
    pub request: String,
}

/// Asks for the next certificate; said over a connection with the one before.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {
    /// What is to be signed, PEM.
    pub request: String,
}

/// A certificate, and who belongs to the fleet.
#[derive(Debug, Serialize, Deserialize)]
pub struct Issued {
    /// The certificate, PEM.
    pub certificate: String,
    /// The list of members.
    pub members: Members,
}

/// An answer that is no certificate.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refused {
    /// Why, and what to do.
    pub error: String,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address.
    #[error("{url:?} is not an address like https://controller:7449")]
    Address {
        /// What was given.
        url: String,
    },
    /// Nobody answers, or not as whom the authority knows.
    #[error("{url} does not answer: {reason}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
    /// The authority is not that of the token.
    #[error(
        "the authority at {url} is not that of the token: its hash is {got}, the token says {expected}. Either the address is that of \
         another fleet, or somebody stands between; nothing was told to it"
    )]
    OtherAuthority {
        /// Where.
        url: String,
        /// Its hash.
        got: String,
        /// What the token says.
        expected: String,
    },
    /// The controller says no.
    #[error("the controller refuses: {reason}")]
    Refused {
        /// Its words.
        reason: String,
    },
    /// What came is not understood.
    #[error("the answer of {url} is not understood: {reason}")]
    Answer {
        /// Where.
        url: String,
        /// Why not.
        reason: String,
    },
    /// The files of the identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl ClientError {
    /// Whether the same may succeed later.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// Joins: makes a key in `dir` if there is none yet, and gets a certificate for it. Doing it again after it failed half
/// way is safe: the same key gets the same certificate.
///
/// # Errors
/// [`ClientError`].
pub fn join(dir: &Path, url: &str, token: &Token) -> Result<Identity, ClientError> {
    let url = base(url)?;
    let key = identity::key_to_join(dir)?;
    let (text, authority) = authority(url, token)?;
    let agent = agent(tls().root_certs(roots(&authority)).build());
    let request =
        JoinRequest { token: token.to_string(), request: signed(url, &token.node, &key)? };
    let issued: Issued = post(&agent, &format!("{url}{JOIN_PATH}"), &request)?;
    let (whose, what) = ((&token.node, &key), (issued.certificate.as_str(), text.as_str()));
    Ok(identity::keep_joined(dir, whose, what, &issued.members)?)
}

/// Gets the next certificate for the same key and keeps it; answers whether who belongs to the fleet has changed.
///
/// # Errors
/// [`ClientError`]; then everything is as before.
pub fn renew(identity: &mut Identity, url: &str) -> Result<bool, ClientError> {
    let issued = next(identity, url)?;
    keep(identity, issued)
}

/// Gets the next certificate for the same key, for [`keep`]: the identity may learn of other members meanwhile.
///
/// # Errors
/// [`ClientError`].
pub fn next(identity: &Identity, url: &str) -> Result<Issued, ClientError> {
    let url = base(url)?;
    let key = identity::read_key(&identity.paths.key)?;
    let (_, certificate) = identity::read_certificate(&identity.paths.certificate)?;
    let chain = [Certificate::from_der(&certificate).to_owned()];
    let private = PrivateKey::from_pem(key.serialize_pem().as_bytes())
        .map_err(|error| ClientError::Answer { url: url.to_owned(), reason: error.to_string() })?;
    let tls = tls()
        .root_certs(roots(&identity.authority))
        .client_cert(Some(ClientCert::new_with_certs(&chain, private)));
    let request = RenewRequest { request: signed(url, &identity.facts.name, &key)? };
    post(&agent(tls.build()), &format!("{url}{RENEW_PATH}"), &request)
}

/// Keeps what [`next`] brought; answers whether who belongs to the fleet has changed.
///
/// # Errors
/// [`ClientError::Identity`].
pub fn keep(identity: &mut Identity, issued: Issued) -> Result<bool, ClientError> {
    identity.keep_certificate(&issued.certificate)?;
    Ok(identity.keep_members(issued.members)?)
}

fn base(url: &str) -> Result<&str, ClientError> {
    let url = url.trim_end_matches('/');
    let host = url.strip_prefix("https://").filter(|host| !host.is_empty() && !host.contains('/'));
    host.map(|_| url).ok_or_else(|| ClientError::Address { url: url.to_owned() })
}

fn tls() -> TlsConfigBuilder {
    TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(provider()))
}

fn roots(authority: &CertificateDer<'_>) -> RootCerts {
    RootCerts::new_with_certs(&[Certificate::from_der(authority).to_owned()])
}

fn agent(tls: TlsConfig) -> Agent {
    let config = Agent::config_builder().tls_config(tls).timeout_global(Some(TIMEOUT));
    // No proxy, no redirects: the address that was given, or none.
    let config = config.proxy(None).max_redirects(0).http_status_as_error(false);
    config.build().new_agent()
}

/// The authority's certificate, as text and bytes, if its hash is that of the token. Nothing is believed before.
fn authority(url: &str, token: &Token) -> Result<(String, CertificateDer<'static>), ClientError> {
    let agent = agent(tls().disable_verification(true).build());
    let (status, text) = read(agent.get(format!("{url}{AUTHORITY_PATH}")).call(), url)?;
    let unclear = |reason: String| ClientError::Answer { url: url.to_owned(), reason };
    if status != 200 {
        return Err(unclear(format!("status {status} where the authority should be")));
    }
    let certificate = CertificateDer::from_pem_slice(text.as_bytes());
    let certificate = certificate.map_err(|error| unclear(error.to_string()))?;
    let got = sha256(&certificate);
    if !is_same(&got, &token.authority) {
        let (got, expected) = (hex(&got), hex(&token.authority));
        return Err(ClientError::OtherAuthority { url: url.to_owned(), got, expected });
    }
    Ok((text, certificate))
}

fn signed(url: &str, name: &NodeId, key: &KeyPair) -> Result<String, ClientError> {
    let unclear = |reason| ClientError::Answer { url: url.to_owned(), reason };
    identity::request(name, key).map_err(unclear)
}

fn post<T: DeserializeOwned>(
    agent: &Agent,
    url: &str,
    request: &impl Serialize,
) -> Result<T, ClientError> {
    let unclear = |reason: String| ClientError::Answer { url: url.to_owned(), reason };
    let body = serde_json::to_string(request).map_err(|error| unclear(error.to_string()))?;
    let sent = agent.post(url).content_type("application/json").send(body);
    let (status, text) = read(sent, url)?;
    if status == 200 {
        return serde_json::from_str(&text).map_err(|error| unclear(error.to_string()));
    }
    let reason = serde_json::from_str(&text)
        .map_or_else(|_| format!("status {status}"), |Refused { error }| error);
    // Too many at once, or no disk there: that passes.
    if status == 429 || 500 <= status {
        return Err(ClientError::Unreachable { url: url.to_owned(), reason });
    }
    Err(ClientError::Refused { reason })
}

fn read(
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    url: &str,
) -> Result<(u16, String), ClientError> {
    let failed = |error: ureq::Error| ClientError::Unreachable {
        url: url.to_owned(),
        reason: error.to_string(),
    };
    let mut answer = answer.map_err(failed)?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
    Ok((status, body.read_to_string().map_err(failed)?))
}

/// Bytes as digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
