//! Least squares: which weights of some features come closest to what was measured.

/// One measurement: its features and its value.
#[derive(Clone, Debug)]
pub(crate) struct Sample<const N: usize> {
    pub(crate) features: [f64; N],
    pub(crate) value: f64,
}

impl<const N: usize> Sample<N> {
    /// Makes an error count by its share of the value.
    fn relative(&self) -> Self {
        Self { features: self.features.map(|feature| feature / self.value), value: 1.0 }
    }
}

/// Added to the diagonal, as a share of its mean: keeps weights finite where features say the same.
const RIDGE: f64 = 1e-9;

/// The weights with the smallest sum of squared relative errors of which none is below zero: nothing in a cost makes it smaller. What
/// would be below zero most is left out until nothing is.
pub(crate) fn fit<const N: usize>(samples: &[Sample<N>]) -> [f64; N] {
    let mut samples = samples.to_vec();
    for _ in 0..N {
        let weights = fit_freely(&samples);
        let least = (0..N).min_by(|a, b| weights[*a].total_cmp(&weights[*b]));
        let Some(negative) = least.filter(|at| weights[*at] < 0.0) else { return weights };
        for sample in &mut samples {
            sample.features[negative] = 0.0;
        }
    }
    [0.0; N]
}

/// By the normal equations.
fn fit_freely<const N: usize>(samples: &[Sample<N>]) -> [f64; N] {
    let mut matrix = [[0.0; N]; N];
    let mut right = [0.0; N];
    for sample in samples.iter().map(Sample::relative) {
        for row in 0..N {
            right[row] += sample.features[row] * sample.value;
            for (sum, other) in matrix[row].iter_mut().zip(sample.features) {
                *sum += sample.features[row] * other;
            }
        }
    }
    for (at, row) in matrix.iter_mut().enumerate() {
        // Each by its own size: features have different units.
        row[at] *= 1.0 + RIDGE;
        if row[at] == 0.0 {
            row[at] = 1.0;
        }
    }
    solve(matrix, right)
}

/// Gauß, with the largest pivot of the column.
fn solve<const N: usize>(mut matrix: [[f64; N]; N], mut right: [f64; N]) -> [f64; N] {
    for column in 0..N {
        let larger =
            |a: &usize, b: &usize| matrix[*a][column].abs().total_cmp(&matrix[*b][column].abs());
        let pivot = (column..N).max_by(larger).unwrap_or(column);
        matrix.swap(column, pivot);
        right.swap(column, pivot);
        let (pivot_row, pivot_right) = (matrix[column], right[column]);
        for row in column + 1..N {
            let factor = matrix[row][column] / pivot_row[column];
            for (value, above) in matrix[row].iter_mut().zip(pivot_row) {
                *value -= factor * above;
            }
            right[row] -= factor * pivot_right;
        }
    }
    let mut answer = [0.0; N];
    for row in (0..N).rev() {
        let known: f64 = (row + 1..N).map(|column| matrix[row][column] * answer[column]).sum();
        answer[row] = (right[row] - known) / matrix[row][row];
    }
    answer
}

/// What the weights make of features.
pub(crate) fn predict<const N: usize>(weights: &[f64; N], features: &[f64; N]) -> f64 {
    weights.iter().zip(features).map(|(weight, feature)| weight * feature).sum()
}

/// Mean of the relative errors, percent.
pub(crate) fn mape(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    let errors: Vec<f64> =
        pairs.map(|(predicted, measured)| ((predicted - measured) / measured).abs()).collect();
    100.0 * errors.iter().sum::<f64>() / crate::measure::float(errors.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_made_the_values_are_found() {
        let true_weights = [3.0, 0.5, 20.0];
        let samples: Vec<Sample<3>> = (1..20)
            .map(f64::from)
            .map(|x| {
                let features = [1.0, x, x * x];
                Sample { features, value: predict(&true_weights, &features) }
            })
            .collect();
        let weights = fit(&samples);
        for (found, expected) in weights.iter().zip(true_weights) {
            assert!((found - expected).abs() < 1e-3 * expected.abs(), "{weights:?}");
        }
        let pairs = samples.iter().map(|s| (predict(&weights, &s.features), s.value));
        assert!(mape(pairs) < 0.01);
    }

    #[test]
    fn no_weight_is_below_zero() {
        let sample = |x: f64| Sample { features: [1.0, x, x * x], value: 10.0 - x + x * x };
        let weights = fit(&[1.0, 2.0, 3.0, 4.0, 5.0].map(sample));
        assert!(
            weights.iter().all(|weight| 0.0 <= *weight) && weights[1].abs() < 1e-12,
            "{weights:?}"
        );
    }

    #[test]
    fn a_feature_that_is_never_there_has_no_weight() {
        let sample = |x: f64| Sample { features: [x, 0.0], value: 2.0 * x };
        let [weight, nothing] = fit(&[sample(1.0), sample(5.0), sample(9.0)]);
        assert!((weight - 2.0).abs() < 1e-4 && nothing.abs() < 1e-9, "{weight} {nothing}");
    }

    #[test]
    fn the_error_is_the_mean_of_shares() {
        assert_eq!(mape([(110.0, 100.0), (70.0, 100.0)].into_iter()).round().to_string(), "20");
    }
}
