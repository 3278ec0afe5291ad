//! Places on the Earth.

use serde::{Deserialize, Serialize};

/// A geodetic position on the WGS-84 ellipsoid.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geodetic {
    /// Latitude in degrees, north positive, -90 to 90.
    pub lat_deg: f64,
    /// Longitude in degrees, east positive, -180 to 180.
    pub lon_deg: f64,
    /// Height above the ellipsoid in kilometres.
    #[serde(default)]
    pub alt_km: f64,
}

/// A position that is not on or near the Earth.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{field} {value} is outside {range}")]
pub struct InvalidGeodetic {
    /// The field at fault.
    pub field: &'static str,
    /// The refused number.
    pub value: f64,
    /// The allowed range in words.
    pub range: &'static str,
}

impl Geodetic {
    /// Takes a position after checking each of its fields.
    ///
    /// # Errors
    /// [`InvalidGeodetic`] naming the first field outside its range.
    pub fn new(lat_deg: f64, lon_deg: f64, alt_km: f64) -> Result<Self, InvalidGeodetic> {
        Self { lat_deg, lon_deg, alt_km }.checked()
    }

    /// The same position, if each of its fields is in range (for values read from files).
    ///
    /// # Errors
    /// [`InvalidGeodetic`] naming the first field outside its range.
    pub fn checked(self) -> Result<Self, InvalidGeodetic> {
        check("lat_deg", self.lat_deg, (-90.0, 90.0), "-90 to 90")?;
        check("lon_deg", self.lon_deg, (-180.0, 180.0), "-180 to 180")?;
        check("alt_km", self.alt_km, (-1.0, 100_000.0), "-1 to 100000")?;
        Ok(self)
    }
}

fn check(
    field: &'static str,
    value: f64,
    (low, high): (f64, f64),
    range: &'static str,
) -> Result<(), InvalidGeodetic> {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(InvalidGeodetic { field, value, range })
    }
}
