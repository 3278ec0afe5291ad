//! What `build` can be told.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use toolchain::Way;

use super::board;
use super::compile::{Linker, SHIPPED};

/// The options, for people.
pub(super) const USAGE: &str = "\
usage: cargo xtask build --board BOARD [OPTIONS]
  --board BOARD        what to build for: a file of cross/boards, without .toml; several times for several, which takes less time
  --features LIST      features of the agent besides the board's: tract, gpu-wgpu, gpu-ort
  --no-compiler        an agent that compiles no functions: models, kernels and native programs only
  --package NAME       only this package, several times for several; otherwise those of the board
  --linker zig|gcc     what links for another machine; otherwise zig if it is installed, else gcc
  --compiler WAY       installed, rustup or debian; otherwise the first that has the target
  --profile NAME       a profile of Cargo.toml; otherwise dist, the only one whose sizes are limited
  --selftest           tries the agent of its package, here or in emulation of the board
  --key FILE           a secret key of minisign, which signs SHA256SUMS
";

/// What to build, and how.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Args {
    pub(super) boards: Vec<String>,
    pub(super) features: Vec<String>,
    pub(super) has_compiler: bool,
    pub(super) packages: Vec<String>,
    pub(super) linker: Option<Linker>,
    pub(super) ways: Vec<Way>,
    pub(super) profile: String,
    pub(super) is_tried: bool,
    pub(super) key: Option<PathBuf>,
}

impl Args {
    /// Reads the command line.
    ///
    /// # Errors
    /// When it makes no sense; then how it would.
    pub(super) fn parse(args: &[String]) -> Result<Self> {
        let mut parsed = Self {
            boards: Vec::new(),
            features: Vec::new(),
            has_compiler: true,
            packages: Vec::new(),
            linker: None,
            ways: Way::ALL.to_vec(),
            profile: String::from(SHIPPED),
            is_tried: false,
            key: None,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value\n{USAGE}"));
            match arg.as_str() {
                "--board" => parsed.boards.push(value()?.clone()),
                "--features" => {
                    let list = value()?.split(',').filter(|name| !name.is_empty());
                    parsed.features.extend(list.map(str::to_owned));
                }
                "--no-compiler" => parsed.has_compiler = false,
                "--package" => parsed.packages.push(value()?.clone()),
                "--linker" => parsed.linker = Some(Linker::named(value()?)?),
                "--compiler" => {
                    let name = value()?;
                    let way = Way::ALL.into_iter().find(|way| way.name() == name);
                    let rule = || format!("--compiler {name}: not installed, rustup or debian");
                    parsed.ways = vec![way.with_context(rule)?];
                }
                "--profile" => parsed.profile = value()?.clone(),
                "--selftest" => parsed.is_tried = true,
                "--key" => parsed.key = Some(PathBuf::from(value()?)),
                _ => bail!("build does not know {arg:?}\n{USAGE}"),
            }
        }
        if let Some(problem) = board::unknown_features(&parsed.features).next() {
            bail!("--features: {problem}");
        }
        if parsed.boards.is_empty() {
            bail!("name the board\n{USAGE}");
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args> {
        Args::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_command_line_is_read() {
        let args = parse(
            "--board x86-server --board b --features tract,gpu-ort --package starbelt --linker gcc --key k",
        )
        .unwrap();
        assert_eq!(args.boards, ["x86-server", "b"]);
        assert_eq!(args.profile, "dist");
        assert_eq!(args.features, ["tract", "gpu-ort"]);
        assert_eq!((args.packages.len(), args.linker), (1, Some(Linker::Gcc)));
        assert_eq!(args.ways, Way::ALL);
    }

    #[test]
    fn what_makes_no_sense_is_told_with_what_does() {
        for (line, part) in [
            ("", "name the board"),
            ("--board", "--board needs a value"),
            ("--board x --linker ld", "zig or gcc"),
            ("--board x --compiler gcc", "not installed, rustup or debian"),
            ("--board x --features cuda", "\"cuda\" is no feature"),
            ("--board x --release", "does not know \"--release\""),
        ] {
            let error = format!("{:#}", parse(line).unwrap_err());
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
