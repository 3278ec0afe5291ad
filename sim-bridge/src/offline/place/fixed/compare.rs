//! All policies on the same skies, under the same workloads: means, and differences to ours seed by seed.

use std::collections::BTreeMap;

use placement::policy::Tenure;
use rayon::prelude::*;
use serde::Serialize;
use types::{Epoch, NodeKind};

use super::demand::requests;
use super::outcome::{End, Outcome, Summary, Timing};
use super::run::run;
use super::statistics::Estimate;
use super::verdict::{Verdict, verdicts};
use super::{Setting, Size};
use crate::offline::place::entrant::{Broken, Entrant};
use crate::offline::place::program::stage::Stage;
use crate::offline::report::real;

/// Whom all others are compared with.
pub const OURS: &str = "lookahead";
/// The name of the scenario.
pub const SCENARIO: &str = "hyperdrive-v2";
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
    pub entrants: Vec<Entrant>,
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
    /// Where ours is best and where it is not.
    pub verdicts: Vec<Verdict>,
    /// How long decisions took, in the same order: the median of the medians, and the longest of what 99 of 100 stayed within.
    pub timing: Vec<TimingRow>,
}

/// How a policy did under a load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// How many workflows were submitted.
    pub load: usize,
    /// The policy.
    pub policy: String,
    /// How many runs were made.
    pub runs: usize,
    /// Each measure.
    pub means: BTreeMap<&'static str, Estimate>,
    /// The policy minus ours, run by run.
    pub minus_ours: BTreeMap<&'static str, Estimate>,
    /// Batteries at equal success; absent for ours.
    pub both_good: Option<BothGood>,
}

/// What the workflows drew that a policy and ours made good in the same run, all others left aside.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BothGood {
    /// How many there were in all runs.
    pub workflows: usize,
    /// What each of them drew from batteries under the policy, Wh.
    pub its_wh: f64,
    /// The same under ours.
    pub ours_wh: f64,
    /// How much less that is, as a share of what the policy took; absent where it took nothing.
    pub saved: Option<Estimate>,
    /// The policy minus ours for each workflow, run by run, Wh.
    pub minus_ours_wh: Option<Estimate>,
}

/// How long the decisions of a policy took under a load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimingRow {
    /// How many workflows were submitted.
    pub load: usize,
    /// The policy.
    pub policy: String,
    /// How long its decisions took.
    #[serde(flatten)]
    pub timing: Timing,
}

/// Something that is compared.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Its name in results.
    pub key: &'static str,
    /// At the head of a column.
    pub label: &'static str,
    /// In words.
    pub title: &'static str,
    /// How many digits after the point people want.
    pub digits: usize,
    /// Whether more is better; `None` where neither is.
    pub more_is_better: Option<bool>,
    /// The number, where a run has it.
    pub of: fn(&Summary) -> Option<f64>,
}

const fn measure(
    (key, label, title): (&'static str, &'static str, &'static str),
    digits: usize,
    more_is_better: Option<bool>,
    of: fn(&Summary) -> Option<f64>,
) -> Measure {
    Measure { key, label, title, digits, more_is_better, of }
}

/// What is compared, in the order in which it is shown.
pub static MEASURES: [Measure; 10] = [
    measure(("goodput_per_h", "GOOD/H", "good workflows per hour"), 1, Some(true), |sum| {
        Some(sum.goodput_per_h)
    }),
    measure(("violation_s", "VIOLATED S", "violated, s"), 0, Some(false), |sum| {
        Some(sum.violation_s)
    }),
    measure(("unplaced", "UNPLACED", "unplaced workflows"), 1, Some(false), |sum| {
        Some(real(sum.unplaced.values().sum()))
    }),
    measure(("latency_ms", "LATENCY MS", "latency of a workflow, ms"), 1, Some(false), |sum| {
        sum.latency_ms
    }),
    measure(("makespan_s", "TAKES S", "submission to end, s"), 0, Some(false), |sum| {
        sum.makespan_s
    }),
    measure(
        ("battery_wh_per_good", "WH/GOOD", "battery per good workflow, Wh"),
        3,
        Some(false),
        |sum| sum.battery_wh_per_good,
    ),
    measure(
        ("min_state_of_charge", "LOWEST CHARGE", "lowest state of charge"),
        3,
        Some(true),
        |sum| Some(sum.min_state_of_charge),
    ),
    measure(
        ("below_reserve", "BELOW RESERVE", "satellites below their reserve"),
        1,
        Some(false),
        |sum| Some(real(sum.below_reserve)),
    ),
    measure(("over_temperature", "TOO HOT", "tasks on boards too hot"), 1, Some(false), |sum| {
        Some(real(sum.over_temperature))
    }),
    measure(("hand_overs", "HAND-OVERS", "hand-overs"), 1, None, |sum| Some(real(sum.hand_overs))),
];

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// What is wrong with the constellation, in one line.
    #[error("{0}")]
    Setting(String),
    /// A policy that decides no more.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// Runs one policy on a setting under a load.
///
/// # Errors
/// [`Broken`] where the policy is, or where the catalog has none of that name.
pub fn run_one(
    (setting, start): (&Setting, Epoch),
    (load, seed): (usize, u64),
    entrant: &Entrant,
    clock: &dyn Fn() -> u64,
) -> Result<Outcome, Broken> {
    let asked = (setting.minutes, load);
    let requests = requests(&setting.fleet, &setting.sky, start, asked, seed ^ WORKLOAD);
    let mut policy = entrant.enter(&Stage {
        scenario: SCENARIO,
        seed,
        start: Some(start),
        nodes: &setting.fleet.nodes,
        heat: &setting.fleet.heat,
        boards: &setting.fleet.boards,
        tenure: Tenure::Run,
        forecast: &*setting.sky,
    })?;
    run(setting, &requests, policy.as_mut(), clock)
}

/// A run in what is compared of it.
#[derive(Clone, Debug, Default)]
struct Run {
    summary: Summary,
    timing: Timing,
    both: Both,
}

/// The workflows that are good both in a run and in ours: how many, and what they drew, Wh.
#[derive(Clone, Copy, Debug, Default)]
struct Both {
    workflows: usize,
    its_wh: f64,
    ours_wh: f64,
}

/// Makes all runs, each start and seed in turn, their loads and policies on all processors.
///
/// # Errors
/// [`RunError`]: the constellation, or the first policy that is broken; then nothing of the others counts.
pub fn compare(
    question: &Question,
    clock: &(dyn Fn() -> u64 + Sync),
) -> Result<Comparison, RunError> {
    let cells: Vec<(usize, &Entrant)> = question
        .loads
        .iter()
        .flat_map(|load| question.entrants.iter().map(move |entrant| (*load, entrant)))
        .collect();
    let ours = |load: usize| cells.iter().position(|(of, who)| *of == load && who.name() == OURS);
    let mut runs: Vec<Vec<Run>> = vec![Vec::new(); cells.len()];
    let mut nodes = BTreeMap::new();
    for start in &question.starts {
        for seed in &question.seeds {
            let setting = Setting::new(question.size, *seed, *start, question.minutes)
                .map_err(RunError::Setting)?;
            nodes = counts(&setting);
            let of = |(load, entrant): &(usize, &Entrant)| {
                run_one((&setting, *start), (*load, *seed), entrant, &clock)
            };
            // The longest ones, which come last, first: nobody waits for one of them at the end. So do programs, which may be broken.
            let found: Result<Vec<_>, _> = cells.par_iter().rev().with_max_len(1).map(of).collect();
            let found: Vec<_> = found?.into_iter().rev().collect();
            for (at, (cell, (load, _))) in runs.iter_mut().zip(&cells).enumerate() {
                cell.push(reduced(&found[at], ours(*load).map(|ours| &found[ours])));
            }
        }
    }
    let row = |((load, entrant), found): (&(usize, &Entrant), &Vec<Run>)| {
        row((*load, entrant.name()), found, ours(*load).map(|at| &runs[at]))
    };
    let rows: Vec<_> = cells.iter().zip(&runs).map(row).collect();
    let timing = |((load, entrant), found): (&(usize, &Entrant), &Vec<Run>)| {
        timing((*load, entrant.name()), found)
    };
    Ok(Comparison {
        scenario: SCENARIO,
        nodes,
        minutes: question.minutes,
        seeds: question.seeds.clone(),
        starts: question.starts.clone(),
        verdicts: verdicts(&rows),
        rows,
        timing: cells.iter().zip(&runs).map(timing).collect(),
    })
}

fn reduced(it: &Outcome, ours: Option<&Outcome>) -> Run {
    let ours = ours.map_or(&[][..], |ours| &ours.workflows);
    let both = it.workflows.iter().zip(ours);
    let both = both.filter(|(its, ours)| [its.end, ours.end] == [End::Good; 2]);
    let both = both.fold(Both::default(), |sum, (its, ours)| Both {
        workflows: sum.workflows + 1,
        its_wh: sum.its_wh + its.battery_wh,
        ours_wh: sum.ours_wh + ours.battery_wh,
    });
    Run { summary: it.summary.clone(), timing: it.timing.clone(), both }
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

fn row((load, policy): (usize, &str), found: &[Run], ours: Option<&Vec<Run>>) -> Row {
    let ours = ours.filter(|_| policy != OURS);
    let mut means = BTreeMap::new();
    let mut minus_ours = BTreeMap::new();
    for Measure { key, of, .. } in &MEASURES {
        let all: Vec<_> = found.iter().filter_map(|run| of(&run.summary)).collect();
        means.extend(Estimate::of(&all).map(|estimate| (*key, estimate)));
        let Some(ours) = ours else { continue };
        let both = found.iter().zip(ours);
        let less: Vec<_> =
            both.filter_map(|(its, ours)| Some(of(&its.summary)? - of(&ours.summary)?)).collect();
        minus_ours.extend(Estimate::of(&less).map(|estimate| (*key, estimate)));
    }
    let both_good = ours.map(|_| both_good(found));
    let policy = policy.to_owned();
    Row { load, policy, runs: found.len(), means, minus_ours, both_good }
}

fn both_good(found: &[Run]) -> BothGood {
    let all: Vec<_> = found.iter().map(|run| run.both).filter(|both| 0 < both.workflows).collect();
    let workflows: usize = all.iter().map(|both| both.workflows).sum();
    let each = |wh: f64| if workflows == 0 { 0.0 } else { wh / real(workflows) };
    let saved: Vec<_> = all.iter().map(|both| (both.its_wh - both.ours_wh, both.its_wh)).collect();
    let minus_ours_wh: Vec<_> =
        all.iter().map(|both| (both.its_wh - both.ours_wh, real(both.workflows))).collect();
    BothGood {
        workflows,
        its_wh: each(all.iter().map(|both| both.its_wh).sum()),
        ours_wh: each(all.iter().map(|both| both.ours_wh).sum()),
        saved: Estimate::of_ratio(&saved),
        minus_ours_wh: Estimate::of_ratio(&minus_ours_wh),
    }
}

fn timing((load, policy): (usize, &str), found: &[Run]) -> TimingRow {
    let timings = || found.iter().map(|run| &run.timing);
    let medians = Timing::of(timings().map(|timing| timing.p50_us).collect());
    let timing = Timing {
        decisions: timings().map(|timing| timing.decisions).sum(),
        p50_us: medians.p50_us,
        p99_us: timings().map(|timing| timing.p99_us).max().unwrap_or(0),
    };
    TimingRow { load, policy: policy.to_owned(), timing }
}
