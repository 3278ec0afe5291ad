//! Releases of the agent's program: what is signed of one, what its file says of itself, and how its bytes travel.
//!
//! Nothing here computes a hash or a signature: who signs and who checks does, over [`SignedRelease::signed_bytes`].

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use types::Arch;

use crate::codec::{DecodeError, Message, Schema, decode};
use crate::event::VERSION_BYTES_MAX;
use crate::module::MODULE_CHUNK_BYTES;
use crate::signed::{KeyId, Signature};

/// Stands before the bytes of a release when they are signed: no signature of anything else, a function's included, is one of a release.
pub const RELEASE_DOMAIN: &[u8] = b"starbelt-agent-v1";
/// Largest program: four times what is shipped, so that one with its symbols still fits.
pub const PROGRAM_BYTES_MAX: u32 = 128 * 1024 * 1024;
/// What stands in each program of the agent before its version, its number and `;`.
pub const STAMP: &str = "@starbelt-agent-program ";
/// Most bytes of a stamp after that: a version, a space, the digits of a number, `;`.
const STAMP_BYTES_MAX: usize = VERSION_BYTES_MAX + 22;

/// What is said of a program, and signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Counts versions: when it was built, seconds since 1970.
    pub number: u64,
    /// For people.
    pub version: String,
    /// For which processor.
    pub arch: Arch,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// Its size.
    pub bytes: u32,
    /// Who signs it.
    pub key: KeyId,
    /// Whether it may replace a program with a higher number.
    pub may_be_older: bool,
}

/// A release as it was signed. Believe nothing in it before the signature was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRelease {
    /// The frame of the release, byte for byte.
    #[serde(with = "serde_bytes")]
    pub release: Vec<u8>,
    /// Who signed; the release names the same key.
    pub key: KeyId,
    /// Over [`SignedRelease::signed_bytes`].
    pub signature: Signature,
}

impl SignedRelease {
    /// What is signed for a release: the domain, then its frame.
    pub fn signed_bytes(release: &[u8]) -> Vec<u8> {
        [RELEASE_DOMAIN, release].concat()
    }

    /// Reads the release. Only for whoever has checked the signature.
    ///
    /// # Errors
    /// [`DecodeError`] for bytes that are no release.
    pub fn open(&self) -> Result<Release, DecodeError> {
        decode(&self.release)
    }
}

/// A part of a program; it is asked for with [`crate::module::ModuleQuery`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProgramChunk {
    /// A part.
    Part {
        /// Size of the whole.
        total: u32,
        /// Bytes from the offset on, at most 256 KiB.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// No such program.
    NotFound,
}

impl Message for Release {
    const SCHEMA: Schema = Schema::Release;
    const BYTES_MAX: usize = 256;

    fn validate(&self) -> Result<(), &'static str> {
        if self.version.is_empty() || VERSION_BYTES_MAX < self.version.len() {
            return Err("a version has 1 to 64 bytes");
        }
        let is_possible = (1..=PROGRAM_BYTES_MAX).contains(&self.bytes);
        is_possible.then_some(()).ok_or("a program has 1 byte to 128 MiB")
    }
}

impl Message for SignedRelease {
    const SCHEMA: Schema = Schema::SignedRelease;
    const BYTES_MAX: usize = Release::BYTES_MAX + 128;

    fn validate(&self) -> Result<(), &'static str> {
        let fits = self.release.len() <= Release::BYTES_MAX;
        fits.then_some(()).ok_or("a release has at most 256 bytes")
    }
}

impl Message for ProgramChunk {
    const SCHEMA: Schema = Schema::ProgramChunk;
    const BYTES_MAX: usize = MODULE_CHUNK_BYTES + 64;

    fn validate(&self) -> Result<(), &'static str> {
        match self {
            Self::Part { total, .. } if PROGRAM_BYTES_MAX < *total => {
                Err("a program has at most 128 MiB")
            }
            Self::Part { bytes, .. } if MODULE_CHUNK_BYTES < bytes.len() => {
                Err("a part of a program has at most 256 KiB")
            }
            Self::Part { .. } | Self::NotFound => Ok(()),
        }
    }
}

/// What the file of a program says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramFacts {
    /// For which processor.
    pub arch: Arch,
    /// For people.
    pub version: String,
    /// When it was built, seconds since 1970.
    pub number: u64,
}

/// Why a file is no program of the agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoProgram {
    /// Not a program of Linux.
    #[error("it is no program of Linux (ELF)")]
    NotElf,
    /// Something that is linked with others, or what is left of a crash.
    #[error("it is a part of a program, and none itself (ELF type {0})")]
    NotWhole(u16),
    /// For a processor that no agent runs on.
    #[error("it is for a processor that no agent runs on (ELF machine {machine}, {bits} bits)")]
    OtherMachine {
        /// The number of the processor in ELF.
        machine: u16,
        /// 32 or 64.
        bits: u8,
    },
    /// Another program, or one before there were updates.
    #[error("it is no starbelt-agent that can be updated: it does not say its version")]
    NoStamp,
    /// It says two.
    #[error("it says two versions of itself")]
    TwoStamps,
}

impl ProgramFacts {
    /// Reads what a file says. Looks at all of it.
    ///
    /// # Errors
    /// [`NoProgram`].
    pub fn read(file: &[u8]) -> Result<Self, NoProgram> {
        let arch = machine(file)?;
        let mut found: Option<(&str, u64)> = None;
        for stamp in stamps(file) {
            match found {
                Some(before) if before != stamp => return Err(NoProgram::TwoStamps),
                Some(_) | None => found = Some(stamp),
            }
        }
        let (version, number) = found.ok_or(NoProgram::NoStamp)?;
        Ok(Self { arch, version: version.into(), number })
    }
}

/// The processor of an ELF file, from its first 20 bytes (System V ABI, "ELF header"): magic, class at 4, byte order at 5, type at 16, machine at 18.
///
/// The type is looked at since libc has a shell read what the kernel does not take for a program.
fn machine(file: &[u8]) -> Result<Arch, NoProgram> {
    let head = file.first_chunk::<20>().filter(|head| head.starts_with(b"\x7fELF"));
    let head = head.ok_or(NoProgram::NotElf)?;
    let bits = match (head[4], head[5]) {
        (1, 1) => 32,
        (2, 1) => 64,
        // The other byte order runs on none of ours.
        _ => return Err(NoProgram::NotElf),
    };
    let half = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    // An executable, or one that can be anywhere in memory.
    if !matches!(half(16), 2 | 3) {
        return Err(NoProgram::NotWhole(half(16)));
    }
    match (half(18), bits) {
        (183, 64) => Ok(Arch::Arm64),
        (40, 32) => Ok(Arch::Armv7),
        (62, 64) => Ok(Arch::X86_64),
        (243, 64) => Ok(Arch::Riscv64),
        (machine, bits) => Err(NoProgram::OtherMachine { machine, bits }),
    }
}

/// All stamps in a file. Its beginning alone is none: a program that looks for stamps holds it, too.
fn stamps(file: &[u8]) -> impl Iterator<Item = (&str, u64)> {
    let ats = file.iter().enumerate().filter(|(_, byte)| **byte == b'@').map(|(at, _)| at);
    ats.filter_map(|at| stamp(&file[at..]))
}

/// The stamp with which some bytes begin.
pub fn stamp(bytes: &[u8]) -> Option<(&str, u64)> {
    let rest = bytes.strip_prefix(STAMP.as_bytes())?;
    let rest = &rest[..rest.len().min(STAMP_BYTES_MAX)];
    let end = rest.iter().position(|byte| *byte == b';')?;
    let (version, number) = str::from_utf8(&rest[..end]).ok()?.split_once(' ')?;
    let is_version = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_graphic());
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse().ok().filter(|_| is_version && is_number)?;
    (version.len() <= VERSION_BYTES_MAX).then_some((version, number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString as _;
    use alloc::vec;

    fn elf(class: u8, machine: u16, rest: &str) -> Vec<u8> {
        let mut file = vec![0x7f, b'E', b'L', b'F', class, 1];
        file.resize(16, 0);
        file.extend(3_u16.to_le_bytes());
        file.extend(machine.to_le_bytes());
        file.extend(rest.as_bytes());
        file
    }

    #[test]
    fn a_program_says_processor_version_and_number() {
        let stamp = format!("…{STAMP}\0{STAMP}0.3.1 1767225600;…{STAMP}0.3.1 1767225600;");
        for (class, machine, arch) in [
            (2, 183, Arch::Arm64),
            (1, 40, Arch::Armv7),
            (2, 62, Arch::X86_64),
            (2, 243, Arch::Riscv64),
        ] {
            let facts = ProgramFacts::read(&elf(class, machine, &stamp)).unwrap();
            let expected =
                ProgramFacts { arch, version: "0.3.1".to_string(), number: 1_767_225_600 };
            assert_eq!(facts, expected);
        }
    }

    #[test]
    fn what_is_no_program_is_refused_with_the_reason() {
        let good = format!("{STAMP}0.3.1 17;");
        let two = format!("{good}{STAMP}0.3.1 18;");
        let big_endian = {
            let mut file = elf(2, 62, &good);
            file[5] = 2;
            file
        };
        let part = {
            let mut file = elf(2, 62, &good);
            file[16] = 1;
            file
        };
        for (file, expected) in [
            (part, NoProgram::NotWhole(1)),
            (b"#!/bin/sh\nexec sleep 1\n".to_vec(), NoProgram::NotElf),
            (b"\x7fELF".to_vec(), NoProgram::NotElf),
            (big_endian, NoProgram::NotElf),
            (elf(2, 8, &good), NoProgram::OtherMachine { machine: 8, bits: 64 }),
            (elf(1, 62, &good), NoProgram::OtherMachine { machine: 62, bits: 32 }),
            (elf(2, 62, ""), NoProgram::NoStamp),
            (elf(2, 62, STAMP), NoProgram::NoStamp),
            (elf(2, 62, &format!("{STAMP}0.3.1 +17;")), NoProgram::NoStamp),
            (elf(2, 62, &format!("{STAMP}0.3.1 17")), NoProgram::NoStamp),
            (elf(2, 62, &format!("{STAMP} 17;")), NoProgram::NoStamp),
            (elf(2, 62, &format!("{STAMP}{} 17;", "9".repeat(65))), NoProgram::NoStamp),
            (elf(2, 62, &two), NoProgram::TwoStamps),
        ] {
            assert_eq!(ProgramFacts::read(&file), Err(expected));
        }
    }
}
