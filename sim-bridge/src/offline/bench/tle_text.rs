//! Element sets as two-line text, so that the bench reads what users have, whatever it was made from.

use orbit::elements::MeanElements;
use types::Epoch;

/// What a set says.
#[derive(Clone, Debug, PartialEq)]
pub struct SetRecord {
    /// The name, on the line before.
    pub name: String,
    /// The moment for which the elements hold.
    pub epoch: Epoch,
    /// The elements.
    pub mean: MeanElements,
}

/// Catalogue numbers from 100,000 on begin with one of these letters (Alpha-5 leaves out I and O).
const ALPHA5: &[u8; 24] = b"ABCDEFGHJKLMNPQRSTUVWXYZ";
/// The largest number that Alpha-5 can hold.
pub const CATALOG_MAX: usize = 339_999;

/// The sets as text with names, numbered from 1 in the place of their catalogue numbers.
///
/// # Panics
/// With more than [`CATALOG_MAX`] sets.
pub fn tle_text(sets: &[SetRecord]) -> String {
    assert!(sets.len() <= CATALOG_MAX, "{} sets have no numbers", sets.len());
    let mut text = String::with_capacity(sets.len() * 170);
    for (number, set) in (1_usize..).zip(sets) {
        let number = catalog(number);
        for line in [set.name.clone(), line1(&number, set), line2(&number, &set.mean)] {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

fn catalog(number: usize) -> String {
    match (number / 10_000).checked_sub(10).and_then(|letter| ALPHA5.get(letter)) {
        Some(letter) => format!("{}{:04}", char::from(*letter), number % 10_000),
        None => format!("{number:05}"),
    }
}

fn line1(number: &str, set: &SetRecord) -> String {
    let (year, day) = year_and_day(set.epoch);
    let drag = exponential(set.mean.bstar);
    let line = format!(
        "1 {number}U 00000A   {:02}{day:012.8}  .00000000  00000+0 {drag} 0  999",
        year % 100
    );
    signed(line)
}

fn line2(number: &str, mean: &MeanElements) -> String {
    // Rounded first: 359.99999 is written as 0.
    let angle = |degrees: f64| ((degrees * 1e4).round() / 1e4).rem_euclid(360.0);
    let line = format!(
        "2 {number} {:8.4} {:8.4} {:07.0} {:8.4} {:8.4} {:11.8}    0",
        mean.inclination_deg,
        angle(mean.raan_deg),
        mean.eccentricity * 1e7,
        angle(mean.arg_perigee_deg),
        angle(mean.mean_anomaly_deg),
        mean.mean_motion_rev_day
    );
    signed(line)
}

/// The line with its checksum: the sum of its digits, a minus counting 1, modulo 10.
fn signed(mut line: String) -> String {
    let digit = |c: char| if c == '-' { 1 } else { c.to_digit(10).unwrap_or(0) };
    let sum: u32 = line.chars().map(digit).sum();
    line.push_str(&(sum % 10).to_string());
    line
}

/// The year, and the day of the year from 1 with its fraction.
fn year_and_day(at: Epoch) -> (i32, f64) {
    let text = at.to_string();
    let year = text.get(..4).and_then(|year| year.parse().ok()).unwrap_or(2000);
    let begin = Epoch::from_utc((year, 1, 1), (0, 0, 0), 0).unwrap_or(at);
    (year, 1.0 + at.seconds_since(begin) / 86_400.0)
}

/// A number as `sddddd-d`: sign, five digits behind the point, the power of ten.
fn exponential(value: f64) -> String {
    let sign = if value < 0.0 { '-' } else { ' ' };
    let size = value.abs();
    if size < 1.0e-10 {
        return format!("{sign}00000+0");
    }
    let mut power = size.log10().floor() + 1.0;
    let mut digits = (size / 10.0_f64.powf(power) * 1e5).round();
    if 99_999.5 < digits {
        (digits, power) = (10_000.0, power + 1.0);
    }
    let power_sign = if power < 0.0 { '-' } else { '+' };
    format!("{sign}{digits:05.0}{power_sign}{:.0}", power.abs())
}

#[cfg(test)]
mod tests {
    use orbit::parse_elements;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_written_as_two_lines_hold_them() {
        assert_eq!(exponential(-1.1606e-5), "-11606-4");
        assert_eq!([0.0, 0.5, 3.8792e-4].map(exponential), [" 00000+0", " 50000+0", " 38792-3"]);
        assert_eq!(exponential(0.099_999_99), " 10000+0");
        let numbers = [7, 99_999, 100_000, 180_000, 339_999].map(catalog);
        assert_eq!(numbers, ["00007", "99999", "A0000", "J0000", "Z9999"]);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            inclination_deg in 0.0_f64..180.0,
            angles in prop::array::uniform3(0.0_f64..360.0),
            eccentricity in 0.0_f64..0.02,
            mean_motion_rev_day in 11.0_f64..15.9,
            bstar in -9.0e-4_f64..9.0e-4,
            unix_s in 1_600_000_000_i64..1_900_000_000,
        ) {
            let mean = MeanElements {
                inclination_deg,
                raan_deg: angles[0],
                eccentricity,
                arg_perigee_deg: angles[1],
                mean_anomaly_deg: angles[2],
                mean_motion_rev_day,
                bstar,
            };
            let epoch = Epoch::from_unix_s(unix_s).unwrap();
            let set = SetRecord { name: "A".to_owned(), epoch, mean };
            let read = parse_elements(&tle_text(&[set.clone(), set])).unwrap();
            prop_assert_eq!(read.len(), 2);
            let close = |a: f64, b: f64, by: f64| (a - b).abs() <= by;
            let got = read[1].mean;
            prop_assert!(close(got.inclination_deg, inclination_deg, 6.0e-5));
            for (got, given) in [(got.raan_deg, angles[0]), (got.arg_perigee_deg, angles[1]), (got.mean_anomaly_deg, angles[2])] {
                prop_assert!(close(got, given, 6.0e-5) || close(got + 360.0, given, 6.0e-5));
            }
            prop_assert!(close(got.eccentricity, eccentricity, 6.0e-8));
            prop_assert!(close(got.mean_motion_rev_day, mean_motion_rev_day, 6.0e-9));
            prop_assert!(close(got.bstar, bstar, 1.0e-8));
            prop_assert!(close(read[1].epoch.seconds_since(epoch), 0.0, 1.0e-3));
        }
    }
}
