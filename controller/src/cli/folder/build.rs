//! `starbelt fn build`.

use std::fs;
use std::path::{Path, PathBuf};

use accel::{ModuleFacts, ScanLimits};
use clap::Args;
use protocol::module::MODULE_BYTES_MAX;
use protocol::signed::KeyId;
use sha2::{Digest as _, Sha256};
use toolchain::clang::Clang;
use toolchain::rust::Toolchain;
use toolchain::{NoCompiler, Site, Way, component};

use super::{Folder, program};
use crate::cli::output::fields;
use crate::cli::{CliError, Format, Printed};
use crate::exit_code;
use crate::function_file::Kind;
use crate::hex::hex;

/// What a function in Rust is compiled for, unless `[package.metadata.function]` of its Cargo.toml says otherwise.
const TARGET: &str = "wasm32-unknown-unknown";
/// Functions are small and run often: always optimised.
const PROFILE: &str = "release";
/// Longest manifest of cargo that is read for its target, bytes.
const MANIFEST_BYTES_MAX: u64 = 1024 * 1024;

/// No rule of manifests depends on who signs, and building needs no key.
pub(super) const UNSIGNED: KeyId = KeyId([0; 8]);

/// What is to be built.
#[derive(Debug, Args)]
pub(in crate::cli) struct Build {
    /// The folder of the function.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Takes a compiler only that is installed, that rustup adds, or that is Debian's (unpacked below ~/.cache); without it
    /// they are tried in this order.
    #[arg(long, value_name = "installed|rustup|debian", value_parser = way)]
    compiler: Option<Way>,
}

fn way(text: &str) -> Result<Way, String> {
    let found = Way::ALL.into_iter().find(|way| way.name() == text);
    found.ok_or_else(|| "not installed, rustup or debian".to_owned())
}

/// Builds a component, or looks at a model, and says of it what a node would say.
pub(in crate::cli) fn build(format: Format, asked: &Build) -> Result<Printed, CliError> {
    let folder = Folder::open(&asked.dir)?;
    if folder.manifest.function.kind != Kind::Component {
        return program::check(format, &folder, &asked.dir);
    }
    let ways = asked.compiler.map_or_else(|| Way::ALL.to_vec(), |way| vec![way]);
    let site = site(&folder.dir);
    let target = rust_target(&folder.dir)?;
    let module = match &target {
        Some(target) => rust(&site, target, &ways),
        None => c(&site, &ways),
    };
    let module = module.map_err(|error| not_built(&error, target.as_deref()))?;
    let made = fs::read(&module).map_err(Into::into);
    let made = made.and_then(|module| component::component(&module)).map_err(|error| {
        let message = format!("{} becomes no component: {error:#}", module.display());
        CliError::new(exit_code::REFUSED, message)
    })?;
    let facts = check(&folder, &made)?;
    let file = folder.dir.join(format!("{}.wasm", folder.manifest.function.name));
    component::write_whole(&file, &made)
        .map_err(|error| CliError::new(exit_code::FAILURE, format!("{error:#}")))?;
    Ok(said(format, &folder, (&file, &made), &facts))
}

/// Compilers that are not installed go where others find them, too; results stay with the function.
fn site(dir: &Path) -> Site {
    let target = dir.join("target");
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|c| c.is_absolute());
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let cache = cache.or_else(home).map(|cache| cache.join("starbelt"));
    let compilers = cache.unwrap_or_else(|| target.clone()).join("toolchain");
    let oldest = toolchain::release(env!("CARGO_PKG_RUST_VERSION")).expect("cargo checks it");
    Site { folder: dir.to_owned(), target, compilers, oldest }
}

/// What a function in Rust is compiled for; `None` for one in C.
fn rust_target(dir: &Path) -> Result<Option<String>, CliError> {
    let file = dir.join("Cargo.toml");
    if !file.is_file() {
        return Ok(None);
    }
    let bad = |reason: String| {
        CliError::new(exit_code::BAD_CONFIG, format!("{}: {reason}", file.display()))
    };
    let size = fs::metadata(&file).map_err(|error| bad(error.to_string()))?.len();
    if MANIFEST_BYTES_MAX < size {
        return Err(bad(format!("{size} bytes are more than {MANIFEST_BYTES_MAX}")));
    }
    let text = fs::read_to_string(&file).map_err(|error| bad(error.to_string()))?;
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| bad(error.to_string()))?;
    let keys = ["package", "metadata", "function"];
    let section = keys.into_iter().try_fold(&table, |table, key| table.get(key)?.as_table());
    match section.and_then(|section| section.get("target")) {
        None => Ok(Some(TARGET.to_owned())),
        Some(toml::Value::String(target)) if target.starts_with("wasm32-") => {
            Ok(Some(target.clone()))
        }
        Some(other) => {
            let rule = "is not a target like \"wasm32-unknown-unknown\" or \"wasm32-wasip1\"";
            Err(bad(format!("package.metadata.function.target: {other} {rule}")))
        }
    }
}

fn rust(site: &Site, target: &str, ways: &[Way]) -> toolchain::Result<PathBuf> {
    Toolchain::find(site, target, ways)?.build_module(site, PROFILE)
}

fn c(site: &Site, ways: &[Way]) -> toolchain::Result<PathBuf> {
    let sources = site.folder.join("src");
    let clang = Clang::find(site, ways)?;
    let (contract, module) = (site.target.join("contract"), site.target.join("function.wasm"));
    component::c_bindings(&site.folder.join("wit"), &contract)?;
    clang.build_module(&sources, &contract, &[&site.target, &site.folder], &module)?;
    Ok(module)
}

/// Why there is no module and, where only the machine is at fault, what to install.
fn not_built(error: &toolchain::Error, target: Option<&str>) -> CliError {
    let message = format!("{error:#}");
    if error.downcast_ref::<NoCompiler>().is_none() {
        return CliError::new(exit_code::FAILURE, message);
    }
    let next = match target {
        Some(target) => format!(
            "with rustup:       rustup target add {target}\n  \
             without Rust yet:  curl --proto '=https' -sSf https://sh.rustup.rs | sh -s -- -y --target {target}\n  \
             Debian, Ubuntu:    apt-get install rustup gcc libc6-dev && rustup toolchain install stable --target {target}"
        ),
        None => {
            "Debian, Ubuntu:  apt-get install clang lld wasi-libc libclang-rt-dev-wasm32".to_owned()
        }
    };
    CliError::new(exit_code::FAILURE, format!("{message}\ninstall one:\n  {next}"))
}

/// What a node checks before it stores a component.
fn check(folder: &Folder, component: &[u8]) -> Result<ModuleFacts, CliError> {
    let name = &folder.manifest.function.name;
    let refused = |reason: String| {
        let message = format!("a node would refuse {name}: {reason}; nothing was written");
        CliError::new(exit_code::REFUSED, message)
    };
    if u32::try_from(component.len()).map_or(true, |size| MODULE_BYTES_MAX < size) {
        let (size, most) = (component.len(), MODULE_BYTES_MAX);
        return Err(refused(format!("{size} bytes are more than {most}")));
    }
    let facts = accel::inspect(component, &ScanLimits::default());
    let facts = facts.map_err(|error| refused(error.to_string()))?;
    let made = folder.manifest.manifest(component, UNSIGNED).map(|_manifest| ());
    made.map_err(|error| refused(error.to_string()))?;
    Ok(facts)
}

fn said(
    format: Format,
    folder: &Folder,
    (file, component): (&Path, &[u8]),
    facts: &ModuleFacts,
) -> Printed {
    let sha256 = hex(&Sha256::digest(component));
    let name = &folder.manifest.function.name;
    if format == Format::Json {
        let made = serde_json::json!({
            "name": name, "component": file, "bytes": component.len(), "sha256": sha256,
            "imports": facts.imports, "functions": facts.functions,
            "memory_pages_min": facts.memory_pages_min,
        });
        return format!("{made}\n").into();
    }
    let imports: Vec<_> = facts.imports.iter().map(String::as_str).collect();
    fields(&[
        ("function", format!("{name}, version {}", folder.manifest.function.version)),
        ("component", file.display().to_string()),
        ("size", format!("{} bytes, {} functions", component.len(), facts.functions)),
        ("memory", format!("{} KiB at its start", facts.memory_pages_min * 64)),
        ("imports", imports.join(", ")),
        ("sha-256", sha256),
    ])
    .into()
}
