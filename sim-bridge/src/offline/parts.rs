//! Where a name in a scenario becomes a part of the engine: the only place that knows all models, protocols, policies and
//! routers.

use std::sync::Arc;

use orbit::elements::Elements;
use orbit::ground::{GroundPolicy, policy};
use orbit::link::{IslRules, LinkProtocol, Rulebook, ShellAt, protocol};
use orbit::propagate::{ModelKind, Propagator};
use orbit::visibility::SightRule;
use topology::{Router, RouterKind};
use types::Epoch;

use super::report::{ReportSpec, Reports};
use super::scenario::Scenario;

/// The models of motion by name, the default first.
pub const MODELS: [&str; 3] = names(ModelKind::ALL);
/// The routers by name, the default first.
pub const ROUTERS: [&str; 3] =
    [RouterKind::Dijkstra.name(), RouterKind::AStar.name(), RouterKind::Tree.name()];

const fn names(kinds: [ModelKind; 3]) -> [&'static str; 3] {
    let [first, second, third] = kinds;
    [first.name(), second.name(), third.name()]
}

/// The exchangeable parts of a simulation.
#[derive(Debug)]
pub struct Parts {
    /// Where satellites are.
    pub propagator: Box<dyn Propagator>,
    /// Which satellites hold links with each other.
    pub protocol: Box<dyn LinkProtocol>,
    /// Which satellites stations hold links with.
    pub policy: Box<dyn GroundPolicy>,
    /// Who finds routes.
    pub router: Box<dyn Router>,
}

impl Parts {
    /// The parts that a checked scenario names. `shells` says which satellites are Walker shells; `start` is the instant of
    /// the first step, from which on the published model turns the ground.
    pub fn new(
        scenario: &Scenario,
        elements: &Arc<[Elements]>,
        shells: Vec<ShellAt>,
        start: Epoch,
    ) -> Self {
        Self {
            propagator: scenario.model_kind().propagator(Arc::clone(elements), start),
            protocol: links(scenario, shells),
            policy: policy(scenario.ground_policy(), scenario.ground_links.reallocation_s),
            router: router(scenario),
        }
    }
}

/// The protocol of links between satellites that a checked scenario names.
pub fn links(scenario: &Scenario, shells: Vec<ShellAt>) -> Box<dyn LinkProtocol> {
    // The names of protocols mean the published rules under the published model.
    let published = scenario.is_published_model();
    let rulebook = if published { Rulebook::Stardust } else { Rulebook::Starbelt };
    protocol(scenario.protocol(), &isl_rules(scenario), rulebook, shells)
}

/// The router that a checked scenario names.
pub fn router(scenario: &Scenario) -> Box<dyn Router> {
    scenario.router_kind().router()
}

/// The reports that a scenario asks for, beside JSON and the recording.
pub fn reports(scenario: &Scenario) -> Reports {
    let output = &scenario.output;
    Reports::new(&ReportSpec {
        csv: output.csv.clone(),
        parquet: output.parquet.clone(),
        html: output.html.clone(),
        links: output.link_changes,
    })
}

fn isl_rules(scenario: &Scenario) -> IslRules {
    let links = &scenario.links;
    IslRules {
        sight: SightRule {
            range_max_km: links.range_max_km,
            grazing_altitude_km: links.grazing_altitude_km,
        },
        terminals: links.terminals,
        neighbours: links.neighbours,
        acquisition_s: links.acquisition_s,
    }
}
