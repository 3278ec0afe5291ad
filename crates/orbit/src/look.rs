//! Where a satellite stands in the sky of a place: azimuth, elevation, range, how fast it comes nearer, Doppler shift.
//!
//! Geometric: without refraction (0.5 degrees at the horizon, 0.1 at 10 degrees) and without the time that light takes.

use types::Geodetic;

use crate::geodesy;
use crate::propagate::State;
use crate::vector::{cross, dot, minus, norm};

/// Where a satellite stands, and how it moves against the observer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// From north over east, degrees, 0 to below 360; in the zenith it has no meaning.
    pub azimuth_deg: f64,
    /// Above the horizon plane of the ellipsoid, degrees, -90 to 90.
    pub elevation_deg: f64,
    /// Distance, km.
    pub range_km: f64,
    /// How fast the distance grows, km/s; negative while the satellite comes nearer.
    pub range_rate_km_s: f64,
}

/// A place with its axes, Earth-fixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observer {
    position_km: [f64; 3],
    velocity_km_s: [f64; 3],
    east: [f64; 3],
    north: [f64; 3],
    up: [f64; 3],
}

impl Observer {
    /// Somebody who stays at `place`.
    pub fn at(place: &Geodetic) -> Self {
        let (sin_lon, cos_lon) = place.lon_deg.to_radians().sin_cos();
        let (east, up) = ([-sin_lon, cos_lon, 0.0], geodesy::up(place));
        Self {
            position_km: geodesy::to_ecef_km(place),
            velocity_km_s: [0.0; 3],
            east,
            north: cross(up, east),
            up,
        }
    }

    /// Somebody at `place` who will be at `next` in `seconds` (above 0).
    pub fn between(place: &Geodetic, next: &Geodetic, seconds: f64) -> Self {
        let here = Self::at(place);
        let moved_km = minus(geodesy::to_ecef_km(next), here.position_km);
        Self { velocity_km_s: moved_km.map(|axis| axis / seconds), ..here }
    }

    /// Where a satellite with this ECEF state stands; not a number at the observer's own place.
    pub fn look(&self, satellite: State) -> Look {
        let (towards, moving) = self.relative(satellite);
        let range_km = norm(towards);
        let azimuth_deg = dot(towards, self.east).atan2(dot(towards, self.north)).to_degrees();
        Look {
            azimuth_deg: if azimuth_deg < 0.0 { turned_up(azimuth_deg) } else { azimuth_deg },
            elevation_deg: (dot(towards, self.up) / range_km).clamp(-1.0, 1.0).asin().to_degrees(),
            range_km,
            // dr/dt = d . (dd/dt) / r
            range_rate_km_s: dot(towards, moving) / range_km,
        }
    }

    /// Vector towards the satellite and its change, km and km/s.
    pub(crate) fn relative(&self, (position, velocity): State) -> State {
        (minus(position, self.position_km), minus(velocity, self.velocity_km_s))
    }

    /// The unit vector up.
    pub(crate) fn up(&self) -> [f64; 3] {
        self.up
    }
}

/// A negative angle of at least -180 degrees, one turn on; 360 itself is 0.
fn turned_up(degrees: f64) -> f64 {
    let up = degrees + 360.0;
    if up < 360.0 { up } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::Epoch;

    use super::*;
    use crate::frame::PolarTurn;

    fn place(lat_deg: f64, lon_deg: f64, alt_km: f64) -> Geodetic {
        Geodetic { lat_deg, lon_deg, alt_km }
    }

    fn look_at(from: &Geodetic, to: &Geodetic) -> Look {
        Observer::at(from).look((geodesy::to_ecef_km(to), [0.0; 3]))
    }

    #[test]
    fn the_four_directions_are_where_the_compass_has_them() {
        let graz = place(47.07, 15.44, 0.35);
        for (lat_deg, lon_deg, azimuth_deg) in
            [(50.0, 15.44, 0.0), (44.0, 15.44, 180.0), (47.07, 18.0, 90.0), (47.07, 13.0, 270.0)]
        {
            let look = look_at(&graz, &place(lat_deg, lon_deg, 550.0));
            // A parallel is no great circle: due east along it starts a little north of east.
            assert!((look.azimuth_deg - azimuth_deg).abs() < 1.5, "{look:?} is not {azimuth_deg}");
        }
        let north = look_at(&place(0.0, 0.0, 0.0), &place(5.0, 0.0, 550.0));
        assert!(north.azimuth_deg.abs() < 1.0e-9, "{north:?}");
        let west = look_at(&place(0.0, 0.0, 0.0), &place(0.0, -5.0, 550.0));
        assert!((west.azimuth_deg - 270.0).abs() < 1.0e-9, "{west:?}");
        // From the pole every satellite on the meridian of its longitude is seen towards the south along it.
        let pole = look_at(&place(90.0, 0.0, 0.0), &place(80.0, 0.0, 550.0));
        assert!((pole.azimuth_deg - 180.0).abs() < 1.0e-9, "{pole:?}");
    }

    #[test]
    fn looks_from_five_places_are_those_of_an_astronomy_library() {
        // Site (degrees, degrees, km), satellite (ITRS, km), azimuth, elevation (degrees), range (km), as the library skyfield has
        // them; `sim-bridge/tests/vectors` holds 501 more.
        for (site, satellite, [azimuth_deg, elevation_deg, range_km]) in [
            (
                (47.0707, 15.4409, 0.353),
                [4634.948, 2298.364, 4601.4144],
                [119.882, 22.194_51, 1222.4273],
            ),
            (
                (-54.8019, -68.303, 0.02),
                [2005.8998, -4251.4494, -5098.0367],
                [18.450_73, 28.760_08, 1052.5693],
            ),
            (
                (21.3069, -157.8583, 0.0),
                [-6399.3023, -2183.965, 1515.137],
                [200.747_01, 22.921_68, 1192.2],
            ),
            (
                (-16.4897, -68.1193, 3.64),
                [2793.5852, -5836.2957, -2487.719],
                [143.515_39, 36.4021, 871.9455],
            ),
            (
                (78.2232, 15.6267, 0.45),
                [17_231.188_7, 8868.9845, 13_295.772_3],
                [166.187_51, 32.814_52, 19_435.091_7],
            ),
        ] {
            let (lat_deg, lon_deg, alt_km) = site;
            let look = Observer::at(&place(lat_deg, lon_deg, alt_km)).look((satellite, [0.0; 3]));
            assert!((look.azimuth_deg - azimuth_deg).abs() < 2.0e-5, "{site:?}: {look:?}");
            assert!((look.elevation_deg - elevation_deg).abs() < 2.0e-5, "{site:?}: {look:?}");
            assert!((look.range_km - range_km).abs() < 2.0e-4, "{site:?}: {look:?}");
        }
    }

    #[test]
    fn whoever_moves_along_sees_no_change_of_range() {
        let (here, next) = (place(10.0, 20.0, 10.0), place(10.001, 20.001, 10.0));
        let aircraft = Observer::between(&here, &next, 0.5);
        let velocity = aircraft.velocity_km_s;
        assert!((0.2..0.4).contains(&norm(velocity)), "{velocity:?}");
        let above = geodesy::to_ecef_km(&place(11.0, 22.0, 550.0));
        assert!(aircraft.look((above, velocity)).range_rate_km_s.abs() < 1.0e-12);
        assert!(aircraft.look((above, [0.0; 3])).range_rate_km_s < -0.1);
    }

    proptest! {
        #[test]
        fn the_range_rate_is_how_the_range_changes(
            lat_deg in -90.0_f64..=90.0,
            lon_deg in -180.0_f64..180.0,
            r in prop::array::uniform3(6_000.0_f64..40_000.0),
            v in prop::array::uniform3(-8.0_f64..8.0),
        ) {
            let site = Observer::at(&place(lat_deg, lon_deg, 0.2));
            let at = Epoch::parse("2026-05-05T05:05:05Z").unwrap();
            let look = |dt: f64| {
                let moved = [0, 1, 2].map(|axis| r[axis] + v[axis] * dt);
                site.look(PolarTurn::at(at.plus_s(dt)).state_to_ecef((moved, v)))
            };
            let change = (look(0.05).range_km - look(-0.05).range_km) / 0.1;
            prop_assert!((change - look(0.0).range_rate_km_s).abs() < 1.0e-5);
        }

        #[test]
        fn a_satellite_above_stands_at_90_degrees(
            lat_deg in -90.0_f64..=90.0,
            lon_deg in -180.0_f64..180.0,
            alt_km in 200.0_f64..36_000.0,
        ) {
            let look = look_at(&place(lat_deg, lon_deg, 0.0), &place(lat_deg, lon_deg, alt_km));
            prop_assert!(89.999_9 < look.elevation_deg);
            prop_assert!((look.range_km - alt_km).abs() < 1.0e-6);
            prop_assert!((0.0..360.0).contains(&look.azimuth_deg));
        }
    }
}
