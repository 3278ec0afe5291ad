//! Writes OMM in its four notations, with keywords in the order of CelesTrak and numbers that read back bit by bit.
//!
//! Creation date and originator stay blank as CelesTrak leaves them: a conversion is no new message, and this crate has no clock.

use std::fmt::{self, Write};

use super::epoch_text;
use crate::elements::Elements;

/// What a value is, and so how notations write it.
#[derive(Clone, Debug)]
enum Value {
    Text(String),
    Number(String),
    /// Not known. Keywords that the standard demands are written without a value.
    Absent,
}

impl Value {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) => text,
            Self::Absent => "",
        }
    }
}

const KEYS: [&str; 17] = [
    "OBJECT_NAME",
    "OBJECT_ID",
    "EPOCH",
    "MEAN_MOTION",
    "ECCENTRICITY",
    "INCLINATION",
    "RA_OF_ASC_NODE",
    "ARG_OF_PERICENTER",
    "MEAN_ANOMALY",
    "EPHEMERIS_TYPE",
    "CLASSIFICATION_TYPE",
    "NORAD_CAT_ID",
    "ELEMENT_SET_NO",
    "REV_AT_EPOCH",
    "BSTAR",
    "MEAN_MOTION_DOT",
    "MEAN_MOTION_DDOT",
];
/// Keywords of metadata, which CelesTrak leaves out where a notation has no header.
const IMPLIED: [(&str, &str); 4] = [
    ("CENTER_NAME", "EARTH"),
    ("REF_FRAME", "TEME"),
    ("TIME_SYSTEM", "UTC"),
    ("MEAN_ELEMENT_THEORY", "SGP4"),
];
/// How many of the keywords are metadata, and from which one on they are parameters of TLE.
const METADATA: usize = 2;
const TLE_PARAMETERS: usize = 9;

/// The shortest decimal that reads back as the same number, with a point as CCSDS wants it (502.0-B-3, 7.5.7).
fn decimal(number: f64) -> String {
    let text = format!("{number:?}");
    match text.split_once('e') {
        Some((mantissa, power)) if !mantissa.contains('.') => format!("{mantissa}.0e{power}"),
        _ => text,
    }
}

/// The values of the keywords, in their order.
fn values(object: &Elements) -> [Value; KEYS.len()] {
    let Elements { name, catalog, mean, facts, .. } = object;
    let number = |value: f64| Value::Number(decimal(value));
    let perhaps = |value: Option<f64>| value.map_or(Value::Absent, number);
    let count =
        |value: Option<u32>| value.map_or(Value::Absent, |value| Value::Number(value.to_string()));
    let text = |value: Option<String>| value.map_or(Value::Absent, Value::Text);
    [
        Value::Text(name.clone()),
        text(facts.object_id.as_deref().map(str::to_owned)),
        Value::Text(epoch_text(object.epoch)),
        number(mean.mean_motion_rev_day),
        number(mean.eccentricity),
        number(mean.inclination_deg),
        number(mean.raan_deg),
        number(mean.arg_perigee_deg),
        number(mean.mean_anomaly_deg),
        count(facts.ephemeris_type.map(u32::from)),
        text(facts.classification.map(String::from)),
        count(catalog.parse().ok()),
        count(facts.element_set),
        count(facts.revolution),
        number(mean.bstar),
        perhaps(facts.mean_motion_dot),
        perhaps(facts.mean_motion_ddot),
    ]
}

/// Writing into a text cannot fail.
fn written(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut text = String::new();
    write(&mut text).expect("a text grows");
    text
}

/// OMM as JSON, a record a line, in an array.
pub fn json<'a>(elements: impl IntoIterator<Item = &'a Elements>) -> String {
    written(|out| {
        out.write_char('[')?;
        let mut between = "\n";
        for object in elements {
            out.write_str(between)?;
            json_record(out, object)?;
            between = ",\n";
        }
        out.write_str("\n]\n")
    })
}

fn json_record(out: &mut String, object: &Elements) -> fmt::Result {
    let mut between = '{';
    for (key, value) in KEYS.iter().zip(values(object)) {
        let value = match value {
            Value::Text(text) => serde_json::Value::from(text).to_string(),
            Value::Number(number) => number,
            Value::Absent => continue,
        };
        write!(out, "{between}\"{key}\":{value}")?;
        between = ',';
    }
    out.write_char('}')
}

/// OMM as CSV with a header, lines ended as CelesTrak does.
pub fn csv<'a>(elements: impl IntoIterator<Item = &'a Elements>) -> String {
    written(|out| {
        write!(out, "{}\r\n", KEYS.join(","))?;
        for object in elements {
            let values = values(object);
            let cells: Vec<_> = values.iter().map(|value| csv_cell(value.text())).collect();
            write!(out, "{}\r\n", cells.join(","))?;
        }
        Ok(())
    })
}

fn csv_cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) || text.trim() != text {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// OMM as KVN, one message after the other.
pub fn kvn<'a>(elements: impl IntoIterator<Item = &'a Elements>) -> String {
    written(|out| elements.into_iter().try_for_each(|object| kvn_message(out, object)))
}

fn kvn_message(out: &mut String, object: &Elements) -> fmt::Result {
    let mut line = |key: &str, value: &str| {
        let value = if value.is_empty() { "" } else { &format!(" {value}") };
        writeln!(out, "{key:<19} ={value}")
    };
    line("CCSDS_OMM_VERS", "2.0")?;
    line("CREATION_DATE", "")?;
    line("ORIGINATOR", "")?;
    let values = values(object);
    let fields = || KEYS.iter().zip(&values);
    for (key, value) in fields().take(METADATA) {
        line(key, value.text())?;
    }
    for (key, value) in IMPLIED {
        line(key, value)?;
    }
    for (key, value) in fields().skip(METADATA) {
        if !matches!(value, Value::Absent) {
            line(key, value.text())?;
        }
    }
    out.write_char('\n')
}

const XML_BEGIN: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ndm xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="https://sanaregistry.org/r/ndmxml_unqualified/ndmxml-2.0.0-master-2.0.xsd">
"#;

/// OMM as XML: an `ndm` with an `omm` for each object.
pub fn xml<'a>(elements: impl IntoIterator<Item = &'a Elements>) -> String {
    written(|out| {
        out.write_str(XML_BEGIN)?;
        elements.into_iter().try_for_each(|object| xml_message(out, object))?;
        out.write_str("</ndm>\n")
    })
}

fn xml_message(out: &mut String, object: &Elements) -> fmt::Result {
    let values = values(object);
    let fields = || KEYS.iter().zip(&values);
    out.write_str("<omm id=\"CCSDS_OMM_VERS\" version=\"2.0\">\n<header><CREATION_DATE/><ORIGINATOR/></header>\n")?;
    out.write_str("<body><segment><metadata>\n")?;
    for (key, value) in fields().take(METADATA) {
        xml_element(out, key, value.text())?;
    }
    for (key, value) in IMPLIED {
        xml_element(out, key, value)?;
    }
    out.write_str("</metadata><data><meanElements>\n")?;
    for (key, value) in fields().take(TLE_PARAMETERS).skip(METADATA) {
        xml_element(out, key, value.text())?;
    }
    out.write_str("</meanElements><tleParameters>\n")?;
    for (key, value) in fields().skip(TLE_PARAMETERS) {
        if !matches!(value, Value::Absent) {
            xml_element(out, key, value.text())?;
        }
    }
    out.write_str("</tleParameters></data></segment></body></omm>\n")
}

fn xml_element(out: &mut String, key: &str, text: &str) -> fmt::Result {
    if text.is_empty() {
        return writeln!(out, "<{key}/>");
    }
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    writeln!(out, "<{key}>{text}</{key}>")
}
