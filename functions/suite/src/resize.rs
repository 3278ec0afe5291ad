//! `resize`: scales an image by Lanczos' filter. Floating point over memory.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use core::f32::consts::PI;

use crate::{BODY_BYTES_MAX, BadInput};

/// Lobes of the filter on each side.
const LOBES: f32 = 3.0;
/// Bytes of a pixel: red, green, blue.
const CHANNELS: usize = 3;
/// Smallest and largest factor.
const FACTORS: core::ops::RangeInclusive<f32> = 0.1..=8.0;

/// Body: the factor (decimal), a line feed, a portable pixmap (P6 with 8 bits a channel). Answers the scaled pixmap.
///
/// # Errors
/// [`BadInput`] for a body that is not so, a factor out of 0.1 to 8, and an answer of more than 8 MiB.
pub fn resize(body: &[u8]) -> Result<Vec<u8>, BadInput> {
    let bad = |rule: &str| BadInput(format!("resize: {rule}"));
    let (factor, image) = line(body).ok_or_else(|| bad("no line with a factor"))?;
    let factor: Option<f32> = factor.parse().ok().filter(|factor| FACTORS.contains(factor));
    let factor = factor.ok_or_else(|| bad("the factor is no number from 0.1 to 8"))?;
    let image = Image::parse(image).ok_or_else(|| bad("no whole P6 pixmap of 8 bits"))?;
    let (width, height) = (scaled(image.width, factor), scaled(image.height, factor));
    if BODY_BYTES_MAX / CHANNELS < width.saturating_mul(height) {
        return Err(bad("the answer would have more than 8 MiB"));
    }
    let wide = stretch_rows(&image, &taps(image.width, width));
    let mut answer = format!("P6\n{width} {height}\n255\n").into_bytes();
    stretch_columns(&wide, width * CHANNELS, &taps(image.height, height), &mut answer);
    Ok(answer)
}

/// An image that holds together.
struct Image<'a> {
    width: usize,
    height: usize,
    pixels: &'a [u8],
}

impl<'a> Image<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let ("P6", rest) = line(bytes)? else { return None };
        let (size, rest) = line(rest)?;
        let ("255", pixels) = line(rest)? else { return None };
        let (width, height) = size.split_once(' ')?;
        let (width, height) = (width.parse::<usize>().ok()?, height.parse::<usize>().ok()?);
        let bytes = width.checked_mul(height)?.checked_mul(CHANNELS)?;
        (0 < bytes && bytes == pixels.len()).then_some(Self { width, height, pixels })
    }
}

/// The first line as text, and what comes after it.
fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((core::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "sides are below 2^24 and factors positive; a cast of a float saturates"
)]
fn scaled(side: usize, factor: f32) -> usize {
    (libm::roundf(side as f32 * factor) as usize).max(1)
}

/// What makes up one pixel: the first pixel of the source, and the weights of it and those after it.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "sides are below 2^24; what lies outside of the image is cut to it"
)]
fn taps(from: usize, to: usize) -> Vec<Taps> {
    let ratio = from as f32 / to as f32;
    // Shrinking looks at more pixels, so that none is left out.
    let stretch = ratio.max(1.0);
    let reach = LOBES * stretch;
    let one = |at: usize| {
        let center = (at as f32 + 0.5) * ratio - 0.5;
        let first = libm::ceilf((center - reach).max(0.0)) as usize;
        let last = (libm::floorf(center + reach) as usize).min(from - 1);
        let mut weights: Vec<f32> =
            (first..=last).map(|pixel| lanczos((pixel as f32 - center) / stretch)).collect();
        let sum: f32 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= sum;
        }
        Taps { first, weights }
    };
    (0..to).map(one).collect()
}

/// sinc(x) sinc(x / 3) within three lobes.
fn lanczos(x: f32) -> f32 {
    let x = libm::fabsf(x);
    if x < 1e-6 {
        return 1.0;
    }
    if LOBES <= x {
        return 0.0;
    }
    let turn = PI * x;
    LOBES * libm::sinf(turn) * libm::sinf(turn / LOBES) / (turn * turn)
}

fn stretch_rows(image: &Image<'_>, taps: &[Taps]) -> Vec<f32> {
    let mut wide = Vec::with_capacity(image.height * taps.len() * CHANNELS);
    for row in image.pixels.chunks_exact(image.width * CHANNELS) {
        for Taps { first, weights } in taps {
            let mut pixel = [0.0_f32; CHANNELS];
            let source = row[first * CHANNELS..].chunks_exact(CHANNELS);
            for (weight, source) in weights.iter().zip(source) {
                for (sum, value) in pixel.iter_mut().zip(source) {
                    *sum += weight * f32::from(*value);
                }
            }
            wide.extend(pixel);
        }
    }
    wide
}

fn stretch_columns(wide: &[f32], row_values: usize, taps: &[Taps], answer: &mut Vec<u8>) {
    let mut row = vec![0.0_f32; row_values];
    answer.reserve_exact(row_values * taps.len());
    for Taps { first, weights } in taps {
        row.fill(0.0);
        let source = wide[first * row_values..].chunks_exact(row_values);
        for (weight, source) in weights.iter().zip(source) {
            for (sum, value) in row.iter_mut().zip(source) {
                *sum += weight * value;
            }
        }
        answer.extend(row.iter().map(|value| to_byte(*value)));
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates, which is what a filter that overshoots needs"
)]
fn to_byte(value: f32) -> u8 {
    libm::roundf(value) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixmap(factor: &str, width: usize, height: usize, pixels: &[u8]) -> Vec<u8> {
        let head = format!("{factor}\nP6\n{width} {height}\n255\n");
        [head.as_bytes(), pixels].concat()
    }

    #[test]
    fn one_color_stays_one_color_at_any_size() {
        for (factor, width, height) in [("1.5", 12, 9), ("3.0", 24, 18), ("0.5", 4, 3)] {
            let answer = resize(&pixmap(factor, 8, 6, &[200, 10, 255].repeat(48))).unwrap();
            let head = format!("P6\n{width} {height}\n255\n");
            assert_eq!(answer, [head.as_bytes(), &[200, 10, 255].repeat(width * height)].concat());
        }
    }

    #[test]
    fn the_same_size_is_the_same_image() {
        let pixels: Vec<u8> = (0..5 * 7 * 3).collect();
        let body = pixmap("1", 5, 7, &pixels);
        assert_eq!(resize(&body).unwrap(), body[2..]);
    }

    #[test]
    fn an_edge_is_sharp_and_overshoots_as_the_filter_does() {
        let row = [[0, 0, 0], [0, 0, 0], [200, 200, 200], [200, 200, 200]].concat();
        let answer = resize(&pixmap("2", 4, 1, &row)).unwrap();
        let red: Vec<u8> = answer[11..].iter().step_by(3).take(8).copied().collect();
        assert!(red[..3].iter().all(|value| *value < 20), "{red:?}");
        assert!(red[5..].iter().all(|value| 180 < *value), "{red:?}");
        assert!(200 < *red.iter().max().unwrap(), "{red:?}");
    }

    #[test]
    fn what_is_no_image_or_would_be_too_large_is_refused() {
        let whole = pixmap("2", 4, 1, &[0; 12]);
        assert!(resize(&whole).is_ok());
        for body in [&whole[..whole.len() - 1], b"2\nP6\n0 0\n255\n", b"9\nP6\n1 1\n255\n\0\0\0"] {
            assert!(resize(body).is_err());
        }
        let said = resize(&pixmap("8", 512, 512, &[0; 786_432])).unwrap_err();
        assert_eq!(said.0, "resize: the answer would have more than 8 MiB");
    }
}
