//! Bytes as hexadecimal text, and back.

use serde::{Deserialize as _, Deserializer, Serializer};

/// Bytes as hexadecimal text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// Hexadecimal text as bytes.
pub(crate) fn unhex_all(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pairs = text.as_bytes().chunks_exact(2).filter(|_| is_hex);
    let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    if is_hex { bytes.collect() } else { None }
}

/// Hexadecimal text of 64 digits as bytes.
pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex {
        return None;
    }
    let mut bytes = [0; 32];
    for (slot, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *slot = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Writes 32 bytes as text.
pub(crate) fn write_hex<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex(bytes))
}

/// Reads 32 bytes from text.
pub(crate) fn read_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let text = String::deserialize(deserializer)?;
    unhex(&text).ok_or_else(|| serde::de::Error::custom("32 bytes have 64 hexadecimal digits"))
}
