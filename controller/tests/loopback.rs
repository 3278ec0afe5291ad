//! The real controller process on a real bus with two fake agents: everything on loopback.

mod support;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use controller::api::{self, HealthState, NodeState};
use controller::deploy::UPLOAD_TYPE;
use controller::shell::zenoh::{Bus, BusRole, Class};
use protocol::backlog::{
    Backlog, Late, LateColumn, LateContent, LateRecord, LateStream, LateSummary, Receipt,
};
use protocol::belt::{Fetch, Fetched, ObjectMeta};
use protocol::event::{Event, EventKind, EventQuery};
use protocol::key::{BeltService, Keys, SimKeys};
use protocol::module::{ModuleChunk, ModuleQuery};
use protocol::plan::{PlanMessage, PlanQuery};
use protocol::report::Group;
use protocol::signed::{SignedManifest, Signers};
use protocol::sim::SimClock;
use protocol::{decode, encode};
use serde::de::DeserializeOwned;
use support::{FakeAgent, component, id, link, power, queue, signing, start, thermal};
use types::{
    BootId, Epoch, FleetId, FunctionId, LeaderEpoch, NodeId, ObjectId, OwnerEpoch, RunId, SkyClock,
    StateKey, TaskId, Version, WallTime, WorkflowId,
};

/// Sky seconds per wall second.
const RATE: f64 = 30.0;
/// How long anything in this test may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("bound").port()
}

fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    WallTime(i64::try_from(since.as_nanos()).expect("before 2262"))
}

/// Two fake agents on one session, and the emulation's clock on another.
struct World {
    bus: Bus,
    sim: Bus,
    keys: Keys,
    clock: SkyClock,
    agents: BTreeMap<NodeId, Arc<Mutex<FakeAgent>>>,
}

impl World {
    async fn open(port: u16, sim_port: u16) -> Self {
        let router = |port| BusRole::Router {
            listen: vec![format!("tcp/127.0.0.1:{port}")],
            connect: vec![],
        };
        let names = ["drone", "sat-1"];
        let agents = names.map(|name| (id(name), Arc::new(Mutex::new(FakeAgent::new(name, 1)))));
        let world = Self {
            bus: Bus::open(&router(port), None).await.expect("the test's set-up works"),
            sim: Bus::open(&router(sim_port), None).await.expect("the test's set-up works"),
            keys: Keys::new(&FleetId::new("demo").expect("the test's set-up works")),
            clock: SkyClock::new(start(), wall(), RATE).expect("the test's set-up works"),
            agents: BTreeMap::from(agents),
        };
        for (node, agent) in &world.agents {
            world.serve(node, agent).await;
        }
        world
    }

    async fn serve(&self, node: &NodeId, agent: &Arc<Mutex<FakeAgent>>) {
        let (told, clock) = (Arc::clone(agent), self.clock);
        self.bus
            .serve(&self.keys.desired(node), move |question| {
                Some(
                    told.lock()
                        .expect("the test's set-up works")
                        .desired(clock.sky(wall()), question.frame),
                )
            })
            .await
            .expect("the test's set-up works");
        let asked = Arc::clone(agent);
        self.bus
            .serve(&self.keys.events(node), move |question| {
                let query: EventQuery = decode(question.frame).ok()?;
                Some(asked.lock().expect("the test's set-up works").page(query.from_seq))
            })
            .await
            .expect("the test's set-up works");
        self.bus
            .serve(&self.keys.belt(node, BeltService::Fetch), |question| {
                let fetch: Fetch = decode(question.frame).ok()?;
                Some(encode(&fetched(&fetch)).expect("the test's set-up works"))
            })
            .await
            .expect("the test's set-up works");
    }

    fn sky(&self) -> Epoch {
        self.clock.sky(wall())
    }

    fn agent<T>(&self, node: &str, act: impl FnOnce(&mut FakeAgent, Epoch) -> T) -> T {
        act(&mut self.agents[&id(node)].lock().expect("the test's set-up works"), self.sky())
    }

    /// Clock and reports, as they come every second.
    async fn beat(&self) {
        let clock = encode(&SimClock { clock: self.clock }).expect("the test's set-up works");
        self.sim.put(SimKeys::CLOCK, clock, Class::Data).await.expect("the test's set-up works");
        for (node, agent) in &self.agents {
            let frame = agent.lock().expect("the test's set-up works").report(self.sky(), queue());
            let key = self.keys.report(node, Group::Queue);
            self.bus.put(&key, frame, Class::Telemetry).await.expect("the test's set-up works");
        }
    }

    async fn put_report(&self, node: &str, group: Group, body: protocol::report::ReportBody) {
        let frame = self.agent(node, |agent, sky| agent.report(sky, body));
        self.bus
            .put(&self.keys.report(&id(node), group), frame, Class::Telemetry)
            .await
            .expect("the test's set-up works");
    }

    async fn put_event(&self, node: &str, index: usize) {
        let frame = self
            .agent(node, |agent, _| encode(&agent.events[index]).expect("the test's set-up works"));
        self.bus
            .put(&self.keys.events(&id(node)), frame, Class::Data)
            .await
            .expect("the test's set-up works");
    }

    /// Lets the world go on until `look` finds what it looks for.
    async fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            self.beat().await;
            if let Some(found) = look() {
                return found;
            }
            assert!(begin.elapsed() < PATIENCE, "{what} did not come");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn object(run: Option<u64>, key: &str) -> ObjectId {
    ObjectId {
        workflow: WorkflowId::new("flood").expect("the test's set-up works"),
        run: run.map(RunId),
        task: TaskId::new("ingest").expect("the test's set-up works"),
        key: StateKey::new(key).expect("the test's set-up works"),
    }
}

/// Both fake nodes hold one large object.
fn fetched(fetch: &Fetch) -> Fetched {
    if fetch.id != object(Some(4), "frames/0") {
        return Fetched::NotFound;
    }
    let bytes: Vec<u8> = (0..1_500_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let meta = ObjectMeta {
        id: fetch.id.clone(),
        version: Version(3),
        owner_epoch: OwnerEpoch(2),
        hash: *blake3::hash(&bytes).as_bytes(),
        bytes: bytes.len() as u64,
    };
    let from = usize::try_from(fetch.offset).expect("the test's set-up works").min(bytes.len());
    let to = (from + protocol::belt::FETCH_BYTES_MAX).min(bytes.len());
    Fetched::Part { meta, bytes: bytes[from..to].to_vec() }
}

/// The controller process; killed if the test fails before it ends.
struct Process {
    child: Child,
    http: u16,
}

impl Process {
    fn start(config: &Path, http: u16) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_starbelt-controller"))
            .args(["run", "--exit-with-parent", &std::process::id().to_string(), "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the test's set-up works");
        Self { child, http }
    }

    fn stop(&mut self) -> ExitStatus {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(
            pid.expect("the test's set-up works"),
            rustix::process::Signal::TERM,
        )
        .expect("the test's set-up works");
        self.child.wait().expect("the test's set-up works")
    }

    /// Waits for the end of a process that cannot run.
    fn refused(&mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("the test's set-up works");
        let mut words = String::new();
        self.child
            .stderr
            .take()
            .expect("the test's set-up works")
            .read_to_string(&mut words)
            .expect("the test's set-up works");
        (status.code(), words)
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, u16> {
        let url = format!("http://127.0.0.1:{}{}{path}", self.http, api::PREFIX);
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let mut answer =
            ureq::Agent::new_with_config(config).get(url).call().map_err(|_silence| 0_u16)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(status.as_u16());
        }
        Ok(answer.body_mut().read_json().expect("the API answers what its types say"))
    }

    fn post<T: DeserializeOwned>(&self, path: &str, kind: &str, body: &[u8]) -> T {
        let url = format!("http://127.0.0.1:{}{}{path}", self.http, api::PREFIX);
        let mut answer = ureq::post(url)
            .header("content-type", kind)
            .send(body)
            .expect("the test's set-up works");
        answer.body_mut().read_json().expect("the test's set-up works")
    }

    fn node(&self, node: &str) -> Option<api::NodeInfo> {
        self.get(&format!("/nodes/{node}")).ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone in a test that went well.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn write_config(dir: &Path, port: u16, sim_port: u16, http: u16) -> PathBuf {
    let sky = r#"
        [constellation]
        walker = { name = "w", planes = 24, slots = 20, altitude_km = 1000.0, inclination_deg = 60.0, phasing = 1, epoch = "2026-01-01T00:00:00Z" }
        [links]
        min_elevation_deg = 10.0
        [[site]]
        node = "ground"
        lat_deg = 40.0
        lon_deg = 10.0
        [[site]]
        node = "drone"
        lat_deg = 45.0
        lon_deg = 12.0
        [[satellite]]
        node = "sat-1"
        name = "w-03-04"
        [[same_place]]
        node = "controller"
        at = "ground"
    "#;
    std::fs::write(dir.join("sky.toml"), sky).expect("the test's set-up works");
    let node = |name: &str, kind: &str| {
        format!(
            "[[node]]\nname = \"{name}\"\nkind = \"{kind}\"\nmilli_cpu = 8000\nmemory_mib = 8192\n"
        )
    };
    let text = format!(
        "version = 1\n[controller]\nfleet = \"demo\"\nstate_dir = \"state\"\n\
         [bus]\ninsecure = true\nlisten = [\"tcp/127.0.0.1:{}\"]\nconnect = [\"tcp/127.0.0.1:{port}\"]\n\
         [sim]\nconnect = \"tcp/127.0.0.1:{sim_port}\"\n[http]\nlisten = \"127.0.0.1:{http}\"\n\
         [sky]\nfile = \"sky.toml\"\n{}{}",
        free_port(),
        node("drone", "edge"),
        node("sat-1", "satellite"),
    );
    let path = dir.join("controller.toml");
    std::fs::write(&path, text).expect("the test's set-up works");
    path
}

/// One task at the drone, another anywhere in reach.
const WORKFLOW: &str = r#"
    id = "flood"
    every_ms = 1000
    run_deadline_ms = 10000
    [[task]]
    id = "ingest"
    function = "ingest"
    pinned = "drone"
    milli_cpu = 1000
    memory_mib = 512
    linear_memory_mib = 16
    expected_run_s = 0.0
    deadline_ms = 1000
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_commands_hears_serves_and_comes_back() {
    let dir = tempfile::tempdir().expect("the test's set-up works");
    let (port, sim_port, http) = (free_port(), free_port(), free_port());
    let config = write_config(dir.path(), port, sim_port, http);
    let mut first = Process::start(&config, http);
    // The bus comes later than the controller: it waits, answers, and finds it.
    let world = World::open(port, sim_port).await;
    ready(&world, &first).await;
    assert_eq!(
        first.get::<api::ClockInfo>("/clock").expect("the test's set-up works").source,
        "replay"
    );

    desired_is_acknowledged(&world, &first).await;
    events_are_replayed_after_a_gap(&world, &first).await;
    garbage_is_counted(&world, &first).await;
    reports_are_shown(&world, &first).await;
    what_comes_late_is_kept_and_counted_once(&world, &first).await;
    plan_and_modules_are_served(&world).await;
    objects_are_read_back(&first);
    directory_and_port_are_not_shared(&config, dir.path());

    assert_eq!(first.stop().code(), Some(0));
    let before = world
        .agent("drone", |agent, _| agent.obeyed.last().expect("the test's set-up works").clone());
    let mut second = Process::start(&config, http);
    ready(&world, &second).await;
    let after = world
        .until("the next epoch", || {
            let newest = world.agent("drone", |agent, _| {
                agent.obeyed.last().expect("the test's set-up works").clone()
            });
            (newest.epoch == LeaderEpoch(2)).then_some(newest)
        })
        .await;
    assert_eq!((after.tasks, after.drives), (before.tasks, before.drives), "adopted");
    world
        .until("the history that the nodes kept", || {
            let page: api::RunPage = second.get("/runs?workflow=flood").ok()?;
            (page.runs.len() == 2).then_some(())
        })
        .await;
    assert_eq!(second.stop().code(), Some(0));
    world.bus.close().await;
    world.sim.close().await;
}

async fn ready(world: &World, process: &Process) {
    world
        .until("a controller that is ready", || {
            let health: api::Health = process.get("/health").ok()?;
            (health.state == HealthState::Ready && health.nodes_up == 2).then_some(())
        })
        .await;
}

async fn desired_is_acknowledged(world: &World, process: &Process) {
    let key = signing::key();
    let _: api::KeyInfo = process.post("/keys", "application/json", &signing::trust_body(&key));
    let pushed: api::FunctionInfo =
        process.post("/functions", UPLOAD_TYPE, &signing::upload("ingest", 1, 1, &key));
    assert_eq!(pushed.sha256.len(), 64);
    let taken: api::WorkflowInfo =
        process.post("/workflows", "application/toml", WORKFLOW.as_bytes());
    // Placed at once, unless this machine was so busy that a lease ran out meanwhile: what follows waits.
    assert_eq!(taken.id.as_str(), "flood");
    let node = world
        .until("an acknowledged desired state", || {
            process.node("drone").filter(|n| n.tasks.len() == 1 && n.acknowledged == n.generation)
        })
        .await;
    assert_eq!((node.state, node.tasks[0].role.as_str()), (NodeState::Up, "owner"));
    let drives = world.until("driving", || {
        world.agent("drone", |agent, _| {
            let newest = agent.obeyed.last()?;
            (newest.drives.first()?.every_ms == 1000).then_some(newest.drives.len())
        })
    });
    assert_eq!(drives.await, 1);
}

async fn events_are_replayed_after_a_gap(world: &World, process: &Process) {
    let so_far = world.agent("drone", |agent, sky| {
        let so_far = agent.events.len();
        agent.run_finished(sky, "flood", 1, None);
        agent.run_finished(sky, "flood", 2, Some("too late"));
        so_far
    });
    // Only the second one is put; the first comes when it is asked for.
    world.put_event("drone", so_far + 1).await;
    let runs = world
        .until("both runs", || {
            let page: api::RunPage = process.get("/runs?workflow=flood").ok()?;
            (page.runs.len() == 2).then_some(page.runs)
        })
        .await;
    assert_eq!((runs[0].run, runs[0].failure.as_deref()), (RunId(1), None));
    assert_eq!((runs[1].run, runs[1].failure.as_deref()), (RunId(2), Some("too late")));
    assert_eq!(runs[0].result, "{\"targets\":3}");
    assert_eq!(process.node("drone").expect("the test's set-up works").events_lost, 0);
}

async fn garbage_is_counted(world: &World, process: &Process) {
    let before = process.node("sat-1").expect("the test's set-up works");
    let foreign = world.agent("drone", |agent, sky| agent.report(sky, queue()));
    let key = world.keys.report(&id("sat-1"), Group::Queue);
    for frame in [vec![], vec![0xff; 9], b"hello, controller".to_vec(), foreign] {
        world.bus.put(&key, frame, Class::Telemetry).await.expect("the test's set-up works");
    }
    let after = world
        .until("four refused frames", || {
            process.node("sat-1").filter(|n| n.frames_refused == before.frames_refused + 4)
        })
        .await;
    assert_eq!(after.state, NodeState::Up, "the session is kept");
    assert!(after.flags.iter().any(|flag| flag.contains("claims to come from drone")));
}

/// A run that ended under an earlier start of the drone's agent, and many reports as one.
async fn what_comes_late_is_kept_and_counted_once(world: &World, process: &Process) {
    let before = process.node("drone").expect("the test's set-up works");
    let boot = BootId(1_000);
    let mut event = world.agent("drone", |agent, _| {
        let is_run = |event: &&Event| matches!(event.kind, EventKind::RunFinished(_));
        agent.events.iter().rev().find(is_run).expect("a run has ended").clone()
    });
    (event.header.boot, event.header.seq) = (boot, 40);
    if let EventKind::RunFinished(record) = &mut event.kind {
        record.run = RunId(9_000);
    }
    let frame = encode(&event).expect("the test's set-up works");
    let summary = LateSummary {
        group: Group::Power,
        from: start(),
        to: start().plus_s(8.0),
        reports: 8,
        columns: vec![LateColumn { count: 8, min: 0.5, mean: 0.6, max: 0.7 }],
    };
    let bring = |stream, number, content| {
        let records = vec![LateRecord { id: number, content }];
        let late = Some(Late { boot, stream, records });
        let backlog = Backlog { node: id("drone"), boot: BootId(1), late };
        (world.keys.backlog(&backlog.node), encode(&backlog).expect("the test's set-up works"))
    };
    for _ in 0..2 {
        for (stream, number, content) in [
            (LateStream::Events, 40, LateContent::Frame(frame.clone())),
            (LateStream::Reports, 7, LateContent::Summary(summary.clone())),
        ] {
            let (key, frame) = bring(stream, number, content);
            let answer = world.bus.query(&key, frame, Class::Bulk, PATIENCE).await;
            let receipt: Receipt = decode(&answer.expect("a receipt")).expect("a receipt");
            assert_eq!(receipt.late_through, Some(number));
            assert_eq!(receipt.controller, id("controller"));
            assert!(receipt.reports_through != 0 && receipt.reports_seen & 1 == 1, "{receipt:?}");
        }
    }
    let runs: api::RunPage = process.get("/runs?workflow=flood").expect("the API answers");
    assert_eq!(runs.runs.iter().filter(|run| run.run == RunId(9_000)).count(), 1);
    let after = process.node("drone").expect("the test's set-up works");
    assert_eq!(after.reports_late, before.reports_late + 8);
    assert_eq!(after.events_late, before.events_late + 1);
    assert_eq!(after.reports_missed, before.reports_missed, "of another start");
    // Under the key of another node, nothing is taken and nothing is answered.
    let (_, frame) = bring(LateStream::Events, 41, LateContent::Frame(frame));
    let foreign = world.keys.backlog(&id("sat-1"));
    let refused = world.bus.query(&foreign, frame, Class::Bulk, Duration::from_secs(2)).await;
    assert!(refused.is_err(), "{refused:?}");
}

async fn reports_are_shown(world: &World, process: &Process) {
    world.put_report("sat-1", Group::Power, power(0.5)).await;
    world.put_report("sat-1", Group::Thermal, thermal(21.5)).await;
    let sky = world.sky();
    world.put_report("sat-1", Group::Link, link("drone", sky, 12_345)).await;
    let node = world
        .until("the readings", || process.node("sat-1").filter(|n| n.temperature_c.is_some()))
        .await;
    assert_eq!((node.state_of_charge, node.temperature_c), (Some(0.5), Some(21.5)));
    assert_eq!(node.state_bytes, Some(77));
    let samples = world.until("the sample", || {
        let links: api::LinkSamples = process.get("/links?after=0").ok()?;
        (!links.samples.is_empty()).then_some(links.samples)
    });
    let samples = samples.await;
    let sample = (&samples[0].node, &samples[0].peer, samples[0].rtt_us);
    assert_eq!(sample, (&id("sat-1"), &id("drone"), Some(12_345)));
}

async fn plan_and_modules_are_served(world: &World) {
    let ask = async |key: String, frame: Vec<u8>| {
        world
            .bus
            .query(&key, frame, Class::Bulk, Duration::from_secs(5))
            .await
            .expect("the test's set-up works")
    };
    let all = encode(&PlanQuery { have: None }).expect("the test's set-up works");
    let plan: PlanMessage =
        decode(&ask(world.keys.plan(), all.clone()).await).expect("the test's set-up works");
    assert_eq!(plan.pairs.len(), 6);
    let own = format!("{}?node=sat-1", world.keys.plan());
    let own: PlanMessage = decode(&ask(own, all).await).expect("the test's set-up works");
    assert_eq!(own.pairs.len(), 3);
    let have = encode(&PlanQuery { have: Some(own.version) }).expect("the test's set-up works");
    let same: PlanMessage =
        decode(&ask(world.keys.plan(), have).await).expect("the test's set-up works");
    assert_eq!((same.version, same.pairs.len()), (own.version, 0));

    let bytes = component(1);
    let sha256 = controller::deploy::sha256(&bytes);
    let key = world.keys.module(&FunctionId::new("ingest").expect("the test's set-up works"));
    let part = async |sha256, offset| -> ModuleChunk {
        let query = encode(&ModuleQuery { sha256, offset }).expect("the test's set-up works");
        decode(&ask(key.clone(), query).await).expect("the test's set-up works")
    };
    let total = u32::try_from(bytes.len()).expect("the test's set-up works");
    assert_eq!(part(sha256, 0).await, ModuleChunk::Part { total, bytes: bytes.clone() });
    let rest = bytes[10..].to_vec();
    assert_eq!(part(sha256, 10).await, ModuleChunk::Part { total, bytes: rest });
    assert_eq!(part([9; 32], 0).await, ModuleChunk::NotFound);

    // What nodes check it with: its signed manifest, under the hash that they are told, and whose signatures count.
    let told = world.agent("drone", |agent, _| {
        agent.obeyed.last().expect("the test's set-up works").tasks[0].function.clone()
    });
    assert_eq!((told.sha256, told.bytes), (sha256, total));
    let ModuleChunk::Part { bytes: signed, .. } = part(told.manifest, 0).await else {
        panic!("the signed manifest is not served");
    };
    assert_eq!(controller::deploy::sha256(&signed), told.manifest);
    let signed: SignedManifest = decode(&signed).expect("the test's set-up works");
    let signers: Signers =
        decode(&ask(world.keys.signers(), vec![]).await).expect("the test's set-up works");
    assert_eq!((signers.epoch, signers.serial), (LeaderEpoch(1), 1));
    assert!(controller::keys::is_signed_by(&signed, &signers.trusted[0].key));
}

fn objects_are_read_back(process: &Process) {
    let path = "/objects?workflow=flood&task=ingest&run=4&key=frames%2F0";
    for path in [path.to_owned(), format!("{path}&node=sat-1")] {
        let object: api::ObjectInfo = process.get(&path).expect("the test's set-up works");
        assert_eq!((object.bytes, object.version, object.intact), (1_500_000, Version(3), true));
    }
    let missing = process.get::<api::ObjectInfo>("/objects?workflow=flood&task=ingest&key=no");
    assert_eq!(missing.err(), Some(404));
    let nobody = process.get::<api::ObjectInfo>(&format!("{path}&node=nobody"));
    assert_eq!(nobody.err(), Some(404));
}

fn directory_and_port_are_not_shared(config: &Path, dir: &Path) {
    let (code, words) = Process::start(config, 0).refused();
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("in use by another controller"), "{words}");
    let text = std::fs::read_to_string(config)
        .expect("the test's set-up works")
        .replace("\"state\"", "\"other\"");
    let other = dir.join("other.toml");
    std::fs::write(&other, text).expect("the test's set-up works");
    let (code, words) = Process::start(&other, 0).refused();
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("cannot listen on 127.0.0.1"), "{words}");
}
