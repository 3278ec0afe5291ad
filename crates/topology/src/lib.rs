//! Graphs, routes and the contact plan of a moving network (topology: Stardust). Performs no I/O and reads no clock.
//!
//! Reading order: [`graph`] (one instant: links and shortest paths), [`plan`] (the future: the best
//! path of each pair of nodes on a fixed grid), [`window`] (when a pair meets a need).

pub mod graph;
pub mod plan;
pub mod window;

pub use graph::{Graph, GraphError, Link, NodeIx, PathState, PathTree};
pub use plan::{ContactPlan, PairSeries, PairState, PlanError, SunSeries};
pub use window::{ContactWindow, LinkNeed, window_id};
