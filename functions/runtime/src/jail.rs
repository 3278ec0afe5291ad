//! The jail of a runner: what it gives up before it runs anything of a guest, and what of that this machine cannot take from it.

mod landlocked;
mod seccomp;

use std::fmt;
use std::io;

use rustix::process::{DumpableBehavior, Resource, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities, set_no_new_privs,
};
use serde::{Deserialize, Serialize};

use crate::harden::{limit, offer_to_oom_killer};

/// Descriptors of a runner: a lane for each call, and what moves on it.
const FILES_MAX: u64 = 256;
/// Threads of everything that this user runs, the runner's included: a bound for a machine gone wild; a filter and, where there are
/// cgroups, `pids.max` bound the runner itself.
const THREADS_MAX: u64 = 4096;

/// What holds a runner, measure by measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailReport {
    /// Which kernel.
    pub kernel: String,
    /// All measures, those in force and those missing.
    pub measures: Vec<Measure>,
}

/// One thing that is taken from a runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// What.
    pub what: String,
    /// Whether it is.
    pub state: MeasureState,
}

/// Whether a measure holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MeasureState {
    /// It does; in words, what that means.
    InForce(String),
    /// It does not.
    Missing {
        /// Why.
        why: String,
        /// What somebody could do about it.
        remedy: String,
    },
}

impl JailReport {
    /// The measures that are not in force.
    pub fn missing(&self) -> impl Iterator<Item = &Measure> {
        let is_missing = |measure: &&Measure| matches!(measure.state, MeasureState::Missing { .. });
        self.measures.iter().filter(is_missing)
    }
}

impl fmt::Display for JailReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel: {}", self.kernel)?;
        self.measures.iter().try_for_each(|measure| write!(f, "\n{measure}"))
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, state } = self;
        match state {
            MeasureState::InForce(detail) => write!(f, "{what}: in force ({detail})"),
            MeasureState::Missing { why, remedy } => {
                write!(f, "{what}: missing ({why}); {remedy}")
            }
        }
    }
}

impl Measure {
    pub(crate) fn in_force(what: &str, detail: impl Into<String>) -> Self {
        Self { what: what.to_owned(), state: MeasureState::InForce(detail.into()) }
    }

    pub(crate) fn missing(what: &str, why: impl Into<String>, remedy: &str) -> Self {
        let (why, remedy) = (why.into(), remedy.to_owned());
        Self { what: what.to_owned(), state: MeasureState::Missing { why, remedy } }
    }

    /// In force, unless the system says no.
    fn of(what: &str, detail: &str, remedy: &str, done: io::Result<()>) -> Self {
        match done {
            Ok(()) => Self::in_force(what, detail),
            Err(error) => Self::missing(what, error.to_string(), remedy),
        }
    }
}

/// Takes from this thread, and all that it starts, what running a guest does not need. There is no way back, so only for a
/// process that does nothing else. Everything is tried: one part that the kernel does not have is no reason to do without another.
pub fn confine() -> JailReport {
    let old = "use a kernel of this decade";
    offer_to_oom_killer();
    let uname = rustix::system::uname();
    let kernel = format!(
        "{} {} {}",
        uname.sysname().to_string_lossy(),
        uname.release().to_string_lossy(),
        uname.machine().to_string_lossy()
    );
    let dumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(io::Error::from);
    let limits =
        [(Resource::Nofile, FILES_MAX), (Resource::Core, 0), (Resource::Nproc, THREADS_MAX)];
    let limits = limits.into_iter().try_for_each(|(resource, most)| limit(resource, most));
    let limited = format!("{FILES_MAX} files, {THREADS_MAX} threads of the user, no core dumps");
    let capabilities = drop_capabilities();
    let privileges = set_no_new_privs(true).map_err(io::Error::from);
    let measures = vec![
        Measure::of("no new privileges", "nothing that it starts gets more", old, privileges),
        Measure::of("capabilities", "none, whoever the user is", old, capabilities),
        Measure::of("limits", &limited, old, limits),
        Measure::of("not dumpable", "others of the user cannot look into it", old, dumpable),
        landlocked::restrict(),
        // Last, since it takes away what the others need.
        seccomp::restrict(),
    ];
    JailReport { kernel, measures }
}

fn drop_capabilities() -> io::Result<()> {
    let none = CapabilitySet::empty();
    // Kernels before 4.3 have no ambient set, and then there is nothing to clear.
    clear_ambient_capability_set().unwrap_or_default();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    Ok(set_capabilities(None, sets)?)
}
