//! Where a receiver says that the node is: reports of gpsd (`TPV`) and sentences of NMEA 0183 (`GGA`). Performs no I/O and reads no clock.
//!
//! Heights are above the ellipsoid, so that a fix without one is none: a place on the ground is not a place at height 0.

use types::Geodetic;

/// Longest line that a receiver says: a `TPV` has 500 bytes, a sentence 82.
pub const LINE_BYTES_MAX: usize = 4096;
const M_PER_KM: f64 = 1000.0;
const MINUTES_PER_DEGREE: f64 = 60.0;
/// `mode` of a fix with a height.
const MODE_3D: u64 = 3;

/// Why a line tells no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFix {
    /// It says something else.
    #[error("it is about something else")]
    Other,
    /// The receiver has no fix with a height.
    #[error("the receiver has no fix with a height")]
    Searching,
    /// It is not what its beginning promises.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

/// The place in a line of gpsd or NMEA.
///
/// # Errors
/// Why there is none.
pub fn place(line: &str) -> Result<Geodetic, NoFix> {
    let line = line.trim();
    match line.chars().next() {
        Some('{') => tpv(line),
        Some('$') => gga(line),
        _ => Err(NoFix::Other),
    }
}

/// A report of gpsd, one JSON object: `class` TPV, `mode` 3, `lat`, `lon` in degrees, `altHAE` in metres.
fn tpv(line: &str) -> Result<Geodetic, NoFix> {
    let damaged = |_| NoFix::Damaged("no JSON");
    let report: serde_json::Value = serde_json::from_str(line).map_err(damaged)?;
    if report["class"] != "TPV" {
        return Err(NoFix::Other);
    }
    if report["mode"].as_u64() != Some(MODE_3D) {
        return Err(NoFix::Searching);
    }
    let number = |key: &str| report[key].as_f64();
    let (Some(lat_deg), Some(lon_deg), Some(alt_m)) =
        (number("lat"), number("lon"), number("altHAE"))
    else {
        return Err(NoFix::Searching);
    };
    on_earth(lat_deg, lon_deg, alt_m)
}

/// A sentence `$..GGA,time,lat,N,lon,E,quality,satellites,hdop,height,M,separation,M,…*checksum`.
fn gga(line: &str) -> Result<Geodetic, NoFix> {
    let body = checked(line)?;
    let fields: Vec<&str> = body.split(',').collect();
    let kind = fields.first().copied().unwrap_or_default();
    if kind.len() != 5 || !kind.ends_with("GGA") {
        return Err(NoFix::Other);
    }
    let field = |index: usize| fields.get(index).copied().unwrap_or_default();
    if matches!(field(6), "" | "0") {
        return Err(NoFix::Searching);
    }
    let lat_deg = degrees(field(2), 2)? * sign(field(3), "N", "S")?;
    let lon_deg = degrees(field(4), 3)? * sign(field(5), "E", "W")?;
    let metres = |index| {
        let number = field(index).parse::<f64>().ok();
        number.ok_or(NoFix::Searching)
    };
    // Above the sea, and how far the sea is above the ellipsoid.
    on_earth(lat_deg, lon_deg, metres(9)? + metres(11)?)
}

/// What stands between `$` and `*`, if the checksum after it is the exclusive or of it.
fn checked(line: &str) -> Result<&str, NoFix> {
    let (body, sum) = line
        .strip_prefix('$')
        .and_then(|rest| rest.split_once('*'))
        .ok_or(NoFix::Damaged("no checksum"))?;
    let sum = u8::from_str_radix(sum, 16);
    let own = body.bytes().fold(0, |sum, byte| sum ^ byte);
    if sum == Ok(own) { Ok(body) } else { Err(NoFix::Damaged("wrong checksum")) }
}

/// Degrees of `dddmm.mmmm`.
fn degrees(text: &str, digits: usize) -> Result<f64, NoFix> {
    let damaged = NoFix::Damaged("no angle");
    let (whole, minutes) = text.split_at_checked(digits).ok_or_else(|| damaged.clone())?;
    let whole = whole.parse::<u16>().map_err(|_not_a_number| damaged.clone())?;
    let minutes = minutes.parse::<f64>().map_err(|_not_a_number| damaged.clone())?;
    if (0.0..MINUTES_PER_DEGREE).contains(&minutes) {
        Ok(f64::from(whole) + minutes / MINUTES_PER_DEGREE)
    } else {
        Err(damaged)
    }
}

fn sign(text: &str, plus: &str, minus: &str) -> Result<f64, NoFix> {
    match text {
        _ if text == plus => Ok(1.0),
        _ if text == minus => Ok(-1.0),
        _ => Err(NoFix::Damaged("no hemisphere")),
    }
}

fn on_earth(lat_deg: f64, lon_deg: f64, alt_m: f64) -> Result<Geodetic, NoFix> {
    let place = Geodetic::new(lat_deg, lon_deg, alt_m / M_PER_KM);
    place.map_err(|_elsewhere| NoFix::Damaged("not on Earth"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TPV: &str = r#"{"class":"TPV","device":"/dev/ttyACM0","mode":3,"time":"2026-03-20T12:00:00.000Z","lat":48.208800,"lon":16.372600,"altHAE":214.300,"altMSL":170.900,"epx":3.1,"speed":0.02}"#;
    const GGA: &str = "$GPGGA,092750.000,5321.6802,N,00630.3372,W,1,8,1.03,61.7,M,55.2,M,,*76";

    #[track_caller]
    fn is(line: &str, lat_deg: f64, lon_deg: f64, alt_km: f64) {
        let found = place(line).unwrap();
        let far = [found.lat_deg - lat_deg, found.lon_deg - lon_deg, found.alt_km - alt_km];
        assert!(far.iter().all(|far| far.abs() < 1e-7), "{found:?}");
    }

    #[test]
    fn both_say_where_the_node_is() {
        is(TPV, 48.2088, 16.3726, 0.2143);
        is(GGA, 53.0 + 21.6802 / 60.0, -(6.0 + 30.3372 / 60.0), 0.1169);
        is(&format!("{GGA}\r\n"), 53.361_336_67, -6.505_62, 0.1169);
    }

    #[test]
    fn no_fix_is_no_place_and_never_zero() {
        assert_eq!(place(&TPV.replace("\"mode\":3", "\"mode\":2")), Err(NoFix::Searching));
        assert_eq!(place(&TPV.replace("altHAE", "altX")), Err(NoFix::Searching));
        assert_eq!(place(r#"{"class":"VERSION","release":"3.22"}"#), Err(NoFix::Other));
        let searching = "$GPGGA,092750.000,,,,,0,0,,,M,,M,,*";
        let sum = searching[1..searching.len() - 1].bytes().fold(0, |sum, byte| sum ^ byte);
        assert_eq!(place(&format!("{searching}{sum:02X}")), Err(NoFix::Searching));
        assert_eq!(place("$GPGSV,1,1,00*79"), Err(NoFix::Other));
        assert_eq!(place(""), Err(NoFix::Other));
    }

    #[test]
    fn damage_is_noticed() {
        for line in [
            "{\"class\":\"TPV\",",
            "$GPGGA,092750.000,5321.6802,N",
            &GGA.replace("5321", "5322"),
            &GGA.replace("*76", "*7"),
            &TPV.replace("48.208800", "148.2"),
        ] {
            assert!(matches!(place(line), Err(NoFix::Damaged(_))), "{line}: {:?}", place(line));
        }
    }

    proptest! {
        /// Whatever a line is, it is a place on Earth or none.
        #[test]
        fn any_line_is_a_place_or_none(line in "[ -~]{0,120}", body in "G[PN]GGA,[0-9.,NSEWM-]{0,80}") {
            place(&line).ok();
            let sum = body.bytes().fold(0, |sum, byte| sum ^ byte);
            if let Ok(found) = place(&format!("${body}*{sum:02X}")) {
                prop_assert!(found.checked().is_ok());
            }
        }
    }
}
