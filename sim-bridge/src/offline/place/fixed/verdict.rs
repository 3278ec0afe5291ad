//! Where ours is best, and where it is not: said in words, so that nobody has to find it in a table.

use serde::Serialize;

use super::compare::{BothGood, MEASURES, Measure, OURS, Row};
use super::statistics::Estimate;

/// The key of what is drawn by workflows that both policies made good.
pub const BOTH_GOOD: &str = "battery_wh_both_good";

/// How ours does in one measure under one load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// How many workflows were submitted.
    pub load: usize,
    /// The measure.
    pub measure: &'static str,
    /// Policies that are better than ours, and the interval of the difference does not hold 0.
    pub surely_better: Vec<String>,
    /// Policies whose mean is better, but the interval holds 0.
    pub perhaps_better: Vec<String>,
    /// Policies that are as good in every run, or that cannot be compared: they made no workflow good that ours did.
    pub equal: Vec<String>,
    /// How many others ours is better than, and the interval does not hold 0.
    pub surely_worse: usize,
    /// How many others there are.
    pub others: usize,
}

impl Verdict {
    /// Whether no mean is better than ours.
    pub fn is_best(&self) -> bool {
        self.surely_better.is_empty() && self.perhaps_better.is_empty()
    }

    /// The measure in words.
    pub fn name(&self) -> String {
        self.measure.replace('_', " ")
    }

    /// Who is better than ours; empty where nobody is.
    pub fn better(&self) -> String {
        let said = |how: &str, who: &[String]| match who {
            [] => None,
            who => Some(format!("{how} {}", who.join(", "))),
        };
        let surely = said("surely worse than", &self.surely_better);
        let perhaps = said("worse by the mean than", &self.perhaps_better);
        surely.into_iter().chain(perhaps).collect::<Vec<_>>().join("; ")
    }

    /// Whom ours is better than.
    pub fn worse(&self) -> String {
        format!("surely better than {} of {}", self.surely_worse, self.others)
    }
}

/// One for each load and each measure of which more or less is better, loads as they come.
pub fn verdicts(rows: &[Row]) -> Vec<Verdict> {
    let mut loads: Vec<_> = rows.iter().map(|row| row.load).collect();
    loads.dedup();
    let mut found = Vec::new();
    for load in loads {
        let others = rows.iter().filter(|row| row.load == load && row.policy != OURS);
        let others: Vec<_> = others.collect();
        if others.len() == rows.iter().filter(|row| row.load == load).count() {
            continue;
        }
        for Measure { key, more_is_better, .. } in &MEASURES {
            let Some(more_is_better) = more_is_better else { continue };
            let better = if *more_is_better { 1.0 } else { -1.0 };
            let of = |row: &Row| row.minus_ours.get(key).copied();
            found.push(verdict((load, *key), &others, better, of));
        }
        let of = |row: &Row| row.both_good.as_ref().and_then(|both: &BothGood| both.minus_ours_wh);
        found.push(verdict((load, BOTH_GOOD), &others, -1.0, of));
    }
    found
}

/// `better` is 1 where more is better, or else -1.
fn verdict(
    (load, measure): (usize, &'static str),
    others: &[&Row],
    better: f64,
    minus_ours: impl Fn(&Row) -> Option<Estimate>,
) -> Verdict {
    let (mut surely_better, mut perhaps_better, mut equal) = (vec![], vec![], vec![]);
    let mut surely_worse = 0;
    for row in others {
        match minus_ours(row) {
            Some(less) if 0.0 < less.mean * better && less.is_sure() => {
                surely_better.push(row.policy.clone());
            }
            Some(less) if 0.0 < less.mean * better => perhaps_better.push(row.policy.clone()),
            Some(less) if less.is_sure() => surely_worse += 1,
            Some(less) if less.mean < 0.0 || 0.0 < less.mean => {}
            Some(_) | None => equal.push(row.policy.clone()),
        }
    }
    let others = others.len();
    Verdict { load, measure, surely_better, perhaps_better, equal, surely_worse, others }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn row(policy: &'static str, minus_ours: Option<(f64, f64)>) -> Row {
        let estimate = minus_ours.map(|(mean, half)| Estimate { mean, ci95: Some(half), of: 9 });
        let minus_ours = estimate.into_iter().map(|estimate| ("goodput_per_h", estimate)).collect();
        let means = BTreeMap::new();
        Row { load: 5, policy: policy.to_owned(), runs: 9, means, minus_ours, both_good: None }
    }

    #[test]
    fn who_is_better_is_named() {
        let others = [("a", (-2.0, 1.0)), ("b", (-2.0, 3.0)), ("c", (0.0, 0.0)), ("d", (1.0, 2.0))];
        let mut rows = vec![row(OURS, None)];
        rows.extend(others.map(|(policy, less)| row(policy, Some(less))));
        let goodput = verdicts(&rows).swap_remove(0);
        assert_eq!((goodput.surely_worse, goodput.others), (1, 4));
        assert_eq!(
            (&goodput.perhaps_better, &goodput.equal),
            (&vec!["d".to_owned()], &vec!["c".to_owned()])
        );
        let said = (goodput.name(), goodput.better(), goodput.worse());
        let said = [said.0.as_str(), &said.1, &said.2];
        assert_eq!(
            said,
            ["goodput per h", "worse by the mean than d", "surely better than 1 of 4"]
        );
        rows.pop();
        assert!(verdicts(&rows)[0].is_best());
        assert_eq!(verdicts(&rows[1..]), []);
    }
}
