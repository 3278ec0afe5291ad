//! Records what probes read, as a tree of files that they can read again on another machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;

use super::probe;
use super::tree::{ERRORS_FILE, Files, Tree, errno_name};

/// Bytes of a recording at most; a Jetson has 40 KiB.
const BYTES_MAX: usize = 1024 * 1024;
/// Files of a recording at most; a Jetson has 300.
const FILES_MAX: usize = 4096;
/// What stands in each recording.
const NOTE: &str = "Files of the kernel that the probes of starbelt-agent read, as they read them: load, temperatures, power,\n\
    batteries, the model of the board, names and counters of block devices and network interfaces.\n\
    Serial numbers, addresses, host names and the contents of disks are not read, and so are not here;\n\
    look through it before you give it away.\n\
    Read errors are in read-errors.txt. To see what probes make of it: starbelt-agent doctor --sysfs-root DIR\n";

/// What was read so far.
#[derive(Debug, Default)]
struct Seen {
    files: BTreeMap<String, Result<Vec<u8>, Errno>>,
    /// Directories, and what is in them.
    listed: BTreeSet<String>,
}

/// Files that remember what was read of them.
struct Recorder {
    files: Box<dyn Files>,
    seen: Arc<Mutex<Seen>>,
}

impl Files for Recorder {
    fn read(&self, path: &str) -> Result<Vec<u8>, Errno> {
        let answer = self.files.read(path);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.files.len() < FILES_MAX {
            seen.files.insert(path.to_owned(), answer.clone());
        }
        answer
    }

    fn list(&self, path: &str) -> Result<Vec<String>, Errno> {
        let answer = self.files.list(path);
        if answer.is_ok() {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.listed.insert(path.to_owned());
        }
        answer
    }
}

/// What a recording holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Files with a value.
    pub files: usize,
    /// Reads that failed.
    pub errors: usize,
}

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// What is there already would be mixed up with the recording.
    #[error("{0} is there already: name a directory that is not")]
    Exists(String),
    /// The disk did not take it.
    #[error("{path}: {source}")]
    Unwritable {
        /// Where.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A machine with more than probes should read.
    #[error(
        "the probes read {bytes} bytes in {files} files, a recording has at most {} in {}",
        BYTES_MAX,
        FILES_MAX
    )]
    TooLarge {
        /// Bytes.
        bytes: usize,
        /// Files.
        files: usize,
    },
}

/// Lets all probes read `tree` once, and writes what they read into the new directory `to`.
///
/// # Errors
/// If the directory is there already, or something cannot be written.
pub fn record(tree: Tree, to: &Path) -> Result<Recorded, RecordError> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let recorder = Recorder { files: tree.into_files(), seen: Arc::clone(&seen) };
    probe::survey(&Tree::of(recorder));
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    write(&std::mem::take(&mut *seen), to)
}

fn write(seen: &Seen, to: &Path) -> Result<Recorded, RecordError> {
    let bytes = seen.files.values().flatten().map(Vec::len).sum();
    if BYTES_MAX < bytes || FILES_MAX <= seen.files.len() {
        return Err(RecordError::TooLarge { bytes, files: seen.files.len() });
    }
    if to.exists() {
        return Err(RecordError::Exists(to.display().to_string()));
    }
    let written = fill(seen, to);
    if written.is_err() {
        // Half a recording would tell of hardware that is not there. Where not even this can be done, the error has said why.
        fs::remove_dir_all(to).unwrap_or_default();
    }
    written
}

fn fill(seen: &Seen, to: &Path) -> Result<Recorded, RecordError> {
    make_dir(to)?;
    let (mut files, mut errors) = (0, String::new());
    for dir in &seen.listed {
        make_dir(&below(to, dir))?;
    }
    for (path, answer) in &seen.files {
        match answer {
            Ok(bytes) => {
                write_file(&below(to, path), bytes)?;
                files += 1;
            }
            // What is not there is not there in a recording either.
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => {
                // Writing to a String cannot fail.
                writeln!(errors, "{} {path}", errno_name(errno)).unwrap_or_default();
                // A place holder, so that a directory lists it.
                write_file(&below(to, path), b"")?;
            }
        }
    }
    write_file(&to.join(ERRORS_FILE), errors.as_bytes())?;
    write_file(&to.join("README.txt"), NOTE.as_bytes())?;
    Ok(Recorded { files, errors: errors.lines().count() })
}

fn below(to: &Path, path: &str) -> std::path::PathBuf {
    to.join(path.trim_start_matches('/'))
}

fn make_dir(dir: &Path) -> Result<(), RecordError> {
    fs::create_dir_all(dir).map_err(|source| unwritable(dir, source))
}

fn write_file(file: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    if let Some(dir) = file.parent() {
        make_dir(dir)?;
    }
    fs::write(file, bytes).map_err(|source| unwritable(file, source))
}

fn unwritable(path: &Path, source: std::io::Error) -> RecordError {
    RecordError::Unwritable { path: path.display().to_string(), source }
}
