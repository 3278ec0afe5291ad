//! What a component may hold. Compiling is where a hostile module hurts most, so these are checked before it.

use core::fmt;

use serde::{Deserialize, Serialize};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Upper bounds of what a component holds, nested modules and components included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanLimits {
    /// Size of the component in bytes.
    pub bytes: u64,
    /// Functions with a body. 100,000 empty ones take 546 MiB and 2 s to compile.
    pub functions: u64,
    /// Core types, component types and the declarations within them.
    pub types: u64,
    /// Parameters and results of one core function type.
    pub type_values: u64,
    /// Data segments.
    pub data_segments: u64,
    /// Locals of one function.
    pub locals: u64,
    /// Locals of all functions together: 3 bytes declare 10,000, and each costs code.
    pub locals_total: u64,
    /// Body of one function in bytes.
    pub body_bytes: u64,
    /// Blocks within blocks; a `switch` of n cases takes n of them.
    pub block_depth: u64,
    /// Linear memories.
    pub memories: u64,
    /// Pages of 64 KiB with which memories start, together.
    pub memory_pages: u64,
    /// Tables.
    pub tables: u64,
    /// Elements that one table starts with.
    pub table_elements: u64,
    /// Globals.
    pub globals: u64,
    /// Element segments and their items.
    pub elements: u64,
    /// Imports and exports at all levels.
    pub names: u64,
    /// Core modules.
    pub modules: u64,
    /// Components within the component.
    pub components: u64,
    /// Instances, aliases, canonical functions and starts of components.
    pub component_items: u64,
    /// Modules and components within each other; the outermost component is at depth 0.
    pub nesting: u64,
}

impl ScanLimits {
    /// On a node.
    pub const AGENT: Self = Self {
        bytes: 4 * MIB,
        functions: 20_000,
        types: 2_000,
        type_values: 128,
        data_segments: 4_096,
        locals: 10_000,
        locals_total: 500_000,
        body_bytes: 256 * KIB,
        block_depth: 1_024,
        memories: 2,
        memory_pages: 4_096,
        tables: 16,
        table_elements: 10_000,
        globals: 4_096,
        elements: 100_000,
        names: 4_096,
        modules: 32,
        components: 32,
        component_items: 10_000,
        nesting: 4,
    };

    /// On the ground, where larger components wait for larger nodes.
    pub const GROUND: Self = Self { bytes: 32 * MIB, ..Self::AGENT };

    /// The bound of one quantity.
    pub const fn of(&self, quantity: Quantity) -> u64 {
        match quantity {
            Quantity::Bytes => self.bytes,
            Quantity::Functions => self.functions,
            Quantity::Types => self.types,
            Quantity::TypeValues => self.type_values,
            Quantity::DataSegments => self.data_segments,
            Quantity::Locals => self.locals,
            Quantity::LocalsTotal => self.locals_total,
            Quantity::BodyBytes => self.body_bytes,
            Quantity::BlockDepth => self.block_depth,
            Quantity::Memories => self.memories,
            Quantity::MemoryPages => self.memory_pages,
            Quantity::Tables => self.tables,
            Quantity::TableElements => self.table_elements,
            Quantity::Globals => self.globals,
            Quantity::Elements => self.elements,
            Quantity::Names => self.names,
            Quantity::Modules => self.modules,
            Quantity::Components => self.components,
            Quantity::ComponentItems => self.component_items,
            Quantity::Nesting => self.nesting,
        }
    }

    /// Lets `value` pass if it is not over its bound.
    pub(crate) fn check(&self, quantity: Quantity, value: u64) -> Result<u64, OverLimit> {
        let limit = self.of(quantity);
        if value <= limit { Ok(value) } else { Err(OverLimit { quantity, value, limit }) }
    }

    /// Adds `more` to a total, if that does not take it over its bound.
    pub(crate) fn add(
        &self,
        quantity: Quantity,
        total: &mut u64,
        more: u32,
    ) -> Result<(), OverLimit> {
        *total = self.check(quantity, *total + u64::from(more))?;
        Ok(())
    }
}

impl Default for ScanLimits {
    /// Those of a node.
    fn default() -> Self {
        Self::AGENT
    }
}

/// What a limit is about; the fields of [`ScanLimits`] explain each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Size of the component in bytes.
    Bytes,
    /// Functions with a body.
    Functions,
    /// Types and declarations within types.
    Types,
    /// Parameters and results of one function type.
    TypeValues,
    /// Data segments.
    DataSegments,
    /// Locals of one function.
    Locals,
    /// Locals of all functions.
    LocalsTotal,
    /// Bytes of one function body.
    BodyBytes,
    /// Blocks within blocks.
    BlockDepth,
    /// Linear memories.
    Memories,
    /// Pages of 64 KiB with which memories start.
    MemoryPages,
    /// Tables.
    Tables,
    /// Elements that one table starts with.
    TableElements,
    /// Globals.
    Globals,
    /// Element segments and their items.
    Elements,
    /// Imports and exports.
    Names,
    /// Core modules.
    Modules,
    /// Nested components.
    Components,
    /// Instances, aliases, canonical functions and starts.
    ComponentItems,
    /// Modules and components within each other.
    Nesting,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bytes => "bytes of the component",
            Self::Functions => "functions",
            Self::Types => "types",
            Self::TypeValues => "parameters and results of one type",
            Self::DataSegments => "data segments",
            Self::Locals => "locals of one function",
            Self::LocalsTotal => "locals of all functions",
            Self::BodyBytes => "bytes of one function body",
            Self::BlockDepth => "blocks within blocks",
            Self::Memories => "linear memories",
            Self::MemoryPages => "pages that memories start with",
            Self::Tables => "tables",
            Self::TableElements => "elements of one table",
            Self::Globals => "globals",
            Self::Elements => "element segments and items",
            Self::Names => "imports and exports",
            Self::Modules => "core modules",
            Self::Components => "nested components",
            Self::ComponentItems => "component items",
            Self::Nesting => "levels of nesting",
        })
    }
}

/// More of something than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{quantity}: {value} are over the limit of {limit}")]
pub struct OverLimit {
    /// Of what.
    pub quantity: Quantity,
    /// How many there are, as far as counted.
    pub value: u64,
    /// How many there may be.
    pub limit: u64,
}
