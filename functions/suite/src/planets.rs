//! `planets`: the five-body problem of the Computer Language Benchmarks Game. Floating point in registers.

use alloc::format;
use alloc::vec::Vec;
use core::f64::consts::PI;

use crate::BadInput;
use crate::bad_input::number;

/// Most steps.
const STEPS_MAX: u32 = 10_000_000;
/// A step, days.
const STEP_DAYS: f64 = 0.01;
const DAYS_PER_YEAR: f64 = 365.24;
/// The mass of the sun, in units in which gravity is 1.
const SOLAR_MASS: f64 = 4.0 * PI * PI;

/// Simulates so many steps as the body says (decimal); answers the energy of the system before and after, with nine digits.
///
/// # Errors
/// [`BadInput`] for anything else than a number up to 10,000,000.
pub fn simulate(body: &[u8]) -> Result<Vec<u8>, BadInput> {
    let steps = number("planets", body, 0..=STEPS_MAX)?;
    let mut bodies = bodies();
    let before = energy(&bodies);
    for _ in 0..steps {
        advance(&mut bodies);
    }
    Ok(format!("{before:.9} {:.9}", energy(&bodies)).into_bytes())
}

/// Place in astronomical units, speed in units a year, mass.
#[derive(Clone, Copy, Debug)]
struct Body {
    place: [f64; 3],
    speed: [f64; 3],
    mass: f64,
}

/// Sun, Jupiter, Saturn, Uranus, Neptune, as the benchmark gives them.
fn bodies() -> [Body; 5] {
    let planet = |place, speed: [f64; 3], mass| Body {
        place,
        speed: speed.map(|per_day| per_day * DAYS_PER_YEAR),
        mass: mass * SOLAR_MASS,
    };
    let mut bodies = [
        Body { place: [0.0; 3], speed: [0.0; 3], mass: SOLAR_MASS },
        planet(
            [4.841_431_442_464_72, -1.160_320_044_027_428_4, -0.103_622_044_471_123_11],
            [1.660_076_642_744_037e-3, 7.699_011_184_197_404e-3, -6.904_600_169_720_63e-5],
            9.547_919_384_243_266e-4,
        ),
        planet(
            [8.343_366_718_244_58, 4.124_798_564_124_305, -0.403_523_417_114_321_4],
            [-2.767_425_107_268_624e-3, 4.998_528_012_349_172e-3, 2.304_172_975_737_639_3e-5],
            2.858_859_806_661_308e-4,
        ),
        planet(
            [12.894_369_562_139_131, -15.111_151_401_698_631, -0.223_307_578_892_655_74],
            [2.964_601_375_647_616e-3, 2.378_471_739_594_809_5e-3, -2.965_895_685_402_375_6e-5],
            4.366_244_043_351_563e-5,
        ),
        planet(
            [15.379_697_114_850_917, -25.919_314_609_987_964, 0.179_258_772_950_371_18],
            [2.680_677_724_903_893_2e-3, 1.628_241_700_382_423e-3, -9.515_922_545_197_159e-5],
            5.151_389_020_466_114_5e-5,
        ),
    ];
    // The whole stands still.
    for axis in 0..3 {
        let momentum: f64 = bodies.iter().map(|body| body.speed[axis] * body.mass).sum();
        bodies[0].speed[axis] = -momentum / SOLAR_MASS;
    }
    bodies
}

fn advance(bodies: &mut [Body; 5]) {
    for j in 1..bodies.len() {
        let (before, others) = bodies.split_at_mut(j);
        let Some(b) = others.first_mut() else { continue };
        for a in before {
            let (apart, squared) = distance(a, b);
            let pull = STEP_DAYS / (squared * libm::sqrt(squared));
            let (pull_a, pull_b) = (b.mass * pull, a.mass * pull);
            for (speed, apart) in a.speed.iter_mut().zip(apart) {
                *speed -= apart * pull_a;
            }
            for (speed, apart) in b.speed.iter_mut().zip(apart) {
                *speed += apart * pull_b;
            }
        }
    }
    for body in bodies {
        for (place, speed) in body.place.iter_mut().zip(body.speed) {
            *place += STEP_DAYS * speed;
        }
    }
}

/// The vector from `b` to `a`, and its square.
fn distance(a: &Body, b: &Body) -> ([f64; 3], f64) {
    let apart = [0, 1, 2].map(|axis| a.place[axis] - b.place[axis]);
    (apart, dot(apart, apart))
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Kinetic and potential.
fn energy(bodies: &[Body; 5]) -> f64 {
    let mut energy = 0.0;
    for (i, body) in bodies.iter().enumerate() {
        energy += 0.5 * body.mass * dot(body.speed, body.speed);
        for other in &bodies[i + 1..] {
            energy -= body.mass * other.mass / libm::sqrt(distance(body, other).1);
        }
    }
    energy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_energy_is_that_of_the_benchmark() {
        assert_eq!(simulate(b"0").unwrap(), b"-0.169075164 -0.169075164");
        assert_eq!(simulate(b"1000").unwrap(), b"-0.169075164 -0.169087605");
    }
}
