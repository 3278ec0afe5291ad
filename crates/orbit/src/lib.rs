//! Where satellites are, what they see, and which links they can hold. Performs no I/O and reads no clock.
//!
//! Reading order: [`elements`] with its readers [`tle`] and [`omm`], [`walker`], [`propagate`] (SGP4), [`frame`],
//! [`geodesy`], [`visibility`], [`sunlight`], [`sky_spec`] (what a sky is made of), [`sky`] (one instant of it),
//! [`predict`] (its future). Topology: Stardust.
//!
//! Positions are kept in TEME, the frame of the elements; the ground turns, see [`frame`].

mod confidence;
pub mod elements;
pub mod frame;
pub mod geodesy;
mod link;
pub mod omm;
pub mod predict;
pub mod propagate;
pub mod sky;
pub mod sky_spec;
pub mod sunlight;
pub mod tle;
mod vector;
pub mod visibility;
pub mod walker;
mod world;

pub use elements::{ElementError, Elements, MeanElements, parse_elements};
pub use link::LinkLayout;
pub use propagate::PropagateError;
pub use sky::{Endpoint, EndpointKind, LayoutMemo, PairNow, Sky, SkyError, SkyMoment};
pub use sky_spec::SkySpec;
pub use walker::WalkerShell;
