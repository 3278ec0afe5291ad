//! `functions`: builds the example guests and those of the bench, and turns them into components.

mod c;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use toolchain::command::{self, say};
use toolchain::rust::Toolchain;
use toolchain::{NoCompiler, Site, Way};

use crate::workspace::Workspace;

/// What guests are compiled for, unless their manifest says otherwise in `[package.metadata.function]`.
const TARGET: &str = "wasm32-unknown-unknown";
/// Guests are small and run often: always optimised.
const PROFILE: &str = "release";
/// What a component depends on, besides the example folders.
const INPUTS: [&str; 9] = [
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "functions/wit",
    "functions/sdk",
    "functions/suite",
    "functions/toolchain/src/clang.rs",
    "functions/toolchain/src/component.rs",
    "functions/toolchain/src/rust.rs",
];

/// The package whose cargo examples are the guests of the bench, and the folder of their components.
const SUITE: &str = "suite";

/// What a guest is written in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Language {
    /// Rust, for this target.
    Rust(String),
    /// C, for WASI.
    C,
}

impl Language {
    /// Whether demo and most tests can do without guests of it.
    fn is_extra(&self) -> bool {
        *self != Self::Rust(TARGET.to_owned())
    }
}

/// Builds what is not up to date; `args` may say `--compiler installed|rustup|debian`.
///
/// # Errors
/// [`NoCompiler`] when there is none for Wasm, or a guest does not build.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let ways = ways("functions", args)?;
    let guests = guests(workspace)?;
    let suite = suite(workspace)?;
    let folder = workspace.target.join("functions");
    fs::create_dir_all(folder.join(SUITE))?;
    let stamp = folder.join("stamp");
    let fingerprint = format!("{:016x} {:?}\n", fingerprint(workspace)?, ways);
    let is_there = |folder: &Path, name: &str| folder.join(name).with_extension("wasm").is_file();
    let is_built = guests.values().flatten().all(|name| is_there(&folder, name))
        && suite.iter().all(|name| is_there(&folder.join(SUITE), name));
    if is_built && fs::read_to_string(&stamp).is_ok_and(|old| old == fingerprint) {
        return Ok(());
    }
    // From here on the components are not those of these sources, and nobody may take them for it.
    forget(&stamp)?;
    for (language, names) in &guests {
        let built = build(workspace, language, names, &ways, &folder);
        let Err(error) = built else { continue };
        // In CI nothing may go missing unseen; on a desk the others are worth having.
        let is_machine = error.downcast_ref::<NoCompiler>().is_some();
        if !is_machine || !language.is_extra() || std::env::var_os("CI").is_some() {
            return Err(error);
        }
        say(&format!("functions: {} left out: {error:#}", names.join(", ")));
        names.iter().try_for_each(|name| forget(&folder.join(name).with_extension("wasm")))?;
    }
    build_suite(workspace, &suite, &ways, &folder.join(SUITE))?;
    fs::write(&stamp, fingerprint).context("cannot write the stamp")
}

/// The ways in which a verb may find a compiler, by its arguments.
pub(crate) fn ways(verb: &str, args: &[String]) -> Result<Vec<Way>> {
    match args {
        [] => Ok(Way::ALL.to_vec()),
        [option, name] if option == "--compiler" => {
            let way = Way::ALL.into_iter().find(|way| way.name() == name);
            let way =
                way.with_context(|| format!("--compiler {name}: not installed, rustup or debian"))?;
            Ok(vec![way])
        }
        _ => bail!("{verb} takes no argument but `--compiler installed|rustup|debian`"),
    }
}

/// Builds the guests of one language and makes them components in `folder`.
fn build(
    workspace: &Workspace,
    language: &Language,
    names: &[String],
    ways: &[Way],
    folder: &Path,
) -> Result<()> {
    let Language::Rust(target) = language else {
        return componentise(workspace, &c::build(workspace, names, ways)?, folder, names);
    };
    let site = workspace.site()?;
    let toolchain = Toolchain::find(&site, target, ways)?;
    say(&format!("functions: building {} with {}", names.join(", "), toolchain.label));
    let mut cargo = cargo_build(&site, &toolchain);
    for name in names {
        cargo.args(["--package", name]);
    }
    command::run(&mut cargo)?;
    componentise(workspace, &toolchain.output_dir(&site, PROFILE), folder, names)
}

/// Builds the guests of the bench and makes them components in `folder`.
fn build_suite(workspace: &Workspace, names: &[String], ways: &[Way], folder: &Path) -> Result<()> {
    let site = workspace.site()?;
    let toolchain = Toolchain::find(&site, TARGET, ways)?;
    say(&format!("functions: building {} with {}", names.join(", "), toolchain.label));
    command::run(cargo_build(&site, &toolchain).args(["--package", SUITE, "--examples"]))?;
    let from = toolchain.output_dir(&site, PROFILE).join("examples");
    componentise(workspace, &from, folder, names)
}

/// A build of guests, without what only a debugger reads.
fn cargo_build(site: &Site, toolchain: &Toolchain) -> Command {
    let mut cargo = toolchain.cargo_build(site, PROFILE);
    cargo.arg("--quiet").env("CARGO_PROFILE_RELEASE_DEBUG", "false");
    cargo
}

/// Removes a file that need not be there. Without the stamp the package `artifacts` finds no components.
fn forget(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The example functions by language: the folders of functions/examples that say that they are one.
fn guests(workspace: &Workspace) -> Result<BTreeMap<Language, Vec<String>>> {
    let mut guests: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(workspace.path("functions/examples"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !path.join("function.toml").is_file() {
            continue;
        }
        let language = match path.join("Cargo.toml").is_file() {
            true => Language::Rust(target_of(workspace, name)),
            false => Language::C,
        };
        guests.entry(language).or_default().push(name.to_owned());
    }
    guests.values_mut().for_each(|names| names.sort());
    Ok(guests)
}

/// What the manifest of a package says that it is compiled for.
fn target_of(workspace: &Workspace, name: &str) -> String {
    let is_it = |package: &&Value| package.get("name").and_then(Value::as_str) == Some(name);
    let package = workspace.packages().find(is_it);
    let target = package.and_then(|package| package.pointer("/metadata/function/target"));
    target.and_then(Value::as_str).unwrap_or(TARGET).to_owned()
}

/// The guests of the bench.
fn suite(workspace: &Workspace) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(workspace.path("functions/suite/examples"))? {
        let path = entry?.path();
        names.extend(path.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Runs the program of the package `artifacts`: it knows `wit-component`, which this one should not wait for.
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
