//! The boot partition of a card or an image: what lies there, what is put there, and whether it is there afterwards.

use std::fs::File;
use std::io::{self, Read, Write};

use fatfs::{Dir, FileSystem, FsOptions, ReadWriteSeek};
use fscommon::{BufStream, StreamSlice};

use super::format::BootFiles;
use super::seed::BootFile;
use super::table::Partition;
use super::write::forget;

/// Longest text that is read from there, bytes.
const TEXT_BYTES_MAX: u64 = 64 * 1024;
/// Most names of the root that are looked at.
const NAMES_MAX: usize = 2000;

type Volume = FileSystem<BufStream<StreamSlice<File>>>;

/// Why a boot partition cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// No FAT, or a broken one.
    #[error("the boot partition cannot be read: {0}")]
    Unreadable(io::Error),
    /// It does not take a file.
    #[error("{path} does not get onto the boot partition: {source}")]
    Unwritten {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// No room.
    #[error("the boot partition has {free} bytes free, and {needed} are needed")]
    Full {
        /// What is free.
        free: u64,
        /// What is needed.
        needed: u64,
    },
    /// What is there is not what was put there.
    #[error("{0} on the card is not what was written; it is worn out or fake")]
    Differs(String),
}

/// What a boot partition holds that matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// What tells the format.
    pub files: BootFiles,
    /// `cmdline.txt`
    pub cmdline: Option<String>,
}

fn open(card: &File, partition: Partition) -> io::Result<Volume> {
    let end = partition.start + partition.size;
    let slice = StreamSlice::new(card.try_clone()?, partition.start, end)?;
    FileSystem::new(BufStream::new(slice), FsOptions::new())
}

/// Looks at it.
///
/// # Errors
/// [`BootError::Unreadable`]
pub fn look(card: &File, partition: Partition) -> Result<Contents, BootError> {
    let volume = open(card, partition).map_err(BootError::Unreadable)?;
    let root = volume.root_dir();
    let mut names = Vec::new();
    for entry in root.iter().take(NAMES_MAX) {
        names.push(entry.map_err(BootError::Unreadable)?.file_name().to_lowercase());
    }
    let text = |name: &str| -> Result<Option<String>, BootError> {
        if !names.iter().any(|other| other == name) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let file = root.open_file(name).map_err(BootError::Unreadable)?;
        file.take(TEXT_BYTES_MAX).read_to_end(&mut bytes).map_err(BootError::Unreadable)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    };
    let (issue, cmdline) = (text("issue.txt")?, text("cmdline.txt")?);
    Ok(Contents { files: BootFiles { names, issue }, cmdline })
}

/// Puts files there, then reads them from the card and compares.
///
/// # Errors
/// [`BootError`]
pub fn put(card: &File, partition: Partition, files: &[BootFile]) -> Result<(), BootError> {
    let volume = open(card, partition).map_err(BootError::Unreadable)?;
    let stats = volume.stats().map_err(BootError::Unreadable)?;
    let cluster = u64::from(stats.cluster_size());
    let free = u64::from(stats.free_clusters()) * cluster;
    // A file takes whole clusters, and its entry perhaps another one.
    let needed = files
        .iter()
        .map(|file| (file.bytes.len() as u64).div_ceil(cluster) * cluster + cluster)
        .sum();
    if free < needed {
        return Err(BootError::Full { free, needed });
    }
    for file in files {
        let unwritten = |source| BootError::Unwritten { path: file.path.clone(), source };
        write_file(&volume.root_dir(), &file.path, &file.bytes).map_err(unwritten)?;
    }
    volume.unmount().map_err(BootError::Unreadable)?;
    forget(card).map_err(BootError::Unreadable)?;
    let volume = open(card, partition).map_err(BootError::Unreadable)?;
    for file in files {
        let differs = || BootError::Differs(file.path.clone());
        let mut bytes = Vec::new();
        let found = volume.root_dir().open_file(&file.path);
        let read = found.and_then(|mut found| found.read_to_end(&mut bytes));
        if read.is_err() || bytes != file.bytes {
            return Err(differs());
        }
    }
    Ok(())
}

fn write_file<T: ReadWriteSeek>(root: &Dir<'_, T>, path: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = root.create_file(path)?;
    file.truncate()?;
    file.write_all(bytes)?;
    file.flush()
}
