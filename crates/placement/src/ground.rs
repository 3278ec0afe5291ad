//! Distance along the ground.

use geographiclib_rs::{Geodesic, InverseGeodesic as _};
use types::Geodetic;

/// Length of the geodesic between two places on the WGS-84 ellipsoid, km; heights are left out (C. Karney, 2013).
pub fn distance_km(a: Geodetic, b: Geodetic) -> f64 {
    let metres: f64 = Geodesic::wgs84().inverse(a.lat_deg, a.lon_deg, b.lat_deg, b.lon_deg);
    metres / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lat_deg: f64, lon_deg: f64) -> Geodetic {
        Geodetic::new(lat_deg, lon_deg, 0.0).unwrap()
    }

    /// The first is the example of T. Vincenty (1975) in GRS-80's sister WGS-84: Flinders Peak to Buninyong.
    #[test]
    fn it_is_that_of_the_ellipsoid() {
        let (flinders, buninyong) =
            (at(-37.951_033_42, 144.424_867_89), at(-37.652_821_14, 143.926_495_53));
        assert!((distance_km(flinders, buninyong) - 54.972_271).abs() < 1e-3);
        // A quarter of a meridian.
        assert!((distance_km(at(0.0, 0.0), at(90.0, 0.0)) - 10_001.965_729).abs() < 1e-5);
        // Nearly on opposite sides, where Vincenty's series does not converge.
        assert!((distance_km(at(0.0, 0.0), at(0.5, 179.7)) - 19_944.127).abs() < 0.01);
    }
}
