//! Where the workspace and its target directory are, as cargo sees them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;
use toolchain::{Site, command, release};

/// The workspace that this task runner belongs to.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Folder of the root manifest.
    pub(crate) root: PathBuf,
    /// Cargo's target directory; honours `CARGO_TARGET_DIR` and cargo's configuration.
    pub(crate) target: PathBuf,
    /// `cargo metadata --no-deps`.
    pub(crate) metadata: Value,
}

/// The root as tests find it.
#[cfg(test)]
pub(crate) fn root_of_tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Workspace {
    /// Asks cargo about the workspace around this crate.
    ///
    /// # Errors
    /// When cargo cannot read a manifest.
    pub(crate) fn open() -> Result<Self> {
        // At run time, so that a moved or copied target directory still finds its own sources.
        let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let manifest = here.map_or_else(|| PathBuf::from("Cargo.toml"), |h| h.join("Cargo.toml"));
        let mut cargo = command::cargo();
        cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
        cargo.arg("--manifest-path").arg(manifest);
        let text = command::output(&mut cargo)?;
        let metadata: Value = serde_json::from_str(&text).context("cargo metadata is not JSON")?;
        let path = |key: &str| {
            let text = metadata.get(key).and_then(Value::as_str);
            text.map(PathBuf::from).with_context(|| format!("cargo metadata has no {key}"))
        };
        Ok(Self { root: path("workspace_root")?, target: path("target_directory")?, metadata })
    }

    /// A path below the root.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// A cargo that works on this workspace, wherever this one was started.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = command::cargo();
        // A relative `CARGO_TARGET_DIR` counts from where the user is, not from the root.
        cargo.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        cargo
    }

    /// A `cargo build` of programs in the dev profile, with the features of outside crates that tests
    /// get, see cross/examples/shared_features.rs.
    pub(crate) fn build_programs(&self, names: &[&str]) -> Command {
        let mut cargo = self.cargo();
        cargo.args(["build", "--workspace"]);
        cargo.args(["--example", "shared_features"]);
        cargo.args(names.iter().flat_map(|name| ["--bin", name]));
        cargo
    }

    /// Where `build_programs` leaves a program.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name).with_extension(std::env::consts::EXE_EXTENSION)
    }

    /// The packages of the workspace.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &Value> {
        self.metadata.get("packages").and_then(Value::as_array).into_iter().flatten()
    }

    /// Where guests are built.
    ///
    /// # Errors
    /// When the manifest names no lowest release of Rust.
    pub(crate) fn site(&self) -> Result<Site> {
        Ok(Site {
            folder: self.root.clone(),
            target: self.target.clone(),
            compilers: self.target.join("toolchain"),
            oldest: self.rust_version()?,
        })
    }

    /// The triple of this machine, as the compiler says it.
    ///
    /// # Errors
    /// When the compiler says none.
    pub(crate) fn host(&self) -> Result<String> {
        self.site()?.host()
    }

    /// The lowest Rust release that the workspace builds with, as (major, minor).
    ///
    /// # Errors
    /// When the manifest does not say.
    fn rust_version(&self) -> Result<(u32, u32)> {
        self.packages()
            .filter_map(|package| package.get("rust_version").and_then(Value::as_str))
            .find_map(release)
            .context("no package of the workspace has a rust-version")
    }
}
