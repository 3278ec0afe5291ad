//! Carries steps out on a board, and takes them back when one fails.

use std::time::Duration;

use protocol::join::Token;

use super::plan::{check_hello, check_package};
use super::probe::{Found, hello, look, read_hello, read_look};
use super::script;
use super::step::{Check, Run, Stdin, Step, command};
use super::{Layout, PackageFile, Refusal, Trouble};
use crate::interrupt::Interrupt;

/// How long a question may take.
const QUESTION: Duration = Duration::from_secs(60);
/// How long one step back may take: dpkg waits for its lock for two minutes.
const UNDO: Duration = Duration::from_secs(300);

/// What a command said and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// How it ended.
    pub code: i32,
    /// On stdout.
    pub out: String,
    /// On stderr.
    pub err: String,
}

/// Why a board does not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RemoteError {
    /// [`Trouble::Unreachable`] or [`Trouble::Denied`] or [`Trouble::Failure`].
    pub trouble: Trouble,
    /// In words.
    pub message: String,
}

/// A board, or what a test has in its place.
pub trait Remote {
    /// Runs a command there.
    ///
    /// # Errors
    /// When it was not run to its end.
    fn run(&self, command: &str, stdin: &[u8], patience: Duration) -> Result<Said, RemoteError>;

    /// Copies the package there.
    ///
    /// # Errors
    /// When it did not arrive.
    fn copy(&self, package: &PackageFile, to: &str, patience: Duration) -> Result<(), RemoteError>;
}

/// Why an adoption ended, and how the board was left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {why}{}", left.words())]
pub struct Failed {
    /// What kind.
    pub trouble: Trouble,
    /// Which step.
    pub step: &'static str,
    /// In words.
    pub why: String,
    /// How the board is now.
    pub left: Left,
}

/// How a board was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// As it was found.
    AsItWas,
    /// These steps could not be taken back, for this reason.
    Changed(Vec<&'static str>, String),
}

impl Left {
    fn words(&self) -> String {
        match self {
            Self::AsItWas => "; the board is as it was".to_owned(),
            Self::Changed(steps, why) => format!(
                "; not taken back: {} ({why}). The same command again goes on from there, --remove clears the board",
                steps.join(", ")
            ),
        }
    }
}

/// Asks a board what is there. Changes nothing.
///
/// # Errors
/// [`Refusal`]
pub fn ask(
    board: &dyn Remote,
    layout: &Layout,
    identity: &str,
    package: Option<&PackageFile>,
) -> Result<Found, Refusal> {
    let question = |script: &str, as_root, root| {
        let said = board.run(&command(script, as_root, root), b"", QUESTION);
        said.map_err(|error| Refusal::new(error.trouble, error.message))
    };
    let said = question(&hello(), false, super::step::Root::Is)?;
    let first = read_hello(&said.out)?;
    check_hello(&first)?;
    let root = first.root.ok_or_else(|| Refusal::new(Trouble::Denied, "no root"))?;
    let said = question(&look(layout, identity, package), true, root)?;
    read_look(&first, &said.out, package)
}

/// What steps need besides themselves.
#[derive(Debug)]
pub struct Errand<'a> {
    /// The package.
    pub package: Option<&'a PackageFile>,
    /// With what the board joins.
    pub token: Option<&'a Token>,
    /// What was found.
    pub found: &'a Found,
    /// Whether to stop; looked at between steps.
    pub interrupt: &'a Interrupt,
}

/// Carries the steps out in order.
///
/// # Errors
/// [`Failed`], after everything was taken back that could be.
pub fn perform(
    board: &dyn Remote,
    steps: &[Step],
    errand: &Errand<'_>,
    tell: &mut dyn FnMut(&str),
) -> Result<(), Failed> {
    for (index, step) in steps.iter().enumerate() {
        tell(&format!("{}: {}", step.name, step.says));
        let done = if errand.interrupt.is_set() {
            Err((Trouble::Failure, "interrupted".to_owned()))
        } else {
            carry_out(board, step, errand, tell)
        };
        let Err((mut trouble, mut why)) = done else { continue };
        if step.name == "start" && trouble != Trouble::Unreachable {
            why.push_str(&reasons(board, errand));
        }
        // An interrupted command may say anything.
        if errand.interrupt.is_set() {
            (trouble, why) = (Trouble::Failure, "interrupted".to_owned());
        }
        tell(&format!("{}: failed, taking back", step.name));
        let left = take_back(board, steps.get(..=index).unwrap_or(steps), errand, tell);
        return Err(Failed { trouble, step: step.name, why, left });
    }
    Ok(())
}

fn carry_out(
    board: &dyn Remote,
    step: &Step,
    errand: &Errand<'_>,
    tell: &mut dyn FnMut(&str),
) -> Result<(), (Trouble, String)> {
    let patience = Duration::from_secs(step.patience_s);
    let lost = |error: RemoteError| (error.trouble, error.message);
    let (text, as_root, stdin) = match &step.run {
        Run::CopyPackage { to } => {
            let package =
                errand.package.ok_or_else(|| (Trouble::Usage, "no package".to_owned()))?;
            return board.copy(package, to, patience).map_err(lost);
        }
        Run::Script { text, as_root, stdin } => (text, *as_root, stdin),
    };
    let bytes = match stdin {
        Stdin::Empty => String::new(),
        Stdin::Text(text) => text.clone(),
        Stdin::Token => {
            errand.token.ok_or_else(|| (Trouble::Usage, "no token".to_owned()))?.to_string()
        }
    };
    let said = board.run(&command(text, as_root, errand.found.root), bytes.as_bytes(), patience);
    let said = said.map_err(lost)?;
    if said.code != 0 {
        return Err((trouble_of(step, said.code), words(&said)));
    }
    match step.check {
        Check::Ended => {}
        Check::Package => {
            let version = check_package(&said.out, errand.found);
            let version = version.map_err(|refusal| (refusal.trouble, refusal.message))?;
            tell(&format!("{}: version {version} for {}", step.name, errand.found.architecture));
        }
    }
    if let Some(status) = said.out.lines().find_map(|line| line.strip_prefix("StatusText="))
        && !status.is_empty()
    {
        tell(&format!("{}: {status}", step.name));
    }
    Ok(())
}

/// The exit codes of `starbelt-agent join` say what went wrong.
fn trouble_of(step: &Step, code: i32) -> Trouble {
    match (step.name, code) {
        ("join", 4) => Trouble::Unreachable,
        ("join", 5) => Trouble::Denied,
        ("join", 6 | 78) => Trouble::Conflict,
        _ => Trouble::Failure,
    }
}

/// What a command that failed said, stderr first.
fn words(said: &Said) -> String {
    let text = if said.err.trim().is_empty() { &said.out } else { &said.err };
    match text.trim() {
        "" => format!("it ended with {} and said nothing", said.code),
        text => text.to_owned(),
    }
}

/// Why the service is not up, from the board's journal.
fn reasons(board: &dyn Remote, errand: &Errand<'_>) -> String {
    let asked = command(&script::why(), true, errand.found.root);
    match board.run(&asked, b"", QUESTION) {
        Ok(said) => {
            format!("\nthe agent did not come up; the journal ends with:\n{}", said.out.trim_end())
        }
        Err(error) => {
            format!("\nthe agent did not come up, and its journal cannot be read: {error}")
        }
    }
}

/// Undoes steps in reverse; after a board was lost, nothing more is tried.
fn take_back(
    board: &dyn Remote,
    steps: &[Step],
    errand: &Errand<'_>,
    tell: &mut dyn FnMut(&str),
) -> Left {
    let mut stuck = Vec::new();
    let mut reason: Option<String> = None;
    let mut is_lost = false;
    for step in steps.iter().rev() {
        let Some(undo) = &step.undo else { continue };
        if is_lost {
            stuck.push(step.name);
            continue;
        }
        let undone = board.run(&command(undo, true, errand.found.root), b"", UNDO);
        match undone {
            // What else it says may be sudo, which does not know the name of the board.
            Ok(said) if said.code == 0 => {
                tell(&format!("{}: taken back", step.name));
                continue;
            }
            // It says why it leaves something.
            Ok(said) => {
                reason.get_or_insert_with(|| words(&said));
            }
            Err(error) => {
                is_lost = true;
                reason.get_or_insert(error.message);
            }
        }
        stuck.push(step.name);
    }
    match stuck.is_empty() {
        true => Left::AsItWas,
        false => Left::Changed(stuck, reason.unwrap_or_default()),
    }
}
