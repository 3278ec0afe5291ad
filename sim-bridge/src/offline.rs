//! The offline simulator: a constellation and its network step by step, in virtual time, without a network of ours.
//!
//! Reading order: [`scenario`] (what is run), [`parts`] (names to models, protocols, policies, routers), [`nodes`],
//! [`simulation`] (the engine) with [`frames`], [`moment`], [`summary`], [`link_cost`], [`overrides`], [`terrestrial`], [`weather`], [`hash`] and
//! [`watch`]; [`compute`], [`orchestrator`] and [`workload`] (tasks); [`plugin`]; [`session`] (a whole run), [`sink`] and [`report`] (results),
//! [`record`] and [`replay`]; [`station_file`], [`plan_file`]; [`place`] (policies of placement, compared); [`mod@bench`].

pub mod bench;
pub mod compute;
pub mod frames;
pub mod hash;
pub mod link_cost;
pub mod mapped;
pub mod moment;
pub mod nodes;
pub mod orchestrator;
pub mod overrides;
pub mod parts;
pub mod place;
pub mod plan_file;
pub mod plugin;
pub mod record;
pub mod replay;
pub mod report;
pub mod scenario;
pub mod session;
pub mod simulation;
pub mod sink;
pub mod station_file;
pub mod summary;
pub mod terrestrial;
pub mod watch;
pub mod weather;
pub mod workload;
