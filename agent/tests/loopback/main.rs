//! Agents as processes on loopback, over real sessions of the bus: one binary, since linking it takes a while.

mod backlog;
mod calls;
#[path = "../support/component.rs"]
mod component;
mod deploy;
mod elsewhere;
mod far_inputs;
mod node;
mod programs;
mod sensors;
mod signing;
mod support;
mod warm;
mod workflow;
