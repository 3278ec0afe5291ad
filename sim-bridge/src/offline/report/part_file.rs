//! A file that gets its name when it is complete.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::cannot_write;
use crate::offline::sink::SinkError;

/// What a file is called until it is complete, behind its name.
const SUFFIX: &str = ".part";

/// A file under way; dropped before its end it leaves nothing, and what bore its name before stays.
#[derive(Debug)]
pub(super) struct PartFile {
    to: PathBuf,
    part: PathBuf,
    /// `None` once it is complete.
    file: Option<BufWriter<File>>,
}

impl PartFile {
    /// Begins `to`, in a folder that is made if it is not there.
    pub(super) fn create(to: &Path) -> Result<Self, SinkError> {
        let mut part = OsString::from(to);
        part.push(SUFFIX);
        let part = PathBuf::from(part);
        if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|e| cannot_write(folder, e))?;
        }
        let file = File::create(&part).map_err(|e| cannot_write(to, e))?;
        Ok(Self { to: to.to_owned(), part, file: Some(BufWriter::new(file)) })
    }

    /// What it will be called.
    pub(super) fn name(&self) -> &Path {
        &self.to
    }

    /// Gives it its name.
    pub(super) fn finish(mut self) -> Result<(), SinkError> {
        let whole = self.flush().and_then(|()| fs::rename(&self.part, &self.to));
        whole.map_err(|e| cannot_write(&self.to, e))?;
        self.file = None;
        Ok(())
    }
}

impl Write for PartFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_mut().map_or(Ok(0), |file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Not worth a second complaint: the first one names the file.
            drop(fs::remove_file(&self.part));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("new/folder/steps.csv");
        let mut file = PartFile::create(&to).unwrap();
        file.write_all(b"half").unwrap();
        file.flush().unwrap();
        assert!(!to.exists());
        drop(file);
        assert_eq!(fs::read_dir(to.parent().unwrap()).unwrap().count(), 0);
        let mut file = PartFile::create(&to).unwrap();
        file.write_all(b"whole").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"whole");
        assert_eq!(fs::read_dir(to.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = dir.path().join("file");
        fs::write(&blocked, "in the way").unwrap();
        let error = PartFile::create(&blocked.join("steps.csv")).unwrap_err();
        assert!(error.to_string().starts_with(&blocked.display().to_string()), "{error}");
    }
}
