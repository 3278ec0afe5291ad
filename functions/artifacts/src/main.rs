//! Turns core modules into components: `componentise FROM TO NAME...`, run by `cargo xtask functions`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as ADAPTER,
};
use wit_component::ComponentEncoder;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line also where backtraces are on; a closed stderr is not worth an error.
            drop(writeln!(std::io::stderr(), "error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let [from, to, names @ ..] = args.as_slice() else {
        bail!("usage: componentise FROM TO NAME...");
    };
    let (from, to) = (PathBuf::from(from), PathBuf::from(to));
    names.iter().filter_map(|name| name.to_str()).try_for_each(|name| {
        componentise(&from, &to, name).with_context(|| format!("{name} is not a component"))
    })
}

/// Reads a core module as cargo names it and writes the component as the function is named.
fn componentise(from: &Path, to: &Path, name: &str) -> Result<()> {
    let core = from.join(name.replace('-', "_")).with_extension("wasm");
    let module = fs::read(&core).with_context(|| format!("cannot read {}", core.display()))?;
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module)?;
    if imports_wasi_0_1(&module) {
        encoder.adapter(NAME, ADAPTER)?;
    }
    let component = encoder.encode()?;
    // Whole or not at all: somebody may be reading the one before.
    let part = to.join(name).with_extension("part");
    fs::write(&part, component).with_context(|| format!("cannot write {}", part.display()))?;
    fs::rename(&part, to.join(name).with_extension("wasm")).context("cannot rename it")
}

/// Whether a module was built for WASI 0.1, which a node does not know: the adapter turns it into 0.2. Told by the name of what
/// it imports; should the name stand there by chance, the adapter is left out of the component again.
fn imports_wasi_0_1(module: &[u8]) -> bool {
    module.windows(NAME.len()).any(|part| part == NAME.as_bytes())
}
