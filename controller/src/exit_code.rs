//! What the programs end with; scripts rely on these numbers.

/// All went well.
pub const OK: u8 = 0;
/// Something else went wrong.
pub const FAILURE: u8 = 1;
/// The command line makes no sense.
pub const USAGE: u8 = 2;
/// No such node, workflow, function or contact.
pub const NOT_FOUND: u8 = 3;
/// Nobody answers, or not in time.
pub const UNREACHABLE: u8 = 4;
/// Not allowed.
pub const DENIED: u8 = 5;
/// It contradicts what is there.
pub const CONFLICT: u8 = 6;
/// No feasible placement.
pub const INFEASIBLE: u8 = 7;
/// A function that was run answered a fault.
pub const FUNCTION_FAULT: u8 = 10;
/// A function that was run trapped, or used more memory or processor time than granted.
pub const FUNCTION_TRAP: u8 = 11;
/// A function that was run was stopped at its deadline.
pub const FUNCTION_DEADLINE: u8 = 12;
/// A component is one that a node refuses.
pub const REFUSED: u8 = 13;
/// A file that configures something is malformed (`EX_CONFIG` of sysexits.h).
pub const BAD_CONFIG: u8 = 78;
