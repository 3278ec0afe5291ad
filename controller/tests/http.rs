//! The HTTP API over a real socket: what it answers, and how it refuses.

mod support;

use std::time::{Duration, Instant};

use controller::api::{self, ErrorBody, NodeState, PREFIX, PlacementState};
use controller::deploy::UPLOAD_TYPE;
use controller::keys::SigningKey;
use serde::de::DeserializeOwned;
use support::served::{Served, start_server};
use support::signing::{key, trust_body, upload};

struct Client {
    agent: ureq::Agent,
    base: String,
    /// A key that is trusted.
    key: SigningKey,
    /// The modules; lives as long as the server.
    _dir: tempfile::TempDir,
}

async fn client() -> Client {
    let dir = tempfile::tempdir().expect("the test's set-up works");
    let Served { address, .. } = start_server(dir.path()).await;
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let base = format!("http://{address}{PREFIX}");
    let client =
        Client { agent: ureq::Agent::new_with_config(config), base, key: key(), _dir: dir };
    let _: api::KeyInfo = client.post("/keys", "application/json", &trust_body(&client.key));
    client
}

impl Client {
    #[track_caller]
    fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let mut answer =
            self.agent.get(format!("{}{path}", self.base)).call().expect("the test's set-up works");
        assert_eq!(answer.status(), 200, "{path}");
        answer.body_mut().read_json().expect("the test's set-up works")
    }

    #[track_caller]
    fn post<T: DeserializeOwned>(&self, path: &str, kind: &str, body: &[u8]) -> T {
        let request = self.agent.post(format!("{}{path}", self.base));
        let mut answer =
            request.header("content-type", kind).send(body).expect("the test's set-up works");
        let text = answer.body_mut().read_to_string().expect("the test's set-up works");
        assert_eq!(answer.status(), 200, "{path}: {text}");
        serde_json::from_str(&text).expect("the test's set-up works")
    }

    #[track_caller]
    fn refused(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
        status: u16,
        code: &str,
        words: &str,
    ) {
        let mut answer = answer.expect("the test's set-up works");
        let kind = answer.headers()["content-type"].clone();
        let text = answer.body_mut().read_to_string().expect("the test's set-up works");
        assert_eq!(answer.status(), status, "{text}");
        assert_eq!(kind, "application/json", "{text}");
        let ErrorBody { error } = serde_json::from_str(&text).expect("the test's set-up works");
        assert_eq!(error.code, code, "{text}");
        assert!(error.message.contains(words), "{text}");
    }

    /// The node once it has answered what it was sent last.
    fn settled(&self, path: &str) -> api::NodeInfo {
        const PATIENCE: Duration = Duration::from_secs(10);
        let begun = Instant::now();
        loop {
            let node: api::NodeInfo = self.get(path);
            if node.generation == node.acknowledged || PATIENCE < begun.elapsed() {
                return node;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[track_caller]
    fn get_refused(&self, path: &str, status: u16, code: &str, words: &str) {
        let answer = self.agent.get(format!("{}{path}", self.base)).call();
        self.refused(answer, status, code, words);
    }

    #[track_caller]
    fn post_refused(&self, path: &str, body: &[u8], status: u16, code: &str, words: &str) {
        let answer = self.agent.post(format!("{}{path}", self.base)).send(body);
        self.refused(answer, status, code, words);
    }

    fn deploy(&self) -> api::WorkflowInfo {
        for name in ["ingest", "extract"] {
            let body = upload(name, 1, 1, &self.key);
            self.post::<api::FunctionInfo>("/functions", UPLOAD_TYPE, &body);
        }
        let body = serde_json::to_vec(&support::workflow()).expect("the test's set-up works");
        self.post("/workflows", "application/json", &body)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_path_answers_what_its_type_says() {
    let client = client().await;
    let taken = client.deploy();
    assert_eq!((taken.placement, taken.tasks.len()), (PlacementState::Placed, 2));

    let list: api::NodeList = client.get("/nodes");
    let states: Vec<NodeState> = list.nodes.iter().map(|node| node.state).collect();
    assert_eq!(states, [NodeState::Up; 4]);
    let node = client.settled("/nodes/sat-1");
    assert_eq!((node.state_of_charge, node.latency_ms), (Some(0.875), Some(50.0)));
    assert_eq!(node.tasks[0].task.as_str(), "extract");
    assert_eq!(node.generation, node.acknowledged);

    let plan: api::PlanInfo = client.get("/plan");
    assert_eq!((plan.steps, plan.pairs.len(), plan.asked), (121, 10, None));
    let near: api::PlanInfo = client.get("/plan?a=sat-1&b=drone&latency_ms=20");
    let windows = near.asked.expect("the test's set-up works").windows;
    assert_eq!(windows.len(), 1);
    assert!(windows[0].close_known && windows[0].id.len() == 16);
    // Without a latency, a satellite and what is none have windows while they see each other, others of any path.
    let seen: api::PlanInfo = client.get("/plan?a=sat-1&b=drone");
    let seen = seen.asked.expect("the test's set-up works");
    assert_eq!((seen.hops_max, seen.windows.len()), (Some(1), 1));
    assert_eq!(seen.windows[0].close, windows[0].close);
    for pair in ["a=drone&b=ground", "a=sat-1&b=sat-2"] {
        let any: api::PlanInfo = client.get(&format!("/plan?{pair}"));
        let any = any.asked.expect("the test's set-up works");
        assert_eq!((any.hops_max, any.windows.len()), (None, 1));
        assert!(!any.windows[0].close_known);
    }

    let placements: api::PlacementList = client.get("/placements?workflow=flood&task=extract");
    let extract = &placements.placements[0];
    assert_eq!(extract.node.as_ref().expect("the test's set-up works").as_str(), "sat-1");
    assert_eq!(extract.next.as_ref().expect("the test's set-up works").node.as_str(), "sat-2");
    assert!(!extract.because.is_empty() && !extract.refused.is_empty());
    assert_eq!(extract.phase.as_deref(), Some("Active"));

    assert_eq!(placements.alternatives, []);
    let now: api::WhatIf = client.get("/what-if/flood");
    assert!(now.is_feasible && now.text.contains("extract on sat-1"), "{}", now.text);
    let told = now.hosts.iter().map(|host| (host.task.as_str(), host.node.as_str()));
    assert!(told.eq([("ingest", "drone"), ("extract", "sat-1")]));
    let at = support::start().plus_s(700.0);
    let later: api::WhatIf = client.get(&format!("/what-if/flood?at={at}"));
    assert_eq!((later.at, later.hosts[1].node.as_str()), (at, "sat-2"));

    let moves: api::HandoverList = client.get("/handovers?all=true");
    assert!(moves.failovers.is_empty());
    let workflows: api::WorkflowList = client.get("/workflows");
    assert!(workflows.workflows[0].driving);
    let _: api::WorkflowInfo = client.get("/workflows/flood");
    let _: api::RunPage = client.get("/runs?workflow=flood&after=0");
    let links: api::LinkSamples = client.get("/links?after=1");
    assert_eq!((links.samples.len(), links.next, links.more), (3, 4, false));
    let clock: api::ClockInfo = client.get("/clock");
    assert_eq!(clock.source, "replay");
    let health: api::Health = client.get("/health");
    assert_eq!((health.state, health.nodes_up), (api::HealthState::Ready, 4));
    let functions: api::FunctionList = client.get("/functions");
    assert_eq!(functions.functions[0].workflows, ["flood"]);
    let function: api::FunctionInfo = client.get("/functions/ingest");
    assert!(functions.functions.contains(&function));
    let keys: api::KeyList = client.get("/keys");
    assert_eq!(keys.keys[0].functions, ["extract", "ingest"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_from_before_classes_and_regions_decides_as_it_did() {
    let client = client().await;
    client.deploy();
    let decision: api::DecisionInfo = client.get("/decisions/flood");
    assert_eq!(decision.snapshot.decide().to_string(), decision.decision);
    let mut old = serde_json::to_value(&decision.snapshot).expect("the test's set-up works");
    let mut without = |list: &str, fields: &[&str]| {
        let rows = old.pointer_mut(list).and_then(serde_json::Value::as_array_mut);
        for row in rows.expect("a list").iter_mut().filter_map(serde_json::Value::as_object_mut) {
            for field in fields {
                assert!(row.remove(*field).is_some(), "{field} is written");
            }
        }
    };
    without("/nodes", &["region", "trust"]);
    without("/workflow/task", &["class", "regions", "releases", "with", "apart"]);
    let needs = ["bandwidth_min_kbps", "loss_max", "kib", "arrives_within_ms", "jitter_max_ms"];
    without("/workflow/task/1/after", &needs);
    let workflow = old.get_mut("workflow").and_then(serde_json::Value::as_object_mut);
    assert!(workflow.expect("an object").remove("priority").is_some());
    let old: placement::Snapshot = serde_json::from_value(old).expect("an old snapshot");
    assert_eq!(old, decision.snapshot);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused_with_status_code_and_words() {
    let client = client().await;
    client.deploy();
    for (path, status, code, words) in [
        ("/nothing", 404, "not_found", "no path of this API"),
        ("/nodes/sat-9", 404, "not_found", "known: drone, ground, sat-1, sat-2"),
        ("/nodes/Sat!", 400, "bad_request", "a-z"),
        ("/workflows/w", 404, "not_found", "known: flood"),
        ("/functions/f", 404, "not_found", "known: extract, ingest"),
        ("/functions/F", 400, "bad_request", "a-z"),
        ("/placements?workflow=w", 404, "not_found", "workflow w"),
        ("/placements?workflow=flood&task=t", 404, "not_found", "known: ingest, extract"),
        ("/what-if/w", 404, "not_found", "known: flood"),
        ("/what-if/flood?at=noon", 400, "bad_request", "RFC 3339"),
        ("/what-if/flood?at=2000-01-01T00:00:00Z", 400, "bad_request", "contact plan ends"),
        ("/runs?after=x", 400, "bad_request", "after"),
        ("/runs?before=1", 400, "bad_request", "before"),
        ("/plan?a=drone", 400, "bad_request", "both a and b"),
        ("/plan?a=drone&b=sat-9", 404, "not_found", "endpoint sat-9"),
        ("/plan?a=drone&b=sat-1&latency_ms=-1", 400, "bad_request", "latency_ms -1"),
        ("/objects?workflow=flood&task=ingest&key=a//b", 400, "bad_request", "segment"),
        ("/objects?workflow=flood&task=ingest&key=a", 503, "unavailable", "no bus"),
    ] {
        client.get_refused(path, status, code, words);
    }
    let delete = |path: &str| client.agent.delete(format!("{}{path}", client.base)).call();
    client.refused(delete("/nodes"), 405, "bad_request", "DELETE");
    client.refused(delete("/workflows/w"), 404, "not_found", "known: flood");
    let mut gone = delete("/workflows/flood").expect("an answer");
    let info: api::WorkflowInfo = gone.body_mut().read_json().expect("what the API says");
    assert_eq!((gone.status().as_u16(), info.id.as_str()), (200, "flood"));
    client.refused(delete("/workflows/flood"), 404, "not_found", "there is none");
    client.refused(delete("/functions/f"), 404, "not_found", "known: extract, ingest");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_bounded_and_checked() {
    let client = client().await;
    let workflow = toml::to_string(&support::workflow()).expect("the test's set-up works");
    client.post_refused("/workflows", workflow.as_bytes(), 404, "not_found", "fn push ingest");
    client.deploy();
    let unknown = workflow.replace("pinned", "pined");
    client.post_refused("/workflows", unknown.as_bytes(), 400, "bad_config", "pined");
    let zero = workflow.replace("run_deadline_ms = 10000", "run_deadline_ms = 0");
    client.post_refused("/workflows", zero.as_bytes(), 400, "bad_config", "run_deadline_ms 0");
    client.post_refused("/what-if", zero.as_bytes(), 400, "bad_config", "run_deadline_ms 0");
    client.post_refused("/workflows", b"\xff\xfe", 400, "bad_config", "UTF-8");
    // More than fits into the buffers of a connection: who is refused while writing is told so all the same.
    for size in [300_000, 32 * 1024 * 1024] {
        client.post_refused("/workflows", &vec![b'#'; size], 413, "too_large", "");
        client.post_refused("/nowhere", &vec![b'#'; size], 404, "not_found", "");
        client.post_refused("/nodes", &vec![b'#'; size], 405, "bad_request", "");
        client.post_refused("/functions", &vec![b'#'; size], 400, "bad_request", "");
    }
    let elsewhere = workflow.replace("pinned = \"drone\"", "pinned = \"moon\"");
    client.post_refused("/workflows", elsewhere.as_bytes(), 404, "not_found", "no node moon");
    let mut renamed = support::workflow();
    renamed.tasks.pop();
    let renamed = toml::to_string(&renamed).expect("the test's set-up works");
    client.post_refused("/workflows", renamed.as_bytes(), 409, "conflict", "other tasks");

    for (key, words) in [("{}", "missing field"), (r#"{"name":"a","public_key":"1"}"#, "64 hex")] {
        client.post_refused("/keys", key.as_bytes(), 400, "bad_config", words);
    }
    let no_key = format!(r#"{{"name":"a","public_key":"{}"}}"#, "ff".repeat(32));
    client.post_refused("/keys", no_key.as_bytes(), 400, "bad_config", "no ed25519 public key");
    client.post_refused("/keys/1/revoke", b"", 400, "bad_request", "16 hexadecimal digits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_pages_of_others_are_refused() {
    let client = client().await;
    let url = format!("{}/health", client.base);
    let foreign = client.agent.get(&url).header("host", "evil.example").call();
    client.refused(foreign, 403, "denied", "evil.example");
    let foreign = client.agent.get(&url).header("origin", "http://evil.example").call();
    client.refused(foreign, 403, "denied", "other sites");
    let own = client.base.trim_end_matches(PREFIX).to_owned();
    assert_eq!(
        client
            .agent
            .get(&url)
            .header("origin", own)
            .call()
            .expect("the test's set-up works")
            .status(),
        200
    );
}
