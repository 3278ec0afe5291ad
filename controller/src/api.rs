//! The types of the HTTP API, read and written by the controller, the operator CLI and the beds.
//!
//! JSON over HTTP/1.1 on loopback, all below `/api/v1`. Times of the sky are RFC 3339 in UTC; every number
//! carries its unit in its name. Readers ignore fields that they do not know; fields are only ever added.

mod command;
mod function;
mod handover;
mod key;
mod late;
mod log;
mod member;
mod node;
mod plan;
mod program;
mod run;
mod system;
mod workflow;

pub use command::{BoardAsk, CommandAsk, CommandInfo, CommandName, CommandState};
pub use function::{FunctionInfo, FunctionList};
pub use handover::{Handover, HandoverKind, HandoverList, HandoverState};
pub use key::{KeyInfo, KeyList, TrustRequest};
pub use late::LateList;
pub use log::LogEntry;
pub use member::{MemberInfo, MemberList, TokenInfo, TokenRequest};
pub use node::{HostedTask, NodeInfo, NodeList, NodeState, TaskCalls};
pub use plan::{PairSummary, PairWindows, PlanInfo, WindowInfo};
pub use program::{ProgramInfo, UpdateAsk};
pub use run::{LinkSampleInfo, LinkSamples, ObjectInfo, RunInfo, RunPage, StageInfo};
pub use system::{ApiError, ClockInfo, ErrorBody, Health, HealthState};
pub use workflow::{
    AlternativeInfo, DecisionInfo, NextInfo, PlacementInfo, PlacementList, PlacementState,
    RefusalInfo, WhatIf, WhatIfHost, WorkflowInfo, WorkflowList,
};

/// Where the API lies below the controller's address.
pub const PREFIX: &str = "/api/v1";
