//! Joining by hand: where a person puts the token, and tries until a controller answers.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use protocol::join::{InvalidToken, TOKEN_BYTES_MAX, Token};

use crate::client::{self, ClientError};
use crate::identity::Identity;

/// The variable that may hold the token.
pub const TOKEN_VARIABLE: &str = "STARBELT_JOIN_TOKEN";
/// First and longest pause between two tries.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Nobody gave one.
    #[error("give the token with --token-file, in {TOKEN_VARIABLE}, or on stdin")]
    None,
    /// It cannot be read.
    #[error("{from}: {source}")]
    Unreadable {
        /// From where.
        from: String,
        /// Why not.
        source: io::Error,
    },
    /// It is none.
    #[error(transparent)]
    Invalid(#[from] InvalidToken),
}

/// The token: of the file, else of the variable, else from stdin. Never an argument, since others see those.
///
/// # Errors
/// [`TokenError`].
pub fn token(file: Option<&Path>) -> Result<Token, TokenError> {
    if let Some(file) = file {
        let from = file.display().to_string();
        return match File::open(file) {
            Ok(file) => token_from(file, &from),
            Err(source) => Err(TokenError::Unreadable { from, source }),
        };
    }
    if let Ok(text) = std::env::var(TOKEN_VARIABLE) {
        return Ok(text.parse()?);
    }
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(TokenError::None);
    }
    token_from(stdin.lock(), "stdin")
}

/// The token that something holds; `name` is what it is called in errors.
///
/// # Errors
/// [`TokenError`].
pub fn token_from(holder: impl Read, name: &str) -> Result<Token, TokenError> {
    let mut text = String::new();
    // Spaces and a line's end may follow; what is longer is none.
    let most = 2 * u64::try_from(TOKEN_BYTES_MAX).unwrap_or(u64::MAX);
    let read = holder.take(most).read_to_string(&mut text);
    read.map_err(|source| TokenError::Unreadable { from: name.to_owned(), source })?;
    Ok(text.parse()?)
}

/// Joins as [`client::join`] does, and tries again for so long while nobody answers. Blocks.
///
/// # Errors
/// [`ClientError`], that of the last try.
pub fn join(
    dir: &Path,
    url: &str,
    token: &Token,
    patience: Duration,
) -> Result<Identity, ClientError> {
    let started = Instant::now();
    let (mut pause, longest) = PAUSE;
    loop {
        let error = match client::join(dir, url, token) {
            Ok(joined) => return Ok(joined),
            Err(error) => error,
        };
        if !error.may_pass() || patience < started.elapsed() + pause {
            return Err(error);
        }
        tracing::warn!(%error, "trying again");
        std::thread::sleep(pause);
        pause = (pause * 2).min(longest);
    }
}
