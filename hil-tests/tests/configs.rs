//! The shipped files of a bed on one laptop, started side by side as configs/README.md says, meet each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Where a process stands on the fleet's bus, and with what.
struct Process {
    file: String,
    config: Table,
    /// The key of the section that says who it is.
    identity: &'static str,
    /// Where it keeps what lasts.
    state: PathBuf,
}

impl Process {
    fn load(path: &str, identity: &'static str, state: [&str; 2]) -> Self {
        let config = table(path);
        // From the folder of the file, as the programs read it.
        let home = configs().join(path).parent().expect("a folder").to_owned();
        let state = home.join(text(&config[state[0]][state[1]]));
        Self { file: path.to_owned(), config, identity, state }
    }

    fn name(&self) -> &str {
        text(&self.config[self.identity]["name"])
    }

    fn addresses(&self, key: &str) -> BTreeSet<&str> {
        let list = self.config["bus"][key].as_array().expect("a list");
        list.iter().map(|value| text(value).strip_prefix("tcp/").expect("TCP")).collect()
    }
}

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs")
}

fn table(path: &str) -> Table {
    let text = std::fs::read_to_string(configs().join(path)).expect("a shipped file");
    toml::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn agents() -> Vec<Process> {
    let entries = std::fs::read_dir(configs().join("agent")).expect("a shipped folder");
    let mut files: Vec<String> = entries
        .map(|entry| entry.expect("readable").file_name().into_string().expect("a plain name"))
        .collect();
    files.sort();
    let load = |file| Process::load(&format!("agent/{file}"), "node", ["store", "dir"]);
    files.iter().map(load).collect()
}

/// All processes on the bus.
fn processes() -> Vec<Process> {
    let state = ["controller", "state_dir"];
    let controller = Process::load("controller/laptop.toml", "controller", state);
    [controller].into_iter().chain(agents()).collect()
}

/// The bridge's pairs: names, where it listens, where it forwards to.
fn pairs(sim: &Table) -> BTreeMap<(&str, &str), (&str, &str)> {
    let pairs = sim["pair"].as_array().expect("a list of pairs");
    let pair = |pair| {
        let of = |key: &str| text(Value::get(pair, key).expect("a complete pair"));
        ((of("a"), of("b")), (of("listen"), of("forward")))
    };
    pairs.iter().map(pair).collect()
}

#[test]
fn every_two_processes_meet_at_the_bridge() {
    let (sim, processes) = (table("sim/laptop.toml"), processes());
    let mut pairs = pairs(&sim);
    for a in &processes {
        let greater = processes.iter().filter(|b| a.name() < b.name());
        let dialled: BTreeSet<&str> = greater
            .map(|b| {
                let pair = (a.name(), b.name());
                let (listen, forward) =
                    pairs.remove(&pair).unwrap_or_else(|| panic!("no pair {pair:?}"));
                let heard = b.addresses("listen").contains(forward);
                assert!(heard, "{} does not listen at {forward} for {pair:?}", b.file);
                listen
            })
            .collect();
        assert_eq!(a.addresses("connect"), dialled, "{} dials others", a.file);
    }
    assert!(pairs.is_empty(), "nobody is there for {pairs:?}");
}

#[test]
fn no_two_processes_share_an_address_or_a_folder() {
    let (sim, processes) = (table("sim/laptop.toml"), processes());
    let bridge = text(&sim["bus"]["listen"]).strip_prefix("tcp/").expect("TCP");
    let mut taken = BTreeSet::from([bridge]);
    let mut folders = BTreeSet::new();
    let of_pairs = pairs(&sim).into_values().map(|(listen, _)| listen);
    let of_processes = processes.iter().flat_map(|process| process.addresses("listen"));
    let http = text(&processes[0].config["http"]["listen"]);
    for address in of_pairs.chain(of_processes).chain([http]) {
        assert!(taken.insert(address), "{address} is taken twice");
    }
    for process in &processes {
        let sim = text(&process.config["sim"]["connect"]);
        assert_eq!(sim.strip_prefix("tcp/"), Some(bridge), "{}", process.file);
        let fleet = text(&process.config[process.identity]["fleet"]);
        assert_eq!(fleet, "demo", "{}", process.file);
        assert!(folders.insert(&process.state), "{}: its folder is another's", process.file);
    }
}

#[test]
fn the_controller_knows_its_nodes_as_they_know_themselves() {
    let controller = table("controller/laptop.toml");
    let nodes = controller["node"].as_array().expect("a list of nodes");
    let names: BTreeSet<&str> = nodes.iter().map(|node| text(&node["name"])).collect();
    let agents = agents();
    assert_eq!(names, agents.iter().map(Process::name).collect());
    for agent in &agents {
        let node = nodes.iter().find(|node| text(&node["name"]) == agent.name());
        let node = node.expect("the names are equal");
        let own = |section: &str, key: &str| agent.config.get(section)?.get(key);
        assert_eq!(Some(&node["kind"]), own("node", "kind"), "{}", agent.file);
        for key in ["milli_cpu", "memory_mib"] {
            assert_eq!(Some(&node[key]), own("capacity", key), "{}: {key}", agent.file);
        }
        // Said of nodes on a battery only.
        for key in ["idle_w", "solar_w", "reserve"] {
            let known = node.get(key);
            assert!(known.is_none() || known == own("battery", key), "{}: {key}", agent.file);
        }
    }
}
