//! Packages: what is in them besides their program, as data in `cross/packages/NAME.toml`.

use std::fs;
use std::path::{Component, Path};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// The version of the format.
const VERSION: u32 = 1;
/// Where they lie.
const FOLDER: &str = "cross/packages";

/// A package of Debian with one program.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Package {
    /// The name of its file.
    #[serde(skip)]
    pub(super) name: String,
    version: u32,
    /// The member of the workspace that the program is of.
    pub(super) member: String,
    /// The program, in `usr/bin`.
    pub(super) program: String,
    /// One line.
    pub(super) summary: String,
    /// Paragraphs.
    pub(super) description: String,
    /// What it needs besides what its program is linked with.
    pub(super) depends: Vec<String>,
    /// Its folder below `var/lib`, which a purge removes.
    #[serde(default)]
    pub(super) state: String,
    /// Its configuration: `etc/starbelt/NAME.toml` and `NAME.d`, which a purge removes.
    #[serde(default)]
    pub(super) config: String,
    /// Its service; with it come maintainer scripts.
    pub(super) service: Option<String>,
    /// What is in it.
    #[serde(default, rename = "file")]
    pub(super) files: Vec<PackedFile>,
}

/// A file of a package that is in the repository.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PackedFile {
    /// Where it is, from the root of the repository.
    pub(super) from: String,
    /// Where it goes, from the root of a system.
    pub(super) to: String,
}

impl Package {
    /// Reads the package of this name.
    ///
    /// # Errors
    /// When there is none, or with all that is wrong in its file.
    pub(super) fn load(root: &Path, name: &str) -> Result<Self> {
        let file = format!("{FOLDER}/{name}.toml");
        let text = fs::read_to_string(root.join(&file))
            .with_context(|| format!("there is no package {name:?}: {file} cannot be read"))?;
        let package = Self::parse(name, &text);
        let package = package.with_context(|| format!("{file} cannot be used"))?;
        let missing: Vec<_> = package
            .files
            .iter()
            .filter(|packed| !root.join(&packed.from).is_file())
            .map(|packed| packed.from.as_str())
            .collect();
        match missing.as_slice() {
            [] => Ok(package),
            all => bail!("{file}: not in the repository: {}", all.join(", ")),
        }
    }

    fn parse(name: &str, text: &str) -> Result<Self> {
        let package: Self = toml::from_str(text)?;
        let problems = package.problems();
        match problems.is_empty() {
            true => Ok(Self { name: name.to_owned(), ..package }),
            false => bail!("{}", problems.join("; ")),
        }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.version != VERSION {
            problems.push(format!("version: {} is not known, only {VERSION} is", self.version));
        }
        if self.summary.is_empty() || 80 < self.summary.len() || self.summary.contains('\n') {
            problems.push(String::from("summary: one line of 1 to 80 characters"));
        }
        // They become paths that a purge removes.
        for (key, name) in [("state", &self.state), ("config", &self.config)] {
            if !name.chars().all(|c| c.is_ascii_lowercase() || c == '-') {
                problems.push(format!("{key}: {name:?} has more than a-z and '-'"));
            }
        }
        if self.service.is_some() && self.config.is_empty() {
            problems.push(String::from("config: a service needs a configuration"));
        }
        for packed in &self.files {
            let is_plain = |path: &str| {
                Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
            };
            if !is_plain(&packed.from) || !is_plain(&packed.to) || packed.to.is_empty() {
                let (from, to) = (&packed.from, &packed.to);
                problems
                    .push(format!("file: {from:?} to {to:?}: paths start at a root, without /"));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    const GOOD: &str = "version = 1\nmember = \"agent\"\nprogram = \"p\"\nsummary = \"s\"\n\
        description = \"d\"\ndepends = []\n";

    #[test]
    fn what_is_wrong_is_named_all_at_once() {
        let text = format!(
            "{}service = \"p.service\"\nstate = \"../etc\"\n[[file]]\nfrom = \"a\"\nto = \"/etc/a\"\n",
            GOOD.replace("\"s\"", "\"\"")
        );
        let error = Package::parse("p", &text).unwrap_err().to_string();
        for part in ["summary: one line", "state: \"../etc\" has", "config: a service", "/etc/a"] {
            assert!(error.contains(part), "{error} without {part}");
        }
        let unknown = Package::parse("p", &format!("{GOOD}colour = 1\n")).unwrap_err();
        assert!(format!("{unknown:#}").contains("unknown field `colour`"), "{unknown:#}");
    }

    #[test]
    fn every_shipped_package_is_good_and_every_board_names_such() {
        let root = workspace::root_of_tests();
        for board in super::super::board::names(&root).unwrap() {
            let board = super::super::board::Board::load(&root, &board).unwrap();
            for package in board.packages {
                Package::load(&root, &package).unwrap();
            }
        }
    }
}
