//! Everything that touches sockets, files, threads and clocks.

pub mod bus_side;
mod clock;
pub mod commands;
pub mod feed;
pub mod keeper;
pub mod late_file;
pub mod logs;
pub mod objects;
pub mod programs;
pub mod run;
pub mod secured;
pub mod signal;
pub mod sky;
pub mod store;
pub mod zenoh;
