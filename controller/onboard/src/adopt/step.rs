//! A step of an adoption: what is run, what undoes it, and how it is shown.

use std::fmt::Write as _;

use crate::shell::quote;

/// What a command on the board reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing.
    Empty,
    /// Text that may be seen: a configuration.
    Text(String),
    /// The join token: never shown.
    Token,
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// A script for `sh` on the board.
    Script {
        /// It.
        text: String,
        /// Whether it needs root.
        as_root: bool,
        /// What it reads.
        stdin: Stdin,
    },
    /// The package goes to the board, under this path.
    CopyPackage {
        /// On the board.
        to: String,
    },
}

/// What the words of a step are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// That it ended well.
    Ended,
    /// The fields of the package, which has to be the agent's and for this board.
    Package,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// A word.
    pub name: &'static str,
    /// What it is for, as one would say it.
    pub says: String,
    /// What is run.
    pub run: Run,
    /// A script, as root, that undoes it: also when it was done in part, or not at all.
    pub undo: Option<String>,
    /// How long it may take, seconds.
    pub patience_s: u64,
    /// What its words are read for.
    pub check: Check,
}

/// Whether one of the steps reads the join token.
pub fn needs_token(steps: &[Step]) -> bool {
    let reads = |step: &Step| matches!(step.run, Run::Script { stdin: Stdin::Token, .. });
    steps.iter().any(reads)
}

/// How root is had on a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// The user is root.
    Is,
    /// `sudo` asks for no password.
    Sudo,
}

/// The command that a board is asked to run.
pub fn command(script: &str, as_root: bool, root: Root) -> String {
    let sudo = if as_root && root == Root::Sudo { "sudo -n " } else { "" };
    format!("{sudo}sh -c {}", quote(script))
}

/// A step as it is printed by a dry run: why, what it reads, the command, what would undo it.
pub fn shown(step: &Step, root: Root, prefix: &Prefix<'_>) -> String {
    let mut text = String::new();
    let mut add = |line: &str| writeln!(text, "{line}").expect("writing to a String does not fail");
    add(&format!("# {}: {}", step.name, step.says));
    match &step.run {
        Run::Script { text: script, as_root, stdin } => {
            match stdin {
                Stdin::Empty => {}
                Stdin::Token => add("# stdin: the join token"),
                Stdin::Text(lines) => {
                    add("# stdin:");
                    lines.lines().for_each(|line| add(&format!("#   {line}")));
                }
            }
            add(&format!("{} {}", prefix.ssh, quote(&command(script, *as_root, root))));
        }
        Run::CopyPackage { to } => {
            add(&format!("{} {}", prefix.scp, quote(&(prefix.target)(to))));
        }
    }
    if let Some(undo) = &step.undo {
        let remote = quote(&command(undo, true, root));
        add(&format!("# undone by: {} {remote}", prefix.ssh).replace('\n', "\n#   "));
    }
    text
}

/// What stands before the commands of a board.
pub struct Prefix<'a> {
    /// `ssh` with its options and the board.
    pub ssh: &'a str,
    /// `scp` with its options and the package.
    pub scp: &'a str,
    /// A path on the board, as `scp` wants it.
    pub target: &'a dyn Fn(&str) -> String,
}

impl std::fmt::Debug for Prefix<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prefix")
            .field("ssh", &self.ssh)
            .field("scp", &self.scp)
            .finish_non_exhaustive()
    }
}
