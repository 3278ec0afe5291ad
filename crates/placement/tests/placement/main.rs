//! Placement told as stories: a small sky, a workflow, what was decided and why.

mod bed;
mod decisions;
mod hand_over;
mod properties;
mod workflow;
