//! Compiled code on disk, for this device alone.
//!
//! Loading compiled code is running it, so nothing is taken that this device did not seal itself. Beside each file of code lies its
//! seal: a keyed BLAKE3 over name, facts and code, and the facts. The name says which module it is, and which engine on which
//! processor made it. Code stays a file of its own so that the engine can map it: copying it would take longer than all else.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::hash::{Hash as _, Hasher};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use accel::ModuleFacts;
use rustix::fs::OFlags;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::compile::CODE_BYTES_MAX;
use crate::config::CacheConfig;

/// How a seal begins; the last byte counts its layouts.
const MAGIC: [u8; 8] = *b"SBSEAL\0\x01";
/// Bytes of the keyed hash.
const SEAL: usize = 32;
/// What the key is used for, so that the same secret can serve other purposes.
const PURPOSE: &str = "starbelt 2026-11 compiled code on this device";
/// Modules that are kept; the one that was written first gives way.
const MODULES_MAX: usize = 128;
/// Largest seal: facts of a component with all the names that it may have.
const SEAL_BYTES_MAX: u64 = 1024 * 1024;
/// Memory that is kept for reading the next code.
const SCRATCH_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Which module: SHA-256 of its bytes.
pub type ModuleHash = [u8; 32];

/// The compiled code that one engine can run.
#[derive(Debug)]
pub(crate) struct CodeCache {
    dir: PathBuf,
    key: [u8; 32],
    /// Version, settings and processor of the engine.
    engine: String,
    /// Code is read here to be checked; memory that was used before is faster than fresh memory.
    scratch: Mutex<Vec<u8>>,
}

/// Code that was found, and what the pre-scan had found in its module.
pub(crate) struct Cached {
    pub(crate) component: Component,
    pub(crate) facts: ModuleFacts,
}

impl CodeCache {
    /// Opens the folder, which is made if it is not there; forgets what other engines left.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn open(config: &CacheConfig, engine: &Engine) -> io::Result<Self> {
        let CacheConfig { dir, secret } = config;
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        // It may have been there, open to others.
        fs::set_permissions(dir, Permissions::from_mode(0o700))?;
        let key = blake3::derive_key(PURPOSE, secret.bytes());
        let (engine, scratch) = (engine_name(engine), Mutex::default());
        let cache = Self { dir: dir.clone(), key, engine, scratch };
        cache.forget_others()?;
        Ok(cache)
    }

    /// The code of a module; `None` where there is none, and where it is not as this device sealed it: it is removed then.
    pub(crate) fn get(&self, engine: &Engine, module: &ModuleHash) -> Option<Cached> {
        self.with(module, |code, bytes, facts| {
            Some(Cached { component: load(engine, code, bytes)?, facts })
        })
    }

    /// The same as bytes, for an engine elsewhere.
    pub(crate) fn verified(&self, module: &ModuleHash) -> Option<(Vec<u8>, ModuleFacts)> {
        self.with(module, |_, bytes, facts| Some((bytes.to_vec(), facts)))
    }

    /// Does something with code whose seal is good; what comes to nothing is removed.
    fn with<R>(
        &self,
        module: &ModuleHash,
        work: impl FnOnce(&File, &[u8], ModuleFacts) -> Option<R>,
    ) -> Option<R> {
        let name = self.name(module);
        let mut seal = open(&self.file(&name, Kind::Seal)).ok()?;
        let mut code = open(&self.file(&name, Kind::Code)).ok()?;
        let done = self.checked(&name, &mut seal, &mut code, work);
        if done.is_none() {
            // Whatever it is, it is of no use, and compiling again puts a good one in its place.
            self.remove(&name);
        }
        done
    }

    fn checked<R>(
        &self,
        name: &str,
        seal: &mut File,
        code: &mut File,
        work: impl FnOnce(&File, &[u8], ModuleFacts) -> Option<R>,
    ) -> Option<R> {
        let mut sealed = Vec::new();
        read(seal, SEAL_BYTES_MAX, &mut sealed).ok()?;
        let (seal, facts) = sealed.strip_prefix(&MAGIC)?.split_first_chunk::<SEAL>()?;
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        read(code, CODE_BYTES_MAX, &mut scratch).ok()?;
        // `blake3::Hash` compares in constant time.
        let good = self.seal(name, facts, &scratch) == blake3::Hash::from_bytes(*seal);
        let facts = postcard::from_bytes(facts).ok().filter(|_| good);
        let done = facts.and_then(|facts| work(code, &scratch, facts));
        if SCRATCH_BYTES_MAX < scratch.capacity() {
            *scratch = Vec::new();
        }
        done
    }

    /// Keeps the code of a module.
    ///
    /// # Errors
    /// What the system said; the cache is as it was then.
    pub(crate) fn put(
        &self,
        module: &ModuleHash,
        facts: &ModuleFacts,
        code: &[u8],
    ) -> io::Result<()> {
        let facts = postcard::to_allocvec(facts).map_err(io::Error::other)?;
        let name = self.name(module);
        let seal = self.seal(&name, &facts, code);
        self.write(&name, Kind::Code, &[code])?;
        self.write(&name, Kind::Seal, &[&MAGIC, seal.as_bytes(), &facts])?;
        self.make_room()
    }

    fn write(&self, name: &str, kind: Kind, parts: &[&[u8]]) -> io::Result<()> {
        let part = self.dir.join(format!("{name}.{}.part", std::process::id()));
        let written = write(&part, parts).and_then(|()| fs::rename(&part, self.file(name, kind)));
        if written.is_err() {
            drop(fs::remove_file(&part));
        }
        written
    }

    fn seal(&self, name: &str, facts: &[u8], code: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        // Names have one length and the length of the facts is said, so that no other three make the same bytes.
        hasher.update(name.as_bytes());
        hasher.update(&(facts.len() as u64).to_le_bytes());
        hasher.update(facts);
        hasher.update(code);
        hasher.finalize()
    }

    fn name(&self, module: &ModuleHash) -> String {
        format!("{}-{}", blake3::Hash::from_bytes(*module).to_hex(), self.engine)
    }

    fn file(&self, name: &str, kind: Kind) -> PathBuf {
        self.dir.join(format!("{name}.{}", kind.ending()))
    }

    fn remove(&self, name: &str) {
        for kind in [Kind::Seal, Kind::Code] {
            drop(fs::remove_file(self.file(name, kind)));
        }
    }

    /// Removes the modules that were written first, beyond those that are kept.
    fn make_room(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
        files.sort_unstable();
        let surplus = files.len().saturating_sub(2 * MODULES_MAX);
        files.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }

    /// Removes what this engine cannot use.
    fn forget_others(&self) -> io::Result<()> {
        let endings =
            [Kind::Seal, Kind::Code].map(|kind| format!("-{}.{}", self.engine, kind.ending()));
        let is_own = |name: &str| endings.iter().any(|ending| name.ends_with(ending));
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(is_own) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// The two files of a module.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Seal,
    Code,
}

impl Kind {
    const fn ending(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Code => "code",
        }
    }
}

/// What the engine says of itself, as text.
fn engine_name(engine: &Engine) -> String {
    let mut said = Said(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut said);
    said.0.finalize().to_hex().as_str()[..16].to_owned()
}

/// A hash that is the same in every version of the standard library.
struct Said(blake3::Hasher);

impl Hasher for Said {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        // Nobody asks for it: the whole is taken from within.
        0
    }
}

/// The code in an open file whose bytes were checked: mapped where the system can, else copied.
///
/// Whoever calls this vouches for the bytes: they were sealed by this device, or made just now by a child of this process.
pub(crate) fn load(engine: &Engine, file: &File, bytes: &[u8]) -> Option<Component> {
    let same_file = format!("/proc/self/fd/{}", file.as_raw_fd());
    #[expect(unsafe_code, reason = "compiled code can only be trusted, not checked")]
    // SAFETY: the bytes were sealed under the secret of this device by `put`, which gets them from this engine's compiler, or
    // they come from the compile child of just now. The path names the open file that they were read from: sealed memory, or
    // in a folder that only this user can write, and nobody writes to files there: new ones are renamed into their place.
    let mapped = unsafe { Component::deserialize_file(engine, same_file) };
    mapped.ok().or_else(|| load_bytes(engine, bytes))
}

/// The code in memory of ours, which is copied. Whoever calls this vouches for it, as for [`load`].
pub(crate) fn load_bytes(engine: &Engine, bytes: &[u8]) -> Option<Component> {
    #[expect(unsafe_code, reason = "compiled code can only be trusted, not checked")]
    // SAFETY: the bytes were sealed under the secret of this device by `put`, or come from a compile child of just now. A runner
    // gets them from its agent, which has checked that, in memory that nobody can change.
    unsafe { Component::deserialize(engine, bytes) }.ok()
}

/// A file to read that is no link.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(no_follow()).open(path)
}

/// All bytes of a file that is not too large.
fn read(file: &mut File, bytes_max: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    let length = file.metadata()?.len();
    if bytes_max < length {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    // In one go: a start from the cache is short enough for further system calls to show.
    bytes.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
    file.read_exact(bytes)
}

fn write(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(no_follow());
    let mut file: File = options.open(path)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()
}

fn no_follow() -> i32 {
    OFlags::NOFOLLOW.bits().cast_signed()
}
