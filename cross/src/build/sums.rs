//! `SHA256SUMS` over all that lies in `target/dist`, and its signature.
//!
//! The signature is minisign's: who installs a package checks it with a program of their distribution, not with the one that they are
//! about to trust.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command;

/// The list.
pub(super) const SUMS: &str = "SHA256SUMS";
/// Its signature.
pub(super) const SIGNATURE: &str = "SHA256SUMS.minisig";

/// Writes the list. A signature of an earlier one is removed: it would be wrong.
///
/// # Errors
/// When a file cannot be read, or `sha256sum` fails.
pub(super) fn write(dist: &Path) -> Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dist)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_file() && !name.starts_with(SUMS) {
            names.push(name);
        }
    }
    names.sort();
    let list = command::output(Command::new("sha256sum").current_dir(dist).args(&names))?;
    let signature = dist.join(SIGNATURE);
    if signature.exists() {
        fs::remove_file(signature).context("cannot remove the old signature")?;
    }
    fs::write(dist.join(SUMS), list).context("cannot write the list of sums")
}

/// Signs the list with a secret key of minisign, which asks for its password if it has one.
///
/// # Errors
/// When minisign is not installed or the key cannot be used.
pub(super) fn sign(dist: &Path, key: &Path, version: &str) -> Result<()> {
    if !command::is_installed("minisign") {
        bail!("minisign is not installed, which signs (Debian, Ubuntu: apt-get install minisign)");
    }
    let key = fs::canonicalize(key).with_context(|| format!("--key {}", key.display()))?;
    let mut minisign = Command::new("minisign");
    minisign.current_dir(dist).arg("-S").arg("-s").arg(key).args(["-m", SUMS, "-x", SIGNATURE]);
    // What the signature is for is signed with it.
    command::run(minisign.arg("-t").arg(format!("starbelt {version}")))
}
