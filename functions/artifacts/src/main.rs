//! Turns core modules into components: `componentise FROM TO NAME...`, run by `cargo xtask functions`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use toolchain::component;

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
    component::write_whole(&to.join(name).with_extension("wasm"), &component::component(&module)?)
}
