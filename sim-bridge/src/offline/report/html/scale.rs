//! Axes: round ticks, and the unit in which time is told.

/// A range of numbers along a stretch of the plot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    /// The numbers at both ends.
    pub(super) values: (f64, f64),
    /// The places at both ends.
    pub(super) places: (f64, f64),
}

impl Scale {
    /// Where a number lies.
    pub(super) fn place(&self, value: f64) -> f64 {
        let ((v0, v1), (p0, p1)) = (self.values, self.places);
        let share =
            if (v1 - v0).abs() <= f64::MIN_POSITIVE { 0.0 } else { (value - v0) / (v1 - v0) };
        p0 + share * (p1 - p0)
    }
}

/// About `count` round numbers that span `low` to `high`, and the digits that tell them apart.
pub(super) fn ticks(low: f64, high: f64, count: u32) -> (Vec<f64>, usize) {
    let span = if (high - low).abs() <= f64::MIN_POSITIVE { 1.0 } else { high - low };
    let rough = span / f64::from(count.max(1));
    let power = 10.0_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|f| rough <= f * power * 1.001);
    let step = factor.unwrap_or(10.0) * power;
    let first = (low / step + 1.0e-9).floor();
    let last = ((low + span) / step - 1.0e-9).ceil();
    let mut ticks = Vec::new();
    let mut at = first;
    // A few more than asked for at most: the step was chosen so.
    while at <= last && ticks.len() < 32 {
        ticks.push(at * step);
        at += 1.0;
    }
    let digits = (0..6).find(|digits| {
        let shown = step * 10.0_f64.powi(*digits);
        (shown - shown.round()).abs() < 1.0e-6 * shown
    });
    (ticks, digits.and_then(|digits| usize::try_from(digits).ok()).unwrap_or(6))
}

/// Time since the start in a unit that suits the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TimeAxis {
    /// The unit's sign.
    pub(super) unit: &'static str,
    /// The unit, seconds.
    pub(super) unit_s: f64,
    /// The length of the run, seconds.
    pub(super) span_s: f64,
}

impl TimeAxis {
    /// For a run of this length.
    pub(super) fn new(span_s: f64) -> Self {
        let (unit, unit_s) = match span_s {
            s if s <= 300.0 => ("s", 1.0),
            s if s <= 14_400.0 => ("min", 60.0),
            s if s <= 259_200.0 => ("h", 3600.0),
            _ => ("d", 86_400.0),
        };
        Self { unit, unit_s, span_s }
    }

    /// The run in the unit.
    pub(super) fn span(&self) -> f64 {
        self.span_s / self.unit_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_span_the_numbers() {
        let shown = |low, high| {
            let (ticks, digits) = ticks(low, high, 5);
            ticks.iter().map(|t| format!("{t:.digits$}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown(0.0, 100.0), "0 20 40 60 80 100");
        assert_eq!(shown(0.0, 7_032.0), "0 2000 4000 6000 8000");
        assert_eq!(shown(0.0, 0.7), "0.0 0.2 0.4 0.6 0.8");
        assert_eq!(shown(37.2, 41.9), "37 38 39 40 41 42");
        assert_eq!(shown(5.0, 5.0), "5.0 5.2 5.4 5.6 5.8 6.0");
    }

    #[test]
    fn time_is_told_in_a_unit_that_suits() {
        let unit = |s| TimeAxis::new(s).unit;
        assert_eq!([60.0, 6_000.0, 86_400.0, 864_000.0].map(unit), ["s", "min", "h", "d"]);
    }
}
