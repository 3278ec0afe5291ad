//! What is said between the parties of a schedule, and how a schedule may go wrong.

use std::rc::Rc;

use belt::group::{Kind, Part};
use belt::transfer::Layout;
use belt::{Hash, Stamp, hash_of};
use types::{NodeId, OwnerEpoch};

/// Bytes of a chunk: eight runs, so that bundles take several.
pub(crate) const CHUNK: usize = 32;

pub(crate) fn name(node: usize) -> NodeId {
    NodeId::new(&format!("n{node}")).expect("a letter and digits")
}

pub(crate) fn index(node: &NodeId) -> usize {
    node.as_str()[1..].parse().expect("made by name()")
}

/// A rule that the harness breaks on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    None,
    /// A call's writes are not synced.
    NoSyncOfCalls,
    /// An arrived bundle is not synced.
    NoSyncOfBundles,
    /// A record alone (grants, fences, roles) is not synced.
    NoSyncOfRecords,
    /// The answer goes out before the transaction is durable.
    AnswerBeforePersist,
    /// A bundle under an old epoch is taken nevertheless.
    IgnoreFence,
    /// The fence is asked when a bundle is offered, and not again when it has arrived.
    FenceOnlyAtOffer,
    /// The second copy is claimed and not made.
    NoSecondCopy,
    /// A stage that has committed runs again.
    NoStageTable,
    /// Bytes are not checked against their hash.
    NoHashCheck,
    /// Silence counts as a refusal of a grant.
    SilenceIsRefusal,
    /// The failover starts just one epoch above the known one.
    FailoverByOne,
    /// What a replaced state alone held is not kept.
    NothingKept,
    /// After a failover nobody looks for a fresher copy.
    NoCatchUp,
    /// A new owner looks for a fresher copy without showing its epoch first.
    NoFenceShown,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum RoleSpec {
    #[default]
    None,
    Own {
        epoch: u64,
        replica: Option<usize>,
        /// Who follows, and when.
        successor: Option<(usize, u64)>,
    },
    StandBy {
        owner: usize,
    },
}

impl RoleSpec {
    /// Where the second copy goes under this word, if it lets the node own anything.
    pub(crate) fn replica(&self) -> Option<Option<usize>> {
        match self {
            Self::None => None,
            Self::Own { replica, .. } => Some(*replica),
            Self::StandBy { owner } => Some(Some(*owner)),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Group { kind: Kind, epoch: OwnerEpoch, stamp: Stamp },
    Output { run: u32 },
}

#[derive(Clone, Debug)]
pub(crate) struct Bundle {
    pub(crate) content: Content,
    pub(crate) from: usize,
    pub(crate) hashes: Vec<Hash>,
    pub(crate) layout: Layout,
    pub(crate) hash: Hash,
    /// Only for the sender.
    pub(crate) bytes: Vec<u8>,
}

impl Bundle {
    pub(crate) fn new(content: Content, from: usize, items: &[Vec<u8>]) -> Rc<Self> {
        let hashes: Vec<Hash> = items.iter().map(|item| hash_of(item)).collect();
        let sizes = items.iter().map(|item| u64::try_from(item.len()).expect("small"));
        let layout = Layout::new(sizes, CHUNK, 1000).expect("small");
        let mut named = format!("{content:?} {from}").into_bytes();
        hashes.iter().for_each(|hash| named.extend_from_slice(hash));
        Rc::new(Self {
            content,
            from,
            hashes,
            layout,
            hash: hash_of(&named),
            bytes: items.concat(),
        })
    }

    pub(crate) fn run(&self) -> Option<u32> {
        match self.content {
            Content::Output { run } => Some(run),
            Content::Group { .. } => None,
        }
    }

    pub(crate) fn chunk(&self, chunk: u32) -> Vec<u8> {
        let start = usize::try_from(chunk).expect("small") * CHUNK;
        self.bytes[start..start + self.layout.chunk_len(chunk)].to_vec()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Fenced(OwnerEpoch),
    Declined,
    NoRoom,
    Corrupt,
    NoOffer,
}

#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Wanted(Vec<u32>),
    Taken,
    Durable,
    Refused(Refusal),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Moved(usize),
    Failed,
}

#[derive(Clone, Debug)]
pub(crate) struct Status {
    pub(crate) part: Part,
    pub(crate) stamp: Stamp,
    pub(crate) generation: u64,
    pub(crate) boot: u64,
}

/// A message to a node, or from it to the controller or the driver.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Invoke {
        run: u32,
        attempt: u32,
    },
    Offer {
        bundle: Rc<Bundle>,
        transfer: u64,
        request: u64,
    },
    Chunk {
        bundle: Hash,
        index: u32,
        bytes: Vec<u8>,
        transfer: u64,
        request: u64,
    },
    Replied {
        transfer: u64,
        request: u64,
        reply: Reply,
    },
    /// For the start of the node that the controller has heard: one that lost its store must not start over with none.
    SetRole {
        boot: u64,
        generation: u64,
        role: RoleSpec,
    },
    Poll,
    /// A new owner shows its epoch and looks for the freshest copy.
    Ask {
        request: u64,
        epoch: OwnerEpoch,
    },
    Told {
        request: u64,
        stamp: Stamp,
        items: Vec<Vec<u8>>,
    },
    // To the controller and the driver.
    Status(Status),
    Answered {
        run: u32,
        outcome: Outcome,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Deliver {
        from: usize,
        to: usize,
        message: Message,
    },
    /// A timer of a node; void if the node has restarted since.
    Timer {
        node: usize,
        boot: u64,
        timer: Timer,
    },
    ControllerTick,
    DriverTick,
    Restart {
        node: usize,
    },
    CrashNow {
        node: usize,
    },
    DestroyNow {
        node: usize,
    },
    KillNow {
        node: usize,
    },
    Cut {
        pair: (usize, usize),
        until: u64,
    },
    Heal {
        pair: (usize, usize),
    },
}

#[derive(Clone, Debug)]
pub(crate) enum Timer {
    Executed { call: u64 },
    NoReply { transfer: u64, request: u64 },
    HandOver,
    FreezeOver,
    Settle { run: u32 },
    LateSync,
    AskAgain { request: u64 },
}
