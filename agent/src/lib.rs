//! The Starbelt node agent: senses, reports, executes functions, keeps state.
//!
//! Reading order: [`config`], [`event`], [`agent`] (the machine that decides), [`state`] and [`store`] (what lasts),
//! [`sensor`], [`serial`], [`exec`], [`plan`], [`uplink`] and [`backlog`] (what waits for a link), [`health`], [`local`] (one call without a node),
//! `mqtt` (a bridge, if it is built in), [`life`] (safe mode, and updates of the program itself), [`selftest`], and [`shell`], which alone awaits a network.

pub mod agent;
pub mod backlog;
pub mod clock;
pub mod config;
pub mod event;
pub mod exec;
pub mod health;
pub mod life;
pub mod local;
#[cfg(feature = "mqtt")]
pub mod mqtt;
pub mod plan;
pub mod selftest;
pub mod sensor;
pub mod serial;
pub mod shell;
pub mod state;
pub mod store;
pub mod uplink;
