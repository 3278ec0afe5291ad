//! When a quantity that changes smoothly is not negative: from samples with slopes, refined to the millisecond.
//!
//! Passes and eclipses are both that. A span that lies between two samples is found by the slopes at its sides.

/// How near to the truth an instant is found, s: a satellite moves 8 m in that time.
const TOLERANCE_S: f64 = 1.0e-3;
/// The finest part of a second that is looked at: instants are whole numbers of them, so that a search finds the same ones,
/// to the bit, whichever whole second it begins at.
const GRAIN_S: f64 = 1.0 / 4096.0;
/// Most rounds of a root search: a halving of a day to a nanosecond takes 47.
const ROUNDS_MAX: usize = 100;
/// Value where the quantity does not exist, such as where a satellite is down: far below zero, yet finite.
pub(crate) const NEVER: f64 = -1.0e9;

/// The quantity at an instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Seconds from the start.
    pub(crate) at_s: f64,
    /// Not negative inside of spans.
    pub(crate) value: f64,
    /// Its change per second; need not be exact.
    pub(crate) slope: f64,
}

impl Sample {
    /// Where the quantity does not exist.
    pub(crate) fn never(at_s: f64) -> Self {
        Self { at_s, value: NEVER, slope: 0.0 }
    }

    fn inside(&self) -> bool {
        0.0 <= self.value
    }
}

/// From when to when, seconds from the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) open_s: f64,
    pub(crate) close_s: f64,
    /// False when it was open at the first sample already.
    pub(crate) open_known: bool,
    /// False when it was open at the last sample still.
    pub(crate) close_known: bool,
}

/// The spans in which the quantity is not negative, ascending.
///
/// `slack`: how far the quantity may bulge beyond the tangents at two neighbouring samples; a peak or a dip between them that
/// cannot reach zero by then is not looked for. Between two samples there must be one extremum at most.
pub(crate) fn spans(
    samples: impl IntoIterator<Item = Sample>,
    quantity: impl Fn(f64) -> Sample,
    slack: f64,
) -> Vec<Span> {
    let mut samples = samples.into_iter();
    let Some(mut before) = samples.next() else { return Vec::new() };
    let mut found = Vec::new();
    let mut open = before.inside().then_some((before.at_s, false));
    for after in samples {
        let crossings = crossings(before, after, &quantity, slack);
        for at_s in crossings.into_iter().flatten() {
            open = match open {
                None => Some((at_s, true)),
                Some((open_s, open_known)) => {
                    found.push(Span { open_s, close_s: at_s, open_known, close_known: true });
                    None
                }
            };
        }
        before = after;
    }
    if let Some((open_s, open_known)) = open {
        found.push(Span { open_s, close_s: before.at_s, open_known, close_known: false });
    }
    found
}

/// Where the quantity passes zero between two samples: nowhere, once, or twice.
fn crossings(
    a: Sample,
    b: Sample,
    quantity: &impl Fn(f64) -> Sample,
    slack: f64,
) -> [Option<f64>; 2] {
    let value = |at_s: f64| quantity(at_s).value;
    let zero = |a: Sample, b: Sample| root(&value, (a.at_s, a.value), (b.at_s, b.value));
    if a.inside() != b.inside() {
        return [Some(zero(a, b)), None];
    }
    // Upside down a dip below zero is a peak above it.
    let sign = if a.inside() { -1.0 } else { 1.0 };
    let peaks = 0.0 < sign * a.slope && sign * b.slope < 0.0;
    if !peaks || sign * tangents_meet(a, b) < -slack {
        return [None, None];
    }
    let slope = |at_s: f64| quantity(at_s).slope;
    let peak = quantity(root(&slope, (a.at_s, a.slope), (b.at_s, b.slope)));
    if peak.inside() == a.inside() {
        return [None, None];
    }
    [Some(zero(a, peak)), Some(zero(peak, b))]
}

/// The value at which the tangents of two samples with slopes of different signs meet.
fn tangents_meet(a: Sample, b: Sample) -> f64 {
    let length_s = b.at_s - a.at_s;
    // a + a' t = b + b' (t - h)
    let t = (b.value - b.slope * length_s - a.value) / (a.slope - b.slope);
    a.value + a.slope * t.clamp(0.0, length_s)
}

/// Where `f` is zero between `a` and `b`, where its signs differ: Chandrupatla's method (1997), to [`TOLERANCE_S`].
pub(crate) fn root(f: &impl Fn(f64) -> f64, a: (f64, f64), b: (f64, f64)) -> f64 {
    // (x1, f1) is the newest point, (x2, f2) the other end of the bracket, (x3, f3) the point before.
    let ((mut x1, mut f1), (mut x2, mut f2)) = (b, a);
    let mut part = 0.5;
    for _ in 0..ROUNDS_MAX {
        let x = x1 + on_grain(part * (x2 - x1));
        let value = f(x);
        let (x3, f3);
        if (value < 0.0) == (f1 < 0.0) {
            (x3, f3) = (x1, f1);
        } else {
            (x3, f3) = (x2, f2);
            (x2, f2) = (x1, f1);
        }
        (x1, f1) = (x, value);
        let width = (x2 - x1).abs();
        if width <= TOLERANCE_S || value == 0.0 {
            break;
        }
        part = next_part([(x1, f1), (x2, f2), (x3, f3)]);
        // Never nearer to an end than half the tolerance, so that the bracket closes from both sides.
        let least = (0.5 * TOLERANCE_S / width).min(0.5);
        part = part.clamp(least, 1.0 - least);
    }
    if f1.abs() < f2.abs() { x1 } else { x2 }
}

/// The whole number of [`GRAIN_S`] nearest to a time, s.
fn on_grain(time_s: f64) -> f64 {
    (time_s / GRAIN_S).round() * GRAIN_S
}

/// Which part of the bracket to try next: inverse quadratic interpolation where it is safe, else half.
fn next_part([(x1, f1), (x2, f2), (x3, f3)]: [(f64, f64); 3]) -> f64 {
    let xi = (x1 - x2) / (x3 - x2);
    let phi = (f1 - f2) / (f3 - f2);
    let safe = phi * phi < xi && (1.0 - phi) * (1.0 - phi) < 1.0 - xi;
    let part =
        f1 / (f2 - f1) * f3 / (f2 - f3) + (x3 - x1) / (x2 - x1) * f1 / (f3 - f1) * f2 / (f3 - f2);
    if safe && part.is_finite() { part } else { 0.5 }
}

/// Where `f` is greatest between `low` and `high`, to [`TOLERANCE_S`], by golden section; the ends count.
pub(crate) fn peak(f: &impl Fn(f64) -> f64, low: f64, high: f64) -> (f64, f64) {
    // 1 / phi
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let (mut low_s, mut high_s) = (low, high);
    let (mut c, mut d) = (high_s - GOLDEN * (high_s - low_s), low_s + GOLDEN * (high_s - low_s));
    let (mut at_c, mut at_d) = (f(c), f(d));
    for _ in 0..ROUNDS_MAX {
        if high_s - low_s <= TOLERANCE_S {
            break;
        }
        if at_d < at_c {
            high_s = d;
            (d, at_d) = (c, at_c);
            c = high_s - GOLDEN * (high_s - low_s);
            at_c = f(c);
        } else {
            low_s = c;
            (c, at_c) = (d, at_d);
            d = low_s + GOLDEN * (high_s - low_s);
            at_d = f(d);
        }
    }
    let middle = f64::midpoint(low_s, high_s);
    let ends = [(low, f(low)), (high, f(high))];
    ends.into_iter().fold((middle, f(middle)), |best, end| if best.1 < end.1 { end } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bump of height `h` at `centre`, one wide on each side, on the floor -1.
    fn bump(at_s: f64, centre: f64, h: f64) -> Sample {
        let x = at_s - centre;
        Sample { at_s, value: h - x * x, slope: -2.0 * x }
    }

    fn found(centre: f64, h: f64, step: f64) -> Vec<Span> {
        let quantity = |at_s: f64| bump(at_s, centre, h);
        spans((0..=10).map(|k| quantity(f64::from(k) * step)), quantity, 0.0)
    }

    #[test]
    fn spans_are_found_between_and_across_samples() {
        for (step, h) in [(10.0, 0.01), (10.0, 9.0), (1.0, 4.0), (10.0, 400.0)] {
            let got = found(4.7 * step, h, step);
            assert_eq!(got.len(), 1, "{step} {h}");
            assert!((got[0].open_s - (4.7 * step - h.sqrt())).abs() < 2.0e-3, "{got:?}");
            assert!((got[0].close_s - (4.7 * step + h.sqrt())).abs() < 2.0e-3, "{got:?}");
            assert!(got[0].open_known && got[0].close_known);
        }
        assert!(found(47.0, -0.01, 10.0).is_empty());
    }

    #[test]
    fn what_was_open_before_and_stays_open_says_so() {
        let got = found(0.0, 25.0, 1.0);
        assert!((got[0].open_s, got[0].open_known) == (0.0, false) && got[0].close_known);
        let got = found(10.0, 25.0, 1.0);
        assert!((got[0].close_s, got[0].close_known) == (10.0, false) && got[0].open_known);
        let whole = found(5.0, 100.0, 1.0);
        assert!(!whole[0].open_known && !whole[0].close_known);
        assert!(spans([], |at_s| bump(at_s, 0.0, 0.0), 0.0).is_empty());
    }

    #[test]
    fn a_dip_between_samples_splits_a_span() {
        let quantity = |at_s: f64| Sample {
            value: (at_s - 4.5).powi(2) - 0.04,
            slope: 2.0 * (at_s - 4.5),
            at_s,
        };
        let got = spans((0..=10).map(|k| quantity(f64::from(k))), quantity, 0.0);
        assert_eq!(got.len(), 2);
        assert!((got[0].close_s - 4.3).abs() < 2.0e-3 && (got[1].open_s - 4.7).abs() < 2.0e-3);
    }

    #[test]
    fn where_the_quantity_stops_to_exist_the_span_ends() {
        let quantity = |at_s: f64| {
            if at_s < 3.3 { Sample { at_s, value: 5.0, slope: 0.0 } } else { Sample::never(at_s) }
        };
        let got = spans((0..=10).map(|k| quantity(f64::from(k))), quantity, 0.0);
        assert_eq!(got.len(), 1);
        assert!((got[0].close_s - 3.3).abs() < 2.0e-3, "{got:?}");
    }

    #[test]
    fn the_peak_may_lie_inside_or_at_an_end() {
        let f = |x: f64| 3.0 - (x - 7.25).powi(2);
        assert!((peak(&f, 0.0, 20.0).0 - 7.25).abs() < 1.0e-3);
        assert!((peak(&f, 8.0, 20.0).0 - 8.0).abs() < 1.0e-12);
        assert!((peak(&f, 0.0, 5.0).0 - 5.0).abs() < 1.0e-12);
        assert!((peak(&f, 5.0, 5.0).0 - 5.0).abs() < 1.0e-12);
    }
}
