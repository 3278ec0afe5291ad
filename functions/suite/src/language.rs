//! `language-detection`: which language a text is in, by the trigrams of the crate `whatlang`. Tables, hashing and Unicode.

use alloc::format;
use alloc::vec::Vec;

use crate::BadInput;

/// Answers the language of the text in the body (UTF-8) by its code of ISO 639-3: `eng`.
///
/// # Errors
/// [`BadInput`] when the body is no text, or one without any letter that tells.
pub fn detect(body: &[u8]) -> Result<Vec<u8>, BadInput> {
    let text = core::str::from_utf8(body).map_err(|error| {
        let at = error.valid_up_to();
        BadInput(format!("language-detection: no UTF-8 from byte {at} on"))
    })?;
    let language = whatlang::detect_lang(text);
    let unknown = || BadInput("language-detection: the text shows no language".into());
    language.map(|language| language.code().as_bytes().to_vec()).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Article 1 of the Universal Declaration of Human Rights.
    #[test]
    fn languages_are_told_apart() {
        let texts = [
            ("eng", "All human beings are born free and equal in dignity and rights."),
            ("deu", "Alle Menschen sind frei und gleich an Würde und Rechten geboren."),
            ("fra", "Tous les êtres humains naissent libres et égaux en dignité et en droits."),
            ("spa", "Todos los seres humanos nacen libres e iguales en dignidad y derechos."),
            ("ell", "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια."),
        ];
        for (code, text) in texts {
            assert_eq!(detect(text.as_bytes()).unwrap(), code.as_bytes());
        }
        assert!(detect(b"12345").is_err() && detect(b"\xff").is_err());
    }
}
