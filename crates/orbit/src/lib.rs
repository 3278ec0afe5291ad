//! Where satellites are, what they see, and which links they can hold. Performs no I/O and reads no clock.
//!
//! Reading order: [`elements`] with its readers and writers [`mod@format`], [`tle`] and [`omm`], [`catalog`] (many of them),
//! [`walker`], [`propagate`] (models of motion), [`frame`] with [`ut1`], [`geodesy`], [`visibility`], [`look`] (what a station
//! sees), [`sunlight`], [`station`], [`pass`] and [`eclipse`] (when who sees whom and the Sun), [`link`] and [`ground`] (who
//! links with whom), [`link_model`] (what links offer), [`link_plan`] (when they hold), [`sky_spec`] (what a sky is made of),
//! [`sky`] (one instant of it),
//! [`predict`] (its future). Topology: Stardust.
//!
//! Positions are kept in TEME, the frame of the elements; the ground turns, see [`frame`].

pub mod catalog;
mod confidence;
pub mod eclipse;
pub mod elements;
pub mod format;
pub mod frame;
pub mod geodesy;
pub mod ground;
pub mod link;
pub mod link_model;
pub mod link_plan;
pub mod look;
pub mod omm;
mod parallel;
pub mod pass;
pub mod predict;
pub mod propagate;
pub mod sky;
pub mod sky_spec;
mod spans;
pub mod station;
pub mod sunlight;
pub mod tle;
pub mod ut1;
mod vector;
pub mod visibility;
pub mod walker;
mod world;

pub use elements::{ElementError, Elements, MeanElements, parse_elements};
pub use link::LinkLayout;
pub use propagate::{PropagateError, Propagator};
pub use sky::{Endpoint, EndpointKind, LayoutMemo, PairNow, Sky, SkyError, SkyMoment};
pub use sky_spec::SkySpec;
pub use walker::WalkerShell;
