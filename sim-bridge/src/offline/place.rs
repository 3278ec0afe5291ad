//! Policies of placement on one sky, one workload after another, and how well each did.
//!
//! Reading order: [`entrant`] (who decides: a policy of the catalog, or a [`program`] that somebody brings), [`fixture`] (the published scenario as files), [`published_sky`] (its network), [`run`] (its driver), [`summary`]; [`fixed`] (the
//! corrected scenario, which needs no files).

pub mod entrant;
pub mod fixed;
pub mod fixture;
pub mod program;
pub mod published_sky;
pub mod run;
pub mod summary;
