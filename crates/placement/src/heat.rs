//! How a satellite's board heats up in the published model of HyperDrive: a formula with a modulus, not physics.
//!
//! Kept as it is, since results are compared with those that were published. What Starbelt itself believes is in `body`.

/// What the model knows of a board.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heat {
    /// Temperature before anything is placed, °C.
    pub start_c: f64,
    /// The most that it may have, °C.
    pub max_c: f64,
    /// The most that it should have, °C.
    pub recommended_c: f64,
    /// Kelvin that one busy core adds in a minute.
    pub rise_c_min: f64,
    /// Kelvin that are radiated in a minute.
    pub radiated_c_min: f64,
    /// What the temperature of the orbit is made of, °C.
    pub orbit_base_c: f64,
}

impl Heat {
    /// Temperature after a task of `milli_cpu` for so many seconds, °C; as at the start where the time is not known.
    ///
    /// `T = trunc(base·m) mod trunc(max) + rise·(m·cores) − radiated·m`, m in minutes (`heat_optimized` of HyperDrive).
    pub fn after_c(&self, run_s: Option<f64>, milli_cpu: u32) -> f64 {
        let Some(run_s) = run_s else { return self.start_c };
        let minutes = run_s / 60.0;
        let max = self.max_c.trunc();
        let orbit_c = if max == 0.0 { 0.0 } else { (self.orbit_base_c * minutes).trunc() % max };
        let cores = f64::from(milli_cpu) / 1000.0;
        orbit_c + (self.rise_c_min * (minutes * cores) - self.radiated_c_min * minutes)
    }

    /// What HyperDrive thinks of that temperature, 0 to 100.
    pub fn score(&self, after_c: f64) -> u32 {
        if after_c <= self.recommended_c {
            return 100;
        }
        if self.max_c < after_c {
            return 0;
        }
        let share = (after_c - self.recommended_c) / (self.max_c - self.recommended_c);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the share is between 0 and 1"
        )]
        let score = ((1.0 - share) * 100.0).floor() as u32;
        score
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn class(start_c: f64, rise_c_min: f64, orbit_base_c: f64) -> Heat {
        let (max_c, recommended_c, radiated_c_min) = (75.0, 65.0, 0.1);
        Heat { start_c, max_c, recommended_c, rise_c_min, radiated_c_min, orbit_base_c }
    }

    /// Every temperature that can occur in the published scenario, and its score.
    #[test]
    fn all_outcomes_of_the_published_scenario() {
        let (a, b, c) = (class(45.0, 1.0, 55.0), class(45.0, 2.0, 60.0), class(35.0, 0.5, 45.0));
        let expected = [
            (60.0, [(a, 58.9, 100), (b, 67.9, 70), (c, 46.9, 100)]),
            (600.0, [(a, 64.0, 100), (b, 79.0, 0), (c, 19.0, 100)]),
            (90.0, [(a, 12.85, 100), (b, 26.85, 100), (c, 69.85, 51)]),
        ];
        for (run_s, classes) in expected {
            for (heat, after_c, score) in classes {
                let found = heat.after_c(Some(run_s), 4000);
                assert!((found - after_c).abs() < 1e-9, "{run_s} s: {found} is not {after_c}");
                assert_eq!(heat.score(found), score, "{run_s} s: {found}");
            }
        }
        assert_eq!(a.after_c(None, 4000).to_bits(), 45.0_f64.to_bits());
    }
}
