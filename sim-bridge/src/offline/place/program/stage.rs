//! What does not change in a run, and is told to a program before its first question.

use placement::endurance::Board;
use placement::heat::Heat;
use placement::policy::Tenure;
use placement::{Forecast, NodeView};
use types::Epoch;

/// What does not change in a run.
#[derive(Clone, Copy, Debug)]
pub struct Stage<'a> {
    /// The name of the scenario.
    pub scenario: &'static str,
    /// What a policy that draws draws from.
    pub seed: u64,
    /// The moment of step 0; `None` where the scenario has none.
    pub start: Option<Epoch>,
    /// All nodes, by number.
    pub nodes: &'a [NodeView],
    /// How boards heat up in the published model, by node; empty where that is not known.
    pub heat: &'a [Option<Heat>],
    /// What of each node can be exhausted, by node; empty where nothing is known.
    pub boards: &'a [Board],
    /// How long a task keeps what it is promised.
    pub tenure: Tenure,
    /// The network, and its grid of steps.
    pub forecast: &'a dyn Forecast,
}
