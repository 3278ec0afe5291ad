//! Compiles guests in C: the contract becomes a header, sources become a module of WASI 0.1.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use toolchain::Way;
use toolchain::clang::Clang;
use toolchain::command::{self, say};

use crate::workspace::Workspace;

/// Builds guests; answers the folder that the modules lie in, named as cargo names those of Rust.
///
/// # Errors
/// [`toolchain::NoCompiler`] when there is none for C, or a guest does not build.
pub(super) fn build(workspace: &Workspace, names: &[String], ways: &[Way]) -> Result<PathBuf> {
    let clang = Clang::find(&workspace.site()?, ways)?;
    say(&format!("functions: building {} with {}", names.join(", "), clang.label));
    let to = workspace.target.join("guests-c");
    let contract = to.join("contract");
    bindings(workspace, &contract)?;
    for name in names {
        let module = to.join(name.replace('-', "_")).with_extension("wasm");
        let sources = workspace.path("functions/examples").join(name).join("src");
        let hidden = [workspace.target.as_path(), workspace.root.as_path()];
        clang
            .build_module(&sources, &contract, &hidden, &module)
            .with_context(|| format!("{name} does not build"))?;
    }
    Ok(to)
}

/// Makes `function.h` and what belongs to it from the only copy of the contract.
fn bindings(workspace: &Workspace, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    command::run(workspace.build_programs(&["c-bindings"]).arg("--quiet"))?;
    let mut bindings = Command::new(workspace.program("c-bindings"));
    command::run(bindings.arg(workspace.path("functions/wit")).arg(folder))
}
