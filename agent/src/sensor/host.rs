//! What the process uses, as the kernel counts it: memory, threads and processor time.

use std::path::PathBuf;
use std::time::Instant;

use protocol::report::{NoReading, Reading, Source};
use rustix::time::{ClockId, clock_gettime};

/// Reads `/proc/self`.
#[derive(Debug)]
pub struct Host {
    proc_self: PathBuf,
    last: Option<(Instant, u64)>,
}

/// What the process uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Processor time since the sample before, in thousandths of a core.
    pub load_milli_cpu: Reading,
    /// Proportional set size, in MiB.
    pub pss_mib: Reading,
    /// Threads.
    pub threads: Reading,
}

impl Host {
    /// Reads this process.
    pub fn of_this_process() -> Self {
        Self::at(PathBuf::from("/proc/self"))
    }

    /// Reads a directory that looks like `/proc/self`.
    pub const fn at(proc_self: PathBuf) -> Self {
        Self { proc_self, last: None }
    }

    /// Reads all of it.
    pub fn sample(&mut self) -> Usage {
        Usage {
            load_milli_cpu: self.load(Instant::now(), process_cpu_ns()),
            pss_mib: self.field("smaps_rollup", "Pss:", 1.0 / 1024.0),
            threads: self.field("status", "Threads:", 1.0),
        }
    }

    fn load(&mut self, now: Instant, cpu_ns: u64) -> Reading {
        let last = self.last.replace((now, cpu_ns));
        let Some((then, cpu_then_ns)) = last else { return Reading::Unknown(NoReading::NotYet) };
        let wall_s = now.saturating_duration_since(then).as_secs_f64();
        if wall_s <= 0.0 {
            return Reading::Unknown(NoReading::NotYet);
        }
        #[expect(clippy::cast_precision_loss, reason = "spans of hours keep microseconds")]
        let cpu_s = cpu_ns.saturating_sub(cpu_then_ns) as f64 / 1e9;
        super::reading(cpu_s / wall_s * 1000.0, Source::Kernel)
    }

    /// The number after `name` in a file of lines, times `scale`.
    fn field(&self, file: &str, name: &str, scale: f64) -> Reading {
        let Ok(text) = std::fs::read_to_string(self.proc_self.join(file)) else {
            return Reading::Unknown(NoReading::ReadFailed);
        };
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        let number = value.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        match number {
            Some(number) => super::reading(number * scale, Source::Kernel),
            None => Reading::Unknown(NoReading::NotSupported),
        }
    }
}

/// Processor time of all threads so far.
fn process_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}
