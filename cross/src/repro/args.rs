//! What `repro stardust` is told.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::USAGE;
use super::published::SIZES;

/// Steps of each run of the paper.
const STEPS: u64 = 100;
/// Most satellites that `starbelt-sim` takes.
const SATELLITES_MAX: u64 = 200_000;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Args {
    /// Source flags, to be handed on as they are; empty for the shells of the scenarios.
    pub(super) source: Vec<String>,
    /// Numbers of satellites, ascending.
    pub(super) sizes: Vec<u64>,
    /// Steps of each run.
    pub(super) steps: u64,
    /// The model of motion.
    pub(super) model: String,
    /// The program to measure; without it one is built.
    pub(super) sim: Option<PathBuf>,
    /// Where the rows go, too.
    pub(super) json: Option<PathBuf>,
}

impl Args {
    /// Reads the command line.
    ///
    /// # Errors
    /// The word that makes no sense, and what would.
    pub(super) fn read(words: &[String]) -> Result<Self> {
        let mut args = Self {
            source: Vec::new(),
            sizes: SIZES.to_vec(),
            steps: STEPS,
            model: "sgp4".to_owned(),
            sim: None,
            json: None,
        };
        let mut words = words.iter();
        while let Some(flag) = words.next() {
            if flag == "--lenient" {
                args.source.push(flag.clone());
                continue;
            }
            let known =
                ["--tle", "--omm", "--walker", "--sizes", "--steps", "--model", "--sim", "--json"];
            if !known.contains(&flag.as_str()) {
                bail!("{flag:?} is not known\n{USAGE}");
            }
            let value = words.next().with_context(|| format!("{flag} needs a value\n{USAGE}"))?;
            match flag.as_str() {
                "--sizes" => args.sizes = sizes(value)?,
                "--steps" => args.steps = number(flag, value)?,
                "--model" => args.model.clone_from(value),
                "--sim" => args.sim = Some(PathBuf::from(value)),
                "--json" => args.json = Some(PathBuf::from(value)),
                _ => args.source.extend([flag.clone(), value.clone()]),
            }
        }
        Ok(args)
    }

    /// Whether the satellites are those of the scenarios.
    pub(super) fn is_walker(&self) -> bool {
        self.source.iter().all(|word| word == "--lenient")
    }
}

fn sizes(list: &str) -> Result<Vec<u64>> {
    let sizes = list.split(',').map(|size| number("--sizes", size.trim()));
    let mut sizes = sizes.collect::<Result<Vec<u64>>>()?;
    sizes.sort_unstable();
    sizes.dedup();
    Ok(sizes)
}

fn number(flag: &str, text: &str) -> Result<u64> {
    let number = text.parse().ok().filter(|number| (1..=SATELLITES_MAX).contains(number));
    number.with_context(|| format!("{flag}: {text:?} is not a number from 1 to {SATELLITES_MAX}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Args> {
        Args::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn without_words_the_experiments_are_the_papers() {
        let args = read("").unwrap();
        assert_eq!((args.sizes.len(), args.steps, args.is_walker()), (8, 100, true));
    }

    #[test]
    fn sources_are_handed_on_and_sizes_are_sorted() {
        let args = read("--tle a.tle --lenient --sizes 6882,250,250 --sim x --steps 2").unwrap();
        assert_eq!(args.source, ["--tle", "a.tle", "--lenient"]);
        assert_eq!((args.sizes, args.steps, args.sim), (vec![250, 6882], 2, Some("x".into())));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (line, expected) in [
            ("--size 3", "\"--size\" is not known"),
            ("--sizes", "--sizes needs a value"),
            ("--sizes 5,x", "--sizes: \"x\" is not a number from 1 to 200000"),
            ("--steps 0", "--steps: \"0\" is not a number"),
        ] {
            let message = read(line).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
