//! What a child of ours takes from itself before it touches anything that was sent.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lowers a limit of this process for good; one that is lower already stays.
///
/// # Errors
/// What the system says.
pub(crate) fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let now = getrlimit(resource);
    let hard = now.maximum.map_or(most, |maximum| maximum.min(most));
    let soft = now.current.map_or(hard, |current| current.min(hard));
    // For processor time the soft limit ends the process, and the hard one would be first to act with the same number.
    let hard = if resource == Resource::Cpu { hard.saturating_add(1) } else { hard };
    let hard = now.maximum.map_or(hard, |maximum| maximum.min(hard));
    Ok(setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })?)
}

/// Says that this process is the first to go when the machine is out of memory. A wish: where `/proc` is not there nothing is lost.
pub(crate) fn offer_to_oom_killer() {
    drop(std::fs::write("/proc/self/oom_score_adj", "1000"));
}
