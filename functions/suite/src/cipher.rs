//! `encrypt` and `decrypt`: ChaCha20-Poly1305 (RFC 8439), by the crate of `RustCrypto`. Integer arithmetic over all bytes.
//!
//! Body: key (32), nonce (12), the length of what is authenticated but not encrypted (1), that, and the text; to decrypt, the
//! encrypted text with its tag (16) at the end.

use alloc::format;
use alloc::vec::Vec;

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};

use crate::BadInput;

/// Answers the encrypted text and its tag.
///
/// # Errors
/// [`BadInput`] when the body is too short for what it must hold.
pub fn encrypt(body: &[u8]) -> Result<Vec<u8>, BadInput> {
    let Sealed { cipher, nonce, payload } = split("encrypt", body)?;
    let failed = |_| BadInput(format!("encrypt: a text of {} bytes is too long", body.len()));
    cipher.encrypt(&nonce.into(), payload).map_err(failed)
}

/// Answers the text.
///
/// # Errors
/// [`BadInput`] when the body is too short for what it must hold, or is not what somebody with this key encrypted.
pub fn decrypt(body: &[u8]) -> Result<Vec<u8>, BadInput> {
    let Sealed { cipher, nonce, payload } = split("decrypt", body)?;
    let failed = |_| BadInput("decrypt: the tag is not that of this key, nonce and text".into());
    cipher.decrypt(&nonce.into(), payload).map_err(failed)
}

/// The parts of a body.
struct Sealed<'a> {
    cipher: ChaCha20Poly1305,
    nonce: [u8; 12],
    payload: Payload<'a, 'a>,
}

fn split<'a>(what: &str, body: &'a [u8]) -> Result<Sealed<'a>, BadInput> {
    let parts = || {
        let (key, rest) = body.split_first_chunk::<32>()?;
        let (nonce, rest) = rest.split_first_chunk::<12>()?;
        let (length, rest) = rest.split_first()?;
        let (aad, msg) = rest.split_at_checked(usize::from(*length))?;
        let cipher = ChaCha20Poly1305::new(key.into());
        Some(Sealed { cipher, nonce: *nonce, payload: Payload { msg, aad } })
    };
    parts().ok_or_else(|| {
        let bytes = body.len();
        BadInput(format!("{what}: {bytes} bytes are too short for key, nonce, aad and text"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8439, section 2.8.2.
    #[test]
    fn the_answer_is_that_of_the_standard() {
        let key: Vec<u8> = (0x80..0xa0).collect();
        let nonce = [0x07, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47];
        let aad = [0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
        let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
            sunscreen would be it.";
        let head = [&key[..], &nonce, &[12], &aad].concat();
        let sealed = encrypt(&[&head[..], text].concat()).unwrap();
        assert_eq!(sealed[..8], [0xd3, 0x1a, 0x8d, 0x34, 0x64, 0x8e, 0x60, 0xdb]);
        let tag = [
            0x1a, 0xe1, 0x0b, 0x59, 0x4f, 0x09, 0xe2, 0x6a, 0x7e, 0x90, 0x2e, 0xcb, 0xd0, 0x60,
            0x06, 0x91,
        ];
        assert_eq!(sealed[text.len()..], tag);
        let mut body = [&head[..], &sealed].concat();
        assert_eq!(decrypt(&body).unwrap(), text);
        body[head.len()] ^= 1;
        assert!(decrypt(&body).is_err());
        assert!(encrypt(&head[..44]).is_err() && encrypt(&head[..50]).is_err());
    }
}
