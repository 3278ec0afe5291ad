//! Bundles on their way: resumed, checked, refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use agent::state::{GroupEvent, Ownership, TransferError};
use protocol::belt::{
    CHUNK_BYTES, Chunk, ChunkReply, Fetch, Fetched, InventoryQuery, ObjectMeta, Offer, OfferReply,
    Purpose, Refusal,
};
use protocol::key::BeltService;
use types::{OwnerEpoch, Version};

use crate::bed::{Bed, Fate, group, invoke, key, node, own, read_value, stand_by, value_id};

/// Node a owns a group of `values` values of 1 MiB.
async fn bed_with(values: u8) -> Bed {
    let bed = Bed::new(&["a", "b"]);
    bed.role("a", &own(1), None);
    fill(&bed, 1, 0..values).await;
    bed
}

/// Writes values, each of its own pattern.
async fn fill(bed: &Bed, run: u8, values: std::ops::Range<u8>) {
    let put = |state: &mut agent::state::CallState| {
        for n in values {
            let pattern = (0..=250_u8).map(|at| at ^ n ^ (run << 5));
            let value = pattern.cycle().take(1024 * 1024).collect();
            state.state_put(&key(&format!("v{n:02}")), value, None).expect("it fits");
        }
        Vec::new()
    };
    bed.call("a", &invoke(run.into(), 1), put).await.expect("it commits");
}

fn chunks_of(mib: u32) -> u32 {
    mib * 1024 * 1024 / u32::try_from(CHUNK_BYTES).expect("small")
}

/// Lets so many chunks through and loses all after them.
fn cut_after(bed: &Bed, chunks: u32) {
    let passed = Arc::new(AtomicU32::new(0));
    bed.fates(move |query| {
        let is_chunk = query.service == BeltService::Chunk;
        let before = if is_chunk {
            passed.fetch_add(1, Ordering::Relaxed)
        } else {
            passed.load(Ordering::Relaxed)
        };
        if before < chunks { Fate::Arrives } else { Fate::Lost }
    });
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_was() {
    let bed = bed_with(8).await;
    cut_after(&bed, 10);
    let broken = bed.service("a").replicate(&bed.bus("a"), &group(), &node("b")).await;
    assert!(matches!(broken.unwrap_err(), TransferError::Unanswered { .. }));
    assert_eq!(
        read_value(&bed.service("b"), "v00"),
        None,
        "nothing is visible before all is there"
    );
    bed.all_arrives();
    bed.chunks_sent();
    bed.service("a").replicate(&bed.bus("a"), &group(), &node("b")).await.unwrap();
    assert_eq!(bed.chunks_sent(), chunks_of(8) + 1 - 10);
    for n in 0..8 {
        let name = format!("v{n:02}");
        assert_eq!(read_value(&bed.service("b"), &name), read_value(&bed.service("a"), &name));
    }
    bed.service("a").replicate(&bed.bus("a"), &group(), &node("b")).await.unwrap();
    assert_eq!(bed.chunks_sent(), 0, "all is there");
    assert!(bed.service("a").group_status(&group()).replica_current);
    assert!(bed.service("b").group_status(&group()).replica_current);
}

#[tokio::test]
async fn a_transfer_survives_a_restart_of_the_receiver() {
    let bed = bed_with(8).await;
    cut_after(&bed, 20);
    bed.service("a").replicate(&bed.bus("a"), &group(), &node("b")).await.unwrap_err();
    bed.stop("b");
    bed.start("b");
    bed.all_arrives();
    bed.chunks_sent();
    bed.service("a").replicate(&bed.bus("a"), &group(), &node("b")).await.unwrap();
    assert_eq!(bed.chunks_sent(), chunks_of(8) + 1 - 20, "a clean stop keeps all chunks");
    assert_eq!(read_value(&bed.service("b"), "v07"), read_value(&bed.service("a"), "v07"));
}

#[tokio::test]
async fn only_what_changed_travels_again() {
    let bed = bed_with(4).await;
    bed.service("a").replicate(&bed.bus("a"), &group(), &node("b")).await.unwrap();
    bed.chunks_sent();
    fill(&bed, 2, 2..3).await;
    bed.service("a").replicate(&bed.bus("a"), &group(), &node("b")).await.unwrap();
    let sent = bed.chunks_sent();
    assert!((4..=6).contains(&sent), "one value of four chunks and its borders, not {sent}");
    assert_eq!(read_value(&bed.service("b"), "v02"), read_value(&bed.service("a"), "v02"));
    let remove = |state: &mut agent::state::CallState| {
        state.state_delete(&key("v01")).unwrap();
        Vec::new()
    };
    bed.call("a", &invoke(3, 1), remove).await.unwrap();
    bed.service("a").replicate(&bed.bus("a"), &group(), &node("b")).await.unwrap();
    assert_eq!(read_value(&bed.service("b"), "v01"), None);
    assert_eq!(bed.service("b").group_status(&group()).objects, 3);
}

#[tokio::test]
async fn damaged_bytes_are_noticed_and_sent_again() {
    let bed = bed_with(2).await;
    let mut chunks = 0;
    bed.fates(move |query| {
        chunks += u32::from(query.service == BeltService::Chunk);
        let hit = query.service == BeltService::Chunk && chunks == 3;
        if hit { Fate::Damaged } else { Fate::Arrives }
    });
    bed.service("a").replicate(&bed.bus("a"), &group(), &node("b")).await.unwrap();
    assert_eq!(read_value(&bed.service("b"), "v01"), read_value(&bed.service("a"), "v01"));
}

#[tokio::test]
async fn a_group_without_values_can_be_prepared_too() {
    let bed = bed_with(0).await;
    bed.service("b").set_role(&group(), &stand_by("a"), None).unwrap();
    assert!(!bed.service("b").group_status(&group()).replica_current);
    bed.take_events();
    bed.service("a").replicate(&bed.bus("a"), &group(), &node("b")).await.unwrap();
    let current = GroupEvent::ReplicaCurrent { group: group() };
    assert_eq!(bed.take_events(), [(node("b"), current)]);
    let status = bed.service("b").group_status(&group());
    assert_eq!((status.ownership, status.owner_epoch), (Ownership::Standby, OwnerEpoch(1)));
    assert!(status.replica_current);
    let nobody = bed.service("b").replicate(&bed.bus("b"), &group(), &node("a")).await;
    assert_eq!(nobody, Err(TransferError::NotOwner { group: group() }));
}

fn meta(name: &str, run: Option<u64>, version: u64, bytes: &[u8]) -> ObjectMeta {
    let mut id = value_id(name);
    id.run = run.map(types::RunId);
    let owner_epoch = OwnerEpoch(u64::from(run.is_none()));
    let hash = belt::hash_of(bytes);
    ObjectMeta { id, version: Version(version), owner_epoch, hash, bytes: bytes.len() as u64 }
}

fn copy(objects: Vec<ObjectMeta>) -> Offer {
    let (workflow, task) = (group().workflow, group().task);
    let purpose = Purpose::Replica { workflow, task, owner_epoch: OwnerEpoch(1) };
    Offer { from: node("x"), purpose, objects, deleted: Vec::new() }
}

#[test]
fn bundles_that_break_a_rule_are_denied() {
    let bed = Bed::new(&["b"]);
    let service = bed.service("b");
    let head = || meta(".group", None, 1, &0_u64.to_le_bytes());
    let value = || meta("v", None, 1, b"value");
    let mut foreign = value();
    foreign.id.task = types::TaskId::new("other").unwrap();
    let input = |objects| Offer { purpose: Purpose::Input, ..copy(objects) };
    let deleting = |id| Offer { deleted: vec![(id, Version(1))], ..copy(vec![head()]) };
    for (offer, rule) in [
        (copy(vec![]), "has its head"),
        (copy(vec![value()]), "has its head"),
        (copy(vec![head(), foreign.clone()]), "its own state"),
        (copy(vec![head(), meta("out", Some(3), 1, b"x")]), "its own state"),
        (copy(vec![head(), value(), value()]), "twice"),
        (deleting(foreign.id), "its own values"),
        (deleting(head().id), "its own values"),
        (input(vec![value()]), "objects of runs only"),
        (input(vec![meta("o", Some(1), 1, b"x"), meta("o", Some(1), 1, b"x")]), "twice"),
    ] {
        let (reply, event) = service.on_offer(offer);
        let OfferReply::Refused(Refusal::Denied(reason)) = reply else { panic!("{reply:?}") };
        assert!(reason.contains(rule), "{reason:?} does not say {rule:?}");
        assert_eq!(event, None);
    }
    assert_eq!(service.usage().objects, 0);
}

#[test]
fn chunks_without_an_offer_or_of_the_wrong_size_are_refused() {
    let bed = Bed::new(&["b"]);
    let service = bed.service("b");
    let stray = Chunk { bundle: [7; 32], index: 0, bytes: vec![1] };
    assert_eq!(service.on_chunk(stray).0, ChunkReply::Refused(Refusal::NoOffer));

    let offer = Offer { purpose: Purpose::Input, ..copy(vec![meta("o", Some(1), 1, b"right")]) };
    assert_eq!(service.on_offer(offer.clone()).0, OfferReply::Wanted(vec![0]));
    let bundle = belt::hash_of(&protocol::encode(&offer).unwrap());
    let chunk = |index, bytes: &[u8]| Chunk { bundle, index, bytes: bytes.to_vec() };
    for (index, bytes) in [(0, &b"righ"[..]), (1, b"right"), (0, b"righty")] {
        let reply = service.on_chunk(chunk(index, bytes)).0;
        assert_eq!(reply, ChunkReply::Refused(Refusal::Corrupt), "{index} {bytes:?}");
    }
    assert_eq!(service.on_chunk(chunk(0, b"wrong")).0, ChunkReply::Refused(Refusal::Corrupt));
    assert_eq!(service.on_chunk(chunk(0, b"right")).0, ChunkReply::Refused(Refusal::NoOffer));
    assert_eq!(service.on_offer(offer.clone()).0, OfferReply::Wanted(vec![0]));
    assert_eq!(service.on_chunk(chunk(0, b"right")).0, ChunkReply::Durable);
    assert_eq!(service.on_offer(offer).0, OfferReply::Durable);
}

#[test]
fn another_result_of_the_same_run_replaces_and_keeps_the_first() {
    let bed = Bed::new(&["b"]);
    let service = bed.service("b");
    for bytes in [&b"first"[..], b"second", b"second"] {
        let offer = Offer { purpose: Purpose::Input, ..copy(vec![meta("o", Some(1), 1, bytes)]) };
        if service.on_offer(offer.clone()).0 == OfferReply::Durable {
            continue;
        }
        let bundle = belt::hash_of(&protocol::encode(&offer).unwrap());
        let chunk = Chunk { bundle, index: 0, bytes: bytes.to_vec() };
        assert_eq!(service.on_chunk(chunk).0, ChunkReply::Durable);
    }
    let id = meta("o", Some(1), 1, b"").id;
    assert_eq!(crate::bed::read_object(&service, &id), Some(b"second".to_vec()));
    let kept: Vec<_> = service.kept().unwrap().into_iter().map(|meta| meta.hash).collect();
    assert_eq!(kept, [belt::hash_of(b"first")]);
}

#[tokio::test]
async fn an_inventory_comes_in_pages_and_tells_how_fresh_a_group_is() {
    let bed = bed_with(1).await;
    let service = bed.service("a");
    for run in 2..102 {
        let write = |state: &mut agent::state::CallState| {
            for name in ["x", "y"] {
                state.output_write(&key(name), vec![1]).unwrap();
            }
            Vec::new()
        };
        bed.call("a", &invoke(run, 1), write).await.unwrap();
    }
    let workflow = group().workflow;
    let mut all: Vec<ObjectMeta> = Vec::new();
    let mut pages = 0;
    loop {
        let after = all.last().map(|object| object.id.clone());
        let page = service.on_inventory(InventoryQuery { workflow: workflow.clone(), after });
        pages += 1;
        all.extend(page.objects);
        if !page.more {
            break;
        }
    }
    // Head, value, a commit record for each run, two outputs for all but the first.
    assert_eq!((all.len(), pages), (2 + 101 + 200, 2));
    assert!(all.is_sorted_by(|a, b| a.id < b.id));
    assert_eq!(
        (all[0].id.key.as_str(), all[0].version, all[0].owner_epoch),
        (".group", Version(101), OwnerEpoch(1))
    );
    let gone = Fetch { id: value_id("none"), offset: 0 };
    assert_eq!(service.on_fetch(gone), Fetched::NotFound);
    let other = InventoryQuery { workflow: types::WorkflowId::new("flo").unwrap(), after: None };
    assert_eq!(service.on_inventory(other).objects, []);
}
