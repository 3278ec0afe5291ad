//! `primes`: the sieve of Eratosthenes. Strided writes to memory.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use crate::BadInput;
use crate::bad_input::number;

/// Largest number that is looked at; the sieve takes a byte for two.
const N_MAX: u32 = 20_000_000;

/// How many primes there are up to the number in the body (decimal), and the largest: `1229 9973`.
///
/// # Errors
/// [`BadInput`] for anything else than a number from 2 to 20,000,000.
pub fn count(body: &[u8]) -> Result<Vec<u8>, BadInput> {
    let n = number("primes", body, 2..=N_MAX)? as usize;
    // The byte at i stands for 2i + 1; the first is 1, which is no prime and stands for 2.
    let mut is_prime = vec![true; n.div_ceil(2)];
    let mut i = 1;
    while (2 * i + 1) * (2 * i + 1) <= n {
        if is_prime[i] {
            let step = 2 * i + 1;
            let mut multiple = step * step / 2;
            while multiple < is_prime.len() {
                is_prime[multiple] = false;
                multiple += step;
            }
        }
        i += 1;
    }
    let primes = is_prime.iter().filter(|prime| **prime).count();
    let largest = is_prime.iter().rposition(|prime| *prime).unwrap_or(0);
    let largest = if largest == 0 { 2 } else { 2 * largest + 1 };
    Ok(format!("{primes} {largest}").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(n: &str, expected: &str) {
        assert_eq!(count(n.as_bytes()).unwrap(), expected.as_bytes(), "up to {n}");
    }

    #[test]
    fn the_counts_are_the_known_ones() {
        check("2", "1 2");
        check("3", "2 3");
        check("4", "2 3");
        check("9", "4 7");
        check("100", "25 97");
        check("10000", "1229 9973");
        check("1000000", "78498 999983");
    }
}
