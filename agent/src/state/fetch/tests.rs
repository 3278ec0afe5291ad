//! Fetching from a holder that is slow, forgetful or has something else.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use types::{NodeId, ObjectId, OwnerEpoch, RunId, StateKey, TaskId, Version, WorkflowId};

use super::super::PeerError;
use super::*;

/// A holder of one object.
struct Holder {
    bytes: Vec<u8>,
    /// It answers with at most so many bytes.
    piece: usize,
    /// Time that one answer takes.
    slow: Duration,
    /// Questions that get no answer, by number.
    lost: Vec<usize>,
    /// Time that the call has.
    time: Duration,
    asked: AtomicUsize,
    /// Now, and at most.
    at_once: Mutex<(usize, usize)>,
}

impl Holder {
    fn of(bytes: usize) -> Self {
        let bytes = (0..bytes).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
        let (piece, slow, lost) = (FETCH_BYTES_MAX, Duration::from_millis(1), Vec::new());
        let (time, asked, at_once) =
            (Duration::from_secs(60), AtomicUsize::new(0), Mutex::default());
        Self { bytes, piece, slow, lost, time, asked, at_once }
    }

    fn meta(&self) -> ObjectMeta {
        let id = ObjectId {
            workflow: WorkflowId::new("w").unwrap(),
            run: Some(RunId(1)),
            task: TaskId::new("t").unwrap(),
            key: StateKey::new("k").unwrap(),
        };
        let (version, owner_epoch) = (Version(1), OwnerEpoch(0));
        let (hash, bytes) = (hash_of(&self.bytes), self.bytes.len() as u64);
        ObjectMeta { id, version, owner_epoch, hash, bytes }
    }

    async fn fetched(&self, object: ObjectMeta) -> Result<Vec<u8>, Fault> {
        let input = Input { object, holder: NodeId::new("sat-1").unwrap() };
        fetch_object(self, &input, Instant::now() + self.time).await
    }

    fn most_at_once(&self) -> usize {
        self.at_once.lock().unwrap().1
    }
}

impl Peers for Holder {
    async fn belt(
        &self,
        node: &NodeId,
        service: BeltService,
        payload: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, PeerError> {
        assert_eq!((node.as_str(), service), ("sat-1", BeltService::Fetch));
        let query: Fetch = decode(&payload).unwrap();
        let nth = self.asked.fetch_add(1, Ordering::Relaxed);
        {
            let mut at_once = self.at_once.lock().unwrap();
            at_once.0 += 1;
            at_once.1 = at_once.1.max(at_once.0);
        }
        sleep(timeout.min(self.slow)).await;
        self.at_once.lock().unwrap().0 -= 1;
        if timeout < self.slow {
            return Err(PeerError::Timeout { node: node.clone(), waited: timeout });
        }
        if self.lost.contains(&nth) {
            let (node, reason) = (node.clone(), "the line was cut".to_owned());
            return Err(PeerError::Unreachable { node, reason });
        }
        let start = usize::try_from(query.offset).unwrap().min(self.bytes.len());
        let end = (start + self.piece).min(self.bytes.len());
        let bytes = self.bytes[start..end].to_vec();
        Ok(encode(&Fetched::Part { meta: self.meta(), bytes }).unwrap())
    }
}

const MIB: usize = FETCH_BYTES_MAX;

#[tokio::test]
async fn every_size_comes_as_it_is() {
    for bytes in [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 5 * MIB + 3, 9 * MIB] {
        let holder = Holder::of(bytes);
        assert_eq!(holder.fetched(holder.meta()).await.unwrap(), holder.bytes, "{bytes} bytes");
        assert_eq!(holder.asked.load(Ordering::Relaxed), bytes.div_ceil(MIB).max(1));
    }
}

#[tokio::test]
async fn a_quick_line_is_kept_busy_and_a_slow_one_is_left_to_others() {
    let quick = Holder::of(9 * MIB);
    quick.fetched(quick.meta()).await.unwrap();
    assert_eq!(quick.most_at_once(), 4);
    let slow = Holder { slow: PART_QUICK + Duration::from_millis(1), ..Holder::of(3 * MIB) };
    assert_eq!(slow.fetched(slow.meta()).await.unwrap(), slow.bytes);
    assert_eq!(slow.most_at_once(), 1);
}

#[tokio::test]
async fn what_is_lost_or_cut_short_is_asked_for_again() {
    let cut_short = Holder { piece: 300_000, ..Holder::of(3 * MIB + 5) };
    assert_eq!(cut_short.fetched(cut_short.meta()).await.unwrap(), cut_short.bytes);
    let lossy = Holder { lost: vec![0, 2, 5, 6], ..Holder::of(7 * MIB) };
    assert_eq!(lossy.fetched(lossy.meta()).await.unwrap(), lossy.bytes);
    assert_eq!(lossy.asked.load(Ordering::Relaxed), 7 + 4);
}

#[tokio::test]
async fn another_object_and_silence_are_said() {
    let holder = Holder::of(2 * MIB);
    let missing = |fault: Fault, text: &str| {
        assert!(matches!(&fault, Fault::InputMissing(why) if why.contains(text)), "{fault:?}");
    };
    let other = ObjectMeta { hash: [1; 32], ..holder.meta() };
    missing(holder.fetched(other).await.unwrap_err(), "another object");
    let longer = ObjectMeta { bytes: 3, ..holder.meta() };
    missing(holder.fetched(longer).await.unwrap_err(), "another object");
    let (slow, time) = (Duration::from_secs(3600), Duration::from_millis(300));
    let silent = Holder { slow, time, ..Holder::of(MIB) };
    missing(silent.fetched(silent.meta()).await.unwrap_err(), "from sat-1");
}
