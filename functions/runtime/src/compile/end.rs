//! How a compile child ended, and what that says about its component.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;

use crate::config::CompileLimits;

/// Exit code of a child that cannot compile its component (sysexits.h, `EX_DATAERR`).
pub(super) const REFUSED: u8 = 65;
/// Exit code of a child whose component has another contract (sysexits.h, `EX_PROTOCOL`).
pub(super) const OTHER_CONTRACT: u8 = 76;
/// What is kept of that which a child says.
pub(super) const NOTE_BYTES_MAX: usize = 512;
/// What the standard library says before it aborts, of memory that it does not get.
const OUT_OF_MEMORY: &str = "memory allocation of";

/// Why a compile child gave no code, although it ran.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileEnd {
    /// It wanted more memory than it may have.
    #[error("it wanted more than {mib} MiB of memory")]
    Memory {
        /// What it may have.
        mib: u32,
    },
    /// It used up its processor time.
    #[error("it took more than {} s of processor time", limit.as_secs())]
    CpuTime {
        /// What it may use.
        limit: Duration,
    },
    /// It took too long on the wall clock.
    #[error("it took longer than {} s", limit.as_secs())]
    WallTime {
        /// How long it may take.
        limit: Duration,
    },
    /// The code would be larger than any may be.
    #[error("its code is too large")]
    CodeBytes,
    /// A signal that is no limit of ours; 9 comes from the system when its memory runs out.
    #[error("it was ended by signal {0}")]
    Signal(i32),
    /// It failed by itself.
    #[error("it failed with code {code}: {note}")]
    Failed {
        /// Its exit code.
        code: i32,
        /// What it said.
        note: String,
    },
    /// It says that all is well, but what it left is not code.
    #[error("{0}")]
    Output(&'static str),
}

/// Why there is no code.
pub(crate) enum Failure {
    /// No fault of the component: the child did not start, or the system failed.
    System(io::Error),
    /// The component cannot be compiled, for this reason.
    Refused(String),
    /// It was built against another contract, as this says.
    Contract(String),
    /// The child came to an end before its time.
    Ended(CompileEnd),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<io::ErrorKind> for Failure {
    fn from(kind: io::ErrorKind) -> Self {
        Self::System(kind.into())
    }
}

/// What the end of a child means; without a status it was still there when its time was up.
pub(super) fn end_of(
    status: Option<ExitStatus>,
    note: &str,
    limits: &CompileLimits,
) -> Result<(), Failure> {
    let Some(status) = status else {
        return Err(Failure::Ended(CompileEnd::WallTime { limit: limits.wall }));
    };
    let note = note.trim();
    let signal = status.signal().map(Signal::from_named_raw);
    let end = match (status.code(), signal) {
        (Some(0), _) => return Ok(()),
        (Some(code), _) if code == i32::from(REFUSED) => {
            return Err(Failure::Refused(note.to_owned()));
        }
        (Some(code), _) if code == i32::from(OTHER_CONTRACT) => {
            return Err(Failure::Contract(note.to_owned()));
        }
        (_, Some(Some(Signal::ABORT))) if note.contains(OUT_OF_MEMORY) => {
            CompileEnd::Memory { mib: limits.memory_mib }
        }
        (_, Some(Some(Signal::XCPU))) => CompileEnd::CpuTime { limit: limits.cpu },
        (_, Some(Some(Signal::XFSZ))) => CompileEnd::CodeBytes,
        (Some(code), _) => CompileEnd::Failed { code, note: note.to_owned() },
        (None, _) => CompileEnd::Signal(status.signal().unwrap_or_default()),
    };
    Err(Failure::Ended(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: CompileLimits = CompileLimits {
        memory_mib: 512,
        cpu: Duration::from_secs(10),
        wall: Duration::from_secs(30),
    };

    /// Of a raw wait status: the exit code in the second byte, or a signal in the first.
    #[track_caller]
    fn check(raw: i32, note: &str, expected: &str) {
        let text = match end_of(Some(ExitStatus::from_raw(raw)), note, &LIMITS) {
            Ok(()) => "good".to_owned(),
            Err(Failure::System(error)) => error.to_string(),
            Err(Failure::Refused(reason)) => format!("refused: {reason}"),
            Err(Failure::Contract(reason)) => format!("contract: {reason}"),
            Err(Failure::Ended(end)) => end.to_string(),
        };
        assert_eq!(text, expected);
    }

    #[test]
    fn each_end_says_which_limit_it_was() {
        check(0, "", "good");
        check(65 << 8, "not wasm\n", "refused: not wasm");
        check(76 << 8, "`now`", "contract: `now`");
        check(101 << 8, "panicked", "it failed with code 101: panicked");
        check(6, "memory allocation of 8 bytes failed", "it wanted more than 512 MiB of memory");
        check(6, "an assertion", "it was ended by signal 6");
        check(24, "", "it took more than 10 s of processor time");
        check(25, "", "its code is too large");
        check(9, "", "it was ended by signal 9");
        check(11 | 0x80, "", "it was ended by signal 11");
    }

    #[test]
    fn a_child_that_stays_took_too_long() {
        let end = end_of(None, "", &LIMITS);
        assert!(matches!(
            end,
            Err(Failure::Ended(CompileEnd::WallTime { limit })) if limit == LIMITS.wall
        ));
    }
}
