//! The components that `cargo xtask functions` built are what nodes take.

use std::io::Write as _;

use wit_component::DecodedWasm;

/// Largest component that an agent stores.
const COMPONENT_BYTES_MAX: usize = 4 * 1024 * 1024;

#[test]
fn components_target_the_world_and_nothing_else() {
    if let Err(missing) = artifacts::available() {
        let test = "components_target_the_world_and_nothing_else";
        writeln!(std::io::stdout(), "skipped: {test}: {missing}").expect("stdout is open");
        return;
    }
    for name in artifacts::NAMES {
        let bytes = std::fs::read(artifacts::component_path(name)).expect("it is there");
        assert!(bytes.len() <= COMPONENT_BYTES_MAX, "{name} has {} bytes", bytes.len());
        let decoded = wit_component::decode(&bytes).expect("it is a component");
        let DecodedWasm::Component(resolve, world) = decoded else {
            panic!("{name} is no component");
        };
        let world = &resolve.worlds[world];
        let names = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>();
        let imports = names(&mut world.imports.keys().map(|key| resolve.name_world_key(key)));
        let exports = names(&mut world.exports.keys().map(|key| resolve.name_world_key(key)));
        assert_eq!(exports, ["starbelt:function/handler@0.2.0"], "{name}");
        for import in imports {
            assert!(import.starts_with("starbelt:function/"), "{name} imports {import}");
        }
    }
}
