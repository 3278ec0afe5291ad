//! `starbelt-agent join`: gets the first certificate of this node.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use agent::config::Config;
use clap::Args;
use secure::client::ClientError;
use secure::hand::{self, TokenError};

/// Exit codes: something else, nobody answers, denied, there is one already, a bad configuration.
const FAILURE: u8 = 1;
const UNREACHABLE: u8 = 4;
const DENIED: u8 = 5;
const CONFLICT: u8 = 6;
const BAD_CONFIG: u8 = 78;

/// What is asked for.
#[derive(Debug, Args)]
pub(super) struct Join {
    /// The configuration of the node; its section `identity` says where key and certificate lie.
    #[arg(long)]
    pub(super) config: PathBuf,
    /// Where members join, if not as identity.controller of the configuration says.
    #[arg(long, value_name = "URL")]
    controller: Option<String>,
    /// A file with the token; without it, the variable STARBELT_JOIN_TOKEN, or stdin. Never an argument: others see those.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// For how long a controller that does not answer is tried again, seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    patience: u64,
}

/// Joins, and says how that went.
#[expect(clippy::print_stderr, reason = "the answer of a verb, for people")]
pub(super) fn join(config: &Config, asked: &Join) -> ExitCode {
    match try_join(config, asked) {
        Ok(until) => {
            eprintln!("{} has joined; its certificate counts until {until:.0}", config.node);
            ExitCode::SUCCESS
        }
        Err((code, message)) => {
            eprintln!("starbelt-agent: {message}");
            ExitCode::from(code)
        }
    }
}

fn try_join(config: &Config, asked: &Join) -> Result<types::Epoch, (u8, String)> {
    let bad = |message: &str| (BAD_CONFIG, message.to_owned());
    let identity = config.identity.as_ref();
    let identity = identity.ok_or_else(|| {
        bad("the configuration has no [identity], which says where key and certificate lie")
    })?;
    let url = asked.controller.as_ref().or(identity.controller.as_ref()).ok_or_else(|| {
        bad("where to join is not known; give --controller https://HOST:PORT or identity.controller")
    })?;
    let token = hand::token(asked.token_file.as_deref()).map_err(|error| match error {
        TokenError::Invalid(_) => (DENIED, error.to_string()),
        TokenError::None | TokenError::Unreadable { .. } => (FAILURE, error.to_string()),
    })?;
    if token.node != config.node {
        let message = format!("the token is for {}, and this node is {}", token.node, config.node);
        return Err((CONFLICT, message));
    }
    let patience = Duration::from_secs(asked.patience);
    let joined = hand::join(&identity.dir, url, &token, patience)
        .map_err(|error| (code(&error), error.to_string()))?;
    let until = types::Epoch::from_unix_s(joined.facts.not_after_s);
    Ok(until.unwrap_or(types::Epoch::from_unix_ns(0)))
}

const fn code(error: &ClientError) -> u8 {
    use secure::identity::IdentityError;
    match error {
        ClientError::Unreachable { .. } => UNREACHABLE,
        ClientError::Refused { .. } | ClientError::OtherAuthority { .. } => DENIED,
        ClientError::Identity(IdentityError::Exists { .. }) => CONFLICT,
        ClientError::Address { .. } => BAD_CONFIG,
        ClientError::Answer { .. } | ClientError::Identity(_) => FAILURE,
    }
}
