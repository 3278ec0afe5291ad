//! The conformance corpus of readers and writers of general-perturbations element sets (`gpconf`): each case whose inputs are
//! present, against what the corpus expects.
//!
//! Cases whose raw inputs were live queries have no input here and are counted as such: a case of which some inputs are
//! present and some not would be half a test and is an error. Deviations, each with its reason, are where they are asserted.

#[path = "support/shared.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use orbit::catalog::{Catalog, Faults, ReadPolicy, ReadReport, SameNames};
use orbit::format::{self, Format};
use orbit::{Elements, omm, tle};
use serde_json::Value;
use support::shared;
use types::Epoch;

/// Cases that the corpus ships the inputs of.
const PRESENT: [&str; 5] = [
    "alpha5-encoding-vectors",
    "alpha5-tle-derived",
    "corrupt-input",
    "kvn-syntax-variants",
    "tle-writer-alpha5",
];

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&text(path)).expect("the shared file is well-formed JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text"))
}

fn expected(corpus: &Path, case: &str) -> Value {
    json(&corpus.join("fixtures").join(case).join("expected.json"))
}

/// Reads as the loader does, but for the rule that a whole set has at least one record.
fn read(text: &str, faults: Faults) -> Result<(Vec<Elements>, ReadReport), String> {
    let mut catalog = Catalog::new(ReadPolicy { faults, same_names: SameNames::Keep });
    catalog.read(text, None).map_err(|e| e.to_string())?;
    if catalog.is_empty() {
        return Ok((Vec::new(), catalog.report().clone()));
    }
    catalog.finish().map_err(|e| e.to_string())
}

fn strict(file: &Path) -> Vec<Elements> {
    read(&text(file), Faults::Refuse).unwrap_or_else(|e| panic!("{}: {e}", file.display())).0
}

#[test]
fn the_cases_are_those_that_are_known() {
    let Some([corpus]) = shared("the_cases_are_those_that_are_known", ["gpconf"]) else { return };
    let manifest = json(&corpus.join("manifest.json"));
    let mut present = BTreeSet::new();
    let mut absent = Vec::new();
    for case in list(&manifest["cases"]) {
        let id = word(&case["id"]);
        // Raw provider files are never shipped; a case may have them besides as the origin of its derived ones.
        let shipped: Vec<&str> = list(&case["sources"])
            .iter()
            .map(|source| word(&source["path"]))
            .filter(|path| !path.contains("/raw/"))
            .collect();
        for path in &shipped {
            assert!(
                corpus.join(path).is_file(),
                "{id}: {path} is missing: complete ../shared/data"
            );
        }
        if shipped.is_empty() {
            absent.push(id);
        } else {
            present.insert(id);
        }
    }
    assert_eq!(present, BTreeSet::from(PRESENT));
    println!("{} cases without their live inputs: {}", absent.len(), absent.join(", "));
    assert_eq!(absent.len(), 13);
}

/// A number as the corpus tells it: exact as decimal text, within 1e-12 as a float; zero exactly.
fn close(value: f64, expected: &Value, what: &str) {
    let expected: f64 = word(expected).parse().expect("a decimal");
    assert!((value - expected).abs() <= expected.abs() * 1.0e-12, "{what}: {value} not {expected}");
}

/// What a record must say; `instead` holds what its format rounds or leaves out.
fn check(read: &Elements, canonical: &Value, instead: &Value, absent: &[Value], what: &str) {
    let of = |key: &str| if instead[key].is_null() { &canonical[key] } else { &instead[key] };
    let has = |key: &str| !absent.iter().any(|a| word(a).eq_ignore_ascii_case(key));
    let epoch = omm::epoch(word(&canonical["epoch"])).expect("an epoch");
    assert_eq!(read.epoch, epoch, "{what}");
    let id = canonical["norad_cat_id"].to_string();
    assert_eq!(read.catalog, if has("norad_cat_id") { &id } else { "" }, "{what}");
    close(read.mean.mean_motion_rev_day, of("mean_motion"), what);
    close(read.mean.eccentricity, of("eccentricity"), what);
    close(read.mean.inclination_deg, of("inclination"), what);
    close(read.mean.raan_deg, of("ra_of_asc_node"), what);
    close(read.mean.arg_perigee_deg, of("arg_of_pericenter"), what);
    close(read.mean.mean_anomaly_deg, of("mean_anomaly"), what);
    close(read.mean.bstar, of("bstar"), what);
    let facts = &read.facts;
    close(facts.mean_motion_dot.expect(what), of("mean_motion_dot"), what);
    close(facts.mean_motion_ddot.expect(what), of("mean_motion_ddot"), what);
    assert_eq!(facts.object_id.as_deref(), canonical["object_id"].as_str(), "{what}");
    let count = |key: &str| canonical[key].as_u64().filter(|_| has(key));
    assert_eq!(facts.ephemeris_type.map(u64::from), count("ephemeris_type"), "{what}");
    assert_eq!(facts.element_set.map(u64::from), count("element_set_no"), "{what}");
    assert_eq!(facts.revolution.map(u64::from), count("rev_at_epoch"), "{what}");
    let class = canonical["classification_type"].as_str().filter(|_| has("classification_type"));
    assert_eq!(facts.classification.map(String::from).as_deref(), class, "{what}");
}

#[test]
fn alpha_5_sets_are_read_to_the_last_digit() {
    let Some([corpus]) = shared("alpha_5_sets_are_read_to_the_last_digit", ["gpconf"]) else {
        return;
    };
    let expected = expected(&corpus, "alpha5-tle-derived");
    let mut files: BTreeMap<&str, BTreeMap<String, Elements>> = BTreeMap::new();
    for record in list(&expected["records"]) {
        let file = word(&record["derived_file"]);
        let sets = files.entry(file).or_insert_with(|| {
            let sets = strict(&corpus.join("derived/alpha5-tle").join(file));
            sets.into_iter().map(|e| (e.catalog.clone(), e)).collect()
        });
        let (id, canonical) = (record["norad_cat_id"].to_string(), &record["canonical"]);
        let what = format!("{file}: {id}");
        let set = sets.get(&id).expect(&what);
        check(set, canonical, &record["by_format"]["tle"]["differs_from_omm"], &[], &what);
        // A name line has 24 columns.
        let name: String = word(&canonical["object_name"]).chars().take(24).collect();
        assert_eq!(set.name, name.trim(), "{what}");
        let number = id.parse().expect("a number");
        assert_eq!(tle::alpha5(number).as_deref(), record["alpha5"]["field"].as_str(), "{what}");
    }
    assert_eq!(files.values().map(BTreeMap::len).sum::<usize>(), list(&expected["records"]).len());
    assert_eq!(files.len(), 6);
}

#[test]
fn legal_variants_of_kvn_and_xml_say_the_same() {
    let Some([corpus]) = shared("legal_variants_of_kvn_and_xml_say_the_same", ["gpconf"]) else {
        return;
    };
    let expected = expected(&corpus, "kvn-syntax-variants");
    let folder = corpus.join("derived/kvn-variants");
    let records = list(&expected["records"]);
    assert_eq!(records.len(), 6);
    for record in records {
        let file = word(&record["derived_file"]);
        let path = folder.join(file);
        assert_eq!(format::detect(&text(&path)), Ok(Format::OmmKvn), "{file}");
        let [read] = strict(&path).try_into().unwrap_or_else(|e| panic!("{file}: {e:?}"));
        let absent = list(&record["keywords_absent"]);
        check(&read, &record["canonical"], &record["differences"], absent, file);
        assert_eq!(read.name, word(&record["canonical"]["object_name"]), "{file}");
    }
    // The one XML file of the corpus is the same record, graded in the case of corrupt input.
    let path = folder.join("v07-xml-ndm-reserialised.xml");
    assert_eq!(format::detect(&text(&path)), Ok(Format::OmmXml));
    let [read] = strict(&path).try_into().unwrap_or_else(|e| panic!("{e:?}"));
    check(&read, &records[0]["canonical"], &Value::Null, &[], "v07");
    // All of them in one text: messages follow each other. Each has the same number but the one without.
    let all: String =
        records.iter().map(|r| text(&folder.join(word(&r["derived_file"])))).collect();
    let (read, report) = self::read(&all, Faults::TakeOrSkip).expect("a lenient reading");
    assert_eq!((read.len(), report.repeated_catalog_numbers, report.skipped), (6, 4, 0));
}

#[test]
fn corrupt_input_is_refused_and_its_neighbours_are_read() {
    let test = "corrupt_input_is_refused_and_its_neighbours_are_read";
    let Some([corpus]) = shared(test, ["gpconf"]) else { return };
    let expected = expected(&corpus, "corrupt-input");
    let files = expected["case_specific"]["files"].as_object().expect("files by name");
    assert_eq!(files.len(), 6);
    for (file, about) in files {
        let damaged = text(&corpus.join("derived/corrupt-input").join(file));
        let unedited = strict(&corpus.join(word(&about["unedited"])));
        let records: Vec<&Value> =
            list(&expected["records"]).iter().filter(|r| r["file"] == file.as_str()).collect();
        for (record, unedited) in records.iter().zip(&unedited) {
            check(unedited, &record["expected"], &tle_instead(file, unedited), &[], file);
        }
        let error = read(&damaged, Faults::Refuse).expect_err("a strict reading refuses the file");
        assert!(error.contains("line "), "{file}: {error}");
        let (mut read, report) = read(&damaged, Faults::TakeOrSkip).expect("a lenient reading");
        // A wrong checksum alone is taken and counted; everything else is skipped and told.
        let checksum = word(&about["check"]) == "corrupt-tle-checksum-digit";
        assert_eq!(
            (report.wrong_checksums, report.skipped),
            if checksum { (1, 0) } else { (0, 1) },
            "{file}"
        );
        if checksum {
            let records = tle::read(&damaged, tle::Checksum::Refuse).records;
            assert!(records[1].is_err() && records.len() == 3, "{file}");
            read = records.into_iter().flatten().collect();
        }
        let valid: Vec<&Elements> = records
            .iter()
            .zip(&unedited)
            .filter(|(record, _)| record["role"] == "valid")
            .map(|(_, unedited)| unedited)
            .collect();
        assert_eq!(read.len(), valid.len(), "{file}");
        assert!(read.iter().zip(valid).all(|(read, right)| read.says_the_same_as(right)), "{file}");
    }
}

/// What TLE rounds of the three records of the case: the corpus tells only the full values here, and asks for no more than the
/// same reading of the unedited file. The rounding itself is checked in the case of Alpha-5 sets.
fn tle_instead(file: &str, read: &Elements) -> Value {
    if !file.ends_with(".tle") {
        return Value::Null;
    }
    let mut instead = serde_json::Map::new();
    instead.insert("eccentricity".to_owned(), format!("{:?}", read.mean.eccentricity).into());
    instead.insert("bstar".to_owned(), format!("{:?}", read.mean.bstar).into());
    let ddot = read.facts.mean_motion_ddot.unwrap_or_default();
    instead.insert("mean_motion_ddot".to_owned(), format!("{ddot:?}").into());
    instead.into()
}

#[test]
fn an_answer_without_data_is_no_record_and_no_error_but_no_constellation_either() {
    let test = "an_answer_without_data_is_no_record_and_no_error_but_no_constellation_either";
    let Some([corpus]) = shared(test, ["gpconf"]) else { return };
    let answer = text(&corpus.join("recorded/celestrak-no-gp-data-found.txt"));
    let (read, report) = read(&answer, Faults::Refuse).expect("no error");
    assert_eq!((read.len(), report.skipped), (0, 0));
    // A set as a whole must have a satellite: there is nothing to simulate otherwise.
    let error = orbit::parse_elements(&answer).expect_err("an empty set");
    assert!(error.rule.contains("at least one"), "{error}");
}

#[test]
fn numbers_and_times_are_decoded_and_encoded_as_specified() {
    let test = "numbers_and_times_are_decoded_and_encoded_as_specified";
    let Some([corpus]) = shared(test, ["gpconf"]) else { return };
    let vectors = |name: &str| json(&corpus.join("vectors").join(name));
    let alpha = vectors("alpha5.json");
    for key in ["official_examples", "boundaries", "skip_boundaries", "below_100000"] {
        for vector in list(&alpha[key]) {
            let number = tle::catalog_number(word(&vector["field"]));
            assert_eq!(number.map(u64::from), vector["norad_cat_id"].as_u64(), "{vector}");
            let field = number.and_then(tle::alpha5);
            assert_eq!(field.as_deref(), vector["field"].as_str(), "{vector}");
        }
    }
    for vector in list(&alpha["decode_invalid"]) {
        assert_eq!(tle::catalog_number(word(&vector["field"])), None, "{vector}");
    }
    for vector in list(&alpha["encode_unrepresentable"]) {
        // -1 is no number of ours at all.
        let number = vector["norad_cat_id"].as_u64().and_then(|n| u32::try_from(n).ok());
        assert_eq!(number.and_then(tle::alpha5), None, "{vector}");
    }
    let numbers = vectors("norad-cat-id-text.json");
    for vector in list(&numbers["valid"]) {
        let number = omm::catalog_number(word(&vector["text"])).map(u64::from);
        assert_eq!(number, vector["value"].as_u64(), "{vector}");
    }
    for vector in list(&numbers["invalid_in_omm"]) {
        assert_eq!(omm::catalog_number(word(&vector["text"])), None, "{vector}");
    }
    let times = vectors("ccsds-epoch-strings.json");
    for vector in list(&times["valid"]) {
        let others = vector["iso_alternatives"].as_array().cloned().unwrap_or_default();
        let read = omm::epoch(word(&vector["text"])).expect("a valid time");
        let mut allowed = others.iter().chain([&vector["iso"]]);
        assert!(allowed.any(|iso| Epoch::parse(word(iso)) == Ok(read)), "{vector}: {read}");
    }
    for vector in list(&times["invalid"]) {
        assert_eq!(omm::epoch(word(&vector["text"])), None, "{vector}");
    }
}

#[test]
fn two_digits_of_a_year_turn_where_they_should() {
    let Some([corpus]) = shared("two_digits_of_a_year_turn_where_they_should", ["gpconf"]) else {
        return;
    };
    let years = json(&corpus.join("vectors/two-digit-epoch-year.json"));
    let set = text(&corpus.join("derived/alpha5-tle/alpha5-A-100000-saramago-first.tle"));
    // Checksums change with the year; they are not what is asked here.
    let epoch_with = |field: &str| {
        let changed = set.replacen("26195.90649229", field, 1);
        let reading = tle::read(&changed, tle::Checksum::Count);
        reading.records[0].as_ref().expect("the rest is right").epoch.to_string()
    };
    for vector in list(&years["vectors"]) {
        let epoch = epoch_with(&format!("{}195.90649229", word(&vector["yy"])));
        assert_eq!(epoch[..4], vector["year"].to_string(), "{vector}");
    }
    for vector in list(&years["epoch_field_examples"]) {
        let epoch = Epoch::parse(word(&vector["iso"])).expect("a time").to_string();
        assert_eq!(epoch_with(word(&vector["tle_epoch_field"])), epoch, "{vector}");
    }
}

/// The record as OMM in JSON, from which the writer gets it; decimals stay as they are.
fn as_omm(canonical: &Value) -> String {
    let members = canonical.as_object().expect("an object").iter();
    let members = members.map(|(key, value)| format!("\"{}\":{value}", key.to_uppercase()));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

#[test]
fn sets_are_written_as_the_corpus_asks() {
    let Some([corpus]) = shared("sets_are_written_as_the_corpus_asks", ["gpconf"]) else { return };
    let expected = expected(&corpus, "tle-writer-alpha5");
    let (mut written, mut refused, mut alike) = (0, 0, BTreeMap::<&str, usize>::new());
    for record in list(&expected["records"]) {
        let what = record["norad_cat_id"].to_string();
        let read = omm::parse_json(&as_omm(&record["canonical"]));
        if record["representable_in_tle"] == false {
            // -1 is refused by the reader, the others by the writer.
            let unfit = read.map(|read| tle::write(&read));
            assert!(!matches!(unfit, Ok(Ok(_))), "{what}");
            refused += 1;
            continue;
        }
        let read = read.unwrap_or_else(|e| panic!("{what}: {e}"));
        let text = tle::write(&read).unwrap_or_else(|e| panic!("{what}: {e}")).text;
        let lines: Vec<&str> = text.lines().collect();
        check_layout(&lines[1..], word(&record["expected_catalog_field"]));
        let [again] = tle::parse(&text).expect(&what).try_into().expect("one set");
        check_round_trip(&again, &read[0], &what);
        if let Some(field) = record["expected_tle_field"]["bstar_field"].as_str() {
            assert_eq!(&lines[1][53..61], field, "{what}");
        }
        count_alike(&lines[1..], &record["reference_tle_fields"], &mut alike);
        written += 1;
    }
    assert_eq!((written, refused), (753, 3));
    println!("{written} sets written, fields byte by byte like the provider's: {alike:?}");
    // Rounded where CelesTrak cuts (eccentricity), everything else to the byte.
    for field in ["epoch_field", "ndot_field", "nddot_field", "bstar_field", "rev_field"] {
        assert_eq!(alike.get(field), Some(&written), "{field}");
    }
}

fn check_layout(lines: &[&str], catalog: &str) {
    let at = |line: usize, columns: &[usize], mark: u8| {
        for column in columns {
            assert_eq!(
                lines[line].as_bytes()[column - 1],
                mark,
                "column {column} of {}",
                lines[line]
            );
        }
    };
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line.len() == 69 && &line[2..7] == catalog), "{lines:?}");
    at(0, &[24, 35], b'.');
    at(0, &[2, 9, 18, 33, 44, 53, 62, 64], b' ');
    at(1, &[12, 21, 38, 47, 55], b'.');
    at(1, &[2, 8, 17, 26, 34, 43, 52], b' ');
    assert!(lines[1][26..33].bytes().all(|b| b.is_ascii_digit()), "{}", lines[1]);
    for counter in [&lines[0][64..68], &lines[1][63..68]] {
        assert!(counter.trim_start().bytes().all(|b| b.is_ascii_digit()), "{counter:?}");
    }
}

/// Within half a unit of each field's last digit: rounded, not cut.
fn check_round_trip(again: &Elements, first: &Elements, what: &str) {
    let near = |a: f64, b: f64, unit: f64| {
        assert!((a - b).abs() <= 0.500_001 * unit, "{what}: {a} is not {b}");
    };
    let (a, b) = (&again.mean, &first.mean);
    near(again.epoch.seconds_since(first.epoch), 0.0, 864.0e-6);
    near(a.mean_motion_rev_day, b.mean_motion_rev_day, 1.0e-8);
    near(a.eccentricity, b.eccentricity, 1.0e-7);
    for (a, b) in [
        (a.inclination_deg, b.inclination_deg),
        (a.raan_deg, b.raan_deg),
        (a.arg_perigee_deg, b.arg_perigee_deg),
        (a.mean_anomaly_deg, b.mean_anomaly_deg),
    ] {
        near(a, b, 1.0e-4);
    }
    near(a.bstar, b.bstar, b.bstar.abs() * 1.0e-4);
    assert_eq!((&again.name, &again.catalog), (&first.name, &first.catalog), "{what}");
    let counted = |e: &Elements| (e.facts.element_set, e.facts.revolution, e.facts.classification);
    assert_eq!(counted(again), counted(first), "{what}");
    assert_eq!(again.facts.object_id, first.facts.object_id, "{what}");
}

fn count_alike(lines: &[&str], reference: &Value, alike: &mut BTreeMap<&'static str, usize>) {
    for (key, line, columns) in [
        ("intl_designator_field", 0, 9..17),
        ("epoch_field", 0, 18..32),
        ("ndot_field", 0, 33..43),
        ("nddot_field", 0, 44..52),
        ("bstar_field", 0, 53..61),
        ("element_set_field", 0, 64..68),
        ("ecc_field", 1, 26..33),
        ("rev_field", 1, 63..68),
    ] {
        if reference[key].as_str() == Some(&lines[line][columns]) {
            *alike.entry(key).or_default() += 1;
        }
    }
}
