//! The wire: golden bytes of every message, and what hostile bytes must not do.

mod backlog;
mod document;
mod golden;
mod hostile;
mod join;
mod limits;
mod log;
mod manifest;
mod maxima;
mod release;
mod sample;
mod variants;
