//! Small files that are there whole or not at all: written beside, synced, renamed, the folder synced too. The last line is the BLAKE3 of
//! what stands before it; a file that has another one counts as absent.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest such file: two releases and their tasks take some kilobytes.
const BYTES_MAX: u64 = 64 * 1024;

/// What there was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept<T> {
    /// This.
    Value(T),
    /// Nothing.
    Nothing,
    /// Something of no use; why.
    Damaged(String),
}

impl<T: Default> Kept<T> {
    /// The value, or a new one; what is of no use is told.
    pub fn or_new(self, path: &Path) -> T {
        match self {
            Self::Value(value) => value,
            Self::Nothing => T::default(),
            Self::Damaged(reason) => {
                tracing::error!(path = %path.display(), reason, "counts as absent");
                T::default()
            }
        }
    }
}

/// Reads a file.
pub fn read<T: DeserializeOwned>(path: &Path) -> Kept<T> {
    let mut text = String::new();
    let opened = OpenOptions::new().read(true).custom_flags(no_follow()).open(path);
    match opened.and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Kept::Nothing,
        Err(error) => return Kept::Damaged(error.to_string()),
    }
    let Some((body, sum)) = text.trim_end().rsplit_once('\n') else {
        return Kept::Damaged("it is not whole".to_owned());
    };
    if blake3::hash(body.as_bytes()).to_hex().as_str() != sum {
        return Kept::Damaged("its last line is not the hash of what stands before it".to_owned());
    }
    serde_json::from_str(body).map_or_else(|error| Kept::Damaged(error.to_string()), Kept::Value)
}

/// Replaces a file, durably.
///
/// # Errors
/// What the system says; the file before is there then.
pub fn replace<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let body = serde_json::to_string(value)?;
    let text = format!("{body}\n{}\n", blake3::hash(body.as_bytes()).to_hex());
    let aside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(no_follow());
    let mut file = options.open(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&aside, path)?;
    sync_folder(path)
}

/// Makes durable that a file has its name.
///
/// # Errors
/// What the system says.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        Some(_) | None => File::open(".")?.sync_all(),
    }
}

/// A link leads nowhere here: neither is it read, nor is anything written through it.
pub(super) fn no_follow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}

/// 32 bytes as hexadecimal digits. The only thing that this has to do with BLAKE3 is that it writes 32 bytes as text.
pub fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}

/// 32 bytes of hexadecimal digits.
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    blake3::Hash::from_hex(text).ok().map(|hash| *hash.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::starts::Starts;

    #[test]
    fn a_file_is_read_back_and_what_was_changed_counts_as_absent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("starts");
        assert_eq!(read::<Starts>(&path), Kept::Nothing);
        let starts = Starts { failed: 3, rounds: 1, waited_s: 9, program: 8 };
        replace(&path, &starts).unwrap();
        replace(&path, &starts).unwrap();
        assert_eq!(read(&path), Kept::Value(starts));
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x01;
            std::fs::write(&path, &bad).unwrap();
            // The line end after the hash says nothing.
            let is_same = at == good.len() - 1;
            assert_eq!(matches!(read::<Starts>(&path), Kept::Damaged(_)), !is_same, "byte {at}");
            std::fs::write(&path, &good[..at]).unwrap();
            let is_whole = at == good.len() - 1;
            assert_eq!(matches!(read::<Starts>(&path), Kept::Value(_)), is_whole, "cut at {at}");
        }
        std::fs::write(&path, [0xff; 100]).unwrap();
        assert_eq!(read::<Starts>(&path).or_new(&path), Starts::default());
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("starts"), dir.path().join("other"));
        replace(&other, &Starts::default()).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert!(matches!(read::<Starts>(&path), Kept::Damaged(_)));
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&other, dir.path().join("starts.new")).unwrap();
        assert!(replace(&path, &Starts::default()).is_err());
    }
}
