//! Whether bytes may become a function, and the facts of those that may.

use std::collections::BTreeSet;

use wasmparser::{Parser, WasmFeatures};

use crate::contract;
use crate::facts::{ModuleFacts, ModuleKind};
use crate::limits::{OverLimit, Quantity, ScanLimits};
use crate::pass::Pass;

/// The Wasm that functions may use: what Rust, C and Zig emit, and 128-bit vectors. Left out are garbage collection,
/// exceptions, threads, 64-bit memories, relaxed vectors, tail calls, and asynchronous components.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::COMPONENT_MODEL);

/// Longest text of a name in an error, and most names: an error is read by people and sent over links.
const NAME_SHOWN_CHARS: usize = 128;
const NAMES_SHOWN_MAX: usize = 16;
/// Longest reason in an error; the validator quotes names of the module in it.
const WHY_CHARS_MAX: usize = 256;

/// Why a component is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// There are no bytes.
    #[error("the component is empty: 0 bytes")]
    Empty,
    /// It holds more than allowed.
    #[error(transparent)]
    OverLimit(#[from] OverLimit),
    /// It is no valid WebAssembly, or uses a feature that is off.
    #[error("no valid component at byte {at}: {why}")]
    Malformed {
        /// Where.
        at: u64,
        /// What is wrong.
        why: String,
    },
    /// It is a core module.
    #[error(
        "a core module, not a component: build it with `starbelt fn build`, or wrap it with wit-component"
    )]
    CoreModule,
    /// It wants what the contract does not offer.
    #[error("it imports what the contract starbelt:function@0.2.0 does not offer: {}{}", .0.join(", "), about_wasi(.0))]
    UnknownImports(
        /// The first 16 in order of their names.
        Vec<String>,
    ),
    /// It is no function of ours.
    #[error("it does not export {} (it exports: {})", contract::HANDLER, .exports.join(", "))]
    NoHandler {
        /// What it exports, at most 16 names.
        exports: Vec<String>,
    },
}

/// Reads the facts of a component and refuses it if it is malformed, over a limit, or does not keep the contract.
///
/// # Errors
/// [`InspectError`] with the first reason found; of unknown imports the first 16 are listed.
pub fn inspect(bytes: &[u8], limits: &ScanLimits) -> Result<ModuleFacts, InspectError> {
    let facts = scan(bytes, limits)?;
    if facts.kind == ModuleKind::Core {
        return Err(InspectError::CoreModule);
    }
    if !facts.unknown_imports.is_empty() {
        return Err(InspectError::UnknownImports(shown(&facts.unknown_imports)));
    }
    if !facts.has_handler {
        return Err(InspectError::NoHandler { exports: shown(&facts.exports) });
    }
    Ok(facts)
}

/// What a node offers of WASI, for those who import something else of it.
fn about_wasi(names: &[String]) -> &'static str {
    match names.iter().any(|name| name.starts_with("wasi:")) {
        true => {
            " (of WASI it offers cli, clocks, filesystem, io and random in version 0.2: no sockets, no http)"
        }
        false => "",
    }
}

fn shown(names: &BTreeSet<String>) -> Vec<String> {
    let cut = |name: &String| name.chars().take(NAME_SHOWN_CHARS).collect();
    names.iter().take(NAMES_SHOWN_MAX).map(cut).collect()
}

/// Reads the facts of any component or core module, without asking for the contract.
///
/// # Errors
/// [`InspectError`] if it is malformed or over a limit.
pub fn scan(bytes: &[u8], limits: &ScanLimits) -> Result<ModuleFacts, InspectError> {
    if bytes.is_empty() {
        return Err(InspectError::Empty);
    }
    let size = limits.check(Quantity::Bytes, bytes.len() as u64)?;
    let mut parser = Parser::new(0);
    parser.set_features(FEATURES);
    let mut pass = Pass::new(bytes, limits);
    for payload in parser.parse_all(bytes) {
        pass.payload(&payload?)?;
    }
    Ok(ModuleFacts { bytes: size, ..pass.into_facts() })
}

impl From<wasmparser::Error> for InspectError {
    fn from(error: wasmparser::Error) -> Self {
        let why = error.message().chars().take(WHY_CHARS_MAX).collect();
        Self::Malformed { at: error.offset() as u64, why }
    }
}
