//! Two-line element sets, with or without name lines (Kelso, "Two-Line Element Set Format").
//!
//! Columns are counted from 1 as in the format's description. Text after a blank column 70 is ignored
//! (the verification set of Vallado et al. keeps its time spans there).

use types::Epoch;

use crate::catalog::{Place, Read, Sink};
use crate::elements::{
    ANGLE, BSTAR, DERIVATIVE, ECCENTRICITY, ElementError, Elements, Facts, INCLINATION,
    MEAN_MOTION, MeanElements, NAME_CHARS_MAX, Range,
};
use crate::format::unmarked;
use crate::propagate::Sgp4Constants;

mod write;

pub use write::{ALPHA5_MAX, TleText, UnfitForTle, alpha5, write};

/// Length of an element line; the last column is the checksum.
const LINE_COLUMNS: usize = 69;
/// Two-digit years from this on belong to the 20th century (Sputnik flew in 1957).
const YEAR_PIVOT: i32 = 57;
/// Decimals of the day that fit into nanoseconds without loss: 1e-8 day are 864 000 ns.
const DAY_DECIMALS_MAX: usize = 8;

/// What to do with a line whose checksum is wrong but whose fields are well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Refuse the record.
    Refuse,
    /// Take the record and count the line.
    Count,
}

/// All that a text of two-line element sets holds.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Each record, or why it is none, in the order of the text.
    pub records: Vec<Result<Elements, ElementError>>,
    /// Lines with a wrong checksum that were taken, see [`Checksum::Count`].
    pub wrong_checksums: usize,
}

/// Reads a text of two- or three-line element sets: all of it or nothing.
///
/// Takes LF and CRLF, blank lines, comment lines beginning with `#`, names after `0 `, Alpha-5 numbers.
///
/// # Errors
/// The first [`ElementError`] of the text.
pub fn parse(text: &str) -> Result<Vec<Elements>, ElementError> {
    read(text, Checksum::Refuse).records.into_iter().collect()
}

/// Reads a text record by record: a malformed one does not spoil its neighbours.
pub fn read(text: &str, checksum: Checksum) -> Reading {
    let mut reading = Reading { records: Vec::new(), wrong_checksums: 0 };
    // A reading takes every record, good or bad, and so ends no reading.
    if let Err(error) = read_into(unmarked(text), checksum, &mut reading) {
        reading.records.push(Err(error));
    }
    reading
}

impl Sink for Reading {
    fn take(&mut self, read: Result<Read, ElementError>) -> Result<(), ElementError> {
        self.wrong_checksums += read.as_ref().map_or(0, |read| read.wrong_checksums);
        self.records.push(read.map(|read| read.elements));
        Ok(())
    }
}

/// Hands the records of a text to `sink`.
pub(crate) fn read_into(
    text: &str,
    checksum: Checksum,
    sink: &mut dyn Sink,
) -> Result<(), ElementError> {
    let mut reader = Reader { pending: Pending::Nothing, checksum, met: 0, sink };
    for (index, raw) in text.lines().enumerate() {
        let line = Line { number: index + 1, text: raw.trim_end() };
        if !line.text.is_empty() && !line.text.starts_with('#') {
            reader.take(line)?;
        }
    }
    reader.give_up_pending()
}

/// Decodes a five-character catalogue field: decimal, or Alpha-5 (a letter without I and O for 10 to 33).
pub fn catalog_number(field: &str) -> Option<u32> {
    let (first, rest) = field.as_bytes().split_first()?;
    if field.len() != 5 {
        return None;
    }
    let high = match first {
        b'A'..=b'H' => u32::from(first - b'A') + 10,
        b'J'..=b'N' => u32::from(first - b'J') + 18,
        b'P'..=b'Z' => u32::from(first - b'P') + 23,
        // Old sets pad with blanks.
        _ => {
            let digits = field.trim_start_matches(' ');
            let all = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            return if all { digits.parse().ok() } else { None };
        }
    };
    if !rest.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(high * 10_000 + field[1..].parse::<u32>().ok()?)
}

/// One line without its end.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    number: usize,
    text: &'a str,
}

/// What has been read of a record so far.
#[derive(Clone, Copy, Debug)]
enum Pending<'a> {
    Nothing,
    Name(Line<'a>),
    First { name: Option<Line<'a>>, first: Line<'a> },
}

struct Reader<'a, 'b> {
    pending: Pending<'a>,
    checksum: Checksum,
    /// Records met so far, good or bad.
    met: usize,
    sink: &'b mut dyn Sink,
}

impl<'a> Reader<'a, '_> {
    fn take(&mut self, line: Line<'a>) -> Result<(), ElementError> {
        match (self.pending, line.kind()) {
            (Pending::Nothing, Kind::First) => {
                self.pending = Pending::First { name: None, first: line };
            }
            (Pending::Name(name), Kind::First) => {
                self.pending = Pending::First { name: Some(name), first: line };
            }
            (Pending::First { name, first }, Kind::Second) => {
                self.pending = Pending::Nothing;
                let read = record(name, first, line, self.checksum);
                self.hand_over(read, name)?;
            }
            (pending, Kind::Second) => {
                self.pending = Pending::Nothing;
                self.refuse(line, "line 2", "must follow a line 1", pending.name())?;
            }
            (_, Kind::First) => {
                self.give_up_pending()?;
                self.pending = Pending::First { name: None, first: line };
            }
            (_, Kind::Name) => {
                self.give_up_pending()?;
                self.pending = Pending::Name(line);
            }
        }
        Ok(())
    }

    fn give_up_pending(&mut self) -> Result<(), ElementError> {
        match std::mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Nothing => Ok(()),
            // What begins a record that is none may be anything but a name.
            Pending::Name(line) => self.refuse(line, "name", "must be followed by a line 1", None),
            Pending::First { first, name } => {
                self.refuse(first, "line 1", "must be followed by its line 2", name)
            }
        }
    }

    fn refuse(
        &mut self,
        line: Line<'_>,
        field: &'static str,
        rule: &str,
        name: Option<Line<'_>>,
    ) -> Result<(), ElementError> {
        self.hand_over(Err(line.error(field, line.text, rule)), name)
    }

    /// Hands a record over, or what is wrong with it and which one it is.
    fn hand_over(
        &mut self,
        read: Result<Read, ElementError>,
        name: Option<Line<'_>>,
    ) -> Result<(), ElementError> {
        self.met += 1;
        let name = || name.map(|line| line.as_name().to_owned());
        self.sink.take(read.map_err(|error| error.of(self.met, name())))
    }
}

impl<'a> Pending<'a> {
    fn name(self) -> Option<Line<'a>> {
        match self {
            Self::Nothing => None,
            Self::Name(name) => Some(name),
            Self::First { name, .. } => name,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Name,
    First,
    Second,
}

impl<'a> Line<'a> {
    /// An element line begins with its number, a blank and a catalogue number, or is too long for a name.
    fn kind(self) -> Kind {
        let numbered = |number: &str| {
            self.text.strip_prefix(number).is_some_and(|rest| {
                24 < self.text.len() || rest.get(..5).is_some_and(|f| catalog_number(f).is_some())
            })
        };
        if numbered("1 ") {
            Kind::First
        } else if numbered("2 ") {
            Kind::Second
        } else {
            Kind::Name
        }
    }

    /// The name that it says, if it is the line of a name.
    fn as_name(self) -> &'a str {
        self.text.strip_prefix("0 ").unwrap_or(self.text).trim()
    }

    fn error(self, field: &'static str, value: &str, rule: impl Into<String>) -> ElementError {
        ElementError::new(self.number, field, value, rule)
    }

    /// The columns `from..=to`, counted from 1; the line is known to be long enough and ASCII.
    fn columns(self, from: usize, to: usize) -> &'a str {
        &self.text[from - 1..to]
    }

    /// Checks length, alphabet and blank columns, then the checksum; answers how many checksums are wrong.
    fn check(
        mut self,
        blanks: &[usize],
        checksum: Checksum,
    ) -> Result<(Self, usize), ElementError> {
        if let Some(odd) = self.text.chars().find(|c| !(' '..='~').contains(c)) {
            return Err(self.error("line", &odd.to_string(), "must not hold this character"));
        }
        let length = self.text.len();
        if length < LINE_COLUMNS || (LINE_COLUMNS < length && self.columns(70, 70) != " ") {
            let rule = "must be 69 columns, any more after a blank";
            return Err(self.error("length", &length.to_string(), rule));
        }
        self.text = self.columns(1, LINE_COLUMNS);
        let stated = self.columns(LINE_COLUMNS, LINE_COLUMNS);
        let sum = checksum_of(self.columns(1, LINE_COLUMNS - 1));
        let wrong = stated != sum.to_string();
        if wrong && (checksum == Checksum::Refuse || !stated.bytes().all(|b| b.is_ascii_digit())) {
            let rule = format!("must be {sum}, the sum of the digits and minus signs modulo 10");
            return Err(self.error("checksum", stated, rule));
        }
        for &column in blanks {
            let value = self.columns(column, column);
            if value != " " {
                return Err(self.error(
                    "columns",
                    value,
                    format!("must be blank in column {column}"),
                ));
            }
        }
        Ok((self, usize::from(wrong)))
    }

    fn catalog(self) -> Result<u32, ElementError> {
        let field = self.columns(3, 7);
        catalog_number(field).ok_or_else(|| {
            let rule = "must be five digits, or a letter other than I and O and four digits";
            self.error("catalog number", field, rule)
        })
    }

    /// A plain decimal number.
    fn decimal(
        self,
        (from, to): (usize, usize),
        field: &'static str,
        range: Range,
    ) -> Result<f64, ElementError> {
        let text = self.columns(from, to);
        let digits = text.trim();
        let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
        let plain = unsigned.bytes().any(|b| b.is_ascii_digit())
            && unsigned.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let value = if plain { digits.parse::<f64>().ok() } else { None };
        value.filter(|v| range.holds(*v)).ok_or_else(|| self.error(field, text, range.rule))
    }

    /// Digits after an assumed "0.".
    fn fraction(
        self,
        (from, to): (usize, usize),
        field: &'static str,
        range: Range,
    ) -> Result<f64, ElementError> {
        let text = self.columns(from, to);
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let value = if digits { format!("0.{text}").parse::<f64>().ok() } else { None };
        value.filter(|v| range.holds(*v)).ok_or_else(|| self.error(field, text, range.rule))
    }

    /// Sign, digits after an assumed "0.", signed power of ten: ` 28098-4` is 0.28098e-4.
    fn scaled(
        self,
        (from, to): (usize, usize),
        field: &'static str,
        range: Range,
    ) -> Result<f64, ElementError> {
        let text = self.columns(from, to);
        scaled(text).filter(|v| range.holds(*v)).ok_or_else(|| {
            let rule = "must be sign, five digits, signed power of ten, like -28098-4";
            self.error(field, text, rule)
        })
    }

    /// Digits, or blank for what nobody knows.
    fn count(
        self,
        (from, to): (usize, usize),
        field: &'static str,
    ) -> Result<Option<u32>, ElementError> {
        let text = self.columns(from, to);
        let digits = text.trim();
        if digits.is_empty() {
            return Ok(None);
        }
        let all = digits.bytes().all(|b| b.is_ascii_digit());
        let number = if all { digits.parse().ok() } else { None };
        number.map(Some).ok_or_else(|| self.error(field, text, "must be digits or blank"))
    }
}

fn scaled(text: &str) -> Option<f64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' | b' ' => ("", &text[1..]),
        _ => return None,
    };
    let (mantissa, power) = (rest.get(..5)?, rest.get(5..)?);
    let (power_sign, power_digit) = power.split_at_checked(1)?;
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    // Blank stands for plus in some old sets.
    let power_sign = match power_sign {
        "-" => "-",
        "+" | " " => "",
        _ => return None,
    };
    if !digits(mantissa) || !digits(power_digit) {
        return None;
    }
    format!("{sign}0.{mantissa}e{power_sign}{power_digit}").parse().ok()
}

/// Sum modulo 10 of the digits, with 1 for each minus sign.
fn checksum_of(text: &str) -> u32 {
    let value = |b: u8| match b {
        b'0'..=b'9' => u32::from(b - b'0'),
        b'-' => 1,
        _ => 0,
    };
    text.bytes().map(value).sum::<u32>() % 10
}

const LINE_1_BLANKS: [usize; 8] = [2, 9, 18, 33, 44, 53, 62, 64];
const LINE_2_BLANKS: [usize; 7] = [2, 8, 17, 26, 34, 43, 52];

/// A record from its lines.
fn record(
    name: Option<Line<'_>>,
    first: Line<'_>,
    second: Line<'_>,
    checksum: Checksum,
) -> Result<Read, ElementError> {
    let line = name.unwrap_or(first).number;
    let name = name.map(name_of).transpose()?;
    let (first, wrong_1) = first.check(&LINE_1_BLANKS, checksum)?;
    let (second, wrong_2) = second.check(&LINE_2_BLANKS, checksum)?;
    let catalog = first.catalog()?;
    if second.catalog()? != catalog {
        let rule = format!("must be that of line 1, {}", first.columns(3, 7));
        return Err(second.error("catalog number", second.columns(3, 7), rule));
    }
    let epoch = epoch_of(first)?;
    let facts = facts_of(first, second)?;
    let mean = mean_of(first, second)?;
    let sgp4 = Sgp4Constants::from_mean(epoch, &mean)
        .map_err(|e| second.error("elements", second.text, format!("must be an orbit: {e}")))?;
    let catalog = catalog.to_string();
    let name = name.unwrap_or_else(|| catalog.clone());
    let elements = Elements { name, catalog, epoch, mean, facts, line, sgp4 };
    let id = Place { line: first.number, column: Some(3), field: "catalog number" };
    Ok(Read { elements, id, wrong_checksums: wrong_1 + wrong_2 })
}

fn name_of(line: Line<'_>) -> Result<String, ElementError> {
    let name = line.as_name();
    if name.is_empty() || NAME_CHARS_MAX < name.chars().count() {
        return Err(line.error("name", line.text, "must be 1 to 64 characters"));
    }
    if name.chars().any(char::is_control) {
        return Err(line.error("name", name, "must not hold control characters"));
    }
    Ok(name.to_owned())
}

fn epoch_of(line: Line<'_>) -> Result<Epoch, ElementError> {
    let text = line.columns(19, 32);
    epoch(text).ok_or_else(|| {
        line.error(
            "epoch",
            text,
            "must be two digits of the year and a day of that year, like 24350.56645833",
        )
    })
}

/// `yyddd.dddddddd` as UTC: exact, since 1e-8 day are 864 000 ns.
fn epoch(text: &str) -> Option<Epoch> {
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let (year, day) = text.split_at_checked(2)?;
    let day = day.trim_matches(' ');
    let (day, fraction) = day.split_once('.').unwrap_or((day, ""));
    if !digits(year) || day.is_empty() || !digits(day) || !digits(fraction) {
        return None;
    }
    let year = full_year(year.parse().ok()?);
    if DAY_DECIMALS_MAX < fraction.len() {
        return None;
    }
    let unit_ns = 86_400_000_000_000_i64 / 10_i64.pow(u32::try_from(fraction.len()).ok()?);
    let of_day_ns = if fraction.is_empty() { 0 } else { fraction.parse::<i64>().ok()? * unit_ns };
    crate::omm::day_of_year(year, day.parse().ok()?, of_day_ns)
}

fn mean_of(first: Line<'_>, second: Line<'_>) -> Result<MeanElements, ElementError> {
    Ok(MeanElements {
        inclination_deg: second.decimal((9, 16), "inclination", INCLINATION)?,
        raan_deg: second.decimal((18, 25), "right ascension of the node", ANGLE)?,
        eccentricity: second.fraction((27, 33), "eccentricity", ECCENTRICITY)?,
        arg_perigee_deg: second.decimal((35, 42), "argument of perigee", ANGLE)?,
        mean_anomaly_deg: second.decimal((44, 51), "mean anomaly", ANGLE)?,
        mean_motion_rev_day: second.decimal((53, 63), "mean motion", MEAN_MOTION)?,
        bstar: first.scaled((54, 61), "drag term", BSTAR)?,
    })
}

fn facts_of(first: Line<'_>, second: Line<'_>) -> Result<Facts, ElementError> {
    let classification = match first.columns(8, 8) {
        " " => None,
        "U" => Some('U'),
        "C" => Some('C'),
        "S" => Some('S'),
        other => {
            return Err(first.error("classification", other, "must be U, C, S or blank"));
        }
    };
    let dot = first.decimal((34, 43), "first derivative of mean motion", DERIVATIVE)?;
    let ddot = first.scaled((45, 52), "second derivative of mean motion", DERIVATIVE)?;
    let ephemeris_type = match first.columns(63, 63) {
        " " => None,
        "0" => Some(0),
        "2" => Some(2),
        "3" => Some(3),
        // Type 4 (SGP4-XP) needs another theory than SGP4, which would read it without complaint.
        other => {
            let rule = "must be 0, 2, 3 or blank (elements for SGP4)";
            return Err(first.error("ephemeris type", other, rule));
        }
    };
    Ok(Facts {
        object_id: object_id(first.columns(10, 17)),
        classification,
        ephemeris_type,
        element_set: first.count((65, 68), "element set number")?,
        revolution: second.count((64, 68), "revolution number")?,
        mean_motion_dot: Some(dot),
        mean_motion_ddot: Some(ddot),
    })
}

/// The international designator as OMM writes it: `98067A` is `1998-067A`; the launch year turns as the epoch's does. What is
/// not written like this stays as it is.
fn object_id(field: &str) -> Option<Box<str>> {
    let field = field.trim();
    let (digits, piece) = field.split_at_checked(5)?;
    let usual = digits.bytes().all(|b| b.is_ascii_digit())
        && piece.len() <= 3
        && piece.bytes().all(|b| b.is_ascii_uppercase());
    if !usual {
        return Some(field.into());
    }
    let year = full_year(digits[..2].parse().ok()?);
    Some(format!("{year}-{}{piece}", &digits[2..]).into())
}

/// The year that two digits mean.
const fn full_year(two_digits: i32) -> i32 {
    if two_digits < YEAR_PIVOT { 2000 + two_digits } else { 1900 + two_digits }
}

#[cfg(test)]
mod tests;
