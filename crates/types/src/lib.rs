//! Units, ids and times that every part of Starbelt shares. Holds values and their rules, no behaviour.
//!
//! Reading order: [`id`], [`mod@unit`], [`time`], [`geo`], [`node`], [`exec`], [`data`]. Performs no I/O and reads no clock.
#![no_std]
extern crate alloc;
pub mod data;
pub mod exec;
pub mod geo;
pub mod id;
pub mod node;
pub mod time;
pub mod unit;

pub use data::{DataClass, InvalidLabel, LABEL_BYTES_MAX, Region, is_label};
pub use exec::{Backend, ExecutionMode, InputClass};
pub use geo::{Geodetic, InvalidGeodetic};
pub use id::{
    BootId, FleetId, FunctionId, Generation, InvalidName, InvalidStateKey, KeyName, LeaderEpoch,
    NodeId, ObjectId, OwnerEpoch, PlanVersion, ResourceProfileId, RunId, StateKey, TaskId,
    TenantId, Version, WindowId, WorkflowId,
};
pub use node::{Arch, Capacity, EnergySource, NodeKind};
pub use time::{Epoch, Instant, InvalidEpoch, InvalidSkyClock, SkyClock, Uptime, WallTime};
pub use unit::{Celsius, InvalidUnit, Km, LatencyUs, MiB, MilliCpu, StateOfCharge, Watts};
