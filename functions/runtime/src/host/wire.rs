//! Between the contract's values and ours: faults both ways, names and keys checked on the way in.

use types::{StateKey, TaskId};

use crate::bindings::types::{Fault, Host};
use crate::context::Context;
use crate::host::HostFault;

/// Longest text of a fault, in bytes: what a message between nodes may carry.
const FAULT_TEXT_BYTES_MAX: usize = 512;

impl Host for Context {}

pub(crate) fn key(text: &str) -> Result<StateKey, Fault> {
    StateKey::new(text).map_err(|error| Fault::BadInput(error.to_string()))
}

pub(crate) fn task(name: &str) -> Result<TaskId, Fault> {
    TaskId::new(name).map_err(|error| Fault::BadInput(error.to_string()))
}

pub(crate) fn to_guest(fault: HostFault) -> Fault {
    match fault {
        HostFault::BadInput(text) => Fault::BadInput(text),
        HostFault::NotFound => Fault::NotFound,
        HostFault::Denied => Fault::Denied,
        HostFault::Busy => Fault::Busy,
        HostFault::TooLarge => Fault::TooLarge,
        HostFault::Deadline => Fault::Deadline,
        HostFault::Conflict(version) => Fault::Conflict(version),
        HostFault::Internal(text) => Fault::Internal(text),
    }
}

pub(crate) fn from_guest(fault: Fault) -> HostFault {
    match fault {
        Fault::BadInput(text) => HostFault::BadInput(cut(text)),
        Fault::NotFound => HostFault::NotFound,
        Fault::Denied => HostFault::Denied,
        Fault::Busy => HostFault::Busy,
        Fault::TooLarge => HostFault::TooLarge,
        Fault::Deadline => HostFault::Deadline,
        Fault::Conflict(version) => HostFault::Conflict(version),
        Fault::Internal(text) => HostFault::Internal(cut(text)),
    }
}

/// The text as far as a fault may carry it.
pub(crate) fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(FAULT_TEXT_BYTES_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_a_character() {
        assert_eq!(cut("é".repeat(300)).len(), FAULT_TEXT_BYTES_MAX);
        assert_eq!(cut(format!("a{}", "é".repeat(300))).len(), FAULT_TEXT_BYTES_MAX - 1);
        assert_eq!(cut("short".to_owned()), "short");
    }
}
