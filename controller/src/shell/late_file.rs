//! The file of what nodes said late: a JSON line each, durable before the node hears of it, and one older file.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use types::NodeId;

use crate::late::{LateBook, Line, Mark};

/// When a file is this long, it becomes the older one: a day of ten nodes that were cut off all day.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
const NAME: &str = "late.ndjson";
const OLDER: &str = "late.1.ndjson";

/// The end of the files, in which lines of a node are looked for.
const LOOKED_AT_BYTES: u64 = 16 * 1024 * 1024;

/// The newest lines of a node in the files of a directory, oldest first, and whether there may be older ones.
///
/// # Errors
/// Those of the operating system.
pub fn newest(dir: &Path, node: &NodeId, lines_max: usize) -> io::Result<(Vec<Value>, bool)> {
    let (mut lines, mut left, mut is_cut) = (VecDeque::new(), LOOKED_AT_BYTES, false);
    for name in [NAME, OLDER] {
        let mut file = match File::open(dir.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        let looked_at = length.min(left);
        is_cut |= looked_at < length;
        left -= looked_at;
        file.seek(io::SeekFrom::Start(length - looked_at))?;
        let mut bytes = Vec::new();
        file.take(looked_at).read_to_end(&mut bytes)?;
        // Lines that a cut or an end in the middle has torn are none.
        let read = bytes.split(|byte| *byte == b'\n').rev();
        let values = read.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        for value in values.filter(|value| value["node"] == node.as_str()) {
            if lines.len() == lines_max {
                return Ok((lines.into(), true));
            }
            lines.push_front(value);
        }
    }
    Ok((lines.into(), is_cut))
}

/// The file.
#[derive(Debug)]
pub struct LateFile {
    dir: PathBuf,
    file: Option<File>,
    bytes_max: u64,
}

impl LateFile {
    /// The file of a directory, and what the lines in it say of where each node was heard.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn open(dir: &Path) -> io::Result<(Self, LateBook)> {
        Self::bounded(dir, FILE_BYTES_MAX)
    }

    fn bounded(dir: &Path, bytes_max: u64) -> io::Result<(Self, LateBook)> {
        let mut book = LateBook::default();
        for name in [OLDER, NAME] {
            let file = match File::open(dir.join(name)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for line in BufReader::new(file).split(b'\n') {
                // One that an end in the middle has torn was never acknowledged.
                if let Ok(mark) = serde_json::from_slice::<Mark>(&line?) {
                    book.again(&mark);
                }
            }
        }
        Ok((Self { dir: dir.to_owned(), file: None, bytes_max }, book))
    }

    /// Makes lines durable. What a failure leaves of them is not read again.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn keep(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.begin()?,
        };
        file.write_all(&text)?;
        file.sync_data()?;
        if file.stream_position()? < self.bytes_max {
            self.file = Some(file);
        } else {
            fs::rename(self.dir.join(NAME), self.dir.join(OLDER))?;
        }
        Ok(())
    }

    /// Opens the file at its end, on a line of its own.
    fn begin(&self) -> io::Result<File> {
        let path = self.dir.join(NAME);
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        if file.seek(io::SeekFrom::End(0))? != 0 {
            file.write_all(b"\n")?;
        }
        file.sync_all()?;
        File::open(&self.dir)?.sync_all()?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use protocol::backlog::LateStream;
    use types::BootId;

    use super::*;
    use crate::late::Said;

    fn line(id: u64) -> Line {
        let node = NodeId::new("sat-1").unwrap();
        let said = Said::Unreadable("x".repeat(100));
        Line { node, boot: BootId(7), stream: LateStream::Reports, id, said }
    }

    fn through(book: &LateBook) -> u64 {
        book.through(&NodeId::new("sat-1").unwrap(), BootId(7), LateStream::Reports)
    }

    #[test]
    fn what_was_kept_is_known_again_also_behind_a_torn_line() {
        let dir = tempfile::tempdir().unwrap();
        let (mut file, book) = LateFile::open(dir.path()).unwrap();
        assert_eq!(through(&book), 0);
        file.keep(&[line(1), line(2)]).unwrap();
        let path = dir.path().join(NAME);
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let (mut file, book) = LateFile::open(dir.path()).unwrap();
            let known = through(&book);
            let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
            // A line is whole without its end, too.
            assert!(lines <= usize::try_from(known).unwrap(), "{cut}: {known}");
            file.keep(&[line(3)]).unwrap();
            assert_eq!(through(&LateFile::open(dir.path()).unwrap().1), 3, "{cut}");
        }
    }

    #[test]
    fn the_newest_lines_of_a_node_are_found_over_both_files() {
        let dir = tempfile::tempdir().unwrap();
        let node = |name: &str| NodeId::new(name).unwrap();
        assert_eq!(newest(dir.path(), &node("sat-1"), 5).unwrap(), (Vec::new(), false));
        let (mut file, _) = LateFile::bounded(dir.path(), 1_000).unwrap();
        for id in 1..=20 {
            file.keep(&[line(id), Line { node: node("sat-2"), ..line(id) }]).unwrap();
        }
        // The files hold the newest five of each node; what was before them was given up.
        let ids_of = |lines: &[Value]| -> Vec<_> {
            lines.iter().map(|line| line["id"].as_u64().unwrap()).collect()
        };
        let (lines, more) = newest(dir.path(), &node("sat-1"), 4).unwrap();
        assert_eq!((ids_of(&lines), more), (vec![17, 18, 19, 20], true));
        let (lines, more) = newest(dir.path(), &node("sat-1"), 5).unwrap();
        assert_eq!((ids_of(&lines), more), (vec![16, 17, 18, 19, 20], false));
        assert!(newest(dir.path(), &node("sat-3"), 5).unwrap().0.is_empty());
    }

    #[test]
    fn the_files_are_bounded_and_the_older_one_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (mut file, _) = LateFile::bounded(dir.path(), 1_000).unwrap();
        for id in 1..=200 {
            file.keep(&[line(id)]).unwrap();
        }
        let bytes = |name| fs::metadata(dir.path().join(name)).map_or(0, |facts| facts.len());
        assert!(bytes(NAME) <= 1_400 && bytes(OLDER) <= 1_400);
        assert_eq!(through(&LateFile::open(dir.path()).unwrap().1), 200);
    }
}
