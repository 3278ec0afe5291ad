//! The Starbelt controller and the operator CLI.
//!
//! Reading order: [`event`] (what can happen), [`controller`] (the sans-IO root), [`fleet`] (who is there),
//! [`planner`] and [`hosting`] (where everything goes), [`executor`] (making it so), [`declines`] (what nodes would not do), [`topology_feed`] (the contact
//! plan), [`shell`] (sockets, files, threads), [`http`] and [`api`] (what people and programs see), [`config`], [`launch`];
//! [`function_file`], [`keys`], [`deploy`] and [`world`] (what is signed, by whom, and what it is checked against);
//! [`authority`] and [`registry`] (who is let in); [`cli`] is the operator's program, a client of the API.

pub mod api;
pub mod authority;
pub mod cli;
pub mod config;
pub mod controller;
pub mod declines;
pub mod deploy;
pub mod event;
pub mod executor;
pub mod exit_code;
pub mod fleet;
pub mod function_file;
mod hex;
pub mod history;
pub mod hosting;
pub mod http;
pub mod keys;
pub mod late;
pub mod launch;
pub mod planner;
pub mod registry;
pub mod shell;
pub mod topology_feed;
pub mod world;
