//! Stages: once each, all or nothing, on two nodes.

use std::time::Duration;

use agent::state::{
    Begin, GROUP_VALUES_MAX, STATE_BYTES_MAX, STATE_OPS_MAX, StateFault, VALUE_BYTES_MAX,
};
use protocol::invoke::{Fault, SingleCopy};
use protocol::key::BeltService;
use tokio::time::Instant;
use types::{OwnerEpoch, SkyClock, WallTime};

use crate::bed::{Bed, Fate, input, invoke, key, node, own, read_object, read_value};
use crate::bed::{append_run, group};

/// Node a owns, b holds the second copy of its state, c is the next stage's.
fn bed() -> Bed {
    let bed = Bed::new(&["a", "b", "c"]);
    let change = bed.role("a", &own(1), Some("b"));
    assert_eq!(change.took_over, Some(OwnerEpoch(1)));
    bed
}

#[tokio::test]
async fn a_stage_commits_once_and_is_on_two_nodes_when_it_is_acknowledged() {
    let bed = bed();
    let sky = types::Epoch::parse("2026-01-01T00:00:00Z").unwrap();
    let clock = SkyClock::new(sky, WallTime(0), 0.001).unwrap();
    bed.service("a").set_clock(clock);
    let mut call = invoke(5, 1);
    call.outputs_to = Some(node("c"));
    let done = bed.append("a", &call).await.unwrap();
    assert_eq!(done.copies, [node("a"), node("c"), node("b")]);
    assert_eq!((done.single_copy, done.again, done.local_at_start), (None, false, true));
    assert_eq!((done.state_writes, done.body.as_slice()), (1, &b"run 5"[..]));

    let output = &done.outputs[0].id;
    for (name, has_state, has_output) in [("a", true, true), ("b", true, false), ("c", false, true)]
    {
        let service = bed.service(name);
        assert_eq!(read_value(&service, "log").is_some(), has_state, "state on {name}");
        assert_eq!(read_object(&service, output).is_some(), has_output, "output on {name}");
    }

    let audit = bed.audit("a");
    assert_eq!(audit.len(), 2);
    assert_eq!(audit[0]["object"], "flood/5/detect/run");
    assert_eq!(audit[0]["copies"], serde_json::json!(["a", "c"]));
    assert_eq!(audit[0]["node"], "a");
    assert!(audit[0]["at"].as_str().unwrap().starts_with("2026-01-"), "{}", audit[0]);
    assert_eq!(audit[1]["object"], "flood/-/detect/log");
    assert_eq!(audit[1]["copies"], serde_json::json!(["a", "b"]));
    assert_eq!((&audit[1]["version"], &audit[1]["owner_epoch"]), (&1.into(), &1.into()));
    assert_eq!(audit[1]["bytes"], 8);
    assert_eq!(audit[1]["hash"].as_str().unwrap().len(), 64);

    // Tried again, in this life and the next: the same answer, no second effect, no second line.
    for _ in 0..2 {
        call.attempt += 1;
        let again = bed.append("a", &call).await.unwrap();
        assert_eq!((again.again, &again.body, &again.copies), (true, &done.body, &done.copies));
        assert_eq!(bed.log("a"), [5]);
        bed.service("a").save_record("x", b"makes the settlement durable").unwrap();
        bed.stop("a");
        bed.start("a");
    }
    assert_eq!(bed.audit("a").len(), 2);
}

#[tokio::test]
async fn what_was_durable_and_never_acknowledged_is_settled_by_the_next_attempt() {
    let bed = bed();
    bed.fates(|_| Fate::Hangs);
    let call = invoke(1, 1);
    let cut_off = tokio::time::timeout(Duration::from_millis(300), bed.append("a", &call)).await;
    assert!(cut_off.is_err(), "it must wait for the second copy");
    bed.stop("a");
    bed.all_arrives();
    let service = bed.start("a");
    service.set_role(&group(), &own(1), Some(node("b"))).unwrap();
    assert_eq!(bed.log("a"), [1], "the commit itself was durable");
    assert_eq!(bed.audit("a").len(), 0, "it was not acknowledged");
    let again = bed.append("a", &invoke(1, 2)).await.unwrap();
    assert_eq!((again.again, again.body.as_slice()), (true, &b"run 1"[..]));
    assert_eq!(again.copies, [node("a"), node("b")]);
    assert_eq!((bed.log("a"), bed.log("b")), (vec![1], vec![1]));
    assert_eq!(bed.audit("a").len(), 2, "output and value");
}

#[tokio::test]
async fn one_copy_is_acknowledged_only_where_no_second_is_planned() {
    let bed = bed();
    let service = bed.service("a");
    service.set_role(&group(), &own(1), None).unwrap();
    let done = bed.append("a", &invoke(1, 1)).await.unwrap();
    assert_eq!((done.copies, done.single_copy), (vec![node("a")], Some(SingleCopy::NonePlanned)));
    service.set_role(&group(), &own(1), Some(node("b"))).unwrap();
    bed.fates(|query| if *query.to == node("b") { Fate::Lost } else { Fate::Arrives });
    let mut call = invoke(2, 1);
    call.outputs_to = Some(node("c"));
    assert_eq!(bed.append("a", &call).await.unwrap_err(), Fault::Busy);
    // Durable, and not acknowledged: the next try makes the copy that was missed, to whoever is planned by then.
    service.set_role(&group(), &own(1), Some(node("c"))).unwrap();
    call.attempt = 2;
    let done = bed.append("a", &call).await.unwrap();
    assert_eq!((done.again, done.single_copy), (true, None));
    assert_eq!(done.copies, [node("a"), node("c")]);
    assert_eq!(bed.log("c"), [1, 2]);
}

#[tokio::test]
async fn without_a_keeper_of_state_the_commit_record_goes_with_the_outputs() {
    let bed = bed();
    bed.service("a").set_role(&group(), &own(1), None).unwrap();
    let mut call = invoke(1, 1);
    call.outputs_to = Some(node("c"));
    let write = |state: &mut agent::state::CallState| {
        state.output_write(&key("frames"), vec![7; 10]).unwrap();
        Vec::new()
    };
    let (done, _) = bed.call("a", &call, write).await.unwrap();
    assert_eq!((done.copies, done.single_copy), (vec![node("a"), node("c")], None));
    let mut commit = done.outputs[0].id.clone();
    commit.key = key(".commit");
    assert!(read_object(&bed.service("c"), &commit).is_some());
}

#[tokio::test]
async fn calls_at_the_same_time_do_not_overwrite_each_other() {
    let bed = bed();
    let (service, bus) = (bed.service("a"), bed.bus("a"));
    let deadline = Instant::now() + Duration::from_secs(5);
    let begin = |run| match service.begin(&invoke(run, 1)).unwrap() {
        Begin::Ready(state) => state,
        other => panic!("not ready: {other:?}"),
    };
    let (mut first, mut second, mut third, mut fourth) = (begin(1), begin(2), begin(3), begin(4));
    append_run(&mut first, 1);
    append_run(&mut second, 2);
    third.state_put(&key("other"), vec![3], Some(0)).unwrap();
    assert_eq!(fourth.state_keys(None).unwrap(), []);
    service.commit(&bus, &invoke(1, 1), first, Vec::new(), deadline).await.unwrap();
    let lost = service.commit(&bus, &invoke(2, 1), second, Vec::new(), deadline).await;
    assert_eq!(lost.unwrap_err(), Fault::Conflict(1));
    service.commit(&bus, &invoke(3, 1), third, Vec::new(), deadline).await.unwrap();
    let stale = service.commit(&bus, &invoke(4, 1), fourth, Vec::new(), deadline).await;
    assert_eq!(stale.unwrap_err(), Fault::Conflict(0), "it listed keys that are no longer all");
    bed.append("a", &invoke(2, 2)).await.unwrap();
    assert_eq!(bed.log("b"), [1, 2]);
    assert_eq!(read_value(&bed.service("b"), "other"), Some(vec![3]));
}

#[tokio::test]
async fn a_call_sees_a_snapshot_and_its_own_writes() {
    let bed = bed();
    let set_up = |state: &mut agent::state::CallState| {
        for name in ["app/a", "app/b", "apple", "z"] {
            assert_eq!(state.state_put(&key(name), vec![1], Some(0)), Ok(1));
        }
        Vec::new()
    };
    bed.call("a", &invoke(1, 1), set_up).await.unwrap();
    let check = |state: &mut agent::state::CallState| {
        let keys = |state: &mut agent::state::CallState, prefix: Option<&str>| {
            let found = state.state_keys(prefix.map(key).as_ref()).unwrap();
            found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(keys(state, None), "app/a app/b apple z");
        assert_eq!(keys(state, Some("app")), "app/a app/b");
        assert_eq!(state.state_put(&key("z"), vec![2], Some(0)), Err(StateFault::Conflict(1)));
        assert_eq!(state.state_put(&key("z"), vec![2], Some(1)), Ok(2));
        assert_eq!(state.state_put(&key("z"), vec![3], Some(2)), Ok(2), "one write per call");
        assert_eq!(state.state_get(&key("z")), Ok(Some((vec![3], 2))));
        assert_eq!(state.state_delete(&key("app/a")), Ok(()));
        assert_eq!(state.state_delete(&key("app/a")), Err(StateFault::NotFound));
        assert_eq!(state.state_delete(&key("never")), Err(StateFault::NotFound));
        assert_eq!(state.state_get(&key("app/a")), Ok(None));
        assert_eq!(state.state_put(&key("app/c"), vec![4], None), Ok(1));
        assert_eq!(keys(state, None), "app/b app/c apple z");
        assert!(matches!(state.state_get(&key(".group")), Err(StateFault::BadInput(_))));
        let hidden = state.output_write(&key(".commit"), vec![1]);
        assert!(matches!(hidden, Err(StateFault::BadInput(_))));
        Vec::new()
    };
    bed.call("a", &invoke(2, 1), check).await.unwrap();
    let after = |state: &mut agent::state::CallState| {
        assert_eq!(state.state_get(&key("app/a")), Ok(None));
        assert_eq!(state.state_put(&key("app/a"), vec![9], Some(0)), Ok(3), "versions only rise");
        assert_eq!(state.state_get(&key("z")), Ok(Some((vec![3], 2))));
        Vec::new()
    };
    bed.call("a", &invoke(3, 1), after).await.unwrap();
    assert_eq!(read_value(&bed.service("b"), "app/a"), Some(vec![9]));
}

#[tokio::test]
async fn versions_rise_over_any_number_of_deletions() {
    let bed = bed();
    let mut run = 0;
    let mut last = 0;
    // More keys come and go than graves are remembered.
    for round in 0..2 {
        for n in 0..40 {
            run += 1;
            let name = key(&format!("k{n}"));
            let put = |state: &mut agent::state::CallState| {
                let version = state.state_put(&name, vec![1], Some(0)).unwrap();
                if round == 1 {
                    assert!(1 < version, "k{n} starts again at {version}");
                }
                last = last.max(version);
                Vec::new()
            };
            bed.call("a", &invoke(run, 1), put).await.unwrap();
            run += 1;
            let delete = |state: &mut agent::state::CallState| {
                state.state_delete(&name).unwrap();
                Vec::new()
            };
            bed.call("a", &invoke(run, 1), delete).await.unwrap();
        }
    }
    assert_eq!(bed.service("b").group_status(&group()).objects, 0);
}

#[tokio::test]
async fn the_limits_of_a_call_hold() {
    let bed = bed();
    let check = |state: &mut agent::state::CallState| {
        let too_large = |result: Result<u64, StateFault>| {
            assert!(matches!(result, Err(StateFault::TooLarge(_))), "{result:?}");
        };
        too_large(state.state_put(&key("a"), vec![0; VALUE_BYTES_MAX + 1], None));
        for n in 0..STATE_BYTES_MAX / VALUE_BYTES_MAX {
            state.state_put(&key(&format!("v{n}")), vec![0; VALUE_BYTES_MAX], None).unwrap();
        }
        too_large(state.state_put(&key("b"), vec![0; 1], None));
        while state.state_ops() < STATE_OPS_MAX {
            state.state_get(&key("none")).unwrap();
        }
        assert!(matches!(state.state_get(&key("none")), Err(StateFault::TooLarge(_))));
        for n in 0..64 {
            state.output_write(&key(&format!("o{n}")), vec![0]).unwrap();
        }
        assert!(matches!(state.output_write(&key("o64"), vec![0]), Err(StateFault::TooLarge(_))));
        state.output_write(&key("o0"), vec![1]).unwrap();
        Vec::new()
    };
    let (done, cost) = bed.call("a", &invoke(1, 1), check).await.unwrap();
    assert_eq!((done.outputs.len(), done.outputs[0].bytes), (64, 2));
    let pushed: u64 = cost.pushed.iter().map(|link| link.sent).sum();
    assert!(16 * 1024 * 1024 < pushed && 0 < cost.commit_ns, "{cost:?}");

    let mut run = 1;
    let mut fill = async |values: usize| {
        run += 1;
        let put = |state: &mut agent::state::CallState| {
            for n in 0..values {
                state.state_put(&key(&format!("n{run}/{n}")), vec![1], None).unwrap();
            }
            Vec::new()
        };
        bed.call("a", &invoke(run, 1), put).await
    };
    fill(60).await.unwrap();
    fill(GROUP_VALUES_MAX - 16 - 60).await.unwrap();
    assert!(matches!(fill(1).await.unwrap_err(), Fault::TooLarge(_)));
}

#[tokio::test]
async fn missing_inputs_are_fetched_from_their_holder() {
    let bed = bed();
    let frames = vec![9; 3 * 1024 * 1024 + 5];
    let write = |state: &mut agent::state::CallState| {
        state.output_write(&key("frames"), frames.clone()).unwrap();
        state.output_write(&key("empty"), Vec::new()).unwrap();
        Vec::new()
    };
    let mut call = invoke(1, 1);
    call.outputs_to = Some(node("c"));
    let (done, _) = bed.call("a", &call, write).await.unwrap();

    let next = agent::state::GroupId { task: types::TaskId::new("prepare").unwrap(), ..group() };
    for (name, is_local) in [("b", false), ("c", true)] {
        let service = bed.service(name);
        service.set_role(&next, &own(1), None).unwrap();
        let mut call = invoke(1, 1);
        call.task = next.task.clone();
        call.inputs = input(&done, "a");
        let read = |state: &mut agent::state::CallState| {
            assert_eq!(state.inputs().len(), 2);
            let (task, name) = (group().task, key("frames"));
            let part = state.input_read(&task, &name, 1024 * 1024 - 3, 10).unwrap();
            assert_eq!(part, [9; 10]);
            let end = state.input_read(&task, &name, frames.len() as u64 - 2, 10).unwrap();
            assert_eq!(end, [9; 2]);
            assert_eq!(state.input_read(&task, &key("empty"), 0, 10), Ok(vec![]));
            let other = state.input_read(&task, &key("other"), 0, 1);
            assert_eq!(other, Err(StateFault::NotFound));
            Vec::new()
        };
        let (done, _) = bed.call(name, &call, read).await.unwrap();
        assert_eq!(done.local_at_start, is_local, "{name}");
    }

    let mut call = invoke(2, 1);
    call.task = next.task.clone();
    call.inputs = input(&done, "a");
    call.inputs[1].object.hash = [1; 32];
    call.inputs.remove(0);
    let fault = bed.call("b", &call, |_| Vec::new()).await.unwrap_err();
    assert!(
        matches!(&fault, Fault::InputMissing(text) if text.contains("another object")),
        "{fault:?}"
    );
}

#[tokio::test]
async fn a_call_that_does_not_commit_leaves_nothing() {
    let bed = bed();
    let service = bed.service("a");
    let Begin::Ready(mut state) = service.begin(&invoke(1, 1)).unwrap() else { panic!() };
    append_run(&mut state, 1);
    assert_eq!(service.begin(&invoke(1, 1)).unwrap_err(), Fault::Busy, "the same attempt twice");
    drop(state);
    assert_eq!(bed.log("a"), [0_u64; 0]);
    assert_eq!(service.usage().objects, 1, "only the head of the group");
    bed.append("a", &invoke(1, 1)).await.unwrap();
    assert_eq!(bed.log("a"), [1]);
    let mut unknown = invoke(1, 1);
    unknown.task = types::TaskId::new("nobody").unwrap();
    assert!(matches!(service.begin(&unknown).unwrap_err(), Fault::NotFound(_)));
}

#[tokio::test]
async fn a_lost_answer_to_the_second_copy_does_no_harm() {
    let bed = bed();
    let mut count = 0;
    bed.fates(move |query| {
        count += u32::from(query.service == BeltService::Chunk);
        if query.service == BeltService::Chunk && count == 1 {
            Fate::AnswerLost
        } else {
            Fate::Arrives
        }
    });
    let done = bed.append("a", &invoke(1, 1)).await.unwrap();
    assert_eq!((done.copies, done.single_copy), (vec![node("a"), node("b")], None));
}
