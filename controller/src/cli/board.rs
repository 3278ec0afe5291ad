//! What `starbelt adopt` and `starbelt flash` have in common: what a board shall be, and with what it joins.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use onboard::adopt::Joins;
use onboard::node::{Node, identity_dir};
use protocol::join::Token;
use secure::hand;
use types::{FleetId, NodeId, NodeKind};

use super::CliError;
use super::client::Client;
use super::member::{new_token, no_token};
use crate::exit_code;

/// Longest configuration, bytes.
const CONFIG_BYTES_MAX: u64 = 64 * 1024;

/// What a board shall be.
#[derive(Debug, Args)]
pub(super) struct As {
    /// Its name; without it that of the token.
    #[arg(long)]
    name: Option<NodeId>,
    /// Its fleet, as in the controller's configuration.
    #[arg(long, default_value = "main")]
    pub(super) fleet: FleetId,
    /// What it is.
    #[arg(long, value_enum, default_value_t = Kind::Edge)]
    kind: Kind,
    /// Whom it dials, like tls/10.0.0.1:7447; may be given again.
    #[arg(long, value_name = "ENDPOINT")]
    connect: Vec<String>,
    /// Where it listens, like tls/0.0.0.0:7447; may be given again.
    #[arg(long, value_name = "ENDPOINT")]
    listen: Vec<String>,
    /// Where it joins, like https://10.0.0.1:7449.
    #[arg(long, value_name = "URL")]
    join: Option<String>,
    /// A host name or IP address under which others dial it, where it listens; may be given again.
    #[arg(long = "address", value_name = "HOST")]
    addresses: Vec<String>,
    /// Its whole configuration, instead of one made from these.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["connect", "listen", "join"])]
    config: Option<PathBuf>,
    /// A file with its join token, or - for stdin; without it, the controller is asked for one. Never an argument: others see those.
    #[arg(long, value_name = "FILE", conflicts_with = "addresses")]
    token_file: Option<PathBuf>,
    /// It does not join: for fleets without certificates.
    #[arg(long, conflicts_with_all = ["token_file", "join", "addresses"])]
    no_join: bool,
}

/// What a board is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Satellite,
    GroundStation,
    Edge,
    Cloud,
}

impl From<Kind> for NodeKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Satellite => Self::Satellite,
            Kind::GroundStation => Self::GroundStation,
            Kind::Edge => Self::Edge,
            Kind::Cloud => Self::Cloud,
        }
    }
}

/// What a board shall be, read and checked.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) node: Node,
    pub(super) config: Option<String>,
    pub(super) joins: Joins,
}

impl As {
    /// The name, if it is given.
    pub(super) fn name(&self) -> Option<&NodeId> {
        self.name.as_ref()
    }

    /// Reads what files say.
    pub(super) fn read(&self) -> Result<Board, CliError> {
        let token = self.token_file.as_deref().map(token).transpose()?;
        let config = self.config.as_deref().map(text).transpose()?;
        let of_config = config.as_deref().and_then(|text| onboard::node::named(text).ok());
        let of_token = token.as_ref().map(|token| token.node.clone());
        let name = self.name.clone().or(of_token).or_else(|| of_config.map(|of| of.name));
        let name = name.ok_or_else(|| usage("which node? Give --name, or a token"))?;
        let has_identity = config.as_deref().is_none_or(|config| identity_dir(config).is_some());
        let joins = match token {
            _ if self.no_join || !has_identity => Joins::Not,
            Some(token) => Joins::With(token),
            None => Joins::Later,
        };
        if config.is_none() {
            self.check(&joins)?;
        }
        let node = Node {
            name,
            fleet: self.fleet.clone(),
            kind: self.kind.into(),
            listen: self.listen.clone(),
            connect: self.connect.clone(),
            join: self.join.clone(),
        };
        Ok(Board { node, config, joins })
    }

    /// What a configuration that is made here needs.
    fn check(&self, joins: &Joins) -> Result<(), CliError> {
        if *joins != Joins::Not && self.join.is_none() {
            return Err(usage("where does it join? Give --join https://HOST:PORT, or --no-join"));
        }
        if self.connect.is_empty() && self.listen.is_empty() {
            return Err(usage("whom does it dial? Give --connect tls/HOST:PORT"));
        }
        // Its certificate names the addresses: without them nobody who dials it believes it.
        if *joins == Joins::Later && !self.listen.is_empty() && self.addresses.is_empty() {
            return Err(usage("under which address do others dial it? Give --address HOST"));
        }
        Ok(())
    }

    /// A token of the controller, good for so many minutes.
    pub(super) fn new_token(
        &self,
        client: &Client,
        name: &NodeId,
        minutes: u32,
    ) -> Result<Token, CliError> {
        let made = new_token(client, name, (&self.addresses, minutes * 60));
        let made = made.map_err(|error| {
            let message = format!("no join token for {name}: {error}; or give --token-file");
            CliError::new(error.code, message)
        })?;
        let token = made.value.token.parse::<Token>();
        token.map_err(|error| CliError::new(exit_code::FAILURE, format!("the controller: {error}")))
    }

    /// These options again, as words of a command line.
    pub(super) fn words(&self, name: &NodeId) -> Vec<String> {
        let mut words = Vec::new();
        let mut add = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
        add("--name", name.to_string());
        add("--fleet", self.fleet.to_string());
        if self.kind != Kind::Edge {
            add("--kind", NodeKind::from(self.kind).to_string());
        }
        let lists = [
            ("--connect", &self.connect),
            ("--listen", &self.listen),
            ("--address", &self.addresses),
        ];
        for (flag, values) in lists {
            values.iter().for_each(|value| add(flag, value.clone()));
        }
        self.join.iter().for_each(|url| add("--join", url.clone()));
        for (flag, file) in [("--config", &self.config), ("--token-file", &self.token_file)] {
            file.iter().for_each(|file| add(flag, file.display().to_string()));
        }
        if self.no_join {
            words.push("--no-join".to_owned());
        }
        words
    }
}

pub(super) fn usage(rule: &str) -> CliError {
    CliError::new(exit_code::USAGE, rule)
}

/// A problem with a file.
pub(super) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> CliError {
    let path = path.display().to_string();
    move |error| CliError::new(exit_code::FAILURE, format!("{path}: {error}"))
}

fn token(path: &Path) -> Result<Token, CliError> {
    let read = match path.as_os_str() == "-" {
        true => hand::token_from(io::stdin().lock(), "stdin"),
        false => hand::token(Some(path)),
    };
    read.map_err(|error| no_token(&error))
}

/// A short text file.
pub(super) fn text(path: &Path) -> Result<String, CliError> {
    let length = fs::metadata(path).map_err(unreadable(path))?.len();
    if CONFIG_BYTES_MAX < length {
        let rule = format!("{}: {length} bytes are more than {CONFIG_BYTES_MAX}", path.display());
        return Err(usage(&rule));
    }
    fs::read_to_string(path).map_err(unreadable(path))
}

/// How to stop on Ctrl-C.
pub(super) fn interrupt() -> Result<onboard::interrupt::Interrupt, CliError> {
    onboard::interrupt::Interrupt::of_signals()
        .map_err(|error| CliError::new(exit_code::FAILURE, format!("no signals: {error}")))
}
