//! Compiles guests in C: the contract becomes a header, sources become a module of WASI 0.1.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use toolchain::Way;
use toolchain::clang::{Clang, without_paths};
use toolchain::command::{self, say};

use crate::workspace::Workspace;

/// Builds guests; answers the folder that the modules lie in, named as cargo names those of Rust.
///
/// # Errors
/// [`NoCompiler`] when there is none for C, or a guest does not build.
pub(super) fn build(workspace: &Workspace, names: &[String], ways: &[Way]) -> Result<PathBuf> {
    let clang = Clang::find(&workspace.site()?, ways)?;
    say(&format!("functions: building {} with {}", names.join(", "), clang.label));
    let to = workspace.target.join("guests-c");
    let contract = to.join("contract");
    bindings(workspace, &contract)?;
    for name in names {
        let module = to.join(name.replace('-', "_")).with_extension("wasm");
        let sources = sources(&workspace.path("functions/examples").join(name).join("src"))?;
        let mut compile = clang.compile();
        compile.args(["-Wall", "-Wextra", "-Werror"]);
        compile.args(without_paths(&[&workspace.target, &workspace.root]));
        compile.arg("-I").arg(&contract).args(sources);
        compile.arg(contract.join("function.c")).arg(contract.join("function_component_type.o"));
        command::run(compile.arg("-o").arg(module))
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

/// The files of C in a folder, in order.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut sources: Vec<_> =
        paths.filter(|path| path.extension() == Some(OsStr::new("c"))).collect();
    sources.sort();
    match sources.is_empty() {
        true => bail!("{} has no source of C", folder.display()),
        false => Ok(sources),
    }
}
