//! The child that compiles one component: takes a job from its standard input, limits itself, and leaves code in its standard output.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use accel::ScanLimits;
use rustix::process::{Resource, Signal, getppid, nice, set_parent_process_death_signal};
use rustix::thread::set_no_new_privs;
use serde::{Deserialize, Serialize};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::end::{OTHER_CONTRACT, REFUSED};
use super::{CODE_BYTES_MAX, built_in};
use crate::config::CompileLimits;
use crate::engine;
use crate::function::{Linked, check_resources};
use crate::harden::limit;
use crate::jail;
use crate::memfd;
use crate::pool::PoolMode;

/// Ends what a child wrote, so that half of it is not taken for all.
pub(crate) const TRAILER_MAGIC: &[u8] = b"SBCODE\0\x01";
/// A BLAKE3 of the code.
pub(crate) const DIGEST_BYTES: usize = 32;
/// Hash and magic.
pub(crate) const TRAILER_BYTES: usize = DIGEST_BYTES + TRAILER_MAGIC.len();
/// Largest header of a job: a handful of numbers.
const HEADER_BYTES_MAX: usize = 4096;
/// Largest job: a component of the ground, and its header.
const JOB_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Files that a child needs: the three that it was given, their copies, and what the engine looks up.
const FILES_MAX: u64 = 16;
/// How much a child stands back for what else runs.
const NICE: i32 = 10;
/// Exit code for what the system refuses (sysexits.h, `EX_OSERR`).
const SYSTEM: u8 = 71;

/// What to compile, for which engine, within which limits.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Who started the child.
    pub(crate) parent: u32,
    /// How the engine that will run the code allocates.
    pub(crate) mode: PoolMode,
    /// What the component may hold.
    pub(crate) scan: ScanLimits,
    /// What the child may use.
    pub(crate) limits: CompileLimits,
}

impl Job {
    /// Job and component as sealed memory: the length of the header, the header, the component.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn encode(&self, wasm: &[u8]) -> io::Result<File> {
        let header = postcard::to_allocvec(self).map_err(io::Error::other)?;
        let length = u32::try_from(header.len()).map_err(io::Error::other)?;
        memfd::sealed("starbelt-job", &[&length.to_le_bytes(), &header, wasm])
    }

    /// The job in `bytes`, and the component.
    fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (header, wasm) =
            rest.split_at_checked(length).filter(|_| length <= HEADER_BYTES_MAX)?;
        Some((postcard::from_bytes(header).ok()?, wasm))
    }
}

/// Why there is no code.
enum Refusal {
    /// The component cannot be compiled.
    Component(String),
    /// It was built against another contract.
    Contract(String),
    /// The system or the caller does not play along.
    System(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// What a compile child does from its first line on; for the program that [`crate::ChildProgram`] names. Reads a job from the
/// standard input, and writes code to the standard output or a reason to the standard error.
pub fn compile_child() -> ExitCode {
    let (code, reason) = match compile() {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Refusal::Component(reason)) => (REFUSED, reason),
        Err(Refusal::Contract(reason)) => (OTHER_CONTRACT, reason),
        Err(Refusal::System(error)) => (SYSTEM, error.to_string()),
    };
    // Nobody to tell it to: the exit code says the rest.
    drop(io::stderr().write_all(reason.as_bytes()));
    ExitCode::from(code)
}

fn compile() -> Result<(), Refusal> {
    let job = io::stdin().as_fd().try_clone_to_owned()?;
    let bytes = memfd::read(&File::from(job), JOB_BYTES_MAX)?;
    let (job, wasm) = Job::decode(&bytes)
        .ok_or_else(|| io::Error::other("the standard input is no job of a compile child"))?;
    confine(&job)?;
    let refused = |error: wasmtime::Error| Refusal::Component(format!("{error:#}"));
    // It looks at the processor and at nothing that was sent, so it comes before the jail of a runner: whoever breaks a compiler
    // must not find the files of the agent.
    let engine = engine::compiler(job.mode).map_err(refused)?;
    jail::confine();
    accel::inspect(wasm, &job.scan).map_err(|error| Refusal::Component(error.to_string()))?;
    let component = built_in::component(&engine, wasm).map_err(refused)?;
    check_resources(&component).map_err(|error| Refusal::Component(error.to_string()))?;
    check_contract(&engine, &component).map_err(|error| Refusal::Contract(format!("{error:#}")))?;
    let code = component.serialize().map_err(refused)?;
    let mut output = io::stdout().lock();
    output.write_all(&code)?;
    output.write_all(blake3::hash(&code).as_bytes())?;
    output.write_all(TRAILER_MAGIC)?;
    Ok(output.flush()?)
}

/// Whether imports and handler have the types of the contract. Whoever runs the code may be elsewhere, and this has to be known
/// when it is deployed.
pub(super) fn check_contract(engine: &Engine, component: &Component) -> wasmtime::Result<()> {
    Linked::new(engine)?.check(component)
}

/// Limits what compiling may use. Every part is there on any Linux that the agent runs on, so none is optional.
fn confine(job: &Job) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get().cast_unsigned());
    if parent != Some(job.parent) {
        return Err(io::Error::other("the process that wanted the code is gone"));
    }
    set_no_new_privs(true)?;
    nice(NICE)?;
    let CompileLimits { memory_mib, cpu, wall: _ } = job.limits;
    limit(Resource::As, u64::from(memory_mib) << 20)?;
    limit(Resource::Cpu, cpu.as_secs())?;
    limit(Resource::Fsize, CODE_BYTES_MAX + TRAILER_BYTES as u64)?;
    limit(Resource::Nofile, FILES_MAX)?;
    limit(Resource::Core, 0)
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    use std::time::Duration;

    use super::*;
    use crate::pool::{Memory, candidates};

    #[test]
    fn a_job_reads_back_and_half_a_job_does_not() {
        let limits = CompileLimits {
            memory_mib: 1,
            cpu: Duration::from_secs(2),
            wall: Duration::from_secs(3),
        };
        let mode = PoolMode::Pooling { slots: 4, reservation: 5 };
        let job = Job { parent: 6, mode, scan: ScanLimits::AGENT, limits };
        let bytes = memfd::read(&job.encode(b"wasm").unwrap(), 1000).unwrap();
        let (again, wasm) = Job::decode(&bytes).unwrap();
        assert_eq!((again.parent, again.mode, wasm), (6, mode, &b"wasm"[..]));
        assert_eq!((again.scan, again.limits), (ScanLimits::AGENT, limits));
        for length in 0..bytes.len() - 4 {
            assert!(Job::decode(&bytes[..length]).is_none(), "{length}");
        }
    }

    /// The code of a child must be good for the engine of its parent, whatever that allocates from.
    #[test]
    fn a_compiler_makes_what_the_engine_of_each_mode_runs() {
        let hash = |engine: &Engine| {
            let mut hasher = DefaultHasher::new();
            engine.precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };
        let memory = Memory { mib: 256, keep_mib: 1 };
        for mode in candidates(1 << 47, memory).into_iter().chain([PoolMode::Pulley]) {
            let runs = Engine::new(&engine::config(mode, memory)).unwrap();
            assert_eq!(hash(&runs), hash(&engine::compiler(mode).unwrap()), "{mode:?}");
        }
    }
}
