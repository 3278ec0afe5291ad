//! Orchestrators of a user of the library: registered by name, named by scenarios.

use sim_bridge::offline::orchestrator::{Board, Orchestrator, Registry, TaskSpec};
use sim_bridge::offline::plugin::{Plugin, PluginError};
use sim_bridge::offline::scenario::Scenario;
use sim_bridge::offline::simulation::{Simulation, SimulationView};
use sim_bridge::offline::watch::NoWatch;
use topology::NodeIx;

use super::{START, cities, simulation, write};

/// Places each task as far south as it may run.
#[derive(Debug)]
struct Southernmost;

impl Orchestrator for Southernmost {
    fn name(&self) -> &'static str {
        "southernmost"
    }

    fn place(
        &mut self,
        board: &mut Board<'_>,
        tasks: &[TaskSpec],
        _anchor: NodeIx,
        hosts: &mut [Option<NodeIx>],
    ) -> bool {
        let stations = board.moment.stations.iter().enumerate();
        let mut south: Vec<(f64, NodeIx)> = stations
            .map(|(index, now)| (now.place.lat_deg, board.nodes.of_station(index)))
            .collect();
        south.sort_by(|one, other| one.0.total_cmp(&other.0));
        for (task, host) in tasks.iter().zip(hosts.iter_mut()).filter(|(_, host)| host.is_none()) {
            let mut fitting = south.iter().map(|(_, node)| *node);
            *host = fitting
                .find(|node| board.takes(*node, task) && board.compute.take(*node, task.need));
        }
        hosts.iter().all(Option::is_some)
    }
}

/// A task for clouds, which the first one takes, and one that does not fit there beside it.
const TEXT: &str = "steps = 1\norchestrator = 'southernmost'\n[sources]\nwalker = ['2x3:550:53:1']\n\
    [[workflow]]\nname = 'w'\n\
    [[workflow.task]]\nname = 'large'\nmilli_cpu = 1_024_000\nmemory_mib = 1\non = ['cloud']\n\
    [[workflow.task]]\nname = 'small'\nmilli_cpu = 1\nmemory_mib = 1\non = ['cloud']\n";

fn with_own() -> Registry {
    let mut registry = Registry::default();
    registry.register(Box::new(Southernmost));
    registry
}

fn hosts(simulation: &Simulation) -> Vec<String> {
    let workload = simulation.workload();
    let id = workload.instances().next().expect("it runs");
    let (_, hosts) = workload.placement(id).expect("it runs");
    let name = |host: &Option<NodeIx>| simulation.nodes().name(host.expect("placed")).to_owned();
    hosts.iter().map(name).collect()
}

#[test]
fn a_scenario_names_an_orchestrator_of_the_registry_with_which_it_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "scenario.toml", &format!("start = '{START}'\n{TEXT}"));
    let unknown = Scenario::load(&file).unwrap_err().to_string();
    for part in ["line 3", "orchestrator", "\"southernmost\"", "direct-uplink, task, workflow"] {
        assert!(unknown.contains(part), "{unknown}");
    }
    let scenario = Scenario::load_with(&file, &with_own()).unwrap();
    let mut registered = simulation(&scenario, cities());
    registered.orchestrators_mut().register(Box::new(Southernmost));
    let mut replaced = simulation(&scenario, cities());
    *replaced.orchestrators_mut() = with_own();
    for mut simulation in [registered, replaced] {
        let (_, summary) = simulation.step(&mut NoWatch).unwrap();
        assert_eq!(summary.workload.map(|workload| workload.deployed), Some(1));
        assert_eq!(hosts(&simulation), ["Sydney", "Vienna"]);
    }
    // Nobody told the simulation of it.
    let error = simulation(&scenario, cities()).step(&mut NoWatch).unwrap_err().to_string();
    assert_eq!(error, "workflow \"w\": there is no orchestrator \"southernmost\"");
}

#[test]
fn a_workflow_names_its_own_orchestrator_and_a_typing_error_in_it_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let text = TEXT.replace("orchestrator = 'southernmost'\n", "");
    let load = |name: &str| {
        let own = format!("[[workflow]]\norchestrator = '{name}'\n");
        let text = format!("start = '{START}'\n{}", text.replace("[[workflow]]\n", &own));
        let file = write(folder.path(), "scenario.toml", &text);
        Scenario::load_with(&file, &with_own())
    };
    let mut simulation = simulation(&load("southernmost").unwrap(), cities());
    simulation.orchestrators_mut().register(Box::new(Southernmost));
    simulation.step(&mut NoWatch).unwrap();
    assert_eq!(hosts(&simulation), ["Sydney", "Vienna"]);
    let error = load("southernmots").unwrap_err().to_string();
    assert!(error.contains("workflow[0].orchestrator: \"southernmots\" is not known"), "{error}");
}

/// Deploys a workflow whose orchestrator does not exist.
#[derive(Debug)]
struct Mistaken;

impl Plugin for Mistaken {
    fn name(&self) -> &'static str {
        "mistaken"
    }

    fn before_step(&mut self, view: &mut SimulationView<'_>) -> Result<(), PluginError> {
        let text = "name = 'w'\norchestrator = 'nobody'\n\
            [[task]]\nname = 't'\nmilli_cpu = 5\nmemory_mib = 5\n";
        let entry = toml::from_str(text).expect("a workflow");
        let deployed = view.deploy(&entry, NodeIx(0));
        Err(PluginError(deployed.expect_err("nobody places it").to_string()))
    }
}

#[test]
fn a_plugin_learns_at_once_that_nobody_places_its_workflow() {
    let text = format!("start = '{START}'\nsteps = 1\n[sources]\nwalker = ['2x3:550:53:1']\n");
    let mut simulation = simulation(&super::scenario(&text), Vec::new());
    simulation.add_plugin(Box::new(Mistaken));
    let error = simulation.step(&mut NoWatch).unwrap_err().to_string();
    assert_eq!(error, "plugin mistaken: workflow \"w\": there is no orchestrator \"nobody\"");
}
