//! The comparison with other simulators, docs/peers.md: every row has a test or a reason, and every test exists.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> String {
    let path = root().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The tests that a text names: file without its ending, name.
fn named(text: &str) -> Vec<(&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter_map(|word| word.split_once(".rs::")).collect()
}

#[test]
fn every_test_that_is_named_exists() {
    let text = read("docs/peers.md");
    let named = named(&text);
    assert!(60 < named.len(), "{}", named.len());
    for (file, test) in named {
        let source = read(&format!("{file}.rs"));
        let place = source.find(&format!("fn {test}("));
        let place = place.unwrap_or_else(|| panic!("{file}.rs has no {test}"));
        let (above, _) = source[..place].rsplit_once('\n').expect("no file begins with a test");
        let mut above = above.lines().rev().take_while(|line| !line.trim().is_empty());
        let is_test = |line: &str| {
            let line = line.trim();
            line == "#[test]" || line.starts_with("#[tokio::test")
        };
        assert!(above.any(is_test), "{file}.rs: {test} is no test");
    }
}

#[test]
fn every_row_has_a_test_or_a_no() {
    let text = read("docs/peers.md");
    let is_row = |line: &&str| {
        line.starts_with("| ") && !line.starts_with("| row") && !line.starts_with("| ask")
    };
    let mut rows = 0;
    for row in text.lines().filter(is_row) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 4, "{row}");
        let last = cells[3];
        assert!(last.contains(".rs::") || last.contains("No:"), "{row}");
        rows += 1;
    }
    // The properties of the simulators, then what their users ask for.
    assert_eq!(rows, 15 + 11);
}
