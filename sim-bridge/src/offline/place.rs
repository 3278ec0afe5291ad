//! Policies of placement on one sky, one workload after another, and how well each did.
//!
//! Reading order: [`fixture`] (the published scenario as files), [`published_sky`] (its network), [`run`] (its driver), [`summary`]; [`fixed`] (the
//! corrected scenario, which needs no files).

pub mod fixed;
pub mod fixture;
pub mod published_sky;
pub mod run;
pub mod summary;
