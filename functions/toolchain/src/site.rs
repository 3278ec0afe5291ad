//! Where something is built, and how a compiler may be found.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command;

/// Where something is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Where cargo and rustc are started, so that what says there which compiler to take counts.
    pub folder: PathBuf,
    /// Where results go.
    pub target: PathBuf,
    /// Where compilers are unpacked that are not installed.
    pub compilers: PathBuf,
    /// The oldest release of Rust that will do, as (major, minor).
    pub oldest: (u32, u32),
}

impl Site {
    /// A cargo that works on what is built here, wherever this program was started.
    pub fn cargo(&self) -> Command {
        let mut cargo = command::cargo();
        // A relative `CARGO_TARGET_DIR` counts from where the user is, not from the folder.
        cargo.current_dir(&self.folder).env("CARGO_TARGET_DIR", &self.target);
        cargo
    }

    pub(crate) fn rustc(&self) -> Command {
        let mut rustc = Command::new("rustc");
        rustc.current_dir(&self.folder);
        rustc
    }

    /// The triple of this machine, as the compiler says it.
    ///
    /// # Errors
    /// When the compiler says none.
    pub fn host(&self) -> Result<String> {
        let about = command::output(self.rustc().args(["--version", "--verbose"]))?;
        let host = about.lines().find_map(|line| line.strip_prefix("host: "));
        host.map(str::to_owned).context("`rustc --version --verbose` names no host")
    }
}

/// How a compiler may be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The target is installed already.
    Installed,
    /// `rustup target add`.
    Rustup,
    /// Debian's packages, unpacked and not installed.
    Debian,
}

impl Way {
    /// All, in the order in which they are tried.
    pub const ALL: [Self; 3] = [Self::Installed, Self::Rustup, Self::Debian];

    /// What it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Rustup => "rustup",
            Self::Debian => "debian",
        }
    }
}

/// Major and minor number of a release such as `1.95`, `1.95.0` or `1.96.0+dfsg1-1`.
pub fn release(text: &str) -> Option<(u32, u32)> {
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
