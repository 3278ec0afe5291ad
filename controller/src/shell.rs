//! Everything that touches sockets, files, threads and clocks.

pub mod bus_side;
pub mod commands;
pub mod feed;
pub mod late_file;
pub mod logs;
pub mod objects;
pub mod run;
pub mod signal;
pub mod sky;
pub mod store;
pub mod zenoh;
