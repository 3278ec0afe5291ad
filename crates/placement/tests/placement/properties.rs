//! What holds of every plan, whatever the sky, the fleet and what runs.

use std::collections::BTreeMap;

use placement::{
    After, Assignment, Constraint, Decision, NodeRefusal, Plan, Running, Snapshot, Task, violation,
};
use proptest::prelude::*;
use topology::{ContactPlan, LinkNeed, PairSeries, PathState, SunSeries};
use types::{Epoch, LatencyUs, MilliCpu, NodeId, TaskId, WorkflowId};

use crate::bed::{Bed, STEP_S, STEPS, at, node, task, task_id};

pub(crate) const NODES: [&str; 6] = ["drone", "edge", "sat-1", "sat-2", "sat-3", "sat-4"];
const TASKS: [&str; 4] = ["ingest", "extract", "detect", "prepare"];

/// A series of spells: so many steps of so many milliseconds, 0 for no path, at such a rate.
fn spells() -> impl Strategy<Value = Vec<Option<PathState>>> {
    let rate_kbps = prop_oneof![1 => Just(0_u32), 2 => Just(400), 8 => Just(100)];
    let one = (1_usize..40, prop_oneof![1 => Just(0_u32), 6 => 1_u32..40], rate_kbps);
    prop::collection::vec(one, 1..9).prop_map(|spells| {
        let state = |ms: u32, rate_kbps: u32| {
            let latency = LatencyUs(ms * 1000);
            (ms != 0).then_some(PathState { latency, rate_kbps, loss_ppm: 0, hops: 1 })
        };
        let steps = spells.iter().flat_map(|(steps, ms, rate)| vec![state(*ms, *rate); *steps]);
        steps.cycle().take(STEPS as usize).collect()
    })
}

pub(crate) fn links() -> impl Strategy<Value = Vec<PairSeries>> {
    let pairs = NODES.len() * (NODES.len() - 1) / 2;
    prop::collection::vec(spells(), pairs).prop_map(|all| {
        let names = (0..NODES.len()).flat_map(|a| (a + 1..NODES.len()).map(move |b| (a, b)));
        let pair = |((a, b), states)| PairSeries {
            a: node(NODES[a]),
            b: node(NODES[b]),
            states,
            confidence_ppm: 1_000_000,
        };
        names.zip(all).map(pair).collect()
    })
}

/// Cores, charge, temperature, alive.
type Health = (u32, Option<f64>, Option<f64>, bool);

fn health() -> impl Strategy<Value = Vec<Health>> {
    let charge = prop_oneof![2 => Just(None), 1 => (0.0..1.0).prop_map(Some)];
    let heat = prop_oneof![2 => Just(None), 1 => (20.0..90.0).prop_map(Some)];
    let one = (1_u32..5, charge, heat, prop::bool::weighted(0.85));
    prop::collection::vec(one, NODES.len())
}

/// Cores, limit to the predecessor, KiB from there and within how many ms, and by how many ms that path may change, where it runs, to whom it is announced and when, and for which of those before it
/// (each a bit) it goes with or keeps apart from.
type Job =
    (u32, u32, (Option<(u32, u32)>, Option<u32>), Option<usize>, Option<(usize, u32)>, Company);

/// Those that it goes with, and those that it keeps apart from.
type Company = (u32, u32);

fn jobs() -> impl Strategy<Value = Vec<Job>> {
    let place = prop::option::of(0..NODES.len());
    let successor = prop::option::of((0..NODES.len(), 0_u32..60));
    let company = prop_oneof![
        4 => Just((0, 0)),
        3 => (0_u32..3).prop_map(|with| (1 << with, 0)),
        2 => (1_u32..8).prop_map(|apart| (0, apart)),
        1 => (0_u32..8, 0_u32..8).prop_map(|(with, apart)| (with, apart & !with)),
    ];
    // A KiB takes 82 ms at 100 kbit/s.
    let arrival = prop::option::weighted(0.4, (1_u32..3, 85_u32..200));
    let jitter = prop::option::weighted(0.3, 3_u32..25);
    let one = (1_u32..5, 5_u32..40, (arrival, jitter), place, successor, company);
    prop::collection::vec(one, 1..TASKS.len())
}

fn bed(links: Vec<PairSeries>, health: &[Health], jobs: &[Job], dark: u32) -> Bed {
    let mut bed = Bed::new().satellites(&NODES[1..]);
    bed.pairs = links;
    for (view, (cores, charge, temperature_c, alive)) in bed.nodes.iter_mut().zip(health) {
        view.capacity.milli_cpu = MilliCpu(cores * 1000);
        view.alive = *alive || view.id.as_str() == "drone";
        view.battery_wh = charge.map(|_| 5.0);
        view.state_of_charge = *charge;
        (view.reserve, view.idle_w, view.solar_w) = (0.2, 5.0, 18.0);
        view.temperature_c = *temperature_c;
        (view.ambient_c, view.temperature_max_c) = (Some(10.0), 80.0);
        (view.conductance_w_k, view.heat_capacity_j_k) = (Some(0.3), Some(120.0));
        let sunlit = (0..STEPS).map(|step| f32::from(u8::from(step % 50 < dark))).collect();
        bed.sun.push(SunSeries { node: view.id.clone(), sunlit });
    }
    for (index, (cores, limit_ms, (arrival, jitter), place, successor, company)) in
        jobs.iter().enumerate()
    {
        let mut next = task(TASKS[index + 1], &[(TASKS[index], f64::from(*limit_ms))]);
        // Who goes with others is small, or there would seldom be room.
        next.milli_cpu = MilliCpu(if company.0 == 0 { cores * 1000 } else { 500 });
        let named = |bits: u32| -> Vec<TaskId> {
            let all = (0..).zip(&TASKS[..=index]).filter(|(bit, _)| bits >> bit & 1 == 1);
            all.map(|(_, name)| task_id(name)).collect()
        };
        next.after[0].kib = arrival.map(|(kib, _)| kib);
        next.after[0].arrives_within_ms = arrival.map(|(_, ms)| f64::from(ms));
        next.after[0].jitter_max_ms = jitter.map(f64::from);
        (next.with, next.apart) = (named(company.0), named(company.1));
        bed = bed.task(next);
        if let Some(place) = place {
            bed = bed.runs(TASKS[index + 1], NODES[*place]);
            if let Some((to, step)) = successor.filter(|(to, _)| to != place) {
                bed = bed.with(NODES[to], Some((NODES[to], f64::from(step))));
            }
        }
    }
    bed
}

fn beds() -> impl Strategy<Value = Bed> {
    (links(), health(), jobs(), 0_u32..51, prop::option::of((0..NODES.len(), 0_u32..3))).prop_map(
        |(links, health, jobs, dark, other)| {
            let mut bed = bed(links, &health, &jobs, dark);
            if let Some((place, cores)) = other {
                bed = bed.runs(TASKS[0], NODES[place]);
                let running = bed.running.last_mut().expect("just pushed");
                running.workflow = WorkflowId::new("other").expect("a name");
                running.milli_cpu = MilliCpu(cores * 500);
                running.memory_mib.0 = 10;
            }
            bed
        },
    )
}

/// Where each task is at a moment, as far as the plan says.
fn hosts_at(plan: &Plan, now: Epoch, task: &TaskId) -> Option<NodeId> {
    let assignment = plan.assignments.iter().find(|assignment| assignment.task == *task)?;
    let next = assignment.next.as_ref().filter(|next| next.at <= now);
    Some(next.map_or_else(|| assignment.node.clone(), |next| next.node.clone()))
}

fn violated(
    snapshot: &Snapshot,
    plan: &Plan,
    task: &TaskId,
    on: &NodeId,
    now: Epoch,
) -> Option<NodeRefusal> {
    let workflow = &snapshot.workflow;
    let host_of = |task: &TaskId| hosts_at(plan, now, task);
    let state = |a: &NodeId, b: &NodeId| snapshot.plan.state(a, b, now);
    violation(workflow, workflow.task(task).expect("known"), on, now, host_of, state)
}

fn capacity_is_respected(snapshot: &Snapshot, plan: &Plan) -> Result<(), TestCaseError> {
    let mut used: BTreeMap<&NodeId, u32> = BTreeMap::new();
    for (assignment, task) in plan.assignments.iter().zip(&snapshot.workflow.tasks) {
        *used.entry(&assignment.node).or_default() += task.milli_cpu.0;
        if let Some(next) = &assignment.next {
            prop_assert_ne!(&next.node, &assignment.node);
            *used.entry(&next.node).or_default() += task.milli_cpu.0;
        }
    }
    let other = |running: &&Running| running.workflow != snapshot.workflow.id;
    for running in snapshot.running.iter().filter(other) {
        if let Some(used) = used.get_mut(&running.node) {
            *used += running.milli_cpu.0;
        }
    }
    for view in &snapshot.nodes {
        let used = used.get(&view.id).copied().unwrap_or_default();
        prop_assert!(
            used <= view.capacity.milli_cpu.0 || used == 0,
            "{}: {}\n{}",
            view.id,
            used,
            plan
        );
    }
    Ok(())
}

fn hand_over_is_in_time(
    snapshot: &Snapshot,
    plan: &Plan,
    assignment: &Assignment,
) -> Result<(), TestCaseError> {
    let Some(next) = &assignment.next else { return Ok(()) };
    let window = assignment.window.as_ref().expect("what hands over has a window");
    // The guard before the close, or at short notice if nobody can take over then.
    prop_assert!(next.at <= window.close, "{}", plan);
    prop_assert!(snapshot.now <= next.at);
    prop_assert!(next.window.contains(next.at) && window.close < next.window.close);
    prop_assert_eq!(assignment.replica.as_ref(), Some(&next.node));
    let view = snapshot.nodes.iter().find(|view| view.id == next.node);
    prop_assert!(view.is_some_and(|view| view.alive));
    Ok(())
}

/// The steps from now on through which a task is promised to be without violation.
fn promised(snapshot: &Snapshot, plan: &Plan, index: usize) -> Vec<Epoch> {
    // Beyond the guard before the end of a next host's window, a task may move on to a third one.
    let known = |assignment: &Assignment| match (&assignment.next, &assignment.window) {
        (Some(next), _) => next.window.close.plus_s(-snapshot.options.guard_s - STEP_S),
        (None, Some(window)) => window.close,
        (None, None) => snapshot.now,
    };
    // The tasks form a chain.
    let until = plan.assignments[..index].iter().map(known).min();
    let own = &plan.assignments[index];
    let own_until = match (&own.next, &own.window) {
        (Some(next), _) => next.window.close,
        (None, Some(window)) => window.close,
        (None, None) => snapshot.now,
    };
    let until = until.map_or(own_until, |until| until.min(own_until));
    let steps = (0..STEPS).map(|step| at(f64::from(step))).filter(|now| snapshot.now <= *now);
    std::iter::once(snapshot.now).chain(steps.filter(|now| *now <= until)).collect()
}

/// Whether a task shares a node with those that it is to, and with none that it keeps apart from: by where they are, and
/// nothing of the planner.
fn company_is_kept(task: &Task, plan: &Plan, on: &NodeId, now: Epoch) -> Result<(), TestCaseError> {
    let is_here = |other: &TaskId| hosts_at(plan, now, other).as_ref() == Some(on);
    prop_assert!(task.with.iter().all(is_here), "{} at {}\n{}", task.id, now, plan);
    prop_assert!(!task.apart.iter().any(is_here), "{} at {}\n{}", task.id, now, plan);
    Ok(())
}

/// Whether all that a task takes is there in time, by the states of the links at the grid points around a moment.
fn inputs_arrive_in_time(
    snapshot: &Snapshot,
    plan: &Plan,
    index: usize,
    on: &NodeId,
    now: Epoch,
) -> Result<(), TestCaseError> {
    let step = now.seconds_since(at(0.0)) / STEP_S;
    for after in &snapshot.workflow.tasks[index].after {
        let Some((kib, within_ms)) = after.kib.zip(after.arrives_within_ms) else { continue };
        let from = hosts_at(plan, now, &after.task).expect("placed");
        let ends = |pair: &&PairSeries| (&pair.a, &pair.b) == (on.min(&from), on.max(&from));
        let Some(pair) = snapshot.plan.pairs().iter().find(ends) else { continue };
        let around =
            (0_u32..).zip(&pair.states).filter(|(at, _)| (f64::from(*at) - step).abs() < 1.0);
        for (_, state) in around {
            let path = state.expect("a path");
            let sending_ms = f64::from(kib) * 8192.0 / f64::from(path.rate_kbps);
            prop_assert!(
                path.latency.as_ms() + sending_ms <= within_ms,
                "{} at {}\n{}",
                on,
                now,
                plan
            );
        }
    }
    Ok(())
}

/// Whether no path that is the same at two moments changes by too much between them.
fn paths_are_steady(
    snapshot: &Snapshot,
    plan: &Plan,
    index: usize,
    moments: [Epoch; 2],
) -> Result<(), TestCaseError> {
    let task = &snapshot.workflow.tasks[index];
    for after in &task.after {
        let Some(max_ms) = after.jitter_max_ms else { continue };
        let ends = |now: Epoch| [hosts_at(plan, now, &task.id), hosts_at(plan, now, &after.task)];
        if ends(moments[0]) != ends(moments[1]) {
            continue;
        }
        let [Some(on), Some(from)] = ends(moments[0]) else { continue };
        let paths = moments.map(|now| snapshot.plan.state(&on, &from, now).path());
        let [before_ms, after_ms] = paths.map(|path| path.expect("a path").latency.as_ms());
        let change_ms = (before_ms - after_ms).abs();
        prop_assert!(change_ms <= max_ms, "{} at {}\n{}", on, moments[1], plan);
    }
    Ok(())
}

fn check_plan(snapshot: &Snapshot, plan: &Plan) -> Result<(), TestCaseError> {
    capacity_is_respected(snapshot, plan)?;
    for (index, assignment) in plan.assignments.iter().enumerate() {
        let view = snapshot.nodes.iter().find(|view| view.id == assignment.node).expect("known");
        prop_assert!(view.alive);
        prop_assert!(view.state_of_charge.is_none_or(|charge| 0.2 <= charge));
        prop_assert!(view.temperature_c.is_none_or(|now_c| now_c < 80.0));
        hand_over_is_in_time(snapshot, plan, assignment)?;
        prop_assert_ne!(assignment.replica.as_ref(), Some(&assignment.node));
        prop_assert_eq!(assignment.refused.len() + 1, snapshot.nodes.len());
        let moments = promised(snapshot, plan, index);
        for two in moments.windows(2) {
            paths_are_steady(snapshot, plan, index, [two[0], two[1]])?;
        }
        for now in moments {
            // At the very moment of a hand-over either host of a predecessor may count.
            if plan.assignments[..index]
                .iter()
                .any(|a| a.next.as_ref().is_some_and(|n| n.at == now))
            {
                continue;
            }
            let on = hosts_at(plan, now, &assignment.task).expect("placed");
            let found = violated(snapshot, plan, &assignment.task, &on, now);
            prop_assert_eq!(found, None, "{} at {}\n{}", assignment.task, now, plan);
            inputs_arrive_in_time(snapshot, plan, index, &on, now)?;
            company_is_kept(&snapshot.workflow.tasks[index], plan, &on, now)?;
        }
    }
    Ok(())
}

/// Whether a refusal for a link is found again by asking the plan.
fn check_refusals(snapshot: &Snapshot, plan: &Plan) -> Result<(), TestCaseError> {
    for assignment in &plan.assignments {
        for refusal in &assignment.refused {
            let link = matches!(
                refusal.constraint,
                Constraint::Latency { .. } | Constraint::Outage { .. }
            );
            // Refusals for later moments belong to first placements: hosts may have moved on twice by then.
            if link && refusal.at == snapshot.now {
                let found = violated(snapshot, plan, &assignment.task, &refusal.node, refusal.at);
                let found = found.map(|found| found.constraint);
                prop_assert_eq!(found.as_ref(), Some(&refusal.constraint), "{}", plan);
            }
        }
    }
    Ok(())
}

/// Whether no task has to move, or is within the guard of its end, up to a moment.
fn settled_until(snapshot: &Snapshot, plan: &Plan, until: Epoch) -> bool {
    plan.assignments.iter().all(|assignment| {
        let Some(window) = &assignment.window else { return true };
        let late = window.close.plus_s(-snapshot.options.guard_s - STEP_S) <= until;
        let due = assignment.next.as_ref().is_some_and(|next| next.at <= until);
        !late && !due
    })
}

/// Whether a task's window is known to close and nobody is known to follow: then a second plan, which knows where the
/// first one put the other tasks, may move what is in the way of a follower.
fn has_dead_end(plan: &Plan) -> bool {
    plan.assignments.iter().any(|assignment| {
        assignment.next.is_none() && assignment.window.as_ref().is_some_and(|w| w.close_known)
    })
}

/// Whether all that ran goes on where it was. Where a task left, there is room that was not there when an
/// earlier one was planned, and a second plan may use it.
fn all_stay(before: &Bed, after: &Bed) -> bool {
    let place =
        |running: &Running| (running.workflow.clone(), running.task.clone(), running.node.clone());
    before.running.iter().all(|old| {
        old.successor.is_none() && after.running.iter().any(|new| place(old) == place(new))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_keeps_its_promises(bed in beds(), step in 0.0..60.0_f64) {
        let snapshot = bed.snapshot(step);
        if let Decision::Placed(plan) = snapshot.decide() {
            check_plan(&snapshot, &plan)?;
            check_refusals(&snapshot, &plan)?;
        }
    }

    #[test]
    fn without_prediction_only_the_present_counts(bed in beds(), step in 0.0..60.0_f64) {
        let mut snapshot = bed.without_prediction().snapshot(step);
        let decision = snapshot.decide();
        if let Decision::Placed(plan) = &decision {
            check_plan(&snapshot, plan)?;
            prop_assert!(plan.assignments.iter().all(|a| a.window.is_none() && a.next.is_none()));
        }
        // What comes later is not even looked at.
        let seen = |i: u32| f64::from(i) < step + 1.0;
        let cut = |series: &PairSeries| PairSeries {
            states: (0..).zip(&series.states).map(|(i, state)| state.filter(|_| seen(i))).collect(),
            ..series.clone()
        };
        let pairs = snapshot.plan.pairs().iter().map(cut).collect();
        let sun = snapshot.plan.sun().to_vec();
        let cut = ContactPlan::new(snapshot.plan.version, snapshot.plan.start, 10_000, STEPS, pairs, sun);
        snapshot.plan = cut.expect("a good plan");
        // The second copy is chosen by how long contact lasts, which without prediction is now.
        prop_assert_eq!(snapshot.decide(), decision);
    }

    #[test]
    fn equal_input_yields_an_equal_plan_in_any_order(bed in beds(), step in 0.0..60.0_f64, turn in 0_usize..6) {
        let snapshot = bed.snapshot(step);
        let decision = snapshot.decide();
        prop_assert_eq!(&snapshot.decide(), &decision);
        let mut turned = snapshot;
        turned.nodes.rotate_left(turn);
        turned.running.reverse();
        prop_assert_eq!(&turned.decide(), &decision);
    }

    #[test]
    fn a_plan_carried_out_is_planned_again(bed in beds(), step in 0.0..60.0_f64) {
        // What later tasks draw on the node of an earlier one is known to the second plan only.
        let bed = bed.without_bodies();
        let snapshot = bed.snapshot(step);
        let Decision::Placed(plan) = snapshot.decide() else { return Ok(()) };
        if !settled_until(&snapshot, &plan, snapshot.now) || has_dead_end(&plan) {
            return Ok(());
        }
        let after = bed.clone().carry_out(&plan);
        if !all_stay(&bed, &after) {
            return Ok(());
        }
        let again = after.placed(step);
        for (old, new) in plan.assignments.iter().zip(&again.assignments) {
            prop_assert_eq!(&old.node, &new.node, "{}{}", plan, again);
            prop_assert_eq!(&old.next, &new.next, "{}{}", plan, again);
            prop_assert_eq!(&old.replica, &new.replica, "{}{}", plan, again);
        }
    }

    #[test]
    fn as_time_goes_by_nothing_moves_before_it_has_to(bed in beds(), step in 0.0..40.0_f64, later in 0.0..40.0_f64) {
        let bed = bed.without_bodies();
        let snapshot = bed.snapshot(step);
        let Decision::Placed(plan) = snapshot.decide() else { return Ok(()) };
        if !settled_until(&snapshot, &plan, at(step + later)) || has_dead_end(&plan) {
            return Ok(());
        }
        let after = bed.clone().carry_out(&plan);
        if !all_stay(&bed, &after) {
            return Ok(());
        }
        let again = after.placed(step + later);
        for (old, new) in plan.assignments.iter().zip(&again.assignments) {
            prop_assert_eq!(&old.node, &new.node, "{}{}", plan, again);
            if let Some(next) = &old.next {
                let still = new.next.as_ref().map(|next| (&next.node, next.at));
                prop_assert_eq!(still, Some((&next.node, next.at)), "{}{}", plan, again);
            }
        }
    }

    #[test]
    fn a_refusal_names_every_node_with_a_hard_reason(bed in beds(), step in 0.0..60.0_f64) {
        let snapshot = bed.snapshot(step);
        if let Decision::Refused(refusal) = snapshot.decide() {
            let nodes: Vec<_> = refusal.nodes.iter().map(|refusal| &refusal.node).collect();
            let mut all: Vec<_> = snapshot.nodes.iter().map(|view| &view.id).collect();
            all.sort();
            prop_assert_eq!(nodes, all);
            let soft = [Constraint::Shorter, Constraint::Farther, Constraint::Order, Constraint::Stays];
            prop_assert!(refusal.nodes.iter().all(|refusal| !soft.contains(&refusal.constraint)));
        }
    }

    #[test]
    fn windows_of_satellites_end_where_the_contact_plan_says(links in links(), step in 0.0..60.0_f64) {
        let health = [(4, None, None, true); NODES.len()];
        let bed = bed(links, &health, &[(4, 20, (None, None), None, None, (0, 0))], 0).without_bodies();
        let snapshot = bed.snapshot(step);
        if let Decision::Placed(plan) = snapshot.decide() {
            let window = plan.assignments[1].window.clone().expect("predicted");
            let need = LinkNeed::latency(LatencyUs(20_000));
            let now = (snapshot.now, snapshot.now);
            let found = snapshot.plan.windows(&node("drone"), &plan.assignments[1].node, now, &need);
            prop_assert_eq!(found, [window]);
        }
    }
}

#[test]
fn the_random_skies_are_neither_hopeless_nor_trivial() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut placed, mut next, mut refused) = (0, 0, 0);
    let mut asked = [0; 4];
    for _ in 0..300 {
        let tree = (beds(), 0.0..60.0_f64).new_tree(&mut runner).expect("always possible");
        let (bed, step) = tree.current();
        match bed.snapshot(step).decide() {
            Decision::Placed(plan) => {
                placed += 1;
                for task in &bed.workflow.tasks {
                    let takes =
                        |of: fn(&After) -> Option<f64>| task.after.iter().any(|a| of(a).is_some());
                    let (arrival, jitter) =
                        (takes(|a| a.arrives_within_ms), takes(|a| a.jitter_max_ms));
                    let all = [!task.with.is_empty(), !task.apart.is_empty(), arrival, jitter];
                    asked = std::array::from_fn(|at| asked[at] + u32::from(all[at]));
                }
                next += plan.assignments.iter().filter(|a| a.next.is_some()).count();
            }
            Decision::Refused(_) => refused += 1,
        }
    }
    assert!(40 < placed && 20 < next && 40 < refused, "{placed} {next} {refused}");
    assert!(asked.iter().all(|count| 10 < *count), "{asked:?}");
}
