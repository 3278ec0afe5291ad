//! `fuzzy-search`: finds a word in a text although letters are wrong, missing or too many. Integer arithmetic on words of 64 bits.

use alloc::format;
use alloc::vec::Vec;

use crate::BadInput;

/// Longest pattern, bytes: the bits of a word.
const PATTERN_BYTES_MAX: usize = 64;
/// Places that are answered; further ones are only counted.
const PLACES_MAX: usize = 64;

/// Body: the pattern, a line feed, how many errors it may have (one digit), a line feed, the text. Answers how many places match
/// and, a line each, where the first 64 end and how many errors they have: `2`, `11 0`, `40 1`.
///
/// # Errors
/// [`BadInput`] for a body that does not begin so, and for a pattern of none or more than 64 bytes.
pub fn search(body: &[u8]) -> Result<Vec<u8>, BadInput> {
    let (pattern, errors_max, text) = split(body).ok_or_else(|| {
        let bytes = body.len();
        BadInput(format!("fuzzy-search: {bytes} bytes without `pattern`, `digit`, text in lines"))
    })?;
    let mut places = 0_usize;
    let mut lines = Vec::new();
    ends(pattern, text, |end, errors| {
        if errors <= errors_max {
            places += 1;
            if places <= PLACES_MAX {
                lines.extend(format!("\n{end} {errors}").into_bytes());
            }
        }
    });
    Ok([format!("{places}").into_bytes(), lines].concat())
}

fn split(body: &[u8]) -> Option<(&[u8], u32, &[u8])> {
    let end = body.iter().position(|byte| *byte == b'\n')?;
    let (pattern, rest) = body.split_at(end);
    let [b'\n', digit @ b'0'..=b'9', b'\n', text @ ..] = rest else { return None };
    let fits = (1..=PATTERN_BYTES_MAX).contains(&pattern.len());
    fits.then_some((pattern, u32::from(digit - b'0'), text))
}

/// Tells for each byte of the text with how few errors the pattern ends there: Myers' algorithm (J. ACM 46, 1999), whose names these are.
fn ends(pattern: &[u8], text: &[u8], mut found: impl FnMut(usize, u32)) {
    let mut peq = [0_u64; 256];
    for (bit, byte) in pattern.iter().enumerate() {
        peq[usize::from(*byte)] |= 1 << bit;
    }
    let last = 1_u64 << (pattern.len() - 1);
    let (mut pv, mut mv) = (u64::MAX, 0_u64);
    let mut score = u32::try_from(pattern.len()).unwrap_or(u32::MAX);
    for (at, byte) in text.iter().enumerate() {
        let eq = peq[usize::from(*byte)];
        let xv = eq | mv;
        let xh = ((eq & pv).wrapping_add(pv) ^ pv) | eq;
        let (ph, mh) = (mv | !(xh | pv), pv & xh);
        score = score + u32::from(ph & last != 0) - u32::from(mh & last != 0);
        let (ph, mh) = (ph << 1, mh << 1);
        pv = mh | !(xv | ph);
        mv = ph & xv;
        found(at + 1, score);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    /// The table of Sellers, row by row.
    fn ends_by_table(pattern: &[u8], text: &[u8]) -> Vec<u32> {
        let mut column: Vec<u32> = (0..).take(pattern.len() + 1).collect();
        let mut answer = vec![];
        for byte in text {
            let mut diagonal = column[0];
            for row in 1..column.len() {
                let change = diagonal + u32::from(pattern[row - 1] != *byte);
                diagonal = column[row];
                column[row] = change.min(column[row] + 1).min(column[row - 1] + 1);
            }
            answer.push(column[pattern.len()]);
        }
        answer
    }

    #[test]
    fn the_fast_way_and_the_table_agree() {
        let mut seed = 7_u32;
        let mut letter = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b'a' + u8::try_from(seed >> 30).unwrap()
        };
        for length in [1, 2, 7, 63, 64] {
            let pattern: Vec<u8> = (0..length).map(|_| letter()).collect();
            let text: Vec<u8> = (0..500).map(|_| letter()).collect();
            let mut fast = vec![];
            ends(&pattern, &text, |_, errors| fast.push(errors));
            assert_eq!(fast, ends_by_table(&pattern, &text), "{length} bytes");
        }
    }

    #[test]
    fn words_are_found_with_their_errors() {
        let answer = search(b"satellite\n1\na satelite is a satellite.").unwrap();
        assert_eq!(answer, b"4\n10 1\n24 1\n25 0\n26 1");
    }
}
