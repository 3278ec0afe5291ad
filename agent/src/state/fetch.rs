//! Fetches objects that a call needs and this node lacks.

use std::sync::Arc;

use belt::hash_of;
use protocol::belt::{BUNDLE_BYTES_MAX, FETCH_BYTES_MAX, Fetch, Fetched, ObjectMeta};
use protocol::invoke::{Fault, Input, LinkBytes};
use protocol::key::BeltService;
use protocol::{decode, encode};
use tokio::time::{Duration, Instant, sleep};

use super::Peers;
use super::groups::is_head;
use super::inner::{Inner, blocking, cut, internal};
use crate::store::{Room, Snapshot, Sync};

/// Bytes that are fetched ahead for one data source: two objects of the largest.
const AHEAD_BYTES_MAX: u64 = 2 * BUNDLE_BYTES_MAX;
/// Bytes of a part.
const PART_BYTES: u64 = FETCH_BYTES_MAX as u64;
/// Parts that are asked for at once: memory that a call may take for them, and what keeps a line busy for a round trip. [`fetch_object`] joins as many.
const PARTS_MAX: u64 = 4;
/// An answer that came so soon leaves room for more: 20 Mbit/s.
const PART_QUICK: Duration = Duration::from_millis(400);
/// Longest wait for one part of 1 MiB that has the line for itself: 5 Mbit/s.
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

    pub(super) async fn fetch_ahead(
        self: &Arc<Self>,
        peers: &impl Peers,
        inputs: Vec<Input>,
        deadline: Instant,
    ) -> Result<u64, Fault> {
        let this = Arc::clone(self);
        let missing = move || this.store.snapshot().map(|now| missing(&now, &inputs));
        let missing = blocking(internal, move || missing().map_err(internal)).await?;
        let (mut links, mut bytes) = (Vec::new(), 0_u64);
        for input in missing {
            if AHEAD_BYTES_MAX < bytes.saturating_add(input.object.bytes) {
                continue;
            }
            links.extend(self.fetch(peers, &[input], deadline).await?);
            bytes = links.iter().map(|link| link.received).sum();
        }
        Ok(bytes)
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

/// Those that are not here with the same bytes.
pub(super) fn missing(now: &Snapshot, inputs: &[Input]) -> Vec<Input> {
    let is_missing = |input: &&Input| match now.object(&input.object.id) {
        Ok(Some(row)) => row.meta.hash != input.object.hash,
        _ => true,
    };
    inputs.iter().filter(is_missing).cloned().collect()
}

/// An object of which parts are asked for.
struct Wanted<'a, P> {
    peers: &'a P,
    input: &'a Input,
    deadline: Instant,
}

/// A part of an object, all of it.
#[derive(Default)]
struct Part {
    bytes: Vec<u8>,
    /// How long the answer took; a part that had to be asked for again took for ever.
    took: Duration,
}

pub(super) async fn fetch_object<P: Peers>(
    peers: &P,
    input: &Input,
    deadline: Instant,
) -> Result<Vec<u8>, Fault> {
    let object = &input.object;
    let wanted = Wanted { peers, input, deadline };
    if BUNDLE_BYTES_MAX < object.bytes {
        return Err(wanted.missing("it is too large"));
    }
    // An object without bytes is asked for, too: it may be another one by now.
    let first = wanted.part(0, 1).await?;
    let mut at_once = next_at_once(1, first.took);
    let mut bytes = first.bytes;
    while (bytes.len() as u64) < object.bytes {
        let start = bytes.len() as u64;
        let part = |nth: u64| {
            let offset = start.saturating_add(nth * PART_BYTES);
            let is_asked = nth < at_once;
            wanted.part(if is_asked { offset } else { object.bytes }, at_once)
        };
        let (a, b, c, d) = tokio::join!(part(0), part(1), part(2), part(3));
        let mut slowest = Duration::ZERO;
        for mut part in [a?, b?, c?, d?] {
            bytes.append(&mut part.bytes);
            slowest = slowest.max(part.took);
        }
        at_once = next_at_once(at_once, slowest);
    }
    if hash_of(&bytes) != object.hash {
        return Err(wanted.missing("its bytes are not what they should be"));
    }
    Ok(bytes)
}

/// How many parts are asked for next: twice as many after quick answers, one after a slow or lost one. A line on which one part
/// takes long is full, and whoever else uses it would wait behind four.
fn next_at_once(now: u64, slowest: Duration) -> u64 {
    if slowest <= PART_QUICK { (now * 2).min(PARTS_MAX) } else { 1 }
}

impl<P: Peers> Wanted<'_, P> {
    fn missing(&self, why: &str) -> Fault {
        let Input { object, holder } = self.input;
        Fault::InputMissing(cut(&format!("{} from {holder}: {why}", object.id)))
    }

    /// The part at `offset`, which is nothing behind the end, while `at_once` parts share the line.
    async fn part(&self, offset: u64, at_once: u64) -> Result<Part, Fault> {
        let object = &self.input.object;
        let end = offset.saturating_add(PART_BYTES).min(object.bytes);
        let mut part = Part::default();
        if 0 < offset && end <= offset {
            return Ok(part);
        }
        loop {
            let asked = Instant::now();
            let at = offset + part.bytes.len() as u64;
            let patience = PART_PATIENCE * u32::try_from(at_once).unwrap_or(1);
            match self.ask(at, patience).await {
                Ok(Fetched::Part { meta, mut bytes }) => {
                    self.check(&meta, &bytes)?;
                    bytes.truncate(usize::try_from(end - at).unwrap_or(usize::MAX));
                    part.bytes.append(&mut bytes);
                    part.took = part.took.saturating_add(asked.elapsed());
                }
                Ok(Fetched::NotFound) => return Err(self.missing("it is not there")),
                Ok(Fetched::Denied) => return Err(self.missing("it is not given away")),
                Err(reason) if self.deadline <= Instant::now() + AGAIN => {
                    return Err(self.missing(&reason));
                }
                Err(_) => {
                    part.took = Duration::MAX;
                    sleep(AGAIN).await;
                    continue;
                }
            }
            if end <= offset + part.bytes.len() as u64 {
                return Ok(part);
            }
        }
    }

    fn check(&self, meta: &ObjectMeta, bytes: &[u8]) -> Result<(), Fault> {
        let object = &self.input.object;
        if meta.hash != object.hash || meta.bytes != object.bytes {
            return Err(self.missing("another object has its name there"));
        }
        if bytes.is_empty() && 0 < object.bytes {
            return Err(self.missing("it ends too early"));
        }
        Ok(())
    }

    async fn ask(&self, offset: u64, patience: Duration) -> Result<Fetched, String> {
        let query = Fetch { id: self.input.object.id.clone(), offset };
        let frame = encode(&query).map_err(|error| error.to_string())?;
        let left = self.deadline.saturating_duration_since(Instant::now());
        let holder = &self.input.holder;
        let answer = self.peers.belt(holder, BeltService::Fetch, frame, patience.min(left)).await;
        decode(&answer.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests;
