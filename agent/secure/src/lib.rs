//! What every process of a fleet needs to be let in: its key and certificate on disk ([`identity`]), getting the first
//! certificate and the next one ([`hand`], [`client`], [`renewal`]), and sessions of Zenoh that know their neighbours by
//! certificate ([`settings`]), allow them what [`protocol::access`] says, and close on who was revoked ([`gate`], [`revoked`]).
//!
//! Why so: decision 0024. Only the controller issues certificates; it does so itself.

pub mod client;
pub mod gate;
pub mod hand;
pub mod identity;
pub mod renewal;
pub mod revoked;
pub mod settings;
pub mod x509;

#[cfg(test)]
mod made;
