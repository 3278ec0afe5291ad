//! What compilers make, as components; and the contract as a header and a source of C.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as ADAPTER,
};
use wit_bindgen_c::Opts;
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;
use wit_component::ComponentEncoder;

/// The world that functions target.
const WORLD: &str = "function";
/// How the bytes of a component begin, which tells them from those of a module: magic, version 13, layer 1.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// The component of a core module. What is a component already (`wasm32-wasip2`) stays as it is.
///
/// # Errors
/// When the module is not valid, or does not fit the world that it says it is for.
pub fn component(module: &[u8]) -> Result<Vec<u8>> {
    if module.starts_with(COMPONENT) {
        return Ok(module.to_vec());
    }
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(module)?;
    if imports_wasi_0_1(module) {
        encoder.adapter(NAME, ADAPTER)?;
    }
    encoder.encode()
}

/// Writes a file whole or not at all: somebody may be reading the one before.
///
/// # Errors
/// When it cannot be written.
pub fn write_whole(file: &Path, bytes: &[u8]) -> Result<()> {
    let part = file.with_extension("part");
    fs::write(&part, bytes).with_context(|| format!("cannot write {}", part.display()))?;
    fs::rename(&part, file).with_context(|| format!("cannot rename {}", part.display()))
}

/// Makes `function.h` and what belongs to it in `folder` from the contract in the folder `wit`.
///
/// # Errors
/// When the contract is not valid, or a file cannot be written.
pub fn c_bindings(wit: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit)?;
    let world = resolve.select_world(&[package], Some(WORLD))?;
    let mut files = Files::default();
    Opts::default().build().generate(&mut resolve, world, &mut files)?;
    for (name, bytes) in files.iter() {
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Whether a module was built for WASI 0.1, which a node does not know: the adapter turns it into 0.2. Told by the name of what
/// it imports; should the name stand there by chance, the adapter is left out of the component again.
fn imports_wasi_0_1(module: &[u8]) -> bool {
    module.windows(NAME.len()).any(|part| part == NAME.as_bytes())
}
