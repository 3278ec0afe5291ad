//! Contact plans as text for others: CSV, and what the administration program of ION reads.

use std::fmt::Write;

use types::Epoch;

use super::{LinkPlan, LinkWindow};

/// The plan as CSV (RFC 4180), a line per window: names, times, rate, confidence, longest delay, and range at both ends.
///
/// # Panics
/// Never: text is written to memory.
pub fn to_csv(plan: &LinkPlan) -> String {
    let mut out = "a,b,open,close,open_known,close_known,rate_kbps,confidence_ppm,owlt_us_max,range_km_open,range_km_close\r\n".to_owned();
    for window in plan.windows() {
        let [a, b] = [window.a, window.b].map(|node| quoted(&plan.nodes()[node.index()]));
        let [from_km, to_km] = [window.open, window.close].map(|at| window.range_km(at));
        write!(
            out,
            "{a},{b},{},{},{},{},{},{},{},{:.3},{:.3}\r\n",
            window.open,
            window.close,
            window.open_known,
            window.close_known,
            window.rate_kbps,
            window.confidence_ppm,
            window.owlt_us_max(),
            from_km.unwrap_or(f64::NAN),
            to_km.unwrap_or(f64::NAN),
        )
        .expect("memory takes it");
    }
    out
}

/// A field of CSV, in quotes where it needs them.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// The plan as commands of ION (`ionrc(5)`: `@`, `a contact`, `a range`), for BPv7 nodes with contact graph routing.
///
/// Node k of the plan, counted from 0, is node k + 1 of ION, as the comments say. A contact is one-way, so that each window makes two. ION
/// counts whole seconds: contacts begin up to a second later and end up to a second earlier than windows, and those that are shorter
/// are left out and counted. Distances are in whole light-seconds, rounded up. Rates are in bytes per second, rounded down.
///
/// # Panics
/// Never: text is written to memory.
pub fn to_ion(plan: &LinkPlan) -> String {
    let mut out = String::new();
    let mut put = |line: std::fmt::Arguments<'_>| {
        out.write_fmt(line).expect("memory takes it");
        out.push('\n');
    };
    put(format_args!("# Contact plan {} from {} to {}.", plan.version(), plan.start(), plan.end()));
    put(format_args!(
        "# Times are seconds after the reference time; rates bytes per second; ranges light-seconds, rounded up."
    ));
    for (number, name) in (1..).zip(plan.nodes()) {
        put(format_args!("# node {number} = {name}"));
    }
    put(format_args!("@ {}", ion_time(plan.start())));
    let mut left_out = 0_usize;
    for window in plan.windows() {
        let Some((from, to)) = ion_seconds(plan.start(), window) else {
            left_out += 1;
            continue;
        };
        let (a, b) = (u64::from(window.a.0) + 1, u64::from(window.b.0) + 1);
        let bytes_s = (u64::from(window.rate_kbps) * 125).max(1);
        // ION takes no confidence of 0.
        let confidence = f64::from(window.confidence_ppm.max(1)) / 1e6;
        // The range of the lower node first holds for both directions.
        put(format_args!("a range +{from} +{to} {a} {b} {}", light_seconds(window)));
        for (sender, receiver) in [(a, b), (b, a)] {
            put(format_args!("a contact +{from} +{to} {sender} {receiver} {bytes_s} {confidence}"));
        }
    }
    put(format_args!("# {left_out} windows of less than a second are left out."));
    out
}

/// The whole seconds within a window, since the beginning of the plan.
fn ion_seconds(start: Epoch, window: &LinkWindow) -> Option<(i64, i64)> {
    const NS: i64 = 1_000_000_000;
    let since = |at: Epoch| at.unix_ns() - start.unix_ns();
    let from = -(-since(window.open)).div_euclid(NS);
    let to = since(window.close).div_euclid(NS);
    (from < to).then_some((from, to))
}

fn light_seconds(window: &LinkWindow) -> u32 {
    window.owlt_us_max().div_ceil(1_000_000).max(1)
}

/// `yyyy/mm/dd-hh:mm:ss`, from RFC 3339.
fn ion_time(at: Epoch) -> String {
    let text = at.to_string();
    text.chars()
        .take(19)
        .map(|c| match c {
            'T' => '-',
            '-' => '/',
            other => other,
        })
        .collect()
}
