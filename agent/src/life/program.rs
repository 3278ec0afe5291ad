//! Programs in their slots: fetched piece by piece over many contacts and starts, checked as a whole, there as a whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use protocol::module::MODULE_CHUNK_BYTES;
use protocol::release::ProgramFacts;
use sha2::{Digest as _, Sha256};
use types::Arch;

use super::file::{hex, no_follow, sync_folder};
use super::slots::{Program, Slot};

/// The file of a program in its slot.
const NAME: &str = "starbelt-agent";
/// Of the disk, this share stays free, but no more than so many bytes.
const RESERVE_PARTS: u64 = 20;
const RESERVE_BYTES_MAX: u64 = 64 << 20;

/// Where the program of a slot is.
pub(super) fn path(slots: &Path, slot: Slot) -> PathBuf {
    slots.join(slot.as_str()).join(NAME)
}

/// Whether the file in a slot is that program.
///
/// # Errors
/// Why not, in words.
pub(super) fn check(slots: &Path, slot: Slot, program: &Program) -> Result<(), String> {
    let path = path(slots, slot);
    let bytes =
        read(&path, program.bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    let is_it = bytes.is_some_and(|bytes| sha256(&bytes) == program.sha256);
    is_it.then_some(()).ok_or_else(|| format!("{} is not what was signed", path.display()))
}

/// All of a file, if it has so many bytes.
fn read(path: &Path, bytes: u32) -> io::Result<Option<Vec<u8>>> {
    let file = File::options().read(true).custom_flags(no_follow()).open(path)?;
    if file.metadata()?.len() != u64::from(bytes) {
        return Ok(None);
    }
    let mut all = Vec::new();
    file.take(u64::from(bytes)).read_to_end(&mut all)?;
    Ok(Some(all))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Whether so many more bytes have room, with a reserve.
///
/// # Errors
/// In words, with the numbers.
pub(super) fn has_room(dir: &Path, bytes: u64) -> Result<(), String> {
    let facts = rustix::fs::statvfs(dir)
        .map_err(|error| format!("the room in {} is not known: {error}", dir.display()))?;
    let free = facts.f_bavail.saturating_mul(facts.f_frsize);
    let all = facts.f_blocks.saturating_mul(facts.f_frsize);
    let reserve = (all / RESERVE_PARTS).min(RESERVE_BYTES_MAX);
    if free < bytes.saturating_add(reserve) {
        let mib = |bytes: u64| bytes >> 20;
        return Err(format!(
            "{} has {} MiB free; the program needs {}, and {} stay free",
            dir.display(),
            mib(free),
            mib(bytes) + 1,
            mib(reserve)
        ));
    }
    Ok(())
}

/// Why what has come is no program to try.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The bytes are other ones: they may be right the next time.
    #[error("what came is not what was signed: its SHA-256 is another")]
    OtherBytes,
    /// It is what was signed, and no program for this node.
    #[error("{0}")]
    NoProgram(String),
    /// The disk failed.
    #[error("{0}")]
    Disk(String),
}

/// What has come of a program.
#[derive(Debug)]
pub struct Part {
    slots: PathBuf,
    slot: Slot,
    path: PathBuf,
    program: Program,
    have: u32,
}

impl Part {
    /// Opens what an earlier start has left; the last piece of it may be torn and is left out. Everything else goes from the slot: it is not the
    /// one that runs otherwise.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn open(slots: &Path, slot: Slot, program: &Program) -> io::Result<Self> {
        let dir = slots.join(slot.as_str());
        fs::create_dir_all(&dir)?;
        let name = format!("{}.part", hex(&program.sha256));
        let path = dir.join(&name);
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.file_name() != *name {
                fs::remove_file(entry.path())?;
            }
        }
        let have = fs::symlink_metadata(&path).map_or(0, |facts| facts.len());
        // Whole pieces only, and not the last one.
        let piece = MODULE_CHUNK_BYTES as u64;
        let have = have.min(program.bytes.into()).saturating_sub(1) / piece * piece;
        let have = u32::try_from(have).unwrap_or(0);
        Ok(Self { slots: slots.to_owned(), slot, path, program: program.clone(), have })
    }

    /// Bytes that are here.
    pub const fn have(&self) -> u32 {
        self.have
    }

    /// Whether all of it is here.
    pub const fn is_whole(&self) -> bool {
        self.have == self.program.bytes
    }

    /// Adds the next piece, durably.
    ///
    /// # Errors
    /// What the system says.
    pub fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(no_follow());
        let mut file = options.open(&self.path)?;
        let offset = u64::from(self.have);
        file.set_len(offset)?;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)?;
        file.sync_data()?;
        let more = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.have = self.have.saturating_add(more).min(self.program.bytes);
        Ok(())
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        self.have = 0;
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "what came stays");
        }
    }

    /// Checks all of it, and puts it into its slot.
    ///
    /// # Errors
    /// [`Unfit`].
    pub(super) fn finish(&self, arch: Arch) -> Result<(), Unfit> {
        let failed = |error: io::Error| Unfit::Disk(format!("{}: {error}", self.path.display()));
        let bytes = read(&self.path, self.program.bytes).map_err(failed)?;
        let bytes = bytes.filter(|bytes| sha256(bytes) == self.program.sha256);
        let bytes = bytes.ok_or(Unfit::OtherBytes)?;
        fits(&bytes, &self.program, arch).map_err(Unfit::NoProgram)?;
        fs::set_permissions(&self.path, Permissions::from_mode(0o700)).map_err(failed)?;
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(failed)?;
        let path = path(&self.slots, self.slot);
        fs::rename(&self.path, &path).map_err(failed)?;
        sync_folder(&path).map_err(failed)
    }
}

/// Whether bytes say of themselves what was signed of them.
fn fits(bytes: &[u8], program: &Program, arch: Arch) -> Result<(), String> {
    let facts = ProgramFacts::read(bytes).map_err(|error| error.to_string())?;
    if facts.arch != arch {
        return Err(format!("the program is for {:?}, this node is {arch:?}", facts.arch));
    }
    if (facts.number, &facts.version) != (program.number, &program.version) {
        return Err(format!(
            "the program says {} with number {}, signed is {} with number {}",
            facts.version, facts.number, program.version, program.number
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::release::STAMP;

    /// A file that looks like a program, of more than one piece.
    fn file(machine: u16, number: u64) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01".to_vec();
        file.resize(16, 0);
        file.extend(3_u16.to_le_bytes());
        file.extend(machine.to_le_bytes());
        file.extend(format!("{STAMP}0.3.1 {number};").bytes());
        file.resize(2 * MODULE_CHUNK_BYTES + 100, 0xa5);
        file
    }

    fn program(file: &[u8], number: u64) -> Program {
        let bytes = u32::try_from(file.len()).unwrap();
        Program { number, version: "0.3.1".to_owned(), sha256: sha256(file), bytes, asked: (1, 1) }
    }

    fn come(part: &mut Part, file: &[u8]) {
        while !part.is_whole() {
            let from = usize::try_from(part.have()).unwrap();
            let to = (from + MODULE_CHUNK_BYTES).min(file.len());
            part.add(&file[from..to]).unwrap();
        }
    }

    #[test]
    fn a_program_comes_in_pieces_over_many_starts_and_is_there_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(183, 9);
        let program = program(&file, 9);
        let open = || Part::open(dir.path(), Slot::B, &program).unwrap();
        let mut part = open();
        part.add(&file[..MODULE_CHUNK_BYTES]).unwrap();
        part.add(&file[MODULE_CHUNK_BYTES..2 * MODULE_CHUNK_BYTES]).unwrap();
        // The last piece of an earlier start may be torn.
        let mut part = open();
        assert_eq!(usize::try_from(part.have()).unwrap(), MODULE_CHUNK_BYTES);
        assert_eq!(part.finish(Arch::Arm64), Err(Unfit::OtherBytes));
        come(&mut part, &file);
        part.finish(Arch::Arm64).unwrap();
        check(dir.path(), Slot::B, &program).unwrap();
        let mode = fs::metadata(path(dir.path(), Slot::B)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let mut damaged = file.clone();
        damaged[5000] ^= 1;
        fs::write(path(dir.path(), Slot::B), &damaged).unwrap();
        assert!(check(dir.path(), Slot::B, &program).unwrap_err().contains("not what was signed"));
        fs::remove_file(path(dir.path(), Slot::B)).unwrap();
        assert!(check(dir.path(), Slot::B, &program).is_err());
    }

    #[test]
    fn what_is_not_what_was_signed_is_no_program() {
        let dir = tempfile::tempdir().unwrap();
        let finish = |come_in: &[u8], program: &Program| {
            let mut part = Part::open(dir.path(), Slot::A, program).unwrap();
            come(&mut part, come_in);
            let finished = part.finish(Arch::Arm64);
            part.clear();
            finished.unwrap_err()
        };
        let good = file(183, 9);
        let mut tampered = good.clone();
        tampered[MODULE_CHUNK_BYTES] ^= 0x10;
        assert_eq!(finish(&tampered, &program(&good, 9)), Unfit::OtherBytes);
        let said = |come_in: &[u8], number| finish(come_in, &program(come_in, number)).to_string();
        assert!(said(&file(62, 9), 9).contains("for X86_64, this node is Arm64"));
        assert!(said(&good, 10).contains("number 9, signed is 0.3.1 with number 10"));
        assert!(said(&vec![b'#'; 600_000], 9).contains("no program of Linux"));
        assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 0);
    }

    #[test]
    fn another_program_takes_the_room_of_one_that_was_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (file(183, 9), file(183, 10));
        let mut part = Part::open(dir.path(), Slot::A, &program(&first, 9)).unwrap();
        come(&mut part, &first);
        part.finish(Arch::Arm64).unwrap();
        let part = Part::open(dir.path(), Slot::A, &program(&second, 10)).unwrap();
        assert_eq!(part.have(), 0);
        assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 0);
        assert!(has_room(dir.path(), 1 << 50).unwrap_err().contains("MiB free"));
    }
}
