//! Memory that another process gets to read and nobody can change any more: a sealed file without a name.

mod huge;

use std::fs::File;
use std::io::{self, Seek as _, Write};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create};
use rustix::io::{Errno, pread};

/// All that must hold before bytes are taken: nobody writes, cuts, grows, or lifts the seals.
const SEALS: SealFlags =
    SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::SEAL);

/// Bytes that nobody can change any more, in memory that processes share without a copy.
#[derive(Clone, Debug)]
pub struct Sealed {
    memory: Arc<File>,
    length: u64,
}

impl Sealed {
    /// What `write` writes, which is best `expected` bytes long: large memory is prepared for that. The memory counts as that of this
    /// process until nobody has it any more.
    ///
    /// # Errors
    /// What the system says, or `write`.
    pub fn written(
        expected: u64,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut memory = create("starbelt-object")?;
        // What cannot be had costs time and nothing else.
        drop(huge::prepare(&memory, usize::try_from(expected).unwrap_or(usize::MAX)));
        write(&mut memory)?;
        let length = memory.stream_position()?;
        if fstat(&memory)?.st_size.cast_unsigned() != length {
            // Less than expected has come.
            memory.set_len(length)?;
        }
        seal(&memory)?;
        Ok(Self { memory: Arc::new(memory), length })
    }

    /// Takes memory from another process.
    ///
    /// # Errors
    /// Memory that is not sealed, or is larger than `bytes_max`; else what the system says.
    pub(crate) fn take(memory: File, bytes_max: usize) -> io::Result<Self> {
        let length = checked_length(&memory, bytes_max)? as u64;
        Ok(Self { memory: Arc::new(memory), length })
    }

    /// How many bytes there are.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Copies the bytes from `offset` on to where there is room for so many.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where there are not so many.
    pub fn read_at(&self, room: &mut [u8], offset: u64) -> io::Result<()> {
        self.memory.read_exact_at(room, offset)
    }

    pub(crate) fn memory(&self) -> &File {
        &self.memory
    }
}

/// Fresh memory without seals; `name` is for those who look for it in `/proc`.
///
/// # Errors
/// What the system says.
pub(crate) fn create(name: &str) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let created = match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // Before Linux 6.3 nobody had thought of executing it.
        Err(Errno::INVAL) => memfd_create(name, flags),
        created => created,
    };
    Ok(created?.into())
}

/// Seals memory that is complete.
///
/// # Errors
/// What the system says, as when somebody has it mapped to write.
pub(crate) fn seal(memory: &File) -> io::Result<()> {
    Ok(fcntl_add_seals(memory, SEALS)?)
}

/// Sealed memory of these parts, one after the other.
///
/// # Errors
/// What the system says.
pub(crate) fn sealed(name: &str, parts: &[&[u8]]) -> io::Result<File> {
    let mut memory = create(name)?;
    // What cannot be had costs time and nothing else.
    drop(huge::prepare(&memory, parts.iter().map(|part| part.len()).sum()));
    for part in parts {
        memory.write_all(part)?;
    }
    seal(&memory)?;
    Ok(memory)
}

/// The bytes of sealed memory.
///
/// # Errors
/// Memory that is not sealed, or is larger than `bytes_max`; else what the system says.
pub(crate) fn read(memory: &File, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    read_to(memory, checked_length(memory, bytes_max)?, &mut bytes)?;
    Ok(bytes)
}

/// The bytes of a file of so many, to the end of what is in `bytes`.
///
/// # Errors
/// What the system says; [`io::ErrorKind::UnexpectedEof`] where there are fewer.
pub(crate) fn read_to(file: &File, length: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    // To memory that nobody has cleared (that would take as long as the copy), and in one go where the system allows it.
    bytes.reserve_exact(length);
    let (start, mut read) = (bytes.len(), 0);
    while read < length {
        if pread(file, spare_capacity(bytes), read as u64)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read = bytes.len() - start;
    }
    Ok(())
}

/// How many bytes sealed memory has.
fn checked_length(memory: &File, bytes_max: usize) -> io::Result<usize> {
    let invalid = |rule: String| io::Error::new(io::ErrorKind::InvalidData, rule);
    let seals = fcntl_get_seals(memory)?;
    if !seals.contains(SEALS) {
        return Err(invalid(format!(
            "memory must be sealed before it is handed over, has {seals:?}"
        )));
    }
    // The library's own way is another system call, which a jail need not allow.
    let length = usize::try_from(fstat(memory)?.st_size).ok().filter(|length| *length <= bytes_max);
    length
        .ok_or_else(|| invalid(format!("memory that is handed over has at most {bytes_max} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_memory_reads_back_and_stays_as_it_is() {
        let memory = sealed("test", &[b"one", b"two"]).unwrap();
        assert_eq!(read(&memory, 6).unwrap(), b"onetwo");
        assert!(memory.write_at(b"x", 0).is_err());
        assert!(memory.set_len(3).is_err());
        assert!(memory.set_len(9).is_err());
        assert!(fcntl_add_seals(&memory, SealFlags::FUTURE_WRITE).is_err());
    }

    #[test]
    fn more_and_less_than_expected_may_come() {
        let bytes: Vec<u8> = (0..1_500_000_u32).flat_map(u32::to_le_bytes).collect();
        for expected in [0, 3_000_000, 6_000_000, 9_000_000, u64::MAX] {
            let sealed = Sealed::written(expected, |memory| {
                bytes.chunks(700_000).try_for_each(|chunk| memory.write_all(chunk))
            });
            let sealed = sealed.unwrap();
            assert_eq!(sealed.length(), 6_000_000);
            assert!(read(sealed.memory(), 6_000_000).unwrap() == bytes, "{expected}");
        }
        let nothing = Sealed::written(5_000_000, |_| Ok(())).unwrap();
        assert_eq!((nothing.length(), read(nothing.memory(), 0).unwrap()), (0, Vec::new()));
    }

    #[test]
    fn memory_that_can_change_or_is_too_large_is_not_taken() {
        let memory = sealed("test", &[b"onetwo"]).unwrap();
        assert!(read(&memory, 5).unwrap_err().to_string().contains("at most 5 bytes"));
        let open = create("test").unwrap();
        assert!(read(&open, 5).unwrap_err().to_string().contains("must be sealed"));
        fcntl_add_seals(&open, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::SEAL).unwrap();
        assert!(read(&open, 5).is_err(), "it could still grow");
    }
}
