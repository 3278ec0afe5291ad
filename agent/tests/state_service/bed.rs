//! Nodes in one process: real state services whose queries go from one to the other, or get lost.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent::state::{
    Begin, CallState, CommitCost, GroupEvent, GroupId, PeerError, Peers, RoleChange, StateService,
    StoreConfig,
};
use protocol::desired::{Role, Successor};
use protocol::invoke::{Budget, Committed, Fault, Input, Invoke};
use protocol::key::BeltService;
use protocol::{Message, decode, encode};
use tempfile::TempDir;
use tokio::time::Instant;
use types::{Epoch, NodeId, OwnerEpoch, RunId, StateKey, TaskId, WindowId, WorkflowId};

pub(crate) const MIB: u64 = 1024 * 1024;
pub(crate) const QUOTA: u64 = 64 * MIB;

pub(crate) fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("a good name")
}

pub(crate) fn key(name: &str) -> StateKey {
    StateKey::new(name).expect("a good key")
}

pub(crate) fn group() -> GroupId {
    GroupId { workflow: WorkflowId::new("flood").expect("good"), task: task() }
}

pub(crate) fn task() -> TaskId {
    TaskId::new("detect").expect("a good name")
}

/// The controller's word for the owner.
pub(crate) fn own(epoch: u64) -> Role {
    Role::Owner { owner_epoch: OwnerEpoch(epoch), successor: None }
}

pub(crate) fn own_until(epoch: u64, successor: &str) -> Role {
    let at = Epoch::from_unix_ns(0);
    let successor = Successor { node: node(successor), at, window: WindowId(7), window_closes: at };
    Role::Owner { owner_epoch: OwnerEpoch(epoch), successor: Some(successor) }
}

pub(crate) fn stand_by(owner: &str) -> Role {
    Role::Standby { owner: node(owner), expected_at: Epoch::from_unix_ns(0) }
}

/// A call of the stage of `run`.
pub(crate) fn invoke(run: u64, attempt: u32) -> Invoke {
    Invoke {
        workflow: group().workflow,
        task: group().task,
        run: RunId(run),
        attempt,
        root: RunId(run),
        hops: 1,
        source: node("driver"),
        deadline_ms: 10_000,
        budget: Budget::default(),
        inputs: Vec::new(),
        outputs_to: None,
        content_type: "application/octet-stream".to_owned(),
        body: Vec::new(),
    }
}

/// What happens to a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrives,
    /// It does not arrive.
    Lost,
    /// It arrives; its answer does not.
    AnswerLost,
    /// One bit of it is turned on the way.
    Damaged,
    /// Nobody ever hears of it again.
    Hangs,
}

/// A query on its way.
pub(crate) struct Query<'a> {
    pub(crate) from: &'a NodeId,
    pub(crate) to: &'a NodeId,
    pub(crate) service: BeltService,
}

type Fates = Box<dyn FnMut(&Query<'_>) -> Fate + Send>;

#[derive(Default)]
struct Shared {
    services: BTreeMap<NodeId, StateService>,
    events: Vec<(NodeId, GroupEvent)>,
    fates: Option<Fates>,
    /// Queries that were sent, by service.
    sent: BTreeMap<BeltService, u32>,
}

/// All nodes of a test.
#[derive(Clone)]
pub(crate) struct Bed {
    dir: Arc<TempDir>,
    shared: Arc<Mutex<Shared>>,
}

impl Bed {
    pub(crate) fn new(names: &[&str]) -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("a directory for temporary files"));
        let bed = Self { dir, shared: Arc::default() };
        for name in names {
            bed.start(name);
        }
        bed
    }

    fn with<T>(&self, work: impl FnOnce(&mut Shared) -> T) -> T {
        work(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn config(&self, name: &str) -> StoreConfig {
        StoreConfig {
            dir: self.dir.path().join(name),
            quota_bytes: QUOTA,
            audit_log: Some(self.dir.path().join(format!("{name}.audit"))),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Opens a node's store and puts it on the net; again after [`Bed::stop`].
    pub(crate) fn start(&self, name: &str) -> StateService {
        let service = StateService::open(&self.config(name), node(name)).expect("the store opens");
        self.add(name, service.clone());
        service
    }

    pub(crate) fn add(&self, name: &str, service: StateService) {
        self.with(|shared| shared.services.insert(node(name), service));
    }

    /// Takes a node from the net and lets go of its store.
    pub(crate) fn stop(&self, name: &str) {
        self.with(|shared| shared.services.remove(&node(name)));
    }

    pub(crate) fn service(&self, name: &str) -> StateService {
        self.with(|shared| shared.services.get(&node(name)).cloned()).expect("the node is up")
    }

    /// Gives a node its role.
    pub(crate) fn role(&self, name: &str, role: &Role, replica: Option<&str>) -> RoleChange {
        let change = self.service(name).set_role(&group(), role, replica.map(node));
        change.expect("the store works")
    }

    /// The bus as a node sees it.
    pub(crate) fn bus(&self, name: &str) -> Bus {
        Bus { me: node(name), bed: self.clone() }
    }

    /// Decides what happens to queries from now on.
    pub(crate) fn fates(&self, fates: impl FnMut(&Query<'_>) -> Fate + Send + 'static) {
        self.with(|shared| shared.fates = Some(Box::new(fates)));
    }

    pub(crate) fn all_arrives(&self) {
        self.with(|shared| shared.fates = None);
    }

    /// Chunks sent since this was asked last.
    pub(crate) fn chunks_sent(&self) -> u32 {
        self.with(|shared| shared.sent.remove(&BeltService::Chunk).unwrap_or(0))
    }

    pub(crate) fn take_events(&self) -> Vec<(NodeId, GroupEvent)> {
        self.with(|shared| std::mem::take(&mut shared.events))
    }

    /// The audit log of a node, one value for each line.
    pub(crate) fn audit(&self, name: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.dir.path().join(format!("{name}.audit")));
        let text = text.expect("the log is there");
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }

    /// The shell's part of a call: begin, fetch, run `function`, commit.
    pub(crate) async fn call(
        &self,
        name: &str,
        call: &Invoke,
        function: impl FnOnce(&mut CallState) -> Vec<u8>,
    ) -> Result<(Committed, CommitCost), Fault> {
        let (service, bus) = (self.service(name), self.bus(name));
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut state = loop {
            match service.begin(call)? {
                Begin::Again(done) => return Ok((done, CommitCost::default())),
                Begin::Missing(inputs) => _ = service.fetch(&bus, &inputs, deadline).await?,
                Begin::Ready(state) => break state,
            }
        };
        let body = function(&mut state);
        service.commit(&bus, call, state, body, deadline).await
    }

    /// A call that appends its run to the lasting log and writes it out.
    pub(crate) async fn append(&self, name: &str, call: &Invoke) -> Result<Committed, Fault> {
        self.call(name, call, |state| append_run(state, call.run.0)).await.map(|(done, _)| done)
    }

    /// The lasting log, as a node holds it.
    pub(crate) fn log(&self, name: &str) -> Vec<u64> {
        read_log(&self.service(name))
    }
}

/// What the test function does.
pub(crate) fn append_run(state: &mut CallState, run: u64) -> Vec<u8> {
    let log = state.state_get(&key("log")).expect("state is readable");
    let mut log = log.map(|(bytes, _)| bytes).unwrap_or_default();
    log.extend(run.to_le_bytes());
    state.state_put(&key("log"), log, None).expect("state is writable");
    state.output_write(&key("run"), run.to_le_bytes().to_vec()).expect("outputs are writable");
    format!("run {run}").into_bytes()
}

pub(crate) fn read_log(service: &StateService) -> Vec<u64> {
    let bytes = read_value(service, "log").unwrap_or_default();
    bytes.as_chunks::<8>().0.iter().map(|eight| u64::from_le_bytes(*eight)).collect()
}

pub(crate) fn value_id(name: &str) -> types::ObjectId {
    let GroupId { workflow, task } = group();
    types::ObjectId { workflow, run: None, task, key: key(name) }
}

pub(crate) fn read_value(service: &StateService, name: &str) -> Option<Vec<u8>> {
    read_object(service, &value_id(name))
}

/// Reads an object back over the service that other nodes use.
pub(crate) fn read_object(service: &StateService, id: &types::ObjectId) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let fetch = protocol::belt::Fetch { id: id.clone(), offset: all.len() as u64 };
        match service.on_fetch(fetch) {
            protocol::belt::Fetched::Part { meta, bytes } => {
                all.extend(bytes);
                if meta.bytes <= all.len() as u64 {
                    assert_eq!(belt::hash_of(&all), meta.hash, "{id} is not what it should be");
                    return Some(all);
                }
            }
            _ => return None,
        }
    }
}

/// An input as the driver names it.
pub(crate) fn input(done: &Committed, holder: &str) -> Vec<Input> {
    let input = |object: &protocol::belt::ObjectMeta| Input {
        object: object.clone(),
        holder: node(holder),
    };
    done.outputs.iter().map(input).collect()
}

#[derive(Clone)]
pub(crate) struct Bus {
    me: NodeId,
    bed: Bed,
}

impl Peers for Bus {
    async fn belt(
        &self,
        to: &NodeId,
        service: BeltService,
        mut payload: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, PeerError> {
        let silence = || PeerError::Timeout { node: to.clone(), waited: timeout };
        let (fate, peer) = self.bed.with(|shared| {
            *shared.sent.entry(service).or_default() += 1;
            let query = Query { from: &self.me, to, service };
            let fate = shared.fates.as_mut().map_or(Fate::Arrives, |fates| fates(&query));
            (fate, shared.services.get(to).cloned())
        });
        match fate {
            Fate::Lost => return Err(silence()),
            Fate::Hangs => std::future::pending().await,
            Fate::Damaged => {
                let last = payload.len() - 1;
                payload[last] ^= 1;
            }
            Fate::Arrives | Fate::AnswerLost => {}
        }
        let peer = peer.ok_or_else(|| PeerError::Unreachable {
            node: to.clone(),
            reason: "it is down".to_owned(),
        })?;
        let served = tokio::task::spawn_blocking(move || serve(&peer, service, &payload));
        let (answer, event) = served.await.expect("serving does not panic");
        if let Some(event) = event {
            self.bed.with(|shared| shared.events.push((to.clone(), event)));
        }
        if fate == Fate::AnswerLost { Err(silence()) } else { answer.ok_or_else(silence) }
    }
}

/// What the shell of a node does with a query.
fn serve(
    service: &StateService,
    what: BeltService,
    payload: &[u8],
) -> (Option<Vec<u8>>, Option<GroupEvent>) {
    fn answered<Q: Message, A: Message>(
        payload: &[u8],
        answer: impl FnOnce(Q) -> (A, Option<GroupEvent>),
    ) -> (Option<Vec<u8>>, Option<GroupEvent>) {
        let Ok(query) = decode(payload) else { return (None, None) };
        let (answer, event) = answer(query);
        (Some(encode(&answer).expect("answers are valid")), event)
    }
    match what {
        BeltService::Offer => answered(payload, |offer| service.on_offer(offer)),
        BeltService::Chunk => answered(payload, |chunk| service.on_chunk(chunk)),
        BeltService::Fetch => answered(payload, |fetch| (service.on_fetch(fetch), None)),
        BeltService::Inventory => answered(payload, |query| (service.on_inventory(query), None)),
    }
}
