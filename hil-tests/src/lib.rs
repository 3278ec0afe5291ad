//! Beds of nodes, the demo on them, and the tests that run on all of them.
//!
//! A bed is a set of real processes on this machine: one controller, one sim-bridge, one agent per node.
//! Reading order: [`options`], [`fleet`] (who takes part, chosen from the sky), [`claim`] (whose folder it is), [`layout`] (ports and
//! configuration files), [`process_bed`] (processes), [`client`] (the controller's HTTP API), [`deploy`] (signs and pushes functions), [`faults`], [`checker`] (counts
//! losses), [`report`], [`screen`] (the live table), [`demo`] (all of it in order).

pub mod checker;
pub mod claim;
pub mod client;
pub mod demo;
pub mod deploy;
pub mod faults;
pub mod fleet;
pub mod layout;
pub mod options;
pub mod process_bed;
pub mod report;
pub mod screen;
pub mod watch;
