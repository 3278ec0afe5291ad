//! Registers of the sensors that boards have: what to write at the start, and what the words mean. All are big-endian on the bus.

/// A chip that measures voltage and current over a shunt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Monitor {
    /// Texas Instruments INA219: 26 V, 12 bits.
    Ina219,
    /// Texas Instruments INA226: 36 V, 16 bits.
    Ina226,
}

/// The shunt and how it was wired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shunt {
    /// Its resistance, in µΩ; 100,000 on most boards, 10,000 on some.
    pub uohm: u32,
    /// Whether a positive voltage over it means that the battery is discharged.
    pub is_reversed: bool,
}

impl Monitor {
    /// The register of the voltage over the shunt.
    pub const SHUNT: u8 = 0x01;
    /// The register of the voltage of the bus.
    pub const BUS: u8 = 0x02;
    /// The register that is written at the start.
    pub const CONFIG: u8 = 0x00;

    /// What is written there: continuously, both voltages averaged, in less than the 100 ms between two samples.
    pub const fn config(self) -> u16 {
        match self {
            // 32 V, ±320 mV, 32 samples of 12 bits each: 2 × 17 ms (datasheet SBOS448, table 5).
            Self::Ina219 => 0x3EEF,
            // 16 samples of 1.1 ms each: 2 × 18 ms (datasheet SBOS547, tables 6 to 8).
            Self::Ina226 => 0x4527,
        }
    }

    /// The voltage of the bus, in mV; `None` where the word is no measurement.
    pub const fn bus_mv(self, word: u16) -> Option<u16> {
        match self {
            // Bits 15 to 3, 4 mV each; bit 0 says that a sum inside overflowed.
            Self::Ina219 if word & 1 == 1 => None,
            Self::Ina219 => Some((word >> 3) * 4),
            // 1.25 mV each; bit 15 is 0.
            Self::Ina226 if 0x7FFF < word => None,
            #[expect(clippy::cast_possible_truncation, reason = "at most 40,958")]
            Self::Ina226 => Some((word as u32 * 5 / 4) as u16),
        }
    }

    /// The current in mA, positive into the battery; `None` where it is beyond the range of a message, or the word is at an end of the
    /// chip's range and says nothing.
    pub fn cur_ma(self, word: u16, shunt: Shunt) -> Option<i16> {
        let raw = i16::from_be_bytes(word.to_be_bytes());
        // I = U / R: 10 µV or 2.5 µV each, over µΩ, in mA.
        let (nv, ends) = match self {
            Self::Ina219 => (10_000_i64, 32_000),
            Self::Ina226 => (2500, i16::MAX),
        };
        if raw <= -ends || ends <= raw {
            return None;
        }
        let ma = i64::from(raw) * nv / i64::from(shunt.uohm.max(1));
        i16::try_from(if shunt.is_reversed { -ma } else { ma }).ok()
    }
}

/// A gauge of one lithium cell: Maxim MAX17048.
pub mod max17048 {
    /// Its address.
    pub const ADDRESS: u8 = 0x36;
    /// The register of the state of charge.
    pub const SOC: u8 = 0x04;

    /// The state of charge in thousandths; the chip counts in 1/256 % and goes beyond 100 % while a cell is charged.
    pub fn soc_pm(word: u16) -> u16 {
        u16::try_from(u32::from(word) * 10 / 256).unwrap_or(u16::MAX).min(1000)
    }
}

/// A thermometer: Texas Instruments TMP102 and the like.
pub mod tmp102 {
    /// The register of the temperature.
    pub const TEMPERATURE: u8 = 0x00;

    /// Tenths of a °C; 12 bits of 1/16 °C in the high ones.
    pub fn temp_dc(word: u16) -> i16 {
        let sixteenths = i16::from_be_bytes(word.to_be_bytes()) >> 4;
        sixteenths * 10 / 16
    }
}

#[cfg(test)]
mod tests {
    use super::{Monitor, Shunt, max17048, tmp102};

    const TENTH_OHM: Shunt = Shunt { uohm: 100_000, is_reversed: false };

    #[test]
    fn words_of_the_datasheets_are_read() {
        // SBOS448, table 8: 0x5D98 is 11.98 V.
        assert_eq!(Monitor::Ina219.bus_mv(0xFA00), Some(32_000));
        assert_eq!(Monitor::Ina219.bus_mv(0x5D98), Some(11_980));
        assert_eq!(Monitor::Ina219.bus_mv(0x5D9B), None, "overflow");
        // SBOS547, 7.6.1: 0x2570 is 11.98 V, 0x1F40 over 2 mΩ is 10 A.
        assert_eq!(Monitor::Ina226.bus_mv(0x2570), Some(11_980));
        assert_eq!(Monitor::Ina226.bus_mv(0x8000), None);
        let two_mohm = Shunt { uohm: 2000, is_reversed: false };
        assert_eq!(Monitor::Ina226.cur_ma(0x1F40, two_mohm), Some(10_000));
    }

    #[test]
    fn currents_have_signs_and_ends() {
        assert_eq!(Monitor::Ina219.cur_ma(0x8300, TENTH_OHM), None, "-320 mV is the end");
        assert_eq!(Monitor::Ina219.cur_ma(0xFF9C, TENTH_OHM), Some(-10), "-1 mV");
        let reversed = Shunt { is_reversed: true, ..TENTH_OHM };
        assert_eq!(Monitor::Ina219.cur_ma(0xFF9C, reversed), Some(10));
        assert_eq!(Monitor::Ina226.cur_ma(0x7FFF, TENTH_OHM), None, "the end of the chip");
        let tiny = Shunt { uohm: 500, is_reversed: false };
        assert_eq!(Monitor::Ina226.cur_ma(0x7000, tiny), None, "143 A");
        assert_eq!(Monitor::Ina226.cur_ma(1, Shunt { uohm: 0, is_reversed: false }), Some(2500));
    }

    #[test]
    fn charge_and_temperature_are_read() {
        assert_eq!(max17048::soc_pm(0x6400), 1000);
        assert_eq!(max17048::soc_pm(0x6600), 1000, "102 % on charge");
        assert_eq!(max17048::soc_pm(0x3280), 505);
        // SBOS397, table 3.
        assert_eq!(tmp102::temp_dc(0x1900), 250);
        assert_eq!(tmp102::temp_dc(0xE700), -250);
        assert_eq!(tmp102::temp_dc(0xFFC0), -2, "-0.25 °C");
    }
}
