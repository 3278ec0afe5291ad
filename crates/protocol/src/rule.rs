//! Rules that several messages share.

use alloc::string::String;

use types::EnergySource;

use crate::event::TEXT_BYTES_MAX;

/// Longest name of a grid zone, in bytes.
pub(crate) const ZONE_BYTES_MAX: usize = 32;

/// A reason in words.
pub(crate) fn reason(text: &str) -> Result<(), &'static str> {
    (text.len() <= TEXT_BYTES_MAX).then_some(()).ok_or("a reason has at most 512 bytes")
}

/// A reason, if there is one.
pub(crate) fn reason_of(text: Option<&String>) -> Result<(), &'static str> {
    text.map_or(Ok(()), |text| reason(text))
}

/// Where energy comes from.
pub(crate) fn energy(source: &EnergySource) -> Result<(), &'static str> {
    match source {
        EnergySource::Grid { zone } if ZONE_BYTES_MAX < zone.len() => {
            Err("a grid zone has at most 32 bytes")
        }
        EnergySource::Grid { .. }
        | EnergySource::Unknown
        | EnergySource::Battery
        | EnergySource::Photovoltaic => Ok(()),
    }
}
