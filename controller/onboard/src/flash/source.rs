//! Images: as they are, or packed with xz as they are published. Read once for their sum, once to be written.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lzma_rust2::XzReader;
use sha2::{Digest as _, Sha256};

use crate::hex;
use crate::interrupt::Interrupt;

/// Memory that unpacking may take, KiB: `xz -9` needs 65 MiB.
const UNPACK_KIB_MAX: u32 = 256 * 1024;
/// Read at once, bytes.
const BUFFER_BYTES: usize = 1 << 20;

/// An image that is read.
pub struct Image {
    /// Its bytes, unpacked.
    pub bytes: Box<dyn Read>,
    /// How far the file is read.
    pub position: Position,
    /// Whether it is packed.
    pub is_packed: bool,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image").field("is_packed", &self.is_packed).finish_non_exhaustive()
    }
}

/// How far a file is read, and how long it is.
#[derive(Clone, Debug)]
pub struct Position {
    read: Arc<AtomicU64>,
    /// Its length, bytes.
    pub of: u64,
}

impl Position {
    /// Bytes that were read.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
        Ok(count)
    }
}

/// Opens an image, packed or not; what it is, its first bytes say.
///
/// # Errors
/// When it cannot be read, or is packed in another way.
pub fn open(path: &Path) -> io::Result<Image> {
    let mut file = File::open(path)?;
    let mut start = [0; 6];
    let count = file.read(&mut start)?;
    file.rewind()?;
    let of = file.metadata()?.len();
    let read = Arc::new(AtomicU64::new(0));
    let position = Position { read: Arc::clone(&read), of };
    let counted = BufReader::with_capacity(BUFFER_BYTES, Counted { file, read });
    match &start[..count] {
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            let bytes = Box::new(XzReader::new_mem_limit(counted, true, UNPACK_KIB_MAX));
            Ok(Image { bytes, position, is_packed: true })
        }
        [0x1f, 0x8b, ..] => Err(other("gzip", "gunzip")),
        [b'P', b'K', 3, 4, ..] => Err(other("zip", "unzip")),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Err(other("zstd", "unzstd")),
        _ => Ok(Image { bytes: Box::new(counted), position, is_packed: false }),
    }
}

fn other(packer: &str, unpacker: &str) -> io::Error {
    let rule =
        format!("it is packed with {packer}, and only xz is unpacked here; {unpacker} it first");
    io::Error::new(io::ErrorKind::InvalidData, rule)
}

/// SHA-256 of a file as it lies there, in 64 digits; `None` when interrupted.
///
/// # Errors
/// When it cannot be read.
pub fn sum(path: &Path, interrupt: &Interrupt) -> io::Result<Option<String>> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        if interrupt.is_set() {
            return Ok(None);
        }
        match file.read(&mut buffer)? {
            0 => return Ok(Some(hex(&hash.finalize()))),
            count => hash.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_packed_image_is_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("a.img");
        let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        std::fs::write(&plain, &bytes).unwrap();
        let xz = Command::new("xz").args(["-k", "-T2", "--block-size=4MiB"]).arg(&plain).status();
        if !xz.is_ok_and(|status| status.success()) {
            return println!("skipped: a_packed_image_is_the_image: xz is not installed");
        }
        for (path, is_packed) in [(plain, false), (dir.path().join("a.img.xz"), true)] {
            let mut image = open(&path).unwrap();
            let mut read = Vec::new();
            image.bytes.read_to_end(&mut read).unwrap();
            assert!(read == bytes && image.is_packed == is_packed);
            assert_eq!(image.position.read(), image.position.of);
            assert_eq!(image.position.of, path.metadata().unwrap().len());
        }
        // A download that was cut off, and one with a wrong bit, do not pass for whole.
        let packed = std::fs::read(dir.path().join("a.img.xz")).unwrap();
        let mut damaged = packed.clone();
        damaged[packed.len() / 2] ^= 1;
        for bad in [&packed[..packed.len() - 20], &damaged] {
            let path = dir.path().join("bad.xz");
            std::fs::write(&path, bad).unwrap();
            assert!(io::copy(&mut open(&path).unwrap().bytes, &mut io::sink()).is_err());
        }
    }

    #[test]
    fn other_packers_are_named_and_sums_are_those_of_sha256sum() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        for (start, word) in [
            (&b"\x1f\x8b\x08\0\0\0"[..], "gunzip"),
            (b"PK\x03\x04\0\0", "unzip"),
            (b"\x28\xb5\x2f\xfd\0", "unzstd"),
        ] {
            std::fs::write(&path, start).unwrap();
            assert!(open(&path).unwrap_err().to_string().contains(word));
        }
        std::fs::write(&path, "abc").unwrap();
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let interrupt = Interrupt::default();
        assert_eq!(sum(&path, &interrupt).unwrap().as_deref(), Some(known));
        interrupt.set();
        assert_eq!(sum(&path, &interrupt).unwrap(), None);
    }
}
