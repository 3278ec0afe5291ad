//! `starbelt-sim place --scenario hyperdrive-v2`: one policy, or all of them compared.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use types::Epoch;

use super::entrants::Entrants;
use super::{clock, compared};
use crate::cli::CommandError;
use crate::cli::answer::{AnswerArgs, is_for_people, print, refuse_twins, write_json};
use crate::offline::place::entrant::Entrant;
use crate::offline::place::fixed::compare::{
    Question, RunError, SCENARIO, compare, counts, run_one,
};
use crate::offline::place::fixed::fleet::PLANES;
use crate::offline::place::fixed::outcome::Outcome;
use crate::offline::place::fixed::page::page;
use crate::offline::place::fixed::{MINUTES_MAX, START, Setting, Size};
use crate::out_file;

/// Most workflows of a run: several times what the largest size can carry in an hour.
const WORKFLOWS_MAX: u32 = 20_000;
const SIZE_DEFAULT: u32 = 1118;
const WORKFLOWS_DEFAULT: u32 = 20;
const MINUTES_DEFAULT: u32 = 60;
const LOADS_DEFAULT: [u32; 3] = [5, 20, 100];
const SEEDS_DEFAULT: u32 = 3;
const STARTS_DEFAULT: u32 = 2;
/// Starts are spread over this, seconds.
const DAY_S: f64 = 86_400.0;

/// What only the corrected scenario knows.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Of hyperdrive-v2")]
pub struct FixedArgs {
    /// All nodes but data centres, as published: 1118 (default), 2236, 3354 or 4472
    #[arg(long, value_name = "N", value_parser = clap::builder::PossibleValuesParser::new(["1118", "2236", "3354", "4472"]), conflicts_with = "slots_per_plane")]
    pub size: Option<String>,
    /// Satellites of each plane, instead of --size; nodes on the ground grow along
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(3..=200))]
    pub slots_per_plane: Option<u32>,
    /// Planes of the shell, 72 if not given: few make small skies for tests
    #[arg(long, value_name = "N", hide_short_help = true, requires = "slots_per_plane", value_parser = clap::value_parser!(u32).range(3..=200))]
    pub planes: Option<u32>,
    /// When runs begin, RFC 3339 in UTC; 2024-07-02T01:00:00Z, as published, if not given
    #[arg(long, value_name = "TIME", value_parser = Epoch::parse)]
    pub start: Option<Epoch>,
    /// How many workflows are submitted, 20 if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(WORKFLOWS_MAX)), conflicts_with = "load")]
    pub workflows: Option<u32>,
    /// For how long workflows are submitted, minutes, 60 if not given; the run goes on until all have ended
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u32).range(1..=i64::from(MINUTES_MAX)))]
    pub minutes: Option<u32>,
    /// Compares all policies on the same skies and workloads, as --policy all does: means, and differences to lookahead, with 95 % confidence intervals
    #[arg(long, conflicts_with = "policy")]
    pub compare: bool,
    /// Over so many seeds, 3 if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub seeds: Option<u32>,
    /// From so many moments of a day on, 2 if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=96))]
    pub starts: Option<u32>,
    /// Under each of these loads, workflows separated by commas; 5,20,100 if not given
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=i64::from(WORKFLOWS_MAX)))]
    pub load: Vec<u32>,
    /// Writes the comparison as a page of plots and numbers
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// A run as it is written.
#[derive(Serialize)]
struct Answer {
    scenario: &'static str,
    nodes: BTreeMap<&'static str, usize>,
    seed: u64,
    start: Epoch,
    minutes: u32,
    #[serde(flatten)]
    outcome: Outcome,
}

impl FixedArgs {
    /// The first of its options that was given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--size", self.size.is_some()),
            ("--slots-per-plane", self.slots_per_plane.is_some()),
            ("--start", self.start.is_some()),
            ("--workflows", self.workflows.is_some()),
            ("--minutes", self.minutes.is_some()),
            ("--seeds", self.seeds.is_some()),
            ("--starts", self.starts.is_some()),
            ("--load", !self.load.is_empty()),
            ("--html", self.html.is_some()),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(option, _)| option)
    }

    pub(super) fn run(
        &self,
        entrants: &Entrants,
        seed: u64,
        answer: &AnswerArgs,
    ) -> Result<(), CommandError> {
        let entrant = match entrants {
            Entrants::One(entrant) => entrant,
            Entrants::All(entrants) => return self.run_all(entrants, seed, answer),
        };
        let of_comparison = [
            ("--seeds", self.seeds.is_some()),
            ("--starts", self.starts.is_some()),
            ("--load", !self.load.is_empty()),
            ("--html", self.html.is_some()),
        ];
        if let Some((option, _)) = of_comparison.into_iter().find(|(_, is_given)| *is_given) {
            let rule = "is for comparisons: --compare, or --policy all";
            return Err(CommandError::Input(format!("{option} {rule}")));
        }
        let start = self.start.unwrap_or(START);
        let minutes = self.minutes.unwrap_or(MINUTES_DEFAULT);
        let setting =
            Setting::new(self.size()?, seed, start, minutes).map_err(CommandError::Input)?;
        let load = self.workflows.unwrap_or(WORKFLOWS_DEFAULT) as usize;
        let outcome = run_one((&setting, start), (load, seed), entrant, &clock())?;
        let nodes = counts(&setting);
        let told = Answer { scenario: SCENARIO, nodes, seed, start, minutes, outcome };
        answer.write(&told, || text(&told))
    }

    fn run_all(
        &self,
        entrants: &[Entrant],
        seed: u64,
        answer: &AnswerArgs,
    ) -> Result<(), CommandError> {
        refuse_twins(&[("--json", answer.json.as_deref()), ("--html", self.html.as_deref())])?;
        let first = self.start.unwrap_or(START);
        let starts = self.starts.unwrap_or(STARTS_DEFAULT);
        let seeds = u64::from(self.seeds.unwrap_or(SEEDS_DEFAULT));
        let start = |nth: u32| first.plus_s(DAY_S * f64::from(nth) / f64::from(starts));
        let question = Question {
            size: self.size()?,
            seeds: (0..seeds).map(|nth| seed.wrapping_add(nth)).collect(),
            starts: (0..starts).map(start).collect(),
            minutes: self.minutes.unwrap_or(MINUTES_DEFAULT),
            loads: self.loads(),
            entrants: entrants.to_vec(),
        };
        let found = compare(&question, &clock())?;
        if let Some(file) = &answer.json {
            write_json(file, &found)?;
        }
        if let Some(file) = &self.html {
            out_file::write(file, page(&found).as_bytes())?;
        }
        if is_for_people(&[&answer.json, &self.html]) {
            print(&compared::text(&found))?;
        }
        Ok(())
    }

    fn size(&self) -> Result<Size, CommandError> {
        if let Some(slots) = self.slots_per_plane {
            return Ok(Size { planes: self.planes.unwrap_or(PLANES), slots });
        }
        let total = self.size.as_deref().map_or(Ok(SIZE_DEFAULT), str::parse);
        let size = total.ok().and_then(Size::of_total);
        size.ok_or_else(|| CommandError::Input("--size must be a published one".to_owned()))
    }

    /// Ascending, each once.
    fn loads(&self) -> Vec<usize> {
        let loads = match (self.load.as_slice(), self.workflows) {
            ([], Some(one)) => vec![one],
            ([], None) => LOADS_DEFAULT.to_vec(),
            (given, _) => given.to_vec(),
        };
        let mut loads: Vec<usize> = loads.into_iter().map(|load| load as usize).collect();
        loads.sort_unstable();
        loads.dedup();
        loads
    }
}

impl From<RunError> for CommandError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Setting(what) => Self::Input(what),
            RunError::Broken(broken) => Self::Policy(broken),
        }
    }
}

/// A run for people.
fn text(told: &Answer) -> String {
    let sum = &told.outcome.summary;
    let or_none = |value: Option<f64>, unit: &str| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1} {unit}"))
    };
    let nodes: Vec<_> = told.nodes.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let unplaced: String =
        sum.unplaced.iter().map(|(why, count)| format!("  {count}: {why}\n")).collect();
    let timing = &told.outcome.timing;
    format!(
        "{} on {}, seed {}\nworkflows: {} submitted in {} min, {} ended, {} good ({:.1}/h), {} late, {} without a host, {} lost power, {} unfinished\n{unplaced}objectives: violated for {:.0} s in {} of {} tasks\nlatency of a workflow {}, from submission to end {}\nbatteries: {:.2} Wh drawn for tasks, lowest charge {:.3}, {} satellites below their reserve; {} tasks on boards that were too hot\nhand-overs: {}\ndecisions: {}, half of them within {} µs, 99 of 100 within {} µs\n",
        told.outcome.policy,
        nodes.join(", "),
        told.seed,
        sum.workflows,
        told.minutes,
        sum.finished,
        sum.good,
        sum.goodput_per_h,
        sum.late,
        sum.unplaced.values().sum::<usize>(),
        sum.power_lost,
        sum.unfinished,
        sum.violation_s,
        sum.tasks_violated,
        sum.tasks,
        or_none(sum.latency_ms, "ms"),
        or_none(sum.makespan_s, "s"),
        sum.battery_wh,
        sum.min_state_of_charge,
        sum.below_reserve,
        sum.over_temperature,
        sum.hand_overs,
        timing.decisions,
        timing.p50_us,
        timing.p99_us,
    )
}
