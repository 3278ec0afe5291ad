//! By how much the Earth's turn is ahead of the clock: UT1 - UTC, measured, since it cannot be computed.
//!
//! Left out, it costs up to 0.9 s of turn: 0.4 km at the equator, 2.8 km in the geostationary ring.

use types::Epoch;

/// 2000-01-01T00:00:00 UTC, where [`TAI_MINUS_UT1_S`] begins.
const TABLE_START: Epoch = Epoch::from_unix_ns(946_684_800_000_000_000);
/// A quarter of a Julian year, s.
const QUARTER_S: f64 = 365.25 / 4.0 * 86_400.0;

/// TAI - UT1 every quarter of a year, s (IERS finals2000A; the last year predicted). Straight lines between them miss the
/// seasons of the Earth's turn by up to 0.02 s.
#[rustfmt::skip]
const TAI_MINUS_UT1_S: [f64; 108] = [
    31.645, 31.724, 31.796, 31.825, 31.906, 31.975, 32.028, 32.038, 32.115, 32.190, 32.230, 32.233,
    32.289, 32.344, 32.366, 32.358, 32.390, 32.434, 32.469, 32.456, 32.503, 32.574, 32.615, 32.608,
    32.661, 32.734, 32.807, 32.854, 32.962, 33.067, 33.158, 33.188, 33.273, 33.361, 33.445, 33.492,
    33.592, 33.676, 33.767, 33.800, 33.886, 33.985, 34.057, 34.060, 34.140, 34.213, 34.291, 34.322,
    34.419, 34.509, 34.587, 34.626, 34.722, 34.843, 34.943, 34.988, 35.096, 35.206, 35.302, 35.352,
    35.460, 35.576, 35.677, 35.772, 35.918, 36.083, 36.213, 36.279, 36.408, 36.530, 36.641, 36.685,
    36.783, 36.867, 36.929, 36.952, 37.036, 37.120, 37.174, 37.154, 37.177, 37.225, 37.240, 37.173,
    37.176, 37.174, 37.167, 37.105, 37.110, 37.100, 37.067, 37.005, 37.020, 37.024, 37.035, 36.989,
    36.991, 37.014, 37.003, 36.941, 36.954, 36.963, 36.956, 36.907, 36.926, 36.955, 36.948, 36.907,
];

/// TAI - UTC before the first of [`LEAP_SECONDS`], s.
const TAI_MINUS_UTC_2000_S: f64 = 32.0;
/// When a second was put into UTC since 2000, as seconds since 1970: the begins of 2006, 2009, July 2012, July 2015, 2017.
const LEAP_SECONDS: [i64; 5] =
    [1_136_073_600, 1_230_768_000, 1_341_100_800, 1_435_708_800, 1_483_228_800];

/// UT1 - UTC, s: to 0.02 s from 2000 to 2026; before, UT1 is taken as UTC, and afterwards it is held as it was at the end of
/// the table.
pub fn ut1_minus_utc_s(at: Epoch) -> f64 {
    if at < TABLE_START {
        return 0.0;
    }
    let last = TAI_MINUS_UT1_S.len() - 1;
    let quarters = at.seconds_since(TABLE_START) / QUARTER_S;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1200")]
    let before = (quarters as usize).min(last);
    let after = (before + 1).min(last);
    let part = quarters.fract();
    let tai_minus_ut1 =
        TAI_MINUS_UT1_S[before] + part * (TAI_MINUS_UT1_S[after] - TAI_MINUS_UT1_S[before]);
    let leaps = LEAP_SECONDS.iter().filter(|leap| **leap <= at.unix_ns().div_euclid(1_000_000_000));
    leaps.fold(TAI_MINUS_UTC_2000_S, |sum, _| sum + 1.0) - tai_minus_ut1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_the_bulletins() {
        // IERS Bulletin B and D: UT1 - UTC on these days, s; the last pair around the leap second of 2017.
        for (at, expected_s) in [
            ("2000-01-01T00:00:00Z", 0.3555),
            ("2010-01-01T00:00:00Z", 0.1143),
            ("2020-01-01T00:00:00Z", -0.1772),
            ("2016-12-31T00:00:00Z", -0.4075),
            ("2017-01-01T00:00:00Z", 0.5914),
        ] {
            let got = ut1_minus_utc_s(Epoch::parse(at).unwrap());
            assert!((got - expected_s).abs() < 0.02, "{at}: {got} is not {expected_s}");
        }
    }

    #[test]
    fn it_stays_below_a_second_and_holds_at_the_ends() {
        let at = |quarter: u32| TABLE_START.plus_s(f64::from(quarter) * QUARTER_S / 7.0);
        assert!((0..108 * 7).all(|quarter| ut1_minus_utc_s(at(quarter)).abs() < 0.9));
        assert!(ut1_minus_utc_s(Epoch::from_unix_ns(0)).abs() < 1.0e-15);
        let (end, later) = (ut1_minus_utc_s(at(107 * 7)), ut1_minus_utc_s(at(300 * 7)));
        assert!((end - later).abs() < 1.0e-12);
    }
}
