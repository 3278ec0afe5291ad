//! Sums up telemetry: the body has lines `name value`, the answer one line for each name with count, mean, least and
//! greatest value, in order of the names. A guest that uses Rust's standard library: a hash map, which asks for randomness,
//! and `println!`, which becomes a line of the log.

use std::collections::HashMap;
use std::fmt::Write as _;

use sdk::{Fault, Guest, Request};

/// Most names that are told apart: the answer stays readable, and memory bounded.
const NAMES_MAX: usize = 1_024;

/// The function.
#[derive(Debug)]
pub struct Digest;

/// What is known of one name.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seen {
    count: u32,
    sum: f64,
    least: f64,
    greatest: f64,
}

impl Guest for Digest {
    fn handle(request: Request) -> Result<Vec<u8>, Fault> {
        let text = std::str::from_utf8(&request.body)
            .map_err(|error| Fault::BadInput(format!("not UTF-8: {error}")))?;
        let seen = sum_up(text)?;
        let count: u32 = seen.values().map(|seen| seen.count).sum();
        say(&format!("{count} values of {} names", seen.len()));
        Ok(table(&seen).into_bytes())
    }
}

#[expect(clippy::print_stdout, reason = "it shows that what a guest prints is logged")]
fn say(line: &str) {
    println!("{line}");
}

fn sum_up(text: &str) -> Result<HashMap<&str, Seen>, Fault> {
    let mut names: HashMap<&str, Seen> = HashMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let bad = |why: &str| Fault::BadInput(format!("line {number}: {why}: {line:?}"));
        let (name, value) = line.split_once(' ').ok_or_else(|| bad("no `name value`"))?;
        let value: f64 = value.trim().parse().ok().ok_or_else(|| bad("no number"))?;
        if !value.is_finite() {
            return Err(bad("no finite number"));
        }
        if names.len() == NAMES_MAX && !names.contains_key(name) {
            return Err(Fault::TooLarge);
        }
        let first = Seen { count: 0, sum: 0.0, least: value, greatest: value };
        let seen = names.entry(name).or_insert(first);
        seen.count += 1;
        seen.sum += value;
        seen.least = seen.least.min(value);
        seen.greatest = seen.greatest.max(value);
    }
    Ok(names)
}

fn table(names: &HashMap<&str, Seen>) -> String {
    let mut rows: Vec<_> = names.iter().collect();
    rows.sort_by_key(|(name, _)| **name);
    let mut text = String::new();
    for (name, Seen { count, sum, least, greatest }) in rows {
        let mean = sum / f64::from(*count);
        writeln!(text, "{name} count={count} mean={mean:.3} min={least} max={greatest}")
            .expect("a string takes all text");
    }
    text
}

sdk::export!(Digest);

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: &str) -> Result<Vec<u8>, Fault> {
        sdk::fake::Node::default().call::<Digest>(body.as_bytes().to_vec())
    }

    #[test]
    fn names_are_summed_up_in_order() {
        let answer = call("temp 20.5\nbat 80\ntemp 21.5\ntemp -3\n").unwrap();
        let expected = "bat count=1 mean=80.000 min=80 max=80\n\
            temp count=3 mean=13.000 min=-3 max=21.5\n";
        assert_eq!(String::from_utf8(answer).unwrap(), expected);
        assert_eq!(call(""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_telemetry_is_refused_with_its_line() {
        for (body, part) in [
            ("temp 1\nbat", "line 2: no `name value`"),
            ("temp x", "no number"),
            ("t inf", "finite"),
        ] {
            match call(body) {
                Err(Fault::BadInput(text)) => assert!(text.contains(part), "{text}"),
                other => panic!("{body:?}: {other:?}"),
            }
        }
        let many: String = (0..=NAMES_MAX).map(|n| format!("n{n} 1\n")).collect();
        assert_eq!(call(&many), Err(Fault::TooLarge));
    }
}
