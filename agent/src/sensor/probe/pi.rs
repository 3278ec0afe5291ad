//! What the firmware of a Raspberry Pi says about its supply and its throttling.
//!
//! The kernel's driver asks the firmware every 2 s and clears the bits that stick, so that bit 16 means "since the last
//! of these". `get_throttled` is the last answer, not a new one, and is deprecated; the alarm of `rpi_volt` is preferred.

use crate::sensor::finding::{Finding, Quantity, Sample};
use crate::sensor::probe::hwmon;
use crate::sensor::tree::{Missing, Tree};

/// The name of this probe.
pub const PROBE: &str = "pi-throttling";
/// The last answer of the firmware, hexadecimal without `0x`.
pub const THROTTLED: &str = "/sys/devices/platform/soc/soc:firmware/get_throttled";

/// The bits, from 0; those from 16 on say the same of the time before.
const BITS: [&str; 4] =
    ["under_voltage", "frequency_capped", "throttled", "soft_temperature_limit"];
const OCCURRED_SHIFT: usize = 16;

/// What the firmware says, bit by bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled(u32);

impl Throttled {
    /// Reads the hexadecimal number of the firmware.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, Missing> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let bits = u32::from_str_radix(digits, 16);
        bits.map(Self).map_err(|_not_hex| Missing::Malformed(text.chars().take(24).collect()))
    }

    /// Whether the supply sags below 4.63 V.
    pub const fn is_under_voltage(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether the processor is slower than it could be, for whatever reason.
    pub const fn is_slowed(self) -> bool {
        self.0 & 0b1110 != 0
    }

    fn flag(self, bit: usize) -> f64 {
        if (self.0 >> bit) & 1 == 1 { 1.0 } else { 0.0 }
    }
}

/// Whether the supply sags, 0 or 1: the alarm of `rpi_volt`, else the last answer of the firmware.
///
/// # Errors
/// Why nobody knows.
pub fn under_voltage(tree: &Tree) -> Quantity {
    let chips = hwmon::chips(tree).unwrap_or_default();
    if let Some(chip) = chips.iter().find(|chip| chip.name == "rpi_volt") {
        let path = format!("{}/in0_lcrit_alarm", chip.dir);
        return tree.number(&path).map(|alarm| Sample::measured(alarm, path));
    }
    let throttled = Throttled::parse(&tree.text(THROTTLED)?)?;
    let value = f64::from(u8::from(throttled.is_under_voltage()));
    Ok(Sample::measured(value, THROTTLED.to_owned()).noted("the last answer of the firmware"))
}

/// All that this probe can say.
pub fn survey(tree: &Tree) -> Vec<Finding> {
    let tried =
        vec![format!("{}/hwmon*/in0_lcrit_alarm (rpi_volt)", hwmon::CLASS), THROTTLED.to_owned()];
    let supply = under_voltage(tree);
    let throttled = tree.text(THROTTLED).and_then(|text| Throttled::parse(&text));
    if let (Err(missing), Err(_)) = (&supply, &throttled) {
        return vec![Finding::nothing(PROBE, missing.clone(), tried)];
    }
    let mut rows =
        vec![Finding::number(PROBE, "supply.under_voltage".to_owned(), "", supply, tried)];
    for (shift, prefix) in [(0, ""), (OCCURRED_SHIFT, "occurred.")] {
        for (bit, name) in BITS.iter().enumerate() {
            let flag = throttled.clone().map(|throttled| {
                let sample = Sample::measured(throttled.flag(bit + shift), THROTTLED.to_owned());
                sample.noted("the last answer of the firmware")
            });
            let tried = vec![THROTTLED.to_owned()];
            rows.push(Finding::number(PROBE, format!("firmware.{prefix}{name}"), "", flag, tried));
        }
    }
    rows
}
