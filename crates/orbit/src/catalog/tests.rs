//! Reading under each policy, copies, and the way from each format to each other one.

use proptest::prelude::*;
use types::Epoch;

use super::*;
use crate::elements::{Facts, MeanElements};
use crate::propagate::Sgp4Constants;

mod broken;

const LENIENT: ReadPolicy =
    ReadPolicy { faults: Faults::TakeOrSkip, same_names: SameNames::Refuse };
const RENAMING: ReadPolicy = ReadPolicy { same_names: SameNames::Rename, ..LENIENT };

/// Made-up satellites, one of each kind that formats write differently.
const TLE: &str = include_str!("../../tests/data/formats/made-up.tle");
const JSON: &str = include_str!("../../tests/data/formats/made-up.json");
const CSV: &str = include_str!("../../tests/data/formats/made-up.csv");
const KVN: &str = include_str!("../../tests/data/formats/made-up.kvn");
const XML: &str = include_str!("../../tests/data/formats/made-up.xml");

fn strict(text: &str) -> Vec<Elements> {
    read(text, None, ReadPolicy::default()).unwrap_or_else(|e| panic!("{e}")).0
}

/// Three satellites; the second has this name, number and mean motion.
fn three(name: &str, number: &str, mean_motion: &str) -> String {
    let record = |name: &str, number: &str, motion: &str| {
        format!(
            "{{\"OBJECT_NAME\":\"{name}\",\"EPOCH\":\"2026-01-01T00:00:00\",\"MEAN_MOTION\":{motion},\"ECCENTRICITY\":0,\
             \"INCLINATION\":53,\"RA_OF_ASC_NODE\":0,\"ARG_OF_PERICENTER\":0,\"MEAN_ANOMALY\":0,\"BSTAR\":0,\
             \"NORAD_CAT_ID\":{number}}}"
        )
    };
    let (a, b, c) =
        (record("A", "1", "15"), record(name, number, mean_motion), record("C", "3", "15"));
    format!("[{a},\n{b},\n{c}]")
}

#[track_caller]
fn refused(text: &str, policy: ReadPolicy, expected: &str) {
    let message = read(text, None, policy).unwrap_err().to_string();
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_strict_reading_ends_at_the_first_fault() {
    let policy = ReadPolicy::default();
    refused(
        &three("B", "2", "90"),
        policy,
        "line 2, column 64, record 2 \"B\", MEAN_MOTION: \"90\"",
    );
    let twin = "NORAD_CAT_ID: \"1\" must not come twice, but is that of record 1 \"A\" on line 1";
    refused(&three("B", "1", "15"), policy, twin);
    let name = "line 2, name: \"A\" must not come twice, but is that of record 1 \"A\" on line 1";
    refused(&three("A", "2", "15"), policy, name);
    refused("[]", policy, "must hold at least one element set");
}

#[test]
fn a_lenient_reading_counts_what_it_takes_and_tells_what_it_skips() {
    let (elements, report) = read(&three("B", "1", "15"), None, LENIENT).unwrap();
    assert_eq!((elements.len(), report.records, report.repeated_catalog_numbers), (3, 3, 1));
    let (elements, report) = read(&three("B", "2", "90"), None, LENIENT).unwrap();
    assert_eq!((elements.len(), report.skipped), (2, 1));
    assert_eq!(report.skipped_told[0].error.line, 2);
    assert!(report.warnings()[1].contains("skipped: line 2"), "{:?}", report.warnings());
    refused(&three("A", "1", "15"), LENIENT, "must not come twice");
    let cut = three("B", "2", "15");
    let (elements, report) = read(&cut[..cut.len() - 1], None, LENIENT).unwrap();
    assert_eq!((elements.len(), report.skipped), (3, 1));
    let nothing = "must hold at least one element set that can be read; 1 could not, the first: ";
    refused("STARLINK", LENIENT, nothing);
}

#[test]
fn what_is_told_of_skipped_records_is_bounded() {
    let bad = "X\n".repeat(SKIPPED_TOLD_MAX + 5);
    let (_, report) = read(&format!("{bad}{TLE}"), Some(Format::Tle), LENIENT).unwrap();
    assert_eq!((report.skipped, report.skipped_told.len()), (25, SKIPPED_TOLD_MAX));
    assert_eq!(report.warnings().last().unwrap(), "skipped: and 5 more");
}

#[test]
fn wrong_checksums_are_counted_where_they_are_taken() {
    let wrong = TLE.replace("  53.0000 ", "  53.0001 ");
    refused(&wrong, ReadPolicy::default(), "checksum");
    let (elements, report) = read(&wrong, None, LENIENT).unwrap();
    assert_eq!((elements.len(), report.wrong_checksums), (3, 1));
}

#[test]
fn a_second_satellite_of_a_name_can_be_renamed() {
    let (elements, report) = read(&three("A", "1", "15"), None, RENAMING).unwrap();
    let names: Vec<&str> = elements.iter().map(|e| e.name.as_str()).collect();
    assert_eq!((names.as_slice(), report.renamed), (["A", "A#2", "C"].as_slice(), 1));
    let taken = three("A", "2", "15").replace("\"C\"", "\"A#2\"");
    let (elements, _) = read(&taken, None, RENAMING).unwrap();
    let names: Vec<&str> = elements.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["A", "A#3", "A#2"]);
}

#[test]
fn satellites_of_two_sources_must_differ_too() {
    let mut catalog = Catalog::new(ReadPolicy::default());
    catalog.begin_source("a.json");
    catalog.read(&three("B", "2", "15"), None).unwrap();
    catalog.begin_source("b.json");
    let other = three("E", "2", "15").replace("\"A\"", "\"D\"").replace("ID\":1", "ID\":4");
    let error = catalog.read(&other, None).unwrap_err().to_string();
    let expected = "record 2 \"E\", NORAD_CAT_ID: \"2\" must not come twice, \
        but is that of record 2 \"B\" on line 2 of a.json already";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn copies_follow_the_published_rule() {
    let originals = strict(TLE);
    let all = duplicated(&originals, 8).unwrap();
    let names: Vec<&str> = all.iter().map(|e| e.name.as_str()).collect();
    let expected = [
        "MADE-UP 1",
        "MADE-UP 2 [DTC]",
        "MADE-UP 3",
        "MADE-UP 1 DUPLICATE1",
        "MADE-UP 2 [DTC] DUPLICATE1",
        "MADE-UP 3 DUPLICATE1",
        "MADE-UP 1 DUPLICATE2",
        "MADE-UP 2 [DTC] DUPLICATE2",
    ];
    assert_eq!(names, expected);
    for (copy, later_s) in [(3, 300.0), (5, 300.0), (6, 600.0)] {
        let original = &all[copy % 3];
        assert!((all[copy].epoch.seconds_since(original.epoch) - later_s).abs() < 1.0e-9);
        assert_eq!(all[copy].mean, original.mean);
    }
    assert_eq!(duplicated(&originals, 2).unwrap().len(), 2);
    // Of a set that holds copies already, the copies take the names that are free.
    let again = duplicated(&all, 24).unwrap();
    let names: BTreeSet<&str> = again.iter().map(|e| e.name.as_str()).collect();
    assert_eq!((again.len(), names.len()), (24, 24), "{names:?}");
    assert_eq!(again[8].name, "MADE-UP 1 DUPLICATE3");
    assert!((again[8].epoch.seconds_since(again[0].epoch) - 300.0).abs() < 1.0e-9);
    assert_eq!(duplicated(&[], 2).unwrap_err(), DuplicateError::Empty);
}

#[test]
fn ages_count_from_the_epochs() {
    let elements = strict(TLE);
    let start = elements[0].epoch.plus_s(20.0 * 86_400.0);
    let ages = epoch_ages(&elements, (start, start)).unwrap();
    assert!((ages.median_days - 20.0).abs() < 1.0e-9, "{ages:?}");
    assert!((ages.least_days - 19.239_083_32).abs() < 1.0e-9, "{ages:?}");
    assert!((ages.most_days - 10_123.215_277_78).abs() < 1.0e-6, "{ages:?}");
    assert_eq!(ages.far, 3);
    assert_eq!(epoch_ages(&elements[..2], (elements[0].epoch, elements[0].epoch)).unwrap().far, 0);
    assert_eq!(epoch_ages(&[], (start, start)), None);
    // From the end of a run, and before the epoch as after it.
    let run = (start.plus_s(-86_400.0 * 30.0), start);
    let ages = epoch_ages(&elements, run).unwrap();
    assert!(0.0 < ages.least_days && ages.most_days > 10_123.0, "{ages:?}");
    let early = elements[0].epoch.plus_s(-86_400.0 * 99.0);
    assert!((epoch_ages(&elements[..1], (early, early)).unwrap().most_days - 99.0).abs() < 1.0e-9);
}

#[test]
fn one_mistyped_year_does_not_decide_the_newest_epoch() {
    let mut elements = strict(TLE);
    assert_eq!(
        newest_epoch(&elements).map(|at| at.to_string()).as_deref(),
        Some("2026-07-20T06:15:43.201Z")
    );
    elements[0].epoch = Epoch::parse("2062-07-19T00:00:00Z").unwrap();
    let next = elements.iter().map(|e| e.epoch).filter(|at| *at < elements[0].epoch).max();
    assert_eq!(newest_epoch(&elements), next);
    assert_eq!(newest_epoch(&elements[..1]), Some(elements[0].epoch));
    assert_eq!(newest_epoch(&[]), None);
}

#[test]
fn all_formats_say_the_same_of_the_same_satellites() {
    let expected = strict(JSON);
    assert_eq!(expected.len(), 3);
    for (text, format) in [(CSV, Format::OmmCsv), (KVN, Format::OmmKvn), (XML, Format::OmmXml)] {
        assert_eq!(format::detect(text), Ok(format));
        let read = strict(text);
        assert_eq!(read.len(), expected.len(), "{format}");
        for (read, expected) in read.iter().zip(&expected) {
            assert!(read.says_the_same_as(expected), "{format}: {read:?} is not {expected:?}");
        }
    }
    for (read, expected) in strict(TLE).iter().zip(&expected) {
        assert!(read.says_the_same_as(expected), "tle: {read:?} is not {expected:?}");
    }
}

#[test]
fn what_is_written_is_what_was_read_byte_by_byte() {
    let elements = strict(JSON);
    assert_eq!(tle::write(&elements).unwrap().text, TLE);
    assert_eq!(omm::to_json(&elements), JSON);
    assert_eq!(omm::to_csv(&elements), CSV);
    assert_eq!(omm::to_kvn(&elements), KVN);
    assert_eq!(omm::to_xml(&elements), XML);
}

#[test]
fn tle_refuses_what_it_cannot_hold_and_names_it() {
    let mut object = strict(TLE).remove(0);
    let told = |object: &Elements| tle::write([object]).unwrap_err().to_string();
    object.catalog = "799501621".to_owned();
    let rule = "must be a number up to 339999 for TLE; write OMM instead";
    let expected = format!("object \"MADE-UP 1\", catalog number: \"799501621\" {rule}");
    assert_eq!(told(&object), expected);
    object.catalog = String::new();
    assert!(told(&object).contains(rule));
    object.catalog = "5".to_owned();
    object.facts.mean_motion_dot = Some(1.5);
    assert!(told(&object).contains("first derivative of mean motion"));
    object.facts.mean_motion_dot = None;
    object.epoch = Epoch::parse("2056-12-31T23:59:59.999999Z").unwrap();
    assert!(told(&object).contains("years 1957 to 2056"));
    object.epoch = Epoch::parse("2025-12-31T23:59:59.999999Z").unwrap();
    object.facts.object_id = Some("2026-219ABCD".into());
    let written = tle::write([&object]).unwrap();
    assert_eq!(written.designators_left_out, 1);
    let again = strict(&written.text).remove(0);
    assert_eq!((again.catalog.as_str(), again.facts.object_id), ("5", None));
    assert_eq!(again.epoch.to_string(), "2026-01-01T00:00:00.000Z");
}

#[test]
fn units_that_the_standard_does_not_know_are_refused() {
    let message = |from: &str, to: &str| {
        let text = KVN.replacen(from, to, 1);
        assert_ne!(text, KVN);
        read(&text, None, ReadPolicy::default()).unwrap_err().to_string()
    };
    let radians = message("INCLINATION         = 53.0", "INCLINATION         = 0.9 [rad]");
    let expected = "line 13, column 23, record 1 \"MADE-UP 1\", INCLINATION: \"0.9 [rad]\" must be in units of deg";
    assert_eq!(radians, expected);
    assert!(
        message("BSTAR               =", "BSTAR                ")
            .contains("must be 'keyword = value'")
    );
    assert!(
        message("= 2.0", "= 4.0").contains("CCSDS_OMM_VERS: \"4.0\" must be 1.0 or 2.0 or 3.0")
    );
    assert!(message("REF_FRAME           = TEME", "REF_FRAME = ICRF").contains("REF_FRAME"));
    assert!(message("CCSDS_OMM_VERS", "XCCSDS_OMM_VERS").contains("must be"));
    let xml = XML.replacen("<INCLINATION>53.0", "<INCLINATION units=\"rad\">0.9", 1);
    refused(&xml, ReadPolicy::default(), "INCLINATION: \"0.9 [rad]\" must be in units of deg");
    let degrees = XML.replacen("<INCLINATION>53.0", "<INCLINATION units=\"deg\">53.0", 1);
    assert!(strict(&degrees)[0].says_the_same_as(&strict(XML)[0]));
}

#[test]
fn columns_of_csv_may_stand_in_any_order_and_be_more() {
    let rows = |order: &[usize]| -> String {
        let row = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            let cells = order.iter().map(|i| cells[*i]).collect::<Vec<_>>().join(",");
            format!("{cells},more\n")
        };
        CSV.lines().map(row).collect()
    };
    let order: Vec<usize> = (0..17).rev().collect();
    for (read, expected) in strict(&rows(&order)).iter().zip(strict(CSV)) {
        assert!(read.says_the_same_as(&expected), "{read:?}");
    }
    refused("EPOCH,MEAN_MOTION,EPOCH\n", ReadPolicy::default(), "must not name a column twice");
    let quoted = CSV.replacen("MADE-UP 1", "\"MADE, \"\"UP\"\"\n1\"", 1);
    refused(&quoted, ReadPolicy::default(), "must not hold control characters");
    let quoted = CSV.replacen("MADE-UP 1", "\"MADE, \"\"UP\"\" 1\"", 1);
    assert_eq!(strict(&quoted)[0].name, "MADE, \"UP\" 1");
    assert_eq!(strict(&omm::to_csv(&strict(&quoted)))[0].name, "MADE, \"UP\" 1");
    let bad = CSV.replacen(",53.0,", ",x,", 1);
    refused(
        &bad,
        ReadPolicy::default(),
        "line 2, column 67, record 1 \"MADE-UP 1\", INCLINATION: \"x\"",
    );
}

prop_compose! {
    fn any_elements()(
        name in "[A-Z0-9&<>,\"'\u{e9}\\[\\]=#]([A-Z0-9 &<>,\"'\u{e9}\\[\\]=#]{0,30}[A-Z0-9&<>,\"'\\]])?",
        number in 0_u32..340_000,
        epoch_ns in -400_000_000_000_000_000_i64..2_740_000_000_000_000_000,
        angles in (0.0_f64..=180.0, -360.0_f64..360.0, -360.0_f64..360.0, 0.0_f64..360.0),
        eccentricity in 0.0_f64..0.9,
        mean_motion in 0.5_f64..17.0,
        drag in (-1.0_f64..1.0, -12_i32..6, -0.99_f64..0.99, -1.0_f64..1.0),
        facts in (0_u8..4, 0_u32..10_000, 0_u32..100_000, prop::option::of("(19[6-9][0-9]|20[0-4][0-9])-[0-9]{3}[A-Z]{1,3}")),
    ) -> Option<Elements> {
        let mean = MeanElements {
            inclination_deg: angles.0,
            raan_deg: angles.1,
            eccentricity,
            arg_perigee_deg: angles.2,
            mean_anomaly_deg: angles.3,
            mean_motion_rev_day: mean_motion,
            bstar: drag.0 * 10.0_f64.powi(drag.1),
        };
        let facts = Facts {
            object_id: facts.3.map(Box::from),
            classification: [None, Some('U'), Some('C'), Some('S')][usize::from(facts.0)],
            ephemeris_type: [None, Some(0), Some(2), Some(3)][usize::from(facts.0)],
            element_set: Some(facts.1).filter(|n| n % 7 != 0),
            revolution: Some(facts.2).filter(|n| n % 7 != 0),
            mean_motion_dot: Some(drag.2),
            mean_motion_ddot: Some(drag.3 * 1.0e-3),
        };
        let epoch = Epoch::from_unix_ns(epoch_ns);
        let sgp4 = Sgp4Constants::from_mean(epoch, &mean).ok()?;
        let catalog = number.to_string();
        Some(Elements { name: name.trim().to_owned(), catalog, epoch, mean, facts, line: 0, sgp4 })
    }
}

/// The difference of two angles, degrees, brought to 0 to 180.
fn off_deg(a: f64, b: f64) -> f64 {
    let off = (a - b).rem_euclid(360.0);
    off.min(360.0 - off)
}

proptest! {
    #[test]
    fn omm_keeps_every_bit(elements in any_elements()) {
        let Some(object) = elements else { return Ok(()) };
        for text in [
            omm::to_json([&object]),
            omm::to_csv([&object]),
            omm::to_kvn([&object]),
            omm::to_xml([&object]),
        ] {
            let again = read(&text, None, ReadPolicy::default()).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?.0;
            prop_assert!(again[0].says_the_same_as(&object), "{text}\n{:?}\n{object:?}", again[0]);
        }
    }

    #[test]
    fn tle_keeps_what_its_columns_hold(elements in any_elements()) {
        let Some(object) = elements else { return Ok(()) };
        let written = tle::write([&object]).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert!(written.text.lines().skip(1).all(|line| line.len() == 69), "{}", written.text);
        let again = strict(&written.text).remove(0);
        prop_assert_eq!(&again.name, &object.name);
        prop_assert_eq!(&again.catalog, &object.catalog);
        prop_assert!(again.epoch.seconds_since(object.epoch).abs() <= 0.000_433);
        prop_assert!((again.mean.inclination_deg - object.mean.inclination_deg).abs() < 0.500_01e-4);
        prop_assert!(off_deg(again.mean.raan_deg, object.mean.raan_deg) < 0.500_01e-4);
        prop_assert!(off_deg(again.mean.arg_perigee_deg, object.mean.arg_perigee_deg) < 0.500_01e-4);
        prop_assert!(off_deg(again.mean.mean_anomaly_deg, object.mean.mean_anomaly_deg) < 0.500_01e-4);
        prop_assert!((again.mean.eccentricity - object.mean.eccentricity).abs() < 0.500_01e-7);
        prop_assert!((again.mean.mean_motion_rev_day - object.mean.mean_motion_rev_day).abs() < 0.500_01e-8);
        let close = |a: f64, b: f64| (a - b).abs() <= b.abs() * 0.500_01e-4 + 0.500_01e-14;
        prop_assert!(close(again.mean.bstar, object.mean.bstar), "{}", written.text);
        let facts = (&again.facts, &object.facts);
        prop_assert!(close(facts.0.mean_motion_ddot.unwrap(), facts.1.mean_motion_ddot.unwrap()));
        prop_assert!((facts.0.mean_motion_dot.unwrap() - facts.1.mean_motion_dot.unwrap()).abs() < 0.500_01e-8);
        prop_assert_eq!(&facts.0.object_id, &facts.1.object_id);
        prop_assert_eq!(facts.0.classification, facts.1.classification);
        prop_assert_eq!(facts.0.ephemeris_type, facts.1.ephemeris_type);
        prop_assert_eq!((facts.0.element_set, facts.0.revolution), (facts.1.element_set, facts.1.revolution));
        let twice = tle::write([&again]).unwrap();
        prop_assert_eq!(twice.text, written.text);
    }

    #[test]
    fn no_damage_makes_a_reader_panic_or_read_more(
        which in 0_usize..5,
        at in 0_usize..5000,
        byte in prop::char::any(),
        cut in 0_usize..6000,
    ) {
        let (text, format) = [
            (TLE, Format::Tle),
            (JSON, Format::OmmJson),
            (CSV, Format::OmmCsv),
            (KVN, Format::OmmKvn),
            (XML, Format::OmmXml),
        ][which];
        let mut damaged: Vec<char> = text.chars().collect();
        let length = damaged.len();
        damaged[at % length] = byte;
        damaged.truncate(cut % (2 * length));
        let damaged: String = damaged.into_iter().collect();
        for policy in [ReadPolicy::default(), RENAMING] {
            if let Ok((elements, _)) = read(&damaged, Some(format), policy) {
                prop_assert!(elements.len() <= 4, "{damaged}");
            }
            drop(read(&damaged, None, policy));
        }
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in "(?s).{0,200}", lines in prop::collection::vec("[A-Z<>/=\",{}\\[\\] 0-9.:-]{0,60}", 0..12)) {
        for format in Format::ALL {
            drop(read(&text, Some(format), RENAMING));
            drop(read(&lines.join("\n"), Some(format), RENAMING));
        }
    }
}
