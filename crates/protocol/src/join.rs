//! Joining a fleet: the token that lets one machine in, and who belongs to the fleet.
//!
//! A token is text that a person carries from the controller to a machine: `sbj1.NODE.ID.SECRET.CA`. It says which name
//! the machine will have, holds a secret that is good for one certificate, and the hash by which the machine knows the
//! fleet's authority before it tells it anything. Nothing here draws, hashes or signs: shells do.

use alloc::borrow::ToOwned as _;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};
use types::{LeaderEpoch, NodeId};

use crate::codec::{Message, Schema};

/// First word of a token; another version has another one.
pub const TOKEN_VERSION: &str = "sbj1";
/// Longest token: the version, a name of 63 bytes, and 16, 32 and 64 digits.
pub const TOKEN_BYTES_MAX: usize = 4 + 1 + 63 + 1 + 16 + 1 + 32 + 1 + 64;
/// Most members of a fleet: its nodes, the controller, the emulation's bridge, and those who only look.
pub const MEMBERS_MAX: usize = 512;
/// Most names, and most keys, that a fleet remembers as revoked; they are never forgotten.
pub const REVOKED_MAX: usize = 1024;

/// Names a token where its secret must not be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub [u8; 8]);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// What lets one machine in, once.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The name of the machine, and the CN of its certificate.
    pub node: NodeId,
    /// Which token this is.
    pub id: TokenId,
    /// Known to whoever carries the token; the controller keeps its hash only.
    pub secret: [u8; 16],
    /// SHA-256 of the certificate (DER) of the fleet's authority.
    pub authority: [u8; 32],
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("node", &self.node)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Text that is no token. Never holds the text: it may be one with a slip of the pen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no join token: {0}; copy the whole line that `starbelt node token` printed")]
pub struct InvalidToken(pub &'static str);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TOKEN_VERSION}.{}.{}.", self.node, self.id)?;
        write_hex(f, &self.secret)?;
        f.write_str(".")?;
        write_hex(f, &self.authority)
    }
}

impl core::str::FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let text = text.trim();
        if TOKEN_BYTES_MAX < text.len() {
            return Err(InvalidToken("it is too long"));
        }
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or(InvalidToken("it has five parts with dots between"));
        if next()? != TOKEN_VERSION {
            return Err(InvalidToken("it does not begin with sbj1"));
        }
        let node = NodeId::new(next()?);
        let node = node.map_err(|_name| InvalidToken("its second part is no node name"))?;
        let digits = InvalidToken("its last parts have 16, 32 and 64 hexadecimal digits");
        let id = TokenId(unhex(next()?).ok_or(digits)?);
        let secret = unhex(next()?).ok_or(digits)?;
        let authority = unhex(next()?).ok_or(digits)?;
        match parts.next() {
            None => Ok(Self { node, id, secret, authority }),
            Some(_) => Err(InvalidToken("it has more than five parts")),
        }
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    // Lower case only: one token has one text.
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

/// Whether two secrets, or their hashes, are equal; takes as long wherever they differ.
#[must_use]
pub fn is_same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let differing = a.iter().zip(b).fold(0, |differing, (a, b)| differing | (a ^ b));
    core::hint::black_box(differing) == 0
}

/// What a member may do on the bus; the rules are in [`crate::access`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Writes below its own key, calls others.
    Node,
    /// A node through which others are reached: it also passes on what they write, and is believed in that.
    Relay,
    /// Commands.
    Controller,
    /// The emulation: writes `_sim/**`, on sessions of its own.
    Bridge,
    /// Reads reports and events.
    Viewer,
}

/// One of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name, and the CN of its certificate.
    pub name: NodeId,
    /// What it may do.
    pub role: Role,
}

/// Who belongs to the fleet, and who does not any more. The controller keeps it, nodes remember the newest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// The controller's incarnation; a list of a lower one is refused.
    pub epoch: LeaderEpoch,
    /// Counts changes; a lower one of the same epoch is refused.
    pub serial: u64,
    /// In order of name; who was revoked is not among them.
    pub members: Vec<Member>,
    /// Names that are never let in again.
    pub revoked: Vec<NodeId>,
    /// SHA-256 of the public keys (the bits of subjectPublicKey) with which nobody is let in again.
    pub keys: Vec<[u8; 32]>,
}

impl Members {
    /// The role of a member; `None` for whoever is none, or was revoked.
    pub fn role(&self, name: &str) -> Option<Role> {
        if self.revoked.iter().any(|revoked| revoked.as_str() == name) {
            return None;
        }
        self.members.iter().find(|member| member.name.as_str() == name).map(|member| member.role)
    }

    /// Whether this list is newer than another.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (other.epoch, other.serial) < (self.epoch, self.serial)
    }

    /// The newer list, with everything that either says is revoked: a revocation is never taken back.
    #[must_use]
    pub fn merged(self, other: &Self) -> Self {
        let (mut newer, older) =
            if other.is_newer_than(&self) { (other.clone(), &self) } else { (self, other) };
        for name in &older.revoked {
            if !newer.revoked.contains(name) && newer.revoked.len() < REVOKED_MAX {
                newer.revoked.push(name.to_owned());
            }
        }
        for key in &older.keys {
            if !newer.keys.contains(key) && newer.keys.len() < REVOKED_MAX {
                newer.keys.push(*key);
            }
        }
        newer
    }
}

impl Message for Members {
    const SCHEMA: Schema = Schema::Members;
    const BYTES_MAX: usize = 192 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        if MEMBERS_MAX < self.members.len() {
            return Err("a fleet has at most 512 members");
        }
        if REVOKED_MAX < self.revoked.len() || REVOKED_MAX < self.keys.len() {
            return Err("a fleet revokes at most 1024 names and keys");
        }
        let is_ordered = self.members.is_sorted_by(|a, b| a.name < b.name);
        is_ordered.then_some(()).ok_or("members are in order of name, each once")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::{String, ToString as _};
    use alloc::vec;

    fn token() -> Token {
        Token {
            node: NodeId::new("sat-1").unwrap(),
            id: TokenId([1, 2, 3, 4, 5, 6, 7, 0xff]),
            secret: [0xa5; 16],
            authority: [0x0f; 32],
        }
    }

    #[test]
    fn a_token_is_one_line_and_reads_back() {
        let text = token().to_string();
        let (secret, authority) = ("a5".repeat(16), "0f".repeat(32));
        assert_eq!(text, format!("sbj1.sat-1.01020304050607ff.{secret}.{authority}"));
        assert_eq!(format!(" {text}\n").parse(), Ok(token()));
        let longest = Token { node: NodeId::new(&"n".repeat(63)).unwrap(), ..token() };
        assert_eq!(longest.to_string().len(), TOKEN_BYTES_MAX);
        assert_eq!(longest.to_string().parse(), Ok(longest));
    }

    #[test]
    fn its_secret_is_not_in_its_debug_text_nor_in_errors() {
        assert!(!format!("{:?}", token()).contains("a5"), "{:?}", token());
        let bad = token().to_string().replace("sbj1", "sbj2").parse::<Token>().unwrap_err();
        assert!(!bad.to_string().contains("a5a5"));
    }

    #[test]
    fn what_is_no_token_is_refused_with_the_part() {
        let good = token().to_string();
        for (bad, part) in [
            (String::new(), "sbj1"),
            ("sbj1".to_owned(), "five parts"),
            (good.replace("sbj1", "sbj9"), "sbj1"),
            (good.replace("sat-1", "Sat_1"), "node name"),
            (good.replace("a5", "A5"), "digits"),
            (good.replace("ff.", "fg."), "digits"),
            (good[..good.len() - 1].to_owned(), "digits"),
            (format!("{good}."), "more than five"),
            ("s".repeat(1000), "too long"),
        ] {
            let error = bad.parse::<Token>().unwrap_err();
            assert!(error.to_string().contains(part), "{bad}: {error}");
        }
    }

    #[test]
    fn equal_is_equal_in_every_bit() {
        let a = [7; 32];
        assert!(is_same(&a, &a.clone()));
        for at in 0..32 {
            for bit in 0..8 {
                let mut b = a;
                b[at] ^= 1 << bit;
                assert!(!is_same(&a, &b), "byte {at} bit {bit}");
            }
        }
    }

    fn members(epoch: u64, serial: u64, revoked: &[&str], keys: &[u8]) -> Members {
        let member = |name: &str| Member { name: NodeId::new(name).unwrap(), role: Role::Node };
        Members {
            epoch: LeaderEpoch(epoch),
            serial,
            members: vec![member("a"), member("b")],
            revoked: revoked.iter().map(|name| NodeId::new(name).unwrap()).collect(),
            keys: keys.iter().map(|key| [*key; 32]).collect(),
        }
    }

    #[test]
    fn the_newest_list_counts_and_revocations_of_all() {
        let (old, new) = (members(1, 9, &["x"], &[1]), members(2, 1, &["y"], &[2]));
        for merged in [old.clone().merged(&new), new.clone().merged(&old)] {
            assert_eq!((merged.epoch, merged.serial), (new.epoch, new.serial));
            assert_eq!(merged.revoked.len(), 2);
            assert_eq!(merged.keys, [[2; 32], [1; 32]]);
        }
        assert_eq!(new.role("a"), Some(Role::Node));
        assert_eq!(members(1, 1, &["a"], &[]).role("a"), None, "revoked, whatever the list says");
        assert_eq!(new.role("c"), None);
    }
}
