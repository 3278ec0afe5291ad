//! Where the built example functions lie, and the thermal bursts that they work on.
//!
//! `cargo xtask functions` builds the components; this crate never does, so that a test that needs
//! one can say what is missing instead.

pub mod burst;
mod locate;

pub use locate::{
    LANGUAGES, Missing, NAMES, SUITE, are_available, available, component_path, suite_available,
    suite_path,
};
