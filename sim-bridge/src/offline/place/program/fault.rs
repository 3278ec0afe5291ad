//! All that can go wrong with a program: who, what it was asked, what came, and what to do.

use std::fmt;
use std::io;
use std::process::ExitStatus;

use placement::Step;
use placement::policy::obstacle::Obstacle;

use super::child::LINE_BYTES_MAX;
use super::policy::ASKS_MAX;
use super::wire::VERSION;

/// So much of a line is repeated.
const SHOWN_CHARS: usize = 120;

/// A program that decides no more.
#[derive(Debug, thiserror::Error)]
#[error("program {program}, {asked}: {fault}")]
pub struct ProgramError {
    /// Its name.
    pub program: String,
    /// What it was asked.
    pub asked: Asked,
    /// What came.
    #[source]
    pub fault: Box<Fault>,
}

/// What a program was asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// Nothing yet: it was to be started.
    Start,
    /// Whether it is ready.
    Hello,
    /// Where a task goes.
    Task {
        /// The number of the workflow.
        workflow: usize,
        /// The name of the task.
        task: String,
        /// When.
        step: Step,
        /// The same in minutes since the start.
        minute: f64,
    },
}

/// What came instead of an answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The system does not start it.
    #[error(
        "{command} cannot be started: {source}; COMMAND is a file, or a name in PATH, with its arguments"
    )]
    Start {
        /// What was to be started.
        command: String,
        /// What the system says.
        source: io::Error,
    },
    /// It ended.
    #[error("it ended ({0}) before it answered; what it said of that is on stderr")]
    Ended(ExitStatus),
    /// It ended its output, and was killed.
    #[error("it closed its standard output before it answered")]
    Closed,
    /// It takes too long.
    #[error("no answer within {0} s; give it more time with --program-timeout, or make it faster")]
    Silent(u64),
    /// It says things and does not read the answers.
    #[error(
        "it does not read what is written to its standard input; after each line that it writes it has to read one"
    )]
    Unread,
    /// An endless line.
    #[error(
        "it answered with more than {LINE_BYTES_MAX} bytes in one line: {0}; an answer is one short line of JSON"
    )]
    TooLong(Shown),
    /// Something else on its standard output.
    #[error(
        "it answered {line}, which is no JSON ({error}); its standard output is for answers alone, what people are to read goes to stderr"
    )]
    NoJson {
        /// The line.
        line: Shown,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// JSON of another form.
    #[error("it answered {line}, which is no answer ({error}); answers are {}", forms(*.is_ready))]
    NoAnswer {
        /// The line.
        line: Shown,
        /// What is wrong with it.
        error: String,
        /// Whether it has said that it is ready.
        is_ready: bool,
    },
    /// Another version of the protocol.
    #[error(
        "it speaks version {0} of the protocol, this is version {VERSION}; both are told in the first lines"
    )]
    Version(u32),
    /// A node that there is not.
    #[error("it named {name:?}, which is no node; nodes like that: {}; all names are in the hello", .near.join(", "))]
    UnknownNode {
        /// The name.
        name: String,
        /// Names that differ least.
        near: Vec<String>,
    },
    /// A node that cannot have the task.
    #[error(
        "it chose {node} from step {from} on, where the task has no place: {obstacle}; {{\"ask\":\"fits\"}} tells who has"
    )]
    Unfit {
        /// The node.
        node: String,
        /// From when on.
        from: Step,
        /// What speaks against it.
        obstacle: Obstacle,
    },
    /// A moment at which nothing can be.
    #[error("it named step {step} as {what}; {rule}")]
    Moment {
        /// The moment.
        step: Step,
        /// What it was to be.
        what: &'static str,
        /// What it may be.
        rule: String,
    },
    /// A place without a node, or a refusal without a reason.
    #[error("{0}")]
    Empty(&'static str),
    /// Too many questions of its own.
    #[error("it asked more than {ASKS_MAX} times before it answered")]
    TooManyAsks,
}

/// What was said, cut to a length that people read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(pub Vec<u8>);

fn forms(is_ready: bool) -> &'static str {
    if is_ready {
        r#"{"place":[{"node":NAME}]}, {"none":REASON} or {"ask":…}"#
    } else {
        r#"{"ready":1}, with the version of the protocol"#
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.0);
        let short: String = text.chars().take(SHOWN_CHARS).collect();
        let more = if short.len() < text.len() { "…" } else { "" };
        write!(f, "{short:?}{more}")
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => write!(f, "at its start"),
            Self::Hello => write!(f, "asked by the hello whether it is ready"),
            Self::Task { workflow, task, step, minute } => write!(
                f,
                "asked for task {task} of workflow {workflow} in minute {minute} (step {step})"
            ),
        }
    }
}
