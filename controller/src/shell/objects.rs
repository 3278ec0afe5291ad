//! Reads objects back over the bus, part by part, hashing what comes.

use std::time::Duration;

use protocol::belt::{BUNDLE_BYTES_MAX, Fetch, Fetched, ObjectMeta};
use protocol::key::{BeltService, Keys};
use protocol::{decode, encode};
use types::{NodeId, ObjectId};

use super::zenoh::{Bus, Class};
use crate::api::ObjectInfo;

/// How long one part may take: 1 MiB over the slowest path in use.
const PART_TIMEOUT: Duration = Duration::from_secs(3);
/// Starts anew when the object is written while it is read.
const STARTS_MAX: u32 = 3;

/// Why an object was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// None of the nodes that answered has it.
    #[error("{object} is on none of: {}", names(asked))]
    NotFound {
        /// Which.
        object: String,
        /// Who was asked.
        asked: Vec<NodeId>,
    },
    /// Nobody answered.
    #[error("{object} cannot be read now: {reason}")]
    Unavailable {
        /// Which.
        object: String,
        /// Why.
        reason: String,
    },
    /// A node must not say.
    #[error("{node} denies {object}")]
    Denied {
        /// Which.
        object: String,
        /// Who.
        node: NodeId,
    },
}

fn names(nodes: &[NodeId]) -> String {
    nodes.iter().map(NodeId::as_str).collect::<Vec<_>>().join(", ")
}

/// What a node said.
enum Answer {
    Read(Box<ObjectInfo>),
    NotFound,
    Denied,
    Silent(String),
}

/// Reads objects.
#[derive(Clone, Debug)]
pub struct Reader {
    bus: Bus,
    keys: Keys,
}

impl Reader {
    /// A reader on a bus.
    pub const fn new(bus: Bus, keys: Keys) -> Self {
        Self { bus, keys }
    }

    /// Reads an object from the first of some nodes that has it.
    ///
    /// # Errors
    /// [`ReadError`] when none has it, or none of those that answered.
    pub async fn read(&self, id: &ObjectId, nodes: &[NodeId]) -> Result<ObjectInfo, ReadError> {
        let object = id.to_string();
        let mut silent = None;
        let mut denied = None;
        for node in nodes {
            match self.read_from(node, id).await {
                Answer::Read(info) => return Ok(*info),
                Answer::NotFound => {}
                Answer::Denied => denied = Some(node.clone()),
                Answer::Silent(reason) => silent = Some(reason),
            }
        }
        match (silent, denied) {
            (Some(reason), _) => Err(ReadError::Unavailable { object, reason }),
            (None, Some(node)) => Err(ReadError::Denied { object, node }),
            (None, None) => Err(ReadError::NotFound { object, asked: nodes.to_vec() }),
        }
    }

    async fn read_from(&self, node: &NodeId, id: &ObjectId) -> Answer {
        for _ in 0..STARTS_MAX {
            match self.read_once(node, id).await {
                Some(answer) => return answer,
                None => tracing::debug!(%node, object = %id, "changed while it was read"),
            }
        }
        Answer::Silent(format!("{node} writes it faster than it can be read"))
    }

    /// One pass over an object; `None` when it changed meanwhile.
    async fn read_once(&self, node: &NodeId, id: &ObjectId) -> Option<Answer> {
        let mut hasher = blake3::Hasher::new();
        let mut offset = 0;
        let mut first: Option<ObjectMeta> = None;
        loop {
            let (meta, bytes) = match self.part(node, id, offset).await {
                Ok(Fetched::Part { meta, bytes }) => (meta, bytes),
                Ok(Fetched::NotFound) if first.is_none() => return Some(Answer::NotFound),
                Ok(Fetched::NotFound) => return None,
                Ok(Fetched::Denied) => return Some(Answer::Denied),
                Err(reason) => return Some(Answer::Silent(reason)),
            };
            if first.as_ref().is_some_and(|first| *first != meta) {
                return None;
            }
            hasher.update(&bytes);
            offset += bytes.len() as u64;
            let is_short = bytes.is_empty() && offset < meta.bytes;
            if is_short || BUNDLE_BYTES_MAX < offset || meta.bytes <= offset {
                let hash = hasher.finalize();
                return Some(Answer::Read(Box::new(info(node, &meta, offset, hash))));
            }
            first = Some(meta);
        }
    }

    async fn part(&self, node: &NodeId, id: &ObjectId, offset: u64) -> Result<Fetched, String> {
        let key = self.keys.belt(node, BeltService::Fetch);
        let query = encode(&Fetch { id: id.clone(), offset }).map_err(|error| error.to_string())?;
        let frame = self.bus.query(&key, query, Class::Bulk, PART_TIMEOUT).await;
        let frame = frame.map_err(|error| error.to_string())?;
        decode(&frame).map_err(|error| format!("{node}: {error}"))
    }
}

fn info(node: &NodeId, meta: &ObjectMeta, read: u64, hash: blake3::Hash) -> ObjectInfo {
    ObjectInfo {
        workflow: meta.id.workflow.clone(),
        run: meta.id.run,
        task: meta.id.task.clone(),
        key: meta.id.key.clone(),
        node: node.clone(),
        version: meta.version,
        owner_epoch: meta.owner_epoch,
        bytes: read,
        hash: hash.to_hex().to_string(),
        intact: read == meta.bytes && *hash.as_bytes() == meta.hash,
    }
}
