//! All policies on the same skies, under the same workloads: means, and differences to ours seed by seed.

use std::collections::BTreeMap;

use placement::policy::catalog;
use rayon::prelude::*;
use serde::Serialize;
use types::{Epoch, NodeKind};

use super::demand::requests;
use super::outcome::{Outcome, Summary, Timing};
use super::run::run;
use super::statistics::Estimate;
use super::{Setting, Size};
use crate::offline::report::real;

/// Whom all others are compared with.
pub const OURS: &str = "lookahead";
/// Makes the workload of a seed another sequence than its nodes.
const WORKLOAD: u64 = 0x776f_726b_6c6f_6164;

/// What is compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// How large the constellation is.
    pub size: Size,
    /// Of the nodes and of the workloads.
    pub seeds: Vec<u64>,
    /// When runs begin.
    pub starts: Vec<Epoch>,
    /// For how long workflows are submitted, minutes.
    pub minutes: u32,
    /// How many are.
    pub loads: Vec<usize>,
    /// Who decides.
    pub policies: Vec<&'static str>,
}

/// How all policies did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The name of the scenario.
    pub scenario: &'static str,
    /// Satellites, edge nodes, ground stations, data centres.
    pub nodes: BTreeMap<&'static str, usize>,
    /// For how long workflows were submitted, minutes.
    pub minutes: u32,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// When runs began.
    pub starts: Vec<Epoch>,
    /// A row for each load and policy.
    pub rows: Vec<Row>,
    /// How long decisions took, in the same order: the median of the medians, and the longest of what 99 of 100 stayed within.
    pub timing: Vec<TimingRow>,
}

/// How a policy did under a load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// How many workflows were submitted.
    pub load: usize,
    /// The policy.
    pub policy: &'static str,
    /// How many runs were made.
    pub runs: usize,
    /// Each measure.
    pub means: BTreeMap<&'static str, Estimate>,
    /// The policy minus ours, run by run.
    pub minus_ours: BTreeMap<&'static str, Estimate>,
}

/// How long the decisions of a policy took under a load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimingRow {
    /// How many workflows were submitted.
    pub load: usize,
    /// The policy.
    pub policy: &'static str,
    /// How long its decisions took.
    #[serde(flatten)]
    pub timing: Timing,
}

/// Something that is compared.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Its name in results.
    pub key: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// How many digits after the point people want.
    pub digits: usize,
    /// Whether more is better; `None` where neither is.
    pub more_is_better: Option<bool>,
    /// The number, where a run has it.
    pub of: fn(&Summary) -> Option<f64>,
}

const fn measure(
    (key, label): (&'static str, &'static str),
    digits: usize,
    more_is_better: Option<bool>,
    of: fn(&Summary) -> Option<f64>,
) -> Measure {
    Measure { key, label, digits, more_is_better, of }
}

/// What is compared, in the order in which it is shown.
pub const MEASURES: [Measure; 10] = [
    measure(("goodput_per_h", "GOOD/H"), 1, Some(true), |sum| Some(sum.goodput_per_h)),
    measure(("violation_s", "VIOLATED S"), 0, Some(false), |sum| Some(sum.violation_s)),
    measure(("unplaced", "UNPLACED"), 1, Some(false), |sum| {
        Some(real(sum.unplaced.values().sum()))
    }),
    measure(("latency_ms", "LATENCY MS"), 1, Some(false), |sum| sum.latency_ms),
    measure(("makespan_s", "TAKES S"), 0, Some(false), |sum| sum.makespan_s),
    measure(("battery_wh_per_workflow", "WH/FLOW"), 3, Some(false), |sum| {
        sum.battery_wh_per_workflow
    }),
    measure(("min_state_of_charge", "LOWEST CHARGE"), 3, Some(true), |sum| {
        Some(sum.min_state_of_charge)
    }),
    measure(("below_reserve", "BELOW RESERVE"), 1, Some(false), |sum| {
        Some(real(sum.below_reserve))
    }),
    measure(("over_temperature", "TOO HOT"), 1, Some(false), |sum| {
        Some(real(sum.over_temperature))
    }),
    measure(("hand_overs", "HAND-OVERS"), 1, None, |sum| Some(real(sum.hand_overs))),
];

/// Runs one policy on a setting under a load.
pub fn run_one(
    (setting, start): (&Setting, Epoch),
    (load, seed): (usize, u64),
    policy: &str,
    clock: &dyn Fn() -> u64,
) -> Option<Outcome> {
    let asked = (setting.minutes, load);
    let requests = requests(&setting.fleet, &setting.sky, start, asked, seed ^ WORKLOAD);
    let mut policy = catalog::of_name(policy, seed)?;
    Some(run(setting, &requests, policy.as_mut(), clock))
}

/// Makes all runs, each start and seed in turn, their loads and policies on all processors.
///
/// # Errors
/// What is wrong with the constellation, in one line.
pub fn compare(
    question: &Question,
    clock: &(dyn Fn() -> u64 + Sync),
) -> Result<Comparison, String> {
    let cells: Vec<(usize, &'static str)> = question
        .loads
        .iter()
        .flat_map(|load| question.policies.iter().map(move |policy| (*load, *policy)))
        .collect();
    let mut runs: Vec<Vec<(Summary, Timing)>> = vec![Vec::new(); cells.len()];
    let mut nodes = BTreeMap::new();
    for start in &question.starts {
        for seed in &question.seeds {
            let setting = Setting::new(question.size, *seed, *start, question.minutes)?;
            nodes = counts(&setting);
            let of = |(load, policy): &(usize, &'static str)| {
                let found = run_one((&setting, *start), (*load, *seed), policy, &clock);
                found.map(|outcome| (outcome.summary, outcome.timing)).unwrap_or_default()
            };
            let found: Vec<_> = cells.par_iter().map(of).collect();
            for (cell, found) in runs.iter_mut().zip(found) {
                cell.push(found);
            }
        }
    }
    let ours = |load: usize| cells.iter().position(|cell| *cell == (load, OURS));
    let row = |((load, policy), found): (&(usize, &'static str), &Vec<(Summary, Timing)>)| {
        row((*load, policy), found, ours(*load).map(|at| &runs[at]))
    };
    Ok(Comparison {
        scenario: "hyperdrive-v2",
        nodes,
        minutes: question.minutes,
        seeds: question.seeds.clone(),
        starts: question.starts.clone(),
        rows: cells.iter().zip(&runs).map(row).collect(),
        timing: cells.iter().zip(&runs).map(|(cell, found)| timing(*cell, found)).collect(),
    })
}

/// How many nodes of each kind there are.
pub fn counts(setting: &Setting) -> BTreeMap<&'static str, usize> {
    let kinds = [
        ("satellites", NodeKind::Satellite),
        ("edge", NodeKind::Edge),
        ("ground", NodeKind::GroundStation),
        ("cloud", NodeKind::Cloud),
    ];
    kinds.into_iter().map(|(name, kind)| (name, setting.fleet.count(kind))).collect()
}

fn row(
    (load, policy): (usize, &'static str),
    found: &[(Summary, Timing)],
    ours: Option<&Vec<(Summary, Timing)>>,
) -> Row {
    let mut means = BTreeMap::new();
    let mut minus_ours = BTreeMap::new();
    for Measure { key, of, .. } in MEASURES {
        let all: Vec<_> = found.iter().filter_map(|(sum, _)| of(sum)).collect();
        means.extend(Estimate::of(&all).map(|estimate| (key, estimate)));
        let Some(ours) = ours.filter(|_| policy != OURS) else { continue };
        let both = found.iter().zip(ours);
        let less: Vec<_> =
            both.filter_map(|((its, _), (ours, _))| Some(of(its)? - of(ours)?)).collect();
        minus_ours.extend(Estimate::of(&less).map(|estimate| (key, estimate)));
    }
    Row { load, policy, runs: found.len(), means, minus_ours }
}

fn timing((load, policy): (usize, &'static str), found: &[(Summary, Timing)]) -> TimingRow {
    let medians = Timing::of(found.iter().map(|(_, timing)| timing.p50_us).collect());
    let timing = Timing {
        decisions: found.iter().map(|(_, timing)| timing.decisions).sum(),
        p50_us: medians.p50_us,
        p99_us: found.iter().map(|(_, timing)| timing.p99_us).max().unwrap_or(0),
    };
    TimingRow { load, policy, timing }
}
