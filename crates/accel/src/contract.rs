//! The names of the guest contract `functions/wit/world.wit`: what a function may import and must export.

/// What a function must export.
pub const HANDLER: &str = "starbelt:function/handler@0.2.0";

/// All that a function may import.
pub const IMPORTS: [&str; 8] = [
    "starbelt:function/calls@0.2.0",
    "starbelt:function/infer@0.2.0",
    "starbelt:function/node@0.2.0",
    "starbelt:function/objects@0.2.0",
    "starbelt:function/output@0.2.0",
    "starbelt:function/sky@0.2.0",
    "starbelt:function/state@0.2.0",
    "starbelt:function/types@0.2.0",
];

/// Whether the contract offers an interface of that name.
pub fn offers(import: &str) -> bool {
    IMPORTS.contains(&import)
}
