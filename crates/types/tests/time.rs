//! Times as text and as clocks.

use proptest::prelude::*;
use types::{Epoch, SkyClock, WallTime};

#[test]
fn times_are_read_and_printed_as_rfc_3339() {
    for (text, printed) in [
        ("2026-11-22T10:30:00Z", "2026-11-22T10:30:00.000Z"),
        ("2024-02-29T23:59:59.999999Z", "2024-02-29T23:59:59.999Z"),
        ("2024-10-29T12:00:00.123456", "2024-10-29T12:00:00.123Z"),
        ("1969-12-31T23:59:59.5+00:00", "1969-12-31T23:59:59.500Z"),
        ("1969-12-31t23:59:59.5z", "1969-12-31T23:59:59.500Z"),
        ("1969-12-31T23:59:59.5-00:00", "1969-12-31T23:59:59.500Z"),
    ] {
        assert_eq!(Epoch::parse(text).unwrap().to_string(), printed);
    }
    assert_eq!(Epoch::parse("2000-01-01T12:00:00Z").unwrap().unix_ns(), 946_728_000_000_000_000);
}

#[test]
fn impossible_times_are_refused() {
    for text in [
        "",
        "2026-11-22",
        "2026-13-01T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T10:30:60Z",
        "2026-11-22T10:30:00.Z",
        "2026-11-22T10:30:00+01:00",
        "26-11-22T10:30:00Z",
    ] {
        assert!(Epoch::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_sky_clock_runs_at_its_rate() {
    let start = Epoch::parse("2026-01-01T00:00:00Z").unwrap();
    let clock = SkyClock::new(start, WallTime(1_000), 30.0).unwrap();
    assert_eq!(clock.sky(WallTime(1_000 + 2_000_000_000)), start.plus_s(60.0));
    assert_eq!(clock.wall(start.plus_s(60.0)), WallTime(1_000 + 2_000_000_000));
    assert!(SkyClock::new(start, WallTime(0), 0.0).is_err());
    assert!(SkyClock::new(start, WallTime(0), f64::NAN).is_err());
}

proptest! {
    #[test]
    fn printing_and_reading_agree(ms in -9_000_000_000_000_i64..9_000_000_000_000) {
        let epoch = Epoch::from_unix_ns(ms * 1_000_000);
        prop_assert_eq!(Epoch::parse(&epoch.to_string()), Ok(epoch));
    }
}
