//! Sunlight and batteries: satellites that run low take no new tasks.

use orbit::sunlight::{sun_teme_km, sunlit_fraction};
use topology::NodeIx;

use super::{Figure, Plugin, PluginError};
use crate::offline::scenario::EnergyEntry;
use crate::offline::simulation::SimulationView;

/// Seconds of an hour.
const S_PER_H: f64 = 3600.0;

/// The battery of each satellite, by the Sun and by what computes aboard.
#[derive(Clone, Debug)]
pub struct Energy {
    entry: EnergyEntry,
    /// Wh, by satellite.
    charge_wh: Vec<f64>,
    /// The lit part of the Sun at the last step, 0 to 1, by satellite; not a number where it is down.
    sunlit: Vec<f64>,
    /// The lowest charge that any satellite ever had, 0 to 1.
    lowest: f64,
    lit_sum: f64,
    lit_count: u64,
}

impl Energy {
    /// All batteries as the entry says.
    pub fn new(entry: EnergyEntry) -> Self {
        let lowest = entry.charge_at_start;
        let (charge_wh, sunlit) = (Vec::new(), Vec::new());
        Self { entry, charge_wh, sunlit, lowest, lit_sum: 0.0, lit_count: 0 }
    }

    /// The charge of a satellite, 0 to 1; `None` before the first step and for what is no satellite.
    pub fn charge(&self, satellite: usize) -> Option<f64> {
        self.charge_wh.get(satellite).map(|wh| wh / self.entry.battery_wh)
    }

    /// The part of the Sun's disk that a satellite saw at the last step; `None` where it is down.
    pub fn sunlit(&self, satellite: usize) -> Option<f64> {
        self.sunlit.get(satellite).copied().filter(|lit| !lit.is_nan())
    }

    /// The balance of a step for one satellite, from this step to the next.
    fn balance_wh(&self, lit: f64, milli_cpu: u32, step_s: f64) -> f64 {
        // dE = (P_solar x - P_idle - P_core n) dt
        let watts = self.entry.solar_w * lit
            - self.entry.idle_w
            - self.entry.core_w * f64::from(milli_cpu) / 1000.0;
        watts * step_s / S_PER_H
    }
}

impl Plugin for Energy {
    fn name(&self) -> &'static str {
        "energy"
    }

    fn after_step(&mut self, view: &mut SimulationView<'_>) -> Result<(), PluginError> {
        let Some(moment) = view.moment() else { return Ok(()) };
        let full = self.entry.battery_wh;
        self.charge_wh.resize(moment.positions_km.len(), full * self.entry.charge_at_start);
        self.sunlit.resize(moment.positions_km.len(), f64::NAN);
        let sun_km = sun_teme_km(moment.at);
        for (node, position_km) in (0..).map(NodeIx).zip(&moment.positions_km) {
            let satellite = node.index();
            if position_km[0].is_nan() {
                self.sunlit[satellite] = f64::NAN;
                continue;
            }
            let lit = sunlit_fraction(*position_km, sun_km);
            let used = view.workload().compute().used(node);
            let balance = self.balance_wh(lit, used.milli_cpu, view.step_s);
            let charge = (self.charge_wh[satellite] + balance).clamp(0.0, full);
            self.charge_wh[satellite] = charge;
            self.sunlit[satellite] = lit;
            self.lowest = self.lowest.min(charge / full);
            self.lit_sum += lit;
            self.lit_count += 1;
            view.set_open(node, self.entry.reserve * full <= charge);
        }
        Ok(())
    }

    fn figures(&self) -> Vec<Figure> {
        #[expect(clippy::cast_precision_loss, reason = "a mean over fewer than 2^53")]
        let share = (0 < self.lit_count).then(|| self.lit_sum / self.lit_count as f64);
        let low =
            self.charge_wh.iter().filter(|wh| **wh < self.entry.reserve * self.entry.battery_wh);
        #[expect(clippy::cast_precision_loss, reason = "satellites are few")]
        let low = low.count() as f64;
        vec![
            Figure { name: "charge_min", value: Some(self.lowest) },
            Figure { name: "satellites_below_reserve_at_end", value: Some(low) },
            Figure { name: "sunlit_share", value: share },
        ]
    }
}
