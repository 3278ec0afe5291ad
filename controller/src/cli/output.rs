//! Aligned tables and readable values.

/// Shown for what is not known.
pub(super) const UNKNOWN: &str = "-";

/// Rows below a header, columns as wide as their widest value.
pub(super) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = header.map(|name| name.chars().count());
    for row in rows {
        for (width, value) in widths.iter_mut().zip(row) {
            *width = (*width).max(value.chars().count());
        }
    }
    let mut text = line(&header.map(str::to_owned), widths);
    for row in rows {
        text.push_str(&line(row, widths));
    }
    text
}

fn line<const N: usize>(values: &[String; N], widths: [usize; N]) -> String {
    let padded: Vec<String> =
        values.iter().zip(widths).map(|(value, width)| format!("{value:<width$}")).collect();
    format!("{}\n", padded.join("  ").trim_end())
}

/// Names with values, one a line.
pub(super) fn fields(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

/// A value, or that it is not known.
pub(super) fn known<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), show)
}

/// A span like `850 ms`, `12.5 s`, `14 min 05 s`, `3 h 07 min`.
pub(super) fn span(seconds: f64) -> String {
    if seconds < 1.0 {
        return format!("{:.0} ms", (seconds * 1000.0).max(0.0));
    }
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and float to int saturates"
    )]
    let whole = seconds.round() as u64;
    if whole < 3600 {
        return format!("{} min {:02} s", whole / 60, whole % 60);
    }
    format!("{} h {:02} min", whole / 3600, whole / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_value() {
        let rows = [["drone".to_owned(), "1".to_owned()], ["a".to_owned(), "22".to_owned()]];
        assert_eq!(table(["NODE", "N"], &rows), "NODE   N\ndrone  1\na      22\n");
    }

    #[test]
    fn spans_are_readable() {
        for (seconds, text) in [
            (0.85, "850 ms"),
            (-1.0, "0 ms"),
            (12.5, "12.5 s"),
            (845.0, "14 min 05 s"),
            (11_220.0, "3 h 07 min"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
