//! `starbelt-sim place`: the workflows of a scenario placed by a policy, and how that went.

mod compared;
mod entrants;
mod fixed;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ValueEnum;
use placement::policy::Tenure;

use self::entrants::Entrants;
use super::CommandError;
use super::answer::{AnswerArgs, table};
use crate::offline::place::fixture::{Fixture, FixtureError};
use crate::offline::place::program::stage::Stage;
use crate::offline::place::published_sky::PublishedSky;
use crate::offline::place::run::{Decided, Outcome, run};

/// What can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScenarioName {
    /// The published scenario of HyperDrive, from its files, with its faults
    HyperdriveV1,
    /// The corrected one, without files: no link through the Earth, light at its speed, cables, batteries and heat, workflows that come and go
    HyperdriveV2,
}

/// The name that stands for every policy.
const ALL: &str = "all";

/// What is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The scenario
    #[arg(long, value_enum, value_name = "NAME")]
    pub scenario: ScenarioName,
    /// The folder of one size: nodes.csv, links.csv, positions.i32le; the folder above holds workload.json (hyperdrive-v1)
    #[arg(long, value_name = "DIR", required_if_eq("scenario", "hyperdrive-v1"))]
    pub fixtures: Option<PathBuf>,
    /// Who decides.
    #[command(flatten)]
    pub entrants: entrants::EntrantArgs,
    /// What a policy that draws draws from; in hyperdrive-v2 also what decides about nodes and workflows, and the first of --seeds
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// What only the corrected scenario knows.
    #[command(flatten)]
    pub fixed: fixed::FixedArgs,
    /// Where the answer goes.
    #[command(flatten)]
    pub answer: AnswerArgs,
}

impl Args {
    /// Does it.
    ///
    /// # Errors
    /// [`CommandError`], whose exit code tells the kind.
    pub fn run(&self) -> Result<(), CommandError> {
        let entrants = self.entrants.entrants(self.fixed.compare)?;
        match (self.scenario, self.fixtures.as_deref()) {
            (ScenarioName::HyperdriveV2, None) => {
                self.fixed.run(&entrants, self.seed, &self.answer)
            }
            (ScenarioName::HyperdriveV2, Some(fixtures)) => {
                let what = format!("--fixtures {}", fixtures.display());
                Err(CommandError::Input(format!("{what}: hyperdrive-v2 needs no files")))
            }
            (ScenarioName::HyperdriveV1, fixtures) => self.published(fixtures, &entrants),
        }
    }

    fn published(&self, fixtures: Option<&Path>, entrants: &Entrants) -> Result<(), CommandError> {
        let refused = |what: &str| Err(CommandError::Input(format!("hyperdrive-v1 {what}")));
        let Some(fixtures) = fixtures else { return refused("needs --fixtures DIR") };
        let Entrants::One(entrant) = entrants else {
            return refused("runs one --policy or --program at a time; hyperdrive-v2 compares");
        };
        if let Some(option) = self.fixed.given() {
            return refused(&format!("has no {option}; that is hyperdrive-v2's"));
        }
        let fixture = Fixture::load(fixtures)?;
        let sky = PublishedSky::new(&fixture)
            .map_err(|error| CommandError::Input(format!("{}: {error}", fixtures.display())))?;
        let mut policy = entrant.enter(&Stage {
            scenario: "hyperdrive-v1",
            seed: self.seed,
            start: None,
            nodes: &fixture.nodes,
            heat: &fixture.heat,
            boards: &[],
            tenure: Tenure::ForGood,
            forecast: &sky,
        })?;
        let clock = clock();
        let outcome = run(&fixture, &sky, policy.as_mut(), &clock)?;
        self.answer.write(&outcome, || text(&outcome))
    }
}

/// Microseconds since now.
fn clock() -> impl Fn() -> u64 + Sync {
    let began = Instant::now();
    move || u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)
}

impl From<FixtureError> for CommandError {
    fn from(error: FixtureError) -> Self {
        Self::Input(error.to_string())
    }
}

/// For people.
fn text(outcome: &Outcome) -> String {
    let head =
        ["MINUTE", "WORKFLOW", "TASK", "NODE", "SCORE", "  PRED MS", "  DATA MS", "DECIDED IN"];
    let rows: Vec<_> = outcome.decisions.iter().map(row).collect();
    let moves: String = outcome
        .moves
        .iter()
        .map(|one| {
            format!(
                "minute {}: {} of workflow {} is handed over from {} to {}\n",
                one.minute, one.task, one.workflow, one.from, one.to
            )
        })
        .collect();
    let sum = &outcome.summary;
    let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
    format!(
        "{} on {} nodes\n{}{moves}latency of a workflow: {} to predecessors, {} to predecessors and data\nobjectives: {} of {} tasks met them when placed; {} of {} minutes of runs violated them, in {} tasks\nsatellites above the recommended temperature {}, above the highest {} (published model)\n",
        outcome.policy,
        outcome.size,
        table(&head, &rows),
        ms(sum.wf_pred_ms),
        ms(sum.wf_max_ms),
        sum.slo_met_at_placement,
        outcome.decisions.len(),
        sum.run_minutes_violated,
        sum.run_minutes,
        sum.tasks_violated,
        sum.over_recommended,
        sum.over_max,
    )
}

fn row(one: &Decided) -> Vec<String> {
    let cell = |ms: Option<f64>| ms.map_or_else(|| format!("{:>9}", "-"), |ms| format!("{ms:9.3}"));
    let mut row = vec![one.minute.to_string(), one.workflow.to_string(), one.task.clone()];
    match (&one.failure, one.node) {
        (None, Some(node)) => row.push(node.to_string()),
        (reason, _) => {
            row.push(reason.clone().unwrap_or_default());
            return row;
        }
    }
    row.push(one.score.unwrap_or(0).to_string());
    row.extend([cell(one.pred_latency_ms), cell(one.data_latency_ms)]);
    row.push(format!("{}.{:03} ms", one.decision_us / 1000, one.decision_us % 1000));
    row
}
