//! `mandelbrot`: the set as a bitmap, after the Computer Language Benchmarks Game. Floating point and branches that nobody can
//! foretell.

use alloc::format;
use alloc::vec::Vec;

use crate::BadInput;
use crate::bad_input::number;

/// Largest side: 2 MiB of bits.
const SIDE_MAX: u32 = 4_096;
/// A point that has not left by then belongs to the set.
const ITERATIONS: u32 = 50;
/// The square of the distance from which a point never comes back.
const ESCAPED: f64 = 4.0;

/// The set in [-1.5, 0.5) × [-1, 1) with so many pixels a side as the body says (decimal): a portable bitmap (P4).
///
/// # Errors
/// [`BadInput`] for anything else than a number from 1 to 4,096.
pub fn draw(body: &[u8]) -> Result<Vec<u8>, BadInput> {
    let side = number("mandelbrot", body, 1..=SIDE_MAX)?;
    let mut image = format!("P4\n{side} {side}\n").into_bytes();
    let scale = 2.0 / f64::from(side);
    for y in 0..side {
        let imaginary = f64::from(y) * scale - 1.0;
        for byte in 0..side.div_ceil(8) {
            let mut bits = 0_u8;
            for x in 8 * byte..8 * byte + 8 {
                let inside = x < side && belongs(f64::from(x) * scale - 1.5, imaginary);
                bits = bits << 1 | u8::from(inside);
            }
            image.push(bits);
        }
    }
    Ok(image)
}

fn belongs(c_real: f64, c_imaginary: f64) -> bool {
    let (mut real, mut imaginary) = (0.0_f64, 0.0_f64);
    for _ in 0..ITERATIONS {
        let (real_squared, imaginary_squared) = (real * real, imaginary * imaginary);
        if ESCAPED < real_squared + imaginary_squared {
            return false;
        }
        imaginary = 2.0 * real * imaginary + c_imaginary;
        real = real_squared - imaginary_squared + c_real;
    }
    real * real + imaginary * imaginary <= ESCAPED
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points of the set among so many pixels a side, and FNV-1a of the file.
    #[track_caller]
    fn check(side: &str, points: u32, hash: u64) {
        let image = draw(side.as_bytes()).unwrap();
        let header = 2 * side.len() + 5;
        let found: u32 = image[header..].iter().map(|byte| byte.count_ones()).sum();
        let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let fnv = image.iter().fold(0xcbf2_9ce4_8422_2325, fnv);
        assert_eq!((found, fnv), (points, hash), "{found} {fnv:#x}");
    }

    /// Both sums are of another implementation, in Python, which has the same floating point.
    #[test]
    fn the_set_is_the_known_one() {
        check("200", 15_899, 0x3ae1_0677_7128_5c5f);
        check("13", 66, 0x074b_75a6_f283_053f);
    }
}
