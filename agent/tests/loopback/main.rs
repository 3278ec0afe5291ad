//! Agents as processes on loopback, over real sessions of the bus: one binary, since linking it takes a while.

mod backlog;
#[path = "../serial/bench.rs"]
mod bench;
mod boards;
mod calls;
#[path = "../support/component.rs"]
mod component;
mod deploy;
mod drain;
mod elsewhere;
mod far_inputs;
mod node;
mod programs;
mod safe_mode;
mod sensors;
mod signing;
mod strain;
mod support;
mod update;
mod warm;
mod workflow;
