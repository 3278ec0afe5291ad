//! Policies that are programs, in any language: asked on their standard input, they answer on their standard output, a line of JSON each.
//!
//! What is said is described for people in `docs/guide-policies.md`.
//!
//! Reading order: [`Program`] (what is to be started), [`stage`] (what is told first), [`wire`] (the lines), [`policy`] (who says which, and what
//! is checked), [`child`] (the process), [`fault`] (all that can go wrong).

pub mod child;
pub mod fault;
pub mod policy;
pub mod spec;
pub mod stage;
pub mod wire;

pub use spec::Program;
