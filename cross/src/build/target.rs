//! What programs can be built for: a triple of Rust, an architecture of Debian, and what links for it.

use anyhow::{Context as _, Result};

/// A kind of machine and C library.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// As Rust calls it.
    pub(super) triple: &'static str,
    /// As Debian calls it.
    pub(super) debian: &'static str,
    /// How GNU's tools for it start: `aarch64-linux-gnu-gcc`.
    pub(super) gnu: &'static str,
    /// The packages of Debian that link for it on another machine.
    pub(super) linker_packages: &'static str,
    /// What `readelf -h` says of its programs.
    pub(super) machine: &'static str,
}

/// All of them.
const TARGETS: [Target; 3] = [
    Target {
        triple: "x86_64-unknown-linux-gnu",
        debian: "amd64",
        gnu: "x86_64-linux-gnu",
        linker_packages: "gcc-x86-64-linux-gnu libc6-dev-amd64-cross",
        machine: "Advanced Micro Devices X86-64",
    },
    Target {
        triple: "aarch64-unknown-linux-gnu",
        debian: "arm64",
        gnu: "aarch64-linux-gnu",
        linker_packages: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
        machine: "AArch64",
    },
    Target {
        triple: "armv7-unknown-linux-gnueabihf",
        debian: "armhf",
        gnu: "arm-linux-gnueabihf",
        linker_packages: "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross",
        machine: "ARM",
    },
];

impl Target {
    /// The target of this triple.
    ///
    /// # Errors
    /// With all triples, if it is none of them.
    pub(super) fn of(triple: &str) -> Result<&'static Self> {
        let names = || {
            let all: Vec<_> = TARGETS.iter().map(|target| target.triple).collect();
            format!("{triple:?} is no target: {}", all.join(", "))
        };
        TARGETS.iter().find(|target| target.triple == triple).with_context(names)
    }
}
