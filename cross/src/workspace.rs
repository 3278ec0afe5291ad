//! Where the workspace and its target directory are, as cargo sees them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::command;

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

    /// The triple of this machine, as the compiler says it.
    ///
    /// # Errors
    /// When the compiler says none.
    pub(crate) fn host(&self) -> Result<String> {
        let mut rustc = Command::new("rustc");
        let about =
            command::output(rustc.current_dir(&self.root).args(["--version", "--verbose"]))?;
        let host = about.lines().find_map(|line| line.strip_prefix("host: "));
        host.map(str::to_owned).context("`rustc --version --verbose` names no host")
    }

    /// The lowest Rust release that the workspace builds with, as (major, minor).
    ///
    /// # Errors
    /// When the manifest does not say.
    pub(crate) fn rust_version(&self) -> Result<(u32, u32)> {
        self.packages()
            .filter_map(|package| package.get("rust_version").and_then(Value::as_str))
            .find_map(release)
            .context("no package of the workspace has a rust-version")
    }
}

/// Major and minor number of a release such as `1.95`, `1.95.0` or `1.96.0+dfsg1-1`.
pub(crate) fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(['.', '+', '-', '~']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::release;

    #[test]
    fn releases_are_read_from_rust_and_debian_versions() {
        assert_eq!(release("1.95"), Some((1, 95)));
        assert_eq!(release("1.96.0+dfsg1-1~deb12u2"), Some((1, 96)));
        assert_eq!(release("unknown"), None);
    }
}
