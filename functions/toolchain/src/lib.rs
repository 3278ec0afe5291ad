//! Finds compilers for guests, and turns what they make into components. Used by `cargo xtask functions` for the examples of
//! this repository and by `starbelt fn build` for functions that lie anywhere.
//!
//! Reading order: [`Site`] (where something is built), [`rust`] and [`clang`] (compilers, with Debian's behind both), `component`
//! (with the feature `components`), [`command`] (other programs). Performs no network access of its own: rustup, apt and cargo do.
//!
//! What goes wrong here is told to people, line by line, and decided upon by nobody, so errors are `anyhow`'s; the exception is
//! [`NoCompiler`].

mod apt;
pub mod clang;
pub mod command;
#[cfg(feature = "components")]
pub mod component;
mod debian;
mod no_compiler;
pub mod rust;
mod site;
mod sources;

pub use anyhow::{Error, Result};
pub use no_compiler::NoCompiler;
pub use site::{Site, Way, release};
