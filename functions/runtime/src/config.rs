//! What the runtime may use.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use accel::ScanLimits;
use serde::{Deserialize, Serialize};

/// Share of the machine's memory that functions get unless told otherwise.
const MEMORY_SHARE_PERCENT: u64 = 40;
/// What a slot keeps unless told otherwise, in MiB: a megapixel in colors with room to work, or what passes between two stages.
pub(crate) const KEEP_MIB: u32 = 16;
/// What functions get where the machine's memory cannot be read.
const MEMORY_MIB_UNKNOWN: u32 = 256;
/// Share of the machine's memory that a compile child gets at most.
const COMPILE_SHARE_PERCENT: u64 = 25;
/// Most memory of a compile child: 100,000 empty functions, which the pre-scan refuses, would take 546 MiB.
const COMPILE_MEMORY_MIB_MAX: u32 = 512;
/// Processor time of a compile child; a component of 4 MiB takes 2 s on one core of a server.
const COMPILE_CPU: Duration = Duration::from_secs(10);
/// How long a compile child may take: it stands back for guests, so on a busy board a core is its own for a thirtieth of the time.
const COMPILE_WALL: Duration = Duration::from_secs(300);

/// Settings of a [`crate::Runtime`].
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Linear memory granted to all calls in flight together; a call that does not fit gets `Busy`.
    pub memory_mib: u32,
    /// Of the linear memory that a call has written, what stays for the next call in its place, in MiB at most: that writes there
    /// without waiting for the system. Cleared in between; all places together keep at most half of `memory_mib`, and are fewer
    /// where each keeps more.
    pub keep_mib: u32,
    /// What a component may hold.
    pub limits: ScanLimits,
    /// Where compiled code is kept over restarts; without it every start compiles anew.
    pub cache: Option<CacheConfig>,
    /// What functions are compiled to.
    pub execution: Execution,
    /// Where components are compiled.
    pub compile: CompileIn,
    /// In which processes functions run.
    pub isolation: Isolation,
}

/// What functions are compiled to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Execution {
    /// Code of this machine's processor; where there is no compiler for it, as [`Execution::Interpreted`].
    #[default]
    Native,
    /// Code of the interpreter Pulley: 10 to 20 times slower, on any machine. What a board without a compiler does can be
    /// seen elsewhere by this.
    Interpreted,
    /// Code of this machine's processor, in memory that is mapped for each call, without asking how much could be reserved: an emulator of
    /// processes keeps a table of all pages that ever were, and would need gigabytes for it.
    OnDemand,
}

/// In which processes functions run.
#[derive(Clone, Debug, Default)]
pub enum Isolation {
    /// In this one: what breaks out of the engine is there.
    #[default]
    None,
    /// In a runner for all tenants.
    Process(RunnerProgram),
    /// In a runner for each tenant.
    Tenant(RunnerProgram),
}

/// A program that does nothing but [`crate::runner`].
#[derive(Clone, Debug)]
pub struct RunnerProgram {
    /// Its file.
    pub program: PathBuf,
    /// What it is told so that it does that.
    pub arguments: Vec<OsString>,
    /// Linear memory granted to all calls of one runner together, in MiB; takes the place of [`RuntimeConfig::memory_mib`].
    pub memory_mib: u32,
    /// Processor time of one runner, in thousandths of a core, where cgroups are delegated.
    pub milli_cpu: u32,
    /// Runners at once. For one tenant more an idle one makes room; while none is idle its calls get `Busy`.
    pub runners_max: usize,
}

/// Where components are compiled.
#[derive(Clone, Debug, Default)]
pub enum CompileIn {
    /// Here. A component that is made for it can make this process use gigabytes.
    #[default]
    Process,
    /// In a child for each, one at a time.
    Child(ChildProgram),
}

/// A program that does nothing but [`crate::compile_child`].
#[derive(Clone, Debug)]
pub struct ChildProgram {
    /// Its file.
    pub program: PathBuf,
    /// What it is told so that it does that.
    pub arguments: Vec<OsString>,
    /// What each child may use.
    pub limits: CompileLimits,
}

/// What a compile child may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileLimits {
    /// Address space in MiB.
    pub memory_mib: u32,
    /// Processor time; whole seconds count.
    pub cpu: Duration,
    /// Time on the wall clock.
    pub wall: Duration,
}

impl Default for CompileLimits {
    /// 512 MiB or a quarter of the machine's memory, 10 s of processor time, five minutes.
    fn default() -> Self {
        let share_mib = share_of_machine(COMPILE_SHARE_PERCENT);
        let memory_mib = share_mib.unwrap_or(MEMORY_MIB_UNKNOWN).min(COMPILE_MEMORY_MIB_MAX);
        Self { memory_mib, cpu: COMPILE_CPU, wall: COMPILE_WALL }
    }
}

/// Where compiled code is kept.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// A folder of its own; what else lies in it is removed.
    pub dir: PathBuf,
    /// Seals what lies there.
    pub secret: DeviceSecret,
}

/// A secret that never leaves the device.
#[derive(Clone)]
pub struct DeviceSecret([u8; 32]);

impl DeviceSecret {
    /// Of 32 bytes that nobody else can guess.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for DeviceSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceSecret(..)")
    }
}

impl Default for RuntimeConfig {
    /// 40 % of the machine's memory, limits of an agent.
    fn default() -> Self {
        Self {
            memory_mib: share_of_machine(MEMORY_SHARE_PERCENT).unwrap_or(MEMORY_MIB_UNKNOWN),
            keep_mib: KEEP_MIB,
            limits: ScanLimits::default(),
            cache: None,
            execution: Execution::default(),
            compile: CompileIn::default(),
            isolation: Isolation::default(),
        }
    }
}

/// So many per cent of the machine's memory, in MiB; `None` where that cannot be read.
fn share_of_machine(percent: u64) -> Option<u32> {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let share_mib = memory_total_kib(&text).map(|kib| kib * percent / 100 / 1024);
    share_mib.and_then(|mib| u32::try_from(mib).ok())
}

/// The number in the line `MemTotal:  24051234 kB`.
fn memory_total_kib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_read_from_meminfo() {
        let text = "MemTotal:       24051234 kB\nMemFree:  1 kB\n";
        assert_eq!(memory_total_kib(text), Some(24_051_234));
        assert_eq!(memory_total_kib("nothing"), None);
        assert!(0 < RuntimeConfig::default().memory_mib);
    }
}
