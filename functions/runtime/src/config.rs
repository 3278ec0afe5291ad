//! What the runtime may use.

use std::fmt;
use std::path::PathBuf;

use accel::ScanLimits;

/// Share of the machine's memory that functions get unless told otherwise.
const MEMORY_SHARE_PERCENT: u64 = 40;
/// What functions get where the machine's memory cannot be read.
const MEMORY_MIB_UNKNOWN: u32 = 256;

/// Settings of a [`crate::Runtime`].
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Linear memory granted to all calls in flight together; a call that does not fit gets `Busy`.
    pub memory_mib: u32,
    /// What a component may hold.
    pub limits: ScanLimits,
    /// Where compiled code is kept over restarts; without it every start compiles anew.
    pub cache: Option<CacheConfig>,
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
        Self { memory_mib: share_of_machine(), limits: ScanLimits::default(), cache: None }
    }
}

fn share_of_machine() -> u32 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let share_mib = memory_total_kib(&text).map(|kib| kib * MEMORY_SHARE_PERCENT / 100 / 1024);
    share_mib.and_then(|mib| u32::try_from(mib).ok()).unwrap_or(MEMORY_MIB_UNKNOWN)
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
