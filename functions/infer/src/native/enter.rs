//! What the child takes from itself before it becomes the program.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{
    Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities, set_no_new_privs,
};

/// Becomes the program in these arguments: the id of the process that started it, the executable, and its arguments. It dies with that
/// process, gets no privileges, has no capabilities whoever the user is, leaves no core dumps, and is the first to go when the machine is
/// out of memory. Only for a process that does nothing else; where it returns, there is no program.
pub fn enter(arguments: impl IntoIterator<Item = OsString>) -> io::Error {
    give_up(arguments).unwrap_or_else(|error| error)
}

fn give_up(arguments: impl IntoIterator<Item = OsString>) -> io::Result<io::Error> {
    let missing =
        || io::Error::new(io::ErrorKind::InvalidInput, "a process id and a program are needed");
    let mut arguments = arguments.into_iter();
    let parent = arguments.next().and_then(|id| id.to_str()?.parse::<i32>().ok());
    let parent = parent.ok_or_else(missing)?;
    let program = arguments.next().ok_or_else(missing)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // From here on its end would be noticed; was it before that?
    if getppid().is_none_or(|now| now.as_raw_nonzero().get() != parent) {
        return Err(io::Error::other("the agent has ended"));
    }
    set_no_new_privs(true)?;
    let none = CapabilitySet::empty();
    // Kernels before 4.3 have no ambient set, and then there is nothing to clear.
    clear_ambient_capability_set().unwrap_or_default();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // A wish: where `/proc` is not there nothing is lost.
    drop(std::fs::write("/proc/self/oom_score_adj", "1000"));
    let error = Command::new(&program).args(arguments).exec();
    Ok(io::Error::new(error.kind(), format!("{} cannot be executed: {error}", program.display())))
}
