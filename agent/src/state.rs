//! State of a node: single-writer groups, stage commits, transfers. Runs the machines of `belt` over the store.
//!
//! All methods that are not `async` block for at most one durable commit (milliseconds): the shell calls them on a
//! blocking thread. The `async` ones move their own blocking work there.

use std::path::PathBuf;
use std::sync::Arc;

use protocol::belt::{
    Chunk, ChunkReply, Fetch, Fetched, Inventory, InventoryQuery, ObjectMeta, Offer, OfferReply,
};
use protocol::desired::Role;
use protocol::invoke::{Committed, Fault, Input, Invoke, LinkBytes};
use tokio::time::Instant;
use types::{Epoch, FunctionId, NodeId, OwnerEpoch, RunId, SkyClock, StateKey, TaskId, WorkflowId};

mod audit;
mod bundle;
mod call;
mod catch_up;
mod commit;
mod fetch;
mod groups;
mod handover;
mod inner;
mod install;
mod memory;
mod parcels;
mod peers;
mod push;
mod roles;
mod serve;

pub use belt::GroupId;
pub use call::{
    CallState, GROUP_VALUES_MAX, Mark, OUTPUT_BYTES_MAX, STATE_BYTES_MAX, STATE_OPS_MAX,
    StateFault, VALUE_BYTES_MAX,
};
pub use parcels::{Lending, are_parcels};
pub use peers::{PeerError, Peers};

pub use crate::store::{StateError, StoreUsage};

use crate::store::{Store, Sync};
use audit::Audit;
use inner::Inner;

/// Name of the store's file in its directory.
const FILE: &str = "state.redb";
/// Largest record of the shell: a desired state has 256 KiB.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// Where and how much a node stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// Directory of `state.redb`; made if absent.
    pub dir: PathBuf,
    /// Most bytes of objects; 15 % of it are for what others entrust to this node.
    pub quota_bytes: u64,
    /// Where one JSON line is appended for each acknowledged object, if anywhere.
    pub audit_log: Option<PathBuf>,
}

/// Why a transfer did not reach its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// This node is not the owner (any more).
    #[error("{group} is not owned here")]
    NotOwner {
        /// The group.
        group: GroupId,
    },
    /// The other node did not answer; what it has stays there, and trying again resumes.
    #[error("{to} did not answer: {reason}")]
    Unanswered {
        /// Who.
        to: NodeId,
        /// What was tried last.
        reason: String,
    },
    /// The other node refuses; trying again is no use before something changes.
    #[error("{to} refuses: {reason}")]
    Refused {
        /// Who.
        to: NodeId,
        /// Its words.
        reason: String,
    },
    /// A newer owner is known there; this node has stepped down.
    #[error("{to} knows a newer owner, epoch {owner_epoch}")]
    Fenced {
        /// Who says so.
        to: NodeId,
        /// The epoch of the newer owner.
        owner_epoch: OwnerEpoch,
    },
    /// The store failed.
    #[error("{0}")]
    Store(String),
}

/// What became of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleChange {
    /// This node is owner from now on, under this epoch (failover or first owner).
    pub took_over: Option<OwnerEpoch>,
    /// This node was owner until now.
    pub stepped_down: bool,
    /// The role was not taken: a newer owner, of this epoch, is known here.
    pub outranked: Option<OwnerEpoch>,
}

/// The part that this node plays for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Nothing is known of the group here.
    Unknown,
    /// Only a copy, read-only.
    Copy,
    /// Waits for the grant.
    Standby,
    /// Owns it.
    Owner,
    /// Owns it, hands over: no new calls.
    Freezing {
        /// To whom.
        to: NodeId,
    },
    /// Has granted it; the new owner has not confirmed yet.
    Granting {
        /// To whom.
        to: NodeId,
    },
    /// Has handed it over.
    Released {
        /// To whom.
        to: NodeId,
    },
}

/// How a group stands here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// The part that this node plays.
    pub ownership: Ownership,
    /// The epoch of the state held here; 0 if none.
    pub owner_epoch: OwnerEpoch,
    /// Bytes of its values held here.
    pub state_bytes: u64,
    /// Its values held here.
    pub objects: u32,
    /// For the owner: the second copy is confirmed up to the newest commit. For others: the newest commit of
    /// the owner that is known here is held.
    pub replica_current: bool,
}

/// Something that happened to a group because of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupEvent {
    /// This node became the owner by a planned hand-over.
    TookOver {
        /// The group.
        group: GroupId,
        /// Under this epoch.
        owner_epoch: OwnerEpoch,
        /// Who owned it before.
        from: NodeId,
    },
    /// The whole group, as of a commit of its owner, is here and durable.
    ReplicaCurrent {
        /// The group.
        group: GroupId,
    },
}

/// What a call may do.
#[derive(Debug)]
pub enum Begin {
    /// The stage was committed by an earlier attempt: answer this.
    Again(Committed),
    /// These inputs are not here: fetch them, then begin again. After a failover the newest state of the task may be
    /// among them; the fetch then asks all neighbours for it.
    Missing(Vec<Input>),
    /// Run the function.
    Ready(CallState),
}

/// What a commit cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitCost {
    /// Until durable here and on the second node, nanoseconds.
    pub commit_ns: u64,
    /// Bytes pushed, for each copy.
    pub pushed: Vec<LinkBytes>,
}

/// What a garbage collection freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The state of a node; clones are handles to the same.
#[derive(Clone, Debug)]
pub struct StateService {
    inner: Arc<Inner>,
}

impl StateService {
    /// Opens the store and adopts what is there.
    ///
    /// # Errors
    /// [`StateError`] when directory or file cannot be used.
    pub fn open(config: &StoreConfig, me: NodeId) -> Result<Self, StateError> {
        let what = || format!("make {}", config.dir.display());
        std::fs::create_dir_all(&config.dir).map_err(|error| StateError::new(&what(), error))?;
        let store = Store::open(&config.dir.join(FILE), config.quota_bytes)?;
        Self::with(store, config, me)
    }

    /// Opens the store on any backend of redb instead of the file in `config.dir`.
    ///
    /// # Errors
    /// [`StateError`] when the backend cannot be used.
    pub fn open_on(
        backend: impl redb::StorageBackend,
        config: &StoreConfig,
        me: NodeId,
    ) -> Result<Self, StateError> {
        Self::with(Store::open_on(backend, config.quota_bytes)?, config, me)
    }

    fn with(store: Store, config: &StoreConfig, me: NodeId) -> Result<Self, StateError> {
        let audit = config.audit_log.as_deref().map(Audit::open).transpose()?;
        Ok(Self { inner: Arc::new(Inner::open(store, audit, me)?) })
    }

    /// From now on audit lines and ages are in the time of this sky; the wall clock before the first call.
    pub fn set_clock(&self, clock: SkyClock) {
        self.inner.set_clock(clock);
    }

    /// Tells whom to ask for a fresher copy of a group when this node becomes its owner by a failover. Without
    /// neighbours a new owner serves what it holds.
    pub fn set_neighbours(&self, nodes: &[NodeId]) {
        self.inner.set_neighbours(nodes);
    }

    /// Puts a standing object of a data source into the store; a no-op when it is there.
    ///
    /// # Errors
    /// [`StateError`] when it does not fit or the store fails.
    pub fn put_source(
        &self,
        name: &TaskId,
        key: &StateKey,
        bytes: &[u8],
    ) -> Result<ObjectMeta, StateError> {
        self.inner.put_source(name, key, bytes)
    }

    /// Takes the part of the desired state. The same role again changes nothing.
    ///
    /// # Errors
    /// [`StateError`] when the store fails; the role is then not taken.
    pub fn set_role(
        &self,
        group: &GroupId,
        role: &Role,
        replica: Option<NodeId>,
    ) -> Result<RoleChange, StateError> {
        self.inner.set_role(group, role, replica)
    }

    /// The task is not desired here any more: its bytes stay, read-only.
    ///
    /// # Errors
    /// [`StateError`] when the store fails.
    pub fn drop_role(&self, group: &GroupId) -> Result<(), StateError> {
        self.inner.drop_role(group)
    }

    /// How a group stands here.
    pub fn group_status(&self, group: &GroupId) -> GroupStatus {
        self.inner.group_status(group)
    }

    /// Starts a call of a stage.
    ///
    /// A stage that was acknowledged here is answered again whoever owns the group by now. One that is durable here
    /// and was never acknowledged (a crash came between) may run again: its commit then writes nothing, makes the
    /// second copies and acknowledges the first result.
    ///
    /// # Errors
    /// [`Fault::Moved`] when another node owns the task, [`Fault::Busy`] while it is being handed over (wait and
    /// begin again) or its grant is still to come, [`Fault::NotFound`] when the task is not here.
    pub fn begin(&self, call: &Invoke) -> Result<Begin, Fault> {
        self.inner.begin(call)
    }

    /// Fetches missing inputs from their holders; answers what came over which link.
    ///
    /// # Errors
    /// [`Fault::InputMissing`] when a holder does not give one in time.
    pub async fn fetch(
        &self,
        peers: &impl Peers,
        inputs: &[Input],
        deadline: Instant,
    ) -> Result<Vec<LinkBytes>, Fault> {
        self.inner.fetch(peers, inputs, deadline).await
    }

    /// Fetches inputs that later calls will need and this node lacks, one after the other; answers how many bytes came. What is more
    /// than one call may take in all is left to the calls, and so is what there is no room for.
    ///
    /// # Errors
    /// [`Fault`] when a holder does not give one in time, or the store has no room.
    pub async fn fetch_ahead(
        &self,
        peers: &impl Peers,
        inputs: Vec<Input>,
        deadline: Instant,
    ) -> Result<u64, Fault> {
        self.inner.fetch_ahead(peers, inputs, deadline).await
    }

    /// Commits a stage: one durable transaction here, then the second copies, then the audit log.
    ///
    /// May be dropped at any point: what is durable by then is found by the next attempt.
    ///
    /// # Errors
    /// [`Fault::Moved`] when the owner changed meanwhile, [`Fault::Conflict`] when what it read has changed,
    /// [`Fault::Busy`] when there is no room; then nothing of the call is acknowledged.
    pub async fn commit(
        &self,
        peers: &impl Peers,
        call: &Invoke,
        state: CallState,
        body: Vec<u8>,
        deadline: Instant,
    ) -> Result<(Committed, CommitCost), Fault> {
        commit::commit(&self.inner, peers, call, state, body, deadline).await
    }

    /// Lends objects to a call of a function elsewhere, for as long as the answer lives; `None` if there is no room for them now.
    pub fn lend(
        &self,
        call: (&WorkflowId, RunId),
        objects: &[(StateKey, &[u8])],
    ) -> Option<Lending> {
        self.inner.lend(call, objects)
    }

    /// Fetches what a function that was called on `holder` has written.
    ///
    /// # Errors
    /// [`Fault::InputMissing`] when it does not come in time, [`Fault::TooLarge`] when it is more than a call may write.
    pub async fn bring_back(
        &self,
        peers: &impl Peers,
        outputs: &[ObjectMeta],
        holder: &NodeId,
        deadline: Instant,
    ) -> Result<Vec<(StateKey, Vec<u8>)>, Fault> {
        self.inner.bring_back(peers, outputs, holder, deadline).await
    }

    /// Forgets the objects that came along with a call of a function, when it has ended.
    ///
    /// # Errors
    /// [`StateError`] when the store fails.
    pub fn forget_parcels(&self, call: &Invoke) -> Result<(), StateError> {
        self.inner.forget_parcels(call)
    }

    /// Keeps what an instance of a function wants to be remembered, as part of the state of its task: it goes where that goes, and
    /// the next instance gets it ([`CallState::take_memory`]). With `copy` the second copy of the state is made at once, if one is
    /// planned.
    ///
    /// # Errors
    /// [`StateError`] when this node does not own the task under this epoch, and when the store fails; nothing is kept then.
    pub async fn remember(
        &self,
        peers: &impl Peers,
        (group, epoch): (&GroupId, OwnerEpoch),
        function: &FunctionId,
        memory: Vec<u8>,
        copy: bool,
    ) -> Result<(), StateError> {
        memory::remember(&self.inner, peers, (group, epoch), function, memory, copy).await
    }

    /// Answers an offer.
    pub fn on_offer(&self, offer: Offer) -> (OfferReply, Option<GroupEvent>) {
        self.inner.on_offer(offer)
    }

    /// Takes a chunk.
    pub fn on_chunk(&self, chunk: Chunk) -> (ChunkReply, Option<GroupEvent>) {
        self.inner.on_chunk(&chunk)
    }

    /// Reads a part of an object.
    pub fn on_fetch(&self, fetch: Fetch) -> Fetched {
        self.inner.on_fetch(&fetch)
    }

    /// Lists what is held. The object `.group` of a task stands for the whole group: its owner epoch and version say
    /// which commit is held, so that of two copies the fresher one can be told.
    pub fn on_inventory(&self, query: InventoryQuery) -> Inventory {
        self.inner.on_inventory(&query)
    }

    /// Brings the whole group to `to`; a no-op when it is there. Resumes a broken transfer.
    ///
    /// # Errors
    /// [`TransferError`].
    pub async fn replicate(
        &self,
        peers: &impl Peers,
        group: &GroupId,
        to: &NodeId,
    ) -> Result<(), TransferError> {
        self.inner.replicate(peers, group, to).await
    }

    /// Hands a group over: copies it, waits for calls in flight, persists the grant, sends it with the last changes,
    /// and answers the epoch of the new owner when that has confirmed. After `Unanswered` call it again: the grant
    /// stands, also after a restart ([`Ownership::Granting`]). After `Refused` this node owns the group again, under
    /// the epoch that it had offered; it hands over again when the controller has named that epoch.
    ///
    /// # Errors
    /// [`TransferError`].
    pub async fn hand_over(
        &self,
        peers: &impl Peers,
        group: &GroupId,
        to: &NodeId,
    ) -> Result<OwnerEpoch, TransferError> {
        self.inner.hand_over(peers, group, to, std::future::ready(())).await
    }

    /// The same; `last` is awaited before calls are kept out, and what it answers is held until the end: it can write what is to go along.
    ///
    /// # Errors
    /// [`TransferError`].
    pub async fn hand_over_after<T: Send>(
        &self,
        peers: &impl Peers,
        group: &GroupId,
        to: &NodeId,
        last: impl Future<Output = T> + Send,
    ) -> Result<OwnerEpoch, TransferError> {
        self.inner.hand_over(peers, group, to, last).await
    }

    /// Keeps a small record of the shell, durably.
    ///
    /// # Errors
    /// [`StateError`] when the record is over [`RECORD_BYTES_MAX`] or the store fails.
    pub fn save_record(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        if RECORD_BYTES_MAX < bytes.len() {
            let reason = format!("{} bytes, the limit is {RECORD_BYTES_MAX}", bytes.len());
            return Err(StateError::new(&format!("save record {name}"), reason));
        }
        self.inner.store.write(Sync::Now, |writer| writer.put_record(name, bytes))
    }

    /// Reads a record of the shell.
    ///
    /// # Errors
    /// [`StateError`] when the store fails.
    pub fn load_record(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.inner.store.snapshot()?.record(name)
    }

    /// How full the store is.
    pub fn usage(&self) -> StoreUsage {
        self.inner.usage()
    }

    /// Frees what runs before `before` left: their outputs and commit records, never lasting state or sources; and
    /// chunks of transfers that nobody goes on with.
    ///
    /// # Errors
    /// [`StateError`] when the store fails.
    pub fn collect_garbage(&self, before: Epoch) -> Result<Collected, StateError> {
        self.inner.collect_garbage(before)
    }

    /// Objects that are kept beside the state of their group: a newer owner's state has replaced them although this
    /// node may be the only one that held them.
    ///
    /// # Errors
    /// [`StateError`] when the store fails.
    pub fn kept(&self) -> Result<Vec<ObjectMeta>, StateError> {
        let rows = self.inner.store.snapshot()?.kept()?;
        Ok(rows.into_iter().map(|row| row.meta).collect())
    }

    /// The node whose state this is.
    pub fn node(&self) -> &NodeId {
        &self.inner.me
    }
}
