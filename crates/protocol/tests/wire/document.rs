//! `WIRE.md` says what the code does: its table of schemas, its golden files, its examples.

use crate::hostile::limits;

const WIRE: &str = include_str!("../../WIRE.md");

/// The cells of the rows of a table, from the line after its head that begins with `head`.
fn rows(head: &str) -> Vec<Vec<&'static str>> {
    let lines = WIRE.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    lines
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

#[test]
fn the_table_of_schemas_is_that_of_the_code() {
    let told: Vec<(u8, usize)> = rows("| byte | message |")
        .iter()
        .map(|row| (row[0].parse().expect("a number"), row[2].parse().expect("a number")))
        .collect();
    assert_eq!(told, limits());
}

#[test]
fn every_message_has_its_fields_on_the_page() {
    for row in rows("| byte | message |") {
        let defined = format!("\n| {} | ", row[1]);
        assert!(WIRE.contains(&defined), "no fields of {}", row[1]);
    }
}

#[test]
fn the_examples_are_golden_bytes() {
    let golden = [
        ("chunk_reply", include_str!("../golden/chunk_reply.hex")),
        ("fetch", include_str!("../golden/fetch.hex")),
    ];
    for (name, golden) in golden {
        let (_, example) = WIRE.split_once(&format!("`tests/golden/{name}.hex`")).expect(name);
        let table = example.lines().skip_while(|line| !line.starts_with("| bytes")).skip(2);
        let told: String = table
            .take_while(|line| line.starts_with('|'))
            .filter_map(|line| line.split('`').nth(1))
            .flat_map(str::split_whitespace)
            .collect();
        assert_eq!(told, golden.split_whitespace().collect::<String>(), "{name}");
    }
}
