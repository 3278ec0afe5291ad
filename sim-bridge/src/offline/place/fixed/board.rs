//! Battery and temperatures of a satellite's board, and how they are when a run begins.
//!
//! Starting values, to be replaced by those of a step test on a board: section 8.3 and 8.4 of the model's facts, where they are not
//! marked as ours.

use body::{Body, Cells, Chip, Store, Warmth};
use placement::Forecast as _;
use placement::endurance::{Board, Condition, Power, Thermal};

use super::super::run::number;
use super::sky::FixedSky;
use super::{ORBIT_MIN, STEP_S, steps};

/// Share of the sunlight that the Earth reflects.
const ALBEDO: f64 = 0.3;
/// How much of the half-sphere below is Earth at 550 km: (R / (R + h))².
const EARTH_VIEW: f64 = 0.847_5;
/// Where a body comes to rest that sees the Earth radiate 237 W/m² with that share of its sky, and nothing else, °C: (q·F/σ)^¼.
const EARTH_C: f64 = -29.18;
/// Battery of a satellite, Wh: the published 10,000 mAh at 3.7 V, which it does not say.
const BATTERY_WH: f64 = 37.0;
/// What its panels yield in full sunlight, turned to the Sun as well as a small satellite can, W (ours).
const PANELS_W: f64 = 25.0;
/// What its board draws without any task, W (ours).
const IDLE_W: f64 = 6.0;
/// The charge that must not be touched (ours).
const RESERVE: f64 = 0.3;
/// Share of the energy that gets through on the way in and on the way out.
const EFFICIENCY: f64 = 0.95;
/// The published highest temperature, °C.
pub(super) const MAX_C: f64 = 75.0;
/// How far below that policies keep a board, K (ours).
const MARGIN_K: f64 = 2.0;
/// Heat that warms a board by one kelvin, and the body that carries it, J/K.
const HEAT_J_K: (f64, f64) = (60.0, 8000.0);
/// Area that radiates, m², and its emissivity.
const RADIATOR: (f64, f64) = (0.5, 0.85);
/// Area that takes sunlight, m², and how much of it it absorbs. Ours: with it a satellite that idles stays between about -5 and 20 °C.
const SUNLIT: (f64, f64) = (0.3, 0.25);
/// Where the body begins before it has settled, °C.
const BEGIN_C: f64 = 15.0;
/// So many turns at idle and the body has forgotten where it began: twice its time constant of 50 minutes, twice over.
const TURNS: u32 = 2;

/// The battery of a satellite.
pub const CELLS: Cells = Cells {
    capacity_wh: BATTERY_WH,
    charge_efficiency: EFFICIENCY,
    discharge_efficiency: EFFICIENCY,
    charge_w_max: PANELS_W,
    // A run is a few hours of years.
    fade_per_cycle: 0.0,
    fade_per_year: 0.0,
};

/// The board of a satellite, joined to its body by so many W/K.
pub fn board(conductance_w_k: f64) -> Board {
    let chip = Chip { heat_capacity_j_k: HEAT_J_K.0, conductance_w_k };
    let body = Body {
        heat_capacity_j_k: HEAT_J_K.1,
        conductance_w_k: 0.0,
        chip: Some(chip),
        radiating_m2: RADIATOR.0 * RADIATOR.1,
        absorbing_m2: SUNLIT.0 * SUNLIT.1 * (1.0 + ALBEDO * EARTH_VIEW),
    };
    let (ambient_c, chip_max_c, margin_k) = (EARTH_C, MAX_C, MARGIN_K);
    Board {
        idle_w: IDLE_W,
        power: Some(Power { cells: CELLS, panels_w: PANELS_W, reserve: RESERVE }),
        thermal: Some(Thermal { body, ambient_c, chip_max_c, margin_k }),
    }
}

/// How satellites are that have idled for a while, charged as given.
///
/// The light of the turn that lies ahead stands for that of the turns before.
pub fn settled(boards: &[Board], charges: &[f64], sky: &FixedSky) -> Vec<Condition> {
    let one = |(at, (board, charge)): (usize, (&Board, &f64))| {
        let node = number(at);
        let warmth = Warmth { chip_c: BEGIN_C, structure_c: BEGIN_C };
        let mut now = Condition { store: Store { soc: *charge, ..Store::default() }, warmth };
        for _ in 0..TURNS {
            for step in 0..steps(ORBIT_MIN) {
                now = board.after(now, STEP_S, board.idle_w, sky.light(node, step));
            }
        }
        Condition { store: Store { soc: *charge, ..Store::default() }, ..now }
    };
    boards.iter().zip(charges).enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fleet::CONDUCTANCES_W_K;
    use super::*;

    fn begin(soc: f64) -> Condition {
        let warmth = Warmth { chip_c: 20.0, structure_c: 15.0 };
        Condition { store: Store { soc, ..Store::default() }, warmth }
    }

    #[test]
    fn a_board_in_the_dark_drains_and_cools() {
        let board = board(CONDUCTANCES_W_K[2]);
        let after = board.after(begin(0.5), 3600.0, board.idle_w, 0.0);
        let drawn = board.idle_w / EFFICIENCY / BATTERY_WH;
        assert!((0.5 - after.store.soc - drawn).abs() < 1e-9, "{after:?}");
        let Warmth { chip_c, structure_c } = after.warmth;
        assert!(structure_c < 0.0 && structure_c < chip_c, "{after:?}");
        assert!((board.drained_w(board.idle_w, 0.0) - board.idle_w / EFFICIENCY).abs() < 1e-9);
        assert!(board.drained_w(board.idle_w, 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_board_is_warmer_than_the_body_by_load_over_conductance() {
        let board = board(1.5);
        let mut now = begin(1.0);
        for _ in 0..2000 {
            now = board.after(now, 30.0, 15.0, 1.0);
        }
        assert!((now.warmth.chip_c - now.warmth.structure_c - 10.0).abs() < 1e-6, "{now:?}");
        assert!((0.0..60.0).contains(&now.warmth.structure_c), "{now:?}");
    }

    #[test]
    fn without_load_and_sun_a_body_comes_to_rest_at_what_the_earth_radiates() {
        let board = board(1.5);
        let mut now = begin(1.0);
        for _ in 0..5000 {
            now = board.after(now, 30.0, 0.0, 0.0);
        }
        // q·F = 237 W/m² · 0.8475 = σ·T⁴.
        let kelvin = (237.0 * EARTH_VIEW / 5.670_374e-8_f64).powf(0.25);
        assert!((now.warmth.structure_c - (kelvin - 273.15)).abs() < 0.05, "{now:?}");
    }
}
