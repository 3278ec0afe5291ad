//! The rows for people, with what others have published beside them.

use std::fmt::Write;

use super::row::Row;

/// What others have published for the same amount of work, by name of row.
const PUBLISHED: [(&str, &str); 9] = [
    ("step_250_sats", "Stardust 15.9 ms"),
    ("step_6882_sats", "Stardust 8.5 s; Stardust-Go 10.7 s"),
    ("step_20646_sats", "Stardust 56.7 s; Stardust-Go 144 s"),
    ("load_20646", "Stardust-Go 388 s"),
    ("peak_memory_20646", "Stardust-Go 47,411 MiB"),
    ("run_100_steps_20646", "Stardust 6,464 s"),
    ("schedule_1_workflow_20646", "Stardust 137 ms"),
    ("schedule_100_workflows_6882", "Stardust 736 ms"),
    ("replay_step_20646", "Stardust-Go 0.9 s"),
];
/// Why that compares only in its order of magnitude.
const CAVEAT: &str = "Published: on 32 processors, by a model with other positions and links, Stardust (paper) with pst_smart_loop, \
    Stardust-Go (its logs) with mst_smart_loop; compare orders of magnitude only. The baseline ran here, in this run.";

/// The table, a line per row.
///
/// # Panics
/// Never: a `String` takes everything.
pub fn table(rows: &[Row]) -> String {
    let name_width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max(4);
    let mut text = String::new();
    let mut put = |line: std::fmt::Arguments<'_>| {
        text.write_fmt(line).expect("a String takes everything");
        text.push('\n');
    };
    put(format_args!(
        "{:name_width$}  {:>12}  {:>12}  {:>12}  {:>9}  {:>10}  {:6}  published",
        "row", "measured", "p99", "baseline", "faster", "target", "holds"
    ));
    for row in rows {
        let published = PUBLISHED.iter().find(|(name, _)| *name == row.name).map_or("", |p| p.1);
        let holds = match (row.target, row.ok) {
            (None, _) => "",
            (Some(_), true) => "yes",
            (Some(_), false) => "NO",
        };
        put(format_args!(
            "{:name_width$}  {:>12}  {:>12}  {:>12}  {:>9}  {:>10}  {holds:6}  {published}",
            row.name,
            number(Some(row.measured), &row.unit),
            number(row.p99, &row.unit),
            number(row.baseline, &row.unit),
            row.ratio.map_or_else(String::new, |ratio| format!("{:.1} x", 1.0 / ratio)),
            number(row.target, &row.unit),
        ));
    }
    let mut said: Vec<(&str, &str)> =
        rows.iter().map(|row| (row.source.as_str(), row.baseline_name.as_str())).collect();
    said.sort_unstable();
    said.dedup();
    for source in said.chunk_by(|a, b| a.0 == b.0) {
        put(format_args!("satellites: {}", source.first().map_or("", |pair| pair.0)));
    }
    for row in rows.iter().filter(|row| !row.baseline_name.is_empty()) {
        put(format_args!("baseline of {}: {}", row.name, row.baseline_name));
    }
    put(format_args!("{CAVEAT}"));
    text
}

/// A number with its unit, three digits that count; nothing for one that is unknown.
fn number(value: Option<f64>, unit: &str) -> String {
    match value {
        None => String::new(),
        Some(value) if value < 10.0 => format!("{value:.3} {unit}"),
        Some(value) if value < 1_000.0 => format!("{value:.1} {unit}"),
        Some(value) => format!("{value:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::Label;
    use super::*;

    #[test]
    fn a_row_shows_its_numbers_and_what_was_published() {
        let label = Label {
            name: "step_20646_sats".to_owned(),
            baseline_name: "brute force",
            target: Some(18.0),
            source: "my.tle, duplicated".to_owned(),
        };
        let row = Row::new(label, "ms", (20.0, Some(21.5)), Some(2_000.0), 5);
        let text = table(&[row]);
        for part in [
            "20.0 ms",
            "21.5 ms",
            "2000 ms",
            "100.0 x",
            "NO",
            "Stardust 56.7 s",
            "my.tle, duplicated",
            "32 processors",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
