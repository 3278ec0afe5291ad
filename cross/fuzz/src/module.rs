//! The pre-scan: the first that reads a component of somebody else.

use accel::{InspectError, ModuleFacts, ModuleKind, ScanLimits, inspect, scan};

use crate::{check_memory, peak_of};

/// Memory for a byte of a component: a type of two bytes is a hundred in the validator.
const MEMORY_PER_BYTE: usize = 256;
/// Memory for as many items as sections say that they have, within the limits: the parser makes room before it reads them. The
/// 10,000 component items are the most, of about 100 bytes each.
const MEMORY_FIXED: usize = 4 * 1024 * 1024;
/// Longest error: it is read by people and sent over links. Sixteen names of 128 characters, each of up to four bytes, and
/// what is around them.
const ERROR_BYTES_MAX: usize = 16 * 1024;

/// Bytes that may be a component.
///
/// # Panics
/// When something does not hold for them.
pub fn module(bytes: &[u8]) {
    let limits = ScanLimits::AGENT;
    let (scanned, peak) = peak_of(|| scan(bytes, &limits));
    check_memory(peak, bytes.len(), MEMORY_PER_BYTE, MEMORY_FIXED);
    let inspected = inspect(bytes, &limits);
    match (&scanned, &inspected) {
        (Ok(facts), Ok(taken)) => {
            assert_eq!(facts, taken, "the pre-scan says two things of the same bytes");
            check_taken(facts);
        }
        (Ok(facts), Err(error)) => {
            let keeps = facts.has_handler && facts.unknown_imports.is_empty();
            assert!(!keeps || facts.kind == ModuleKind::Core, "refused without a reason: {error}");
        }
        (Err(first), Err(second)) => assert_eq!(first, second),
        (Err(error), Ok(_)) => panic!("it takes what it cannot read: {error}"),
    }
    if let Err(error) = &inspected {
        check_error(error);
    }
    if let Ok(facts) = &scanned {
        check_bounds(facts, &limits);
    }
}

/// What is taken keeps the contract.
fn check_taken(facts: &ModuleFacts) {
    assert!(facts.has_handler && facts.unknown_imports.is_empty(), "{facts:?}");
    assert_eq!(facts.kind, ModuleKind::Component);
    assert!(facts.imports.iter().all(|name| accel::contract::offers(name)), "{:?}", facts.imports);
}

fn check_error(error: &InspectError) {
    let bytes = error.to_string().len();
    assert!(bytes <= ERROR_BYTES_MAX, "an error of {bytes} bytes");
}

/// No fact is beyond its bound.
fn check_bounds(facts: &ModuleFacts, limits: &ScanLimits) {
    for (what, value, limit) in [
        ("functions", facts.functions, limits.functions),
        ("types", facts.types, limits.types),
        ("data segments", facts.data_segments, limits.data_segments),
        ("bytes of data", facts.data_bytes, facts.bytes),
        ("elements", facts.elements, limits.elements),
        ("globals", facts.globals, limits.globals),
        ("tables", facts.tables, limits.tables),
        ("memories", facts.memories, limits.memories),
        ("pages", facts.memory_pages_min, limits.memory_pages),
        ("component items", facts.component_items, limits.component_items),
        ("names", facts.names, limits.names),
        ("locals", facts.locals_max, limits.locals),
        ("locals of all", facts.locals_total, limits.locals_total),
        ("bytes of a body", facts.body_bytes_max, limits.body_bytes),
        ("blocks", facts.block_depth_max, limits.block_depth),
        ("modules", facts.modules, limits.modules),
        ("components", facts.components, limits.components),
    ] {
        assert!(value <= limit, "{what}: {value}, at most {limit}");
    }
}
