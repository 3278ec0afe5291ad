//! The engine against the brute-force method, on this machine, in one run.
//!
//! Rows as in all benches of the project, see [`Row`]; the table for people adds what others have published, with
//! the reason why such numbers compare only in their order of magnitude.
//!
//! Reading order: [`plan`] (what is measured), [`rows`] (each row), [`parts`] (the engine's parts that are measured), [`brute`]
//! (the baseline), [`sky`] (satellites and stations), [`world`] (one step), [`engine`] (the whole of it), [`flood`] (tasks), [`measure`], [`memory`], [`table`].

pub mod brute;
pub mod engine;
pub mod flood;
pub mod measure;
pub mod memory;
pub mod parts;
pub mod plan;
pub mod row;
mod rows;
pub mod sky;
pub mod table;
pub mod world;

pub use plan::BenchPlan;
pub use row::Row;
pub use rows::{BenchError, measure_rows};
