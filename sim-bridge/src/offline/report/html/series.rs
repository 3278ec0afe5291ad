//! A number over the steps of a run, kept in a bounded number of parts.

/// Parts in which a run is drawn: about two for each pixel that a plot is wide would show no more.
pub(super) const POINTS_MAX: usize = 600;

/// What a number did in a part of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Part {
    steps: u64,
    known: u32,
    sum: f64,
    low: f64,
    high: f64,
}

impl Part {
    fn add(&mut self, value: Option<f64>) {
        self.steps += 1;
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.join(Self { steps: 0, known: 1, sum: value, low: value, high: value });
        }
    }

    fn join(&mut self, other: Self) {
        self.steps += other.steps;
        if other.known == 0 {
            return;
        }
        let first = self.known == 0;
        self.low = if first { other.low } else { self.low.min(other.low) };
        self.high = if first { other.high } else { self.high.max(other.high) };
        self.known += other.known;
        self.sum += other.sum;
    }

    /// The least, mean and greatest value; `None` where it was unknown all the time.
    pub(super) fn band(&self) -> Option<(f64, f64, f64)> {
        (0 < self.known).then(|| (self.low, self.sum / f64::from(self.known), self.high))
    }
}

/// A number over the steps of a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    /// Steps per part; doubles when there would be too many parts.
    stride: u64,
    parts: Vec<Part>,
}

impl Default for Series {
    fn default() -> Self {
        Self { stride: 1, parts: Vec::new() }
    }
}

impl Series {
    /// Appends a step; `None` where the number is unknown.
    pub(super) fn push(&mut self, value: Option<f64>) {
        match self.parts.last_mut() {
            Some(last) if last.steps < self.stride => last.add(value),
            _ => {
                if self.parts.len() == POINTS_MAX {
                    self.halve();
                }
                let mut part = Part::default();
                part.add(value);
                self.parts.push(part);
            }
        }
    }

    fn halve(&mut self) {
        self.stride *= 2;
        let join = |pair: &[Part]| {
            let mut part = pair[0];
            pair[1..].iter().for_each(|other| part.join(*other));
            part
        };
        self.parts = self.parts.chunks(2).map(join).collect();
    }

    /// Steps per part.
    pub(super) fn stride(&self) -> u64 {
        self.stride
    }

    /// The parts, in order.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The least, mean and greatest value of the run; `None` where it was never known.
    pub(super) fn whole(&self) -> Option<(f64, f64, f64)> {
        let mut whole = Part::default();
        self.parts.iter().for_each(|part| whole.join(*part));
        whole.band()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_keeps_its_extremes_in_few_parts() {
        let mut series = Series::default();
        for step in 0_u32..100_000 {
            series.push(Some(if step == 77_777 { -5.0 } else { f64::from(step % 7) }));
        }
        assert!(series.parts().len() <= POINTS_MAX && POINTS_MAX / 3 < series.parts().len());
        let (low, mean, high) = series.whole().unwrap();
        assert_eq!((low.to_bits(), high.to_bits()), ((-5.0_f64).to_bits(), 6.0_f64.to_bits()));
        assert!((mean - 3.0).abs() < 1.0e-3, "{mean}");
        let steps: u64 = series.parts().iter().map(|part| part.steps).sum();
        assert_eq!(steps, 100_000);
    }

    #[test]
    fn what_is_unknown_leaves_a_gap() {
        let mut series = Series::default();
        for value in [Some(1.0), None, Some(f64::NAN), Some(3.0)] {
            series.push(value);
        }
        let means: Vec<_> = series.parts().iter().map(|p| p.band().map(|b| b.1)).collect();
        assert_eq!(means, [Some(1.0), None, None, Some(3.0)]);
        assert_eq!(Series::default().whole(), None);
    }
}
