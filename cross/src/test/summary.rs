//! Counts tests, and what they say about why they could not run.
//!
//! A test that cannot run prints `skipped: <test>: <reason>` and passes.

use std::collections::BTreeMap;
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
    /// Whether the output of passed tests is being read, which is not worth showing.
    in_successes: bool,
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
            let line = line.rsplit_once("<system-out>").map_or(line, |(_, text)| text);
            let line = line.split("</system-out>").next().unwrap_or_default();
            summary.read_skipped(&unescape(line));
        }
        summary
    }

    /// Reads a line of libtest's output; answers whether it is worth showing.
    pub(super) fn read_libtest(&mut self, line: &str) -> bool {
        self.read_skipped(line);
        if let Some(counts) = line.strip_prefix("test result: ") {
            let count = |name: &str| {
                let part = counts.split(['.', ';']).find_map(|part| part.trim().strip_suffix(name));
                part.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or_default()
            };
            self.passed += count("passed");
            self.failed += count("failed");
            self.ignored += count("ignored");
        }
        match line {
            "successes:" => self.in_successes = true,
            "failures:" => self.in_successes = false,
            _ if line.starts_with("test result: ") => self.in_successes = false,
            _ => {}
        }
        !self.in_successes && !line.trim().is_empty()
    }

    fn read_skipped(&mut self, line: &str) {
        // With one thread, libtest prints the name of a test before what the test prints.
        let line = match line.split_once(" ... ") {
            Some((test, rest)) if test.starts_with("test ") => rest,
            _ => line.trim_start(),
        };
        let Some(said) = line.strip_prefix(SKIPPED) else { return };
        // The name of the test tells nothing about why.
        let is_name = |word: &str| {
            !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "_:".contains(c))
        };
        let reason = match said.split_once(": ") {
            Some((name, reason)) if is_name(name) => reason,
            _ => said,
        };
        *self.reasons.entry(reason.trim().to_owned()).or_default() += 1;
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
             <system-out>\nrunning 1 test\nskipped: one: no components of a &amp; b\n</system-out>\n\
             <system-out>skipped: two: no components of a &amp; b</system-out>\n\
             <system-out>test three ... skipped: no components: at all</system-out>\n",
        );
        check(
            &summary,
            "tests: 3 passed, 1 failed, 3 skipped\n\
             skipped 2: no components of a & b\n\
             skipped 1: no components: at all\n",
        );
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
