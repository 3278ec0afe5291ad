//! A board as the battery of its node.

use protocol::report::{NoReading, PowerReport, Reading, Source};
use protocol::serial::Power;
use types::EnergySource;

use super::{Line, Presence};
use crate::sensor::battery::{Battery, load};
use crate::sensor::{Memory, Moment, reading};

/// What a board measures of energy, in SI units; `None` for what it does not, or not at the moment. What other estimators start from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Voltage of the battery, in V.
    pub volts: Option<f64>,
    /// Current into the battery, in A.
    pub amperes: Option<f64>,
    /// Temperature of the battery, in °C.
    pub celsius: Option<f64>,
    /// State of charge from a gauge, 0 to 1.
    pub charge: Option<f64>,
    /// Energy into the battery since the board counts, less what was taken out, in Wh.
    pub energy_wh: Option<f64>,
    /// Whether samples are missing in the energy.
    pub energy_has_gap: bool,
}

impl From<Power> for Measured {
    fn from(power: Power) -> Self {
        let measured = |flag: u8, value: f64| (power.flags & flag != 0).then_some(value);
        Self {
            volts: measured(Power::MEASURED, f64::from(power.bus_mv) / 1000.0),
            amperes: measured(Power::MEASURED, f64::from(power.cur_ma) / 1000.0),
            celsius: measured(Power::TEMP_MEASURED, f64::from(power.temp_dc) / 10.0),
            charge: power.soc_pm.map(|soc_pm| f64::from(soc_pm) / 1000.0),
            energy_wh: Some(f64::from(power.energy_mwh) / 1000.0),
            energy_has_gap: power.flags & Power::ENERGY_GAP != 0,
        }
    }
}

impl Line {
    /// What the board measures of energy now.
    ///
    /// # Errors
    /// Why there is nothing.
    pub fn measured(&self) -> Result<Measured, NoReading> {
        let state = self.state();
        match (state.readings.power, state.presence) {
            (Some(power), _) => Ok(power.into()),
            (None, Presence::Present | Presence::Unknown) => Err(NoReading::NotYet),
            (None, Presence::Absent(_)) => Err(NoReading::NoSensor),
            (None, Presence::Silent) => Err(NoReading::ReadFailed),
            (None, Presence::OtherProtocol(_)) => Err(NoReading::NotSupported),
        }
    }
}

/// The battery behind a board. Its state of charge is that of the board's gauge; without one it is unknown.
#[derive(Clone, Debug)]
pub struct BoardBattery {
    line: Line,
    source: EnergySource,
    soc: Option<f64>,
}

impl BoardBattery {
    /// The battery that a board measures, and where the node's energy comes from.
    pub const fn new(line: Line, source: EnergySource) -> Self {
        Self { line, source, soc: None }
    }
}

impl Battery for BoardBattery {
    fn sample(&mut self, moment: &Moment) -> PowerReport {
        let none = Reading::Unknown(NoReading::NoSensor);
        let capacity_wh = self.line.config.capacity_wh;
        let load_w = load(moment);
        let (state_of_charge, solar_w) = match self.line.measured() {
            Err(reason) => (Reading::Unknown(reason), Reading::Unknown(reason)),
            Ok(measured) => (charge(&measured), solar(&measured, load_w.value().map(f64::from))),
        };
        self.soc = state_of_charge.value().map(f64::from);
        PowerReport {
            state_of_charge,
            capacity_wh: capacity_wh.map_or(none, |wh| reading(wh, Source::Configured)),
            load_w,
            solar_w,
            source: self.source.clone(),
        }
    }

    fn soc(&self) -> Option<f64> {
        self.soc
    }

    /// The board itself remembers.
    fn keep(&self, _memory: &mut Memory) {}
}

fn charge(measured: &Measured) -> Reading {
    let none = Reading::Unknown(NoReading::NotSupported);
    measured.charge.map_or(none, |charge| reading(charge, Source::Measured))
}

/// P_solar = P_battery + P_load: what goes into the battery and what the node draws comes from somewhere.
fn solar(measured: &Measured, load_w: Option<f64>) -> Reading {
    let (Some(volts), Some(amperes)) = (measured.volts, measured.amperes) else {
        return Reading::Unknown(NoReading::ReadFailed);
    };
    match load_w {
        Some(load_w) => reading((volts * amperes + load_w).max(0.0), Source::Estimated),
        None => Reading::Unknown(NoReading::NotSupported),
    }
}

#[cfg(test)]
mod tests {
    use protocol::serial::Power;

    use super::*;

    #[test]
    fn what_is_not_measured_is_unknown_and_not_zero() {
        let nothing = Measured::from(Power::default());
        assert_eq!((nothing.volts, nothing.amperes, nothing.celsius), (None, None, None));
        assert_eq!(charge(&nothing), Reading::Unknown(NoReading::NotSupported));
        assert_eq!(solar(&nothing, Some(5.0)), Reading::Unknown(NoReading::ReadFailed));
        let flags = Power::MEASURED | Power::TEMP_MEASURED | Power::ENERGY_GAP;
        let power = Power {
            bus_mv: 12_000,
            cur_ma: -250,
            temp_dc: -55,
            soc_pm: Some(873),
            energy_mwh: -1500,
            flags,
            ..Power::default()
        };
        let measured = Measured::from(power);
        assert_eq!((measured.volts, measured.amperes), (Some(12.0), Some(-0.25)));
        assert_eq!((measured.celsius, measured.charge), (Some(-5.5), Some(0.873)));
        assert_eq!((measured.energy_wh, measured.energy_has_gap), (Some(-1.5), true));
        // 3 W out of the battery and a load of 5 W: the panels give 2 W.
        assert_eq!(solar(&measured, Some(5.0)), Reading::known(2.0, Source::Estimated));
        assert_eq!(solar(&measured, Some(1.0)), Reading::known(0.0, Source::Estimated));
        assert_eq!(solar(&measured, None), Reading::Unknown(NoReading::NotSupported));
    }
}
