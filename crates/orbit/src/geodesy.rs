//! WGS-84: geodetic latitude, longitude and height to Earth-fixed coordinates and back.

use types::Geodetic;

/// Equatorial radius of WGS-84, km.
pub const WGS84_A_KM: f64 = 6378.137;
/// Flattening of WGS-84.
const WGS84_F: f64 = 1.0 / 298.257_223_563;
/// First eccentricity squared: f (2 - f).
const E2: f64 = WGS84_F * (2.0 - WGS84_F);
/// Polar radius, km.
const B_KM: f64 = WGS84_A_KM * (1.0 - WGS84_F);
/// Second eccentricity squared: e^2 / (1 - e^2).
const EP2: f64 = E2 / (1.0 - E2);
/// Mean radius of the Earth (IUGG), km, for distances along the ground.
pub const EARTH_MEAN_RADIUS_KM: f64 = 6_371.008_8;

/// Earth-fixed position in km.
pub fn to_ecef_km(place: &Geodetic) -> [f64; 3] {
    let (sin_lat, cos_lat) = place.lat_deg.to_radians().sin_cos();
    let (sin_lon, cos_lon) = place.lon_deg.to_radians().sin_cos();
    // N = a / sqrt(1 - e^2 sin^2 lat)
    let n = WGS84_A_KM / (1.0 - E2 * sin_lat * sin_lat).sqrt();
    let horizontal = (n + place.alt_km) * cos_lat;
    [horizontal * cos_lon, horizontal * sin_lon, (n * (1.0 - E2) + place.alt_km) * sin_lat]
}

/// The unit vector away from the ellipsoid ("up") in Earth-fixed axes.
pub fn up(place: &Geodetic) -> [f64; 3] {
    let (sin_lat, cos_lat) = place.lat_deg.to_radians().sin_cos();
    let (sin_lon, cos_lon) = place.lon_deg.to_radians().sin_cos();
    [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat]
}

/// The place of an Earth-fixed position (km): Bowring 1976, two rounds, 1e-9 km up to geostationary height.
///
/// Meant for positions on or above the ground; near the Earth's centre latitude has no meaning.
pub fn from_ecef_km([x, y, z]: [f64; 3]) -> Geodetic {
    let p = x.hypot(y);
    // tan(beta) = a z / (b p), then tan(lat) = (z + e'^2 b sin^3 beta) / (p - e^2 a cos^3 beta)
    let mut beta = (WGS84_A_KM * z).atan2(B_KM * p);
    let mut lat = 0.0;
    for _ in 0..2 {
        let (sin_beta, cos_beta) = beta.sin_cos();
        lat = (z + EP2 * B_KM * sin_beta.powi(3)).atan2(p - E2 * WGS84_A_KM * cos_beta.powi(3));
        // tan(beta) = (1 - f) tan(lat)
        beta = ((1.0 - WGS84_F) * lat.sin()).atan2(lat.cos());
    }
    let (sin_lat, cos_lat) = lat.sin_cos();
    // h = p cos lat + z sin lat - a sqrt(1 - e^2 sin^2 lat): well-conditioned at all latitudes.
    let height = p * cos_lat + z * sin_lat - WGS84_A_KM * (1.0 - E2 * sin_lat * sin_lat).sqrt();
    Geodetic { lat_deg: lat.to_degrees(), lon_deg: y.atan2(x).to_degrees(), alt_km: height }
}

/// Distance along the ground, km: great circle on the mean sphere (haversine), within 0.6 % of the geodesic.
pub fn great_circle_km(a: &Geodetic, b: &Geodetic) -> f64 {
    let half_lat = (b.lat_deg - a.lat_deg).to_radians() / 2.0;
    let half_lon = (b.lon_deg - a.lon_deg).to_radians() / 2.0;
    let h = half_lat.sin().powi(2)
        + a.lat_deg.to_radians().cos() * b.lat_deg.to_radians().cos() * half_lon.sin().powi(2);
    2.0 * EARTH_MEAN_RADIUS_KM * h.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_places_have_known_coordinates() {
        let check = |lat_deg, lon_deg, alt_km, expected: [f64; 3]| {
            let got = to_ecef_km(&Geodetic { lat_deg, lon_deg, alt_km });
            for axis in 0..3 {
                assert!((got[axis] - expected[axis]).abs() < 1.0e-6, "{got:?} is not {expected:?}");
            }
        };
        check(0.0, 0.0, 0.0, [6378.137, 0.0, 0.0]);
        check(0.0, 90.0, 1.0, [0.0, 6379.137, 0.0]);
        check(90.0, 0.0, 0.0, [0.0, 0.0, 6_356.752_314_245]);
        check(-90.0, 0.0, 550.0, [0.0, 0.0, -6_906.752_314_245]);
    }

    #[test]
    fn vallado_example_3_3_comes_out() {
        // Vallado, 4th ed., example 3-3: geodetic latitude 34.352496 deg, longitude 46.4464 deg, height 5085.22 km.
        let place = from_ecef_km([6524.834, 6862.875, 6448.296]);
        assert!((place.lat_deg - 34.352_496).abs() < 1.0e-6, "{place:?}");
        assert!((place.lon_deg - 46.446_4).abs() < 1.0e-4, "{place:?}");
        assert!((place.alt_km - 5_085.22).abs() < 5.0e-3, "{place:?}");
    }

    #[test]
    fn a_quarter_of_a_meridian_is_ten_thousand_kilometres() {
        let pole = Geodetic { lat_deg: 90.0, lon_deg: 12.0, alt_km: 0.0 };
        let equator = Geodetic { lat_deg: 0.0, lon_deg: -100.0, alt_km: 0.0 };
        assert!((great_circle_km(&pole, &equator) - 10_007.557).abs() < 0.01);
        assert!(great_circle_km(&pole, &pole).abs() < 1.0e-9);
    }

    proptest! {
        #[test]
        fn there_and_back_is_the_same_place(
            lat_deg in -90.0_f64..=90.0,
            lon_deg in -179.999_f64..180.0,
            alt_km in -0.4_f64..40_000.0,
        ) {
            let place = Geodetic { lat_deg, lon_deg, alt_km };
            let back = from_ecef_km(to_ecef_km(&place));
            prop_assert!((back.lat_deg - lat_deg).abs() < 1.0e-9, "{back:?}");
            prop_assert!((back.alt_km - alt_km).abs() < 1.0e-7, "{back:?}");
            // Longitude fades towards the poles.
            let off_km = (back.lon_deg - lon_deg).to_radians() * lat_deg.to_radians().cos() * 6400.0;
            prop_assert!(off_km.abs() < 1.0e-6, "{back:?}");
        }
    }
}
