//! Functions made from text, run as an agent runs them: the contract, the limits, and what is refused.

mod address_space;
mod cache;
mod calls;
mod compile;
mod fused;
#[path = "../support/host.rs"]
mod host;
mod interpreted;
mod limits;
#[path = "../support/memory.rs"]
mod memory;
mod nested;
mod puppet;
mod refusals;
mod runners;
mod soak;
mod warm;
mod wasi;
