//! Writing a card and reading it back.
//!
//! The partition tables are cleared first and written last: a card that was left half-written, by Ctrl-C, a pulled plug or an
//! error, has no table and starts nothing. Memory is bounded by one buffer, what the kernel
//! has not written yet by syncing in steps; what is compared afterwards comes from the card and not from memory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{Advice, OFlags, fadvise};
use sha2::{Digest as _, Sha256};

use super::table::HEAD_BYTES;
use crate::interrupt::Interrupt;
use crate::{hex, sha256_hex};

/// Written and read at once, bytes.
pub const BUFFER_BYTES: usize = 1 << 20;
/// What may wait in memory to be written, bytes: progress that is shown is then progress that was made.
const SYNC_BYTES: u64 = 64 << 20;

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Bytes go to the card.
    Write,
    /// They are read back.
    Verify,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// How much.
    pub bytes: u64,
    /// SHA-256 of it, in 64 digits.
    pub sha256: String,
}

/// Why a card is not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The image cannot be read.
    #[error("the image cannot be read at byte {at}: {source}")]
    Image {
        /// Where.
        at: u64,
        /// Why.
        source: io::Error,
    },
    /// The card cannot be used.
    #[error("the card cannot be {doing} at byte {at}: {source}")]
    Card {
        /// `written`, `read` ..
        doing: &'static str,
        /// Where.
        at: u64,
        /// Why.
        source: io::Error,
    },
    /// It is too small.
    #[error(
        "the image is larger than the card, which has {0} bytes; the card holds nothing that starts"
    )]
    TooLarge(u64),
    /// Somebody wanted it to stop.
    #[error("interrupted; the card holds nothing that starts")]
    Interrupted,
    /// It holds something else than was written.
    #[error(
        "the card does not hold what was written to it: SHA-256 {read} instead of {written}; it is worn out or fake"
    )]
    Differs {
        /// What should be there.
        written: String,
        /// What is.
        read: String,
    },
}

/// Opens a block device so that nobody else has it: the kernel refuses one that is mounted or part of something.
///
/// # Errors
/// When it is in use, or may not be written.
pub fn open_device(path: &Path) -> io::Result<File> {
    let exclusive = OFlags::EXCL.bits().cast_signed();
    OpenOptions::new().read(true).write(true).custom_flags(exclusive).open(path)
}

/// Makes a file for an image; one that is there is not touched.
///
/// # Errors
/// When there is one, or it cannot be made.
pub fn make_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).open(path)
}

/// The start of an image: its partition tables, which are held back.
///
/// # Errors
/// When it cannot be read, or is shorter than any table.
pub fn head(image: &mut dyn Read) -> Result<Vec<u8>, WriteError> {
    let mut head = vec![0; HEAD_BYTES];
    match fill(image, &mut head, 0)? {
        HEAD_BYTES => Ok(head),
        count => {
            let source = io::Error::new(io::ErrorKind::UnexpectedEof, "it is no image of a card");
            Err(WriteError::Image { at: count as u64, source })
        }
    }
}

/// Writes what follows the head of an image to a card of `size` bytes (`None` for a file, which grows), and syncs it. Where the
/// head belongs, the card is blank.
///
/// # Errors
/// [`WriteError`]
pub fn write(
    (head, image): (&[u8], &mut dyn Read),
    card: &mut File,
    size: Option<u64>,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(Phase, u64),
) -> Result<Written, WriteError> {
    let failed = |at| move |source| WriteError::Card { doing: "written", at, source };
    let check = |end: u64| match size {
        Some(size) if size < end => Err(WriteError::TooLarge(size)),
        Some(_) | None => Ok(()),
    };
    let mut at = head.len() as u64;
    check(at)?;
    card.rewind().and_then(|()| card.write_all(&vec![0; head.len()])).map_err(failed(0))?;
    card.sync_data().map_err(failed(0))?;
    let mut hash = Sha256::new();
    hash.update(head);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut unsynced = 0;
    let mut is_over = false;
    while !is_over {
        if interrupt.is_set() {
            return Err(WriteError::Interrupted);
        }
        let count = fill(image, &mut buffer, at)?;
        is_over = count < BUFFER_BYTES;
        check(at + count as u64)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        hash.update(bytes);
        card.write_all(bytes).map_err(failed(at))?;
        at += count as u64;
        unsynced += count as u64;
        if SYNC_BYTES <= unsynced {
            card.sync_data().map_err(failed(at))?;
            unsynced = 0;
        }
        progress(Phase::Write, at);
    }
    card.sync_all().map_err(failed(at))?;
    Ok(Written { bytes: at, sha256: hex(&hash.finalize()) })
}

/// Reads back what was written behind the head, and compares.
///
/// # Errors
/// [`WriteError`]
pub fn verify(
    head: &[u8],
    card: &mut File,
    written: &Written,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(Phase, u64),
) -> Result<(), WriteError> {
    let failed = |at| move |source| WriteError::Card { doing: "read", at, source };
    let mut at = head.len() as u64;
    forget(card).and_then(|()| card.seek(SeekFrom::Start(at))).map_err(failed(at))?;
    let mut hash = Sha256::new();
    hash.update(head);
    let mut buffer = vec![0; BUFFER_BYTES];
    while at < written.bytes {
        if interrupt.is_set() {
            return Err(WriteError::Interrupted);
        }
        let wanted = usize::try_from(written.bytes - at).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
        let piece = buffer.get_mut(..wanted).unwrap_or_default();
        card.read_exact(piece).map_err(failed(at))?;
        hash.update(piece);
        at += wanted as u64;
        progress(Phase::Verify, at);
    }
    let read = hex(&hash.finalize());
    match read == written.sha256 {
        true => Ok(()),
        false => Err(WriteError::Differs { written: written.sha256.clone(), read }),
    }
}

/// Writes the head, which makes the card start, and reads it back.
///
/// # Errors
/// [`WriteError`]
pub fn finish(head: &[u8], card: &mut File) -> Result<(), WriteError> {
    let failed = |doing| move |source| WriteError::Card { doing, at: 0, source };
    card.rewind().and_then(|()| card.write_all(head)).map_err(failed("written"))?;
    forget(card).map_err(failed("written"))?;
    let mut read = vec![0; head.len()];
    card.rewind().and_then(|()| card.read_exact(&mut read)).map_err(failed("read"))?;
    match read == head {
        true => Ok(()),
        false => Err(WriteError::Differs { written: sha256_hex(head), read: sha256_hex(&read) }),
    }
}

/// Has the kernel forget what it holds of a file in memory, so that reading asks the card.
///
/// # Errors
/// When it does not.
pub fn forget(card: &File) -> io::Result<()> {
    card.sync_all()?;
    fadvise(card, 0, None, Advice::DontNeed)?;
    Ok(())
}

/// Reads until the buffer is full or the image ends.
fn fill(image: &mut dyn Read, buffer: &mut [u8], at: u64) -> Result<usize, WriteError> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match image.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(WriteError::Image { at: at + filled as u64, source }),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect()
    }

    fn card(dir: &tempfile::TempDir) -> File {
        let path = dir.path().join("card");
        std::fs::remove_file(&path).ok();
        make_file(&path).unwrap()
    }

    /// Writes an image up to its head, and checks it.
    fn written(image: &[u8], card: &mut File) -> (Vec<u8>, Written) {
        let go = Interrupt::default();
        let mut rest = image;
        let head = head(&mut rest).unwrap();
        let mut seen = Vec::new();
        let mut progress = |phase, at| seen.push((phase, at));
        let written = write((&head, &mut rest), card, None, &go, &mut progress).unwrap();
        verify(&head, card, &written, &go, &mut progress).unwrap();
        let end = image.len() as u64;
        assert_eq!(written, Written { bytes: end, sha256: sha256_hex(image) });
        assert!(seen.contains(&(Phase::Write, end)));
        (head, written)
    }

    #[test]
    fn images_of_all_lengths_arrive_and_start_only_when_all_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let read = || std::fs::read(dir.path().join("card")).unwrap();
        for bytes in [
            HEAD_BYTES,
            HEAD_BYTES + 1,
            BUFFER_BYTES,
            HEAD_BYTES + BUFFER_BYTES,
            3 * BUFFER_BYTES + 777,
        ] {
            let (image, mut card) = (image(bytes), card(&dir));
            let (head, _) = written(&image, &mut card);
            assert!(read()[..HEAD_BYTES].iter().all(|byte| *byte == 0));
            finish(&head, &mut card).unwrap();
            assert!(read() == image, "{bytes}");
        }
        assert!(head(&mut &image(HEAD_BYTES - 1)[..]).is_err());
    }

    #[test]
    fn a_card_that_loses_a_bit_is_found_out() {
        let dir = tempfile::tempdir().unwrap();
        let (image, mut card) = (image(2 * BUFFER_BYTES), card(&dir));
        let (head, written) = written(&image, &mut card);
        card.seek(SeekFrom::Start(1_500_000)).unwrap();
        card.write_all(&[0xff]).unwrap();
        let go = Interrupt::default();
        let error = verify(&head, &mut card, &written, &go, &mut |_, _| {}).unwrap_err();
        assert!(matches!(error, WriteError::Differs { .. }), "{error}");
        card.set_len(1_000_000).unwrap();
        let error = verify(&head, &mut card, &written, &go, &mut |_, _| {}).unwrap_err();
        assert!(error.to_string().contains("cannot be read at byte"), "{error}");
    }

    /// An image whose source ends with an error.
    struct Broken(usize);

    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.min(buffer.len());
            self.0 -= count;
            buffer[..count].fill(0xaa);
            if count == 0 { Err(io::Error::other("cut off")) } else { Ok(count) }
        }
    }

    #[test]
    fn what_is_left_by_ctrl_c_a_broken_image_or_a_small_card_starts_nothing() {
        type Way = (Box<dyn Read>, Option<u64>, bool, &'static str);
        let dir = tempfile::tempdir().unwrap();
        let large = image(3 * BUFFER_BYTES);
        let whole = || Box::new(io::Cursor::new(image(3 * BUFFER_BYTES)));
        let ways: [Way; 3] = [
            (Box::new(Broken(2 << 20)), None, false, "image cannot be read at byte 2097152"),
            (whole(), Some(2 << 20), false, "larger than the card"),
            (whole(), None, true, "interrupted"),
        ];
        for (mut image, size, stops, word) in ways {
            let mut card = card(&dir);
            card.write_all(&large).unwrap();
            let interrupt = Interrupt::default();
            let stop = interrupt.clone();
            let mut progress = |_, _| {
                if stops {
                    stop.set();
                }
            };
            let head = head(&mut *image).unwrap();
            let error = write((&head, &mut *image), &mut card, size, &interrupt, &mut progress);
            let error = error.unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
            let left = std::fs::read(dir.path().join("card")).unwrap();
            assert!(left[..HEAD_BYTES].iter().all(|byte| *byte == 0), "{word}");
        }
    }

    #[test]
    fn an_image_that_is_there_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        card(&dir);
        assert!(make_file(&dir.path().join("card")).is_err());
    }
}
