//! What surrounds a node: sunlight, irradiance, temperature. Pure.
//!
//! Irradiance is that on a panel that faces the Sun. Ground nodes have it without air mass and clouds:
//! all of it by day, none by night. A satellite radiates to an *effective sink*: the temperature at
//! which a small sphere of its coating would settle in the light of Sun and Earth, without any load.

use orbit::{EndpointKind, Sky};
use protocol::sim::SimEnv;
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

/// The environment of `node` at `at`; `air_c` is the air around it if it stands on the ground.
/// `None` for a node that the sky does not have or cannot place.
pub fn environment(sky: &Sky, node: &NodeId, at: Epoch, air_c: f64) -> Option<SimEnv> {
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
    Some(SimEnv { at, sunlit, solar_w_m2, ambient_c })
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
        environment(&sky, &NodeId::new(node).unwrap(), noon.plus_s(minutes * 60.0), 31.0)
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

    #[test]
    fn a_node_that_is_nowhere_has_no_environment() {
        assert_eq!(at("ghost", 0.0), None);
    }
}
