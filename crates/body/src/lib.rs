//! How a node's battery and boards fare under load, light and shadow: what an agent feigns where there is no hardware, and what a planner expects.
//!
//! Performs no I/O and reads no clock. Reading order: [`eps`] (the power system), [`lumps`] (temperatures).

pub mod eps;
pub mod lumps;

pub use eps::{Cells, Flows, Store};
pub use lumps::{Body, Chip, Heating, Warmth};

/// Irradiance of the Sun at one astronomical unit, W/m² (solar constant, ISO 21348).
pub const FULL_SUN_W_M2: f64 = 1361.0;
