//! Room: own writes leave some to others, and nothing is taken that does not fit.

use agent::state::{StateService, StoreConfig, TransferError};
use protocol::invoke::Fault;
use types::{Epoch, TaskId};

use crate::bed::{Bed, MIB, group, invoke, key, node, own, read_object, stand_by};

/// Opens a node with a small quota.
fn small(bed: &Bed, name: &str, quota_bytes: u64) -> StateService {
    let config = StoreConfig { quota_bytes, ..bed.config(name) };
    let service = StateService::open(&config, node(name)).expect("the store opens");
    bed.add(name, service.clone());
    service
}

async fn write(bed: &Bed, name: &str, run: u64, bytes: u64) -> Result<(), Fault> {
    let put = |state: &mut agent::state::CallState| {
        let value = vec![1; usize::try_from(bytes).expect("small")];
        state.output_write(&key("data"), value).expect("outputs are writable");
        Vec::new()
    };
    bed.call(name, &invoke(run, 1), put).await.map(|_| ())
}

#[tokio::test]
async fn own_writes_leave_room_for_what_others_entrust() {
    let bed = Bed::new(&["a"]);
    let service = small(&bed, "b", 10 * MIB);
    service.set_role(&group(), &own(1), None).unwrap();
    for run in 1..=8 {
        write(&bed, "b", run, MIB).await.unwrap();
    }
    let used = service.usage();
    assert!(8 * MIB < used.bytes && used.bytes < 8 * MIB + MIB / 2, "{used:?}");
    let full = write(&bed, "b", 9, MIB).await.unwrap_err();
    assert!(matches!(&full, Fault::Internal(why) if why.contains("store.quota_bytes")), "{full:?}");
    assert_eq!(service.usage(), used, "a write that does not fit takes no room");
    let full = service.put_source(&TaskId::new("eo").unwrap(), &key("x"), &[0; 1024 * 1024]);
    assert!(full.unwrap_err().to_string().contains("raise store.quota_bytes"));

    // From others it takes one more, then no more.
    let a = bed.service("a");
    a.set_role(&group(), &own(1), None).unwrap();
    let mut call = invoke(101, 1);
    call.outputs_to = Some(node("b"));
    for (run, copies) in [(101, 2), (102, 1)] {
        call.run = types::RunId(run);
        let put = |state: &mut agent::state::CallState| {
            state.output_write(&key("data"), vec![1; 1024 * 1024]).unwrap();
            Vec::new()
        };
        let (done, _) = bed.call("a", &call, put).await.unwrap();
        assert_eq!(done.copies.len(), copies, "run {run}");
    }
    let used = service.usage();
    assert!(used.bytes <= used.quota_bytes, "{used:?}");
    bed.stop("b");
    drop(service);
    assert_eq!(small(&bed, "b", 10 * MIB).usage(), used, "counted again from the store");
}

#[tokio::test]
async fn a_group_that_does_not_fit_is_refused_before_it_moves() {
    let bed = Bed::new(&["a"]);
    let service = small(&bed, "b", 2 * MIB);
    let a = bed.service("a");
    service.set_role(&group(), &stand_by("a"), None).unwrap();
    a.set_role(&group(), &crate::bed::own_until(1, "b"), Some(node("b"))).unwrap();
    let put = |state: &mut agent::state::CallState| {
        for n in 0..3 {
            state.state_put(&key(&format!("v{n}")), vec![n; 1024 * 1024], None).unwrap();
        }
        Vec::new()
    };
    let (done, _) = bed.call("a", &invoke(1, 1), put).await.unwrap();
    assert_eq!(done.copies, [node("a")]);
    assert_eq!(bed.chunks_sent(), 0);
    let refused = a.hand_over(&bed.bus("a"), &group(), &node("b")).await;
    assert!(matches!(refused.unwrap_err(), TransferError::Refused { .. }));
    bed.append("a", &invoke(2, 1)).await.unwrap();
}

#[tokio::test]
async fn garbage_is_what_old_runs_left_and_never_lasting_state() {
    let bed = Bed::new(&["a"]);
    let service = bed.service("a");
    service.set_role(&group(), &own(1), None).unwrap();
    let source = service.put_source(&TaskId::new("eo").unwrap(), &key("tile"), b"earth").unwrap();
    let same = service.put_source(&TaskId::new("eo").unwrap(), &key("tile"), b"earth").unwrap();
    assert_eq!((source.version, &same), (types::Version(1), &source));
    let newer = service.put_source(&TaskId::new("eo").unwrap(), &key("tile"), b"earth 2").unwrap();
    assert_eq!(newer.version, types::Version(2));
    for run in 1..=3 {
        bed.append("a", &invoke(run, 1)).await.unwrap();
    }
    assert_eq!(service.collect_garbage(Epoch::from_unix_ns(0)).unwrap().objects, 0);
    let collected = service.collect_garbage(Epoch::parse("2200-01-01T00:00:00Z").unwrap()).unwrap();
    assert_eq!(collected.objects, 6, "an output and a commit record of each run");
    assert_eq!(bed.log("a"), [1, 2, 3]);
    assert_eq!(read_object(&service, &newer.id), Some(b"earth 2".to_vec()));
    assert_eq!(service.usage().objects, 3, "head, log, source");
    bed.append("a", &invoke(4, 1)).await.unwrap();
    assert_eq!(bed.log("a"), [1, 2, 3, 4]);
}

#[test]
fn records_last_and_are_bounded() {
    let bed = Bed::new(&["a"]);
    let service = bed.service("a");
    assert_eq!(service.load_record("desired").unwrap(), None);
    service.save_record("desired", b"one").unwrap();
    service.save_record("desired", b"two").unwrap();
    bed.stop("a");
    drop(service);
    let service = bed.start("a");
    assert_eq!(service.load_record("desired").unwrap(), Some(b"two".to_vec()));
    let long = service.save_record("desired", &vec![0; 1024 * 1024 + 1]).unwrap_err();
    assert!(long.to_string().contains("the limit is 1048576"), "{long}");
    assert_eq!(service.load_record("desired").unwrap(), Some(b"two".to_vec()));
    let elsewhere = StoreConfig { dir: bed.path().join("a").join("state.redb"), ..bed.config("a") };
    let error = StateService::open(&elsewhere, node("x")).unwrap_err();
    assert!(error.to_string().contains("state.redb"), "{error}");
}

#[tokio::test]
async fn a_full_store_refuses_writes_and_is_read_on() {
    let bed = Bed::new(&[]);
    let service = small(&bed, "b", 4 * MIB);
    service.set_role(&group(), &own(1), None).unwrap();
    let put = |state: &mut agent::state::CallState| {
        state.state_put(&key("kept"), b"value".to_vec(), None).unwrap();
        Vec::new()
    };
    bed.call("b", &invoke(1, 1), put).await.unwrap();
    let mut run = 2;
    while write(&bed, "b", run, MIB / 2).await.is_ok() {
        run += 1;
        assert!(run < 20, "it is never full");
    }
    let read = |state: &mut agent::state::CallState| {
        state.state_get(&key("kept")).unwrap().map(|(value, _)| value).unwrap_or_default()
    };
    let (done, _) = bed.call("b", &invoke(run + 1, 1), read).await.unwrap();
    assert_eq!(done.body, b"value");
    let full = write(&bed, "b", run + 2, MIB / 2).await.unwrap_err();
    assert!(matches!(&full, Fault::Internal(why) if why.contains("store.quota_bytes")), "{full:?}");
}
