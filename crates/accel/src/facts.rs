//! What one pass over a component finds.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::mix::InstructionMix;

/// What the bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModuleKind {
    /// A component, as the contract wants it.
    #[default]
    Component,
    /// A bare core module.
    Core,
}

/// Facts of a component; counts include nested modules and components.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleFacts {
    /// Component or core module.
    pub kind: ModuleKind,
    /// Its size.
    pub bytes: u64,
    /// Core modules.
    pub modules: u64,
    /// Nested components.
    pub components: u64,
    /// Functions with a body.
    pub functions: u64,
    /// Types and the declarations within them.
    pub types: u64,
    /// Data segments.
    pub data_segments: u64,
    /// Bytes in data segments.
    pub data_bytes: u64,
    /// Element segments and their items.
    pub elements: u64,
    /// Globals.
    pub globals: u64,
    /// Tables that modules define.
    pub tables: u64,
    /// Linear memories that modules define.
    pub memories: u64,
    /// Pages of 64 KiB with which these memories start, together.
    pub memory_pages_min: u64,
    /// Instances, aliases, canonical functions and starts of components.
    pub component_items: u64,
    /// Imports and exports at all levels.
    pub names: u64,
    /// Most locals of one function.
    pub locals_max: u64,
    /// Locals of all functions.
    pub locals_total: u64,
    /// Bytes of the largest function body.
    pub body_bytes_max: u64,
    /// Deepest blocks within blocks.
    pub block_depth_max: u64,
    /// What the outermost level imports.
    pub imports: BTreeSet<String>,
    /// What the outermost level exports.
    pub exports: BTreeSet<String>,
    /// Those imports that the contract does not offer.
    pub unknown_imports: BTreeSet<String>,
    /// Whether the handler of the contract is exported.
    pub has_handler: bool,
    /// What the functions do.
    pub mix: InstructionMix,
}
