//! Decides where each task of a workflow runs, and says why (placement: HyperDrive, with the future
//! known). Performs no I/O and reads no clock.
//!
//! Two ways to decide: the controller's planner, and policies over a forecast ([`policy`], with [`forecast`],
//! [`book`], [`job`] and [`endurance`]), which are compared with each other.
//!
//! Reading order of the planner: [`workflow`] (what is to run), [`view`] (what is known of the world), [`decision`]
//! (what comes out), [`plan`] (how it is found: `planner` goes through the tasks, `choose` through the
//! nodes of a task, `span` through the time of a node, `body` through its battery and temperature),
//! [`constraint`] (what may forbid a node; one rule for filter, window and [`violation`]), `need` (what a path is asked
//! for), [`demand`] (which data a node may see), `preempt` (who gives way to whom), [`batch`] (who of many comes first),
//! [`alternative`] (what would help where nothing can be placed), `explain` (all of it in words).

pub mod alternative;
pub mod batch;
pub mod book;
pub mod constraint;
pub mod decision;
pub mod demand;
pub mod draw;
pub mod endurance;
pub mod forecast;
pub mod ground;
pub mod heat;
pub mod job;
pub mod policy;
pub mod view;
pub mod workflow;

mod body;
mod choose;
mod explain;
mod need;
mod planner;
mod preempt;
mod replica;
mod span;
mod world;

pub use alternative::{Alternative, advise, nodes_at};
pub use book::{Book, Promise};
pub use constraint::{Constraint, NodeRefusal, violation};
pub use decision::{Assignment, Decision, Next, Plan, Refusal};
pub use demand::Demand;
pub use forecast::{Excess, Forecast, Latencies, Step};
pub use job::{Input, Job, JobTask, Origin, Run, Stay};
pub use planner::plan;
pub use policy::{Choice, NoChoice, Policy, World};
pub use view::{Declined, NodeView, Options, Prediction, Running, Snapshot, Successor, WorldView};
pub use workflow::{
    After, DataSource, Priority, Release, SourceNeed, Task, Workflow, WorkflowError,
};
