//! A fleet at the speed of the real sky, and the workflow that runs on it.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use clap::Parser as _;
use controller::api;
use hil_tests::client::Api;
use hil_tests::deploy::push_functions;
use hil_tests::faults::LinkFaults;
use hil_tests::fleet::Fleet;
use hil_tests::layout::{self, Layout};
use hil_tests::options::Options;
use hil_tests::process_bed::{self, ProcessBed};
use placement::Workflow;
use types::{Epoch, NodeId};

/// Starting, reconnecting and placing, on a busy machine.
const WHOLE_WITHIN: Duration = Duration::from_secs(90);

/// The controller tells which events it takes.
const LOG: &str = "info,zenoh=warn,controller=debug";

/// Everything that runs.
pub(crate) struct Bed {
    pub(crate) processes: ProcessBed,
    pub(crate) api: Api,
    pub(crate) faults: LinkFaults,
    pub(crate) fleet: Fleet,
    pub(crate) workflow: Workflow,
    /// The sky less the wall clock, in nanoseconds: both are as fast.
    sky_ahead_ns: i64,
    dir: tempfile::TempDir,
}

impl Bed {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let options = ["demo", "--speed", "1", "--port", &port.to_string()];
        let options = Options::parse_from(options);
        let fleet = Fleet::choose(&options).expect("a fleet");
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("bed");
        let programs = process_bed::check(&path, port).expect("a machine with room");
        let layout = Layout::write(&path, &fleet, &options).expect("files");
        for node in fleet.nodes() {
            // Killed again and again before a start has proved itself, a node would run no functions for a while, as it should.
            let drop_ins = layout.agent_config(node).with_extension("d");
            std::fs::create_dir_all(&drop_ins).expect("a folder");
            let text = "[start]\nfailures_max = 100\n";
            std::fs::write(drop_ins.join("killed-often.toml"), text).expect("a file");
        }
        let (http, sim) = (layout.ports.http, layout.ports.sim);
        let text = layout::workflow_toml(&fleet, layout::FLOOD_RESPONSE);
        let workflow: Workflow = toml::from_str(&text).expect("a shipped workflow");
        let processes =
            ProcessBed::start_logging(layout, programs, &fleet, Some(LOG)).expect("programs start");
        let api = Api::new(http);
        let is_up = || api.get::<api::Health>("/health").ok().filter(|h| h.nodes_up == h.nodes);
        wait(WHOLE_WITHIN, is_up).expect("the fleet comes up");
        let sky = || api.get::<api::ClockInfo>("/clock").ok().map(|clock| clock.sky);
        let sky = wait(WHOLE_WITHIN, sky).expect("the bridge tells the clock");
        let sky_ahead_ns = sky.unix_ns() - wall_ns();
        let faults = LinkFaults::connect(sim).expect("the bridge is there");
        Self { processes, api, faults, fleet, workflow, sky_ahead_ns, dir }
    }

    /// Has the shipped workflow run.
    pub(crate) fn runs_a_workflow(&self) {
        let body = serde_json::to_vec(&self.workflow).expect("a workflow is JSON");
        push_functions(&self.api, self.dir.path(), &self.workflow).expect("functions are taken");
        let submitted = self.api.post::<api::WorkflowInfo>("/workflows", "application/json", &body);
        submitted.expect("a shipped workflow is taken");
        wait(WHOLE_WITHIN, || (0 < self.completed()).then_some(())).expect("a run completes");
    }

    /// Runs that were completed, as this controller knows.
    pub(crate) fn completed(&self) -> u64 {
        let path = format!("/workflows/{}", self.workflow.id);
        self.api.get::<api::WorkflowInfo>(&path).map_or(0, |workflow| workflow.completed)
    }

    /// The sky now, also while nobody can be asked.
    pub(crate) fn sky(&self) -> Epoch {
        Epoch::from_unix_ns(wall_ns() + self.sky_ahead_ns)
    }

    pub(crate) fn nodes(&self) -> Vec<NodeId> {
        self.fleet.nodes().cloned().collect()
    }

    /// Waits until every node is heard, every task is served, and runs complete.
    pub(crate) fn is_whole(&mut self) {
        self.processes.check_alive().expect("what nobody killed lives");
        let before = self.completed();
        let whole = wait(WHOLE_WITHIN, || {
            let health = self.api.get::<api::Health>("/health").ok()?;
            let is_up = health.nodes_up == health.nodes && health.state == api::HealthState::Ready;
            let served = self.unserved().is_empty();
            (is_up && served && before + 2 <= self.completed()).then_some(())
        });
        let state = self.api.get::<api::NodeList>("/nodes");
        assert!(whole.is_some(), "not whole: {:?} {state:?}", self.unserved());
    }

    /// Tasks that nobody serves as their owner.
    pub(crate) fn unserved(&self) -> Vec<String> {
        let Ok(list) = self.api.get::<api::PlacementList>("/placements") else {
            return vec!["nobody answers".to_owned()];
        };
        let is_served = |one: &&api::PlacementInfo| {
            one.node.is_some() && one.phase.as_deref() == Some("Active")
        };
        let unserved = list.placements.iter().filter(|one| !is_served(one));
        unserved.map(|one| format!("{} {:?} {:?}", one.task, one.node, one.phase)).collect()
    }
}

fn wall_ns() -> i64 {
    let wall = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970");
    i64::try_from(wall.as_nanos()).expect("it is before 2262")
}

/// Waits for something that no event tells.
pub(crate) fn wait<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if limit < started.elapsed() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
