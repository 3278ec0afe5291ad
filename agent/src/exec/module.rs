//! Modules on disk: fetched piece by piece, checked against their hash, kept over restarts.

use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use protocol::desired::FunctionRef;
use protocol::module::{MODULE_BYTES_MAX, ModuleChunk, ModuleQuery};
use sha2::{Digest as _, Sha256};
use types::FunctionId;

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
    /// The disk failed.
    #[error("{path}: {source}")]
    Disk {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// The modules of a node, a file each, named by hash.
#[derive(Clone, Debug)]
pub struct ModuleStore {
    dir: PathBuf,
}

impl ModuleStore {
    /// Opens a directory, which is made if absent.
    ///
    /// # Errors
    /// [`ModuleError::Disk`] when it cannot be made.
    pub fn open(dir: PathBuf) -> Result<Self, ModuleError> {
        std::fs::create_dir_all(&dir).map_err(disk(&dir))?;
        Ok(Self { dir })
    }

    /// The bytes of a module, if they are here and are what their name says; what is not is removed.
    pub fn read(&self, sha256: &[u8; 32]) -> Option<Vec<u8>> {
        let path = self.path(sha256);
        let size = std::fs::metadata(&path).ok()?.len();
        let bytes = (size <= u64::from(MODULE_BYTES_MAX)).then(|| std::fs::read(&path).ok())??;
        if sha256_of(&bytes) == *sha256 {
            return Some(bytes);
        }
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "damaged module stays");
        }
        None
    }

    /// Keeps a module: written aside, flushed, then renamed, so that it is there as a whole or not at all.
    ///
    /// # Errors
    /// [`ModuleError::Disk`].
    pub fn write(&self, sha256: &[u8; 32], bytes: &[u8]) -> Result<(), ModuleError> {
        self.make_room()?;
        let (path, aside) = (self.path(sha256), self.path(sha256).with_extension("part"));
        let mut file = std::fs::File::create(&aside).map_err(disk(&aside))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(disk(&aside))?;
        std::fs::rename(&aside, &path).map_err(disk(&path))?;
        std::fs::File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(disk(&self.dir))
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
        self.dir.join(format!("{name}.wasm"))
    }
}

fn disk(path: &Path) -> impl Fn(std::io::Error) -> ModuleError + use<> {
    let path = path.display().to_string();
    move |source| ModuleError::Disk { path: path.clone(), source }
}

/// SHA-256 of some bytes.
fn sha256_of(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Fetches a module, however long that takes and over however many contacts; drop the future to give up.
///
/// # Errors
/// [`ModuleError::TooLarge`] for a module that no agent takes.
pub(super) async fn fetch(
    source: &impl Modules,
    function: &FunctionRef,
) -> Result<Vec<u8>, ModuleError> {
    if MODULE_BYTES_MAX < function.bytes {
        return Err(ModuleError::TooLarge { bytes: function.bytes });
    }
    let wanted = usize::try_from(function.bytes).expect("4 MiB fit into memory");
    let mut bytes = Vec::new();
    let mut pause = PAUSE_FIRST;
    loop {
        let offset = u32::try_from(bytes.len()).expect("at most 4 MiB are taken");
        let query = ModuleQuery { sha256: function.sha256, offset };
        let trouble = match source.part(&function.name, query).await {
            Ok(ModuleChunk::Part { total, bytes: part }) => {
                let room = wanted - bytes.len();
                if total == function.bytes && !part.is_empty() && part.len() <= room {
                    bytes.extend_from_slice(&part);
                    pause = PAUSE_FIRST;
                    None
                } else {
                    Some("a part does not belong to it".to_owned())
                }
            }
            Ok(ModuleChunk::NotFound) => Some("nobody has it yet".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if bytes.len() == wanted {
            if sha256_of(&bytes) == function.sha256 {
                return Ok(bytes);
            }
            tracing::warn!(function = %function.name, "fetched module has another hash, again");
            bytes.clear();
        } else if trouble.is_none() {
            continue;
        }
        tracing::debug!(function = %function.name, offset, ?trouble, "module part");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests;
