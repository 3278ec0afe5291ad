//! Signing keys: files of one line, ed25519, and what is signed with them. A key id is the first 8 bytes of the SHA-256
//! of the public key.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer as _, VerifyingKey};
use protocol::manifest::Manifest;
use protocol::release::{Release, SignedRelease};
use protocol::signed::{KeyId, Signature, SignedManifest};
use protocol::{EncodeError, encode};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest as _, Sha256};
use types::KeyName;

use crate::hex::{hex, unhex};

/// First word of a file with a secret key.
const SECRET: &str = "starbelt-secret-key-v1";
/// First word of a file with a public key.
const PUBLIC: &str = "starbelt-public-key-v1";
/// Longest key file: the words, a name of 63 bytes and 64 digits.
const FILE_BYTES_MAX: u64 = 256;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The disk or the system's source of randomness failed.
    #[error("{}: {source}", file.display())]
    Disk {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is there already.
    #[error("{} is there already; a key is never replaced, choose another name", file.display())]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// It is not what it should be.
    #[error("{}: {rule}", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// Which rule it breaks, and what to do.
        rule: String,
    },
}

/// A key that signs. Its secret is never shown.
pub struct SigningKey {
    name: KeyName,
    inner: ed25519_dalek::SigningKey,
}

/// A key that checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// Whose it is, for people.
    pub name: KeyName,
    /// Its 32 bytes.
    pub key: [u8; 32],
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Draws a new key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn draw(name: KeyName) -> io::Result<Self> {
        let mut secret = [0; 32];
        // Up to 256 bytes come whole.
        getrandom(&mut secret[..], GetRandomFlags::empty())?;
        Ok(Self { name, inner: ed25519_dalek::SigningKey::from_bytes(&secret) })
    }

    /// Writes `NAME.key`, for nobody else to read, and `NAME.pub` into a folder, which is made if it is not there;
    /// answers the first.
    ///
    /// # Errors
    /// [`KeyError::Exists`] rather than replace a file, [`KeyError::Disk`] when it cannot be written.
    pub fn save(&self, dir: &Path) -> Result<PathBuf, KeyError> {
        let file = dir.join(format!("{}.key", self.name));
        fs::create_dir_all(dir)
            .map_err(|source| KeyError::Disk { file: dir.to_owned(), source })?;
        let secret = hex(self.inner.as_bytes());
        write_new(&file, 0o600, &format!("{SECRET} {} {secret}\n", self.name))?;
        let public = PublicKey { name: self.name.clone(), key: self.public() };
        write_new(&file.with_extension("pub"), 0o644, &format!("{public}\n"))?;
        Ok(file)
    }

    /// Reads a key.
    ///
    /// # Errors
    /// [`KeyError`]; a file that others can read is refused.
    pub fn load(file: &Path) -> Result<Self, KeyError> {
        let (kind, name, key) = read(file)?;
        if kind != SECRET {
            let rule = "is a public key; sign with the file NAME.key beside it".to_owned();
            return Err(KeyError::Invalid { file: file.to_owned(), rule });
        }
        let facts = fs::metadata(file)
            .map_err(|source| KeyError::Disk { file: file.to_owned(), source })?;
        if facts.permissions().mode() & 0o077 != 0 {
            let rule = "must not be open to others; run chmod 600 on it".to_owned();
            return Err(KeyError::Invalid { file: file.to_owned(), rule });
        }
        Ok(Self { name, inner: ed25519_dalek::SigningKey::from_bytes(&key) })
    }

    /// Its name.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// Its id.
    pub fn id(&self) -> KeyId {
        key_id(&self.public())
    }

    /// The part that checks.
    pub fn public(&self) -> [u8; 32] {
        self.inner.verifying_key().to_bytes()
    }

    /// Signs bytes as they are, without a domain: only what a domain stands before may be signed.
    fn sign(&self, bytes: &[u8]) -> Signature {
        Signature::from_bytes(&self.inner.sign(bytes).to_bytes())
    }

    /// Signs a release of the agent, which has to name this key.
    ///
    /// # Errors
    /// [`EncodeError`] for a release that breaks a rule.
    pub fn sign_release(&self, release: &Release) -> Result<SignedRelease, EncodeError> {
        let release = encode(release)?;
        let signature = self.sign(&SignedRelease::signed_bytes(&release));
        Ok(SignedRelease { release, key: self.id(), signature })
    }

    /// Signs a manifest, which has to name this key.
    ///
    /// # Errors
    /// [`EncodeError`] for a manifest that breaks a rule.
    pub fn sign_manifest(&self, manifest: &Manifest) -> Result<SignedManifest, EncodeError> {
        let manifest = encode(manifest)?;
        let signature = self.sign(&SignedManifest::signed_bytes(&manifest));
        Ok(SignedManifest { manifest, key: self.id(), signature })
    }
}

impl PublicKey {
    /// Reads the public part of a key from its file, or from that of the secret.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn load(file: &Path) -> Result<Self, KeyError> {
        let (kind, name, key) = read(file)?;
        let key = if kind == SECRET {
            ed25519_dalek::SigningKey::from_bytes(&key).verifying_key().to_bytes()
        } else {
            key
        };
        Ok(Self { name, key })
    }

    /// Its id.
    pub fn id(&self) -> KeyId {
        key_id(&self.key)
    }
}

impl fmt::Display for PublicKey {
    /// As in its file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC} {} {}", self.name, hex(&self.key))
    }
}

/// The id of a public key.
pub fn key_id(public: &[u8; 32]) -> KeyId {
    let hash: [u8; 32] = Sha256::digest(public).into();
    let mut id = [0; 8];
    id.copy_from_slice(&hash[..8]);
    KeyId(id)
}

/// Whether 32 bytes are an ed25519 public key that can be trusted: a point of the curve in its only right encoding, and
/// none of the few with which anything counts as signed.
pub fn is_public_key(bytes: &[u8; 32]) -> bool {
    // A number of 255 bits, lowest byte first, below 2^255 - 19: else one key would have two ids.
    let is_below_prime = bytes[0] < 0xed
        || bytes[31] & 0x7f != 0x7f
        || bytes[1..31].iter().any(|byte| *byte != 0xff);
    is_below_prime && VerifyingKey::from_bytes(bytes).is_ok_and(|key| !key.is_weak())
}

/// Whether a manifest was signed, for a function and as it is, with the secret of a public key.
pub fn is_signed_by(signed: &SignedManifest, public: &[u8; 32]) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(&signed.signature.to_bytes());
    let bytes = SignedManifest::signed_bytes(&signed.manifest);
    VerifyingKey::from_bytes(public).is_ok_and(|key| key.verify_strict(&bytes, &signature).is_ok())
}

/// Where keys lie unless somebody says otherwise: `starbelt/keys` below `$XDG_CONFIG_HOME` or `~/.config`.
pub fn default_dir() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let config = set("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let config = config.or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")));
    config.map(|config| config.join("starbelt/keys"))
}

/// The secret keys in a folder, by name; none if there is no folder.
pub fn secret_keys(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let is_key = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "key");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_key).collect();
    files.sort();
    files
}

fn read(file: &Path) -> Result<(&'static str, KeyName, [u8; 32]), KeyError> {
    let disk = |source| KeyError::Disk { file: file.to_owned(), source };
    let invalid = |rule: &str| KeyError::Invalid { file: file.to_owned(), rule: rule.to_owned() };
    if FILE_BYTES_MAX < fs::metadata(file).map_err(disk)?.len() {
        return Err(invalid("is too long for a key; `starbelt key new NAME` makes one"));
    }
    let text = String::from_utf8(fs::read(file).map_err(disk)?);
    let text =
        text.map_err(|_binary| invalid("is no text; `starbelt key new NAME` makes a key"))?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let [kind, name, key] = words[..] else {
        return Err(invalid("is no key: a line with kind, name and 64 hexadecimal digits"));
    };
    let kind = [SECRET, PUBLIC].into_iter().find(|known| *known == kind);
    let kind = kind.ok_or_else(|| invalid("is no key of this version"))?;
    let name = KeyName::new(name).map_err(|error| invalid(&error.to_string()))?;
    let key = unhex(key).ok_or_else(|| invalid("a key has 64 hexadecimal digits"))?;
    if kind == PUBLIC && !is_public_key(&key) {
        return Err(invalid("is no ed25519 public key"));
    }
    Ok((kind, name, key))
}

/// Writes a file that must not be there yet.
fn write_new(file: &Path, mode: u32, text: &str) -> Result<(), KeyError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists { file: file.to_owned() },
        _ => KeyError::Disk { file: file.to_owned(), source },
    };
    let mut options = OpenOptions::new();
    let mut out = options.write(true).create_new(true).mode(mode).open(file).map_err(failed)?;
    out.write_all(text.as_bytes()).and_then(|()| out.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> KeyName {
        KeyName::new(name).unwrap()
    }

    #[test]
    fn a_key_is_kept_for_its_owner_alone_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("keys");
        let key = SigningKey::draw(name("laptop")).unwrap();
        let file = key.save(&dir).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let again = SigningKey::load(&file).unwrap();
        assert_eq!((again.id(), again.public()), (key.id(), key.public()));
        for file in [&file, &file.with_extension("pub")] {
            let public = PublicKey::load(file).unwrap();
            assert_eq!((public.id(), public.name.as_str()), (key.id(), "laptop"));
        }
        let other = SigningKey::draw(name("laptop")).unwrap();
        assert_ne!(other.id(), key.id());
        assert!(matches!(other.save(&dir), Err(KeyError::Exists { .. })));
        assert_eq!(SigningKey::load(&file).unwrap().id(), key.id());
        assert_eq!(secret_keys(&dir), [file]);
        assert!(!format!("{key:?}").contains(&hex(key.inner.as_bytes())));
    }

    #[test]
    fn what_is_no_key_or_open_to_others_is_refused_with_file_and_rule() {
        let dir = tempfile::tempdir().unwrap();
        let file = SigningKey::draw(name("a")).unwrap().save(dir.path()).unwrap();
        let said = |file: &Path| SigningKey::load(file).unwrap_err().to_string();
        assert!(said(&file.with_extension("pub")).contains("a.pub: is a public key"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(said(&file).contains("a.key: must not be open to others"), "{}", said(&file));
        let bad = dir.path().join("bad");
        let digits = "0".repeat(64);
        for (text, rule) in [
            (String::new(), "is no key"),
            (format!("starbelt-secret-key-v9 a {digits}"), "of this version"),
            (format!("{SECRET} A! {digits}"), "a-z"),
            (format!("{SECRET} a +{}", &digits[1..]), "64 hexadecimal digits"),
            // The neutral point: everything would count as signed with it.
            (format!("{PUBLIC} a 01{}", &digits[2..]), "no ed25519 public key"),
            ("x".repeat(300), "too long"),
        ] {
            fs::write(&bad, &text).unwrap();
            assert!(said(&bad).contains(rule), "{}\nfor {text}", said(&bad));
        }
    }

    #[test]
    fn a_key_id_is_the_beginning_of_the_hash_of_the_public_key() {
        // SHA-256 of 32 zero bytes begins so.
        assert_eq!(key_id(&[0; 32]).to_string(), "66687aadf862bd77");
    }
}
