//! Finds a compiler for a target that the machine's own one may lack.
//!
//! In this order: the target is installed; rustup can add it; Debian has a newer compiler with its
//! library's sources, which is unpacked into the target directory and builds the library along.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::command::{self, say};
use crate::workspace::Workspace;

mod apt;
pub(crate) mod clang;
mod debian;
mod sources;

/// How long rustup may take to add a target: some 20 MB over a slow line.
const RUSTUP_LIMIT: Duration = Duration::from_mins(5);

/// How a compiler may be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The target is installed already.
    Installed,
    /// `rustup target add`.
    Rustup,
    /// Debian's packages, unpacked and not installed.
    Debian,
}

impl Way {
    /// All, in the order in which they are tried.
    pub(crate) const ALL: [Self; 3] = [Self::Installed, Self::Rustup, Self::Debian];

    /// What it is called on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Rustup => "rustup",
            Self::Debian => "debian",
        }
    }
}

/// A compiler for one target.
#[derive(Debug)]
pub(crate) struct Toolchain {
    target: String,
    /// What it is, for people and for up-to-date checks.
    pub(crate) label: String,
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
    /// When none works: one line that says why each did not.
    pub(crate) fn find(workspace: &Workspace, target: &str, ways: &[Way]) -> Result<Self> {
        let mut refusals = Vec::new();
        for way in ways {
            let found = match way {
                Way::Installed => installed(workspace, target),
                Way::Rustup => rustup(workspace, target),
                Way::Debian => unpacked(workspace, target),
            };
            match found {
                Ok(toolchain) => return Ok(toolchain),
                Err(error) => refusals.push(format!("{}: {error:#}", way.name())),
            }
        }
        bail!("no compiler for {target} ({})", refusals.join("; "))
    }

    /// A `cargo build` with this compiler, apart from the workspace's own target directory and from
    /// what an outer cargo or clippy may have set.
    pub(crate) fn cargo_build(&self, workspace: &Workspace, profile: &str) -> Command {
        let mut cargo = workspace.cargo();
        cargo.args(["build", "--profile", profile]);
        cargo.args(["--target", &self.target, "--target-dir"]).arg(self.target_dir(workspace));
        for name in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CLIPPY_ARGS", "RUSTFLAGS"] {
            cargo.env_remove(name);
        }
        // Paths of this machine do not belong into a function: the same sources give the same bytes.
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let mut flags: Vec<_> = home
            .iter()
            .chain([&workspace.target, &workspace.root])
            .map(|folder| remap(folder))
            .collect();
        if let Some(unpacked) = self.unpacked.as_ref().filter(|_| self.target.contains("wasi")) {
            flags.extend(c_library(&unpacked.wasi_libc));
        }
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        if let Some(unpacked) = &self.unpacked {
            let target = self.target.to_uppercase().replace('-', "_");
            cargo.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1");
            cargo.env("RUSTC", &unpacked.rustc);
            cargo.env(format!("CARGO_TARGET_{target}_LINKER"), &unpacked.linker);
            if let Some(libraries) = &unpacked.libraries {
                cargo.env("LD_LIBRARY_PATH", libraries);
            }
        }
        cargo
    }

    /// Where `cargo_build` leaves what it builds.
    pub(crate) fn output_dir(&self, workspace: &Workspace, profile: &str) -> PathBuf {
        self.target_dir(workspace).join(&self.target).join(profile)
    }

    /// One folder per compiler: they cannot use each other's results.
    fn target_dir(&self, workspace: &Workspace) -> PathBuf {
        let compiler = if self.unpacked.is_some() { "guests-debian" } else { "guests" };
        workspace.target.join(compiler)
    }
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

fn remap(folder: &Path) -> String {
    format!("--remap-path-prefix={}=", folder.display())
}

fn installed(workspace: &Workspace, target: &str) -> Result<Toolchain> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(&workspace.root).args(["--print", "target-libdir", "--target", target]);
    let folder = command::output(&mut rustc)?;
    let is_core = |name: &str| name.starts_with("libcore-") && name.ends_with(".rlib");
    let entries = std::fs::read_dir(folder.trim()).into_iter().flatten().flatten();
    if entries.map(|entry| entry.file_name()).any(|name| is_core(&name.to_string_lossy())) {
        let version =
            command::output(Command::new("rustc").current_dir(&workspace.root).arg("-V"))?;
        let label = version.trim().to_owned();
        return Ok(Toolchain { target: target.to_owned(), label, unpacked: None });
    }
    bail!("the target is not installed")
}

fn rustup(workspace: &Workspace, target: &str) -> Result<Toolchain> {
    if !command::is_installed("rustup") {
        bail!("rustup is not installed");
    }
    say(&format!("functions: asking rustup for {target}"));
    let mut rustup = Command::new("rustup");
    rustup.current_dir(&workspace.root).args(["target", "add", target]);
    command::run_within(rustup.env("RUSTUP_MAX_RETRIES", "1"), RUSTUP_LIMIT)?;
    installed(workspace, target)
}

fn unpacked(workspace: &Workspace, target: &str) -> Result<Toolchain> {
    let linker = rust_lld(workspace)?;
    let compiler =
        debian::compiler(&workspace.target.join("toolchain"), workspace.rust_version()?)?;
    let debian::Compiler { label, rustc, libraries, wasi_libc } = compiler;
    let unpacked = Some(Unpacked { rustc, libraries, linker, wasi_libc });
    Ok(Toolchain { target: target.to_owned(), label, unpacked })
}

/// The linker that comes with rustup's compiler for this machine.
fn rust_lld(workspace: &Workspace) -> Result<PathBuf> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(&workspace.root).args(["--print", "sysroot"]);
    let sysroot = PathBuf::from(command::output(&mut rustc)?.trim());
    let linker = sysroot.join("lib/rustlib").join(workspace.host()?).join("bin/rust-lld");
    if linker.is_file() {
        return Ok(linker);
    }
    bail!("no linker at {}: this compiler is not from rustup", linker.display())
}
