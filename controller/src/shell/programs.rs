//! Programs of the agent that nodes may be told to run: a file each, by hash, and beside it the release that was signed of it.
//!
//! The controller decides nothing about them: whose signature counts is said by the configuration of each node.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use protocol::module::{MODULE_CHUNK_BYTES, ModuleQuery};
use protocol::release::{NoProgram, ProgramChunk, ProgramFacts, Release, SignedRelease};
use protocol::{DecodeError, decode};

use super::store::{StoreError, replace};
use crate::deploy::sha256;
use crate::hex::hex;

/// Programs that are kept: those of four processors, of this release and the one before.
const PROGRAMS_KEPT: usize = 8;

/// Why a program is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The release is none.
    #[error("the release is refused: {0}")]
    Release(#[from] DecodeError),
    /// The program is another than the signed one.
    #[error("the program is not the one that was signed: its SHA-256 or its size is another")]
    OtherProgram,
    /// It is no program of the agent.
    #[error("the program is refused: {0}")]
    NoProgram(#[from] NoProgram),
    /// It says something else of itself.
    #[error("the program says other things of itself than the release: {0}")]
    OtherFacts(String),
    /// The disk failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All programs; clones are handles to the same folder.
#[derive(Clone, Debug)]
pub struct Programs {
    dir: PathBuf,
}

impl Programs {
    /// Those of a folder, which is made for the first one.
    pub const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Keeps a program, durably, once it is what its release says. Blocks.
    ///
    /// # Errors
    /// [`ProgramError`] with the first check that fails.
    pub fn add(&self, signed: &[u8], program: &[u8]) -> Result<Release, ProgramError> {
        let release = decode::<SignedRelease>(signed)?.open()?;
        let is_it = usize::try_from(release.bytes) == Ok(program.len())
            && sha256(program) == release.sha256;
        if !is_it {
            return Err(ProgramError::OtherProgram);
        }
        let facts = ProgramFacts::read(program)?;
        let said = (facts.arch, facts.number, facts.version.as_str());
        if said != (release.arch, release.number, release.version.as_str()) {
            let said = format!("{} for {:?}, number {}", facts.version, facts.arch, facts.number);
            return Err(ProgramError::OtherFacts(said));
        }
        let name = name(&release.sha256);
        let made = fs::create_dir_all(&self.dir);
        made.map_err(|source| StoreError::Io { what: "making", path: self.dir.clone(), source })?;
        self.make_room(&name)?;
        replace(&self.dir, &name, program)?;
        Ok(release)
    }

    /// Whether a program is here.
    pub fn has(&self, sha256: &[u8; 32]) -> bool {
        self.dir.join(name(sha256)).is_file()
    }

    /// A part of a program. Blocks.
    pub fn part(&self, query: &ModuleQuery) -> ProgramChunk {
        let path = self.dir.join(name(&query.sha256));
        match read(&path, query.offset) {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::NotFound => ProgramChunk::NotFound,
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "program is not served");
                ProgramChunk::NotFound
            }
        }
    }

    /// Removes the programs that were kept first, so that one of that name fits.
    fn make_room(&self, name: &str) -> Result<(), StoreError> {
        let failed = |source| StoreError::Io { what: "reading", path: self.dir.clone(), source };
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name() != *name {
                let kept = entry.metadata().and_then(|facts| facts.modified());
                files.push((kept.unwrap_or(SystemTime::UNIX_EPOCH), entry.path()));
            }
        }
        files.sort();
        let surplus = (files.len() + 1).saturating_sub(PROGRAMS_KEPT);
        for (_, path) in files.into_iter().take(surplus) {
            let removed = fs::remove_file(&path);
            removed.map_err(|source| StoreError::Io { what: "removing", path, source })?;
        }
        Ok(())
    }
}

fn name(sha256: &[u8; 32]) -> String {
    format!("{}.program", hex(sha256))
}

fn read(path: &Path, offset: u32) -> io::Result<ProgramChunk> {
    let mut file = File::open(path)?;
    let total = u32::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    file.seek(SeekFrom::Start(offset.min(total).into()))?;
    let mut bytes = Vec::new();
    file.take(MODULE_CHUNK_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(ProgramChunk::Part { total, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SigningKey;
    use protocol::encode;
    use protocol::release::STAMP;
    use types::{Arch, KeyName};

    fn program(number: u64) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01".to_vec();
        file.resize(16, 0);
        file.extend(3_u16.to_le_bytes());
        file.extend(62_u16.to_le_bytes());
        file.extend(format!("{STAMP}0.3.1 {number};").bytes());
        file.resize(MODULE_CHUNK_BYTES + 10, 0xa5);
        file
    }

    fn signed(program: &[u8], number: u64) -> Vec<u8> {
        let key = SigningKey::draw(KeyName::new("release").unwrap()).unwrap();
        let release = Release {
            number,
            version: "0.3.1".to_owned(),
            arch: Arch::X86_64,
            sha256: sha256(program),
            bytes: u32::try_from(program.len()).unwrap(),
            key: key.id(),
            may_be_older: false,
        };
        encode(&key.sign_release(&release).unwrap()).unwrap()
    }

    #[test]
    fn a_program_is_given_in_parts_and_the_oldest_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let programs = Programs::new(dir.path().join("programs"));
        let first = program(1);
        programs.add(&signed(&first, 1), &first).unwrap();
        let sha256 = sha256(&first);
        let part = |offset| programs.part(&ModuleQuery { sha256, offset });
        let total = u32::try_from(first.len()).unwrap();
        let bytes = first[..MODULE_CHUNK_BYTES].to_vec();
        assert_eq!(part(0), ProgramChunk::Part { total, bytes });
        let bytes = first[MODULE_CHUNK_BYTES..].to_vec();
        assert_eq!(part(total - 10), ProgramChunk::Part { total, bytes });
        assert_eq!(part(u32::MAX), ProgramChunk::Part { total, bytes: Vec::new() });
        for number in 2..=10 {
            let next = program(number);
            programs.add(&signed(&next, number), &next).unwrap();
            assert!(programs.has(&crate::deploy::sha256(&next)));
        }
        assert_eq!(fs::read_dir(dir.path().join("programs")).unwrap().count(), PROGRAMS_KEPT);
        assert_eq!(part(0), ProgramChunk::NotFound);
        assert!(!programs.has(&sha256));
    }

    #[test]
    fn what_is_not_what_was_signed_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let programs = Programs::new(dir.path().to_owned());
        let good = program(1);
        let mut tampered = good.clone();
        tampered[9000] ^= 1;
        let refused = |signed: &[u8], program: &[u8]| programs.add(signed, program).unwrap_err();
        assert!(matches!(refused(&signed(&good, 1), &tampered), ProgramError::OtherProgram));
        assert!(matches!(refused(&signed(&good, 2), &good), ProgramError::OtherFacts(_)));
        assert!(matches!(refused(b"no release", &good), ProgramError::Release(_)));
        let script = b"#!/bin/sh\n".to_vec();
        assert!(matches!(refused(&signed(&script, 1), &script), ProgramError::NoProgram(_)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
