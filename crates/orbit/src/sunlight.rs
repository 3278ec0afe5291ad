//! The Sun: where it stands, and how much of it a satellite or a site sees.

use types::Epoch;

use crate::frame::days_since_j2000;
use crate::vector::{dot, minus, norm, unit};

/// One astronomical unit (IAU 2012), km.
const AU_KM: f64 = 149_597_870.7;
/// Nominal radius of the Sun (IAU 2015), km.
const SUN_RADIUS_KM: f64 = 695_700.0;
/// Radius of the Earth's shadow-casting disk: equatorial, without the atmosphere, km.
const EARTH_RADIUS_KM: f64 = 6378.137;

/// Position of the Sun in the equatorial axes of date (taken as TEME), km; 0.01 degrees from 1950 to 2050.
///
/// Astronomical Almanac, low-precision formulas for the Sun.
pub fn sun_teme_km(at: Epoch) -> [f64; 3] {
    let n = days_since_j2000(at);
    // L = 280.460 + 0.9856474 n: mean longitude; g = 357.528 + 0.9856003 n: mean anomaly
    let longitude = 280.460 + 0.985_647_4 * n;
    let g = (357.528 + 0.985_600_3 * n).rem_euclid(360.0).to_radians();
    // lambda = L + 1.915 sin g + 0.020 sin 2g
    let lambda = longitude + 1.915 * g.sin() + 0.020 * (2.0 * g).sin();
    let (sin_l, cos_l) = lambda.rem_euclid(360.0).to_radians().sin_cos();
    // R = 1.00014 - 0.01671 cos g - 0.00014 cos 2g
    let distance = AU_KM * (1.000_14 - 0.016_71 * g.cos() - 0.000_14 * (2.0 * g).cos());
    // epsilon = 23.439 - 4e-7 n
    let (sin_e, cos_e) = (23.439 - 4.0e-7 * n).to_radians().sin_cos();
    [distance * cos_l, distance * cos_e * sin_l, distance * sin_e * sin_l]
}

/// The part of the Sun's disk that `satellite_km` sees past the Earth: 1 in the sun, 0 in the umbra.
///
/// Both in the same axes with the origin at the Earth's centre, km.
/// Montenbruck and Gill, Satellite Orbits, 3.4.2 (conical umbra and penumbra, overlap of two disks).
pub fn sunlit_fraction(satellite_km: [f64; 3], sun_km: [f64; 3]) -> f64 {
    let to_sun = minus(sun_km, satellite_km);
    let from_earth = norm(satellite_km);
    // Apparent radii: a of the Sun, b of the Earth; c: apparent distance of their centres.
    let a = (SUN_RADIUS_KM / norm(to_sun)).min(1.0).asin();
    let b = (EARTH_RADIUS_KM / from_earth).min(1.0).asin();
    let cos_c = -dot(satellite_km, to_sun) / (from_earth * norm(to_sun));
    let c = cos_c.clamp(-1.0, 1.0).acos();
    if a + b <= c {
        return 1.0;
    }
    if c <= b - a {
        return 0.0;
    }
    if c <= a - b {
        // Annular: the Earth stands inside the Sun's disk.
        return 1.0 - (b * b) / (a * a);
    }
    // A = a^2 acos(x/a) + b^2 acos((c-x)/b) - c y with x = (c^2 + a^2 - b^2) / 2c, y = sqrt(a^2 - x^2)
    let x = (c * c + a * a - b * b) / (2.0 * c);
    let y = (a * a - x * x).max(0.0).sqrt();
    let hidden = a * a * (x / a).clamp(-1.0, 1.0).acos()
        + b * b * ((c - x) / b).clamp(-1.0, 1.0).acos()
        - c * y;
    (1.0 - hidden / (core::f64::consts::PI * a * a)).clamp(0.0, 1.0)
}

/// Whether the centre of the Sun stands above the horizon plane of a site with unit vector `up` (same axes).
pub fn is_day(up: [f64; 3], sun_km: [f64; 3]) -> bool {
    0.0 < dot(up, unit(sun_km))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vector::cross;

    const SUN: [f64; 3] = [AU_KM, 0.0, 0.0];

    #[test]
    fn the_sun_stands_where_the_almanac_says() {
        // (UTC, right ascension, declination): Meeus 25.a (apparent), and the equinox and solstice of 2024.
        for (at, ra_deg, dec_deg) in [
            ("1992-10-13T00:00:00Z", 198.380_83, -7.785_07),
            ("2024-03-20T03:06:00Z", 0.0, 0.0),
            ("2024-06-20T20:51:00Z", 90.0, 23.44),
        ] {
            let [x, y, z] = unit(sun_teme_km(Epoch::parse(at).unwrap()));
            let (ra, dec) = (y.atan2(x).to_degrees(), z.asin().to_degrees());
            let off = ((ra - ra_deg + 180.0).rem_euclid(360.0) - 180.0).abs();
            assert!(off < 0.02 && (dec - dec_deg).abs() < 0.02, "{at}: {ra} {dec}");
        }
    }

    #[test]
    fn shadow_falls_behind_the_earth_only() {
        assert!((sunlit_fraction([7000.0, 0.0, 0.0], SUN) - 1.0).abs() < 1.0e-12);
        assert!((sunlit_fraction([0.0, 7000.0, 0.0], SUN) - 1.0).abs() < 1.0e-12);
        assert!(sunlit_fraction([-7000.0, 0.0, 0.0], SUN).abs() < 1.0e-12);
        // Far behind the tip of the umbra (1.38 million km) the Earth is a spot on the Sun.
        let annular = sunlit_fraction([-3.0e6, 0.0, 0.0], SUN);
        assert!(0.5 < annular && annular < 1.0, "{annular}");
    }

    /// Share of one circular orbit at 550 km without full sun, plane tilted by `beta_deg` to the Sun.
    fn shadow_share(beta_deg: f64, sunless: fn(f64) -> bool) -> f64 {
        const STEPS: u32 = 100_000;
        let (sin_b, cos_b) = beta_deg.to_radians().sin_cos();
        let normal = [sin_b, 0.0, cos_b];
        let along = [0.0, 1.0, 0.0];
        let across = cross(along, normal);
        let r = EARTH_RADIUS_KM + 550.0;
        let dark = (0..STEPS)
            .filter(|step| {
                let (sin, cos) =
                    (f64::from(*step) / f64::from(STEPS) * core::f64::consts::TAU).sin_cos();
                let position = [0, 1, 2].map(|k| r * (cos * along[k] + sin * across[k]));
                sunless(sunlit_fraction(position, SUN))
            })
            .count();
        f64::from(u32::try_from(dark).unwrap()) / f64::from(STEPS)
    }

    #[test]
    fn eclipses_at_550_km_last_as_long_as_published() {
        // No eclipse above beta* = 67.0 degrees (cylinder: asin(R / r)); longest 0.372 of the orbit.
        assert!(shadow_share(67.5, |lit| lit < 0.5) == 0.0);
        assert!(0.0 < shadow_share(66.5, |lit| lit < 0.5));
        let longest = shadow_share(0.0, |lit| lit < 0.5);
        assert!((longest - 0.372).abs() < 0.001, "{longest}");
    }

    proptest! {
        #[test]
        fn the_fraction_is_a_fraction_and_fades_without_a_jump(
            height_km in 200.0_f64..40_000.0,
            angle in 0.0_f64..core::f64::consts::TAU,
        ) {
            let lit = |angle: f64| {
                let r = EARTH_RADIUS_KM + height_km;
                sunlit_fraction([r * angle.cos(), r * angle.sin(), 0.0], SUN)
            };
            prop_assert!((0.0..=1.0).contains(&lit(angle)));
            // The penumbra is at least 0.5 degrees wide: 1e-5 rad never changes the light by a tenth.
            prop_assert!((lit(angle) - lit(angle + 1.0e-5)).abs() < 0.1);
        }
    }
}
