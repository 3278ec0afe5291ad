//! Means and how sure they are.

use serde::Serialize;

use crate::offline::report::real;

/// A mean with its 95 % confidence interval (Student's t).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Half of the width of the interval; absent for a single number.
    pub ci95: Option<f64>,
    /// Of how many numbers.
    pub of: usize,
}

impl Estimate {
    /// Of numbers; `None` without any.
    pub fn of(numbers: &[f64]) -> Option<Self> {
        let of = numbers.len();
        let mean = numbers.iter().sum::<f64>() / real(of);
        let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
        let ci95 = (1 < of).then(|| {
            let deviation = (squares / real(of - 1)).sqrt();
            t_975(of - 1) * deviation / real(of).sqrt()
        });
        (0 < of).then_some(Self { mean, ci95, of })
    }

    /// Of a ratio of means, given both numbers of each run, by the delta method (Cochran 1977, 6.4); `None` where the second ones are all 0.
    pub fn of_ratio(pairs: &[(f64, f64)]) -> Option<Self> {
        let sum = |number: fn(&(f64, f64)) -> f64| pairs.iter().map(number).sum::<f64>();
        let (above, below) = (sum(|pair| pair.0), sum(|pair| pair.1));
        if below <= 0.0 {
            return None;
        }
        let mean = above / below;
        let rests: Vec<_> = pairs.iter().map(|pair| pair.0 - mean * pair.1).collect();
        let ci95 = Self::of(&rests)?.ci95.map(|half| half * real(pairs.len()) / below);
        Some(Self { mean, ci95, of: pairs.len() })
    }

    /// Whether 0 lies outside of the interval.
    pub fn is_sure(&self) -> bool {
        self.ci95.is_some_and(|half| half < self.mean.abs())
    }
}

/// Student's t at 97.5 % for 1 to 10 degrees of freedom.
const T_975: [f64; 10] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
/// The same of the normal distribution.
const Z_975: f64 = 1.959_964;

/// Student's t at 97.5 %, to 0.003: for more than the table has by its expansion (Abramowitz and Stegun, 26.7.5).
fn t_975(freedom: usize) -> f64 {
    if let Some(known) = freedom.checked_sub(1).and_then(|at| T_975.get(at)) {
        return *known;
    }
    let n = real(freedom);
    let z = Z_975;
    z + (z.powi(3) + z) / (4.0 * n)
        + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n * n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_tables() {
        for (freedom, expected) in
            [(1, 12.706), (10, 2.228), (11, 2.201), (20, 2.086), (719, 1.963)]
        {
            assert!((t_975(freedom) - expected).abs() < 0.003, "{freedom}: {}", t_975(freedom));
        }
        let estimate = Estimate::of(&[1.0, 2.0, 3.0]).unwrap();
        assert!((estimate.mean - 2.0).abs() < 1e-12);
        assert!((estimate.ci95.unwrap() - 4.303 / 3.0_f64.sqrt()).abs() < 1e-9);
        assert!(!estimate.is_sure());
        assert_eq!(Estimate::of(&[]), None);
        let ratio = Estimate::of_ratio(&[(1.0, 2.0), (2.0, 4.0), (3.0, 6.0)]).unwrap();
        assert!((ratio.mean - 0.5).abs() < 1e-12 && ratio.ci95.unwrap() < 1e-12);
        assert_eq!(Estimate::of_ratio(&[(1.0, 0.0)]), None);
        assert_eq!(Estimate::of(&[4.0]).unwrap().ci95, None);
    }
}
