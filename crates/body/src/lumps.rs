//! How warm a body gets: a chip in a structure, cooled by conduction and radiation, warmed by its load and the Sun. Performs no I/O and reads no clock.
//!
//! ```text
//! C_c dT_c/dt = P - G_c (T_c - T_s)
//! C_s dT_s/dt = G_c (T_c - T_s) + α A_a S - G (T_s - T_0) - ε σ A_r (T_s⁴ - T_0⁴)
//! ```
//! Without a chip, the load warms the structure. Each step is solved exactly with the radiation as a straight line through where the step
//! begins; without radiation it is exact however long.

/// Stefan-Boltzmann constant (CODATA 2018), W/(m² K⁴).
const STEFAN_BOLTZMANN: f64 = 5.670_374_419e-8;
/// 0 °C, K.
const ZERO_CELSIUS_K: f64 = 273.15;
/// Longest step for which radiation is a straight line, s.
const STEP_S: f64 = 20.0;
/// Newton's method has all digits by then.
const REST_ROUNDS: u32 = 8;
/// Steps at a time at most.
const STEPS_MAX: f64 = 10_000.0;

/// What a body is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Body {
    /// Heat capacity of the structure, J/K.
    pub heat_capacity_j_k: f64,
    /// Conductance from the structure to the surroundings, W/K; above 0.
    pub conductance_w_k: f64,
    /// The chip, if its temperature differs from that of the structure.
    pub chip: Option<Chip>,
    /// Emissivity times area of the radiator, m².
    pub radiating_m2: f64,
    /// Absorptivity times area that faces the Sun, m².
    pub absorbing_m2: f64,
}

/// A chip in a structure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chip {
    /// Heat capacity with its heat spreader, J/K.
    pub heat_capacity_j_k: f64,
    /// Conductance to the structure, W/K.
    pub conductance_w_k: f64,
}

/// How warm it is, °C.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warmth {
    /// The chip; the structure if there is no chip.
    pub chip_c: f64,
    /// The structure.
    pub structure_c: f64,
}

/// What surrounds it and what it does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heating {
    /// What the node draws, all of which becomes heat, W.
    pub load_w: f64,
    /// Irradiance, W/m².
    pub solar_w_m2: f64,
    /// Temperature of the surroundings, °C.
    pub ambient_c: f64,
}

impl Body {
    /// How warm it is after `seconds` of constant heating.
    pub fn step(&self, from: Warmth, heating: Heating, seconds: f64) -> Warmth {
        if seconds <= 0.0 {
            return from;
        }
        let radiates = 0.0 < self.radiating_m2;
        let steps = if radiates { (seconds / STEP_S).ceil().min(STEPS_MAX) } else { 1.0 };
        let step_s = seconds / steps;
        let (mut now, mut done) = (from, 0.0);
        while done < steps {
            now = self.short_step(now, heating, step_s);
            done += 1.0;
        }
        now
    }

    /// Where its structure comes to rest under constant heating, °C: it gives off all that comes in.
    pub fn rest_c(&self, heating: Heating) -> f64 {
        let in_w = heating.load_w + self.absorbing_m2 * heating.solar_w_m2;
        let sink_k = (heating.ambient_c + ZERO_CELSIUS_K).max(0.0);
        let per_k4 = STEFAN_BOLTZMANN * self.radiating_m2;
        let conducted_c = heating.ambient_c + in_w / self.conductance_w_k;
        if per_k4 <= 0.0 {
            return conducted_c;
        }
        let radiated_c = (in_w / per_k4 + sink_k.powi(4)).max(0.0).powf(0.25) - ZERO_CELSIUS_K;
        if self.conductance_w_k <= 0.0 {
            return radiated_c;
        }
        // Either alone would have to be warmer: Newton's method from above, on a function that is convex there, never falls below the root.
        let mut rest_c = conducted_c.min(radiated_c);
        for _ in 0..REST_ROUNDS {
            let kelvin = (rest_c + ZERO_CELSIUS_K).max(0.0);
            let out_w = self.conductance_w_k * (rest_c - heating.ambient_c)
                + per_k4 * (kelvin.powi(4) - sink_k.powi(4));
            rest_c -= (out_w - in_w) / (self.conductance_w_k + 4.0 * per_k4 * kelvin.powi(3));
        }
        rest_c
    }

    fn short_step(&self, from: Warmth, heating: Heating, seconds: f64) -> Warmth {
        // ε σ A (T⁴ - T_0⁴) ≈ q + G_r (T - T_from) with G_r = 4 ε σ A T_from³
        let kelvin = |celsius: f64| (celsius + ZERO_CELSIUS_K).max(0.0);
        let (warm_k, sink_k) = (kelvin(from.structure_c), kelvin(heating.ambient_c));
        let per_k4 = STEFAN_BOLTZMANN * self.radiating_m2;
        let radiated_w = per_k4 * (warm_k.powi(4) - sink_k.powi(4));
        let radiating_w_k = 4.0 * per_k4 * warm_k.powi(3);
        let sun_w = self.absorbing_m2 * heating.solar_w_m2;
        let out_w_k = self.conductance_w_k + radiating_w_k;
        // Where all would come to rest: the structure gives off all that comes in.
        let in_w = heating.load_w + sun_w - radiated_w
            + self.conductance_w_k * heating.ambient_c
            + radiating_w_k * from.structure_c;
        let rest_c = in_w / out_w_k;
        match self.chip {
            None => {
                let kept = (-seconds * out_w_k / self.heat_capacity_j_k).exp();
                let celsius = rest_c + (from.structure_c - rest_c) * kept;
                Warmth { chip_c: celsius, structure_c: celsius }
            }
            Some(chip) => {
                let rest = Warmth {
                    chip_c: rest_c + heating.load_w / chip.conductance_w_k,
                    structure_c: rest_c,
                };
                self.relax(chip, out_w_k, from, rest, seconds)
            }
        }
    }

    /// `x(t) = x_∞ + e^(At) (x_0 - x_∞)` with `A = [[-a, a], [b, -(b + c)]]`, whose eigenvalues are real and below 0.
    fn relax(&self, chip: Chip, out_w_k: f64, from: Warmth, rest: Warmth, seconds: f64) -> Warmth {
        let a = chip.conductance_w_k / chip.heat_capacity_j_k;
        let b = chip.conductance_w_k / self.heat_capacity_j_k;
        let c = out_w_k / self.heat_capacity_j_k;
        let (chip_d, structure_d) =
            (from.chip_c - rest.chip_c, from.structure_c - rest.structure_c);
        let root = ((a - b - c).powi(2) + 4.0 * a * b).sqrt();
        let fast = -0.5 * (a + b + c + root);
        // The product of both is a c: no digits are lost where one is far smaller.
        let slow = a * c / fast;
        // e^(At) = (e^(st) (A - f) - e^(ft) (A - s)) / (s - f)
        let (slow_kept, fast_kept) = ((slow * seconds).exp(), (fast * seconds).exp());
        let applied = |shift: f64| {
            let first = (-a - shift) * chip_d + a * structure_d;
            let second = b * chip_d + (-(b + c) - shift) * structure_d;
            (first, second)
        };
        let ((slow_1, slow_2), (fast_1, fast_2)) = (applied(fast), applied(slow));
        Warmth {
            chip_c: rest.chip_c + (slow_kept * slow_1 - fast_kept * fast_1) / root,
            structure_c: rest.structure_c + (slow_kept * slow_2 - fast_kept * fast_2) / root,
        }
    }
}

#[cfg(test)]
mod tests;
