//! Counts tests, and what they say about why they could not run.
//!
//! A test that cannot run prints `skipped: <test>: <reason>` and passes. It counts once, however often
//! it says so, and not at all if it failed: what did not run is taken off what passed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What such a test prints first.
const SKIPPED: &str = "skipped: ";

/// How the tests went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Tests that the runner calls passed, those that skipped themselves included.
    passed: u64,
    /// Tests that failed.
    pub(super) failed: u64,
    /// Tests that the runner left out.
    ignored: u64,
    /// How many tests skipped themselves, by reason.
    reasons: BTreeMap<String, u64>,
    /// Where in the output of a program the reading is.
    place: Place,
    /// Tests of this program that were counted as skipped.
    skipped: BTreeSet<String>,
}

/// A part of what a test program prints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Tests run, and those that write past the harness are heard.
    #[default]
    Running,
    /// What passed tests printed, which is not worth showing; of this one, once it is named.
    Passed(Option<String>),
    /// What failed tests printed.
    Failed,
}

impl Summary {
    /// Adds the counts of another run.
    pub(super) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        for (reason, count) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += count;
        }
    }

    /// Reads nextest's report.
    pub(super) fn from_junit(xml: &str) -> Self {
        let mut summary = Self::default();
        let root = xml.split("<testsuites").nth(1).and_then(|rest| rest.split('>').next());
        let count = |name: &str| {
            let value = root?.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
            value.parse::<u64>().ok()
        };
        let bad = ["failures", "errors"].into_iter().filter_map(count).sum();
        summary.failed = bad;
        summary.passed = count("tests").unwrap_or_default().saturating_sub(bad);
        for line in xml.lines() {
            // The first line of a test's output stands behind the tag.
            let text = line.rsplit_once("<system-out>").map_or(line, |(_, text)| text);
            let text = text.split("</system-out>").next().unwrap_or_default();
            if line.contains("<testcase ") {
                // Each ran in a process of its own: nobody else's name can be meant.
                summary.place = Place::Passed(Some(String::new()));
                summary.skipped.clear();
            } else if ["<failure", "<error"].iter().any(|tag| line.trim_start().starts_with(tag)) {
                summary.place = Place::Failed;
            }
            summary.read_skipped(&unescape(text));
        }
        summary
    }

    /// Reads a line of libtest's output; answers whether it is worth showing.
    pub(super) fn read_libtest(&mut self, line: &str) -> bool {
        match line {
            "successes:" => self.place = Place::Passed(None),
            "failures:" => self.place = Place::Failed,
            _ => self.read_name(line),
        }
        self.read_skipped(line);
        if let Some(counts) = line.strip_prefix("test result: ") {
            let count = |name: &str| {
                let part = counts.split(['.', ';']).find_map(|part| part.trim().strip_suffix(name));
                part.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or_default()
            };
            self.passed += count("passed");
            self.failed += count("failed");
            self.ignored += count("ignored");
            self.place = Place::Running;
            self.skipped.clear();
        }
        !matches!(self.place, Place::Passed(_)) && !line.trim().is_empty()
    }

    /// Reads whose output follows: `---- sky::real stdout ----`.
    fn read_name(&mut self, line: &str) {
        let name = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let (Place::Passed(test), Some(name)) = (&mut self.place, name) {
            *test = Some(name.to_owned());
        }
    }

    fn read_skipped(&mut self, line: &str) {
        // With one thread, libtest prints the name of a test before what the test prints.
        let (before, line) = match line.split_once(" ... ") {
            Some((test, rest)) if test.starts_with("test ") => (Some(test), rest),
            _ => (None, line.trim_start()),
        };
        let Some(said) = line.strip_prefix(SKIPPED) else { return };
        // The name of the test tells nothing about why.
        let is_name = |word: &str| {
            !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "_:".contains(c))
        };
        let (name, reason) = match said.split_once(": ") {
            Some((name, reason)) if is_name(name) => (Some(name), reason),
            _ => (None, said),
        };
        let test = match &self.place {
            Place::Failed => return,
            Place::Passed(Some(test)) => Some(test.as_str()),
            Place::Passed(None) | Place::Running => before.or(name),
        };
        // Who is not named cannot be told from others: each line counts.
        if test.is_none_or(|test| self.skipped.insert(test.to_owned())) {
            *self.reasons.entry(reason.trim().to_owned()).or_default() += 1;
        }
    }
}

impl fmt::Display for Summary {
    /// `tests: 312 passed, 0 failed, 3 skipped`, and a line per reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_themselves: u64 = self.reasons.values().sum();
        let passed = self.passed.saturating_sub(by_themselves);
        let skipped = by_themselves + self.ignored;
        writeln!(f, "tests: {passed} passed, {} failed, {skipped} skipped", self.failed)?;
        for (reason, count) in &self.reasons {
            writeln!(f, "skipped {count}: {reason}")?;
        }
        if self.ignored != 0 {
            writeln!(f, "skipped {}: marked as ignored", self.ignored)?;
        }
        Ok(())
    }
}

/// Undoes the escapes of XML that a message can hold.
fn unescape(text: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    pairs.into_iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(summary: &Summary, expected: &str) {
        assert_eq!(summary.to_string(), expected);
    }

    fn libtest(lines: &[&str]) -> (Summary, Vec<String>) {
        let mut summary = Summary::default();
        let shown = lines.iter().filter(|line| summary.read_libtest(line));
        let shown = shown.map(|&line| line.to_owned()).collect();
        (summary, shown)
    }

    #[test]
    fn counts_and_reasons_are_read_from_libtest() {
        let (summary, shown) = libtest(&[
            "running 3 tests",
            "test sky ... ok",
            "successes:",
            "---- sky stdout ----",
            "skipped: sky::real: no data: beside the repository",
            "",
            "successes:",
            "    sky",
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
        ]);
        check(
            &summary,
            "tests: 4 passed, 0 failed, 2 skipped\n\
             skipped 1: no data: beside the repository\n\
             skipped 1: marked as ignored\n",
        );
        let result = "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(shown, ["running 3 tests", "test sky ... ok", result]);
    }

    #[test]
    fn failures_are_counted_and_shown() {
        let (summary, shown) = libtest(&[
            "successes:",
            "hidden",
            "failures:",
            "---- b stdout ----",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        ]);
        check(&summary, "tests: 1 passed, 2 failed, 0 skipped\n");
        assert_eq!(shown.len(), 3);
    }

    #[test]
    fn counts_and_reasons_are_read_from_the_report_of_nextest() {
        let summary = Summary::from_junit(
            "<?xml version=\"1.0\"?>\n\
             <testsuites name=\"nextest-run\" tests=\"7\" failures=\"1\" errors=\"0\" uuid=\"x\">\n\
             <testsuite name=\"a\" tests=\"7\" failures=\"1\">\n\
             <testcase name=\"one\">\n<system-out>\nrunning 1 test\n\
             skipped: one: no components of a &amp; b\nskipped: again\n</system-out>\n\
             <testcase name=\"two\">\n\
             <system-out>skipped: two: no components of a &amp; b</system-out>\n\
             <testcase name=\"three\">\n\
             <system-out>test three ... skipped: no components: at all</system-out>\n\
             <testcase name=\"four\">\n<failure type=\"x\"/>\n\
             <system-out>skipped: four: a part</system-out>\n",
        );
        check(
            &summary,
            "tests: 3 passed, 1 failed, 3 skipped\n\
             skipped 2: no components of a & b\n\
             skipped 1: no components: at all\n",
        );
    }

    #[test]
    fn a_test_is_skipped_once_however_often_it_says_so() {
        let (summary, _) = libtest(&[
            "skipped: heard: why",
            "skipped: heard: why not",
            "test shown ... skipped: why",
            "successes:",
            "---- sky::real stdout ----",
            "skipped: real: no a",
            "skipped: real: no b",
            "---- sky::odd stdout ----",
            "skipped: no a",
            "failures:",
            "---- bad stdout ----",
            "skipped: bad: no a",
            "test result: FAILED. 5 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
        ]);
        let expected = "tests: 1 passed, 1 failed, 4 skipped\nskipped 2: no a\nskipped 2: why\n";
        check(&summary, expected);
    }

    #[test]
    fn runs_add_up() {
        let mut sum = Summary::default();
        let (one, _) =
            libtest(&["skipped: a: why", "test result: ok. 2 passed; 0 failed; 0 ignored"]);
        sum.add(&one);
        sum.add(&one);
        check(&sum, "tests: 2 passed, 0 failed, 2 skipped\nskipped 2: why\n");
    }
}
