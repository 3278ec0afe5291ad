//! Replays a constellation for real or emulated nodes: its clock, its environment, its links.
//!
//! Publishes only `_sim/**`, on a session of its own; shapes the links of pairs of attached nodes.
//!
//! Reading order: [`cli`] (what can be asked for), [`config`] and [`sky_file`] (what is replayed),
//! [`bridge`] (the live replay) with [`replay`] (its clock), [`schedule`] (link table),
//! [`eclipse_power`] (environment), [`publish`] (session) and [`shape`] (links); [`sky_view`], [`open_files`], [`out_file`], [`near_names`]; [`offline`] (the simulator).

pub mod address;
pub mod bridge;
pub mod cli;
pub mod config;
pub mod eclipse_power;
pub mod near_names;
pub mod offline;
pub mod open_files;
pub mod out_file;
pub mod priority;
pub mod publish;
pub mod replay;
pub mod schedule;
pub mod shape;
pub mod sky_file;
pub mod sky_view;
pub mod toml_file;
