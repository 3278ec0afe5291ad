//! Real agents as processes on loopback, and a session of the test that plays their controller.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use protocol::desired::{
    Desired, DesiredReply, DriveSpec, FunctionRef, Role, StageSpec, TaskSpec, Verdict,
};
use protocol::event::{Event, EventKind, EventPage, EventQuery};
use protocol::invoke::{Budget, Invoke, Invoked};
use protocol::key::Keys;
use protocol::module::{MODULE_CHUNK_BYTES, ModuleChunk, ModuleQuery};
use protocol::report::{QueueReport, Report, ReportBody};
use protocol::signed::Signers;
use protocol::{Message, decode, encode};
use types::{
    BootId, Epoch, FleetId, FunctionId, Generation, LeaderEpoch, MiB, MilliCpu, NodeId,
    PlanVersion, RunId, SkyClock, TaskId, WallTime, WorkflowId,
};
use zenoh::Wait as _;

use crate::signing::{self, sha256};

/// How long anything may take on a busy machine before a test gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How long one question waits for its answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// Lines of an agent's log that a failed test shows.
const LOG_LINES: usize = 60;
/// Between two looks at something that is awaited.
const POLL: Duration = Duration::from_millis(50);

pub(super) const WORKFLOW: &str = "flood";

pub(super) fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("a valid name")
}

pub(super) fn workflow() -> WorkflowId {
    WorkflowId::new(WORKFLOW).expect("a valid name")
}

pub(super) fn task(name: &str) -> TaskId {
    TaskId::new(name).expect("a valid name")
}

pub(super) fn keys() -> Keys {
    Keys::new(&FleetId::new("test").expect("a valid name"))
}

/// A call of a task by the controller, which nothing comes along with.
pub(super) fn invoke(name: &str, run: u64, body: impl Into<Vec<u8>>) -> Invoke {
    Invoke {
        workflow: workflow(),
        task: task(name),
        run: RunId(run),
        attempt: 1,
        root: RunId(run),
        hops: 0,
        source: node("controller"),
        deadline_ms: 20_000,
        budget: Budget::default(),
        inputs: Vec::new(),
        outputs_to: None,
        content_type: String::new(),
        body: body.into(),
    }
}

/// An address that nobody uses now.
pub(super) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Waits until `look` finds something.
#[track_caller]
pub(super) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(POLL);
    }
}

/// An agent's process; it is killed with the test.
pub(super) struct Agent {
    pub(super) name: NodeId,
    pub(super) port: u16,
    config: PathBuf,
    child: Child,
}

impl Agent {
    /// Starts an agent that dials the given ports; `extra` is more of its configuration.
    pub(super) fn start(dir: &Path, name: &str, dials: &[u16], extra: &str) -> Self {
        Self::with_peers(dir, name, dials, &[], extra)
    }

    /// The same; it measures links to `peers`.
    pub(super) fn with_peers(
        dir: &Path,
        name: &str,
        dials: &[u16],
        peers: &[&str],
        extra: &str,
    ) -> Self {
        let port = free_port();
        let config = dir.join(format!("{name}.toml"));
        let dials: Vec<_> = dials.iter().map(|port| format!("\"tcp/127.0.0.1:{port}\"")).collect();
        let text = format!(
            "version = 1\n[node]\nname = \"{name}\"\nkind = \"edge\"\nfleet = \"test\"\n\
             [capacity]\nmilli_cpu = 4000\nmemory_mib = 1024\n\
             [bus]\ninsecure = true\nlisten = [\"tcp/127.0.0.1:{port}\"]\nconnect = [{}]\npeers = {peers:?}\n\
             [store]\ndir = \"{name}-store\"\naudit_log = \"{name}-audit.jsonl\"\n\
             [report]\ninterval_ms = 200\nping_interval_ms = 200\n{extra}",
            dials.join(", ")
        );
        std::fs::write(&config, text).expect("a writable directory");
        let child = spawn(&config);
        Self { name: node(name), port, config, child }
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was ours");
    }

    /// Who dialed it reaches it no more.
    pub(super) fn move_to_another_port(&mut self) {
        let text = std::fs::read_to_string(&self.config).expect("it was written");
        let (old, new) = (format!(":{}\"", self.port), free_port());
        std::fs::write(&self.config, text.replace(&old, &format!(":{new}\""))).expect("writable");
        self.port = new;
    }

    /// Starts it again after it ended.
    pub(super) fn restart(&mut self) {
        self.child = spawn(&self.config);
    }

    /// SIGTERM, and how it ended.
    pub(super) fn terminate(&mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        eventually("the end of the agent", || self.child.try_wait().expect("it was ours"))
    }

    /// Its configuration.
    pub(super) fn config(&self) -> &Path {
        &self.config
    }

    /// How it ended, if it has.
    pub(super) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it was ours")
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.config.with_extension("log"));
            let log = log.unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let first = lines.len().saturating_sub(LOG_LINES);
            say(&format!("--- end of the log of {}:\n{}", self.name, lines[first..].join("\n")));
        }
    }
}

fn spawn(config: &Path) -> Child {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(config.with_extension("log"))
        .expect("a writable directory");
    Command::new(env!("CARGO_BIN_EXE_starbelt-agent"))
        .args(["run", "--exit-with-parent", &std::process::id().to_string(), "--config"])
        .arg(config)
        .env("STARBELT_LOG", "info,agent=debug,zenoh=warn")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the agent is built")
}

/// Runs the agent's program to its end: exit code and what it said on stderr.
pub(super) fn run_to_end(arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_starbelt-agent"))
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the agent is built");
    let mut said = String::new();
    let mut stderr = child.stderr.take().expect("it is piped");
    stderr.read_to_string(&mut said).expect("text");
    (child.wait().expect("it was ours").code(), said)
}

/// A session of the test.
pub(super) struct Session {
    pub(super) zenoh: zenoh::Session,
    keys: Keys,
    events: Arc<Mutex<BTreeMap<EventName, Event>>>,
    reports: Arc<Mutex<Vec<Report>>>,
    held: Held,
    signers: Arc<Mutex<Signers>>,
}

/// Components and signed manifests by their hash.
type Held = Arc<Mutex<BTreeMap<[u8; 32], Vec<u8>>>>;

/// Gives parts of what is held.
fn serve_modules(session: &zenoh::Session, keys: &Keys, held: &Held) {
    let held = Arc::clone(held);
    session
        .declare_queryable(keys.modules())
        .callback(move |query| {
            let asked = query.payload().map(|p| p.to_bytes().into_owned()).unwrap_or_default();
            let Ok(asked) = decode::<ModuleQuery>(&asked) else { return };
            let held = held.lock().expect("no panic");
            let chunk = held.get(&asked.sha256).map_or(ModuleChunk::NotFound, |bytes| {
                let from = usize::try_from(asked.offset).unwrap_or(usize::MAX).min(bytes.len());
                let to = (from + MODULE_CHUNK_BYTES).min(bytes.len());
                let total = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                ModuleChunk::Part { total, bytes: bytes[from..to].to_vec() }
            });
            let frame = encode(&chunk).expect("a part fits");
            query.reply(query.key_expr().clone(), frame).wait().ok();
        })
        .background()
        .wait()
        .expect("a key");
}

/// Opens a session in router mode that dials and listens.
pub(super) fn open(listen: Option<u16>, dials: &[u16]) -> zenoh::Session {
    let mut config = zenoh::Config::default();
    let list = |ports: &[u16]| {
        let list: Vec<_> = ports.iter().map(|port| format!("\"tcp/127.0.0.1:{port}\"")).collect();
        format!("[{}]", list.join(","))
    };
    let listen: Vec<u16> = listen.into_iter().collect();
    for (key, value) in [
        ("mode", "\"router\"".to_owned()),
        ("listen/endpoints", list(&listen)),
        ("connect/endpoints", list(dials)),
        ("connect/retry", "{period_init_ms: 50, period_max_ms: 100}".to_owned()),
        ("scouting/multicast/enabled", "false".to_owned()),
        ("scouting/gossip/enabled", "false".to_owned()),
        ("scouting/delay", "0".to_owned()),
    ] {
        config.insert_json5(key, &value).expect("a known key");
    }
    let session = zenoh::open(config).wait().expect("a session");
    // Zenoh 1.10 panics at times when a router's session is closed while its links close too.
    std::mem::forget(session.clone());
    session
}

impl Session {
    /// A controller that hears all reports and events, and gives the modules of `functions`.
    pub(super) fn controller(dials: &[u16], functions: &[&str]) -> Self {
        Self::trusting(dials, functions, signing::signers(1, true))
    }

    /// The same, with another list of signers.
    pub(super) fn trusting(dials: &[u16], functions: &[&str], signers: Signers) -> Self {
        let (zenoh, keys) = (open(None, dials), keys());
        let events = Arc::<Mutex<BTreeMap<_, _>>>::default();
        let reports = Arc::<Mutex<Vec<_>>>::default();
        let (all_events, all_reports) = (Arc::clone(&events), Arc::clone(&reports));
        collect(&zenoh, &keys.all_events(), move |event: Event| {
            all_events.lock().expect("no panic").insert(name_of(&event), event);
        });
        collect(&zenoh, &keys.reports(), move |report| {
            all_reports.lock().expect("no panic").push(report);
        });
        let modules: Vec<_> = functions.iter().map(|name| module(name)).collect();
        let signed = functions.iter().zip(&modules).map(|(name, bytes)| signed(name, bytes));
        let held: BTreeMap<[u8; 32], Vec<u8>> =
            signed.chain(modules.iter().cloned()).map(|bytes| (sha256(&bytes), bytes)).collect();
        let held = Arc::new(Mutex::new(held));
        let signers = Arc::new(Mutex::new(signers));
        serve_modules(&zenoh, &keys, &held);
        let list = Arc::clone(&signers);
        zenoh
            .declare_queryable(keys.signers())
            .callback(move |query| {
                let frame = encode(&*list.lock().expect("no panic")).expect("a list fits");
                query.reply(query.key_expr().clone(), frame).wait().ok();
            })
            .background()
            .wait()
            .expect("a key");
        Self { zenoh, keys, events, reports, held, signers }
    }

    /// Has another list of signers, and puts it.
    pub(super) fn trust(&self, list: &Signers) {
        *self.signers.lock().expect("no panic") = list.clone();
        let frame = encode(list).expect("a list fits");
        self.zenoh.put(self.keys.signers(), frame).wait().expect("a session");
    }

    /// Has one more component or signed manifest.
    pub(super) fn hold(&self, bytes: &[u8]) {
        self.held.lock().expect("no panic").insert(sha256(bytes), bytes.to_vec());
    }

    /// Asks and waits for the first answer, if any comes.
    pub(super) fn ask(&self, key: &str, frame: Vec<u8>) -> Option<Vec<u8>> {
        ask(&self.zenoh, key, frame)
    }

    /// Calls a task of a node until it answers.
    #[track_caller]
    pub(super) fn invoke(&self, at: &NodeId, invoke: &Invoke) -> Invoked {
        let key = keys().invoke(at, &invoke.workflow, &invoke.task);
        self.answer(&key, &encode(invoke).expect("a valid message"))
    }

    /// Asks until an answer comes, and decodes it.
    #[track_caller]
    pub(super) fn answer<M: Message>(&self, key: &str, frame: &[u8]) -> M {
        let answer = eventually(key, || self.ask(key, frame.to_vec()));
        decode(&answer).unwrap_or_else(|error| panic!("{key}: {error}"))
    }

    /// Tells a node what is desired.
    #[track_caller]
    pub(super) fn tell(&self, desired: &Desired) -> DesiredReply {
        let frame = encode(desired).expect("a valid message");
        self.answer(&self.keys.desired(&desired.node), &frame)
    }

    /// How a node stands.
    #[track_caller]
    pub(super) fn status(&self, node: &NodeId) -> DesiredReply {
        self.answer(&self.keys.desired(node), &[])
    }

    /// The first event that `find` takes.
    #[track_caller]
    pub(super) fn event<T>(&self, what: &str, find: impl Fn(&Event) -> Option<T>) -> T {
        eventually(what, || {
            self.fill_gaps();
            self.events.lock().expect("no panic").values().find_map(&find)
        })
    }

    /// The events of a node so far, start by start as they were told first, in order.
    pub(super) fn events_of(&self, node: &NodeId) -> Vec<EventKind> {
        self.fill_gaps();
        let events = self.events.lock().expect("no panic");
        let mut of_node: Vec<_> = events.values().filter(|e| e.header.node == *node).collect();
        of_node.sort_by_key(|event| event.header.at);
        of_node.into_iter().map(|event| event.kind.clone()).collect()
    }

    /// Asks the nodes heard of for events that were told before this session was there.
    fn fill_gaps(&self) {
        let mut newest: BTreeMap<(NodeId, BootId), u64> = BTreeMap::new();
        for report in self.reports.lock().expect("no panic").iter() {
            let name = (report.header.node.clone(), report.header.boot);
            let seq = newest.entry(name).or_default();
            *seq = report.last_event_seq.max(*seq);
        }
        for ((node, boot), last) in newest {
            let known = self.events.lock().expect("no panic");
            let is_known = |seq: &u64| known.contains_key(&(node.clone(), boot, *seq));
            let Some(from_seq) = (1..=last).find(|seq| !is_known(seq)) else { continue };
            drop(known);
            let query = encode(&EventQuery { from_seq }).expect("a valid message");
            let Some(frame) = self.ask(&self.keys.events(&node), query) else { continue };
            let page: EventPage = decode(&frame).expect("agents send valid frames");
            let mut known = self.events.lock().expect("no panic");
            known.extend(page.events.into_iter().map(|event| (name_of(&event), event)));
        }
    }

    /// The reports that came in so far.
    pub(super) fn reports(&self) -> Vec<Report> {
        self.reports.lock().expect("no panic").clone()
    }

    /// The newest queue report of a node.
    pub(super) fn queue(&self, node: &NodeId) -> Option<QueueReport> {
        let reports = self.reports.lock().expect("no panic");
        reports.iter().rev().filter(|report| report.header.node == *node).find_map(|report| {
            match &report.body {
                ReportBody::Queue(queue) => Some(queue.clone()),
                _ => None,
            }
        })
    }
}

/// Asks one question.
pub(super) fn ask(session: &zenoh::Session, key: &str, frame: Vec<u8>) -> Option<Vec<u8>> {
    let (sender, answers) = mpsc::channel();
    let callback = move |reply: zenoh::query::Reply| {
        if let Ok(sample) = reply.result() {
            sender.send(sample.payload().to_bytes().into_owned()).ok();
        }
    };
    let get = session.get(key).payload(frame).timeout(ASK_TIMEOUT).callback(callback);
    get.wait().ok()?;
    // Ends without an answer as soon as the question has ended.
    answers.recv_timeout(ASK_TIMEOUT + Duration::from_secs(1)).ok()
}

/// What names an event: who told it, in which start, and its number there.
type EventName = (NodeId, BootId, u64);

fn name_of(event: &Event) -> EventName {
    (event.header.node.clone(), event.header.boot, event.header.seq)
}

pub(super) fn collect<M: Message>(
    session: &zenoh::Session,
    key: &str,
    take: impl Fn(M) + Send + Sync + 'static,
) {
    let decoded = move |sample: zenoh::sample::Sample| {
        take(decode(&sample.payload().to_bytes()).expect("agents send valid frames"));
    };
    let key = key.to_owned();
    session.declare_subscriber(key).callback(decoded).background().wait().expect("a key");
}

/// The signed manifest of an example.
fn signed(name: &str, component: &[u8]) -> Vec<u8> {
    signing::sign(&signing::manifest(name, component))
}

/// The bytes of an example function, if it is built.
pub(super) fn module(name: &str) -> Vec<u8> {
    std::fs::read(artifacts::component_path(name)).expect("available() was asked")
}

/// Whether the example functions are built; says why a test is skipped if not.
pub(super) fn functions_are_built() -> bool {
    match artifacts::available() {
        Ok(()) => true,
        Err(missing) => {
            say(&format!("skipped: {missing}"));
            false
        }
    }
}

#[expect(clippy::print_stdout, reason = "tests say what they measured or why they are skipped")]
pub(super) fn say(text: &str) {
    println!("{text}");
}

/// What a node is to do.
pub(super) fn desired(
    node: &NodeId,
    generation: u64,
    tasks: &[TaskSpec],
    drives: &[DriveSpec],
) -> Desired {
    Desired {
        node: node.clone(),
        epoch: LeaderEpoch(1),
        generation: Generation(generation),
        decided_at: Epoch::from_unix_ns(0),
        plan: PlanVersion(1),
        tasks: tasks.to_vec(),
        drives: drives.to_vec(),
        callees: Vec::new(),
    }
}

/// A task that runs the example function of the same name.
pub(super) fn task_spec(name: &str, role: Role, replica: Option<&NodeId>) -> TaskSpec {
    let bytes = module(name);
    TaskSpec {
        workflow: workflow(),
        task: task(name),
        function: FunctionRef {
            name: FunctionId::new(name).expect("a valid name"),
            sha256: sha256(&bytes),
            bytes: u32::try_from(bytes.len()).expect("a few kilobytes"),
            manifest: sha256(&signed(name, &bytes)),
        },
        role,
        replica: replica.cloned(),
        milli_cpu: MilliCpu(500),
        memory_mib: MiB(64),
        linear_memory_mib: MiB(64),
        deadline_ms: 20_000,
        sources: Vec::new(),
    }
}

/// A stage of a drive.
pub(super) fn stage(name: &str, node: &NodeId, after: &[&str]) -> StageSpec {
    StageSpec {
        task: task(name),
        node: node.clone(),
        deadline_ms: 20_000,
        after: after.iter().map(|name| task(name)).collect(),
        sources: Vec::new(),
    }
}

/// Whether an answer took the desired state.
pub(super) fn is_taken(reply: &DesiredReply) -> bool {
    matches!(reply.verdict, Verdict::Accepted | Verdict::Adopted)
}

/// A sky that runs `rate` times as fast as the wall clock, from now on.
pub(super) fn sky(rate: f64) -> SkyClock {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let wall_ns = i64::try_from(since.expect("after 1970").as_nanos()).expect("before 2262");
    SkyClock::new(Epoch::from_unix_ns(wall_ns), WallTime(wall_ns), rate).expect("a valid rate")
}
