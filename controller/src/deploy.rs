//! Deploying: the body of an upload, and the checks that a function passes before anything of it is kept. Their order is
//! part of the contract: size, signature, SHA-256, version, validity, pre-scan.

use accel::{InspectError, ScanLimits};
use protocol::manifest::Manifest;
use protocol::module::MODULE_BYTES_MAX;
use protocol::release::{PROGRAM_BYTES_MAX, SignedRelease};
use protocol::signed::{KeyId, SignedManifest};
use protocol::{DecodeError, EncodeError, Message, decode, encode};
use sha2::{Digest as _, Sha256};
use types::{Epoch, FunctionId};

use crate::controller::{SavedFunction, Seen, SignerBook};
use crate::function_file::{FunctionFile, ManifestError, check_program};
use crate::keys::{SigningKey, is_signed_by};
use crate::world;

/// Media type of an upload: the length of the signed manifest as 4 bytes, the highest first; the frame of the signed
/// manifest; the component or the model, or nothing where nodes have the code.
pub const UPLOAD_TYPE: &str = "application/vnd.starbelt.function";
/// Bytes of the length that stands first.
pub const LENGTH_BYTES: usize = 4;
/// Largest component.
pub const COMPONENT_BYTES_MAX: usize = MODULE_BYTES_MAX as usize;
/// Largest upload.
pub const UPLOAD_BYTES_MAX: usize = LENGTH_BYTES + SignedManifest::BYTES_MAX + COMPONENT_BYTES_MAX;

/// Media type of the upload of a program: the length of the signed release as 4 bytes, the highest first; the frame of the signed release; the program.
pub const PROGRAM_UPLOAD_TYPE: &str = "application/vnd.starbelt.program";
/// Largest upload of a program.
pub const PROGRAM_UPLOAD_BYTES_MAX: usize =
    LENGTH_BYTES + SignedRelease::BYTES_MAX + PROGRAM_BYTES_MAX as usize;

/// Why a function cannot be uploaded.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// File and component make no manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The manifest cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// The body of an upload: the manifest, signed, and the component.
///
/// # Errors
/// [`UploadError`] for a file and a component that make no manifest.
pub fn upload(
    said: &FunctionFile,
    component: &[u8],
    key: &SigningKey,
) -> Result<Vec<u8>, UploadError> {
    let manifest = said.manifest(component, key.id())?;
    let signed = encode(&key.sign_manifest(&manifest)?)?;
    Ok(body(&signed, component))
}

/// The body of an upload, of its parts.
pub fn body(signed: &[u8], component: &[u8]) -> Vec<u8> {
    // A frame is never as long as 4 GiB.
    let length = u32::try_from(signed.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), signed, component].concat()
}

/// Why a function is not taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PushError {
    /// A part is larger than any may be.
    #[error("the {part} has {bytes} bytes, it has at most {limit}")]
    TooLarge {
        /// `upload`, `signed manifest` or `component`.
        part: &'static str,
        /// Its size.
        bytes: u64,
        /// The largest size.
        limit: usize,
    },
    /// The body ends within a part.
    #[error(
        "the upload ends within its {0}; it is the length of the signed manifest or release (4 bytes), that, and the component or program"
    )]
    Cut(&'static str),
    /// The manifest is none.
    #[error("the manifest is refused: {0}")]
    Manifest(#[from] DecodeError),
    /// Nobody trusts the key.
    #[error("key {0} is not trusted by this fleet; who runs it can say: starbelt key trust FILE")]
    UnknownKey(KeyId),
    /// The key was revoked.
    #[error("key {0} was revoked; sign with another one (starbelt key new NAME)")]
    RevokedKey(KeyId),
    /// The bytes were not signed with that key, or not as a function.
    #[error("the manifest was not signed with key {0}, or was changed since")]
    BadSignature(KeyId),
    /// Manifest and signature name different keys.
    #[error("the manifest names key {named}, it is signed with {signed}")]
    OtherKey {
        /// In the manifest.
        named: KeyId,
        /// Beside the signature.
        signed: KeyId,
    },
    /// The component is another than the signed one.
    #[error("the component is not the one that was signed: its SHA-256 is another")]
    OtherComponent,
    /// A newer one was seen.
    #[error(
        "function {name}: version {version} is lower than {seen}, which was seen already; raise `version` in function.toml"
    )]
    Rollback {
        /// Which.
        name: FunctionId,
        /// Its version.
        version: u64,
        /// The highest so far.
        seen: u64,
    },
    /// Something else has that version.
    #[error(
        "function {name}: version {version} was pushed before with other content; raise `version` in function.toml"
    )]
    OtherContent {
        /// Which.
        name: FunctionId,
        /// The version.
        version: u64,
    },
    /// No more are possible.
    #[error("{0} functions are known already, counting removed ones; the most that are possible")]
    TooMany(usize),
    /// Its time has not come.
    #[error("function {name} is valid from {not_before} on, it is {now}")]
    NotYet {
        /// Which.
        name: FunctionId,
        /// From when on.
        not_before: Epoch,
        /// The clock of the controller.
        now: Epoch,
    },
    /// Its time is over.
    #[error(
        "function {name} was valid until {not_after}, it is {now}; sign it again with another validity"
    )]
    Expired {
        /// Which.
        name: FunctionId,
        /// Until when.
        not_after: Epoch,
        /// The clock of the controller.
        now: Epoch,
    },
    /// It was built against another contract.
    #[error("function {0} was built against another contract than {world}; build and sign it again", world = world::NAME)]
    OtherWorld(FunctionId),
    /// The component is refused.
    #[error("function {name}: {source}")]
    Component {
        /// Which.
        name: FunctionId,
        /// Why.
        source: InspectError,
    },
    /// The model, or what the nodes should have, is refused.
    #[error("function {name}: {reason}")]
    Program {
        /// Which.
        name: FunctionId,
        /// Why.
        reason: String,
    },
}

/// What the checks rest on, taken from the controller at one moment.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Whose signatures count.
    pub signers: SignerBook,
    /// The highest version of that function so far.
    pub seen: Option<Seen>,
    /// The wall clock.
    pub now: Epoch,
}

/// An upload in its two parts.
#[derive(Clone, Copy, Debug)]
pub struct Upload<'a> {
    /// The frame of the signed manifest.
    pub signed: &'a [u8],
    /// The component.
    pub component: &'a [u8],
}

impl<'a> Upload<'a> {
    /// Takes a body apart; looks at sizes only.
    ///
    /// # Errors
    /// [`PushError::TooLarge`] or [`PushError::Cut`].
    pub fn of(body: &'a [u8]) -> Result<Self, PushError> {
        let Some((length, rest)) = body.split_first_chunk::<LENGTH_BYTES>() else {
            return Err(PushError::Cut("length"));
        };
        let length = manifest_length(*length)?;
        let (signed, component) =
            rest.split_at_checked(length).ok_or(PushError::Cut("signed manifest"))?;
        if COMPONENT_BYTES_MAX < component.len() {
            let bytes = u64::try_from(component.len()).unwrap_or(u64::MAX);
            let limit = COMPONENT_BYTES_MAX;
            return Err(PushError::TooLarge { part: "component", bytes, limit });
        }
        Ok(Self { signed, component })
    }
}

/// The length of the signed manifest, if it may be so long.
///
/// # Errors
/// [`PushError::TooLarge`].
pub fn manifest_length(bytes: [u8; LENGTH_BYTES]) -> Result<usize, PushError> {
    length(bytes, "signed manifest", SignedManifest::BYTES_MAX)
}

/// The length of the signed release, if it may be so long.
///
/// # Errors
/// [`PushError::TooLarge`].
pub fn release_length(bytes: [u8; LENGTH_BYTES]) -> Result<usize, PushError> {
    length(bytes, "signed release", SignedRelease::BYTES_MAX)
}

fn length(bytes: [u8; LENGTH_BYTES], part: &'static str, limit: usize) -> Result<usize, PushError> {
    let bytes = u32::from_be_bytes(bytes);
    let length = usize::try_from(bytes).unwrap_or(usize::MAX);
    let too_large = PushError::TooLarge { part, bytes: u64::from(bytes), limit };
    if limit < length { Err(too_large) } else { Ok(length) }
}

/// The upload of a program in its two parts.
#[derive(Clone, Copy, Debug)]
pub struct ProgramUpload<'a> {
    /// The frame of the signed release.
    pub signed: &'a [u8],
    /// The program.
    pub program: &'a [u8],
}

impl<'a> ProgramUpload<'a> {
    /// Takes a body apart; looks at sizes only.
    ///
    /// # Errors
    /// [`PushError::TooLarge`] or [`PushError::Cut`].
    pub fn of(body: &'a [u8]) -> Result<Self, PushError> {
        let Some((length, rest)) = body.split_first_chunk::<LENGTH_BYTES>() else {
            return Err(PushError::Cut("length"));
        };
        let length = release_length(*length)?;
        let (signed, program) =
            rest.split_at_checked(length).ok_or(PushError::Cut("signed release"))?;
        Ok(Self { signed, program })
    }
}

/// Checks who signed, and reads the manifest.
///
/// # Errors
/// [`PushError`] with the first check that fails.
pub fn open(signers: &SignerBook, signed: &[u8]) -> Result<Manifest, PushError> {
    let signed: SignedManifest = decode(signed)?;
    let key = signers.key(signed.key)?;
    if !is_signed_by(&signed, &key) {
        return Err(PushError::BadSignature(signed.key));
    }
    let manifest = signed.open()?;
    if manifest.key != signed.key {
        return Err(PushError::OtherKey { named: manifest.key, signed: signed.key });
    }
    Ok(manifest)
}

impl Gate {
    /// Checks what follows the signature, and says what is to be kept.
    ///
    /// # Errors
    /// [`PushError`] with the first check that fails.
    pub fn check(
        &self,
        manifest: &Manifest,
        upload: Upload<'_>,
    ) -> Result<SavedFunction, PushError> {
        let name = &manifest.name;
        if sha256(upload.component) != manifest.sha256 {
            return Err(PushError::OtherComponent);
        }
        let seen = Seen { version: manifest.version, manifest: sha256(upload.signed) };
        self.seen.map_or(Ok(()), |highest| highest.admits(name, &seen))?;
        self.is_in_time(manifest)?;
        if !manifest.fits_world(&world::hash()) {
            return Err(PushError::OtherWorld(name.clone()));
        }
        let imports = imports(manifest, upload.component)?;
        Ok(SavedFunction {
            name: name.clone(),
            version: manifest.version,
            manifest: seen.manifest,
            key: manifest.key,
            tenant: manifest.tenant.clone(),
            sha256: manifest.sha256,
            // It was measured.
            bytes: u32::try_from(upload.component.len()).unwrap_or(u32::MAX),
            imports,
            calls: manifest.grants.calls.clone(),
            code: manifest.code.clone(),
        })
    }

    fn is_in_time(&self, manifest: &Manifest) -> Result<(), PushError> {
        let (name, now) = (manifest.name.clone(), self.now);
        if let Some(not_before) = manifest.not_before.filter(|from| now < *from) {
            return Err(PushError::NotYet { name, not_before, now });
        }
        if let Some(not_after) = manifest.not_after.filter(|until| *until < now) {
            return Err(PushError::Expired { name, not_after, now });
        }
        Ok(())
    }
}

/// Checks the code itself; answers what it imports.
fn imports(manifest: &Manifest, code: &[u8]) -> Result<Vec<String>, PushError> {
    let name = || manifest.name.clone();
    if manifest.code.is_program() {
        let checked = check_program(&manifest.code, code);
        let refused =
            |error: ManifestError| PushError::Program { name: name(), reason: error.to_string() };
        return checked.map(|_facts| Vec::new()).map_err(refused);
    }
    let facts = accel::inspect(code, &ScanLimits::AGENT);
    let facts = facts.map_err(|source| PushError::Component { name: name(), source })?;
    Ok(facts.imports.into_iter().collect())
}

/// SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
