//! The token with which a board joins: carried from stdin to stdin, never in an argument, a log or a message.

use std::fmt;
use std::io::{self, Read};

use types::NodeId;

/// Longest text that is read for a token, bytes; a token has less than 200.
const BYTES_MAX: u64 = 1024;
/// First word of the tokens that are known: `sbj1.NODE.ID.SECRET.AUTHORITY`, see decision 0024.
const VERSION: &str = "sbj1";

/// A join token. It shows its secret to nobody but [`Token::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    text: String,
    node: NodeId,
    authority: String,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("node", &self.node).finish_non_exhaustive()
    }
}

/// Why there is no token. Never holds the text: it may be a token with a slip of the pen.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Something else.
    #[error("this is no join token: {0}; copy the whole line that `starbelt node token` printed")]
    Malformed(&'static str),
    /// Nothing can be read.
    #[error("the token cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

impl Token {
    /// Reads one.
    ///
    /// # Errors
    /// [`TokenError`]
    pub fn read(from: impl Read) -> Result<Self, TokenError> {
        let mut text = String::new();
        from.take(BYTES_MAX).read_to_string(&mut text)?;
        Self::parse(&text)
    }

    /// Reads one from text.
    ///
    /// # Errors
    /// [`TokenError::Malformed`]
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let parts: Vec<&str> = text.split('.').collect();
        let [version, node, id, secret, authority] = parts.as_slice() else {
            return Err(TokenError::Malformed("it has five parts with dots between"));
        };
        if *version != VERSION {
            return Err(TokenError::Malformed("it does not begin with sbj1"));
        }
        let node = node.parse();
        let node =
            node.map_err(|_name| TokenError::Malformed("its second part is no node name"))?;
        let is_hex = |part: &str, digits: usize| {
            part.len() == digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !is_hex(id, 16) || !is_hex(secret, 32) || !is_hex(authority, 64) {
            let rule = "its last parts have 16, 32 and 64 hexadecimal digits";
            return Err(TokenError::Malformed(rule));
        }
        Ok(Self { node, authority: (*authority).to_owned(), text: text.to_owned() })
    }

    /// The name that the board will have.
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// SHA-256 of the certificate of the fleet's authority, in 64 digits.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The text with its secret, for the stdin of `starbelt-agent join`, or for a card.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_who_and_where_and_hides_the_rest() {
        let secret = "00112233445566778899aabbccddeeff";
        let text = format!("sbj1.sat-1.0123456789abcdef.{secret}.{}\n", "ab".repeat(32));
        let token = Token::read(text.as_bytes()).unwrap();
        assert_eq!((token.node().as_str(), token.authority()), ("sat-1", &*"ab".repeat(32)));
        assert_eq!(token.expose(), text.trim());
        assert!(!format!("{token:?}").contains(secret));
    }

    #[test]
    fn what_is_no_token_is_named_without_being_shown() {
        let short = format!("sbj1.sat-1.0123.{}.{}", "a".repeat(32), "b".repeat(64));
        let other = short.replace("sbj1", "sbj2");
        for (text, rule) in [
            ("", "five parts"),
            (other.as_str(), "begin with sbj1"),
            (short.as_str(), "16, 32 and 64"),
            ("sbj1.No Name.a.b.c", "no node name"),
        ] {
            let error = Token::parse(text).unwrap_err().to_string();
            assert!(error.contains(rule), "{error}");
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }
}
