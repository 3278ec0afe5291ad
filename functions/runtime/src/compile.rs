//! Compiles a component in a short-lived child: its memory and time have limits of their own, so that a module made to
//! exhaust a compiler costs this process nothing.

pub(crate) mod built_in;
pub(crate) mod child;
pub(crate) mod compiler;
pub(crate) mod end;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use accel::ScanLimits;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use self::child::{DIGEST_BYTES, Job, TRAILER_BYTES, TRAILER_MAGIC};
use self::end::{CompileEnd, Failure, NOTE_BYTES_MAX, end_of};
use crate::config::ChildProgram;
use crate::memfd;
use crate::pool::PoolMode;

/// Largest code of a component: 35 times the bytes of a hostile module of 4 MiB.
pub(crate) const CODE_BYTES_MAX: u64 = 160 * 1024 * 1024;
/// Between two looks at a child that has closed its output and should be gone.
const GONE_POLL: Duration = Duration::from_millis(1);

/// What a child made.
pub(crate) struct Code {
    /// Sealed memory with just the code, which the engine can map.
    pub(crate) file: File,
    /// The same bytes.
    pub(crate) bytes: Vec<u8>,
}

/// Has a component compiled by a child for an engine with this way of allocating, and waits for it.
///
/// Code is taken from the child that was started for it and from nobody else: its output is memory that only it can write,
/// which is sealed after its end, and complete only with a hash at its end.
///
/// # Errors
/// [`Failure`]: of the system, or of the component.
pub(crate) fn in_child(
    program: &ChildProgram,
    mode: PoolMode,
    scan: &ScanLimits,
    wasm: &[u8],
) -> Result<Code, Failure> {
    let limits = program.limits;
    let job = Job { parent: std::process::id(), mode, scan: *scan, limits };
    let input = job.encode(wasm)?;
    let output = memfd::create("starbelt-code")?;
    let started = Instant::now();
    let mut child = Command::new(&program.program)
        .args(&program.arguments)
        .env_clear()
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(Stdio::piped())
        .spawn()?;
    let stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let watched = watch(&mut child, stderr, started + limits.wall);
    if !matches!(watched, Ok((Some(_), _))) {
        // Already dead is fine, and nothing else can go wrong with a child of ours.
        drop(child.kill());
        child.wait()?;
    }
    let (status, note) = watched?;
    match end_of(status, &note, &limits) {
        Ok(()) => Ok(taken(output)?),
        Err(failure) => Err(failure),
    }
}

/// Reads what the child says of its failure until it is gone; `None` if it is still there at `until`.
fn watch(
    child: &mut Child,
    mut stderr: ChildStderr,
    until: Instant,
) -> io::Result<(Option<ExitStatus>, String)> {
    let mut note = Vec::new();
    let mut part = [0; 1024];
    while let Some(left) = left(until) {
        let time = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut fds = [PollFd::new(&stderr, PollFlags::IN)];
        match poll(&mut fds, Some(&time)) {
            Ok(0) => return Ok((None, String::new())),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let bytes = stderr.read(&mut part)?;
        if bytes == 0 {
            break;
        }
        let room = NOTE_BYTES_MAX.saturating_sub(note.len());
        note.extend_from_slice(&part[..bytes.min(room)]);
    }
    // It has closed its output: it is gone, as good as gone, or plays dead.
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((Some(status), String::from_utf8_lossy(&note).into_owned()));
        }
        if left(until).is_none() {
            return Ok((None, String::new()));
        }
        std::thread::sleep(GONE_POLL);
    }
}

fn left(until: Instant) -> Option<Duration> {
    until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

/// The code that a child has left, whose end is a hash of it; cut there and sealed.
fn taken(output: File) -> Result<Code, Failure> {
    let ended = |rule| Failure::Ended(CompileEnd::Output(rule));
    let length = output.metadata()?.len();
    let code =
        length.checked_sub(TRAILER_BYTES as u64).ok_or_else(|| ended("it wrote too little"))?;
    if CODE_BYTES_MAX < code {
        return Err(ended("it wrote more than any code has"));
    }
    let mut trailer = [0; TRAILER_BYTES];
    output.read_exact_at(&mut trailer, code)?;
    let (digest, magic) = trailer.split_at(DIGEST_BYTES);
    if magic != TRAILER_MAGIC {
        return Err(ended("what it wrote has no end"));
    }
    output.set_len(code)?;
    memfd::seal(&output)?;
    let bytes = memfd::read(&output, usize::try_from(code).unwrap_or(0))?;
    if blake3::hash(&bytes).as_bytes() != digest {
        return Err(ended("what it wrote is damaged"));
    }
    Ok(Code { file: output, bytes })
}
