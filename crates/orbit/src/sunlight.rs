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

/// TT - UTC since 2017, days; with the 64 s of 2000 instead the Sun stands 0.2" elsewhere.
const TT_MINUS_UTC_DAYS: f64 = 69.184 / 86_400.0;
/// Days of a Julian century.
const DAYS_PER_CENTURY: f64 = 36_525.0;

/// Apparent position of the Sun in TEME, km, as far as its light is concerned: with aberration; 0.001 degrees from 1950 to 2050.
///
/// Meeus, Astronomical Algorithms, 2nd ed., chapter 25, with the terms of Venus, Jupiter and the Moon (Meeus, Astronomical
/// Formulae for Calculators, chapter 18) and the main terms of nutation (chapter 22). TEME has the true equator and the
/// mean equinox.
pub fn sun_teme_km(at: Epoch) -> [f64; 3] {
    let t = (days_since_j2000(at) + TT_MINUS_UTC_DAYS) / DAYS_PER_CENTURY;
    let sin = |degrees: f64| degrees.rem_euclid(360.0).to_radians().sin();
    let cos = |degrees: f64| degrees.rem_euclid(360.0).to_radians().cos();
    // L0 = 280.46646 + 36000.76983 T + 0.0003032 T^2; M = 357.52911 + 35999.05029 T - 0.0001537 T^2
    let mean_longitude = 280.466_46 + 36_000.769_83 * t + 0.000_303_2 * t * t;
    let m = 357.529_11 + 35_999.050_29 * t - 0.000_153_7 * t * t;
    // C = (1.914602 - 0.004817 T) sin M + (0.019993 - 0.000101 T) sin 2M + 0.000289 sin 3M
    let centre = (1.914_602 - 0.004_817 * t) * sin(m)
        + (0.019_993 - 0.000_101 * t) * sin(2.0 * m)
        + 0.000_289 * sin(3.0 * m);
    // Aberration, degrees.
    let longitude = mean_longitude + centre + pulled_deg(t) - 0.005_69;
    // R = a (1 - e^2) / (1 + e cos v), a = 1.000001018 au, e = 0.016708634 - 0.000042037 T
    let e = 0.016_708_634 - 0.000_042_037 * t;
    let distance = AU_KM * 1.000_001_018 * (1.0 - e * e) / (1.0 + e * cos(m + centre));
    let (turned, tilted) = nutation_deg(t, mean_longitude);
    let obliquity = 23.439_291 - 0.013_004_2 * t;
    let (sin_l, cos_l) = (sin(longitude + turned), cos(longitude + turned));
    let (sin_e, cos_e) = (sin(obliquity + tilted), cos(obliquity + tilted));
    // From the true equinox back to the mean one, along the equator: dpsi cos(epsilon).
    let (sin_q, cos_q) = (turned.to_radians() * cos_e).sin_cos();
    let (x, y) = (distance * cos_l, distance * cos_e * sin_l);
    [cos_q * x + sin_q * y, cos_q * y - sin_q * x, distance * sin_e * sin_l]
}

/// By how much Venus, Jupiter and the Moon move the Sun's longitude, degrees; `t` in centuries since J2000.
fn pulled_deg(t: f64) -> f64 {
    // The terms count from noon of 31 December 1899, JD 2415020.0.
    let t = t + 1.0;
    let wave = |at_start: f64, rate: f64| (at_start + rate * t).rem_euclid(360.0).to_radians();
    0.001_34 * wave(153.23, 22_518.754_1).cos()
        + 0.001_54 * wave(216.57, 45_037.508_2).cos()
        + 0.002_00 * wave(312.69, 32_964.357_7).cos()
        + 0.001_79 * wave(350.74, 445_267.114_2).sin()
        + 0.001_78 * wave(231.19, 20.20).sin()
}

/// Nutation in longitude and in obliquity, degrees, to 0.5"; `t` in centuries since J2000.
fn nutation_deg(t: f64, sun_longitude_deg: f64) -> (f64, f64) {
    let node = (125.044_52 - 1_934.136_261 * t).rem_euclid(360.0).to_radians();
    let sun = (2.0 * sun_longitude_deg).rem_euclid(360.0).to_radians();
    // dpsi = -17.20" sin W - 1.32" sin 2L; deps = 9.20" cos W + 0.57" cos 2L
    let longitude = -17.20 * node.sin() - 1.32 * sun.sin();
    let obliquity = 9.20 * node.cos() + 0.57 * sun.cos();
    (longitude / 3600.0, obliquity / 3600.0)
}

/// The disks of the Sun and of the Earth as a satellite sees them, rad.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disks {
    /// Apparent radius of the Sun.
    pub(crate) sun_radius_rad: f64,
    /// Apparent radius of the Earth.
    pub(crate) earth_radius_rad: f64,
    /// Apparent distance of their centres.
    pub(crate) apart_rad: f64,
}

impl Disks {
    /// Both positions in the same axes with the origin at the Earth's centre, km.
    pub(crate) fn seen_from(satellite_km: [f64; 3], sun_km: [f64; 3]) -> Self {
        let to_sun = minus(sun_km, satellite_km);
        let (from_earth, from_sun) = (norm(satellite_km), norm(to_sun));
        let cos_apart = -dot(satellite_km, to_sun) / (from_earth * from_sun);
        Self {
            sun_radius_rad: (SUN_RADIUS_KM / from_sun).min(1.0).asin(),
            earth_radius_rad: (EARTH_RADIUS_KM / from_earth).min(1.0).asin(),
            apart_rad: cos_apart.clamp(-1.0, 1.0).acos(),
        }
    }
}

/// The part of the Sun's disk that `satellite_km` sees past the Earth: 1 in the sun, 0 in the umbra.
///
/// Both in the same axes with the origin at the Earth's centre, km.
/// Montenbruck and Gill, Satellite Orbits, 3.4.2 (conical umbra and penumbra, overlap of two disks).
pub fn sunlit_fraction(satellite_km: [f64; 3], sun_km: [f64; 3]) -> f64 {
    // Apparent radii: a of the Sun, b of the Earth; c: apparent distance of their centres.
    let Disks { sun_radius_rad: a, earth_radius_rad: b, apart_rad: c } =
        Disks::seen_from(satellite_km, sun_km);
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
        // (UTC, right ascension, declination, tolerance): Meeus 25.b (apparent; VSOP87) less its nutation of 15.908" along the
        // equator; the equinox and the solstice of 2024.
        for (at, ra_deg, dec_deg, tolerance) in [
            ("1992-10-12T23:58:50.816Z", 198.378_12 - 0.004_05, -7.783_82, 0.001),
            ("2024-03-20T03:06:00Z", 0.0, 0.0, 0.006),
            ("2024-06-20T20:51:00Z", 90.0, 23.44, 0.006),
        ] {
            let [x, y, z] = unit(sun_teme_km(Epoch::parse(at).unwrap()));
            let (ra, dec) = (y.atan2(x).to_degrees(), z.asin().to_degrees());
            let off = ((ra - ra_deg + 180.0).rem_euclid(360.0) - 180.0).abs();
            assert!(off < tolerance && (dec - dec_deg).abs() < tolerance, "{at}: {ra} {dec}");
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
