//! All that two nodes exchange crosses their shaped pair: cut it and it stops, heal it and it comes back.
//! Then, on the same bed: decisions that can be repeated, and what functions log, from the guest to the command line.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::Parser;
use controller::api;
use hil_tests::client::Api;
use hil_tests::deploy::push_functions;
use hil_tests::faults::LinkFaults;
use hil_tests::fleet::{CONTROLLER, CONTROLLER_SITE, DRONE, Fleet};
use hil_tests::layout::{self, Layout};
use hil_tests::options::Options;
use hil_tests::process_bed::{self, ProcessBed};
use protocol::sim::FaultAction;
use types::NodeId;

/// Two of our leases and a look.
const NOTICED_WITHIN: Duration = Duration::from_secs(7);
/// Reconnecting, routing and a report.
const BACK_WITHIN: Duration = Duration::from_secs(20);

/// A line of a function crosses the node, the bus and the controller, as its report does.
const HEARD_WITHIN: Duration = Duration::from_secs(60);

struct Bed {
    _processes: ProcessBed,
    _dir: tempfile::TempDir,
    http: std::net::SocketAddr,
    api: Api,
    faults: LinkFaults,
    fleet: Fleet,
}

impl Bed {
    fn start() -> Self {
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))
            .expect("the bed works")
            .local_addr()
            .expect("the bed works")
            .port();
        let options = Options::parse_from(["demo", "--port", &port.to_string()]);
        let fleet = Fleet::choose(&options).expect("the bed works");
        let dir = tempfile::tempdir().expect("the bed works");
        let bed = dir.path().join("bed");
        let programs = process_bed::check(&bed, port).expect("the bed works");
        let layout = Layout::write(&bed, &fleet, &options).expect("the bed works");
        let ports = layout.ports.clone();
        let processes = ProcessBed::start(layout, programs, &fleet).expect("the bed works");
        let api = Api::new(ports.http);
        let ready = wait(Duration::from_secs(60), || {
            let health = api.get::<api::Health>("/health").ok()?;
            (health.nodes_heard == health.nodes).then_some(())
        });
        assert!(ready.is_some(), "the fleet did not come up");
        let faults = LinkFaults::connect(ports.sim).expect("the bed works");
        Self { _processes: processes, _dir: dir, http: ports.http, api, faults, fleet }
    }

    /// A node that is neither the drone nor at the controller's place.
    fn victim(&self) -> NodeId {
        let mut nodes = self.fleet.nodes();
        nodes
            .find(|n| n.as_str() != DRONE && n.as_str() != CONTROLLER_SITE)
            .expect("the bed works")
            .clone()
    }

    fn node(&self, node: &NodeId) -> api::NodeInfo {
        self.api.get(&format!("/nodes/{node}")).expect("the bed works")
    }

    fn last_link_cursor(&self) -> u64 {
        let mut after = 0;
        loop {
            let page: api::LinkSamples =
                self.api.get(&format!("/links?after={after}")).expect("the bed works");
            after = page.next;
            if !page.more {
                return after;
            }
        }
    }

    /// Answered round trips to a node since a cursor.
    fn answered(&self, node: &NodeId, after: u64) -> usize {
        let page: api::LinkSamples =
            self.api.get(&format!("/links?after={after}")).expect("the bed works");
        page.samples.iter().filter(|s| s.peer == *node && s.rtt_us.is_some()).count()
    }
}

fn wait<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
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

#[test]
fn a_node_without_its_pairs_is_alone_and_comes_back() {
    if let Err(missing) = artifacts::available() {
        println!("skipped: a_node_without_its_pairs_is_alone_and_comes_back: {missing}");
        return;
    }
    let bed = Bed::start();
    let victim = bed.victim();
    for action in [FaultAction::Close, FaultAction::BlackHole] {
        let pairs = bed.faults.apply(&victim, None, action).expect("the bed works");
        assert_eq!(usize::try_from(pairs).expect("the bed works"), bed.fleet.members.len());
        let lost = wait(NOTICED_WITHIN, || {
            (bed.node(&victim).state == api::NodeState::Down).then_some(())
        });
        assert!(lost.is_some(), "{action:?}: {victim} still counts as up");
        let cursor = bed.last_link_cursor();
        let reports = bed.node(&victim).reports;
        std::thread::sleep(Duration::from_secs(4));
        assert_eq!(bed.answered(&victim, cursor), 0, "{action:?}: someone still reaches {victim}");
        assert_eq!(bed.node(&victim).reports, reports, "{action:?}: {victim} still reports");
        bed.faults.apply(&victim, None, FaultAction::Heal).expect("the bed works");
        let cursor = bed.last_link_cursor();
        let back = wait(BACK_WITHIN, || {
            let up = bed.node(&victim).state == api::NodeState::Up;
            (up && 0 < bed.answered(&victim, cursor)).then_some(())
        });
        assert!(back.is_some(), "{action:?}: {victim} did not come back");
    }
    one_cut_pair_is_routed_round(&bed, &victim);
    bed.faults.apply(&victim, None, FaultAction::Heal).unwrap();
    the_recorded_snapshot_yields_the_same_plan(&bed);
    what_a_function_logs_comes_to_who_follows_it(&bed);
}

fn one_cut_pair_is_routed_round(bed: &Bed, node: &NodeId) {
    let controller = NodeId::new(CONTROLLER).expect("the bed works");
    let pairs =
        bed.faults.apply(node, Some(&controller), FaultAction::Close).expect("the bed works");
    assert_eq!(pairs, 1);
    // Longer than two leases: only reports that came another way keep it up.
    std::thread::sleep(Duration::from_secs(8));
    let state = bed.node(node);
    assert_eq!(state.state, api::NodeState::Up, "{:?} ms since the last report", state.age_ms);
}

/// What the controller says it knew yields, in another process, what it decided.
fn the_recorded_snapshot_yields_the_same_plan(bed: &Bed) {
    let text = layout::workflow_toml(&bed.fleet, layout::FLOOD_RESPONSE);
    let workflow: placement::Workflow = toml::from_str(&text).expect("a shipped workflow");
    let body = serde_json::to_vec(&workflow).expect("a workflow is JSON");
    let dir = tempfile::tempdir().expect("a directory");
    push_functions(&bed.api, dir.path(), &workflow).expect("shipped functions are taken");
    let submitted = bed.api.post::<api::WorkflowInfo>("/workflows", "application/json", &body);
    submitted.expect("a shipped workflow is taken");
    for _ in 0..3 {
        let recorded = wait(Duration::from_secs(20), || {
            let path = format!("/decisions/{}", workflow.id);
            let recorded: api::DecisionInfo = bed.api.get(&path).ok()?;
            matches!(recorded.snapshot.decide(), placement::Decision::Placed(_)).then_some(recorded)
        });
        let recorded = recorded.expect("the workflow is placed");
        assert_eq!(recorded.snapshot.decide().to_string(), recorded.decision);
        std::thread::sleep(Duration::from_secs(2));
    }
}

/// Ended with the test.
struct Follower(Child);

impl Drop for Follower {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The workflow runs: what its `object-det` says on its node is printed by `starbelt fn logs -f`, again and again.
fn what_a_function_logs_comes_to_who_follows_it(bed: &Bed) {
    let child = Command::new(process_bed::find("starbelt").expect("it is built"))
        .args(["fn", "logs", "object-det", "-f"])
        .env("STARBELT_CONTROLLER", format!("http://{}", bed.http))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut follower = Follower(child.expect("it starts"));
    let lines = BufReader::new(follower.0.stdout.take().expect("it is piped")).lines();
    let (sender, heard) = mpsc::channel();
    // Ends with the program that it reads from.
    let reader = std::thread::spawn(move || {
        lines.map_while(Result::ok).try_for_each(|line| sender.send(line)).ok();
    });
    let mut counts = Vec::new();
    while counts.len() < 3 {
        let line = heard.recv_timeout(HEARD_WITHIN).expect("a line of the function");
        // Time, node, task, run, level, then what the guest said.
        let Some((_, said)) = line.split_once("  info   burst ") else { continue };
        assert!(line.contains("  flood-response.object-det  run "), "{line}");
        let node = line.split("  ").nth(1).expect("a node");
        assert!(bed.fleet.nodes().any(|known| known.as_str() == node), "{line}");
        let count = said.strip_suffix(" bursts so far").and_then(|rest| rest.rsplit(' ').next());
        counts.push(count.and_then(|count| count.parse::<u64>().ok()).expect("a count"));
        // A try that did not commit has said its line, too.
        counts.dedup();
    }
    assert!(counts.windows(2).all(|pair| pair[0] < pair[1]), "{counts:?}");
    drop(follower);
    reader.join().expect("it only reads");
}
