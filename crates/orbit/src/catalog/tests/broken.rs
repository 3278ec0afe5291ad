//! Texts with faults: what is told, and that only what is broken is lost.

use super::*;

/// What a lenient reading takes, and what it says of each fault: line, record.
fn lenient(text: &str, format: Format) -> (Vec<String>, Vec<(usize, String)>) {
    let mut catalog = Catalog::new(LENIENT);
    catalog.read(text, Some(format)).unwrap();
    let told = catalog.report().skipped_told.iter().map(|skipped| &skipped.error);
    let told = told.map(|e| (e.line, e.object.clone().unwrap_or_default())).collect();
    (catalog.into_elements().into_iter().map(|e| e.name).collect(), told)
}

#[test]
fn a_broken_message_does_not_spoil_its_neighbours() {
    for (text, from, to, line) in [
        (KVN, "NORAD_CAT_ID        = 90004", "NORAD_CAT_ID        = 9000A", 19),
        (XML, "<NORAD_CAT_ID>90004<", "<NORAD_CAT_ID>9000A<", 23),
        (XML, "</tleParameters>", "</tleParameter>", 29),
        (CSV, ",90004,", ",9000A,", 2),
        (CSV, ",90004,", ",", 2),
        (JSON, ":90004,", ":1234567890,", 2),
    ] {
        let damaged = text.replacen(from, to, 1);
        assert_ne!(damaged, text, "{from}");
        let (elements, report) = read(&damaged, None, LENIENT).unwrap();
        let told = report.skipped_told[0].error.clone();
        assert_eq!((elements.len(), report.skipped, told.line), (2, 1, line), "{told}");
    }
}

#[test]
fn a_record_that_is_no_json_costs_no_other_one() {
    let lines = JSON.trim().trim_matches(['[', ']']);
    let records: Vec<&str> = lines.split(",\n").map(str::trim).collect();
    let [first, second, third] = records.as_slice() else { panic!("{records:?}") };
    let good = ["MADE-UP 1", "MADE-UP 3"];
    let of = "record 2 \"MADE-UP 2 [DTC]\"";
    for (from, to) in [
        ("\"INCLINATION\":", "\"INCLINATION\":+"),
        ("\"INCLINATION\":", "\"INCLINATION\":["),
        ("\"INCLINATION\":", "\"INCLINATION\":{\"A\":[{\"B\":1}]},x"),
        ("\"INCLINATION\":", "\"INCLINATION\""),
        ("\"INCLINATION\":", "INCLINATION\":"),
        ("\"CLASSIFICATION_TYPE\":\"C\"", "\"CLASSIFICATION_TYPE\":\"C"),
        ("}", ""),
        ("}", ",\"X\":\"}"),
    ] {
        let bad = second.replacen(from, to, 1);
        assert_ne!(&bad, second, "{from}");
        for between in [",", ",\n", "\n , \r\n"] {
            let text = format!("[{}]", [first, bad.as_str(), third].join(between));
            let (names, told) = lenient(&text, Format::OmmJson);
            assert_eq!(names, good, "{text}");
            assert!(!told.is_empty() && told[0].1 == of, "{told:?}: {text}");
        }
    }
    // Between records, before the first and after the last.
    for text in [
        format!("[{first},5,{third}]"),
        format!("[{first}{third}]"),
        format!("[{first}]\n[{third}]"),
        format!("{first}\n{third}"),
        format!("?[{first},{third}"),
    ] {
        let (names, told) = lenient(&text, Format::OmmJson);
        assert_eq!(names, good, "{told:?}: {text}");
        assert!(!told.is_empty());
    }
}

#[test]
fn five_records_of_which_the_second_is_broken_are_four() {
    let records: Vec<String> = (1..=5)
        .map(|n| three(&format!("B{n}"), &n.to_string(), "15"))
        .map(|text| text.lines().nth(1).unwrap().trim_end_matches(',').to_owned())
        .collect();
    let text =
        format!("[{}]", records.join(",")).replace("\"B2\",\"EPOCH\":", "\"B2\",\"EPOCH\":\u{1}");
    let (elements, report) = read(&text, None, LENIENT).unwrap();
    let names: Vec<&str> = elements.iter().map(|e| e.name.as_str()).collect();
    assert_eq!((names.as_slice(), report.skipped), (["B1", "B3", "B4", "B5"].as_slice(), 1));
}

#[test]
fn a_quote_that_is_not_closed_costs_one_row() {
    let (header, rows) = CSV.split_once('\n').unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    let all = ["MADE-UP 1", "MADE-UP 2 [DTC]", "MADE-UP 3"];
    for bad in 0..3 {
        for at in [0, 3, rows[bad].len()] {
            for end in ["\n", "\r\n"] {
                let mut rows = rows.clone();
                // A quote opens a value only where one begins.
                let at = rows[bad][at..].find(',').map_or(0, |comma| at + comma + 1);
                let damaged = format!("{}\"{}", &rows[bad][..at], &rows[bad][at..]);
                rows[bad] = &damaged;
                let text = format!("{header}{end}{}{end}", rows.join(end));
                let (names, told) = lenient(&text, Format::OmmCsv);
                let good: Vec<&str> = (0..3).filter(|k| *k != bad).map(|k| all[k]).collect();
                assert_eq!(names, good, "{text}");
                assert_eq!((told.len(), told[0].0), (1, 2 + bad), "{told:?}");
            }
        }
    }
}

#[test]
fn rows_that_all_open_a_quote_are_read_in_time() {
    // Read to the end of the text behind each of them, this would take hours.
    let row = "a\",x,\"\n";
    let text = format!("{}\n{}", CSV.lines().next().unwrap(), row.repeat(400_000));
    let mut catalog = Catalog::new(LENIENT);
    catalog.read(&text, Some(Format::OmmCsv)).unwrap();
    assert!(catalog.is_empty() && 1 < catalog.report().skipped);
}

#[test]
fn a_header_has_as_many_columns_as_a_message_has_keywords() {
    let columns: Vec<String> = (0..60_000).map(|n| format!("C{n}")).collect();
    let text = format!("MEAN_MOTION,{}\n", columns.join(","));
    let rule = "header: \"60001 columns\" must have at most 512 columns";
    refused(&text, ReadPolicy::default(), rule);
    refused(&text, LENIENT, rule);
}

#[test]
fn an_error_names_the_satellite_in_every_format() {
    for (text, from, to) in [
        (TLE, " 97.4593 ", "197.4593 "),
        (JSON, "\"INCLINATION\":97.4", "\"INCLINATION\":197.4"),
        (CSV, ",97.4593,", ",197.4593,"),
        (KVN, "INCLINATION         = 97", "INCLINATION         = 197"),
        (XML, "<INCLINATION>97.4", "<INCLINATION>197.4"),
    ] {
        let damaged = text.replacen(from, to, 1);
        assert_ne!(damaged, text, "{from}");
        let (_, report) = read(&damaged, None, LENIENT).unwrap();
        let told = &report.skipped_told[0].error;
        assert_eq!(told.object, Some("record 2 \"MADE-UP 2 [DTC]\"".to_owned()), "{told}");
        assert!(!told.to_string().contains('\n'), "{told}");
    }
    for (text, from, to) in [(XML, "</tleParameters>", "</tleParameter>"), (CSV, ",90004,", ",")] {
        let error = read(&text.replacen(from, to, 1), None, ReadPolicy::default()).unwrap_err();
        assert_eq!(error.object.as_deref(), Some("record 1 \"MADE-UP 1\""), "{error}");
    }
}

#[test]
fn a_value_in_xml_is_found_behind_comments_and_blanks_of_any_width() {
    let number = "<NORAD_CAT_ID>90004</NORAD_CAT_ID>";
    for (written, column) in [
        ("<NORAD_CAT_ID> <!--\u{e9}-->     90004</NORAD_CAT_ID>", 29),
        ("<NORAD_CAT_ID>\u{2003}90004</NORAD_CAT_ID>", 16),
        (
            "<NORAD_CAT_ID>\u{2003}<!--\u{e9}\u{1f6f0}-->\u{2003}90004<!--\u{e9}--></NORAD_CAT_ID>",
            26,
        ),
        ("<NORAD_CAT_ID>&#x2003;90004</NORAD_CAT_ID>", 15),
        ("<NORAD_CAT_ID>\r\n\u{2003}90004</NORAD_CAT_ID>", 2),
    ] {
        let text = XML.replacen(number, written, 1);
        assert_eq!(strict(&text)[0].catalog, "90004");
        let twice = text.replacen("<NORAD_CAT_ID>270449", "<NORAD_CAT_ID>90004", 1);
        let wrong = text.replacen("90004", "9000A", 1);
        assert!(twice != text && wrong != text);
        refused(&twice, ReadPolicy::default(), "must not come twice");
        let error = read(&wrong, None, ReadPolicy::default()).unwrap_err();
        assert_eq!((error.field.as_str(), error.column), ("NORAD_CAT_ID", Some(column)), "{error}");
    }
}

/// What may stand between the parts of a text and is easily counted wrong: comments, blanks and characters of several bytes.
const PUTS: [&str; 12] = [
    "<!--\u{e9}-->",
    " <!--\u{e9}-->     ",
    "\r\n\u{2003}",
    "\u{2003}",
    " ",
    "\r\n",
    "\u{e9}",
    "<![CDATA[\u{1f6f0}]]>",
    "&#x2003;",
    "\"",
    "},{",
    "COMMENT \u{e9}\n",
];

/// Where values begin: what is put there matters most.
fn begins_of_values(text: &str) -> Vec<usize> {
    let begins = |(at, _): &(usize, &str)| {
        text[at + 1..].starts_with(|c: char| c.is_alphanumeric() || "\"-".contains(c))
    };
    let marks = text.match_indices(['>', ':', ',', '=', '"', '\n']);
    marks.filter(begins).map(|(at, _)| at + 1).collect()
}

proptest! {
    #[test]
    fn nothing_that_is_put_between_makes_a_reader_panic(
        puts in prop::collection::vec((0_usize..6000, 0_usize..PUTS.len()), 1..6),
    ) {
        for (text, format) in [
            (JSON, Format::OmmJson),
            (CSV, Format::OmmCsv),
            (KVN, Format::OmmKvn),
            (XML, Format::OmmXml),
        ] {
            let mut text = text.to_owned();
            for (at, put) in &puts {
                let places = begins_of_values(&text);
                text.insert_str(places[at % places.len()], PUTS[*put]);
            }
            for policy in [ReadPolicy::default(), RENAMING] {
                drop(read(&text, Some(format), policy));
            }
        }
    }
}
