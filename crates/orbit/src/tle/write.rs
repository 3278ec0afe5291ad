//! Writes two-line element sets, rounded to what their columns hold.

use std::fmt::Write;

use types::Epoch;

use super::{YEAR_PIVOT, checksum_of};
use crate::elements::{Elements, Facts};
use crate::format::{self, Format};

/// Largest catalogue number that five characters hold: `Z9999`.
pub const ALPHA5_MAX: u32 = 339_999;
/// A unit of the epoch's field, 1e-8 day, in nanoseconds.
const EPOCH_UNIT_NS: i64 = 864_000;
const DAY_NS: i64 = 86_400_000_000_000;
/// Beyond this number of columns the designator of an object finds no room.
const DESIGNATOR_COLUMNS: usize = 8;

/// Element sets as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TleText {
    /// Three lines for each object.
    pub text: String,
    /// Objects whose designator does not fit into its eight columns; it is left blank.
    pub designators_left_out: usize,
}

/// An object that the format cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("object {object:?}, {field}: {value:?} {rule}")]
pub struct UnfitForTle {
    /// Its name.
    pub object: String,
    /// What does not fit.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// The rule, and what to do.
    pub rule: &'static str,
}

/// The five characters of a catalogue number, with a letter from 100,000 on; `None` where they do not suffice.
pub fn alpha5(number: u32) -> Option<String> {
    let (high, low) = (number / 10_000, number % 10_000);
    if ALPHA5_MAX < number {
        return None;
    }
    // I and O are left out, since they look like digits.
    let letters = b"ABCDEFGHJKLMNPQRSTUVWXYZ";
    let letter = high.checked_sub(10).and_then(|index| letters.get(index as usize));
    Some(letter.map_or_else(
        || format!("{number:05}"),
        |letter| format!("{}{low:04}", char::from(*letter)),
    ))
}

/// Writes three lines for each object: its name, line 1 and line 2.
///
/// Angles are brought to 0 to 360 degrees, numbers rounded to their columns, revolutions and numbers of element sets counted as
/// the format counts them, modulo 100,000 and 10,000; unknown derivatives become zero, for which the format knows no other word.
///
/// # Errors
/// [`UnfitForTle`] for the first object that the format cannot hold.
pub fn write<'a>(elements: impl IntoIterator<Item = &'a Elements>) -> Result<TleText, UnfitForTle> {
    let mut out = TleText::default();
    for object in elements {
        let unfit =
            |(field, value, rule)| UnfitForTle { object: object.name.clone(), field, value, rule };
        let [first, second] = lines(object, &mut out.designators_left_out).map_err(unfit)?;
        let mark = if needs_mark(&object.name) { "0 " } else { "" };
        let text = &mut out.text;
        writeln!(text, "{mark}{:<24}\n{first}\n{second}", object.name).expect("a text grows");
    }
    Ok(out)
}

/// A name that begins like another line, or like another format, needs the mark of a name.
fn needs_mark(name: &str) -> bool {
    ["0 ", "1 ", "2 ", "#"].iter().any(|begin| name.starts_with(begin))
        || format::detect(name) != Ok(Format::Tle)
}

/// What does not fit: field, value, rule.
type Unfit = (&'static str, String, &'static str);

fn lines(object: &Elements, left_out: &mut usize) -> Result<[String; 2], Unfit> {
    let (mean, facts) = (&object.mean, &object.facts);
    let catalog = catalog(object)?;
    let classification = facts.classification.unwrap_or(' ');
    let designator = designator(facts).unwrap_or_else(|| {
        *left_out += 1;
        String::new()
    });
    let epoch = epoch(object.epoch)?;
    let dot = dot(facts.mean_motion_dot.unwrap_or(0.0))?;
    let ddot = scaled("second derivative of mean motion", facts.mean_motion_ddot.unwrap_or(0.0))?;
    let bstar = scaled("drag term", mean.bstar)?;
    let kind = facts.ephemeris_type.map_or_else(|| " ".to_owned(), |kind| kind.to_string());
    let set = counted(facts.element_set, 10_000);
    let first = format!(
        "1 {catalog}{classification} {designator:<8} {epoch} {dot} {ddot} {bstar} {kind} {set:>4}"
    );
    let second = format!(
        "2 {catalog} {:8.4} {} {} {} {} {:11.8}{:>5}",
        mean.inclination_deg,
        angle(mean.raan_deg),
        eccentricity(mean.eccentricity),
        angle(mean.arg_perigee_deg),
        angle(mean.mean_anomaly_deg),
        mean.mean_motion_rev_day,
        counted(facts.revolution, 100_000),
    );
    Ok([first, second].map(|line| format!("{line}{}", checksum_of(&line))))
}

fn catalog(object: &Elements) -> Result<String, Unfit> {
    let number = object.catalog.parse::<u32>();
    number.ok().and_then(alpha5).ok_or_else(|| {
        let rule = "must be a number up to 339999 for TLE; write OMM instead";
        ("catalog number", object.catalog.clone(), rule)
    })
}

/// `1998-067A` as `98067A`; `None` for what finds no room.
fn designator(facts: &Facts) -> Option<String> {
    let Some(id) = facts.object_id.as_deref() else { return Some(String::new()) };
    if let Some((year, piece)) = id.split_once('-')
        && let Ok(number) = year.parse::<i32>()
        && (1900 + YEAR_PIVOT..2000 + YEAR_PIVOT).contains(&number)
        && year.len() == 4
        && piece.len() <= DESIGNATOR_COLUMNS - 2
    {
        return Some(format!("{}{piece}", &year[2..])).filter(|text| fits(text));
    }
    Some(id.to_owned()).filter(|text| fits(text))
}

fn fits(designator: &str) -> bool {
    designator.len() <= DESIGNATOR_COLUMNS && designator.bytes().all(|b| b.is_ascii_graphic())
}

/// `yyddd.dddddddd`, rounded to 1e-8 day.
fn epoch(at: Epoch) -> Result<String, Unfit> {
    let unfit = || ("epoch", at.to_string(), "must lie in the years 1957 to 2056 for TLE");
    let units = (at.unix_ns() + EPOCH_UNIT_NS / 2).div_euclid(EPOCH_UNIT_NS);
    let rounded = Epoch::from_unix_ns(units * EPOCH_UNIT_NS);
    let year: i32 = rounded.to_string()[..4].parse().map_err(|_not_four_digits| unfit())?;
    if !(1900 + YEAR_PIVOT..2000 + YEAR_PIVOT).contains(&year) {
        return Err(unfit());
    }
    let new_year = Epoch::from_utc((year, 1, 1), (0, 0, 0), 0).ok_or_else(unfit)?;
    let of_year_ns = rounded.unix_ns() - new_year.unix_ns();
    let (day, of_day_ns) = (1 + of_year_ns / DAY_NS, of_year_ns % DAY_NS);
    Ok(format!("{:02}{day:03}.{:08}", year % 100, of_day_ns / EPOCH_UNIT_NS))
}

/// Degrees with four decimals, 0 to below 360.
fn angle(degrees: f64) -> String {
    let text = format!("{:8.4}", degrees.rem_euclid(360.0));
    if text == "360.0000" { "  0.0000".to_owned() } else { text }
}

/// Seven decimals without "0."; what would round to 1 is the largest that there is.
fn eccentricity(value: f64) -> String {
    let text = format!("{value:.7}");
    text.strip_prefix("0.").unwrap_or("9999999").to_owned()
}

fn sign(value: f64) -> char {
    if value < 0.0 { '-' } else { ' ' }
}

/// Sign and eight decimals without "0".
fn dot(value: f64) -> Result<String, Unfit> {
    let text = format!("{:.8}", value.abs());
    match text.strip_prefix('0') {
        Some(".00000000") => Ok(" .00000000".to_owned()),
        Some(decimals) => Ok(format!("{}{decimals}", sign(value))),
        None => {
            let rule = "must be between -1 and 1 for TLE; write OMM instead";
            Err(("first derivative of mean motion", value.to_string(), rule))
        }
    }
}

/// Sign, five digits after an assumed "0.", signed power of ten.
fn scaled(field: &'static str, value: f64) -> Result<String, Unfit> {
    // d.dddde±x is 0.ddddd times ten to the x + 1.
    let text = format!("{:.4e}", value.abs());
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let digits = mantissa.replace('.', "");
    match power + 1 {
        _ if digits == "00000" => Ok(" 00000+0".to_owned()),
        power @ 0..=9 => Ok(format!("{}{digits}+{power}", sign(value))),
        power @ -9..=-1 => Ok(format!("{}{digits}-{}", sign(value), -power)),
        power if power < -9 => {
            // Leading zeros of the mantissa reach a little farther down.
            let digits = format!("{:05.0}", value.abs() * 1.0e14);
            let nothing = digits == "00000";
            Ok(if nothing { " 00000+0".to_owned() } else { format!("{}{digits}-9", sign(value)) })
        }
        _ => Err((field, value.to_string(), "must be below 1e9 for TLE; write OMM instead")),
    }
}

/// A count as far as its columns go; blank for what nobody knows.
fn counted(count: Option<u32>, modulus: u32) -> String {
    count.map_or_else(String::new, |count| (count % modulus).to_string())
}
