//! How data are to be handled: who may see them, and where they may be.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::id::texts;

/// Longest label, in bytes.
pub const LABEL_BYTES_MAX: usize = 64;

/// Who may see data, from the least to the most confidential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataClass {
    /// Everybody.
    Public,
    /// Who runs the fleet.
    #[default]
    Internal,
    /// The tenant.
    Confidential,
    /// The function.
    Restricted,
}

impl DataClass {
    /// It in one word, as files have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Confidential => "confidential",
            Self::Restricted => "restricted",
        }
    }
}

/// A text that is no label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("label {0:?} is not 1 to 64 characters of A-Z, a-z, 0-9, '.', '_', '-' and '/'")]
pub struct InvalidLabel(pub String);

/// Whether a text can be the name of something in a manifest: it has no control characters, and none that mean more on
/// the bus than themselves.
pub fn is_label(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    (1..=LABEL_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_plain)
}

fn label(text: &str) -> Result<(), InvalidLabel> {
    is_label(text).then_some(()).ok_or_else(|| InvalidLabel(text.chars().take(64).collect()))
}

texts! {
    /// Where a node stands or data may be, as far as law or contract goes: a label that whoever runs the fleet chooses.
    Region: InvalidLabel = label;
}
