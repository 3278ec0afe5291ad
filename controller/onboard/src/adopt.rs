//! Adopting a board: the package of the agent goes there over SSH, is installed, configured, joined and started; whatever fails
//! is undone in reverse.

pub mod perform;
pub mod plan;
pub mod probe;
pub mod remove;
pub mod script;
pub mod step;

use std::path::PathBuf;

use protocol::join::Token;

use crate::node::Node;

/// The package of the agent, as it is on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFile {
    /// Where.
    pub path: PathBuf,
    /// SHA-256 in 64 digits.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// What shall become of a board.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// As what.
    pub node: Node,
    /// The package.
    pub package: PackageFile,
    /// A configuration to use instead of one that is made from `node`.
    pub config: Option<String>,
    /// How it becomes a member.
    pub joins: Joins,
    /// Whether a board of another fleet, or under another name, is taken.
    pub takes_over: bool,
}

/// How a board becomes a member of its fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joins {
    /// Not at all: a fleet without certificates.
    Not,
    /// With this token.
    With(Token),
    /// With a token that is made when the steps turn out to need one.
    Later,
}

impl Joins {
    /// The token, where there is one already.
    pub fn token(&self) -> Option<&Token> {
        match self {
            Self::With(token) => Some(token),
            Self::Not | Self::Later => None,
        }
    }
}

/// Where things are on a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The configuration of the agent.
    pub config: String,
    /// Its state, with the identity below.
    pub state: String,
    /// Key and certificate.
    pub identity: String,
    /// What of an adoption is kept for the next one: the package, to come back to.
    pub cache: String,
    /// Where the package is put before it is installed: on a disk, since memory is short on small boards.
    pub scratch: String,
    /// Where systemd is if it runs.
    pub systemd: String,
}

impl Default for Layout {
    fn default() -> Self {
        Self::below("")
    }
}

impl Layout {
    /// That of a system below a folder; the folder of the root is "".
    pub fn below(root: &str) -> Self {
        let at = |path: &str| format!("{root}{path}");
        Self {
            config: at("/etc/starbelt/agent.toml"),
            state: at("/var/lib/starbelt"),
            identity: at("/var/lib/starbelt/identity"),
            cache: at("/var/cache/starbelt"),
            scratch: at("/var/tmp"),
            systemd: at("/run/systemd/system"),
        }
    }

    /// The folder of one adoption: the same for the same package, so that an interrupted one goes on.
    pub fn staging(&self, package: &PackageFile) -> String {
        let short = package.sha256.get(..16).unwrap_or(&package.sha256);
        format!("{}/starbelt-adopt-{short}", self.scratch)
    }
}

/// What kind of trouble something is, for exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody answers.
    Unreachable,
    /// Not allowed.
    Denied,
    /// It contradicts what is there.
    Conflict,
    /// What was asked for makes no sense.
    Usage,
    /// Something else.
    Failure,
}

/// Why a board is not adopted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind.
    pub trouble: Trouble,
    /// In words.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(trouble: Trouble, message: impl Into<String>) -> Self {
        Self { trouble, message: message.into() }
    }
}
