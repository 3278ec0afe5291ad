//! Element sets as they come: good, odd and wrong.

use proptest::prelude::*;

use super::*;

/// A made-up satellite; both checksums are right.
const NAME: &str = "MADE-UP 1               ";
const LINE_1: &str = "1 90004U 26001D   26200.99999999  .00000081  00000+0  30000-4 0  9999";
const LINE_2: &str = "2 90004  86.4000 330.1000 0002000  88.2000 271.9000 14.34215585407840";

/// The line with its checksum put right.
fn signed(line: &str) -> String {
    let body = &line[..LINE_COLUMNS - 1];
    format!("{body}{}", checksum_of(body))
}

fn with(line: &str, column: usize, text: &str) -> String {
    let mut line = line.to_owned();
    line.replace_range(column - 1..column - 1 + text.len(), text);
    signed(&line)
}

#[track_caller]
fn refused(text: &str, line: usize, field: &str) -> ElementError {
    let error = parse(text).unwrap_err();
    assert_eq!((error.line, error.field.as_str()), (line, field), "{error}");
    assert!(error.rule.starts_with("must "), "{error}");
    error
}

#[test]
fn a_set_is_read_with_and_without_its_name() {
    let three = parse(&format!("{NAME}\n{LINE_1}\n{LINE_2}\n")).unwrap();
    let [one] = three.as_slice() else { panic!("{three:?}") };
    assert_eq!((one.name.as_str(), one.catalog.as_str(), one.line), ("MADE-UP 1", "90004", 1));
    assert_eq!(one.epoch.to_string(), "2026-07-19T23:59:59.999Z");
    let expected = MeanElements {
        inclination_deg: 86.4,
        raan_deg: 330.1,
        eccentricity: 0.0002,
        arg_perigee_deg: 88.2,
        mean_anomaly_deg: 271.9,
        mean_motion_rev_day: 14.342_155_85,
        bstar: 0.3e-4,
    };
    assert_eq!(one.mean, expected);
    let two = parse(&format!("{LINE_1}\n{LINE_2}")).unwrap();
    assert_eq!(two[0].name, "90004");
    assert_eq!(two[0].mean, expected);
}

#[test]
fn line_ends_blanks_comments_and_marks_of_names_do_not_matter() {
    let text = format!(
        "\u{feff}# made up\r\n\r\n0 {NAME}\r\n# in between\r\n{LINE_1}\r\n{LINE_2}   \r\n\r\n{LINE_1}\n{LINE_2}  0.0 1440.0 20.0\n"
    );
    let sets = parse(&text).unwrap();
    let names: Vec<_> = sets.iter().map(|set| (set.name.as_str(), set.line)).collect();
    assert_eq!(names, [("MADE-UP 1", 3), ("90004", 8)]);
    assert!(parse("").unwrap().is_empty());
}

#[test]
fn the_parts_of_a_set_must_follow_each_other() {
    refused(LINE_1, 1, "line 1");
    refused(&format!("{LINE_1}\n{LINE_1}\n{LINE_2}"), 1, "line 1");
    refused(&format!("{LINE_1}\n{NAME}\n{LINE_1}\n{LINE_2}"), 1, "line 1");
    refused(&format!("\n{LINE_2}\n{LINE_1}"), 2, "line 2");
    refused(&format!("{LINE_1}\n{LINE_2}\n{NAME}"), 3, "name");
    refused(&format!("{NAME}\n{LINE_2}"), 2, "line 2");
    refused("No GP data found", 1, "name");
}

#[test]
fn a_malformed_record_does_not_spoil_its_neighbours() {
    let bad = LINE_1.replace("26200.", "262OO.");
    let text =
        format!("{LINE_1}\n{LINE_2}\nB\n{bad}\n{LINE_2}\nC\n{LINE_1}\nD\n{LINE_1}\n{LINE_2}\n");
    let records = read(&text, Checksum::Refuse).records;
    let seen: Vec<_> = records
        .iter()
        .map(|r| r.as_ref().map(|e| e.line).map_err(|e| (e.line, e.field.as_str())))
        .collect();
    assert_eq!(seen, [Ok(1), Err((4, "epoch")), Err((7, "line 1")), Ok(8)]);
}

#[test]
fn an_error_names_the_satellite_where_its_name_is_known() {
    let object = |text: &str| parse(text).unwrap_err().object.unwrap();
    let (cut, odd) = (&LINE_1[..68], LINE_2.replace("86.4000", "96.4000"));
    let good = format!("{NAME}\n{LINE_1}\n{LINE_2}\n");
    assert_eq!(object(&format!("{good}0 TWO\n{cut}\n{LINE_2}")), "record 2 \"TWO\"");
    assert_eq!(object(&format!("{good}{cut}\n{LINE_2}")), "record 2");
    assert_eq!(object(&format!("TWO\n{LINE_1}\nX")), "record 1 \"TWO\"");
    assert_eq!(object(&format!("TWO\n{LINE_2}")), "record 1 \"TWO\"");
    assert_eq!(object("TWO\nTHREE"), "record 1");
    let error = parse(&format!("{NAME}\n{LINE_1}\n{odd}")).unwrap_err().to_string();
    assert!(error.starts_with("line 3, record 1 \"MADE-UP 1\", checksum: "), "{error}");
}

#[test]
fn names_that_steer_terminals_are_refused() {
    for name in ["A\u{1b}[31mB", "A\tB", "A\u{7}", "\u{9b}31mA"] {
        let error = refused(&format!("{name}\n{LINE_1}\n{LINE_2}"), 1, "name");
        assert_eq!(error.rule, "must not hold control characters");
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    }
}

#[test]
fn each_field_is_checked_and_named() {
    for (line, column, text, field) in [
        (1, 3, "9000I", "catalog number"),
        (1, 8, "X", "classification"),
        (1, 18, "0", "columns"),
        (1, 19, "2x", "epoch"),
        (1, 21, "366", "epoch"),
        (1, 21, "000", "epoch"),
        (1, 24, "O", "epoch"),
        (1, 36, "O", "first derivative of mean motion"),
        (1, 46, "O", "second derivative of mean motion"),
        (1, 60, "*", "drag term"),
        (1, 63, "4", "ephemeris type"),
        (1, 66, "x", "element set number"),
        (2, 3, "90005", "catalog number"),
        (2, 9, "186.4000", "inclination"),
        (2, 9, "  nan   ", "inclination"),
        (2, 18, "361.0000", "right ascension of the node"),
        (2, 27, "00 2000", "eccentricity"),
        (2, 35, "        ", "argument of perigee"),
        (2, 44, "1e1     ", "mean anomaly"),
        (2, 53, " 0.00000000", "mean motion"),
        (2, 53, "21.00000000", "mean motion"),
        (2, 64, "x", "revolution number"),
    ] {
        let (first, second) = match line {
            1 => (with(LINE_1, column, text), LINE_2.to_owned()),
            _ => (LINE_1.to_owned(), with(LINE_2, column, text)),
        };
        refused(&format!("{first}\n{second}"), line, field);
    }
}

#[test]
fn length_checksum_and_alphabet_are_checked_first() {
    refused(&format!("{}\n{LINE_2}", &LINE_1[..68]), 1, "length");
    refused(&format!("{LINE_1}\n{LINE_2}1"), 2, "length");
    refused(&format!("{LINE_1}\n{}", LINE_2.replace("0002", "002")), 2, "length");
    refused(&format!("{}\n{LINE_2}", LINE_1.replace('U', "Ü")), 1, "line");
    let error = refused(&format!("{LINE_1}\n{}", LINE_2.replace("86.4", "86.5")), 2, "checksum");
    assert_eq!(
        error.to_string(),
        "line 2, record 1, checksum: \"0\" must be 1, the sum of the digits and minus signs modulo 10"
    );
}

#[test]
fn wrong_checksums_can_be_counted_instead() {
    let text = format!("{LINE_1}\n{}", LINE_2.replace("86.4", "86.5"));
    let reading = read(&text, Checksum::Count);
    assert_eq!(reading.wrong_checksums, 1);
    assert!((reading.records[0].as_ref().unwrap().mean.inclination_deg - 86.5).abs() < 1.0e-9);
}

#[test]
fn days_outside_their_year_are_refused() {
    let at = |text: &str| epoch(text).map(|e| e.to_string());
    assert_eq!(at("24366.50000000").as_deref(), Some("2024-12-31T12:00:00.000Z"));
    assert_eq!(at("23366.00000000"), None);
    assert_eq!(at("57001.00000000").as_deref(), Some("1957-01-01T00:00:00.000Z"));
    assert_eq!(at("56001.00000000").as_deref(), Some("2056-01-01T00:00:00.000Z"));
    assert_eq!(at("26  1.25").as_deref(), Some("2026-01-01T06:00:00.000Z"));
    for text in ["", "2", "26", "26001.000000000", "26+01.0", "26-01.0", "26001.-5", "26 1 .5"] {
        assert_eq!(at(text), None, "{text:?}");
    }
}

#[test]
fn catalogue_numbers_go_on_with_letters() {
    for (field, number) in [
        ("00005", Some(5)),
        ("    5", Some(5)),
        ("99999", Some(99_999)),
        ("A0000", Some(100_000)),
        ("H9999", Some(179_999)),
        ("J0000", Some(180_000)),
        ("N9999", Some(229_999)),
        ("P0000", Some(230_000)),
        ("Z9999", Some(339_999)),
        ("I0000", None),
        ("O0000", None),
        ("a0000", None),
        ("AA000", None),
        ("1A000", None),
        ("A000", None),
        ("A00000", None),
        ("     ", None),
        ("", None),
    ] {
        assert_eq!(catalog_number(field), number, "{field:?}");
    }
    let alpha = format!("{}\n{}", with(LINE_1, 3, "T0449"), with(LINE_2, 3, "T0449"));
    assert_eq!(parse(&alpha).unwrap()[0].catalog, "270449");
}

#[test]
fn numbers_with_an_assumed_point_are_read_to_the_last_digit() {
    let close = |text: &str, value: f64| {
        let got = scaled(text).unwrap();
        assert!((got - value).abs() <= value.abs() * 1.0e-15, "{text:?}: {got}");
    };
    close(" 28098-4", 0.280_98e-4);
    close("-13525-3", -0.135_25e-3);
    close("+14311-1", 0.014_311);
    close(" 00000+0", 0.0);
    close(" 12345+2", 12.345);
    for text in ["28098-4", " 2809-4", " 28098*4", " 28098-", " 2 098-4", ""] {
        assert_eq!(scaled(text), None, "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s).{0,300}") {
        drop(read(&text, Checksum::Refuse));
    }

    #[test]
    fn no_damage_makes_the_reader_panic_or_lose_a_line(
        at in 0_usize..139,
        byte in proptest::char::any(),
        cut in 0_usize..140,
    ) {
        let text = format!("{LINE_1}\n{LINE_2}");
        let mut damaged: Vec<char> = text.chars().collect();
        damaged[at] = byte;
        damaged.truncate(cut);
        let damaged: String = damaged.into_iter().collect();
        let records = read(&damaged, Checksum::Count).records;
        let blank = damaged.lines().all(|l| l.trim_end().is_empty() || l.starts_with('#'));
        prop_assert_eq!(records.is_empty(), blank);
    }

    #[test]
    fn one_wrong_digit_is_always_found(at in 0_usize..69, digit in 0_u8..10) {
        let mut line = LINE_2.as_bytes().to_vec();
        if line[at].is_ascii_digit() && line[at] != b'0' + digit {
            line[at] = b'0' + digit;
            let damaged = String::from_utf8(line).unwrap();
            let text = format!("{LINE_1}\n{damaged}");
            prop_assert!(parse(&text).is_err());
        }
    }
}
