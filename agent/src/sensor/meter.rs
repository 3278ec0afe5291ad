//! An INA219 or INA226 on the I²C bus itself, for boards whose kernel has no driver bound to it.
//!
//! Registers are two bytes, the high one first. INA219 (SBOS448): 0 configuration (0x399F after a reset), 1 voltage of the shunt, 10 µV signed,
//! 2 voltage of the bus, bits 15 to 3, 4 mV, bit 0 overflow. INA226 (SBOS547): 1 shunt, 2.5 µV signed, 2 bus, 1.25 mV, 0xFE maker (0x5449).

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};

use rustix::io::Errno;
use rustix::ioctl::{IntegerSetter, Opcode, ioctl};

use super::tree::{Missing, errno_of};
use crate::config::MeterConfig;

const SHUNT: u8 = 1;
const BUS: u8 = 2;
const MAKER: u8 = 0xfe;
/// "TI" in the register of the maker; an INA219 has no such register.
const TEXAS_INSTRUMENTS: u16 = 0x5449;
const OVERFLOW: u16 = 1;

/// Something with registers of two bytes.
pub trait Registers: Send + std::fmt::Debug {
    /// Reads one.
    ///
    /// # Errors
    /// What the bus answered: `ENXIO` or `EREMOTEIO` where nobody answers.
    fn read(&mut self, register: u8) -> Result<u16, Errno>;
}

/// Which of them it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Model {
    Ina219,
    Ina226,
}

/// A meter.
#[derive(Debug)]
pub struct Ina219 {
    registers: Box<dyn Registers>,
    model: Model,
    shunt_ohm: f64,
}

impl Ina219 {
    /// The meter of a configuration.
    ///
    /// # Errors
    /// If there is no such bus, it may not be used, or nobody answers at the address.
    pub fn open(config: &MeterConfig) -> Result<Self, Missing> {
        Self::of(Box::new(Device::open(config.bus, config.address)?), config.shunt_ohm)
    }

    /// A meter behind these registers.
    ///
    /// # Errors
    /// If nobody answers.
    pub fn of(mut registers: Box<dyn Registers>, shunt_ohm: f64) -> Result<Self, Missing> {
        registers.read(0)?;
        let is_226 = registers.read(MAKER) == Ok(TEXAS_INSTRUMENTS);
        let model = if is_226 { Model::Ina226 } else { Model::Ina219 };
        Ok(Self { registers, model, shunt_ohm })
    }

    /// Current, A, as the shunt is wired, and voltage of the bus, V.
    ///
    /// # Errors
    /// If the bus does not answer, or the meter says that its range was left.
    pub fn read(&mut self) -> Result<(f64, f64), Missing> {
        let shunt = f64::from(self.registers.read(SHUNT)?.cast_signed());
        let bus = self.registers.read(BUS)?;
        let (shunt_v, bus_v) = match self.model {
            Model::Ina219 if bus & OVERFLOW != 0 => {
                return Err(Missing::implausible(
                    &format!("{bus:#06x}"),
                    "the meter says overflow",
                ));
            }
            Model::Ina219 => (shunt * 10.0e-6, f64::from(bus >> 3) * 4.0e-3),
            Model::Ina226 => (shunt * 2.5e-6, f64::from(bus) * 1.25e-3),
        };
        // I = U / R: the calibration register would only round it.
        Ok((shunt_v / self.shunt_ohm, bus_v))
    }
}

/// `I2C_SLAVE` of `linux/i2c-dev.h`: whom reads and writes of this file go to. Refused with `EBUSY` where a driver of the kernel has the device.
const I2C_SLAVE: Opcode = 0x0703;

/// A device on a bus of the kernel.
#[derive(Debug)]
struct Device {
    file: File,
}

impl Device {
    fn open(bus: u8, address: u16) -> Result<Self, Errno> {
        let file = OpenOptions::new().read(true).write(true).open(format!("/dev/i2c-{bus}"));
        let file = file.map_err(|error| errno_of(&error))?;
        #[expect(unsafe_code, reason = "rustix has no safe call for this request")]
        // SAFETY: I2C_SLAVE takes an integer, the address, as its argument, and touches no memory of this process; the kernel refuses
        // addresses that are none.
        unsafe {
            ioctl(&file, IntegerSetter::<I2C_SLAVE>::new_usize(usize::from(address)))?;
        }
        Ok(Self { file })
    }
}

impl Registers for Device {
    fn read(&mut self, register: u8) -> Result<u16, Errno> {
        // The device remembers the register of the last write, so two transfers do.
        self.file.write_all(&[register]).map_err(|error| errno_of(&error))?;
        let mut bytes = [0; 2];
        self.file.read_exact(&mut bytes).map_err(|error| errno_of(&error))?;
        Ok(u16::from_be_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Registers that answer what a test says, and nobody where it says nothing.
    #[derive(Debug)]
    struct Fake(BTreeMap<u8, u16>);

    impl Registers for Fake {
        fn read(&mut self, register: u8) -> Result<u16, Errno> {
            self.0.get(&register).copied().ok_or(Errno::REMOTEIO)
        }
    }

    fn meter(registers: &[(u8, u16)], shunt_ohm: f64) -> Result<Ina219, Missing> {
        Ina219::of(Box::new(Fake(registers.iter().copied().collect())), shunt_ohm)
    }

    #[track_caller]
    fn reads(registers: &[(u8, u16)], shunt_ohm: f64, amps: f64, volts: f64) {
        let (found_a, found_v) = meter(registers, shunt_ohm).unwrap().read().unwrap();
        assert!(
            (found_a - amps).abs() < 1e-9 && (found_v - volts).abs() < 1e-9,
            "{found_a} {found_v}"
        );
    }

    #[test]
    fn registers_are_volts_and_amperes() {
        // The example of the data sheet: 20 mV at the shunt, 11.98 V on the bus; a shunt of 2 mΩ carries 10 A.
        reads(&[(0, 0x399f), (1, 0x07d0), (2, 0x5d98)], 0.002, 10.0, 11.98);
        // Out of the battery of a UPS board: -41.2 mV at 0.1 Ω, 3.948 V.
        reads(
            &[(0, 0x399f), (1, (-4120_i16).cast_unsigned()), (2, (987 << 3) | 2)],
            0.1,
            -0.412,
            3.948,
        );
        // An INA226 says who made it: 8000 × 2.5 µV at 2 mΩ, 9584 × 1.25 mV.
        reads(&[(0, 0x4127), (1, 8000), (2, 9584), (0xfe, 0x5449)], 0.002, 10.0, 11.98);
    }

    #[test]
    fn a_meter_that_is_not_there_or_out_of_range_says_so() {
        assert_eq!(meter(&[], 0.1).unwrap_err(), Missing::Failed(Errno::REMOTEIO));
        let mut over = meter(&[(0, 0x399f), (1, 0x7fff), (2, 0x5d99)], 0.1).unwrap();
        assert!(over.read().unwrap_err().to_string().contains("overflow"));
        let mut torn = meter(&[(0, 0x399f), (1, 0)], 0.1).unwrap();
        assert_eq!(torn.read().unwrap_err(), Missing::Failed(Errno::REMOTEIO));
        let config = MeterConfig {
            bus: 255,
            address: 0x43,
            shunt_ohm: 0.1,
            sign: 1.0,
            pack: crate::sensor::charge::tests::spec(),
        };
        assert_eq!(Ina219::open(&config).unwrap_err(), Missing::Absent);
    }
}
