//! SGP4 against reference states: hand-made element sets, states from Vallado's code, see `data/reference.toml`.

use orbit::{PropagateError, tle};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    tolerance_km: f64,
    tolerance_km_s: f64,
    case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    lines: String,
    states: Vec<State>,
    #[serde(default)]
    refused: Vec<Refused>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    minutes: f64,
    position_km: [f64; 3],
    velocity_km_s: [f64; 3],
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    minutes: f64,
    error: String,
}

fn reference() -> Reference {
    toml::from_str(include_str!("data/reference.toml")).expect("the reference file is well-formed")
}

fn farthest(a: [f64; 3], b: [f64; 3]) -> f64 {
    (0..3).map(|k| (a[k] - b[k]).abs()).fold(0.0, f64::max)
}

#[test]
fn states_agree_with_the_reference() {
    let reference = reference();
    for case in &reference.case {
        let elements = tle::parse(&case.lines).unwrap().remove(0);
        for state in &case.states {
            let (position, velocity) = elements.state_teme(state.minutes).unwrap();
            let off_km = farthest(position, state.position_km);
            let off_km_s = farthest(velocity, state.velocity_km_s);
            let where_ = format!("{} at {} min", case.name, state.minutes);
            assert!(off_km < reference.tolerance_km, "{where_}: {off_km} km");
            assert!(off_km_s < reference.tolerance_km_s, "{where_}: {off_km_s} km/s");
        }
    }
}

#[test]
fn what_the_reference_refuses_is_refused() {
    for case in reference().case {
        let elements = tle::parse(&case.lines).unwrap().remove(0);
        for refused in &case.refused {
            let got = match elements.state_teme(refused.minutes) {
                Ok(state) => format!("{state:?}"),
                Err(PropagateError::Diverged { .. }) => "diverged".to_owned(),
                Err(PropagateError::BelowSurface { .. }) => "below-surface".to_owned(),
                Err(PropagateError::OutOfReach { .. }) => "out-of-reach".to_owned(),
            };
            assert_eq!(got, refused.error, "{} at {} min", case.name, refused.minutes);
        }
    }
}

#[test]
fn velocity_is_the_derivative_of_position() {
    const STEP_MIN: f64 = 1.0e-3;
    for case in reference().case.iter().filter(|case| case.refused.is_empty()) {
        let elements = tle::parse(&case.lines).unwrap().remove(0);
        let at = |minutes: f64| elements.state_teme(minutes).unwrap();
        let ((before, _), (_, velocity), (after, _)) = (at(-STEP_MIN), at(0.0), at(STEP_MIN));
        let slope = [0, 1, 2].map(|k| (after[k] - before[k]) / (2.0 * STEP_MIN * 60.0));
        // SGP4's velocity leaves out some periodic terms: metres per second.
        assert!(farthest(slope, velocity) < 0.01, "{}: {slope:?} {velocity:?}", case.name);
    }
}
