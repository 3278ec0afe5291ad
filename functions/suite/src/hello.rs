//! `hello-world`: greets.

use alloc::vec::Vec;

use crate::BadInput;

/// Greets the name in the body; the world without one.
///
/// # Errors
/// Never; the signature is that of all functions.
pub fn hello(body: &[u8]) -> Result<Vec<u8>, BadInput> {
    let name = if body.is_empty() { b"world" } else { body };
    Ok([b"Hello, ", name, b"!"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_greets() {
        assert_eq!(hello(b"").unwrap(), b"Hello, world!");
        assert_eq!(hello(b"Ada").unwrap(), b"Hello, Ada!");
    }
}
