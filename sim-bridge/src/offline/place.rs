//! Policies of placement on one sky, one workload after another, and how well each did.
//!
//! Reading order: [`fixture`] (the published scenario as files), [`published_sky`] (its network), [`run`] (its driver), [`summary`].

pub mod fixture;
pub mod published_sky;
pub mod run;
pub mod summary;
