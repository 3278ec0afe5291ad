//! `fibonacci`: adds in a loop, nothing else.

use alloc::string::ToString as _;
use alloc::vec::Vec;

use crate::BadInput;
use crate::bad_input::number;

/// Most steps: four times the largest input of the published suite.
const N_MAX: u32 = 10_000_000;

/// The Fibonacci number whose index is the body (decimal), modulo 2^64, as decimal text.
///
/// # Errors
/// [`BadInput`] for anything else than a number up to 10,000,000.
pub fn fibonacci(body: &[u8]) -> Result<Vec<u8>, BadInput> {
    let n = number("fibonacci", body, 0..=N_MAX)?;
    let (mut this, mut next) = (0_u64, 1_u64);
    for _ in 0..n {
        (this, next) = (next, this.wrapping_add(next));
    }
    Ok(this.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(n: &str, expected: &str) {
        assert_eq!(fibonacci(n.as_bytes()).unwrap(), expected.as_bytes());
    }

    #[test]
    fn the_numbers_are_the_known_ones() {
        check("0", "0");
        check("1", "1");
        check("90", "2880067194370816120");
        // F(100) = 354224848179261915075, modulo 2^64.
        check("100", "3736710778780434371");
    }
}
