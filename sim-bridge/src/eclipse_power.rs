//! What surrounds a node: sunlight, irradiance, temperature; and where it is. Pure.
//!
//! Irradiance is that on a panel that faces the Sun. Ground nodes have it without air mass and clouds:
//! all of it by day, none by night. A satellite radiates to an *effective sink*: the temperature at
//! which a small sphere of its coating would settle in the light of Sun and Earth, without any load.

use orbit::{EndpointKind, Sky};
use protocol::sim::{SimEnv, TRACK_S_MAX, Track};
use types::{Epoch, NodeId};

/// Total solar irradiance at 1 au, W/m² (G. Kopp, J. Lean, 2011: 1360.8).
pub const SOLAR_CONSTANT_W_M2: f64 = 1361.0;
/// Stefan-Boltzmann constant (CODATA 2018, exact), W m⁻² K⁻⁴.
const STEFAN_BOLTZMANN: f64 = 5.670_374_419e-8;
/// Infrared emission of the Earth, mean, W/m² (CERES).
const EARTH_IR_W_M2: f64 = 239.0;
/// Share of sunlight that the Earth reflects, mean (CERES).
const EARTH_ALBEDO: f64 = 0.29;
/// Absorptance over emittance of white paint after some years in orbit.
const ALPHA_OVER_EPSILON: f64 = 0.3;
/// Share of a small sphere's view that the Earth fills at 550 km: `(1 − √(1 − (R / (R + h))²)) / 2`.
const EARTH_VIEW: f64 = 0.305;
/// A sphere catches parallel light with a quarter of its surface.
const SPHERE_CATCH: f64 = 0.25;
/// 0 °C in K.
const ZERO_CELSIUS_K: f64 = 273.15;

/// The environment of `node` at `at`, and where it goes within the next `ahead_s`; `air_c` is the air around it if it stands on
/// the ground. `None` for a node that the sky does not have or cannot place.
pub fn environment(
    sky: &Sky,
    node: &NodeId,
    at: Epoch,
    ahead_s: f64,
    air_c: f64,
) -> Option<SimEnv> {
    let endpoints = sky.endpoints();
    let index = endpoints.binary_search_by(|endpoint| endpoint.node.cmp(node)).ok()?;
    let sunlit = f64::from(sky.sunlit(node, at)?);
    let ambient_c = match endpoints[index].kind {
        EndpointKind::Satellite(_) => sink_c(sunlit),
        EndpointKind::Site(_) => air_c,
    };
    #[expect(clippy::cast_possible_truncation, reason = "seven digits are more than is known")]
    let (sunlit, solar_w_m2, ambient_c) =
        (sunlit as f32, (SOLAR_CONSTANT_W_M2 * sunlit) as f32, ambient_c as f32);
    let track = track(sky, node, at, ahead_s);
    Some(SimEnv { at, sunlit, solar_w_m2, ambient_c, track })
}

/// Where a node is and goes. What moves farther than a track reaches is nowhere: a wrong place is worse than none.
fn track(sky: &Sky, node: &NodeId, at: Epoch, ahead_s: f64) -> Option<Track> {
    let from = sky.place(node, at)?;
    #[expect(clippy::cast_possible_truncation, reason = "some seconds")]
    let after_s = ahead_s as f32;
    let to = sky.place(node, at.plus_s(f64::from(after_s)))?;
    let fits = 0.0 < after_s && (after_s <= TRACK_S_MAX || from == to);
    fits.then(|| Track { from, to, after_s: after_s.min(TRACK_S_MAX) })
}

/// The effective sink of a satellite in low orbit, °C.
///
/// `T⁴ σ = (α/ε) S f (1/4 + a F / 2) + E F`, where half of the Earth in view is taken as lit.
fn sink_c(sunlit: f64) -> f64 {
    let sun = ALPHA_OVER_EPSILON * SOLAR_CONSTANT_W_M2 * sunlit;
    let flux = sun * (SPHERE_CATCH + EARTH_ALBEDO * EARTH_VIEW / 2.0) + EARTH_IR_W_M2 * EARTH_VIEW;
    (flux / STEFAN_BOLTZMANN).powf(0.25) - ZERO_CELSIUS_K
}

#[cfg(test)]
mod tests {
    use orbit::geodesy;
    use topology::track::between;
    use types::Geodetic;

    use super::*;

    const SKY: &str = r#"
[constellation]
walker = { name = "w", planes = 1, slots = 8, altitude_km = 550.0, inclination_deg = 53.0, phasing = 0, epoch = "2026-03-20T12:00:00Z" }
[[site]]
node = "gulf"
lat_deg = 0.0
lon_deg = 0.0
[[site]]
node = "pacific"
lat_deg = 0.0
lon_deg = 180.0
[[satellite]]
node = "sat"
name = "w-00-00"
"#;

    fn at(node: &str, minutes: f64) -> Option<SimEnv> {
        let sky = Sky::new(&toml::from_str(SKY).unwrap(), None).unwrap();
        let noon = Epoch::parse("2026-03-20T12:00:00Z").unwrap();
        environment(&sky, &NodeId::new(node).unwrap(), noon.plus_s(minutes * 60.0), 60.0, 31.0)
    }

    #[test]
    fn a_site_has_day_and_night_and_its_air() {
        let (day, night) = (at("gulf", 0.0).unwrap(), at("pacific", 0.0).unwrap());
        assert_eq!((day.sunlit, day.solar_w_m2, day.ambient_c), (1.0, 1361.0, 31.0));
        assert_eq!((night.sunlit, night.solar_w_m2, night.ambient_c), (0.0, 0.0, 31.0));
    }

    #[test]
    fn a_satellite_goes_through_light_and_shadow_within_an_orbit() {
        let orbit: Vec<SimEnv> = (0..96).map(|m| at("sat", f64::from(m)).unwrap()).collect();
        let lit = orbit.iter().filter(|env| 0.5 < env.sunlit).count();
        assert!((50..75).contains(&lit), "{lit} of 96 minutes are lit");
        for env in orbit {
            assert!((-90.0..-80.0).contains(&env.ambient_c) || 0.0 < env.sunlit, "{env:?}");
            assert!((-40.0..-25.0).contains(&env.ambient_c) || env.sunlit < 1.0, "{env:?}");
        }
    }

    /// Kilometers between two places, along the ground and up.
    fn apart_km(a: &Geodetic, b: &Geodetic) -> f64 {
        let ([ax, ay, az], [bx, by, bz]) = (geodesy::to_ecef_km(a), geodesy::to_ecef_km(b));
        (ax - bx).hypot(ay - by).hypot(az - bz)
    }

    #[test]
    fn a_track_is_where_the_orbit_is() {
        let sky = Sky::new(&toml::from_str(SKY).unwrap(), None).unwrap();
        let sat = NodeId::new("sat").unwrap();
        let noon = Epoch::parse("2026-03-20T12:00:00Z").unwrap();
        for (ahead_s, off_km_max) in [(2.0, 0.01), (30.0, 0.25), (120.0, 2.5)] {
            for minute in 0..96 {
                let at = noon.plus_s(f64::from(minute) * 60.0);
                let track = environment(&sky, &sat, at, ahead_s, 0.0).unwrap().track.unwrap();
                for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
                    let told = between(&track.from, &track.to, share);
                    let is = sky.place(&sat, at.plus_s(share * ahead_s)).unwrap();
                    let off_km = apart_km(&told, &is);
                    assert!(
                        off_km < off_km_max,
                        "{minute} min, {share} of {ahead_s} s: {off_km} km"
                    );
                }
                assert!((500.0..600.0).contains(&track.from.alt_km), "{track:?}");
            }
        }
        // It is the place above which the satellite stands in the same sky.
        let moment = sky.at(noon);
        let index = (0..sky.satellites()).find(|index| sky.satellite_name(*index) == "w-00-00");
        let below = moment.subpoint(index.unwrap()).unwrap();
        assert!(apart_km(&below, &sky.place(&sat, noon).unwrap()) < 1e-6);
    }

    #[test]
    fn who_stays_has_a_place_at_any_rate_and_who_runs_too_far_has_none() {
        let sky = Sky::new(&toml::from_str(SKY).unwrap(), None).unwrap();
        let noon = Epoch::parse("2026-03-20T12:00:00Z").unwrap();
        let track = |node: &str, ahead_s| {
            let node = NodeId::new(node).unwrap();
            environment(&sky, &node, noon, ahead_s, 0.0).unwrap().track
        };
        let gulf = track("gulf", 1e6).unwrap();
        assert_eq!(
            (gulf.from, gulf.from),
            (gulf.to, Geodetic { lat_deg: 0.0, lon_deg: 0.0, alt_km: 0.0 })
        );
        assert!(track("sat", 120.0).is_some());
        assert_eq!(track("sat", 121.0), None);
    }

    #[test]
    fn a_node_that_is_nowhere_has_no_environment() {
        assert_eq!(at("ghost", 0.0), None);
    }
}
