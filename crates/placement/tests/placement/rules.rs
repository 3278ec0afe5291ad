//! What holds of rules and reasons over random workflows: data stay where they may be, room is not promised twice, reasons
//! are the reasons, and worse inputs help nobody.

use placement::{
    Alternative, Constraint, Decision, NodeRefusal, NodeView, Plan, Release, Snapshot, Task,
    Workflow, WorkflowError,
};
use proptest::prelude::*;
use topology::PairSeries;
use types::{DataClass, LatencyUs, MilliCpu, NodeId, Region, TaskId, WorkflowId};

use crate::bed::{Bed, STEP_S, region, task, task_id};
use crate::properties::{NODES, links};

const TASKS: [&str; 3] = ["extract", "detect", "prepare"];
const REGIONS: [&str; 3] = ["at", "eu", "us"];
const CLASSES: [DataClass; 4] =
    [DataClass::Public, DataClass::Internal, DataClass::Confidential, DataClass::Restricted];

/// Cores, region, trust, alive, and charge for one with a battery.
type Body = (u32, Option<usize>, usize, bool, Option<f64>);

fn fleet() -> impl Strategy<Value = Vec<Body>> {
    let place = prop::option::weighted(0.8, 0..REGIONS.len());
    let trust = prop_oneof![1 => 0_usize..2, 4 => 2_usize..4];
    let charge = prop::option::weighted(0.3, 0.1..1.0);
    let one = (1_u32..5, place, trust, prop::bool::weighted(0.9), charge);
    prop::collection::vec(one, NODES.len())
}

/// A class, and the region that is forbidden.
type Label = (Option<usize>, Option<usize>);

fn label() -> impl Strategy<Value = Label> {
    (prop::option::weighted(0.3, 0..4_usize), prop::option::weighted(0.4, 0..REGIONS.len()))
}

/// Which of those before it are inputs, cores, limits of latency and of the arrival of 1 KiB, label, and whether all is
/// released as public.
type Job = (u32, u32, (Option<u32>, Option<u32>), Label, bool);

fn jobs(most: usize) -> impl Strategy<Value = Vec<Job>> {
    // 1 KiB takes 82 ms at the rate of most links.
    let limits =
        (prop::option::weighted(0.6, 10_u32..40), prop::option::weighted(0.3, 90_u32..120));
    let one = (1_u32..64, 1_u32..4, limits, label(), prop::bool::weighted(0.1));
    prop::collection::vec(one, 1..=most)
}

fn regions(forbidden: Option<usize>) -> Vec<Region> {
    let kept = |index: &usize| Some(*index) != forbidden;
    let all = (0..REGIONS.len()).filter(kept).map(|index| region(REGIONS[index]));
    forbidden.map_or(vec![], |_| all.collect())
}

/// The task of a row: its inputs are bits, first the tasks before it, then two sources.
fn free_task(index: usize, job: &Job) -> Task {
    let (inputs, cores, (limit, arrives), (class, forbidden), releases) = *job;
    let names: Vec<_> = ["ingest"].iter().chain(&TASKS[..index]).copied().collect();
    let limit = limit.map_or(0.0, f64::from);
    let mut after: Vec<_> = (0..).zip(&names).filter(|(bit, _)| inputs >> bit & 1 == 1).collect();
    if after.is_empty() {
        after.push((0, &names[names.len() - 1]));
    }
    let after: Vec<_> = after.into_iter().map(|(_, name)| (*name, limit)).collect();
    let mut task = task(TASKS[index], &after);
    task.milli_cpu = MilliCpu(cores * 1000);
    for after in &mut task.after {
        after.kib = arrives.map(|_| 1);
        after.arrives_within_ms = arrives.map(f64::from);
    }
    task.class = class.map(|class| CLASSES[class]);
    task.regions = regions(forbidden);
    task.releases =
        releases.then(|| Release { class: Some(DataClass::Public), regions: Some(vec![]) });
    task
}

/// A drone, five other nodes, up to `most` tasks after the first, which is pinned to the drone, and a source.
fn beds(most: usize) -> impl Strategy<Value = Bed> {
    let other = prop::option::of((0..NODES.len(), 0..NODES.len(), 1_u32..4));
    (links(), fleet(), label(), (label(), 0..NODES.len(), any::<bool>()), jobs(most), other)
        .prop_map(|(links, fleet, first, source, jobs, other)| {
            let mut bed = Bed::new().satellites(&NODES[1..]);
            bed.pairs = links;
            for (view, body) in bed.nodes.iter_mut().zip(&fleet) {
                dress(view, body);
            }
            bed.workflow.tasks[0].class = first.0.map(|class| CLASSES[class]);
            bed.workflow.tasks[0].regions = regions(first.1);
            for (index, job) in jobs.iter().enumerate() {
                bed = bed.task(free_task(index, job));
            }
            let ((class, forbidden), holder, is_read) = source;
            if is_read {
                bed = bed.source("reference", NODES[holder], 40.0);
                bed.workflow.sources[0].class = CLASSES[class.unwrap_or(1)];
                bed.workflow.sources[0].regions = regions(forbidden);
            }
            if let Some((on, next, cores)) = other {
                bed = bed.runs("ingest", NODES[on]);
                if on != next {
                    bed = bed.with(NODES[next], Some((NODES[next], 20.0)));
                }
                let running = bed.running.last_mut().expect("just pushed");
                running.workflow = WorkflowId::new("other").expect("a name");
                // Nothing is promised beyond what there is.
                let room = [on, next].map(|at| bed.nodes[at].capacity.milli_cpu.0);
                running.milli_cpu = MilliCpu((cores * 1000).min(room[0]).min(room[1]));
            }
            bed
        })
}

fn dress(view: &mut NodeView, body: &Body) {
    let (cores, place, trust, is_alive, charge) = *body;
    view.capacity.milli_cpu = MilliCpu(cores * 1000);
    view.region = place.map(|place| region(REGIONS[place]));
    view.trust = CLASSES[trust];
    view.alive = is_alive;
    (view.battery_wh, view.state_of_charge) = (charge.map(|_| 3.0), charge);
    (view.reserve, view.idle_w, view.solar_w) = (0.2, 5.0, 18.0);
    if view.id.as_str() == "drone" {
        (view.alive, view.battery_wh) = (true, None);
        (view.region, view.trust) = (Some(region("eu")), DataClass::Restricted);
    }
}

/// All that a task is asked for, origin by origin: by itself, and along every path from an input without a release.
fn asked(workflow: &Workflow, task: &Task) -> Vec<(DataClass, Vec<Region>)> {
    let takes_nothing = task.after.is_empty() && task.sources.is_empty();
    let least = if takes_nothing { DataClass::Internal } else { DataClass::Public };
    let mut all = vec![(task.class.unwrap_or(least), task.regions.clone())];
    for need in &task.sources {
        let source = workflow.sources.iter().find(|source| source.name == need.source);
        all.extend(source.map(|source| (source.class, source.regions.clone())));
    }
    for after in &task.after {
        let input = workflow.task(&after.task).expect("listed before");
        match input.releases {
            Some(_) => all.push((DataClass::Public, vec![])),
            None => all.extend(asked(workflow, input)),
        }
    }
    all
}

fn may_see(view: &NodeView, asked: &[(DataClass, Vec<Region>)]) -> bool {
    asked.iter().all(|(class, regions)| {
        let stands = view.region.as_ref().is_some_and(|region| regions.contains(region));
        *class <= view.trust && (regions.is_empty() || stands)
    })
}

fn data_stay_where_they_may_be(snapshot: &Snapshot, plan: &Plan) -> Result<(), TestCaseError> {
    for assignment in &plan.assignments {
        let task = snapshot.workflow.task(&assignment.task).expect("known");
        let asked = asked(&snapshot.workflow, task);
        let next = assignment.next.as_ref().map(|next| &next.node);
        let all = [Some(&assignment.node), next, assignment.replica.as_ref()];
        for id in all.into_iter().flatten() {
            let view = snapshot.nodes.iter().find(|view| view.id == *id).expect("known");
            prop_assert!(may_see(view, &asked), "{} on {id}: {asked:?}\n{plan}", task.id);
        }
    }
    Ok(())
}

/// What a node has promised of its processor at a moment: to the tasks of a plan, and to all others.
fn promised(snapshot: &Snapshot, plan: &Plan, view: &NodeView) -> (u32, u32) {
    let is_on = |host: &NodeId, next: Option<&NodeId>| *host == view.id || next == Some(&view.id);
    let mine = plan.assignments.iter().zip(&snapshot.workflow.tasks);
    let mine = mine.filter(|(one, _)| is_on(&one.node, one.next.as_ref().map(|next| &next.node)));
    let others = snapshot.running.iter().filter(|one| one.workflow != plan.workflow);
    let others =
        others.filter(|one| is_on(&one.node, one.successor.as_ref().map(|next| &next.node)));
    (mine.map(|(_, task)| task.milli_cpu.0).sum(), others.map(|one| one.milli_cpu.0).sum())
}

/// The refusals of a decision about one task.
fn refusals(decision: &Decision, task: &TaskId) -> Vec<NodeRefusal> {
    match decision {
        Decision::Placed(plan) => {
            let found = plan.assignments.iter().find(|assignment| assignment.task == *task);
            found.map(|found| found.refused.clone()).unwrap_or_default()
        }
        Decision::Refused(refusal) if refusal.task == *task => refusal.nodes.clone(),
        Decision::Refused(_) => vec![],
    }
}

/// The world in which what a refusal says is just not so any more; `None` for what is no matter of numbers.
fn otherwise(snapshot: &Snapshot, task: usize, refusal: &NodeRefusal) -> Option<Snapshot> {
    let mut other = snapshot.clone();
    let view = other.nodes.iter_mut().find(|view| view.id == refusal.node).expect("known");
    let task = &mut other.workflow.tasks[task];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, small")]
    let lacking = (refusal.limit - refusal.value) as u32;
    match &refusal.constraint {
        Constraint::Alive => view.alive = true,
        Constraint::Cpu => view.capacity.milli_cpu.0 += lacking,
        Constraint::Memory => view.capacity.memory_mib.0 += lacking,
        Constraint::Trust { class, .. } => view.trust = *class,
        Constraint::Region { allowed, .. } => view.region = Some(allowed.first()?.clone()),
        Constraint::Battery => view.reserve = refusal.value / 100.0,
        Constraint::Latency { to } => {
            for after in task.after.iter_mut().filter(|after| after.task == *to) {
                after.latency_max_ms = Some(refusal.value);
            }
            for need in task.sources.iter_mut().filter(|need| need.source == *to) {
                need.latency_max_ms = Some(refusal.value);
            }
        }
        _ => return None,
    }
    Some(other)
}

/// The world of an alternative.
fn under(snapshot: &Snapshot, task: &TaskId, alternative: &Alternative) -> Snapshot {
    let mut other = snapshot.clone();
    let mut tasks = other.workflow.tasks.iter_mut();
    let task = tasks.find(|one| one.id == *task).expect("known");
    match alternative {
        Alternative::From { at } => return snapshot.later(*at),
        Alternative::Latency { to, limit_ms, .. } => {
            for after in task.after.iter_mut().filter(|after| after.task == *to) {
                after.latency_max_ms = Some(*limit_ms);
            }
            for need in task.sources.iter_mut().filter(|need| need.source == *to) {
                need.latency_max_ms = Some(*limit_ms);
            }
        }
        Alternative::Arrival { to, limit_ms, .. } => {
            for after in task.after.iter_mut().filter(|after| after.task == *to) {
                after.arrives_within_ms = Some(*limit_ms);
            }
        }
        Alternative::Bandwidth { .. } | Alternative::Loss { .. } => {
            unreachable!("no bed asks for them")
        }
    }
    other
}

/// Which input gets worse, and where.
#[derive(Clone, Copy, Debug)]
enum Worse {
    Down(usize),
    Smaller(usize),
    Distrusted(usize),
    Nowhere(usize),
    Empty(usize),
    Farther(usize),
    Cut(usize),
    Tighter(usize),
    Secret(usize),
    Narrower(usize, usize),
}

fn worse() -> impl Strategy<Value = Worse> {
    let at = 0..NODES.len();
    prop_oneof![
        at.clone().prop_map(Worse::Down),
        at.clone().prop_map(Worse::Smaller),
        at.clone().prop_map(Worse::Distrusted),
        at.clone().prop_map(Worse::Nowhere),
        at.clone().prop_map(Worse::Empty),
        (0..15_usize).prop_map(Worse::Farther),
        (0..15_usize).prop_map(Worse::Cut),
        at.clone().prop_map(Worse::Tighter),
        at.clone().prop_map(Worse::Secret),
        (at, 0..REGIONS.len()).prop_map(|(task, kept)| Worse::Narrower(task, kept)),
    ]
}

fn worsened(mut bed: Bed, worse: Worse) -> Bed {
    let tasks = bed.workflow.tasks.len();
    let farther = |pair: &mut PairSeries| {
        for path in pair.states.iter_mut().flatten() {
            path.latency = LatencyUs(path.latency.0 + 7_000);
        }
    };
    match worse {
        Worse::Down(on) => bed.nodes[on].alive = false,
        Worse::Smaller(on) => bed.nodes[on].capacity.milli_cpu.0 -= 1000,
        Worse::Distrusted(on) => bed.nodes[on].trust = DataClass::Public,
        Worse::Nowhere(on) => bed.nodes[on].region = None,
        Worse::Empty(on) => {
            bed.nodes[on].battery_wh = Some(3.0);
            bed.nodes[on].state_of_charge = Some(0.19);
        }
        Worse::Farther(pair) => farther(&mut bed.pairs[pair]),
        Worse::Cut(pair) => bed.pairs[pair].states.iter_mut().for_each(|state| *state = None),
        Worse::Tighter(of) => {
            for after in &mut bed.workflow.tasks[of % tasks].after {
                let limit_ms = after.latency_max_ms.map_or(15.0, |ms| ms.min(15.0));
                after.latency_max_ms = Some(limit_ms);
            }
        }
        Worse::Secret(of) => bed.workflow.tasks[of % tasks].class = Some(DataClass::Restricted),
        Worse::Narrower(of, kept) => {
            let task = &mut bed.workflow.tasks[of % tasks];
            let is_kept = |one: &Region| one.as_str() == REGIONS[kept];
            if task.regions.is_empty() || task.regions.iter().any(is_kept) {
                task.regions = vec![region(REGIONS[kept])];
            }
        }
    }
    bed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn a_confidential_input_reaches_no_node_outside_its_regions(bed in beds(3), step in 0.0..60.0_f64) {
        let snapshot = bed.snapshot(step);
        let workflow = &snapshot.workflow;
        // Also of a workflow that makes no sense.
        if let Decision::Placed(plan) = snapshot.decide() {
            data_stay_where_they_may_be(&snapshot, &plan)?;
        }
        let is_possible = |task: &Task| {
            let asked = asked(workflow, task);
            let allowed = |name: &&'static str| {
                asked.iter().all(|(_, all)| all.is_empty() || all.contains(&region(name)))
            };
            REGIONS.iter().any(allowed)
        };
        let error = workflow.check().err();
        let has_none = matches!(error, Some(WorkflowError::NoRegion { .. }));
        prop_assert_eq!(has_none, !workflow.tasks.iter().all(is_possible), "{:?}", error);
    }

    #[test]
    fn plans_respect_calendars(bed in beds(3), step in 0.0..60.0_f64) {
        let snapshot = bed.snapshot(step);
        if let Decision::Placed(plan) = snapshot.decide() {
            for view in &snapshot.nodes {
                let (mine, others) = promised(&snapshot, &plan, view);
                prop_assert!(mine == 0 || mine + others <= view.capacity.milli_cpu.0, "{}\n{}", view.id, plan);
            }
        }
    }

    #[test]
    fn a_reason_that_is_taken_away_is_no_reason_any_more(bed in beds(1), step in 0.0..60.0_f64) {
        let snapshot = bed.snapshot(step);
        let task = snapshot.workflow.tasks[1].id.clone();
        for refusal in refusals(&snapshot.decide(), &task) {
            let Some(other) = otherwise(&snapshot, 1, &refusal) else { continue };
            let again = refusals(&other.decide(), &task);
            let again = again.iter().find(|again| again.node == refusal.node);
            let same = again.filter(|again| (&again.constraint, again.at) == (&refusal.constraint, refusal.at));
            prop_assert_eq!(same, None, "{}", refusal);
        }
    }

    #[test]
    fn an_alternative_is_verified_by_deciding_under_it(bed in beds(2), step in 0.0..60.0_f64) {
        let snapshot = bed.snapshot(step);
        let Decision::Refused(refusal) = snapshot.advise() else { return Ok(()) };
        prop_assert_eq!(Decision::Refused(refusal.clone()), snapshot.advise());
        for one in &refusal.alternatives {
            let other = under(&snapshot, &refusal.task, one);
            prop_assert!(matches!(other.decide(), Decision::Placed(_)), "{}{:?}", refusal, one);
            // What is printed is what was verified.
            let words = one.to_string();
            let just_before = match one {
                Alternative::From { at } => {
                    prop_assert!(words.ends_with(&format!("{at:.0}")[11..19]), "{}", words);
                    snapshot.later(at.plus_s(-STEP_S))
                }
                Alternative::Latency { to, limit_ms, asked_ms } => {
                    prop_assert!(words.contains(&format!(" {limit_ms} ms")), "{}", words);
                    let (to, asked_ms, limit_ms) = (to.clone(), *asked_ms, limit_ms - 1.0);
                    under(&snapshot, &refusal.task, &Alternative::Latency { to, limit_ms, asked_ms })
                }
                Alternative::Arrival { to, limit_ms, asked_ms } => {
                    prop_assert!(words.contains(&format!(" {limit_ms} ms")), "{}", words);
                    let (to, asked_ms, limit_ms) = (to.clone(), *asked_ms, limit_ms - 1.0);
                    under(&snapshot, &refusal.task, &Alternative::Arrival { to, limit_ms, asked_ms })
                }
                Alternative::Bandwidth { .. } | Alternative::Loss { .. } => continue,
            };
            if snapshot.now < just_before.now || just_before.now == snapshot.now && bed.workflow.tasks.len() == 2 {
                prop_assert!(matches!(just_before.decide(), Decision::Refused(_)), "{}", refusal);
            }
        }
    }

    #[test]
    fn worse_inputs_never_yield_better_verdicts(bed in beds(3), step in 0.0..60.0_f64, worse in worse()) {
        let bed = bed.without_prediction();
        if let Decision::Refused(refusal) = bed.snapshot(step).decide() {
            let worse = worsened(bed, worse).snapshot(step).decide();
            prop_assert!(matches!(worse, Decision::Refused(_)), "{}{}", refusal, worse);
        }
    }

    #[test]
    fn nor_does_a_sky_that_is_known(bed in beds(1), step in 0.0..60.0_f64, worse in worse()) {
        let hard = |decision: &Decision| -> Vec<NodeId> {
            let soft = [Constraint::Shorter, Constraint::Farther, Constraint::Order];
            let all = refusals(decision, &task_id("extract")).into_iter();
            all.filter(|no| !soft.contains(&no.constraint)).map(|no| no.node).collect()
        };
        let bed = bed.without_bodies();
        let before = bed.snapshot(step).decide();
        let after = worsened(bed, worse).snapshot(step).decide();
        if let (Decision::Refused(refusal), Decision::Placed(plan)) = (&before, &after) {
            prop_assert!(false, "{}{}", refusal, plan);
        }
        // Where the first task has no place any more, nothing is said about the second.
        let is_said = match &after {
            Decision::Placed(_) => true,
            Decision::Refused(refusal) => refusal.task == task_id("extract"),
        };
        if is_said {
            let after = hard(&after);
            prop_assert!(hard(&before).iter().all(|no| after.contains(no)), "{:?} {:?}", before, after);
        }
    }
}

#[test]
fn the_random_rules_are_neither_hopeless_nor_trivial() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut bound, mut moved, mut from, mut limits, mut nowhere) = (0, 0, 0, 0, 0);
    for _ in 0..300 {
        let tree = (beds(3), 0.0..60.0_f64).new_tree(&mut runner).expect("always possible");
        let (bed, step) = tree.current();
        let snapshot = bed.snapshot(step);
        nowhere += u32::from(snapshot.workflow.check().is_err());
        match snapshot.advise() {
            Decision::Placed(plan) => {
                moved += plan.assignments.iter().filter(|one| one.next.is_some()).count();
                let said = plan.assignments.iter().flat_map(|one| &one.refused);
                let data = |no: &&NodeRefusal| {
                    matches!(no.constraint, Constraint::Region { .. } | Constraint::Trust { .. })
                };
                bound += u32::from(said.filter(data).count() != 0);
            }
            Decision::Refused(refusal) => {
                let is_from = |one: &&Alternative| matches!(one, Alternative::From { .. });
                from += refusal.alternatives.iter().filter(is_from).count();
                limits += refusal.alternatives.iter().filter(|one| !is_from(one)).count();
            }
        }
    }
    let all = (bound, moved, from, limits, nowhere);
    assert!(20 < bound && 10 < moved && 10 < from && 10 < limits && 5 < nowhere, "{all:?}");
}
