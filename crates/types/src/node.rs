//! What a node is: its kind, its processor, what it can carry, where its energy comes from.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::unit::{MiB, MilliCpu};

/// The role of a node in the continuum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    /// In orbit.
    Satellite,
    /// On the ground, with an antenna.
    GroundStation,
    /// Near the data: a drone, a vehicle, a small server with a terminal of its own.
    Edge,
    /// A data centre behind a station.
    Cloud,
}

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Satellite => "satellite",
            Self::GroundStation => "ground-station",
            Self::Edge => "edge",
            Self::Cloud => "cloud",
        })
    }
}

/// A processor architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arch {
    /// 64-bit ARM.
    Arm64,
    /// 32-bit ARM with hardware floating point.
    Armv7,
    /// 64-bit x86.
    X86_64,
    /// 64-bit RISC-V.
    Riscv64,
}

/// What a node can carry in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// Processor, in thousandths of a core.
    pub milli_cpu: MilliCpu,
    /// Memory for functions, in mebibytes.
    pub memory_mib: MiB,
}

/// Where the energy of a node comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnergySource {
    /// Not known; treated as neither free nor clean.
    Unknown,
    /// A battery that nothing charges while the node runs.
    Battery,
    /// A battery charged by solar panels.
    Photovoltaic,
    /// The grid; the zone is a name as carbon-intensity feeds use it, empty if not known.
    Grid {
        /// Grid zone, for example `AT`.
        zone: String,
    },
}
