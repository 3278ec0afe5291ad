//! Memory: what an instance that waits takes, and what compiling takes from the process that embeds the runtime.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use runtime::{
    Budget, CallLimits, ChildProgram, CompileIn, CompileLimits, Execution, Function, Runtime,
    RuntimeConfig,
};

use super::load::megabyte;
use crate::container::process;
use crate::guests::{Contract, memory_with_data, touch};
use crate::machine::bytes_in;
use crate::measure::{RUNS, float, percentile};
use crate::row::Row;
use crate::stage::{self, BenchHost};

/// Instances that wait within each other: enough to see one of them, few enough for every pool.
const DEPTH: usize = 120;
/// Calls of one function that may run at once.
const IN_FLIGHT: usize = 8;
/// Stack for calls within calls: each has its guest's 512 KiB at most.
const STACK_BYTES: usize = 128 << 20;
/// Most memory of an instance that waits, KiB.
const INSTANCE_KIB: f64 = 12.0;
/// The page that an instance touches, KiB: no instance takes less.
const PAGE_KIB: f64 = 4.0;
/// Most that the process may grow while a module of 1 MB compiles, MiB.
const COMPILE_MIB: f64 = 16.0;
/// Bytes.
const MIB: f64 = 1_048_576.0;
/// Resets the high-water mark of a process.
const RESET: &str = "5";
const LIMITS: CallLimits =
    CallLimits { linear_memory_mib: 1, deadline: Duration::from_secs(30), budget: Budget::USUAL };

pub(crate) fn rows(contract: &Contract) -> Result<Vec<Row>> {
    let mut rows = vec![instance(contract)?];
    rows.extend(compile(contract)?);
    Ok(rows)
}

/// Calls whose guests log, upon which the next call begins: so that many instances live at once in one thread.
fn instance(contract: &Contract) -> Result<Row> {
    let (import, call) = contract.import("output", "log")?;
    let fields = format!("{import} {}", memory_with_data());
    let wasm = contract.guest(&fields, &format!("{} {call}", touch(1)))?;
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let nest = move || -> Result<Vec<(f64, f64)>> {
        let runtime = stage::runtime(Execution::Native, None)?;
        let functions = DEPTH.div_ceil(IN_FLIGHT);
        let functions =
            (0..functions).map(|_| Ok(runtime.load(&wasm)?)).collect::<Result<Vec<_>>>()?;
        // The pool's slots and the stack's pages are warm after the first run: only that one shows what an instance takes.
        let nest = Nest { runtime: &runtime, functions: &functions, marks: Mutex::default() };
        nest.enter(0);
        let marks = nest.marks.into_inner().unwrap_or_else(PoisonError::into_inner);
        let [Some(first), Some(last)] = marks else {
            return Err(anyhow!("calls within calls do not come to {DEPTH}"));
        };
        let count = float((DEPTH - IN_FLIGHT) as u64);
        let kib = |bytes: u64| float(bytes) / 1024.0 / count;
        Ok(vec![(kib(last.0.saturating_sub(first.0)), kib(first.1.abs_diff(last.1)))])
    };
    let mut samples = Vec::new();
    let ended = thread.spawn(move || (0..RUNS).map(|_| nest()).collect::<Result<Vec<_>>>())?;
    for run in
        ended.join().map_err(|_panic| anyhow!("the calls within calls ended in a panic"))??
    {
        samples.extend(run);
    }
    let (resident, stacks): (Vec<f64>, Vec<f64>) = samples.into_iter().unzip();
    let note = format!(
        "resident, {DEPTH} within each other, one page touched; the machine's stack of a call, {:.1} KiB, is in it",
        percentile(&stacks, 50)
    );
    Ok(Row::new("idle_instance", "KiB", percentile(&resident, 50))
        .baseline("the page that it touches", PAGE_KIB)
        .at_most(INSTANCE_KIB)
        .note(note))
}

/// Calls within calls, and what the process holds at two depths: resident bytes and the address of the stack.
struct Nest<'a> {
    runtime: &'a Runtime,
    functions: &'a [Function],
    marks: Mutex<[Option<(u64, u64)>; 2]>,
}

impl Nest<'_> {
    fn enter(&self, depth: usize) {
        let here = 0_u8;
        let address = std::ptr::from_ref(&here).addr() as u64;
        if let Some(at) = [IN_FLIGHT, DEPTH].into_iter().position(|at| at == depth) {
            let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
            marks[at] = resident_bytes().map(|bytes| (bytes, address));
        }
        let Some(function) = self.functions.get(depth / IN_FLIGHT) else { return };
        let mut next = || self.enter(depth + 1);
        let mut host = BenchHost { on_log: Some(&mut next), ..BenchHost::default() };
        // A call that fails goes no deeper, which the marks show.
        drop(stage::report(self.runtime, function, Vec::new(), LIMITS, &mut host));
    }
}

fn resident_bytes() -> Option<u64> {
    bytes_in("/proc/self/smaps_rollup", "Rss").ok()
}

/// How far the high-water mark of a process rises while it loads 1 MB, as an agent does it and without a compile child. Each time in a
/// process of its own: one that has made the module has memory to spare.
fn compile(contract: &Contract) -> Result<Vec<Row>> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("module.wasm");
    std::fs::write(&file, megabyte(contract)?)?;
    let rise = |place: Compiling| -> Result<f64, String> {
        let one = || rise_apart(&file, place).map(|bytes| float(bytes) / MIB);
        let rises: Result<Vec<f64>> = (0..RUNS).map(|_| one()).collect();
        rises.map(|rises| percentile(&rises, 50)).map_err(|error| format!("{error:#}"))
    };
    let row = |name: &str, rise: &Result<f64, String>| match rise {
        Ok(mib) => Row::new(name, "MiB", *mib),
        Err(why) => Row::unknown(name, "MiB", why),
    };
    let (apart, here) = (rise(Compiling::Apart), rise(Compiling::Here));
    let mut with_child = row("compile_1_mb_memory", &apart).at_most(COMPILE_MIB);
    if let (Ok(_), Ok(here)) = (&apart, &here) {
        with_child = with_child
            .baseline("without a child", *here)
            .note("rise of the process that loads; a child compiles, as for an agent");
    }
    Ok(vec![with_child, row("compile_1_mb_memory_here", &here).note("the same without a child")])
}

/// Where a module is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Compiling {
    /// In the process that loads it.
    Here,
    /// In a child.
    Apart,
}

fn rise_apart(file: &Path, place: Compiling) -> Result<u64> {
    let place = match place {
        Compiling::Here => "here",
        Compiling::Apart => "apart",
    };
    let mut program = Command::new(std::env::current_exe()?);
    let answer = process(program.arg("compile-rise").arg(file).arg(place), b"")?;
    Ok(std::str::from_utf8(&answer)?.trim().parse()?)
}

/// Loads a module and prints by how many bytes the high-water mark of this process rose.
///
/// # Errors
/// When the system resets no high-water mark, or the module does not load.
pub(crate) fn compile_rise(file: &Path, place: Compiling) -> Result<()> {
    let wasm = std::fs::read(file)?;
    let compile = match place {
        Compiling::Here => CompileIn::Process,
        Compiling::Apart => CompileIn::Child(ChildProgram {
            program: std::env::current_exe()?,
            arguments: vec!["compile-child".into()],
            limits: CompileLimits::default(),
        }),
    };
    let runtime = Runtime::new(RuntimeConfig { compile, ..RuntimeConfig::default() })?;
    std::fs::write("/proc/self/clear_refs", RESET).context("the high-water mark is not reset")?;
    let before = bytes_in("/proc/self/status", "VmRSS")?;
    drop(runtime.load(&wasm)?);
    let peak = bytes_in("/proc/self/status", "VmHWM")?;
    Ok(writeln!(std::io::stdout(), "{}", peak.saturating_sub(before))?)
}
