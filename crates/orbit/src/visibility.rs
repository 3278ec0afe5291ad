//! Who sees whom: elevation above a site, and lines of sight past the Earth.

use crate::geodesy::WGS84_A_KM;
use crate::vector::{dot, minus, norm};

/// A site with all that visibility needs, in the axes of one instant.
#[derive(Clone, Copy, Debug)]
pub struct Viewer {
    /// Position, km.
    pub position_km: [f64; 3],
    /// Unit vector up, across the ellipsoid.
    pub up: [f64; 3],
}

impl Viewer {
    /// Elevation of `target_km` above the horizon plane in degrees, -90 to 90; axes as the viewer's.
    pub fn elevation_deg(&self, target_km: [f64; 3]) -> f64 {
        let towards = minus(target_km, self.position_km);
        // sin(elevation) = up . towards / |towards|
        (dot(self.up, towards) / norm(towards)).clamp(-1.0, 1.0).asin().to_degrees()
    }

    /// The distance in km if the elevation of `target_km` is at least the mask of sine `sin_mask` (0 to 1).
    ///
    /// False for a position that is not a number. Costs one multiplication per axis and no root unless visible.
    pub fn range_above_km(&self, target_km: [f64; 3], sin_mask: f64) -> Option<f64> {
        let towards = minus(target_km, self.position_km);
        let height = dot(self.up, towards);
        let range2 = dot(towards, towards);
        let visible = 0.0 <= height && sin_mask * sin_mask * range2 <= height * height;
        visible.then(|| range2.sqrt())
    }
}

/// What a link between satellites must keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SightRule {
    /// Longest link, km.
    pub range_max_km: f64,
    /// Lowest height above the equatorial radius at which the line may pass, km.
    pub grazing_altitude_km: f64,
}

impl SightRule {
    /// The distance in km if two satellites (any common axes, origin at the Earth's centre) can hold a link.
    pub fn distance_km(&self, a_km: [f64; 3], b_km: [f64; 3]) -> Option<f64> {
        let along = minus(b_km, a_km);
        let length2 = dot(along, along);
        let in_range = length2 <= self.range_max_km * self.range_max_km;
        // A position that is not a number fails both comparisons.
        (in_range && self.passes_earth(a_km, along, length2)).then(|| length2.sqrt())
    }

    /// Whether the segment from `from_km` along `along` stays clear of the Earth.
    fn passes_earth(&self, from_km: [f64; 3], along: [f64; 3], length2: f64) -> bool {
        let clear_km = WGS84_A_KM + self.grazing_altitude_km;
        let from2 = dot(from_km, from_km);
        // The point of the segment nearest to the centre lies at t = -(a . d) / |d|^2, cut to the segment.
        let towards = -dot(from_km, along);
        let nearest2 = if towards <= 0.0 || length2 <= 0.0 {
            from2
        } else if length2 <= towards {
            from2 - 2.0 * towards + length2
        } else {
            from2 - towards * towards / length2
        };
        clear_km * clear_km <= nearest2
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::Geodetic;

    use super::*;
    use crate::geodesy;

    const RULE: SightRule = SightRule { range_max_km: 50_000.0, grazing_altitude_km: 80.0 };

    fn viewer(place: &Geodetic) -> Viewer {
        Viewer { position_km: geodesy::to_ecef_km(place), up: geodesy::up(place) }
    }

    fn at_height(lat_deg: f64, lon_deg: f64, alt_km: f64) -> [f64; 3] {
        geodesy::to_ecef_km(&Geodetic { lat_deg, lon_deg, alt_km })
    }

    #[test]
    fn the_earth_hides_the_other_side() {
        let a = [6928.0, 0.0, 0.0];
        assert_eq!(RULE.distance_km(a, [-6928.0, 0.0, 0.0]), None);
        assert!(RULE.distance_km(a, [6928.0, 100.0, 0.0]).is_some());
        // Stacked along one radius: the line runs through the centre, the segment does not.
        assert_eq!(RULE.distance_km(a, [7928.0, 0.0, 0.0]), Some(1000.0));
        assert_eq!(RULE.distance_km([7928.0, 0.0, 0.0], a), Some(1000.0));
    }

    #[test]
    fn the_longest_link_grazes_at_80_km() {
        // 2 sqrt(a^2 - (R + g)^2) = 5016 km at h = 550, g = 80.
        let a = WGS84_A_KM + 550.0;
        let longest = 2.0 * (a * a - (WGS84_A_KM + 80.0).powi(2)).sqrt();
        assert!((longest - 5016.0).abs() < 1.0, "{longest}");
        let apart = |km: f64| {
            let (sin, cos) = (km / 2.0 / a).asin().sin_cos();
            RULE.distance_km([a * cos, a * sin, 0.0], [a * cos, -a * sin, 0.0])
        };
        assert!(apart(longest - 1.0).is_some());
        assert!(apart(longest + 1.0).is_none());
    }

    #[test]
    fn range_is_a_limit_and_what_is_unknown_is_not_seen() {
        let short = SightRule { range_max_km: 99.0, ..RULE };
        assert_eq!(short.distance_km([6928.0, 0.0, 0.0], [6928.0, 100.0, 0.0]), None);
        let nowhere = [f64::NAN; 3];
        assert_eq!(RULE.distance_km([6928.0, 0.0, 0.0], nowhere), None);
        assert_eq!(RULE.distance_km(nowhere, nowhere), None);
        let site = viewer(&Geodetic { lat_deg: 0.0, lon_deg: 0.0, alt_km: 0.0 });
        assert_eq!(site.range_above_km(nowhere, 0.0), None);
    }

    #[test]
    fn slant_range_at_25_degrees_is_1123_km() {
        let site = viewer(&Geodetic { lat_deg: 0.0, lon_deg: 0.0, alt_km: 0.0 });
        let sin_mask = 25.0_f64.to_radians().sin();
        let mut farthest: f64 = 0.0;
        for step in 0..2000 {
            let target = at_height(0.0, f64::from(step) * 0.01, 550.0);
            farthest = farthest.max(site.range_above_km(target, sin_mask).unwrap_or(0.0));
        }
        assert!((farthest - 1123.0).abs() < 2.0, "{farthest}");
    }

    proptest! {
        #[test]
        fn a_satellite_stands_in_the_zenith_of_its_subpoint(
            lat_deg in -90.0_f64..=90.0,
            lon_deg in -180.0_f64..180.0,
            alt_km in 200.0_f64..36_000.0,
        ) {
            let satellite = at_height(lat_deg, lon_deg, alt_km);
            let below = Geodetic { alt_km: 0.0, ..geodesy::from_ecef_km(satellite) };
            prop_assert!(89.999_9 < viewer(&below).elevation_deg(satellite));
            // A rounding error of 1e-9 in the sine is 0.003 degrees at the zenith, hence no 1.0 here.
            prop_assert!(viewer(&below).range_above_km(satellite, 0.999_999_999).is_some());
        }

        #[test]
        fn sight_is_symmetric(
            a in (-90.0_f64..90.0, -180.0_f64..180.0, 200.0_f64..2_000.0),
            b in (-90.0_f64..90.0, -180.0_f64..180.0, 200.0_f64..2_000.0),
        ) {
            let (p, q) = (at_height(a.0, a.1, a.2), at_height(b.0, b.1, b.2));
            let (there, back) = (RULE.distance_km(p, q), RULE.distance_km(q, p));
            prop_assert_eq!(there.is_some(), back.is_some());
            // The segment test agrees with a walk along the segment.
            let lowest = (0..=2000)
                .map(|i| f64::from(i) / 2000.0)
                .map(|t| norm([0, 1, 2].map(|k| p[k] + t * (q[k] - p[k]))))
                .fold(f64::INFINITY, f64::min);
            let limit = WGS84_A_KM + RULE.grazing_altitude_km;
            if 5.0 < (lowest - limit).abs() {
                prop_assert_eq!(there.is_some(), limit < lowest);
            }
        }

        #[test]
        fn the_quick_mask_test_agrees_with_the_elevation(
            site in (-90.0_f64..90.0, -180.0_f64..180.0),
            sat in (-90.0_f64..90.0, -180.0_f64..180.0, 200.0_f64..2_000.0),
            mask in 0.0_f64..80.0,
        ) {
            let site = viewer(&Geodetic { lat_deg: site.0, lon_deg: site.1, alt_km: 0.0 });
            let target = at_height(sat.0, sat.1, sat.2);
            let elevation = site.elevation_deg(target);
            if 1.0e-6 < (elevation - mask).abs() {
                let seen = site.range_above_km(target, mask.to_radians().sin()).is_some();
                prop_assert_eq!(seen, mask < elevation);
            }
        }
    }
}
