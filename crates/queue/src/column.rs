//! A number of a series over many records: how often it was known, the smallest, the mean, the largest.

/// One number of a series. Unknown is not zero: a number that was never known has a count of 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Column {
    /// Records in which it was known.
    pub count: u32,
    /// The smallest.
    pub min: f32,
    /// The mean.
    pub mean: f64,
    /// The largest.
    pub max: f32,
}

/// Reads the numbers out of payloads; the shell knows their format, the queue does not.
pub trait Columns {
    /// The numbers of one record, always the same ones in the same order for a series; `None` if the newest record
    /// of a series says all that the older ones said, or if the payload cannot be read.
    fn columns(&self, series: u8, payload: &[u8]) -> Option<Vec<Column>>;
}

impl Column {
    /// Never known.
    pub const UNKNOWN: Self = Self { count: 0, min: 0.0, mean: 0.0, max: 0.0 };

    /// One value; one that is not finite is unknown.
    pub fn of(value: Option<f32>) -> Self {
        match value.filter(|value| value.is_finite()) {
            Some(value) => Self { count: 1, min: value, mean: f64::from(value), max: value },
            None => Self::UNKNOWN,
        }
    }

    /// All of some values; those that are not finite are unknown.
    pub fn over(values: impl IntoIterator<Item = f32>) -> Self {
        let each = values.into_iter().map(|value| Self::of(Some(value)));
        each.fold(Self::UNKNOWN, |all, one| all.with(&one))
    }

    /// Both together.
    pub fn with(&self, other: &Self) -> Self {
        let count = self.count.saturating_add(other.count);
        match (self.count, other.count) {
            (0, _) => *other,
            (_, 0) => *self,
            (ours, theirs) => {
                let (ours, theirs) = (f64::from(ours), f64::from(theirs));
                let mean = self.mean + (other.mean - self.mean) * (theirs / (ours + theirs));
                let (low, high) = (self.min.min(other.min), self.max.max(other.max));
                Self { count, min: low, mean, max: high }
            }
        }
    }

    /// Whether the numbers can be of a series.
    pub(crate) fn is_possible(&self) -> bool {
        let finite = self.min.is_finite() && self.max.is_finite() && self.mean.is_finite();
        finite && self.min <= self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_together_are_the_whole() {
        let values = [3.0_f32, -1.0, 7.5, 2.0, 2.0, 100.0];
        let whole = Column::over(values);
        assert_eq!((whole.count, whole.min.to_bits()), (6, (-1.0_f32).to_bits()));
        for cut in 0..=values.len() {
            let (left, right) = values.split_at(cut);
            let both = Column::over(left.to_vec()).with(&Column::over(right.to_vec()));
            assert_eq!((both.count, both.min, both.max), (whole.count, whole.min, whole.max));
            assert!((both.mean - whole.mean).abs() < 1e-9, "{both:?}");
        }
        assert!((whole.mean - 113.5 / 6.0).abs() < 1e-9);
    }

    #[test]
    fn what_was_never_known_stays_unknown() {
        let unknown = Column::of(None).with(&Column::of(Some(f32::NAN)));
        assert_eq!(unknown, Column::UNKNOWN);
        assert_eq!(unknown.with(&Column::of(Some(4.0))), Column::of(Some(4.0)));
    }
}
