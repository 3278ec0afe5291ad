//! Components, models and signed manifests on disk: fetched piece by piece, checked against their hash, kept over restarts. What
//! has come of one that is not whole is kept, too, so that neither a cut nor the end of the process costs it.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use protocol::module::{MODULE_BYTES_MAX, ModuleChunk, ModuleQuery};
use protocol::signed::Signers;
use sha2::{Digest as _, Sha256};
use types::FunctionId;

use super::locked;
use crate::state::PeerError;

/// Modules that are kept on disk: a node's tasks of today and yesterday.
const MODULES_KEPT: usize = 128;
/// Pauses between two tries to get a part: short at first, for a controller that has it in a moment.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Where modules come from.
pub trait Modules: Send + Sync {
    /// Asks for a part of a module.
    fn part(
        &self,
        function: &FunctionId,
        query: ModuleQuery,
    ) -> impl Future<Output = Result<ModuleChunk, PeerError>> + Send;

    /// Asks whose signatures count.
    fn signers(&self) -> impl Future<Output = Result<Signers, PeerError>> + Send;
}

/// What is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Of which function.
    pub(super) function: FunctionId,
    /// Its SHA-256.
    pub(super) sha256: [u8; 32],
    /// Its size.
    pub(super) size: Size,
}

/// How large something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// So many bytes.
    Exactly(u32),
    /// Whoever has it says so, and it may be so many.
    AtMost(u32),
}

impl Size {
    const fn max(self) -> u32 {
        match self {
            Self::Exactly(bytes) | Self::AtMost(bytes) => bytes,
        }
    }

    fn fits(self, total: u32) -> bool {
        match self {
            Self::Exactly(bytes) => total == bytes,
            Self::AtMost(bytes) => 1 <= total && total <= bytes,
        }
    }
}

/// Why a module cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// It is larger than any may be.
    #[error("{bytes} bytes are more than a module may have ({MODULE_BYTES_MAX})")]
    TooLarge {
        /// Its size.
        bytes: u32,
    },
    /// Work on the disk was lost.
    #[error("work was lost: {0}")]
    Lost(String),
    /// The disk failed.
    #[error("{path}: {source}")]
    Disk {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Components or signed manifests of a node, a file each, named by hash.
#[derive(Clone, Debug)]
pub struct ModuleStore {
    dir: PathBuf,
    ending: &'static str,
    /// What is being fetched: functions that share a component do not fetch it into one file at the same time.
    fetching: Arc<Mutex<Fetching>>,
}

type Fetching = BTreeMap<[u8; 32], Arc<tokio::sync::Mutex<()>>>;

impl ModuleStore {
    /// Opens a directory of components, which is made if absent.
    ///
    /// # Errors
    /// [`ModuleError::Disk`] when it cannot be made.
    pub fn open(dir: PathBuf) -> Result<Self, ModuleError> {
        Self::of(dir, "wasm")
    }

    /// The same, of signed manifests.
    ///
    /// # Errors
    /// [`ModuleError::Disk`] when it cannot be made.
    pub fn of_manifests(dir: PathBuf) -> Result<Self, ModuleError> {
        Self::of(dir, "manifest")
    }

    fn of(dir: PathBuf, ending: &'static str) -> Result<Self, ModuleError> {
        std::fs::create_dir_all(&dir).map_err(disk(&dir))?;
        Ok(Self { dir, ending, fetching: Arc::default() })
    }

    /// Waits until nobody else fetches that.
    async fn turn(&self, sha256: &[u8; 32]) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut fetching = locked(&self.fetching);
            // Those that nobody holds or waits for.
            fetching.retain(|_, turn| 1 < Arc::strong_count(turn));
            Arc::clone(fetching.entry(*sha256).or_default())
        };
        turn.lock_owned().await
    }

    /// The bytes of a module, if they are here and are what their name says; what is not is removed.
    pub fn read(&self, sha256: &[u8; 32]) -> Option<Vec<u8>> {
        let path = self.path(sha256);
        let bytes = match read_at_most(&path, MODULE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "module cannot be read");
                None
            }
        };
        if let Some(bytes) = bytes.filter(|bytes| sha256_of(bytes) == *sha256) {
            return Some(bytes);
        }
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "damaged module stays");
        }
        None
    }

    /// A module that is here, opened to be read. It is there for whoever opened it also after it was removed here.
    ///
    /// # Errors
    /// [`ModuleError::Disk`] when it is not here or cannot be read.
    pub(super) fn open_file(&self, sha256: &[u8; 32]) -> Result<std::fs::File, ModuleError> {
        let path = self.path(sha256);
        let opened = std::fs::File::options().read(true).custom_flags(no_follow()).open(&path);
        opened.map_err(disk(&path))
    }

    /// Keeps all of something: it is there as a whole or not at all. What has come of it need not be written again.
    ///
    /// # Errors
    /// [`ModuleError::Disk`].
    fn finish(&self, sha256: &[u8; 32]) -> Result<(), ModuleError> {
        let (path, aside) = (self.path(sha256), self.aside(sha256));
        let mut options = std::fs::File::options();
        let file = options.append(true).custom_flags(no_follow()).open(&aside);
        let file = file.map_err(disk(&aside))?;
        file.sync_all().map_err(disk(&aside))?;
        std::fs::rename(&aside, &path).map_err(disk(&path))?;
        std::fs::File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(disk(&self.dir))
    }

    /// What has come so far of something that has at most `max` bytes; nothing, if that is more.
    fn begun(&self, sha256: &[u8; 32], max: u32) -> Vec<u8> {
        read_at_most(&self.aside(sha256), max).ok().flatten().unwrap_or_default()
    }

    /// Keeps what has come: `part` follows the first `offset` bytes. Not yet durable, since the hash of the whole decides.
    ///
    /// # Errors
    /// [`ModuleError::Disk`].
    fn add(&self, sha256: &[u8; 32], offset: u64, part: &[u8]) -> Result<(), ModuleError> {
        let aside = self.aside(sha256);
        if offset == 0 {
            self.make_room()?;
        }
        let mut options = std::fs::File::options();
        options.write(true).create(true).truncate(false).custom_flags(no_follow());
        let mut file = options.open(&aside).map_err(disk(&aside))?;
        // What stands behind may be of something else, or torn.
        file.set_len(offset)
            .and_then(|()| file.seek(std::io::SeekFrom::Start(offset)))
            .and_then(|_| file.write_all(part))
            .map_err(disk(&aside))
    }

    /// Removes the modules that were written first, so that one more fits.
    fn make_room(&self) -> Result<(), ModuleError> {
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(disk(&self.dir))? {
            let entry = entry.map_err(disk(&self.dir))?;
            let written = entry.metadata().and_then(|facts| facts.modified());
            files.push((written.unwrap_or(SystemTime::UNIX_EPOCH), entry.path()));
        }
        files.sort();
        let surplus = (files.len() + 1).saturating_sub(MODULES_KEPT);
        for (_, path) in files.into_iter().take(surplus) {
            std::fs::remove_file(&path).map_err(disk(&path))?;
        }
        Ok(())
    }

    fn path(&self, sha256: &[u8; 32]) -> PathBuf {
        // The only thing that this has to do with BLAKE3 is that it writes 32 bytes as text.
        let name = blake3::Hash::from_bytes(*sha256).to_hex();
        self.dir.join(format!("{name}.{}", self.ending))
    }

    fn aside(&self, sha256: &[u8; 32]) -> PathBuf {
        self.path(sha256).with_extension("part")
    }
}

/// All of a file, which must lie there itself; `None` if it is longer than that.
fn read_at_most(path: &Path, max: u32) -> std::io::Result<Option<Vec<u8>>> {
    let file = std::fs::File::options().read(true).custom_flags(no_follow()).open(path)?;
    if u64::from(max) < file.metadata()?.len() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(u64::from(max)).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// A link in a folder of code leads nowhere: neither is it read, nor is anything written through it.
fn no_follow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}

fn disk(path: &Path) -> impl Fn(std::io::Error) -> ModuleError + use<> {
    let path = path.display().to_string();
    move |source| ModuleError::Disk { path: path.clone(), source }
}

/// SHA-256 of some bytes.
fn sha256_of(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Gets something from disk or from `source`, however long that takes and over however many contacts and starts; drop the
/// future to give up.
///
/// # Errors
/// [`ModuleError`] for what no agent takes, and when the disk fails.
pub(super) async fn fetch(
    source: &impl Modules,
    store: &ModuleStore,
    wanted: &Wanted,
) -> Result<Vec<u8>, ModuleError> {
    let max = wanted.size.max();
    if MODULE_BYTES_MAX < max {
        return Err(ModuleError::TooLarge { bytes: max });
    }
    let _turn = store.turn(&wanted.sha256).await;
    let (sha256, disk) = (wanted.sha256, store.clone());
    let (whole, mut bytes) =
        blocking(move || (disk.read(&sha256), disk.begun(&sha256, max))).await?;
    if let Some(whole) = whole {
        return Ok(whole);
    }
    // What came before the last start may be all that was missing.
    let mut is_whole = is_it(&bytes, wanted);
    let mut pause = PAUSE_FIRST;
    while !is_whole {
        match part(source, wanted, bytes.len()).await {
            Ok(Answer::Part(part, total)) => {
                let (disk, offset) = (store.clone(), bytes.len() as u64);
                bytes.extend_from_slice(&part);
                blocking(move || disk.add(&sha256, offset, &part)).await??;
                pause = PAUSE_FIRST;
                if bytes.len() < total {
                    continue;
                }
                is_whole = is_it(&bytes, wanted);
                if is_whole {
                    break;
                }
                tracing::warn!(function = %wanted.function, "what was fetched has another hash, again");
                bytes.clear();
            }
            Ok(Answer::AllCame) => bytes.clear(),
            Err(trouble) => {
                tracing::debug!(function = %wanted.function, bytes = bytes.len(), trouble, "module part");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    let disk = store.clone();
    blocking(move || disk.finish(&sha256)).await??;
    Ok(bytes)
}

/// What the source says.
enum Answer {
    /// The next part, and the size of the whole.
    Part(Vec<u8>, usize),
    /// As much has come as there is, and it is not what was wanted.
    AllCame,
}

/// The next part; or why there is none, in words.
async fn part(source: &impl Modules, wanted: &Wanted, have: usize) -> Result<Answer, String> {
    let offset = u32::try_from(have).map_err(|error| error.to_string())?;
    let query = ModuleQuery { sha256: wanted.sha256, offset };
    match source.part(&wanted.function, query).await {
        Ok(ModuleChunk::Part { total, bytes }) => {
            let whole = usize::try_from(total).map_err(|error| error.to_string())?;
            let fits = have.checked_add(bytes.len()).is_some_and(|end| end <= whole);
            match wanted.size.fits(total) {
                true if whole <= have => Ok(Answer::AllCame),
                true if fits && !bytes.is_empty() => Ok(Answer::Part(bytes, whole)),
                _ => Err("a part does not belong to it".to_owned()),
            }
        }
        Ok(ModuleChunk::NotFound) => Err("nobody has it yet".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn is_it(bytes: &[u8], wanted: &Wanted) -> bool {
    !bytes.is_empty() && sha256_of(bytes) == wanted.sha256
}

/// Does work that blocks off the reactor.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ModuleError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ModuleError::Lost(error.to_string()))
}

#[cfg(test)]
mod tests;
