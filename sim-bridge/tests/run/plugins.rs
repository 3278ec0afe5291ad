//! Plugins: when they are called, what they see, what they can do; the two that come with the engine.

use std::sync::{Arc, Mutex};

use orbit::sunlight::{sun_teme_km, sunlit_fraction};
use sim_bridge::offline::overrides::Override;
use sim_bridge::offline::plugin::{Plugin, PluginError};
use sim_bridge::offline::scenario::Scenario;
use sim_bridge::offline::simulation::{Simulation, SimulationError, SimulationView};
use sim_bridge::offline::watch::NoWatch;
use topology::{NodeIx, RouteNeed};

use super::{START, cities, run, scenario, simulation, steps, summary, utf8, write};

fn shell(tail: &str) -> Scenario {
    scenario(&format!(
        "start = '{START}'\nsteps = 6\nstep_s = 600.0\n[sources]\nwalker = ['12x11:550:53:5@{START}']\n{tail}"
    ))
}

/// A call: of which plugin, `<` before or `>` after, the step, the step of the moment in view.
type Call = (&'static str, char, u64, Option<u64>);

#[derive(Debug)]
struct Notes {
    name: &'static str,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Notes {
    fn note(&self, when: char, view: &SimulationView<'_>) {
        let moment = view.moment().map(|moment| moment.step);
        let call = (self.name, when, view.step, moment);
        self.calls.lock().expect("no panic").push(call);
    }
}

impl Plugin for Notes {
    fn name(&self) -> &str {
        self.name
    }

    fn before_step(&mut self, view: &mut SimulationView<'_>) -> Result<(), PluginError> {
        self.note('<', view);
        Ok(())
    }

    fn after_step(&mut self, view: &mut SimulationView<'_>) -> Result<(), PluginError> {
        self.note('>', view);
        Ok(())
    }
}

#[test]
fn plugins_are_called_in_their_order_before_and_after_each_step() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let mut simulation = simulation(&shell(""), cities());
    for name in ["first", "second"] {
        simulation.add_plugin(Box::new(Notes { name, calls: Arc::clone(&calls) }));
    }
    for _ in 0..2 {
        simulation.step(&mut NoWatch).unwrap();
    }
    let expected: [Call; 8] = [
        ("first", '<', 0, None),
        ("second", '<', 0, None),
        ("first", '>', 0, Some(0)),
        ("second", '>', 0, Some(0)),
        ("first", '<', 1, Some(0)),
        ("second", '<', 1, Some(0)),
        ("first", '>', 1, Some(1)),
        ("second", '>', 1, Some(1)),
    ];
    assert_eq!(*calls.lock().unwrap(), expected);
}

/// Deploys at step 1, fails Vienna after step 2, moves its task to Sydney, and gives up at step 5.
#[derive(Debug)]
struct Acts;

impl Plugin for Acts {
    fn name(&self) -> &'static str {
        "acts"
    }

    fn before_step(&mut self, view: &mut SimulationView<'_>) -> Result<(), PluginError> {
        let told = |error: &dyn std::fmt::Display| PluginError(error.to_string());
        let (vienna, sydney) = (
            view.nodes().find("Vienna").expect("a city"),
            view.nodes().find("Sydney").expect("a city"),
        );
        assert_eq!(view.route(vienna, vienna, &RouteNeed::default()).is_some(), 0 < view.step);
        if view.step == 1 {
            let text = "name = 'w'\n[[task]]\nname = 't'\nmilli_cpu = 5\nmemory_mib = 5\n";
            let entry = toml::from_str(text).expect("a workflow");
            view.deploy(&entry, vienna).map_err(|e| told(&e))?;
        }
        let id = view.workload().instances().next();
        match (view.step, id) {
            (2, Some(id)) => view.move_task(id, "t", sydney).map_err(|e| told(&e))?,
            (4, Some(id)) => assert!(view.remove(id)),
            (5, _) => return Err(PluginError("had enough".to_owned())),
            _ => {}
        }
        Ok(())
    }

    fn after_step(&mut self, view: &mut SimulationView<'_>) -> Result<(), PluginError> {
        let vienna = view.nodes().find("Vienna").expect("a city");
        if view.step == 2 {
            let down = Override { down: true, ..Override::default() };
            view.overrides().set_node(vienna, down).expect("there is room");
        }
        Ok(())
    }
}

#[test]
fn plugins_deploy_move_and_remove_tasks_and_fail_nodes() {
    let mut simulation = simulation(&shell("[ground_links]\nmin_elevation_deg = 0.0\n"), cities());
    simulation.add_plugin(Box::new(Acts));
    let host = |simulation: &Simulation| {
        let id = simulation.workload().instances().next()?;
        simulation.workload().placement(id)?.1[0]
            .map(|node| simulation.nodes().name(node).to_owned())
    };
    let linked = |simulation: &Simulation| {
        simulation.now().unwrap().ground.iter().any(|link| link.station == 0)
    };
    let mut seen = Vec::new();
    for _ in 0..5 {
        let (_, summary) = simulation.step(&mut NoWatch).unwrap();
        let instances = summary.workload.map(|workload| workload.instances);
        seen.push((host(&simulation), instances, linked(&simulation)));
    }
    let at = |name: &str| Some(name.to_owned());
    let expected = [
        (None, None, true),
        (at("Vienna"), Some(1), true),
        (at("Sydney"), Some(1), true),
        (at("Sydney"), Some(1), false),
        (None, Some(0), false),
    ];
    assert_eq!(seen, expected);
    let error = simulation.step(&mut NoWatch).unwrap_err();
    assert!(matches!(error, SimulationError::Plugin { .. }));
    assert_eq!(error.to_string(), "plugin acts: had enough");
}

/// Deploys a workflow at the start, but lets no node take it before step 3.
#[derive(Debug)]
struct Early;

impl Plugin for Early {
    fn name(&self) -> &'static str {
        "early"
    }

    fn before_step(&mut self, view: &mut SimulationView<'_>) -> Result<(), PluginError> {
        let nodes = u32::try_from(view.nodes().len()).expect("few nodes");
        (0..nodes).for_each(|node| view.set_open(NodeIx(node), 3 <= view.step));
        if view.step == 0 {
            let text = "name = 'w'\n[[task]]\nname = 't'\nmilli_cpu = 5\nmemory_mib = 5\n";
            let entry = toml::from_str(text).expect("a workflow");
            view.deploy(&entry, NodeIx(0)).expect("it may be deployed");
        }
        Ok(())
    }
}

#[test]
fn a_workflow_of_a_plugin_waits_until_it_fits_and_counts_as_deployed_then() {
    let scenario = shell("");
    let mut simulation = simulation(&scenario, cities());
    simulation.add_plugin(Box::new(Early));
    let counts = steps(&scenario, &mut simulation);
    let counts = counts.iter().map(|(_, summary)| summary.workload.expect("a workflow"));
    let counts: Vec<_> = counts.map(|w| (w.deployed, w.moved, w.broken, w.tasks)).collect();
    let (waits, fits, runs) = ((0, 0, 1, 0), (1, 0, 0, 1), (0, 0, 0, 1));
    assert_eq!(counts, [waits, waits, waits, fits, runs, runs]);
}

#[test]
fn what_plugins_found_stands_in_the_summary_and_on_the_screen() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "start = '{START}'\nsteps = 2\n[sources]\nwalker = ['2x3:550:53:1@{START}']\n\
         [plugin.coverage]\n[plugin.energy]\n"
    );
    let file = write(folder.path(), "scenario.toml", &text);
    let found = summary(folder.path(), &[utf8(&file)]);
    let value = |plugin: &str, name: &str| {
        let found = found["figures"][plugin].get(name);
        found.unwrap_or_else(|| panic!("no {name} of {plugin}")).clone()
    };
    assert!(value("energy", "charge_min").as_f64() <= Some(1.0));
    // Without stations there is no share of them.
    assert!(value("coverage", "linked_share").is_null());
    let shown = String::from_utf8(run(&[utf8(&file)]).stdout).unwrap();
    assert!(shown.contains("charge_min") && shown.contains("linked_share"), "{shown}");
}

fn figure(simulation: &Simulation, plugin: &str, name: &str) -> Option<f64> {
    let plugin = simulation.plugins().iter().find(|p| p.name() == plugin).expect("it runs");
    let figures = plugin.figures();
    figures.iter().find(|figure| figure.name == name).expect("a known figure").value
}

#[test]
fn coverage_counts_links_and_gaps_as_the_steps_have_them() {
    let text = "[ground_links]\npolicy = 'all_visible'\nstation_terminals = 3\n[plugin.coverage]\n";
    let scenario = shell(text);
    let mut simulation = simulation(&scenario, cities());
    let steps = steps(&scenario, &mut simulation);
    let (mut linked, mut links, mut longest) = (0.0, 0.0, 0.0_f64);
    for station in 0..4 {
        let mut gap = 0.0;
        for (moment, _) in &steps {
            let count = moment.ground.iter().filter(|link| link.station == station).count();
            gap = if count == 0 { gap + 1.0 } else { 0.0 };
            longest = longest.max(gap);
            linked += f64::from(u8::from(0 < count));
            links += f64::from(u32::try_from(count).unwrap());
        }
    }
    let figure = |name| figure(&simulation, "coverage", name).expect("there are stations");
    assert!((figure("linked_share") - linked / 24.0).abs() < 1.0e-12);
    assert!((figure("links_per_station") - links / 24.0).abs() < 1.0e-12);
    assert!((figure("longest_gap_steps") - longest).abs() < 1.0e-12);
    // Neither of the extremes: the figures can tell right from wrong.
    assert!(0.0 < linked && linked < 24.0, "{linked}");
}

#[test]
fn batteries_follow_the_sun_and_empty_ones_take_no_new_task() {
    let text = "[plugin.energy]\nbattery_wh = 100.0\nsolar_w = 0.0\nidle_w = 60.0\ncharge_at_start = 1.0\nreserve = 0.65\n\
        [[workflow]]\nname = 'w'\nanchor = 'random-satellite'\n\
        [[workflow.task]]\nname = 't'\nmilli_cpu = 1\nmemory_mib = 1\non = ['space']\n";
    let scenario = shell(text);
    let mut simulation = simulation(&scenario, cities());
    let steps = steps(&scenario, &mut simulation);
    // 60 W for 600 s are 10 Wh of 100 a step: 90 % after the first, 60 % and below the reserve after the fourth.
    let deployed = steps.iter().map(|(_, summary)| summary.workload.unwrap().deployed);
    assert_eq!(deployed.collect::<Vec<_>>(), [1, 1, 1, 1, 0, 0]);
    let last = steps[5].1.workload.unwrap();
    assert_eq!((last.instances, last.tasks, last.refused), (4, 4, 1));
    let charge = figure(&simulation, "energy", "charge_min").expect("there are satellites");
    // A core in use takes 5 W, a thousandth of it next to nothing.
    assert!((charge - 0.4).abs() < 1.0e-3, "{charge}");
    assert_eq!(figure(&simulation, "energy", "satellites_below_reserve_at_end"), Some(132.0));
    let lit = steps.iter().flat_map(|(moment, _)| {
        let sun_km = sun_teme_km(moment.at);
        moment.positions_km.iter().map(move |position| sunlit_fraction(*position, sun_km))
    });
    let mean = lit.sum::<f64>() / (6.0 * 132.0);
    let share = figure(&simulation, "energy", "sunlit_share").expect("there are steps");
    assert!((share - mean).abs() < 1.0e-12 && 0.5 < mean && mean < 0.8, "{share} {mean}");
    let open = |node| simulation.workload().compute().is_open(NodeIx(node));
    assert!(!open(0) && open(132));
}
