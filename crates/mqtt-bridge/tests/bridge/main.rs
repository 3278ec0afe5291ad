//! The bridge from outside: what goes to a broker, byte by byte, and what comes back.

mod commands;
mod golden;
mod native;
mod outbox;
mod sample;
mod sparkplug;
