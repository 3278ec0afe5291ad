//! How full a battery is, from current and voltage: counted, corrected at rest, and with its uncertainty. Performs no I/O and reads no clock.
//!
//! Counting: `SoC += η I Δt / (3600 C)`, with I in A above 0 when it charges, C in Ah, η = 0.99 when it charges, else 1.
//! Its error is an offset of the meter that adds up, and a share of what flows. At rest (|I| < C/50 for 10 min) the voltage
//! of open terminals tells the charge; it enters with a weight of 0.1 each minute at most, and less where the curve is flat.

use serde::{Deserialize, Serialize};

/// Of what flows in, what can flow out again (Li-ion).
const CHARGE_EFFICIENCY: f64 = 0.99;
const SECONDS_PER_HOUR: f64 = 3600.0;
/// A battery rests below so many of its capacities per hour.
const REST_PER_HOUR: f64 = 1.0 / 50.0;
/// It takes so long until the voltage of a resting battery is that of open terminals, s.
const REST_S: f64 = 600.0;
/// Between two corrections, s.
const CORRECTION_S: f64 = 60.0;
/// Most of what a correction changes.
const WEIGHT_MAX: f64 = 0.1;
/// Charging ends when it takes less than so many capacities per hour at full voltage.
const TAPER_PER_HOUR: f64 = 1.0 / 20.0;
/// Of the full voltage, what counts as full.
const FULL_SHARE: f64 = 0.995;
/// How well an end of charging tells that a battery is full.
const FULL_SIGMA: f64 = 0.01;
/// Nobody knows anything: the deviation of a number that is anywhere between 0 and 1, 1/√12.
pub const SIGMA_MAX: f64 = 0.288_675_134_594_812_9;
/// What a cell that is under load says of its charge.
const LOADED_SIGMA: f64 = 0.15;
/// A battery whose current nobody knows gives or takes so many capacities per hour at most.
const BLIND_PER_HOUR: f64 = 0.2;
/// Points of a curve at most.
pub const POINTS_MAX: usize = 32;

/// The voltage of open terminals of Li-ion cells (NMC, 25 °C): charge, V.
const LI_ION: [(f64, f64); 12] = [
    (0.0, 3.00),
    (0.05, 3.45),
    (0.1, 3.68),
    (0.2, 3.74),
    (0.3, 3.77),
    (0.4, 3.79),
    (0.5, 3.82),
    (0.6, 3.87),
    (0.7, 3.92),
    (0.8, 3.98),
    (0.9, 4.06),
    (1.0, 4.20),
];

/// The same of LiFePO4 cells: flat in the middle.
const LI_FE_PO4: [(f64, f64); 11] = [
    (0.0, 2.50),
    (0.1, 3.00),
    (0.2, 3.20),
    (0.3, 3.22),
    (0.4, 3.25),
    (0.5, 3.26),
    (0.6, 3.27),
    (0.7, 3.30),
    (0.8, 3.32),
    (0.9, 3.35),
    (1.0, 3.40),
];

/// The voltage of a cell's open terminals over its charge; rises from point to point.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve(Vec<(f64, f64)>);

/// Points that are no curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a curve has 2 to 32 points from charge 0 to charge 1, and charge and voltage rise from each to the next"
)]
pub struct InvalidCurve;

impl Curve {
    /// Of points (charge 0 to 1, V).
    ///
    /// # Errors
    /// If they do not rise, or do not begin at 0 and end at 1.
    pub fn new(points: Vec<(f64, f64)>) -> Result<Self, InvalidCurve> {
        let rises = points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
        let ends = |point: Option<&(f64, f64)>, charge: f64| {
            point.is_some_and(|(at, volts)| {
                (at - charge).abs() <= 0.0 && 0.0 < *volts && volts.is_finite()
            })
        };
        let whole = ends(points.first(), 0.0) && ends(points.last(), 1.0);
        let counted = (2..=POINTS_MAX).contains(&points.len());
        if rises && whole && counted { Ok(Self(points)) } else { Err(InvalidCurve) }
    }

    /// Of Li-ion cells (NMC, 25 °C).
    pub fn li_ion() -> Self {
        Self(LI_ION.to_vec())
    }

    /// Of LiFePO4 cells (25 °C).
    pub fn li_fe_po4() -> Self {
        Self(LI_FE_PO4.to_vec())
    }

    /// The charge at a voltage, 0 to 1, and how much of it a volt is there.
    pub fn charge(&self, volts: f64) -> (f64, f64) {
        let (low, high) = self.around(|point| point.1, volts);
        let per_volt = (high.0 - low.0) / (high.1 - low.1);
        ((low.0 + (volts - low.1) * per_volt).clamp(0.0, 1.0), per_volt)
    }

    /// The voltage at a charge, V.
    pub fn volts(&self, charge: f64) -> f64 {
        let (low, high) = self.around(|point| point.0, charge);
        let share = ((charge - low.0) / (high.0 - low.0)).clamp(0.0, 1.0);
        low.1 + share * (high.1 - low.1)
    }

    fn full_volts(&self) -> f64 {
        self.volts(1.0)
    }

    /// The points on both sides of a value; the first or last two beyond the ends.
    fn around(&self, of: impl Fn(&(f64, f64)) -> f64, value: f64) -> ((f64, f64), (f64, f64)) {
        let above = self.0.iter().position(|point| value < of(point)).unwrap_or(self.0.len());
        let high = above.clamp(1, self.0.len() - 1);
        (self.0[high - 1], self.0[high])
    }
}

/// A battery as its operator describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct PackSpec {
    /// Capacity, Ah.
    pub capacity_ah: f64,
    /// Cells in series.
    pub cells_series: u32,
    /// Voltage over charge of one cell.
    pub curve: Curve,
    /// How far the meter's zero can be off, A.
    pub offset_a: f64,
    /// How far it can be off in proportion to the current.
    pub gain_error: f64,
    /// How far the voltage of a cell can be off, V.
    pub volts_error: f64,
}

/// How a state of charge is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// A gauge of the battery says so.
    Gauge,
    /// Counted.
    Coulomb,
    /// From the voltage.
    Ocv,
    /// A model.
    Model,
}

/// What is known of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Charge {
    /// State of charge, 0 to 1.
    pub soc: f64,
    /// Its standard deviation.
    pub sigma: f64,
    /// How long the battery has rested, s.
    pub rest_s: f64,
    /// Since the correction before, s.
    pub since_correction_s: f64,
    /// How it is known.
    pub method: Method,
}

/// What a meter says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metered {
    /// Current, A, above 0 when it charges.
    pub current_a: Option<f64>,
    /// Voltage of the pack, V.
    pub voltage_v: Option<f64>,
}

impl Charge {
    /// The first look: the voltage tells something, even under load.
    pub fn first(spec: &PackSpec, metered: Metered) -> Self {
        let cell_v = metered.voltage_v.map(|volts| volts / f64::from(spec.cells_series));
        let (soc, sigma) = match cell_v {
            Some(volts) => {
                let (soc, per_volt) = spec.curve.charge(volts);
                (soc, LOADED_SIGMA.max(per_volt * spec.volts_error).min(SIGMA_MAX))
            }
            None => (0.5, SIGMA_MAX),
        };
        Self { soc, sigma, rest_s: 0.0, since_correction_s: 0.0, method: Method::Ocv }
    }

    /// What was known earlier, `seconds` ago, while nobody counted.
    #[must_use]
    pub fn after_gap(self, seconds: f64) -> Self {
        let lost = seconds.max(0.0) / SECONDS_PER_HOUR * BLIND_PER_HOUR;
        Self { sigma: (self.sigma + lost).min(SIGMA_MAX), rest_s: 0.0, ..self }
    }

    /// After another `seconds` of what the meter says now.
    #[must_use]
    pub fn step(self, spec: &PackSpec, metered: Metered, seconds: f64) -> Self {
        let Some(current_a) = metered.current_a.filter(|amps| amps.is_finite()) else {
            return self.after_gap(seconds);
        };
        let counted = self.count(spec, current_a, seconds.max(0.0));
        let Some(cell_v) = metered.voltage_v.filter(|volts| volts.is_finite()) else {
            return counted;
        };
        counted.correct(spec, current_a, cell_v / f64::from(spec.cells_series))
    }

    fn count(self, spec: &PackSpec, current_a: f64, seconds: f64) -> Self {
        let efficiency = if 0.0 < current_a { CHARGE_EFFICIENCY } else { 1.0 };
        // SoC[k+1] = SoC[k] + η I Δt / (3600 C)
        let share_per_a = seconds / (SECONDS_PER_HOUR * spec.capacity_ah);
        let flowed = efficiency * current_a * share_per_a;
        let error = spec.offset_a * share_per_a + spec.gain_error * flowed.abs();
        let rests = current_a.abs() < REST_PER_HOUR * spec.capacity_ah;
        Self {
            soc: (self.soc + flowed).clamp(0.0, 1.0),
            sigma: (self.sigma + error).min(SIGMA_MAX),
            rest_s: if rests { self.rest_s + seconds } else { 0.0 },
            since_correction_s: self.since_correction_s + seconds,
            method: if 0.0 < seconds { Method::Coulomb } else { self.method },
        }
    }

    fn correct(self, spec: &PackSpec, current_a: f64, cell_v: f64) -> Self {
        let taper = (0.0..TAPER_PER_HOUR * spec.capacity_ah).contains(&current_a);
        if taper && FULL_SHARE * spec.curve.full_volts() <= cell_v {
            return Self { soc: 1.0, sigma: FULL_SIGMA.min(self.sigma), ..self };
        }
        if self.rest_s < REST_S || self.since_correction_s < CORRECTION_S {
            return self;
        }
        let (soc, per_volt) = spec.curve.charge(cell_v);
        let ocv_sigma = (per_volt * spec.volts_error).max(f64::EPSILON);
        // The weight that makes the deviation least, σ² / (σ² + σ_ocv²), but never above 0.1.
        let variance = self.sigma * self.sigma;
        let weight = (variance / (variance + ocv_sigma * ocv_sigma)).min(WEIGHT_MAX);
        let (kept, told) = ((1.0 - weight) * self.sigma, weight * ocv_sigma);
        Self {
            soc: self.soc + weight * (soc - self.soc),
            sigma: kept.hypot(told),
            since_correction_s: 0.0,
            method: Method::Ocv,
            ..self
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
