//! Graphs, routes and the contact plan of a moving network (topology: Stardust). Performs no I/O and reads no clock.
//!
//! Reading order: [`graph`] (one instant: links) with [`search`] (shortest paths), [`parts`] and [`sets`], [`route`] (who finds routes, under which
//! needs), [`plan`] (the future: the best path of each pair of nodes on a fixed grid), [`window`] (when a pair meets a need), [`contact`]
//! (the future link by link), [`earliest_arrival`] (store and forward over it), [`track`] (where what moves is).

pub mod contact;
pub mod earliest_arrival;
pub mod graph;
pub mod parts;
pub mod plan;
mod queue;
pub mod route;
pub mod search;
pub mod sets;
pub mod track;
pub mod window;

pub use contact::{LinkPlan, LinkPlanError, LinkPlanView, LinkWindow, PlanFileError, RangeSegment};
pub use earliest_arrival::{Bundle, ContactRouter, Delivery};
pub use graph::{Graph, GraphError, Link, NodeIx, PathState, PathTree};
pub use parts::Parts;
pub use plan::{ContactPlan, PairSeries, PairState, PlanError, SunSeries};
pub use route::{NoRoute, Route, RouteNeed, Router, RouterKind};
pub use search::PathSearch;
pub use sets::Sets;
pub use window::{Arrival, ContactWindow, LinkNeed, window_id};
