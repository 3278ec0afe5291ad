//! Fetches objects that a call needs and this node lacks.

use std::sync::Arc;

use belt::hash_of;
use protocol::belt::{BUNDLE_BYTES_MAX, Fetch, Fetched, ObjectMeta};
use protocol::invoke::{Fault, Input, LinkBytes};
use protocol::key::BeltService;
use protocol::{decode, encode};
use tokio::time::{Duration, Instant, sleep};
use types::NodeId;

use super::Peers;
use super::groups::is_head;
use super::inner::{Inner, blocking, cut, internal};
use crate::store::{Room, Sync};

/// Longest wait for one part of 1 MiB: 5 Mbit/s.
const PART_PATIENCE: Duration = Duration::from_secs(2);
/// Before a holder is asked again.
const AGAIN: Duration = Duration::from_millis(100);

impl Inner {
    pub(super) async fn fetch(
        self: &Arc<Self>,
        peers: &impl Peers,
        inputs: &[Input],
        deadline: Instant,
    ) -> Result<Vec<LinkBytes>, Fault> {
        let mut links = Vec::new();
        // The head of a group stands for its newest state; who holds that is found by asking all.
        if let Some(input) = inputs.iter().find(|input| is_head(&input.object.id)) {
            links.extend(self.catch_up_for_call(peers, &input.object.id).await?);
        }
        for input in inputs.iter().filter(|input| !is_head(&input.object.id)) {
            let bytes = match self.lent_here(input) {
                Some(bytes) => bytes,
                None => {
                    let bytes = fetch_object(peers, input, deadline).await?;
                    let (node, received) = (input.holder.clone(), bytes.len() as u64);
                    links.push(LinkBytes { node, sent: 0, received });
                    bytes
                }
            };
            let (this, meta) = (Arc::clone(self), input.object.clone());
            blocking(internal, move || this.keep_fetched(&meta, &bytes)).await?;
        }
        Ok(links)
    }

    /// What a call of another tenant on this node brings along.
    fn lent_here(&self, input: &Input) -> Option<Vec<u8>> {
        let is_here = input.holder == self.me;
        let bytes = is_here.then(|| self.parcels.whole(&input.object.id)).flatten()?;
        Some(bytes.to_vec())
    }

    /// A cached copy: its holder has it too, so a crash may forget it.
    fn keep_fetched(&self, meta: &ObjectMeta, bytes: &[u8]) -> Result<(), Fault> {
        let at = self.stored_at();
        let kept = self.store.write(Sync::Later, |writer| {
            if writer.object(&meta.id)?.is_some_and(|row| row.meta.hash == meta.hash) {
                return Ok(());
            }
            if meta.id.run.is_some() {
                writer.keep(&meta.id)?;
            }
            writer.put(meta, bytes, (0, at), Room::Own)
        });
        kept.map_err(internal)
    }
}

pub(super) async fn fetch_object(
    peers: &impl Peers,
    input: &Input,
    deadline: Instant,
) -> Result<Vec<u8>, Fault> {
    let (object, holder) = (&input.object, &input.holder);
    let missing =
        |why: &str| Fault::InputMissing(cut(&format!("{} from {holder}: {why}", object.id)));
    if BUNDLE_BYTES_MAX < object.bytes {
        return Err(missing("it is too large"));
    }
    let mut bytes: Vec<u8> = Vec::new();
    while (bytes.len() as u64) < object.bytes || object.bytes == 0 {
        let offset = bytes.len() as u64;
        let query = Fetch { id: object.id.clone(), offset };
        let (meta, part) = match ask(peers, holder, &query, deadline).await {
            Ok(Fetched::Part { meta, bytes }) => (meta, bytes),
            Ok(Fetched::NotFound) => return Err(missing("it is not there")),
            Ok(Fetched::Denied) => return Err(missing("it is not given away")),
            Err(reason) if deadline <= Instant::now() + AGAIN => return Err(missing(&reason)),
            Err(_) => {
                sleep(AGAIN).await;
                continue;
            }
        };
        if meta.hash != object.hash || meta.bytes != object.bytes {
            return Err(missing("another object has its name there"));
        }
        if part.is_empty() && 0 < object.bytes {
            return Err(missing("it ends too early"));
        }
        bytes.extend(part);
        if object.bytes == 0 {
            break;
        }
    }
    if hash_of(&bytes) != object.hash {
        return Err(missing("its bytes are not what they should be"));
    }
    Ok(bytes)
}

async fn ask(
    peers: &impl Peers,
    holder: &NodeId,
    query: &Fetch,
    deadline: Instant,
) -> Result<Fetched, String> {
    let frame = encode(query).map_err(|error| error.to_string())?;
    let left = deadline.saturating_duration_since(Instant::now());
    let answer = peers.belt(holder, BeltService::Fetch, frame, PART_PATIENCE.min(left)).await;
    decode(&answer.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}
