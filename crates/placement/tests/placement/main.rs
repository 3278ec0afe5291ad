//! Placement told as stories: a small sky, a workflow, what was decided and why.

mod alternatives;
mod batch;
mod bed;
mod companions;
mod data;
mod decisions;
mod hand_over;
mod priority;
mod properties;
mod rules;
mod workflow;
