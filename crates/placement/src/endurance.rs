//! Whether a node's battery and board bear what is asked of them: from now until a whole orbit after the end, with all that is promised there.
//!
//! The physics are those of `body`, which an agent feigns a satellite with, too.

use body::{Body, Cells, FULL_SUN_W_M2, Heating, Store, Warmth};

use crate::forecast::Step;

/// What of a node can be exhausted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Board {
    /// What it draws without any task, W.
    pub idle_w: f64,
    /// Its battery and panels; `None` on the grid.
    pub power: Option<Power>,
    /// How it warms up; `None` where that is not known.
    pub thermal: Option<Thermal>,
}

/// A battery with panels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Power {
    /// The battery.
    pub cells: Cells,
    /// What the panels give in full sunlight, W.
    pub panels_w: f64,
    /// The state of charge that is never touched, 0 to 1.
    pub reserve: f64,
}

/// A board and what carries it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thermal {
    /// What it is made of.
    pub body: Body,
    /// Temperature of the surroundings that it gives heat off to, °C.
    pub ambient_c: f64,
    /// Where its chip throttles, °C.
    pub chip_max_c: f64,
    /// How far below that it is kept, K.
    pub margin_k: f64,
}

/// How a node is at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    /// What is stored.
    pub store: Store,
    /// How warm it is.
    pub warmth: Warmth,
}

/// What is exhausted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The state of charge falls below the reserve.
    Charge,
    /// The chip gets warmer than it may.
    Temperature,
}

/// When what is exhausted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breach {
    /// What.
    pub limit: Limit,
    /// The first step at whose end it is.
    pub step: Step,
    /// The value then: a state of charge, or °C.
    pub value: f64,
    /// What it must not fall below or exceed.
    pub bound: f64,
}

/// The least that is left in all of the time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Least {
    /// State of charge above the reserve; 1 without a battery.
    pub charge: f64,
    /// Kelvin below the limit of the chip: at least so many where it cannot get there, exactly so many where it might; infinite where nothing is
    /// known of its warmth.
    pub headroom_k: f64,
}

impl Board {
    /// Whether nothing of it can be exhausted.
    pub const fn is_unlimited(&self) -> bool {
        self.power.is_none() && self.thermal.is_none()
    }

    /// What flows out of its battery under a load, idle load included, in sunlight of 0 to 1, W; nothing without a battery.
    pub fn drained_w(&self, load_w: f64, sunlit: f64) -> f64 {
        self.power.map_or(0.0, |power| {
            (load_w - power.panels_w * sunlit).max(0.0) / power.cells.discharge_efficiency
        })
    }

    /// How it is after `seconds` of a load in W, idle load included, in sunlight of 0 to 1.
    #[must_use]
    pub fn after(&self, from: Condition, seconds: f64, load_w: f64, sunlit: f64) -> Condition {
        let store = self.power.map_or(from.store, |power| {
            power.cells.step(&from.store, power.panels_w * sunlit, load_w, seconds).0
        });
        let warmth = self.thermal.map_or(from.warmth, |thermal| {
            let heating = Heating {
                load_w,
                solar_w_m2: FULL_SUN_W_M2 * sunlit,
                ambient_c: thermal.ambient_c,
            };
            thermal.body.step(from.warmth, heating, seconds)
        });
        Condition { store, warmth }
    }

    /// How far its chip stays below its limit for all time under at most a load in W, idle load included, whatever the light, K: told by where that
    /// comes to rest, without following it. `None` says that one has to.
    pub fn sure_headroom_k(&self, from: Condition, load_w: f64) -> Option<f64> {
        let Some(thermal) = self.thermal else { return Some(f64::INFINITY) };
        let body = thermal.body;
        let heating = Heating { load_w, solar_w_m2: FULL_SUN_W_M2, ambient_c: thermal.ambient_c };
        let rest_c = body.rest_c(heating);
        let structure_c = rest_c.max(from.warmth.structure_c);
        let above_c = body.chip.map_or(0.0, |chip| load_w / chip.conductance_w_k);
        let most_c = from.warmth.chip_c.max(structure_c + above_c);
        Some(thermal.chip_max_c - thermal.margin_k - most_c).filter(|left| 0.0 <= *left)
    }

    /// The least that is left over some steps, from how it is at the first of them, under a load in W and in sunlight at each of them.
    ///
    /// # Errors
    /// The first [`Breach`]. A number that is none counts as one.
    pub fn endures(
        &self,
        from: Condition,
        (first, end): (Step, Step),
        step_s: f64,
        at: impl Fn(Step) -> (f64, f64),
    ) -> Result<Least, Breach> {
        let mut least = Least { charge: 1.0, headroom_k: f64::INFINITY };
        let mut now = from;
        for step in first..end {
            let (load_w, sunlit) = at(step);
            now = self.after(now, step_s, self.idle_w + load_w, sunlit);
            if let Some(power) = self.power {
                let (value, bound) = (now.store.soc, power.reserve);
                let left = value - bound;
                if !(0.0..).contains(&left) {
                    return Err(Breach { limit: Limit::Charge, step, value, bound });
                }
                least.charge = least.charge.min(left);
            }
            if let Some(thermal) = self.thermal {
                let (value, bound) = (now.warmth.chip_c, thermal.chip_max_c - thermal.margin_k);
                let left = bound - value;
                if !(0.0..).contains(&left) {
                    return Err(Breach { limit: Limit::Temperature, step, value, bound });
                }
                least.headroom_k = least.headroom_k.min(left);
            }
        }
        Ok(least)
    }
}

#[cfg(test)]
mod tests {
    use body::Chip;

    use super::*;

    const CELLS: Cells = Cells {
        capacity_wh: 10.0,
        charge_efficiency: 1.0,
        discharge_efficiency: 1.0,
        charge_w_max: 100.0,
        fade_per_cycle: 0.0,
        fade_per_year: 0.0,
    };
    const BODY: Body = Body {
        heat_capacity_j_k: 600.0,
        conductance_w_k: 0.5,
        chip: Some(Chip { heat_capacity_j_k: 60.0, conductance_w_k: 2.0 }),
        radiating_m2: 0.0,
        absorbing_m2: 0.0,
    };
    const BOARD: Board = Board {
        idle_w: 1.0,
        power: Some(Power { cells: CELLS, panels_w: 5.0, reserve: 0.3 }),
        thermal: Some(Thermal { body: BODY, ambient_c: 0.0, chip_max_c: 85.0, margin_k: 5.0 }),
    };
    const NOW: Condition = Condition {
        store: Store { soc: 0.5, taken_wh: 0.0, age_s: 0.0 },
        warmth: Warmth { chip_c: 20.0, structure_c: 20.0 },
    };

    /// An hour of so much load, dark.
    fn hour(load_w: f64) -> Result<Least, Breach> {
        BOARD.endures(NOW, (0, 60), 60.0, |_| (load_w, 0.0))
    }

    #[test]
    fn what_is_left_is_told() {
        // 1 W of its own takes 1 Wh of 10: from 0.5 to 0.4, 0.1 above the reserve.
        let least = hour(0.0).unwrap();
        assert!((least.charge - 0.1).abs() < 1e-9, "{least:?}");
        assert!(59.0 < least.headroom_k, "{least:?}");
    }

    #[test]
    fn the_sun_spares_the_battery() {
        let drained_w =
            [(7.0, 0.0), (7.0, 1.0), (4.0, 1.0)].map(|(load, sun)| BOARD.drained_w(load, sun));
        assert_eq!(drained_w.map(f64::to_bits), [7.0, 2.0, 0.0].map(f64::to_bits));
        assert!(Board { power: None, ..BOARD }.drained_w(7.0, 0.0).abs() < 1e-12);
    }

    #[test]
    fn the_first_breach_is_told() {
        // 3 W take 2 Wh in 40 minutes.
        let breach = hour(2.0).unwrap_err();
        assert_eq!((breach.limit, breach.step), (Limit::Charge, 40));
        let grid = Board { power: None, ..BOARD };
        // At rest 40 W warm the structure to 80 °C, the chip to 100 °C.
        let breach = grid.endures(NOW, (0, 60), 60.0, |_| (39.0, 0.0)).unwrap_err();
        assert_eq!(
            (breach.limit, breach.bound.to_bits()),
            (Limit::Temperature, 80.0_f64.to_bits())
        );
        assert!(80.0 < breach.value && breach.value < 85.0, "{breach:?}");
        assert!(grid.endures(NOW, (0, 60), 60.0, |_| (20.0, 0.0)).is_ok());
        // 80 °C at rest: 2 K/W of structure, half a kelvin for each W of the chip.
        let sure_k = |load_w| grid.sure_headroom_k(NOW, load_w);
        assert!(sure_k(31.9).is_some_and(|left| (0.0..0.3).contains(&left)), "{:?}", sure_k(31.9));
        assert_eq!(sure_k(32.1), None);
        let hot = Condition { warmth: Warmth { chip_c: 81.0, ..NOW.warmth }, ..NOW };
        assert_eq!(grid.sure_headroom_k(hot, 0.0), None);
    }

    #[test]
    fn light_fills_what_shadow_drains() {
        let sun = |step: Step| (2.0, if step < 30 { 1.0 } else { 0.0 });
        // 2 W over for half an hour, then 3 W under: 0.5 + 0.1 - 0.15.
        let least = BOARD.endures(NOW, (0, 60), 60.0, sun).unwrap();
        assert!((least.charge - 0.15).abs() < 1e-9, "{least:?}");
    }

    #[test]
    fn a_number_that_is_none_is_a_breach() {
        assert!(hour(f64::NAN).is_err());
        let unlimited = Board { idle_w: 5.0, ..Board::default() };
        assert!(unlimited.is_unlimited());
        assert!(unlimited.endures(NOW, (0, 9), 60.0, |_| (f64::NAN, 0.0)).is_ok());
    }
}
