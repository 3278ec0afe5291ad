//! Boards: what programs are built for, as data in `cross/boards/NAME.toml`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::target::Target;
use super::version::Glibc;

/// The version of the format.
const VERSION: u32 = 1;
/// Where they lie.
const FOLDER: &str = "cross/boards";
/// The features of the agent that may be built for a board.
pub(super) const FEATURES: [&str; 3] = [MODELS, "gpu-wgpu", "gpu-ort"];
/// The feature with which the agent compiles functions: built in unless the command line says otherwise.
pub(super) const COMPILER: &str = "compiler";
/// The feature with which it runs models on the processor.
pub(super) const MODELS: &str = "tract";
/// Larger is a slip of the pen: MB.
const MB_MAX: f64 = 1000.0;

/// A board, or a kind of machine.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Board {
    /// The name of its file.
    #[serde(skip)]
    pub(super) name: String,
    version: u32,
    /// What it is, for people.
    pub(super) about: String,
    /// What is built, as Rust calls it.
    pub(super) target: String,
    /// The oldest C library of its systems.
    pub(super) glibc: Glibc,
    /// What is built unless the command line says otherwise.
    pub(super) packages: Vec<String>,
    /// Features of the agent, besides those of the command line.
    pub(super) features: Vec<String>,
    /// What the versions of its packages end with, after a plus sign: boards with the same one and the same target get the same packages.
    pub(super) variant: String,
    /// How large the agent may be.
    pub(super) size: Size,
    /// What runs its programs elsewhere; not needed where the machine does.
    pub(super) emulation: Option<Emulation>,
}

/// The largest agent, without symbols, in MB of 10^6 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Size {
    agent_mb: f64,
    /// With models on the processor.
    agent_with_tract_mb: f64,
    /// With nothing that compiles functions.
    agent_without_compiler_mb: f64,
}

/// A program that runs those of another processor.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Emulation {
    /// It, as QEMU's user mode: it takes `-L` and `-cpu`.
    pub(super) program: String,
    /// The processor.
    pub(super) cpu: String,
    /// Address space of the emulated process; all that there is if it says nothing. An emulator keeps a table of all that is reserved.
    pub(super) address_space_gib: Option<u32>,
}

impl Board {
    /// Reads the board of this name.
    ///
    /// # Errors
    /// With the names of all boards if it is none, else with all that is wrong in its file.
    pub(super) fn load(root: &Path, name: &str) -> Result<Self> {
        let names = names(root)?;
        if !names.iter().any(|known| known == name) {
            bail!("there is no board {name:?}: {} (cross/boards)", names.join(", "));
        }
        let file = format!("{FOLDER}/{name}.toml");
        let text = fs::read_to_string(root.join(&file)).with_context(|| file.clone())?;
        Self::parse(name, &text).with_context(|| format!("{file} cannot be used"))
    }

    fn parse(name: &str, text: &str) -> Result<Self> {
        let board: Self = toml::from_str(text)?;
        let problems = board.problems();
        if problems.is_empty() {
            return Ok(Self { name: name.to_owned(), ..board });
        }
        bail!("{}", problems.join("; "))
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.version != VERSION {
            problems.push(format!("version: {} is not known, only {VERSION} is", self.version));
        }
        if let Err(error) = Target::of(&self.target) {
            problems.push(format!("target: {error}"));
        }
        if self.packages.is_empty() {
            problems.push(String::from("packages: name one at least, or nothing is built"));
        }
        if !self.variant.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.') {
            let rule = "has more than a-z, 0-9 and '.', which versions of Debian may end with";
            problems.push(format!("variant: {:?} {rule}", self.variant));
        }
        problems.extend(unknown_features(&self.features).map(|why| format!("features: {why}")));
        let sizes = [
            ("size.agent_mb", self.size.agent_mb),
            ("size.agent_with_tract_mb", self.size.agent_with_tract_mb),
            ("size.agent_without_compiler_mb", self.size.agent_without_compiler_mb),
        ];
        for (key, mb) in sizes {
            if !(mb > 0.0 && mb <= MB_MAX) {
                problems.push(format!("{key}: {mb} is not within 0 and {MB_MAX} MB"));
            }
        }
        problems
    }

    /// What it is built for.
    ///
    /// # Errors
    /// None for a board that was read.
    pub(super) fn target(&self) -> Result<&'static Target> {
        Target::of(&self.target)
    }

    /// What the version of a package ends with that was built for this board with these features of the agent; none for what is
    /// no agent. Other features or no compiler are another package, which must not be taken for the usual one.
    pub(super) fn version_end(&self, agent: Option<&[String]>) -> String {
        let mut parts: Vec<String> =
            Some(&self.variant).filter(|it| !it.is_empty()).into_iter().cloned().collect();
        if let Some(features) = agent {
            let others =
                features.iter().filter(|it| *it != COMPILER && !self.features.contains(it));
            parts.extend(others.map(|feature| feature.replace('-', ".")));
            if !features.iter().any(|feature| feature == COMPILER) {
                parts.push(String::from("nocompiler"));
            }
        }
        if parts.is_empty() { String::new() } else { format!("+{}", parts.join(".")) }
    }

    /// The largest agent with these features, in MB of 10^6 bytes.
    pub(super) fn agent_mb_max(&self, features: &[String]) -> f64 {
        let has = |name: &str| features.iter().any(|feature| feature == name);
        match (has(MODELS), has(COMPILER)) {
            (true, _) => self.size.agent_with_tract_mb,
            (false, true) => self.size.agent_mb,
            (false, false) => self.size.agent_without_compiler_mb,
        }
    }
}

/// Says of each feature that the agent does not have.
pub(super) fn unknown_features(features: &[String]) -> impl Iterator<Item = String> {
    features
        .iter()
        .filter(|feature| !FEATURES.contains(&feature.as_str()))
        .map(|feature| format!("{feature:?} is no feature of the agent: {}", FEATURES.join(", ")))
}

/// The names of all boards, sorted.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn names(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join(FOLDER)).with_context(|| FOLDER.to_owned())? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if path.extension().is_some_and(|extension| extension == "toml") {
            names.extend(stem.map(str::to_owned));
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    const GOOD: &str = "version = 1\nabout = \"x\"\ntarget = \"aarch64-unknown-linux-gnu\"\n\
        glibc = \"2.31\"\npackages = [\"starbelt-agent\"]\nfeatures = []\nvariant = \"\"\n\
        [size]\nagent_mb = 22.0\nagent_with_tract_mb = 30.0\nagent_without_compiler_mb = 12.0\n";

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let error = format!("{:#}", Board::parse("x", text).unwrap_err());
        for part in expected {
            assert!(error.contains(part), "{error} without {part}");
        }
    }

    #[test]
    fn a_board_is_read() {
        let board = Board::parse("pi", GOOD).unwrap();
        assert_eq!((board.name.as_str(), board.target().unwrap().debian), ("pi", "arm64"));
        assert!((board.agent_mb_max(&[COMPILER.to_owned()]) - 22.0).abs() < 1e-9);
        assert!((board.agent_mb_max(&[]) - 12.0).abs() < 1e-9);
        assert!((board.agent_mb_max(&["tract".to_owned()]) - 30.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_wrong_is_named_all_at_once() {
        let text = GOOD
            .replace("version = 1", "version = 2")
            .replace("aarch64-unknown", "mips-unknown")
            .replace("features = []", "features = [\"cuda\"]")
            .replace("variant = \"\"", "variant = \"old-glibc\"")
            .replace("agent_mb = 22.0", "agent_mb = -1.0");
        check(
            &text,
            &[
                "version: 2 is not known",
                "target: \"mips-unknown-linux-gnu\" is no target: x86_64",
                "features: \"cuda\" is no feature of the agent: tract",
                "variant: \"old-glibc\" has more",
                "size.agent_mb: -1 is not within",
            ],
        );
    }

    #[test]
    fn unknown_keys_and_wrong_kinds_are_told_with_their_line() {
        check(&format!("colour = 1\n{GOOD}"), &["line 1", "unknown field `colour`"]);
        check(&GOOD.replace("\"2.31\"", "\"new\""), &["line 4", "\"new\" is no release"]);
        check(&GOOD.replace("about = \"x\"\n", ""), &["missing field `about`"]);
    }

    #[test]
    fn other_features_are_other_versions() {
        let board = |variant: &str| {
            let text = GOOD.replace("variant = \"\"", &format!("variant = {variant:?}"));
            Board::parse("x", &text.replace("features = []", "features = [\"gpu-ort\"]")).unwrap()
        };
        let features =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (variant, agent, end) in [
            ("", Some(features(&["compiler", "gpu-ort"])), ""),
            ("", Some(features(&["compiler", "gpu-ort", "gpu-wgpu", "tract"])), "+gpu.wgpu.tract"),
            ("old", Some(features(&["gpu-ort"])), "+old.nocompiler"),
            ("old", None, "+old"),
            ("", None, ""),
        ] {
            assert_eq!(board(variant).version_end(agent.as_deref()), end, "{variant} {agent:?}");
        }
    }

    #[test]
    fn packages_of_the_same_name_are_the_same() {
        let root = workspace::root_of_tests();
        let all: Vec<_> =
            names(&root).unwrap().iter().map(|name| Board::load(&root, name).unwrap()).collect();
        for (at, a) in all.iter().enumerate() {
            for b in &all[at + 1..] {
                if (&a.target, &a.variant) == (&b.target, &b.variant) {
                    let facts = |it: &Board| (it.glibc, it.features.clone());
                    assert_eq!(facts(a), facts(b), "{} and {}", a.name, b.name);
                }
            }
        }
    }

    #[test]
    fn every_shipped_board_is_good() {
        let root = workspace::root_of_tests();
        let names = names(&root).unwrap();
        assert!(5 <= names.len(), "{names:?}");
        for name in names {
            Board::load(&root, &name).unwrap();
        }
        let error = Board::load(&root, "raspberry-pi-6").unwrap_err().to_string();
        assert!(error.contains("raspberry-pi-5"), "{error}");
    }
}
