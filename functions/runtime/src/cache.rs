//! Compiled code on disk, for this device alone.
//!
//! Loading compiled code is running it, so nothing is taken that this device did not seal itself. A file holds the code, then the facts
//! of its module and their length, then the seal: a keyed BLAKE3 over all that and the name, and [`MAGIC`]. The name says which module
//! it is, and which engine on which processor made it. Code comes first, so that the engine can map the file (copying it would take
//! longer than all else) and so that BLAKE3 finds its chunks where it hashes most of them at once.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
#[cfg(feature = "compiler")]
use std::hash::{Hash as _, Hasher};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use accel::ModuleFacts;
use rustix::fs::{Mode, OFlags, fstat, openat};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::compile::CODE_BYTES_MAX;
use crate::config::CacheConfig;
use crate::memfd;

/// How a file ends; the last byte counts its layouts.
const MAGIC: [u8; 8] = *b"SBSEAL\0\x02";
/// Bytes of the keyed hash.
const SEAL: usize = 32;
/// Bytes of the length of the facts.
const LENGTH: usize = size_of::<u32>();
/// What the key is used for, so that the same secret can serve other purposes, and what the first layout sealed is not taken for this.
const PURPOSE: &str = "starbelt 2026-11 compiled code on this device, before its facts";
/// Modules that are kept; the one that was written first gives way.
const MODULES_MAX: usize = 128;
/// Largest facts: those of a component with all the names that it may have.
const FACTS_BYTES_MAX: u64 = 1024 * 1024;
/// Largest file.
const FILE_BYTES_MAX: u64 = CODE_BYTES_MAX + FACTS_BYTES_MAX;
/// Memory that is kept for reading the next code.
const SCRATCH_BYTES_MAX: usize = 2 * 1024 * 1024;

/// How a file is opened to read it: no link is followed.
const TO_READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Which module: SHA-256 of its bytes.
pub type ModuleHash = [u8; 32];

/// The compiled code that one engine can run.
#[derive(Debug)]
pub(crate) struct CodeCache {
    dir: PathBuf,
    /// The same, open: a name in it is found sooner than a path.
    folder: File,
    key: [u8; 32],
    /// How names end: version, settings and processor of the engine, and what the file is.
    ending: String,
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
        let (ending, folder) = (format!("-{}.code", engine_name(engine)), File::open(dir)?);
        let cache = Self { dir: dir.clone(), folder, key, ending, scratch: Mutex::default() };
        cache.forget_others()?;
        Ok(cache)
    }

    /// The code of a module; `None` where there is none, and where it is not as this device sealed it: it is removed then.
    pub(crate) fn get(&self, engine: &Engine, module: &ModuleHash) -> Option<Cached> {
        self.with(module, |file, code, facts| {
            Some(Cached { component: load(engine, file, code)?, facts })
        })
    }

    /// The same as bytes, for an engine elsewhere.
    pub(crate) fn verified(&self, module: &ModuleHash) -> Option<(Vec<u8>, ModuleFacts)> {
        self.with(module, |_, code, facts| Some((code.to_vec(), facts)))
    }

    /// Does something with code whose seal is good; what comes to nothing is removed.
    fn with<R>(
        &self,
        module: &ModuleHash,
        work: impl FnOnce(&File, &[u8], ModuleFacts) -> Option<R>,
    ) -> Option<R> {
        let name = self.name(module);
        let file = File::from(openat(&self.folder, &name, TO_READ, Mode::empty()).ok()?);
        let done = self.checked(&name, &file, work);
        if done.is_none() {
            // Whatever it is, it is of no use, and compiling again puts a good one in its place.
            drop(fs::remove_file(self.dir.join(&name)));
        }
        done
    }

    fn checked<R>(
        &self,
        name: &str,
        file: &File,
        work: impl FnOnce(&File, &[u8], ModuleFacts) -> Option<R>,
    ) -> Option<R> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        read(file, FILE_BYTES_MAX, &mut scratch).ok()?;
        let done = self.opened(name, &scratch).and_then(|(code, facts)| work(file, code, facts));
        if SCRATCH_BYTES_MAX < scratch.capacity() {
            *scratch = Vec::new();
        }
        done
    }

    /// Code and facts of a file whose seal is good.
    fn opened<'a>(&self, name: &str, bytes: &'a [u8]) -> Option<(&'a [u8], ModuleFacts)> {
        let (sealed, seal) = bytes.strip_suffix(&MAGIC)?.split_last_chunk::<SEAL>()?;
        // `blake3::Hash` compares in constant time.
        if self.seal(name, &[sealed]) != blake3::Hash::from_bytes(*seal) {
            return None;
        }
        let (rest, length) = sealed.split_last_chunk::<LENGTH>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (code, facts) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
        Some((code, postcard::from_bytes(facts).ok()?))
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
        let length = u32::try_from(facts.len()).map_err(io::Error::other)?.to_le_bytes();
        let name = self.name(module);
        let sealed = [code, &facts, &length];
        let seal = self.seal(&name, &sealed);
        self.write(&name, &[&sealed[..], &[seal.as_bytes(), &MAGIC]].concat())?;
        self.make_room()
    }

    fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let part = self.dir.join(format!("{name}.{}.part", std::process::id()));
        let written = write(&part, parts).and_then(|()| fs::rename(&part, self.dir.join(name)));
        if written.is_err() {
            drop(fs::remove_file(&part));
        }
        written
    }

    /// The seal of code, facts and their length.
    fn seal(&self, name: &str, sealed: &[&[u8]]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in sealed {
            hasher.update(part);
        }
        // Names have one length, so that no others make the same bytes.
        hasher.update(name.as_bytes());
        hasher.finalize()
    }

    /// The name of a module's file.
    fn name(&self, module: &ModuleHash) -> String {
        [blake3::Hash::from_bytes(*module).to_hex().as_str(), &self.ending].concat()
    }

    /// Removes the modules that were written first, beyond those that are kept.
    fn make_room(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
        files.sort_unstable();
        let surplus = files.len().saturating_sub(MODULES_MAX);
        files.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }

    /// Removes what this engine cannot use.
    fn forget_others(&self) -> io::Result<()> {
        let is_own = |name: &str| name.ends_with(&self.ending);
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(is_own) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// What the engine says of itself, as text.
#[cfg(feature = "compiler")]
fn engine_name(engine: &Engine) -> String {
    let mut said = Said(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut said);
    said.0.finalize().to_hex().as_str()[..16].to_owned()
}

/// Without a compiler nothing is kept, and nothing that another program kept is run: a name that no engine has.
#[cfg(not(feature = "compiler"))]
fn engine_name(_: &Engine) -> String {
    "0".repeat(16)
}

/// A hash that is the same in every version of the standard library.
#[cfg(feature = "compiler")]
struct Said(blake3::Hasher);

#[cfg(feature = "compiler")]
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

/// All bytes of a file that is not too large.
fn read(file: &File, bytes_max: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    let length = u64::try_from(fstat(file)?.st_size).map_err(io::Error::other)?;
    if bytes_max < length {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let length = usize::try_from(length).map_err(io::Error::other)?;
    bytes.clear();
    memfd::read_to(file, length, bytes)
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
