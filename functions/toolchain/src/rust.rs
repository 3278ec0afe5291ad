//! Finds a compiler for a target that the machine's own one may lack.
//!
//! In this order: the target is installed; rustup can add it; Debian has a newer compiler with its
//! library's sources, which is unpacked into the target directory and builds the library along.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

use crate::command::{self, say};
use crate::{NoCompiler, Site, Way, debian};

/// How long rustup may take to add a target: some 20 MB over a slow line.
const RUSTUP_LIMIT: Duration = Duration::from_mins(5);

/// A compiler for one target.
#[derive(Debug)]
pub struct Toolchain {
    target: String,
    /// What it is, for people and for up-to-date checks.
    pub label: String,
    /// What it needs beyond rustup's own compiler.
    unpacked: Option<Unpacked>,
}

/// A compiler that lies in the target directory.
#[derive(Debug)]
struct Unpacked {
    rustc: PathBuf,
    libraries: Option<PathBuf>,
    linker: PathBuf,
    wasi_libc: PathBuf,
}

impl Toolchain {
    /// Finds a compiler for `target`, trying `ways` in turn.
    ///
    /// # Errors
    /// [`NoCompiler`] when none works, with one line that says why each did not.
    pub fn find(site: &Site, target: &str, ways: &[Way]) -> Result<Self> {
        let mut refusals = Vec::new();
        for way in ways {
            let found = match way {
                Way::Installed => installed(site, target),
                Way::Rustup => rustup(site, target),
                Way::Debian => unpacked(site, target),
            };
            match found {
                Ok(toolchain) => return Ok(toolchain),
                Err(error) => refusals.push(format!("{}: {error:#}", way.name())),
            }
        }
        let all = refusals.join("; ");
        Err(anyhow!("no compiler for {target} ({all})").context(NoCompiler))
    }

    /// A `cargo build` of guests with this compiler, apart from the workspace's own target directory and from
    /// what an outer cargo or clippy may have set.
    pub fn cargo_build(&self, site: &Site, profile: &str) -> Command {
        let mut cargo = self.cargo(site, "build", &self.target, profile);
        cargo.arg("--target-dir").arg(self.target_dir(site, "guests"));
        let mut flags = remapped(site);
        if let Some(unpacked) = self.unpacked.as_ref().filter(|_| self.target.contains("wasi")) {
            flags.extend(c_library(&unpacked.wasi_libc));
        }
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        if let Some(unpacked) = &self.unpacked {
            let target = self.target.to_uppercase().replace('-', "_");
            // Bare metal has no operating system, and so no `std`.
            let library = if self.target.contains("-none") { "core" } else { "std,panic_abort" };
            cargo.arg(format!("-Zbuild-std={library}"));
            cargo.env(format!("CARGO_TARGET_{target}_LINKER"), &unpacked.linker);
        }
        cargo
    }

    /// A cargo that builds programs of Linux with this compiler: `verb` is `build` or that of a plugin which links, `triple` the target
    /// as that verb takes it. Who links is for the caller to say, with `flags` of the compiler.
    pub fn cargo_for_programs(
        &self,
        site: &Site,
        (verb, triple): (&str, &str),
        profile: &str,
        flags: Vec<String>,
    ) -> Command {
        let mut cargo = self.cargo(site, verb, triple, profile);
        cargo.arg("--target-dir").arg(self.target_dir(site, "programs"));
        let flags: Vec<_> = remapped(site).into_iter().chain(flags).collect();
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        if self.unpacked.is_some() {
            cargo.arg("-Zbuild-std=std,panic_unwind");
        }
        cargo
    }

    /// Where `cargo_for_programs` leaves what it builds.
    pub fn programs_dir(&self, site: &Site, profile: &str) -> PathBuf {
        self.target_dir(site, "programs").join(&self.target).join(profile)
    }

    fn cargo(&self, site: &Site, verb: &str, triple: &str, profile: &str) -> Command {
        let mut cargo = site.cargo();
        cargo.args([verb, "--profile", profile, "--target", triple]);
        for name in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CLIPPY_ARGS", "RUSTFLAGS"] {
            cargo.env_remove(name);
        }
        if let Some(unpacked) = &self.unpacked {
            cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", &unpacked.rustc);
            if let Some(libraries) = &unpacked.libraries {
                cargo.env("LD_LIBRARY_PATH", libraries);
            }
        }
        cargo
    }

    /// Builds the package of the site, whatever it is called, and answers the module that it becomes.
    ///
    /// # Errors
    /// When it does not build, or becomes no module.
    pub fn build_module(&self, site: &Site, profile: &str) -> Result<PathBuf> {
        let mut cargo = self.cargo_build(site, profile);
        cargo.args(["--message-format", "json-render-diagnostics"]);
        let mut child = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let child = child.as_mut().map_err(|error| anyhow!("cannot start cargo: {error}"))?;
        let stdout = child.stdout.take().context("cargo has no stdout")?;
        let mut modules = Vec::new();
        for line in BufReader::new(stdout).lines() {
            modules.extend(serde_json::from_str(&line?).ok().as_ref().and_then(module));
        }
        if !child.wait()?.success() {
            bail!("cargo does not build it, see above");
        }
        // What a package depends on is built before it.
        let rule =
            "it becomes no module: Cargo.toml needs `[lib] crate-type = [\"cdylib\", \"rlib\"]`";
        modules.pop().context(rule)
    }

    /// Where `cargo_build` leaves what it builds.
    pub fn output_dir(&self, site: &Site, profile: &str) -> PathBuf {
        self.target_dir(site, "guests").join(&self.target).join(profile)
    }

    /// One folder per compiler: they cannot use each other's results.
    fn target_dir(&self, site: &Site, what: &str) -> PathBuf {
        let compiler = if self.unpacked.is_some() { "-debian" } else { "" };
        site.target.join(format!("{what}{compiler}"))
    }
}

/// The module that a message of cargo tells of.
fn module(message: &Value) -> Option<PathBuf> {
    let kinds = message.pointer("/target/crate_types")?.as_array()?;
    kinds.iter().any(|kind| kind == "cdylib").then_some(())?;
    let files = message.get("filenames")?.as_array()?.iter();
    let mut paths = files.filter_map(|file| file.as_str().map(PathBuf::from));
    paths.rfind(|path| path.extension() == Some(OsStr::new("wasm")))
}

/// How Rust's library finds the C library that rustup's would bring along, with the start of a module that is no command.
fn c_library(folder: &Path) -> [String; 4] {
    let folder = folder.display();
    [
        String::from("-Clink-self-contained=no"),
        format!("-Lnative={folder}"),
        format!("-Clink-arg={folder}/crt1-reactor.o"),
        String::from("-Clink-arg=-lc"),
    ]
}

/// Paths of this machine do not belong into what is built: the same sources give the same bytes.
fn remapped(site: &Site) -> Vec<String> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    home.iter().chain([&site.target, &site.folder]).map(|folder| remap(folder)).collect()
}

fn remap(folder: &Path) -> String {
    format!("--remap-path-prefix={}=", folder.display())
}

fn installed(site: &Site, target: &str) -> Result<Toolchain> {
    let mut rustc = site.rustc();
    rustc.args(["--print", "target-libdir", "--target", target]);
    let folder = command::output(&mut rustc)?;
    let is_core = |name: &str| name.starts_with("libcore-") && name.ends_with(".rlib");
    let entries = std::fs::read_dir(folder.trim()).into_iter().flatten().flatten();
    if entries.map(|entry| entry.file_name()).any(|name| is_core(&name.to_string_lossy())) {
        let version = command::output(site.rustc().arg("-V"))?;
        let label = version.trim().to_owned();
        return Ok(Toolchain { target: target.to_owned(), label, unpacked: None });
    }
    bail!("the target is not installed")
}

fn rustup(site: &Site, target: &str) -> Result<Toolchain> {
    if !command::is_installed("rustup") {
        bail!("rustup is not installed");
    }
    say(&format!("compiler: asking rustup for {target}"));
    let mut rustup = Command::new("rustup");
    rustup.current_dir(&site.folder).args(["target", "add", target]);
    command::run_within(rustup.env("RUSTUP_MAX_RETRIES", "1"), RUSTUP_LIMIT)?;
    installed(site, target)
}

fn unpacked(site: &Site, target: &str) -> Result<Toolchain> {
    let linker = rust_lld(site)?;
    let compiler = debian::compiler(&site.compilers, site.oldest)?;
    let debian::Compiler { label, rustc, libraries, wasi_libc } = compiler;
    let unpacked = Some(Unpacked { rustc, libraries, linker, wasi_libc });
    Ok(Toolchain { target: target.to_owned(), label, unpacked })
}

/// The linker that comes with rustup's compiler for this machine.
fn rust_lld(site: &Site) -> Result<PathBuf> {
    of_rustup(site, "rust-lld")
}

/// The folder in which a C compiler finds that linker, by the name under which it asks for it (`-fuse-ld=lld`).
///
/// # Errors
/// When the compiler of this machine is not from rustup.
pub fn lld_folder(site: &Site) -> Result<PathBuf> {
    let mut linker = of_rustup(site, "gcc-ld/ld.lld")?;
    linker.pop();
    Ok(linker)
}

/// A program that comes with rustup's compiler for this machine.
fn of_rustup(site: &Site, name: &str) -> Result<PathBuf> {
    let mut rustc = site.rustc();
    rustc.args(["--print", "sysroot"]);
    let sysroot = PathBuf::from(command::output(&mut rustc)?.trim());
    let program = sysroot.join("lib/rustlib").join(site.host()?).join("bin").join(name);
    if program.is_file() {
        return Ok(program);
    }
    bail!("no linker at {}: this compiler is not from rustup", program.display())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_module_is_told_from_what_else_cargo_makes() {
        let message = |crate_types: &[&str], files: &[&str]| {
            json!({
                "reason": "compiler-artifact",
                "target": {"name": "x", "crate_types": crate_types},
                "filenames": files,
            })
        };
        let guest = message(&["cdylib", "rlib"], &["t/libx.rlib", "t/x.wasm"]);
        assert_eq!(module(&guest), Some(PathBuf::from("t/x.wasm")));
        assert_eq!(module(&message(&["lib"], &["t/libx.rlib"])), None);
        assert_eq!(module(&message(&["proc-macro"], &["t/libx.so"])), None);
        assert_eq!(module(&json!({"reason": "build-finished", "success": true})), None);
    }
}
