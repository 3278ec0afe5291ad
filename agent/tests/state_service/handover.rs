//! One owner at a time: planned hand-overs, broken ones, failovers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use agent::state::{Begin, GroupEvent, Ownership, TransferError};
use protocol::belt::Purpose;
use protocol::invoke::Fault;
use protocol::key::BeltService;
use tokio::time::{Instant, sleep};
use types::{NodeId, OwnerEpoch};

use crate::bed::{Bed, Fate, append_run, group, invoke, node, own, own_until, stand_by};

/// Node a owns and hands over to b.
fn bed() -> Bed {
    let bed = Bed::new(&["a", "b", "c"]);
    plan(&bed, "a", 1, "b");
    bed
}

/// What the controller says before a planned hand-over.
fn plan(bed: &Bed, from: &str, epoch: u64, to: &str) {
    bed.role(to, &stand_by(from), None);
    bed.role(from, &own_until(epoch, to), Some(to));
}

fn ownership(bed: &Bed, name: &str) -> (Ownership, OwnerEpoch) {
    let status = bed.service(name).group_status(&group());
    (status.ownership, status.owner_epoch)
}

fn released(to: &str) -> Ownership {
    Ownership::Released { to: node(to) }
}

#[tokio::test]
async fn a_planned_hand_over_moves_state_and_callers() {
    let bed = bed();
    bed.append("a", &invoke(1, 1)).await.unwrap();
    bed.take_events();
    let taken = bed.service("a").hand_over(&bed.bus("a"), &group(), &node("b")).await;
    assert_eq!(taken, Ok(OwnerEpoch(2)));
    let took_over =
        GroupEvent::TookOver { group: group(), owner_epoch: OwnerEpoch(2), from: node("a") };
    assert_eq!(bed.take_events().last(), Some(&(node("b"), took_over)));
    assert_eq!(ownership(&bed, "a"), (released("b"), OwnerEpoch(1)));
    assert_eq!(ownership(&bed, "b"), (Ownership::Owner, OwnerEpoch(2)));
    let moved = Fault::Moved { to: node("b"), owner_epoch: OwnerEpoch(2) };
    assert_eq!(bed.append("a", &invoke(2, 1)).await.unwrap_err(), moved);
    // What a has acknowledged b answers again, since commit records travel with the state.
    let again = bed.append("b", &invoke(1, 2)).await.unwrap();
    assert_eq!((again.again, again.body.as_slice()), (true, &b"run 1"[..]));
    let done = bed.append("b", &invoke(2, 1)).await.unwrap();
    assert_eq!(done.copies, [node("b"), node("a")], "until told otherwise, back to who had it");
    assert_eq!((bed.log("b"), bed.log("a")), (vec![1, 2], vec![1, 2]));
    // Told twice is told once, also in the next life.
    bed.stop("a");
    bed.start("a");
    assert_eq!(
        bed.service("a").set_role(&group(), &own(1), None).unwrap().outranked,
        Some(OwnerEpoch(2))
    );
    assert_eq!(ownership(&bed, "a").0, released("b"));
}

#[tokio::test]
async fn calls_in_flight_end_here_or_run_again_there() {
    let bed = bed();
    let (service, bus) = (bed.service("a"), bed.bus("a"));
    let Begin::Ready(mut state) = service.begin(&invoke(1, 1)).unwrap() else { panic!() };
    append_run(&mut state, 1);
    let (mover, to) = (service.clone(), node("b"));
    let hand_over = tokio::spawn(async move { mover.hand_over(&bus, &group(), &to).await });
    while ownership(&bed, "a").0 == Ownership::Owner {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(service.begin(&invoke(2, 1)).unwrap_err(), Fault::Busy, "wait while freezing");
    let deadline = Instant::now() + Duration::from_secs(5);
    let bus = bed.bus("a");
    let (done, _) = service.commit(&bus, &invoke(1, 1), state, Vec::new(), deadline).await.unwrap();
    assert_eq!(hand_over.await.unwrap(), Ok(OwnerEpoch(2)));
    assert_eq!(done.copies, [node("a"), node("b")], "the grant took it along");
    assert_eq!(bed.log("b"), [1]);
}

#[tokio::test]
async fn a_call_that_takes_too_long_does_not_commit_at_the_old_owner() {
    let bed = bed();
    let service = bed.service("a");
    let Begin::Ready(mut state) = service.begin(&invoke(1, 1)).unwrap() else { panic!() };
    append_run(&mut state, 1);
    let taken = service.hand_over(&bed.bus("a"), &group(), &node("b")).await;
    assert_eq!(taken, Ok(OwnerEpoch(2)));
    let deadline = Instant::now() + Duration::from_secs(5);
    let late = service.commit(&bed.bus("a"), &invoke(1, 1), state, Vec::new(), deadline).await;
    assert_eq!(late.unwrap_err(), Fault::Moved { to: node("b"), owner_epoch: OwnerEpoch(2) });
    assert_eq!(bed.log("b"), [0_u64; 0]);
    bed.append("b", &invoke(1, 2)).await.unwrap();
    assert_eq!(bed.log("b"), [1]);
}

#[derive(Default)]
struct Traffic {
    started: AtomicU64,
    acknowledged: AtomicU64,
    is_over: AtomicBool,
}

/// A driver: tries each run until it is acknowledged, following the owner.
async fn drive(bed: Bed, traffic: Arc<Traffic>) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    let mut target = node("a");
    while !traffic.is_over.load(Ordering::Relaxed) {
        let run = traffic.started.fetch_add(1, Ordering::Relaxed);
        let mut attempt = 0;
        loop {
            attempt += 1;
            match bed.append(target.as_str(), &invoke(run, attempt)).await {
                Ok(_) => break acknowledged.push(run),
                Err(Fault::Moved { to, .. }) => target = to,
                Err(Fault::Busy | Fault::Conflict(_)) => sleep(Duration::from_millis(1)).await,
                Err(other) => panic!("run {run} at {target}: {other:?}"),
            }
        }
        traffic.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_done_twice_while_the_state_goes_round() {
    let bed = bed();
    // One message in twenty is lost, one answer in twenty.
    let mut count = 0_u32;
    bed.fates(move |_| {
        count += 1;
        match count % 20 {
            7 => Fate::Lost,
            13 => Fate::AnswerLost,
            _ => Fate::Arrives,
        }
    });
    let traffic = Arc::new(Traffic::default());
    let drivers: Vec<_> =
        (0..4).map(|_| tokio::spawn(drive(bed.clone(), Arc::clone(&traffic)))).collect();
    let ring = ["a", "b", "c"];
    for epoch in 1..=6_u64 {
        let from = ring[usize::try_from(epoch - 1).unwrap() % 3];
        let to = ring[usize::try_from(epoch).unwrap() % 3];
        plan(&bed, from, epoch, to);
        let service = bed.service(from);
        let next = loop {
            match service.hand_over(&bed.bus(from), &group(), &node(to)).await {
                Ok(next) => break next,
                Err(TransferError::Unanswered { .. }) => {}
                Err(error) => panic!("{from} to {to}: {error}"),
            }
        };
        assert_eq!(next, OwnerEpoch(epoch + 1));
        bed.service(to).set_role(&group(), &own(epoch + 1), Some(node(from))).unwrap();
        let before = traffic.acknowledged.load(Ordering::Relaxed);
        while traffic.acknowledged.load(Ordering::Relaxed) < before + 4 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    traffic.is_over.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for driver in drivers {
        acknowledged.extend(driver.await.unwrap());
    }
    acknowledged.sort_unstable();
    let mut log = bed.log("a");
    log.sort_unstable();
    assert_eq!(log, acknowledged);
    assert!(20 < log.len(), "only {} runs", log.len());
    for name in ring {
        for line in bed.audit(name) {
            let copies = line["copies"].as_array().unwrap().len();
            assert!((1..=2).contains(&copies), "{line}");
        }
    }
}

#[tokio::test]
async fn a_grant_without_an_answer_stands_until_it_is_answered() {
    let bed = bed();
    bed.append("a", &invoke(1, 1)).await.unwrap();
    // The copy arrives; of the grant b hears, but a does not hear of b.
    let granted = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&granted);
    let mut offers = 0;
    bed.fates(move |query| {
        offers += u32::from(query.service == BeltService::Offer);
        if 2 <= offers {
            seen.store(true, Ordering::Relaxed);
            Fate::AnswerLost
        } else {
            Fate::Arrives
        }
    });
    let to = node("b");
    let lost = bed.service("a").hand_over(&bed.bus("a"), &group(), &to).await;
    assert!(matches!(lost.unwrap_err(), TransferError::Unanswered { .. }));
    assert!(granted.load(Ordering::Relaxed));
    assert_eq!(ownership(&bed, "a").0, Ownership::Granting { to: node("b") });
    assert_eq!(ownership(&bed, "b"), (Ownership::Owner, OwnerEpoch(2)), "b has it");
    bed.stop("a");
    let service = bed.start("a");
    service.set_role(&group(), &own_until(1, "b"), Some(node("b"))).unwrap();
    let moved = Fault::Moved { to: node("b"), owner_epoch: OwnerEpoch(2) };
    assert_eq!(service.begin(&invoke(2, 1)).unwrap_err(), moved, "never again without an answer");
    bed.all_arrives();
    assert_eq!(service.hand_over(&bed.bus("a"), &group(), &to).await, Ok(OwnerEpoch(2)));
    assert_eq!(service.hand_over(&bed.bus("a"), &group(), &to).await, Ok(OwnerEpoch(2)));
    let other = service.hand_over(&bed.bus("a"), &group(), &node("c")).await;
    assert_eq!(other, Err(TransferError::NotOwner { group: group() }));
    assert_eq!(ownership(&bed, "a").0, released("b"));
}

#[tokio::test]
async fn a_hand_over_to_a_dead_node_stops_nothing() {
    let bed = bed();
    bed.stop("b");
    let dead = bed.service("a").hand_over(&bed.bus("a"), &group(), &node("b")).await;
    assert!(matches!(dead.unwrap_err(), TransferError::Unanswered { .. }));
    assert_eq!(ownership(&bed, "a").0, Ownership::Owner, "the copy failed before the grant");
    // Not until the controller names another keeper of copies is anything acknowledged.
    assert_eq!(bed.append("a", &invoke(1, 1)).await.unwrap_err(), Fault::Busy);
    bed.role("a", &own(1), Some("c"));
    bed.append("a", &invoke(1, 2)).await.unwrap();
}

#[tokio::test]
async fn a_declined_grant_makes_the_old_owner_the_new_one() {
    let bed = bed();
    bed.append("a", &invoke(1, 1)).await.unwrap();
    bed.service("b").drop_role(&group()).unwrap();
    let declined = bed.service("a").hand_over(&bed.bus("a"), &group(), &node("b")).await;
    assert!(matches!(declined.unwrap_err(), TransferError::Refused { .. }));
    assert_eq!(ownership(&bed, "a"), (Ownership::Owner, OwnerEpoch(2)));
    bed.append("a", &invoke(2, 1)).await.unwrap();
    // The next hand-over waits until the controller has named the new epoch.
    let unnamed = bed.service("a").hand_over(&bed.bus("a"), &group(), &node("b")).await;
    assert_eq!(unnamed, Err(TransferError::NotOwner { group: group() }));
    plan(&bed, "a", 2, "b");
    let taken = bed.service("a").hand_over(&bed.bus("a"), &group(), &node("b")).await;
    assert_eq!(taken, Ok(OwnerEpoch(3)));
    assert_eq!(bed.log("b"), [1, 2]);
}

#[tokio::test]
async fn a_stale_copy_or_grant_is_refused() {
    let bed = bed();
    bed.append("a", &invoke(1, 1)).await.unwrap();
    bed.service("b").set_role(&group(), &own(3), None).unwrap();
    let fenced = TransferError::Fenced { to: node("b"), owner_epoch: OwnerEpoch(3) };
    let taken = bed.service("a").hand_over(&bed.bus("a"), &group(), &node("b")).await;
    assert_eq!(taken, Err(fenced));
    assert_eq!(ownership(&bed, "a").0, Ownership::Copy);
    assert_eq!(ownership(&bed, "b"), (Ownership::Owner, OwnerEpoch(3)));
    let offer = protocol::belt::Offer {
        from: node("x"),
        purpose: Purpose::Grant {
            workflow: group().workflow,
            task: group().task,
            owner_epoch: OwnerEpoch(9),
        },
        objects: vec![protocol::belt::ObjectMeta {
            id: crate::bed::value_id(".group"),
            version: types::Version(5),
            owner_epoch: OwnerEpoch(8),
            hash: belt::hash_of(&[0; 8]),
            bytes: 8,
        }],
        deleted: Vec::new(),
    };
    // Nobody told c to wait for it: declined, and remembered.
    let c = bed.service("c");
    let (reply, _) = c.on_offer(offer.clone());
    assert!(matches!(reply, protocol::belt::OfferReply::Refused(_)), "{reply:?}");
    bed.stop("c");
    drop(c);
    let c = bed.start("c");
    c.set_role(&group(), &stand_by("x"), None).unwrap();
    let (reply, event) = c.on_offer(offer);
    assert!(matches!(reply, protocol::belt::OfferReply::Refused(_)), "{reply:?}");
    assert_eq!(event, None);
}

#[tokio::test]
async fn a_change_of_plan_thaws() {
    let bed = bed();
    let (service, bus) = (bed.service("a"), bed.bus("a"));
    let Begin::Ready(state) = service.begin(&invoke(1, 1)).unwrap() else { panic!() };
    let (mover, to): (_, NodeId) = (service.clone(), node("b"));
    let hand_over = tokio::spawn(async move { mover.hand_over(&bus, &group(), &to).await });
    while ownership(&bed, "a").0 == Ownership::Owner {
        sleep(Duration::from_millis(1)).await;
    }
    service.set_role(&group(), &own(1), Some(node("b"))).unwrap();
    assert_eq!(ownership(&bed, "a").0, Ownership::Owner);
    drop(state);
    assert_eq!(hand_over.await.unwrap(), Err(TransferError::NotOwner { group: group() }));
    bed.append("a", &invoke(2, 1)).await.unwrap();
}
