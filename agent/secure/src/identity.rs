//! The identity of a process on disk: its key, its certificate, the fleet's authority and members.
//!
//! ```text
//! node.key      the private key, PKCS #8; made here, never leaves; readable by its owner alone
//! ca.pem        the certificate of the fleet's authority
//! members       the newest list of members, a frame of the protocol
//! node.pem      the certificate; written last, so that it is there only when all else is
//! ```
//!
//! Files are replaced, never changed: written beside, synced, renamed, and the folder synced too.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use protocol::join::{Member, Members};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use types::NodeId;

use crate::renewal::Life;
use crate::x509::{Facts, facts, sha256};

/// Largest file of an identity: the list of members has at most 192 KiB.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Where the files of an identity are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The private key.
    pub key: PathBuf,
    /// The certificate.
    pub certificate: PathBuf,
    /// The certificate of the fleet's authority.
    pub authority: PathBuf,
    /// The newest list of members.
    pub members: PathBuf,
}

impl Paths {
    /// The files in a folder.
    pub fn in_dir(dir: &Path) -> Self {
        Self {
            key: dir.join("node.key"),
            certificate: dir.join("node.pem"),
            authority: dir.join("ca.pem"),
            members: dir.join("members"),
        }
    }
}

/// Why an identity cannot be used or kept.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is none yet.
    #[error("there is no identity in {}; join the fleet first: {how}", dir.display(), how = HOW_TO_JOIN)]
    None {
        /// The folder.
        dir: PathBuf,
    },
    /// There is one.
    #[error(
        "{} holds the identity of {name} already; to join anew, move the folder away first",
        dir.display()
    )]
    Exists {
        /// The folder.
        dir: PathBuf,
        /// Whose it is.
        name: String,
    },
    /// The disk.
    #[error("{}: {source}", path.display())]
    Disk {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {rule}", path.display())]
    Invalid {
        /// Which.
        path: PathBuf,
        /// What it should be.
        rule: String,
    },
}

/// Said to whoever has no identity.
const HOW_TO_JOIN: &str =
    "`starbelt node token NAME` on the controller, then `starbelt-agent join` here";

/// An identity that fits together: the key is that of the certificate.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its files.
    pub paths: Paths,
    /// What its certificate says.
    pub facts: Facts,
    /// The certificate of the fleet's authority.
    pub authority: CertificateDer<'static>,
    /// The newest list of members that was kept.
    pub members: Members,
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> IdentityError {
    let path = path.to_owned();
    move |source| IdentityError::Disk { path, source }
}

fn invalid(path: &Path, rule: impl ToString) -> IdentityError {
    IdentityError::Invalid { path: path.to_owned(), rule: rule.to_string() }
}

impl Identity {
    /// Reads the identity in a folder and checks that it fits together.
    ///
    /// # Errors
    /// [`IdentityError`]; a key that others can read is refused.
    pub fn load(dir: &Path) -> Result<Self, IdentityError> {
        let paths = Paths::in_dir(dir);
        if !paths.certificate.exists() {
            return Err(IdentityError::None { dir: dir.to_owned() });
        }
        let (_, certificate) = read_certificate(&paths.certificate)?;
        let (_, authority) = read_certificate(&paths.authority)?;
        let facts = facts(&certificate).map_err(|error| invalid(&paths.certificate, error))?;
        let key = read_key(&paths.key)?;
        if sha256(key.der_bytes()) != facts.key {
            return Err(invalid(&paths.key, "is not the key of node.pem beside it; join anew"));
        }
        let members = read(&paths.members)?;
        let members = protocol::decode(&members).map_err(|error| invalid(&paths.members, error))?;
        Ok(Self { paths, facts, authority, members })
    }

    /// From when to when its certificate counts.
    pub const fn life(&self) -> Life {
        Life { not_before_s: self.facts.not_before_s, not_after_s: self.facts.not_after_s }
    }

    /// Keeps a newer list of members, with all that the old one says is revoked; answers whether who belongs to the
    /// fleet has changed otherwise than by revocation.
    ///
    /// # Errors
    /// [`IdentityError`] when it is not durable; then nothing has changed.
    pub fn keep_members(&mut self, members: Members) -> Result<bool, IdentityError> {
        let members = members.merged(&self.members);
        if members == self.members {
            return Ok(false);
        }
        write_members(&self.paths.members, &members)?;
        let left = |member: &&Member| !members.revoked.contains(&member.name);
        let is_other = !members.members.iter().eq(self.members.members.iter().filter(left));
        self.members = members;
        Ok(is_other)
    }

    /// Replaces the certificate by a newer one of the same key and name.
    ///
    /// # Errors
    /// [`IdentityError`] when it is another's, or not durable.
    pub fn keep_certificate(&mut self, pem: &str) -> Result<(), IdentityError> {
        let path = &self.paths.certificate;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| invalid(path, format!("what came is no PEM: {error}")))?;
        let facts = facts(&certificate).map_err(|error| invalid(path, error))?;
        if (&facts.name, &facts.key) != (&self.facts.name, &self.facts.key) {
            return Err(invalid(path, "what came is the certificate of another name or key"));
        }
        replace(path, 0o644, pem.as_bytes())?;
        self.facts = facts;
        Ok(())
    }
}

/// The key in a folder where somebody wants to join: that of an earlier try, or a new one.
///
/// # Errors
/// [`IdentityError::Exists`] where somebody has joined already, else when there is no disk or no randomness.
pub fn key_to_join(dir: &Path) -> Result<KeyPair, IdentityError> {
    let paths = Paths::in_dir(dir);
    if paths.certificate.exists() {
        let (_, certificate) = read_certificate(&paths.certificate)?;
        let name =
            facts(&certificate).map_or_else(|_| "somebody".to_owned(), |f| f.name.to_string());
        return Err(IdentityError::Exists { dir: dir.to_owned(), name });
    }
    // A folder that is there keeps its mode: what counts is that of the key.
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(disk(dir))?;
    if paths.key.exists() {
        return read_key(&paths.key);
    }
    let key = KeyPair::generate().map_err(|error| invalid(&paths.key, error))?;
    replace(&paths.key, 0o600, key.serialize_pem().as_bytes())?;
    Ok(key)
}

/// Keeps what joining brought; the certificate last.
///
/// # Errors
/// [`IdentityError`] when the certificate is not that of the key and name, or something is not durable.
pub fn keep_joined(
    dir: &Path,
    (name, key): (&NodeId, &KeyPair),
    (certificate, authority): (&str, &str),
    members: &Members,
) -> Result<Identity, IdentityError> {
    let paths = Paths::in_dir(dir);
    let der = CertificateDer::from_pem_slice(certificate.as_bytes())
        .map_err(|error| invalid(&paths.certificate, format!("what came is no PEM: {error}")))?;
    let facts = facts(&der).map_err(|error| invalid(&paths.certificate, error))?;
    if facts.name != *name || facts.key != sha256(key.der_bytes()) {
        return Err(invalid(&paths.certificate, "what came is the certificate of another"));
    }
    replace(&paths.authority, 0o644, authority.as_bytes())?;
    write_members(&paths.members, members)?;
    replace(&paths.certificate, 0o644, certificate.as_bytes())?;
    Identity::load(dir)
}

/// What asks for a certificate of that name, as PEM, signed with the key.
///
/// # Errors
/// In words, when the key cannot sign.
pub fn request(name: &NodeId, key: &KeyPair) -> Result<String, String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name.as_str());
    let request = params.serialize_request(key).map_err(|error| error.to_string())?;
    request.pem().map_err(|error| error.to_string())
}

/// A certificate: its text and its bytes.
///
/// # Errors
/// [`IdentityError`] when there is none.
pub fn read_certificate(path: &Path) -> Result<(String, CertificateDer<'static>), IdentityError> {
    let text = String::from_utf8(read(path)?).map_err(|error| invalid(path, error))?;
    let certificate = CertificateDer::from_pem_slice(text.as_bytes())
        .map_err(|error| invalid(path, format!("holds no certificate: {error}")))?;
    Ok((text, certificate))
}

/// A private key that is open to its owner alone.
///
/// # Errors
/// [`IdentityError`] when there is none, or others can read it.
pub fn read_key(path: &Path) -> Result<KeyPair, IdentityError> {
    let mode = fs::metadata(path).map_err(disk(path))?.permissions().mode();
    if mode & 0o077 != 0 {
        let rule =
            format!("must not be open to others (mode {:o}); run chmod 600 on it", mode & 0o777);
        return Err(invalid(path, rule));
    }
    let text = String::from_utf8(read(path)?).map_err(|error| invalid(path, error))?;
    KeyPair::from_pem(&text).map_err(|error| invalid(path, format!("holds no key: {error}")))
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    let bytes = fs::metadata(path).map_err(disk(path))?.len();
    if FILE_BYTES_MAX < bytes {
        return Err(invalid(
            path,
            format!("{bytes} bytes are too many, the limit is {FILE_BYTES_MAX}"),
        ));
    }
    fs::read(path).map_err(disk(path))
}

fn write_members(path: &Path, members: &Members) -> Result<(), IdentityError> {
    let frame = protocol::encode(members).map_err(|error| invalid(path, error))?;
    replace(path, 0o644, &frame)
}

/// Writes a file so that after a crash either the old or the new content is there, whole.
///
/// # Errors
/// [`IdentityError::Disk`].
pub fn replace(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), IdentityError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = path.with_file_name(format!(".{name}.new"));
    // What an earlier crash left may have another mode.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(disk(&beside)(error)),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(&beside);
    let mut file = file.map_err(disk(&beside))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(disk(&beside))?;
    fs::rename(&beside, path).map_err(disk(path))?;
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(disk(dir))
}

#[cfg(test)]
mod tests;
