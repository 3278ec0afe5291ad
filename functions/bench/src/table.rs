//! The rows for people: how we stand first, then the numbers, then what they mean.

use std::fmt::Write as _;

use crate::measure::{RUNS, Series};
use crate::row::{ELSEWHERE, Row};
use crate::rows::{Measured, Model, Report};

/// What others have published for the functions of the suite, in milliseconds: natively in a container → interpreted Wasm, warm with
/// the largest input (Lumos, arXiv 2510.05118).
const LUMOS_WARM_MS: [(&str, &str); 8] = [
    ("hello-world", "21 → 25"),
    ("fibonacci", "25 → 294"),
    ("audio", "1,609 → 148,414"),
    ("primes", "814 → 85,643"),
    ("planets", "1,024 → 194,438"),
    ("resize", "2,713 → 153,352"),
    ("mandelbrot", "358 → 250,065"),
    ("encrypt", "957 → 219,239"),
];

/// Why published numbers compare only in their order of magnitude.
const CAVEAT: &str = "Published: on Knative, requests over HTTP included; its Wasm is interpreted by WasmEdge, and pods dominate its cold starts (1.6 s and \
    more), so that only ratios over native compare, and only in their order of magnitude; the sizes of audio, primes and planets are \
    not told. Here, a container is `runc` alone: no image is pulled or unpacked, no daemon asked, no network set up.\n";

/// How lines become a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Aligned, for a terminal.
    Plain,
    /// For a page of the documentation.
    Markdown,
}

/// All of it as text.
///
/// # Panics
/// Never: a `String` takes everything.
pub(crate) fn text(report: &Report, style: Style) -> String {
    let mut text = format!(
        "{}\nmedians of {RUNS} interleaved runs; a ratio is measured over baseline\n",
        report.machine
    );
    let mut put = |title: &str, lines: &[Line]| {
        let table = match style {
            Style::Plain => aligned(lines),
            Style::Markdown => format!("\n{}", piped(lines)),
        };
        write!(text, "\n{title}\n{table}").expect("a String takes everything");
    };
    for (title, rows) in &report.groups {
        put(title, &group(rows));
    }
    if report.suite.is_empty() {
        return text;
    }
    put(
        "the suite: a call of a loaded function, p50 (p95); ratios over native",
        &warm(&report.suite),
    );
    put("the suite: from files to the answer, p50", &cold(&report.suite));
    put("the suite: sizes, and memory of a call", &sizes(&report.suite));
    put("the model: T = T_load + T_init + T_native κ(mix) + bytes c_ser", &models(&report.models));
    if let Some(why) = report.suite.iter().find_map(|one| one.cold.container.as_ref().err()) {
        write!(text, "\nno container column: {why}\n").expect("a String takes everything");
    }
    text + "\n" + CAVEAT
}

type Line = Vec<String>;

fn line<const N: usize>(cells: [&str; N]) -> Line {
    cells.map(str::to_owned).into()
}

fn group(rows: &[Row]) -> Vec<Line> {
    let head =
        line(["ratio", "row", "measured", "p95", "p99", "baseline", "", "target", "holds", ""]);
    let of = |row: &Row| {
        let holds = match (row.target, row.ok) {
            (None, _) => "",
            (Some(_), true) => "yes",
            (Some(_), false) => "NO",
        };
        let bound = if row.at_least { "≥ " } else { "≤ " };
        let target = row.target.map(|target| format!("{bound}{}", number(target, row.unit)));
        vec![
            row.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2} ×")),
            row.name.clone(),
            row.measured.map_or_else(|| absent(row).to_owned(), |value| number(value, row.unit)),
            row.p95.map_or_else(String::new, |value| number(value, row.unit)),
            row.p99.map_or_else(String::new, |value| number(value, row.unit)),
            row.baseline.map_or_else(String::new, |value| number(value, row.unit)),
            row.baseline_name.clone(),
            target.unwrap_or_default(),
            holds.to_owned(),
            row.note.clone(),
        ]
    };
    std::iter::once(head).chain(rows.iter().map(of)).collect()
}

/// What stands in the place of a number.
fn absent(row: &Row) -> &'static str {
    if row.note.starts_with(ELSEWHERE) { ELSEWHERE } else { "unknown" }
}

fn warm(suite: &[Measured]) -> Vec<Line> {
    let head = line([
        "AOT",
        "JIT",
        "Pulley",
        "function",
        "input",
        "native",
        "AOT",
        "JIT",
        "Pulley",
        "published",
    ]);
    let of = |one: &Measured| {
        let ratio = |series: &Series| format!("{:.2} ×", series.p50() / one.native.p50());
        let both =
            |series: &Series| format!("{} ({})", time(series.p50()), time(series.percentile(95)));
        let published = LUMOS_WARM_MS.iter().find(|(name, _)| *name == one.name && one.is_large);
        vec![
            ratio(&one.aot),
            ratio(&one.jit),
            ratio(&one.pulley),
            one.name.to_owned(),
            one.label.to_owned(),
            both(&one.native),
            both(&one.aot),
            both(&one.jit),
            both(&one.pulley),
            published.map_or_else(String::new, |(_, text)| format!("{text} ms")),
        ]
    };
    std::iter::once(head).chain(suite.iter().map(of)).collect()
}

fn cold(suite: &[Measured]) -> Vec<Line> {
    let head = line([
        "container/AOT",
        "function",
        "input",
        "AOT",
        "JIT",
        "Pulley",
        "process",
        "container",
    ]);
    let of = |one: &Measured| {
        let cold = &one.cold;
        let or_unknown = |series: &Result<Series, String>| {
            series.as_ref().map_or_else(|_| "unknown".to_owned(), |series| time(series.p50()))
        };
        let ratio = cold.container.as_ref().map(|container| container.p50() / cold.aot.p50());
        vec![
            ratio.map_or_else(|_| String::new(), |ratio| format!("{ratio:.1} ×")),
            one.name.to_owned(),
            one.label.to_owned(),
            time(cold.aot.p50()),
            time(cold.jit.p50()),
            time(cold.pulley.p50()),
            or_unknown(&cold.process),
            or_unknown(&cold.container),
        ]
    };
    std::iter::once(head).chain(suite.iter().map(of)).collect()
}

fn sizes(suite: &[Measured]) -> Vec<Line> {
    let head =
        line(["function", "input", "Wasm", "AOT code", "Pulley code", "linear memory", "process"]);
    let kb = |bytes: u64| format!("{} kB", bytes.div_ceil(1_000));
    let of = |one: &Measured| {
        vec![
            one.name.to_owned(),
            one.label.to_owned(),
            kb(one.wasm_bytes as u64),
            kb(one.code_bytes[0]),
            kb(one.code_bytes[1]),
            kb(one.linear_bytes),
            one.process_bytes.map_or_else(|| "unknown".to_owned(), kb),
        ]
    };
    std::iter::once(head).chain(suite.iter().map(of)).collect()
}

fn models(models: &[Model]) -> Vec<Line> {
    let mut lines = vec![
        std::iter::once(String::new())
            .chain(models.iter().map(|model| model.mode.to_owned()))
            .collect::<Line>(),
    ];
    let mut put = |name: &str, value: &dyn Fn(&Model) -> String| {
        lines.push(std::iter::once(name.to_owned()).chain(models.iter().map(value)).collect());
    };
    put("mean error", &|model| format!("{:.0} %", model.mape));
    put("mean error, unseen function", &|model| format!("{:.0} %", model.mape_unseen));
    put("median error, unseen function", &|model| format!("{:.0} %", model.median_unseen));
    for (at, name) in crate::rows::FEATURES.iter().enumerate() {
        put(name, &|model| format!("{:.3}", model.weights[at]));
    }
    lines
}

/// As Markdown has them.
fn piped(lines: &[Line]) -> String {
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        text.extend(["| ", &line.join(" | "), " |\n"]);
        if at == 0 {
            text.extend(["|", &"---|".repeat(line.len()), "\n"]);
        }
    }
    text
}

/// Columns as wide as their widest cell, numbers to the right.
fn aligned(lines: &[Line]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |line: &Line, at: usize| line.get(at).map_or(0, |cell| cell.chars().count());
    let widths: Vec<usize> =
        (0..columns).map(|at| lines.iter().map(|line| cell(line, at)).max().unwrap_or(0)).collect();
    let is_number = |at: usize| {
        let mut cells = lines.iter().skip(1).filter_map(|line| line.get(at));
        cells.all(|cell| {
            cell.is_empty() || cell.starts_with(|c: char| "0123456789-≤≥uN".contains(c))
        })
    };
    let numbers: Vec<bool> = (0..columns).map(is_number).collect();
    let mut text = String::new();
    for line in lines {
        let mut row = String::new();
        for (at, cell) in line.iter().enumerate() {
            let gap = " ".repeat(widths[at] - cell.chars().count());
            let (before, after) =
                if numbers[at] { (gap, String::new()) } else { (String::new(), gap) };
            row.extend([&before, cell, &after, "  "]);
        }
        text += row.trim_end();
        text.push('\n');
    }
    text
}

/// A number with its unit, three digits that count.
fn number(value: f64, unit: &str) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2} {unit}"),
        size if size < 100.0 => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}

/// Nanoseconds in the unit that reads best.
fn time(nanos: f64) -> String {
    match nanos {
        _ if nanos < 1e3 => number(nanos, "ns"),
        _ if nanos < 1e6 => number(nanos / 1e3, "µs"),
        _ if nanos < 1e9 => number(nanos / 1e6, "ms"),
        _ => number(nanos / 1e9, "s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_stand_to_the_right() {
        let lines = [
            line(["row", "measured", ""]),
            line(["a", "7.00 µs", "x"]),
            line(["long", "12.0 µs", ""]),
        ];
        assert_eq!(aligned(&lines), "row   measured\na      7.00 µs  x\nlong   12.0 µs\n");
    }

    #[test]
    fn pages_get_pipes() {
        let lines = [line(["row", "measured"]), line(["a", "7.00 µs"])];
        assert_eq!(piped(&lines), "| row | measured |\n|---|---|\n| a | 7.00 µs |\n");
    }

    #[test]
    fn a_row_says_whether_its_target_holds_and_what_is_unknown() {
        let rows = [
            Row::new("a", "µs", 6.0).baseline("bare", 4.0).at_most(7.0),
            Row::new("b", "1/s", 6.0).at_least(7.0),
            Row::unknown("c", "µs", "no runc"),
            Row::unknown("d", "µs", "elsewhere: on a bus"),
        ];
        let text = aligned(&group(&rows));
        for part in ["1.50 ×  a", "≤ 7.00 µs", "yes", "≥ 7.00 1/s", "NO", "unknown", "no runc"]
            .into_iter()
            .chain(["d", "elsewhere  "])
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn times_take_the_unit_that_reads_best() {
        let said = [12.0, 4_670.0, 90_000.0, 2.5e6, 30e9].map(time);
        assert_eq!(said, ["12.0 ns", "4.67 µs", "90.0 µs", "2.50 ms", "30.0 s"]);
    }
}
