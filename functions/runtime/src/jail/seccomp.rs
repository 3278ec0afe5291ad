//! The system calls that a runner may make: those of memory, threads, time and its open sockets. All others fail with EPERM.

use super::Measure;

const WHAT: &str = "seccomp";

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
mod filter;

/// Restricts this thread and those that it starts.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
pub(super) fn restrict() -> Measure {
    match filter::install() {
        Ok(calls) => Measure::in_force(
            WHAT,
            format!("{calls} system calls; none that opens, connects, starts or traces"),
        ),
        Err(error) => Measure::missing(
            WHAT,
            error.to_string(),
            "use a kernel with CONFIG_SECCOMP_FILTER, and let the agent install filters",
        ),
    }
}

/// There is no table of system calls for this processor.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
pub(super) fn restrict() -> Measure {
    Measure::missing(
        WHAT,
        format!("not known for {}", std::env::consts::ARCH),
        "nothing can be done; Landlock and limits hold",
    )
}
