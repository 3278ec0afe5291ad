//! What `wit-bindgen` makes of the hooks of the world `stateful-function`; all else of it is in `bindings`. A guest that exports both is
//! of that world.

use alloc::vec::Vec;

wit_bindgen::generate!({
    path: "../wit",
    inline: "
        package starbelt:sdk;
        world hooks {
            export starbelt:function/lifecycle@0.2.0;
        }
    ",
    world: "starbelt:sdk/hooks",
    pub_export_macro: true,
    export_macro_name: "__export_hooks",
    default_bindings_module: "sdk::stateful",
    runtime_path: "wit_bindgen::rt",
});

pub use exports::starbelt::function::lifecycle::Guest as Hooks;

/// Bytes, for the macro that exports.
pub type Bytes = Vec<u8>;
