//! A quadratic through the ranges of a minute.

use topology::RangeSegment;

/// Seconds of a segment.
const MINUTE_S: f64 = 60.0;
/// Samples show the error of a fit at their own times; what lies between is at most so much more (tested at each second).
const BETWEEN: f64 = 1.25;
/// The error that is said where less than three positions of a minute are known, km: what light needs a second for.
const UNKNOWN_KM: f64 = 300_000.0;

/// Least squares over equidistant samples of a minute, both ends included.
#[derive(Debug)]
pub(super) struct Fit {
    /// The times of the samples as parts of the minute.
    parts: Vec<f64>,
    /// The rows give the coefficients from the samples.
    rows: Vec<[f64; 3]>,
}

impl Fit {
    pub(super) fn new(per_minute: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "at most 61 samples")]
        let part = |sample: usize| sample as f64 / per_minute as f64;
        let parts: Vec<f64> = (0..=per_minute).map(part).collect();
        // (A^T A)^-1 A^T with A = [1 x x^2], by the sums of powers.
        let mut power = [0.0; 5];
        for x in &parts {
            for (k, sum) in (0..).zip(&mut power) {
                *sum += x.powi(k);
            }
        }
        let inverse = inverse([
            [power[0], power[1], power[2]],
            [power[1], power[2], power[3]],
            [power[2], power[3], power[4]],
        ]);
        let row = |x: &f64| inverse.map(|[p, q, r]| p + q * x + r * x * x);
        let rows = parts.iter().map(row).collect();
        Self { parts, rows }
    }

    /// The quadratic nearest to the ranges, km.
    pub(super) fn of(&self, ranges_km: &[f64]) -> RangeSegment {
        if ranges_km.iter().any(|km| !km.is_finite()) {
            return unknown(ranges_km);
        }
        let mut c = [0.0; 3];
        for (row, km) in self.rows.iter().zip(ranges_km) {
            for (sum, weight) in c.iter_mut().zip(row) {
                *sum += weight * km;
            }
        }
        let off = |(x, km): (&f64, &f64)| (c[0] + (c[1] + c[2] * x) * x - km).abs();
        let error_km = self.parts.iter().zip(ranges_km).map(off).fold(0.0, f64::max);
        let c = [c[0], c[1] / MINUTE_S, c[2] / MINUTE_S / MINUTE_S];
        RangeSegment { c, error_km_max: error_km * BETWEEN }
    }
}

/// The mean of what is known of a satellite that came down or up within the minute.
fn unknown(ranges_km: &[f64]) -> RangeSegment {
    let known = || ranges_km.iter().filter(|km| km.is_finite());
    #[expect(clippy::cast_precision_loss, reason = "at most 61 samples")]
    let mean = known().sum::<f64>() / known().count().max(1) as f64;
    RangeSegment { c: [mean, 0.0, 0.0], error_km_max: UNKNOWN_KM }
}

/// The inverse of a symmetric matrix, by its adjugate.
fn inverse(m: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let minor = |r: usize, c: usize| {
        let (r1, r2, c1, c2) = ((r + 1) % 3, (r + 2) % 3, (c + 1) % 3, (c + 2) % 3);
        m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
    };
    let determinant: f64 = (0..3).map(|c| m[0][c] * minor(0, c)).sum();
    [0, 1, 2].map(|r| [0, 1, 2].map(|c| minor(c, r) / determinant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quadratic_is_found_exactly() {
        for per_minute in [6, 10, 60] {
            let fit = Fit::new(per_minute);
            let ranges: Vec<f64> = fit
                .parts
                .iter()
                .map(|x| 900.0 - 3.0 * (x * 60.0) + 0.07 * (x * 60.0).powi(2))
                .collect();
            let got = fit.of(&ranges);
            for (c, expected) in got.c.iter().zip([900.0, -3.0, 0.07]) {
                assert!((c - expected).abs() < 1e-9, "{got:?}");
            }
            assert!(got.error_km_max < 1e-9);
        }
    }

    #[test]
    fn what_is_not_known_is_said_to_be_uncertain() {
        let got = Fit::new(6).of(&[700.0, 800.0, f64::NAN, f64::NAN, f64::NAN, f64::NAN, f64::NAN]);
        assert_eq!(got.c.map(f64::to_bits), [750.0_f64, 0.0, 0.0].map(f64::to_bits));
        assert!(1e5 < got.error_km_max);
    }
}
