//! OMM records as they come: good, odd and wrong.

use proptest::prelude::*;

use super::*;
use crate::elements::MeanElements;

const RECORD: &str = r#"{"OBJECT_NAME":"MADE-UP 1","OBJECT_ID":"2026-001A","EPOCH":"2026-07-08T17:02:16.167840",
 "MEAN_MOTION":14.34215585,"ECCENTRICITY":0.0002,"INCLINATION":86.4,"RA_OF_ASC_NODE":330.1,"ARG_OF_PERICENTER":88.2,
 "MEAN_ANOMALY":271.9,"EPHEMERIS_TYPE":0,"CLASSIFICATION_TYPE":"U","NORAD_CAT_ID":799501621,"ELEMENT_SET_NO":999,
 "REV_AT_EPOCH":40784,"BSTAR":3e-5,"MEAN_MOTION_DOT":-8.81e-6,"MEAN_MOTION_DDOT":0}"#;

#[track_caller]
fn refused(text: &str, line: usize, field: &str) -> ElementError {
    let error = parse_json(text).unwrap_err();
    assert_eq!((error.line, error.field.as_str()), (line, field), "{error}");
    assert!(error.rule.starts_with("must "), "{error}");
    error
}

#[test]
fn one_record_and_arrays_are_read() {
    let one = parse_json(RECORD).unwrap();
    assert_eq!((one[0].name.as_str(), one[0].catalog.as_str()), ("MADE-UP 1", "799501621"));
    assert_eq!(one[0].epoch, Epoch::parse("2026-07-08T17:02:16.167840Z").unwrap());
    let expected = MeanElements {
        inclination_deg: 86.4,
        raan_deg: 330.1,
        eccentricity: 0.0002,
        arg_perigee_deg: 88.2,
        mean_anomaly_deg: 271.9,
        mean_motion_rev_day: 14.342_155_85,
        bstar: 3.0e-5,
    };
    assert_eq!(one[0].mean, expected);
    let [two, three] = ["2", "3"].map(|number| RECORD.replace("799501621", number));
    let three = parse_json(&format!("\n[ {RECORD},\n{two}\n,{three} ]\r\n")).unwrap();
    assert_eq!(three.iter().map(|e| e.line).collect::<Vec<_>>(), [2, 6, 10]);
    assert!(parse_json("[]").unwrap().is_empty());
}

#[test]
fn numbers_may_be_strings_and_names_may_be_missing() {
    let strings = RECORD.replace("86.4", "\"86.4\"").replace("799501621", "\"+00964\"");
    let strings = strings.replace("\"OBJECT_NAME\":\"MADE-UP 1\",", "");
    let one = parse_json(&strings).unwrap().remove(0);
    assert_eq!((one.name.as_str(), one.catalog.as_str()), ("964", "964"));
    assert!((one.mean.inclination_deg - 86.4).abs() < 1.0e-12);
}

#[test]
fn each_key_is_checked_and_named() {
    for (from, to, field) in [
        ("86.4", "186.4", "INCLINATION"),
        ("86.4", "true", "INCLINATION"),
        ("86.4", "\"inf\"", "INCLINATION"),
        ("86.4", "[1]", "INCLINATION"),
        ("\"INCLINATION\":86.4,", "", "INCLINATION"),
        ("86.4", "null", "INCLINATION"),
        ("330.1", "361", "RA_OF_ASC_NODE"),
        ("0.0002", "1", "ECCENTRICITY"),
        ("0.0002", "-0.1", "ECCENTRICITY"),
        ("88.2", "\"\"", "ARG_OF_PERICENTER"),
        ("271.9", "1e9", "MEAN_ANOMALY"),
        ("14.34215585", "0", "MEAN_MOTION"),
        ("14.34215585", "1e-30", "MEAN_MOTION"),
        ("14.34215585", "1e999", "MEAN_MOTION"),
        ("3e-5", "1e300", "BSTAR"),
        ("799501621", "1000000000", "NORAD_CAT_ID"),
        ("799501621", "25544.0", "NORAD_CAT_ID"),
        ("799501621", "\"A0000\"", "NORAD_CAT_ID"),
        ("799501621", "-5", "NORAD_CAT_ID"),
        ("2026-07-08T", "2026-07-08 ", "EPOCH"),
        ("2026-07-08T", "2026-02-30T", "EPOCH"),
        ("\"EPHEMERIS_TYPE\":0", "\"EPHEMERIS_TYPE\":4", "EPHEMERIS_TYPE"),
        ("\"REV_AT_EPOCH\"", "\"REF_FRAME\":\"ICRF\",\"REV_AT_EPOCH\"", "REF_FRAME"),
        ("\"REV_AT_EPOCH\"", "\"TIME_SYSTEM\":\"TAI\",\"REV_AT_EPOCH\"", "TIME_SYSTEM"),
        ("\"REV_AT_EPOCH\"", "\"CENTER_NAME\":\"MOON\",\"REV_AT_EPOCH\"", "CENTER_NAME"),
        (
            "\"REV_AT_EPOCH\"",
            "\"MEAN_ELEMENT_THEORY\":\"SGP4-XP\",\"REV_AT_EPOCH\"",
            "MEAN_ELEMENT_THEORY",
        ),
    ] {
        let text = RECORD.replace(from, to);
        assert_ne!(text, RECORD, "{from}");
        // Where the key is, or the record that lacks it.
        let line =
            text.lines().position(|line| line.contains(&format!("\"{field}\""))).unwrap_or(0);
        let error = refused(&format!("[\n{text}]"), 2 + line, field);
        assert_eq!(error.object.as_deref(), Some("record 1 \"MADE-UP 1\""), "{error}");
    }
    let implied = r#""CENTER_NAME":"EARTH","REF_FRAME":"TEME","TIME_SYSTEM":"UTC","MEAN_ELEMENT_THEORY":"SGP4","BSTAR""#;
    assert!(parse_json(&RECORD.replace("\"BSTAR\"", implied)).is_ok());
}

#[test]
fn broken_json_is_refused_where_it_breaks() {
    refused(&format!("[{RECORD},\n{}", RECORD.replace("799501621", "2")), 8, "json");
    refused(&format!("[{RECORD},\n]"), 5, "json");
    refused(&format!("[{RECORD}\n{RECORD}]"), 5, "json");
    refused(&format!("[{RECORD}]\n]"), 5, "json");
    refused(&format!("[{RECORD},\n{}", &RECORD[..RECORD.find("86.4").unwrap()]), 6, "INCLINATION");
    refused("[1]", 1, "json");
    refused("[[]]", 1, "json");
    refused("", 1, "json");
    refused("{\"OBJECT_NAME\"", 1, "OBJECT_NAME");
    refused("{\"OBJECT_NAME\":\"A\",}", 1, "OBJECT_NAME");
    refused("{'OBJECT_NAME':'A'}", 1, "json");
    refused(&format!("{{\"X\":{}1{}}}", "[".repeat(9000), "]".repeat(9000)), 1, "NORAD_CAT_ID");
    let twice = RECORD.replace("\"BSTAR\"", "\"INCLINATION\":1,\"BSTAR\"");
    let error = refused(&twice, 4, "INCLINATION");
    assert!(error.rule.contains("must not come twice"), "{error}");
}

#[track_caller]
fn says(text: &str, message: &str) {
    assert_eq!(parse_json(text).unwrap_err().to_string(), message);
}

#[test]
fn a_message_says_line_column_record_and_field() {
    let second = RECORD.replace("MADE-UP 1", "MADE-UP 2").replace("799501621", "7");
    let pair = |second: String| format!("[{RECORD},\n{second}]");
    says(
        &pair(second.replace("86.4", "NaN")),
        "line 6, column 64, record 2 \"MADE-UP 2\", INCLINATION: \
         \"NaN,\\\"RA_OF_ASC_NODE\\\":330.1,\\\"ARG_OF_PERIC\" must be a value that JSON knows (expected value)",
    );
    says(
        &pair(second.replace("86.4", "186.4")),
        "line 6, column 64, record 2 \"MADE-UP 2\", INCLINATION: \
         \"186.4\" must be a number from 0 to 180 degrees",
    );
    says(
        &pair(second.replace("\"NORAD_CAT_ID\":7", "\"NORAD_CAT_ID\":\"799501621\"")),
        "line 7, column 83, record 2 \"MADE-UP 2\", NORAD_CAT_ID: \"799501621\" must not come twice, \
         but is that of record 1 \"MADE-UP 1\" on line 1 already",
    );
    let one_line = pair(second.replace("\"MEAN_ANOMALY\"", "\"mean_anomaly\"")).replace('\n', "");
    says(
        &one_line,
        "line 1, column 623, record 2 \"MADE-UP 2\", MEAN_ANOMALY: \
         \"mean_anomaly\" must be written in capitals, as MEAN_ANOMALY",
    );
    let cut = one_line.len() - 5;
    says(
        &one_line[..cut],
        "line 1, column 791, record 2 \"MADE-UP 2\", MEAN_MOTION_DOT: \
         \"end of text\" must not come here: the text is cut off",
    );
    let crlf = pair(second.replace("86.4", "+86.4")).replace('\n', "\r\n");
    says(
        &format!("\u{feff}{crlf}"),
        "line 6, column 64, record 2 \"MADE-UP 2\", INCLINATION: \
         \"+86.4,\\\"RA_OF_ASC_NODE\\\":330.1,\\\"ARG_OF_PER\" must be a value that JSON knows (expected value)",
    );
}

#[test]
fn columns_count_characters() {
    let text = "{\"OBJECT_NAME\":\"\u{1f6f0}\u{e9}\",\"EPOCH\":tru\u{e9}}";
    let error = refused(text, 1, "EPOCH");
    assert_eq!(error.object.as_deref(), Some("record 1 \"\u{1f6f0}\u{e9}\""));
    assert!(matches!(error.column, Some(31..=34)), "{error}");
}

#[test]
fn ccsds_times_are_read_in_all_their_forms() {
    for (text, expected) in [
        ("2020-064T10:34:41.4264", "2020-03-04T10:34:41.4264Z"),
        ("2002-204T15:56:23Z", "2002-07-23T15:56:23Z"),
        ("2001-11-06T11:17:33", "2001-11-06T11:17:33Z"),
        ("1998-11-20T06:49:59.999808Z", "1998-11-20T06:49:59.999808Z"),
        ("2026-09-20T12:42:37.12345678901", "2026-09-20T12:42:37.123456789Z"),
        ("2016-12-31T23:59:60", "2017-01-01T00:00:00Z"),
        ("2024-366T00:00:00", "2024-12-31T00:00:00Z"),
    ] {
        assert_eq!(epoch(text), Some(Epoch::parse(expected).unwrap()), "{text}");
    }
    for text in [
        "",
        "2026-9-20T12:42:37",
        "2026-09-20 12:42:37",
        "26263.52959654",
        "2026-09-20T12:42:37.141056+00:00",
        "20260920T124237",
        "2023-366T00:00:00",
        "2023-000T00:00:00",
        "2026-09-20T12:42:60",
        "2026-09-20T24:00:00",
        "2026-09-20T12:60:00",
        "2026-09-20T12:42:37.",
        "2026-09-20T12:42",
        "9999-01-01T00:00:00",
    ] {
        assert_eq!(epoch(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s)[\\[{].{0,300}") {
        drop(parse_json(&text));
    }

    #[test]
    fn no_damage_makes_the_reader_panic(at in 0_usize..500, byte in proptest::char::any(), cut in 0_usize..600) {
        let mut damaged: Vec<char> = RECORD.chars().collect();
        let last = damaged.len() - 1;
        damaged[at.min(last)] = byte;
        damaged.truncate(cut);
        drop(parse_json(&damaged.into_iter().collect::<String>()));
    }
}
