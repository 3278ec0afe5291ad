//! Ours against every possibility, on skies that are small enough for that.

use placement::policy::lookahead::Lookahead;
use placement::{Job, Latencies, Stay, Step};
use proptest::prelude::*;
use topology::NodeIx;
use types::NodeKind;

use crate::sample::{Fleet, Links, chain, node, stay};

const NODES: u32 = 6;
const STEPS: usize = 5;
/// What differs by less is the same to it, for each task.
const RESOLUTION_MS: f64 = 0.1;

/// Links between any nodes, other ones at each step.
fn steps() -> impl Strategy<Value = Vec<Links>> {
    let pairs: Vec<_> = (0..NODES).flat_map(|a| (a + 1..NODES).map(move |b| (a, b))).collect();
    let delays = prop::collection::vec(prop::option::weighted(0.6, 1.0..100.0_f64), pairs.len());
    let links = delays.prop_map(move |delays| {
        let links = pairs.iter().zip(delays);
        links.filter_map(|((a, b), ms)| Some((*a, *b, ms?))).collect::<Links>()
    });
    prop::collection::vec(links, STEPS)
}

fn job() -> impl Strategy<Value = Job> {
    let task = (prop::option::of(20.0..150.0_f64), 0..3_u32);
    prop::collection::vec(task, 1..4).prop_map(|tasks| {
        let mut start = 0;
        let tasks: Vec<_> = tasks
            .into_iter()
            .map(|(limit_ms, steps)| {
                let of: (Step, f64, _) = (start, f64::from(steps.min(1)) * 60.0, limit_ms);
                start = (start + steps).min(3);
                of
            })
            .collect();
        chain(&tasks)
    })
}

/// Room on each node, thousandths of a core: for no task, one or two.
fn sizes() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(prop::sample::select(vec![0, 1000, 2000]), NODES as usize)
}

fn fleet(steps: &[Links], sizes: &[u32]) -> Fleet {
    let nodes = sizes.iter().enumerate().map(|(at, size)| node(at, NodeKind::Satellite, *size));
    Fleet::new(nodes.collect(), steps)
}

/// Steps of runs in which a task draws from a battery: those in shadow.
fn drawn(fleet: &Fleet, job: &Job) -> u32 {
    let is_dark = |node: NodeIx| fleet.sky.sunlit.get(node.index()).is_some_and(|sun| *sun < 0.5);
    let of_task = |task: &placement::JobTask| {
        let steps = task.start..task.start + u32::from(0.0 < task.runs[0].seconds);
        steps.filter_map(|step| task.host_at(step)).filter(|host| is_dark(*host)).count()
    };
    u32::try_from(job.tasks.iter().map(of_task).sum::<usize>()).expect("few steps")
}

/// The best of all ways to give each task one node for all of its run, as (steps violated, steps in shadow, ms); only those that meet all
/// objectives at the start of each task.
fn best_of_all(fleet: &Fleet, job: &Job, sizes: &[u32]) -> Option<(u32, u32, f64)> {
    let tasks = u32::try_from(job.tasks.len()).expect("few tasks");
    let mut best: Option<(u32, u32, f64)> = None;
    for number in 0..NODES.pow(tasks) {
        let mut job = job.clone();
        let mut taken = [0; NODES as usize];
        for (at, task) in (0_u32..).zip(&mut job.tasks) {
            let host = number / NODES.pow(at) % NODES;
            task.stays = stay(host, task.start);
            taken[host as usize] += 1000;
        }
        let has_room = taken.iter().zip(sizes).all(|(taken, size)| taken <= size);
        if !has_room || !starts_well(fleet, &job) {
            continue;
        }
        let (violated, sum_ms) = fleet.cost(&job);
        let cost = (violated, drawn(fleet, &job), sum_ms);
        if best.is_none_or(|best| cost < best) {
            best = Some(cost);
        }
    }
    best
}

/// Whether all objectives hold when each task starts.
fn starts_well(fleet: &Fleet, job: &Job) -> bool {
    let mut job = job.clone();
    for task in &mut job.tasks {
        task.runs[0].seconds = 0.0;
    }
    fleet.cost(&job).0 == 0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn ours_is_never_worse_than_the_best_fixed_hosts(
        steps in steps(),
        job in job(),
        sizes in sizes(),
    ) {
        let mut ours = fleet(&steps, &sizes);
        let mut placed = job.clone();
        let found = ours.drive("lookahead", &mut placed);
        let best = best_of_all(&ours, &job, &sizes);
        let Some((violated, _, sum_ms)) = best else { return Ok(()) };
        prop_assert!(found.is_ok(), "{found:?}, but {violated} steps and {sum_ms} ms are possible");
        let (our_violated, our_ms) = ours.cost(&placed);
        prop_assert!(our_violated <= violated, "{our_violated} steps violated, {violated} need be");
        let slack_ms = RESOLUTION_MS * f64::from(u32::try_from(job.tasks.len()).unwrap());
        if our_violated == violated {
            prop_assert!(our_ms <= sum_ms + slack_ms, "{our_ms} ms, {sum_ms} are possible");
        }
    }

    #[test]
    fn ours_never_draws_more_than_the_best_fixed_hosts(
        steps in steps(),
        mut job in job(),
        sizes in sizes(),
        sunlit in prop::collection::vec(prop::sample::select(vec![0.0, 1.0]), NODES as usize),
    ) {
        let mut ours = fleet(&steps, &sizes);
        for task in &mut job.tasks {
            task.watts = 5.0;
        }
        ours.sky.sunlit = sunlit;
        ours.boards = vec![crate::exhausted::boundless(); NODES as usize];
        let mut placed = job.clone();
        let found = ours.drive("lookahead", &mut placed);
        let best = best_of_all(&ours, &job, &sizes);
        let Some((violated, dark, sum_ms)) = best else { return Ok(()) };
        prop_assert!(found.is_ok(), "{found:?}, but {violated} steps and {sum_ms} ms are possible");
        let ((our_violated, our_ms), our_dark) = (ours.cost(&placed), drawn(&ours, &placed));
        prop_assert!((our_violated, our_dark) <= (violated, dark), "{our_dark} in shadow of {dark}");
        let slack_ms = RESOLUTION_MS * f64::from(u32::try_from(job.tasks.len()).unwrap());
        if (our_violated, our_dark) == (violated, dark) {
            prop_assert!(our_ms <= sum_ms + slack_ms, "{our_ms} ms, {sum_ms} are possible");
        }
    }

    #[test]
    fn ours_places_what_can_be_placed_however_many_wait(
        steps in steps(),
        job in job(),
        sizes in sizes(),
    ) {
        let mut ours = fleet(&steps, &sizes);
        ours.waiting = 1_000_000;
        let mut placed = job.clone();
        let found = ours.drive("lookahead", &mut placed);
        if let Some(best) = best_of_all(&ours, &job, &sizes) {
            prop_assert!(found.is_ok(), "{found:?}, but {best:?} is possible");
        }
    }

    #[test]
    fn ours_decides_alike_whatever_was_asked_before(
        steps in steps(),
        jobs in prop::collection::vec(job(), 2..4),
        sizes in sizes(),
    ) {
        let fleet = fleet(&steps, &sizes);
        let mut searched = Latencies::new(&fleet.sky);
        for job in &jobs {
            let told = fleet.ask(&mut Lookahead, (job, 0), &mut searched);
            let alone = fleet.ask(&mut Lookahead, (job, 0), &mut Latencies::new(&fleet.sky));
            prop_assert_eq!(told, alone);
        }
    }

    #[test]
    fn no_node_is_promised_more_than_it_has(
        steps in steps(),
        jobs in prop::collection::vec(job(), 1..4),
        sizes in sizes(),
        policy in prop::sample::select(placement::policy::catalog::NAMES.to_vec()),
    ) {
        let mut fleet = fleet(&steps, &sizes);
        let mut taken = vec![0; NODES as usize];
        for mut job in jobs {
            fleet.drive(policy, &mut job).ok();
            for task in &job.tasks {
                let mut hosts: Vec<NodeIx> = task.stays.iter().map(|stay: &Stay| stay.node).collect();
                hosts.sort_unstable();
                hosts.dedup();
                for host in hosts {
                    taken[host.index()] += 1000;
                }
            }
        }
        for (taken, size) in taken.iter().zip(&sizes) {
            prop_assert!(taken <= size, "{policy}: {taken} of {size}");
        }
    }
}
