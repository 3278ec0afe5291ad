//! Tries what is in a package: the agent of a `.deb` does its self-test, on this machine or in emulation of its board's, and then nothing,
//! while the memory is measured that its program takes.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::board::Board;
use super::target::Target;
use crate::command::{self, print, say};
use crate::idle::{Idle, PSS_MIB_MAX, THREADS_MAX};

/// How often an idle agent has to say that it lives before it is measured, and how often it does.
const LIVES: (u32, Duration) = (5, Duration::from_secs(1));
/// Memory that the pages of its program may take then, MiB. With what a test allows it of its own (`agent/tests/watchdog.rs`) that is all
/// that an idle agent may have: 20.
const PROGRAM_MIB_MAX: f64 = 15.0;
/// What an agent that runs models may have beside that, MiB: its library is proven at the start, by running one.
const MODELS_MIB: f64 = 5.0;

/// Runs the program of a package as a board would. Only of what is shipped the memory is limited.
///
/// # Errors
/// When there is no emulator, the self-test fails, which has told why, or the program takes too much memory.
pub(super) fn run(
    (board, target): (&Board, &Target),
    (deb, program): (&Path, &str),
    (scratch, (is_native, is_shipped)): (&Path, (bool, bool)),
    has_models: bool,
) -> Result<()> {
    let models_mib = if has_models { MODELS_MIB } else { 0.0 };
    let root = scratch.join("trial");
    if root.exists() {
        fs::remove_dir_all(&root).context("cannot remove what an earlier trial left")?;
    }
    command::output(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(&root))?;
    let program = root.join("usr/bin").join(program);
    let mut selftest = runs(board, target, &program, is_native)?;
    say(&format!("build: `{}`", command::shown(selftest.arg("selftest"))));
    command::run(&mut selftest)?;
    let agent = runs(board, target, &program, is_native)?;
    let idle = Idle::start(agent, None, &scratch.join("idle"), LIVES.1)?;
    idle.lives(LIVES.0)?;
    let smaps = format!("/proc/{}/smaps", idle.pid());
    let smaps = fs::read_to_string(&smaps).context(smaps)?;
    let mib = pages_mib(&smaps, &program.to_string_lossy())
        .context("the system does not say which memory the program takes")?;
    print(&format!("an idle agent: {mib:.1} MiB of memory for its program\n"))?;
    if !is_shipped {
        return Ok(());
    }
    let most_mib = PROGRAM_MIB_MAX + models_mib;
    if most_mib < mib {
        bail!("its program takes {mib:.1} MiB of memory, {most_mib:.1} are the most");
    }
    // An emulator has memory and threads of its own.
    if is_native { as_a_whole(&idle, PSS_MIB_MAX + models_mib) } else { Ok(()) }
}

/// The memory and threads of an agent, which are all that it costs.
fn as_a_whole(idle: &Idle, most_mib: f64) -> Result<()> {
    let (mib, threads) = (idle.pss_mib()?, idle.number("status")?);
    print(&format!("an idle agent: {mib:.1} MiB (PSS), {threads} threads\n"))?;
    if most_mib < mib || THREADS_MAX < threads {
        bail!("{most_mib} MiB and {THREADS_MAX} threads are the most that it may have");
    }
    Ok(())
}

/// What runs a program of the board here.
fn runs(board: &Board, target: &Target, program: &Path, is_native: bool) -> Result<Command> {
    let emulation = match (is_native, &board.emulation) {
        (true, _) => return Ok(Command::new(program)),
        (false, None) => bail!("{}: no [emulation], and this machine is another one", board.name),
        (false, Some(emulation)) => emulation,
    };
    if !command::is_installed(&emulation.program) {
        bail!(
            "{} is not installed (Debian, Ubuntu: apt-get install qemu-user-static)",
            emulation.program
        );
    }
    let mut emulator = Command::new(&emulation.program);
    // Where the packages that link for it leave its C library.
    emulator.args(["-cpu", &emulation.cpu, "-L", &format!("/usr/{}", target.gnu)]);
    if let Some(gib) = emulation.address_space_gib {
        emulator.args(["-R", &format!("{:#x}", u64::from(gib) << 30)]);
    }
    emulator.arg(program);
    Ok(emulator)
}

/// The memory that pages of a file take in a process, in proportion to how many share them, by its `smaps` (proc(5)).
fn pages_mib(smaps: &str, file: &str) -> Option<f64> {
    let (mut is_of_file, mut kib) = (false, None);
    for line in smaps.lines() {
        let first = line.split_whitespace().next().unwrap_or_default();
        if !first.ends_with(':') {
            is_of_file = line.ends_with(file);
        } else if is_of_file && first == "Pss:" {
            let more: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
            kib = Some(kib.unwrap_or(0.0) + more);
        }
    }
    kib.map(|kib| kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::pages_mib;

    #[test]
    fn pages_of_a_program_are_summed() {
        let smaps = "00400000-00800000 r-xp 00000000 fe:00 7    /t/usr/bin/agent\nSize: 4096 kB\nPss:    1024 kB\n\
             Pss_Dirty: 9 kB\nVmFlags: rd ex\n00800000-00900000 rw-p 00000000 00:00 0\nPss: 77 kB\n\
             00900000-00a00000 rw-p 00400000 fe:00 7    /t/usr/bin/agent\nPss: 512 kB\n";
        assert_eq!(pages_mib(smaps, "/t/usr/bin/agent"), Some(1.5));
        assert_eq!(pages_mib(smaps, "/t/usr/bin/other"), None);
    }
}
