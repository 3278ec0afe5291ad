//! Agents as processes on loopback, over real sessions of the bus: one binary, since linking it takes a while.

mod node;
mod support;
mod workflow;
