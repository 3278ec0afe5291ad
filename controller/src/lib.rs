//! The Starbelt controller and the operator CLI.
//!
//! Reading order: [`event`] (what can happen), [`controller`] (the sans-IO root), [`fleet`] (who is there),
//! [`planner`] and [`hosting`] (where everything goes), [`executor`] (making it so), [`topology_feed`] (the contact
//! plan), [`shell`] (sockets, files, threads), [`http`] and [`api`] (what people and programs see), [`config`], [`function_file`],
//! [`launch`];
//! [`cli`] is the operator's program, a client of the API.

pub mod api;
pub mod cli;
pub mod config;
pub mod controller;
pub mod event;
pub mod executor;
pub mod exit_code;
pub mod fleet;
pub mod function_file;
pub mod history;
pub mod hosting;
pub mod http;
pub mod launch;
pub mod planner;
pub mod shell;
pub mod topology_feed;
