//! Files that are written: whole or not at all, whatever ends the process.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// The name that stands for the standard output.
const STANDARD_OUTPUT: &str = "-";
/// Bytes that are gathered before the system gets them.
const BUFFER_BYTES: usize = 1 << 18;

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be written: {source}", file.display())]
pub struct WriteError {
    /// The file.
    pub file: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl WriteError {
    /// Of a file, by what the system said.
    pub fn of(file: &Path, source: io::Error) -> Self {
        Self { file: file.to_owned(), source }
    }
}

/// A file under way.
///
/// It gets its name when it is [finished](OutFile::finish); dropped before, it leaves nothing, and what bore its name stays.
/// Symbolic links are followed. A device or a pipe cannot be replaced and gets the bytes as they come, and so does the
/// standard output, whose name is `-`.
#[derive(Debug)]
pub struct OutFile {
    to: PathBuf,
    /// Where the bytes lie until they are complete, if they do; `None` also once they are.
    part: Option<Part>,
    out: BufWriter<File>,
}

#[derive(Debug)]
struct Part {
    path: PathBuf,
    place: PathBuf,
}

impl OutFile {
    /// Begins a file.
    ///
    /// # Errors
    /// [`WriteError`] when there is no place for it.
    pub fn create(to: &Path) -> Result<Self, WriteError> {
        let (file, part) = open(to).map_err(|e| WriteError::of(to, e))?;
        Ok(Self { to: to.to_owned(), part, out: BufWriter::with_capacity(BUFFER_BYTES, file) })
    }

    /// What it will be called.
    pub fn name(&self) -> &Path {
        &self.to
    }

    /// That this file cannot be written, for this reason.
    pub fn failed(&self, source: io::Error) -> WriteError {
        WriteError::of(&self.to, source)
    }

    /// Whether its beginning can be written again: not that of a pipe.
    pub fn can_rewind(&mut self) -> bool {
        self.out.stream_position().is_ok()
    }

    /// Writes over its beginning; nothing can be added behind it after that.
    ///
    /// # Errors
    /// What the system said.
    pub fn write_beginning(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(bytes)
    }

    /// Gives it its name; it is durable then.
    ///
    /// # Errors
    /// [`WriteError`] when it is not.
    pub fn finish(mut self) -> Result<(), WriteError> {
        let done = self.out.flush().and_then(|()| match &self.part {
            None => Ok(()),
            Some(part) => part.put(self.out.get_ref()),
        });
        done.map_err(|source| self.failed(source))?;
        self.part = None;
        Ok(())
    }
}

impl Write for OutFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for OutFile {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            // Not worth a second complaint: the first one names the file.
            drop(fs::remove_file(&part.path));
        }
    }
}

impl Part {
    fn put(&self, file: &File) -> io::Result<()> {
        file.sync_all()?;
        fs::rename(&self.path, &self.place)?;
        File::open(folder_of(&self.place))?.sync_all()
    }
}

/// Writes a whole file.
///
/// # Errors
/// [`WriteError`] when it is not durable; what bore its name stays then.
pub fn write(to: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let mut file = OutFile::create(to)?;
    file.write_all(bytes).map_err(|source| file.failed(source))?;
    file.finish()
}

/// Whether a name stands for the standard output.
pub fn is_standard_output(to: &Path) -> bool {
    to.as_os_str() == STANDARD_OUTPUT
}

fn open(to: &Path) -> io::Result<(File, Option<Part>)> {
    if is_standard_output(to) {
        return Ok((File::from(io::stdout().as_fd().try_clone_to_owned()?), None));
    }
    let before = match fs::metadata(to) {
        Ok(before) if before.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(before) if !before.is_file() => {
            return Ok((OpenOptions::new().write(true).open(to)?, None));
        }
        Ok(before) => Some(before),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let place = place_of(to)?;
    // Two writers at once must not write into one another's file.
    let mut name = OsString::from(".");
    name.push(place.file_name().unwrap_or_default());
    name.push(format!(".{}.part", std::process::id()));
    let path = place.with_file_name(name);
    let file = File::create(&path)?;
    let part = Part { path, place };
    if let Some(before) = before {
        file.set_permissions(before.permissions())?;
    }
    Ok((file, Some(part)))
}

/// Where a name leads to.
fn place_of(to: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(match fs::read_link(to) {
            // To something that is not there yet.
            Ok(link) => folder_of(to).join(link),
            Err(_) => to.to_owned(),
        }),
        place => place,
    }
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};

    use super::*;

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("steps.csv");
        let mut file = OutFile::create(&to).unwrap();
        file.write_all(b"half").unwrap();
        file.flush().unwrap();
        assert!(!to.exists());
        drop(file);
        assert_eq!(count(dir.path()), 0);
        write(&to, b"whole").unwrap();
        assert_eq!((fs::read(&to).unwrap(), count(dir.path())), (b"whole".to_vec(), 1));
        drop(OutFile::create(&to).unwrap());
        assert_eq!(fs::read(&to).unwrap(), b"whole");
    }

    #[test]
    fn its_beginning_can_be_written_last() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("a.record");
        let mut file = OutFile::create(&to).unwrap();
        assert!(file.can_rewind());
        file.write_all(b"....body").unwrap();
        file.write_beginning(b"HEAD").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"HEADbody");
    }

    #[test]
    fn links_are_followed_and_rights_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (place, link) = (dir.path().join("place"), dir.path().join("link"));
        fs::write(&place, "old").unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&place, &link).unwrap();
        write(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&place).unwrap(), b"new");
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o640);
        let dangling = dir.path().join("dangling");
        symlink("later", &dangling).unwrap();
        write(&dangling, b"there").unwrap();
        assert_eq!(fs::read(dir.path().join("later")).unwrap(), b"there");
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut text = String::new();
                File::open(pipe).unwrap().read_to_string(&mut text).unwrap();
                text
            }
        });
        let mut file = OutFile::create(&pipe).unwrap();
        assert!(!file.can_rewind());
        file.write_all(b"through").unwrap();
        file.finish().unwrap();
        assert_eq!(reader.join().unwrap(), "through");
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
        write(Path::new("/dev/null"), b"nothing").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = dir.path().join("file");
        fs::write(&blocked, "in the way").unwrap();
        let error = OutFile::create(&blocked.join("steps.csv")).unwrap_err();
        assert!(error.to_string().starts_with(&blocked.display().to_string()), "{error}");
        let error = write(dir.path(), b"").unwrap_err().to_string();
        assert!(error.contains("cannot be written: is a directory"), "{error}");
        assert!(write(&dir.path().join("none/x"), b"").unwrap_err().to_string().contains("none/x"));
    }
}
