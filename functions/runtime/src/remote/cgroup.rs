//! A cgroup for each runner, and for other children of the agent: the one bound of their memory that the kernel itself keeps. Only where the service manager has
//! delegated a part of the tree (`Delegate=yes`); what is not ours is not touched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::RunnerProgram;
use crate::jail::Measure;

const WHAT: &str = "cgroup";
/// The controllers that are used.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
/// Memory of a runner besides that of its guests: program, code and stacks.
const OVERHEAD_MIB: u64 = 192;
/// Processes and threads of a runner: a thread for each lane, and a few.
const PIDS_MAX: u32 = 128;
/// Over which processor time is counted, in microseconds.
const PERIOD_US: u64 = 100_000;
/// Where the agent moves itself, since a group with children has no processes of its own.
const AGENT: &str = "starbelt-agent";

/// Why there is no cgroup.
enum Absent {
    /// The machine does not have them, or not for us.
    NotHere(String),
    /// The system refuses.
    Refused(io::Error),
}

impl From<io::Error> for Absent {
    fn from(error: io::Error) -> Self {
        Self::Refused(error)
    }
}

/// The limits of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLimits {
    /// Memory of all its processes, in MiB.
    pub memory_mib: u64,
    /// Their processor time, in thousandths of a processor.
    pub milli_cpu: u32,
    /// Processes and threads.
    pub pids: u32,
}

impl GroupLimits {
    /// Those of a runner.
    pub(super) fn of_runner(program: &RunnerProgram) -> Self {
        let (memory_mib, milli_cpu) = (memory_mib(program), program.milli_cpu);
        Self { memory_mib, milli_cpu, pids: PIDS_MAX }
    }
}

/// Memory of a runner, in MiB: what its guests are granted, half of that which idle places keep, and its own.
fn memory_mib(program: &RunnerProgram) -> u64 {
    let granted = u64::from(program.memory_mib);
    granted + granted / 2 + OVERHEAD_MIB
}

/// Puts a process that was just started into the group of this name, which is of its own; says whether it is.
pub fn join_group(process: Option<u32>, name: &str, limits: GroupLimits) -> Measure {
    let joined = delegated().and_then(|tree| {
        let process = process.ok_or_else(|| Absent::NotHere("the process is gone".to_owned()))?;
        let group = group(&tree, name, limits)?;
        Ok(fs::write(group.join("cgroup.procs"), process.to_string()).map(|()| group)?)
    });
    let remedy = "boot with cgroup v2 alone and start the agent as a unit with Delegate=yes; until then nothing but the process itself bounds its memory";
    match joined {
        Ok(group) => {
            let GroupLimits { memory_mib, pids, .. } = limits;
            let detail = format!("{}: memory {memory_mib} MiB, {pids} threads", group.display());
            Measure::in_force(WHAT, detail)
        }
        Err(Absent::NotHere(why)) => Measure::missing(WHAT, why, remedy),
        Err(Absent::Refused(error)) => Measure::missing(WHAT, error.to_string(), remedy),
    }
}

/// The part of the tree that is ours.
fn delegated() -> Result<PathBuf, Absent> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    let mount = mount_of(&mounts).ok_or_else(|| Absent::NotHere("no cgroup v2".to_owned()))?;
    let own = own_group(&groups).ok_or_else(|| Absent::NotHere("no cgroup v2".to_owned()))?;
    // After the first runner the agent is in a group below the one that was delegated.
    let own = own.strip_suffix(AGENT).map_or(own, |above| above.trim_end_matches('/'));
    let tree = Path::new(mount).join(own.trim_start_matches('/'));
    let controllers = fs::read_to_string(tree.join("cgroup.controllers"))?;
    let lacking: Vec<_> = CONTROLLERS
        .into_iter()
        .filter(|wanted| !controllers.split_whitespace().any(|controller| controller == *wanted))
        .collect();
    if !lacking.is_empty() {
        let (lacking, tree) = (lacking.join(", "), tree.display());
        return Err(Absent::NotHere(format!("{tree} has no controllers {lacking}")));
    }
    let mut mark = [0; 1];
    match rustix::fs::getxattr(&tree, "user.delegate", &mut mark[..]) {
        Ok(1) if mark == *b"1" => Ok(tree),
        _ => Err(Absent::NotHere(format!("{} was not delegated to the agent", tree.display()))),
    }
}

/// The mount point of cgroup v2, in `/proc/self/mountinfo`.
fn mount_of(mounts: &str) -> Option<&str> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        (after.split(' ').next()? == "cgroup2").then(|| before.split(' ').nth(4))?
    })
}

/// The group of this process in cgroup v2, in `/proc/self/cgroup`.
fn own_group(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::"))
}

/// A group of this name, with its limits.
fn group(tree: &Path, name: &str, limits: GroupLimits) -> io::Result<PathBuf> {
    let agent = tree.join(AGENT);
    make(&agent)?;
    fs::write(agent.join("cgroup.procs"), std::process::id().to_string())?;
    let wanted = CONTROLLERS.map(|controller| format!("+{controller}")).join(" ");
    fs::write(tree.join("cgroup.subtree_control"), wanted)?;
    let group = tree.join(name);
    make(&group)?;
    let memory = limits.memory_mib << 20;
    let quota = u64::from(limits.milli_cpu) * PERIOD_US / 1000;
    for (file, value) in [
        ("memory.max", memory.to_string()),
        ("pids.max", limits.pids.to_string()),
        ("cpu.max", format!("{quota} {PERIOD_US}")),
    ] {
        fs::write(group.join(file), value)?;
    }
    Ok(group)
}

fn make(group: &Path) -> io::Result<()> {
    match fs::create_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_and_group_are_found_among_others() {
        let mounts = "25 1 0:23 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
            26 25 0:24 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
            27 25 0:25 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_of(mounts), Some("/sys/fs/cgroup/unified"));
        assert_eq!(mount_of("25 1 0:23 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"), None);
        let groups = "4:memory:/a\n0::/system.slice/starbelt-agent.service\n";
        assert_eq!(own_group(groups), Some("/system.slice/starbelt-agent.service"));
        assert_eq!(own_group("4:memory:/a\n"), None);
    }

    /// In a plain folder: which files get what. That a kernel heeds them needs a delegated tree, which `doctor` reports.
    #[test]
    fn a_group_gets_its_limits() {
        let tree = tempfile::tempdir().unwrap();
        let program = RunnerProgram {
            program: PathBuf::new(),
            arguments: Vec::new(),
            memory_mib: 1024,
            milli_cpu: 1500,
            runners_max: 1,
        };
        let group = group(tree.path(), "runner-all", GroupLimits::of_runner(&program)).unwrap();
        let read = |file: &str| fs::read_to_string(group.join(file)).unwrap();
        assert_eq!(read("memory.max"), (1728_u64 << 20).to_string());
        assert_eq!(read("pids.max"), "128");
        assert_eq!(read("cpu.max"), "150000 100000");
        let control = fs::read_to_string(tree.path().join("cgroup.subtree_control")).unwrap();
        assert_eq!(control, "+cpu +memory +pids");
        let agent = fs::read_to_string(tree.path().join("starbelt-agent/cgroup.procs")).unwrap();
        assert_eq!(agent, std::process::id().to_string());
    }
}
