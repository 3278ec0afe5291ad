//! The owner is lost: another takes over what it finds, and the lost one is fenced when it returns.

use agent::state::{Begin, Ownership, TransferError};
use protocol::invoke::Fault;
use protocol::key::BeltService;
use types::{NodeId, OwnerEpoch};

use crate::bed::{Bed, Fate, group, invoke, key, node, own, own_until, read_value, stand_by};

/// Node a owns; b holds the second copy.
fn bed() -> Bed {
    let bed = Bed::new(&["a", "b", "c"]);
    bed.role("a", &own(1), Some("b"));
    let all: Vec<NodeId> = ["a", "b", "c"].map(node).into();
    for name in ["a", "b", "c"] {
        bed.service(name).set_neighbours(&all);
    }
    bed
}

#[tokio::test]
async fn an_owner_that_was_replaced_is_fenced_and_its_writes_are_kept() {
    let bed = bed();
    let a = bed.service("a");
    a.set_role(&group(), &own(1), Some(node("b"))).unwrap();
    bed.append("a", &invoke(1, 1)).await.unwrap();
    // a is alone for a while; what it commits then, it does not acknowledge.
    bed.fates(|query| if *query.from == node("a") { Fate::Lost } else { Fate::Arrives });
    assert_eq!(bed.append("a", &invoke(2, 1)).await.unwrap_err(), Fault::Busy);
    assert_eq!(bed.log("a"), [1, 2]);
    bed.service("b").set_neighbours(&[]);
    let change = bed.service("b").set_role(&group(), &own(3), Some(node("c"))).unwrap();
    assert_eq!(change.took_over, Some(OwnerEpoch(3)));
    bed.append("b", &invoke(3, 1)).await.unwrap();
    assert_eq!(bed.log("b"), [1, 3], "b had nobody to ask");
    // Back again, still believing: the second copy is refused, nothing is acknowledged.
    bed.all_arrives();
    let lines = bed.audit("a").len();
    let fenced = bed.append("a", &invoke(4, 1)).await.unwrap_err();
    assert_eq!(fenced, Fault::Moved { to: node("b"), owner_epoch: OwnerEpoch(3) });
    assert_eq!(bed.audit("a").len(), lines);
    assert!(matches!(a.begin(&invoke(5, 1)).unwrap_err(), Fault::NotFound(_)));
    assert_eq!(a.set_role(&group(), &own(1), None).unwrap().outranked, Some(OwnerEpoch(3)));
    let copy = a.replicate(&bed.bus("a"), &group(), &node("b")).await;
    assert_eq!(copy, Err(TransferError::NotOwner { group: group() }));
    // The new owner's state comes; what only a had stays beside it.
    bed.service("b").set_role(&group(), &own(3), Some(node("a"))).unwrap();
    bed.append("b", &invoke(6, 1)).await.unwrap();
    assert_eq!(bed.log("a"), [1, 3, 6]);
    let kept = a.kept().unwrap();
    assert!(
        kept.iter().any(|meta| meta.owner_epoch == OwnerEpoch(1) && meta.bytes == 24),
        "{kept:?}"
    );
}

#[tokio::test]
async fn the_keeper_of_the_second_copy_goes_on_where_the_owner_was() {
    let bed = bed();
    bed.append("a", &invoke(1, 1)).await.unwrap();
    bed.stop("a");
    bed.role("b", &own(3), Some("c"));
    assert_eq!(bed.service("b").group_status(&group()).ownership, Ownership::Owner);
    // The stage was acknowledged by a; the answer comes from b, without another effect.
    let again = bed.append("b", &invoke(1, 2)).await.unwrap();
    assert_eq!((again.again, again.body.as_slice()), (true, &b"run 1"[..]));
    let done = bed.append("b", &invoke(2, 1)).await.unwrap();
    assert_eq!((done.copies, done.single_copy), (vec![node("b"), node("c")], None));
    assert_eq!(bed.log("b"), [1, 2]);
}

#[tokio::test]
async fn a_new_owner_with_an_old_copy_finds_the_fresher_one() {
    let bed = bed();
    bed.append("a", &invoke(1, 1)).await.unwrap();
    // The second copy moves from b to c; then the owner is lost, and the controller does not know better than b.
    bed.role("a", &own(1), Some("c"));
    let write = |state: &mut agent::state::CallState| {
        crate::bed::append_run(state, 2);
        state.state_put(&key("large"), vec![7; 900_000], None).unwrap();
        Vec::new()
    };
    bed.call("a", &invoke(2, 1), write).await.unwrap();
    let remove = |state: &mut agent::state::CallState| {
        state.state_put(&key("kept"), vec![1], None).unwrap();
        state.state_delete(&key("large")).unwrap();
        Vec::new()
    };
    bed.call("a", &invoke(3, 1), remove).await.unwrap();
    bed.stop("a");
    assert_eq!(bed.log("b"), [1]);
    bed.role("b", &own(3), Some("c"));
    let again = bed.append("b", &invoke(2, 2)).await.unwrap();
    assert!(again.again, "its commit record came along");
    bed.append("b", &invoke(4, 1)).await.unwrap();
    for name in ["b", "c"] {
        assert_eq!(bed.log(name), [1, 2, 4], "{name}");
        assert_eq!(read_value(&bed.service(name), "kept"), Some(vec![1]), "{name}");
        assert_eq!(read_value(&bed.service(name), "large"), None, "{name}");
    }
    let recreate = |state: &mut agent::state::CallState| {
        let version = state.state_put(&key("large"), vec![1], Some(0)).unwrap();
        assert!(2 < version, "versions rise over deletion and failover, not {version}");
        Vec::new()
    };
    bed.call("b", &invoke(5, 1), recreate).await.unwrap();
}

#[tokio::test]
async fn an_owner_that_gets_its_unanswered_grant_back_takes_what_the_other_did() {
    let bed = bed();
    bed.append("a", &invoke(1, 1)).await.unwrap();
    bed.role("b", &stand_by("a"), None);
    bed.role("a", &own_until(1, "b"), Some("b"));
    // The grant arrives; b works on, and neither its answers nor its copies reach a.
    let mut offers = 0;
    bed.fates(move |query| {
        offers += u32::from(query.service == BeltService::Offer && *query.from == node("a"));
        let to_a = *query.to == node("a");
        match (to_a, 2 <= offers) {
            (true, _) => Fate::Lost,
            (false, true) => Fate::AnswerLost,
            (false, false) => Fate::Arrives,
        }
    });
    let granted = bed.service("a").hand_over(&bed.bus("a"), &group(), &node("b")).await;
    assert!(matches!(granted.unwrap_err(), TransferError::Unanswered { .. }));
    let alone = bed.append("b", &invoke(2, 1)).await;
    assert_eq!(alone.unwrap_err(), Fault::Busy, "durable on b alone");
    bed.all_arrives();
    // The controller gives up on b.
    let change = bed.service("a").set_role(&group(), &own(3), Some(node("c"))).unwrap();
    assert_eq!(change.took_over, Some(OwnerEpoch(3)));
    bed.append("a", &invoke(3, 1)).await.unwrap();
    assert_eq!(bed.log("a"), [1, 2, 3], "nothing that b has acknowledged is left behind");
}

#[tokio::test]
async fn a_new_owner_fences_the_lost_one_wherever_that_keeps_its_copies() {
    let bed = bed();
    bed.role("a", &own(1), Some("c"));
    bed.append("a", &invoke(1, 1)).await.unwrap();
    // a is not lost at all, only out of the controller's and b's sight; c is its second node, b becomes owner.
    let is_between = |one: &NodeId, other: &NodeId| {
        [one, other] == [&node("a"), &node("b")] || [one, other] == [&node("b"), &node("a")]
    };
    bed.fates(
        move |query| {
            if is_between(query.from, query.to) { Fate::Lost } else { Fate::Arrives }
        },
    );
    bed.role("b", &own(3), None);
    bed.append("b", &invoke(2, 1)).await.unwrap();
    let fenced = bed.append("a", &invoke(3, 1)).await.unwrap_err();
    assert_eq!(fenced, Fault::Moved { to: node("c"), owner_epoch: OwnerEpoch(3) });
    assert_eq!((bed.log("b"), bed.log("c")), (vec![1, 2], vec![1]));
}

#[tokio::test]
async fn a_new_owner_that_is_outranked_learns_it_before_it_serves() {
    let bed = bed();
    bed.service("c").set_neighbours(&[node("b")]);
    bed.role("c", &own(5), None);
    bed.append("c", &invoke(1, 1)).await.unwrap();
    let change = bed.role("a", &own(3), Some("b"));
    assert_eq!(change.took_over, Some(OwnerEpoch(3)), "nobody has told it of c");
    let moved = bed.append("a", &invoke(2, 1)).await.unwrap_err();
    assert!(matches!(moved, Fault::Moved { owner_epoch: OwnerEpoch(5), .. }), "{moved:?}");
    assert_eq!(bed.service("a").group_status(&group()).ownership, Ownership::Copy);
}

#[tokio::test]
async fn a_fresher_copy_that_breaks_off_is_tried_again() {
    let bed = bed();
    bed.append("a", &invoke(1, 1)).await.unwrap();
    bed.role("a", &own(1), Some("c"));
    bed.append("a", &invoke(2, 1)).await.unwrap();
    bed.stop("a");
    bed.role("b", &own(3), None);
    bed.fates(
        |query| {
            if query.service == BeltService::Inventory { Fate::Lost } else { Fate::Arrives }
        },
    );
    let missing = bed.append("b", &invoke(3, 1)).await.unwrap_err();
    assert!(
        matches!(&missing, Fault::InputMissing(text) if text.contains("newest state")),
        "{missing:?}"
    );
    let begun = bed.service("b").begin(&invoke(3, 2)).unwrap();
    assert!(matches!(begun, Begin::Missing(_)), "known to exist, so waited for");
    let early = bed.service("b").replicate(&bed.bus("b"), &group(), &node("c")).await;
    assert!(matches!(early.unwrap_err(), TransferError::Unanswered { .. }));
    assert_eq!(bed.log("c"), [1, 2], "an unchecked state is not sent over a fresher one");
    bed.all_arrives();
    bed.stop("b");
    bed.start("b").set_neighbours(&[node("c")]);
    bed.role("b", &own(3), None);
    bed.append("b", &invoke(3, 3)).await.unwrap();
    assert_eq!(bed.log("b"), [1, 2, 3]);
}

#[tokio::test]
async fn nobody_to_ask_is_no_reason_to_wait() {
    let bed = bed();
    bed.append("a", &invoke(1, 1)).await.unwrap();
    bed.stop("a");
    bed.stop("c");
    bed.role("b", &own(3), None);
    bed.append("b", &invoke(2, 1)).await.unwrap();
    assert_eq!(bed.log("b"), [1, 2]);
    // Without neighbours and without a call it can be handed over all the same.
    let bed = Bed::new(&["b", "c"]);
    bed.role("c", &stand_by("b"), None);
    bed.role("b", &own_until(3, "c"), Some("c"));
    let taken = bed.service("b").hand_over(&bed.bus("b"), &group(), &node("c")).await;
    assert_eq!(taken, Ok(OwnerEpoch(4)));
}
