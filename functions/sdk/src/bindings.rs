//! What `wit-bindgen` makes of `functions/wit`. Guests use the modules beside it.

wit_bindgen::generate!({
    path: "../wit",
    world: "function",
    pub_export_macro: true,
    export_macro_name: "__export_function",
    default_bindings_module: "sdk::bindings",
    runtime_path: "wit_bindgen::rt",
    additional_derives: [PartialEq],
});
