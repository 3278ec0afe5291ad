//! `functions`: builds the example guests and turns them into components.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command::{self, say};
use crate::toolchain::{Toolchain, Way};
use crate::workspace::Workspace;

/// What guests are compiled for.
const TARGET: &str = "wasm32-unknown-unknown";
/// Guests are small and run often: always optimised.
const PROFILE: &str = "release";
/// What a component depends on, besides the example folders.
const INPUTS: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "functions/wit",
    "functions/sdk",
    "functions/artifacts/src/main.rs",
];

/// There is no way to compile for Wasm here: nobody's fault but the machine's.
#[derive(Debug)]
pub(crate) struct NoCompiler;

impl fmt::Display for NoCompiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("functions cannot be built")
    }
}

/// Builds what is not up to date; `args` may say `--compiler installed|rustup|debian`.
///
/// # Errors
/// [`NoCompiler`] when there is none for Wasm, or a guest does not build.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let ways = match args {
        [] => Way::ALL.to_vec(),
        [option, name] if option == "--compiler" => {
            let way = Way::ALL.into_iter().find(|way| way.name() == name);
            vec![
                way.with_context(|| format!("--compiler {name}: not installed, rustup or debian"))?,
            ]
        }
        _ => bail!("functions takes no argument but `--compiler installed|rustup|debian`"),
    };
    let names = guests(workspace)?;
    let folder = workspace.target.join("functions");
    fs::create_dir_all(&folder)?;
    let stamp = folder.join("stamp");
    let fingerprint = format!("{:016x} {:?}\n", fingerprint(workspace)?, ways);
    let is_built = names.iter().all(|name| folder.join(name).with_extension("wasm").is_file());
    if is_built && fs::read_to_string(&stamp).is_ok_and(|old| old == fingerprint) {
        return Ok(());
    }
    // From here on the components are not those of these sources, and nobody may take them for it.
    forget(&stamp)?;
    let toolchain = Toolchain::find(workspace, TARGET, &ways).context(NoCompiler)?;
    say(&format!("functions: building {} with {}", names.join(", "), toolchain.label));
    let mut cargo = toolchain.cargo_build(workspace, PROFILE);
    cargo.arg("--quiet").env("CARGO_PROFILE_RELEASE_DEBUG", "false");
    for name in &names {
        cargo.args(["--package", name]);
    }
    command::run(&mut cargo)?;
    componentise(workspace, &toolchain.output_dir(workspace, PROFILE), &folder, &names)?;
    fs::write(&stamp, fingerprint).context("cannot write the stamp")
}

/// Removes the stamp, without which the package `artifacts` finds no components.
fn forget(stamp: &Path) -> Result<()> {
    match fs::remove_file(stamp) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", stamp.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The example functions: the folders of functions/examples that say that they are one.
fn guests(workspace: &Workspace) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(workspace.path("functions/examples"))? {
        let path = entry?.path();
        if path.join("function.toml").is_file() {
            names.extend(path.file_name().and_then(|name| name.to_str()).map(str::to_owned));
        }
    }
    names.sort();
    Ok(names)
}

/// Runs the program of the package `artifacts`, which knows `wit-component`.
fn componentise(workspace: &Workspace, from: &Path, to: &Path, names: &[String]) -> Result<()> {
    command::run(workspace.build_programs(&["componentise"]).arg("--quiet"))?;
    let mut componentise = Command::new(workspace.program("componentise"));
    command::run(componentise.arg(from).arg(to).args(names))
}

/// A hash over all that the components are made of.
fn fingerprint(workspace: &Workspace) -> Result<u64> {
    let mut files = Vec::new();
    for input in INPUTS.into_iter().chain(["functions/examples"]) {
        collect(&workspace.path(input), &mut files)?;
    }
    files.sort();
    let mut hash = FNV_OFFSET;
    for file in files {
        hash = fnv(hash, file.to_string_lossy().as_bytes());
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        hash = fnv(hash, &bytes);
    }
    Ok(hash)
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
        collect(&entry?.path(), files)?;
    }
    Ok(())
}

/// FNV-1a, 64 bits: offset basis and prime as published.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

#[cfg(test)]
mod tests {
    use super::{FNV_OFFSET, fnv};

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv(FNV_OFFSET, b"foobar"), 0x8594_4171_f739_67e8);
    }
}
