//! The children of the runtime, for its tests: as an agent has them, and as nobody should have them.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, ExitCode};

use rustix::process::{Signal, getppid, kill_process};

fn main() -> ExitCode {
    let what = std::env::args().nth(1).unwrap_or_default();
    match what.as_str() {
        "compile" => runtime::compile_child(),
        "run" => runtime::runner(),
        "half" => spoiled(|code, length| code.set_len(length / 2)),
        "damaged" => spoiled(|code, length| code.write_all_at(b"spoiled", length / 2)),
        "abort" => std::process::abort(),
        "escape" => escape(),
        _ => ExitCode::from(64),
    }
}

/// Compiles, then does something to the code, in a thread that has not gone to jail with the other.
fn spoiled(how: impl FnOnce(&File, u64) -> io::Result<()>) -> ExitCode {
    let Ok(compiled) = std::thread::spawn(runtime::compile_child).join() else {
        return ExitCode::FAILURE;
    };
    let spoil = || {
        let code = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        how(&code, code.metadata()?.len())
    };
    match spoil() {
        Ok(()) => compiled,
        Err(_) => ExitCode::from(70),
    }
}

/// Goes to the jail of a runner and tries what code does that has broken out of the engine: says of each try how it failed.
fn escape() -> ExitCode {
    let parent = getppid();
    let report = runtime::confine();
    let tried = [
        ("read a file", File::open("/etc/passwd").map(drop)),
        ("write a file", File::create("/tmp/starbelt-escaped").map(drop)),
        ("read memory of others", File::open("/proc/1/mem").map(drop)),
        ("list a folder", std::fs::read_dir("/").map(drop)),
        ("connect", TcpStream::connect(("127.0.0.1", 9)).map(drop)),
        ("listen", TcpListener::bind(("127.0.0.1", 0)).map(drop)),
        ("use a local socket", UnixDatagram::unbound().map(drop)),
        ("start a program", Command::new("/bin/true").spawn().map(drop)),
        ("signal its parent", parent.map_or(Ok(()), |pid| Ok(kill_process(pid, Signal::TERM)?))),
        ("trace its parent", trace(parent.map_or(1, |pid| pid.as_raw_nonzero().get()))),
        ("have namespaces of its own", namespaces()),
    ];
    let mut text = format!("{report}\n");
    for (what, outcome) in tried {
        let code = outcome.map_or_else(|error| error.raw_os_error().unwrap_or(-1), |()| 0);
        text.push_str(&["tried to ", what, ": ", &code.to_string(), "\n"].concat());
    }
    // What it does need still works.
    if std::thread::spawn(|| vec![1_u8; 1 << 20]).join().is_ok() {
        text.push_str("threads work\n");
    }
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn trace(process: i32) -> io::Result<()> {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    #[expect(unsafe_code, reason = "there is no safe form")]
    // SAFETY: a request to attach touches no memory of this process.
    let done = unsafe { libc::ptrace(libc::PTRACE_ATTACH, process, nothing, nothing) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn namespaces() -> io::Result<()> {
    #[expect(unsafe_code, reason = "the safe forms are for single threads")]
    // SAFETY: new namespaces touch no memory of this process.
    let done = unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
