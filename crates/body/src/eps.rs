//! The power system of a satellite that is not there: panels, a battery with losses that wears, a load. Performs no I/O and reads no clock.
//!
//! `P = P_solar - P_load`; what is left over charges with efficiency `η_c` up to a power, what is missing is taken as `|P| / η_d`.
//! Panels in shadow give nothing because the irradiance is 0 there. Capacity fades with each full cycle that went out and with age.

use serde::{Deserialize, Serialize};

const SECONDS_PER_HOUR: f64 = 3600.0;
/// A Julian year, s.
const SECONDS_PER_YEAR: f64 = 31_557_600.0;
/// What is left of the most worn battery: models are not trusted beyond.
const CAPACITY_LEFT_MIN: f64 = 0.2;

/// A battery as it was built.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cells {
    /// Capacity when new, Wh.
    pub capacity_wh: f64,
    /// Of what flows in, what is stored, above 0 to 1.
    pub charge_efficiency: f64,
    /// Of what is stored, what flows out, above 0 to 1.
    pub discharge_efficiency: f64,
    /// Most that it takes, W.
    pub charge_w_max: f64,
    /// Capacity lost with each full cycle, as a share.
    pub fade_per_cycle: f64,
    /// Capacity lost each year, as a share.
    pub fade_per_year: f64,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Store {
    /// State of charge, 0 to 1, of the capacity that is left.
    pub soc: f64,
    /// Energy that has been taken out of it so far, Wh.
    pub taken_wh: f64,
    /// Age, s.
    pub age_s: f64,
}

/// Where energy went in a step, Wh. All are 0 or more.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flows {
    /// What the panels gave.
    pub solar_wh: f64,
    /// What the load got.
    pub served_wh: f64,
    /// What the load did not get: the battery was empty.
    pub unserved_wh: f64,
    /// What nobody took: the battery was full, or took no more at once.
    pub spilled_wh: f64,
    /// What was lost on the way in and out.
    pub lost_wh: f64,
}

impl Cells {
    /// The capacity that is left, Wh.
    pub fn capacity_left_wh(&self, store: &Store) -> f64 {
        let cycles = store.taken_wh / self.capacity_wh;
        let years = store.age_s / SECONDS_PER_YEAR;
        let faded = cycles * self.fade_per_cycle + years * self.fade_per_year;
        self.capacity_wh * (1.0 - faded).clamp(CAPACITY_LEFT_MIN, 1.0)
    }

    /// What becomes of a battery in `seconds` of constant power, and where the energy went.
    ///
    /// Capacity fades between steps: what is stored stays, but not more than what then fits.
    pub fn step(&self, store: &Store, solar_w: f64, load_w: f64, seconds: f64) -> (Store, Flows) {
        let hours = seconds.max(0.0) / SECONDS_PER_HOUR;
        let capacity_wh = self.capacity_left_wh(store);
        let stored_wh = store.soc * capacity_wh;
        let (solar_wh, load_wh) = (solar_w.max(0.0) * hours, load_w.max(0.0) * hours);
        let (left_wh, mut flows) = if load_wh <= solar_wh {
            self.charge(stored_wh, capacity_wh, solar_wh - load_wh, hours)
        } else {
            self.discharge(stored_wh, load_wh - solar_wh)
        };
        flows.solar_wh = solar_wh;
        flows.served_wh = load_wh - flows.unserved_wh;
        let aged = Store {
            soc: 0.0,
            taken_wh: store.taken_wh + (stored_wh - left_wh).max(0.0),
            age_s: store.age_s + seconds.max(0.0),
        };
        let fits_wh = self.capacity_left_wh(&aged);
        flows.lost_wh += (left_wh - fits_wh).max(0.0);
        (Store { soc: (left_wh / fits_wh).clamp(0.0, 1.0), ..aged }, flows)
    }

    fn charge(&self, stored_wh: f64, capacity_wh: f64, over_wh: f64, hours: f64) -> (f64, Flows) {
        let room_wh = (capacity_wh - stored_wh).max(0.0);
        let taken_wh = over_wh.min(self.charge_w_max * hours).min(room_wh / self.charge_efficiency);
        let kept_wh = taken_wh * self.charge_efficiency;
        let (spilled_wh, lost_wh) = (over_wh - taken_wh, taken_wh - kept_wh);
        (stored_wh + kept_wh, Flows { spilled_wh, lost_wh, ..Flows::default() })
    }

    fn discharge(&self, stored_wh: f64, under_wh: f64) -> (f64, Flows) {
        let given_wh = under_wh.min(stored_wh * self.discharge_efficiency);
        let used_wh = given_wh / self.discharge_efficiency;
        let (unserved_wh, lost_wh) = (under_wh - given_wh, used_wh - given_wh);
        ((stored_wh - used_wh).max(0.0), Flows { unserved_wh, lost_wh, ..Flows::default() })
    }
}

#[cfg(test)]
mod tests;
