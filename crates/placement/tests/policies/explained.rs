//! What is said of a node is true: with the number that speaks against it nothing speaks any more, or something else does, and ours chooses none
//! that something speaks against.

use body::{Cells, Store, Warmth};
use placement::endurance::{Board, Breach, Condition, Limit, Power};
use placement::policy::obstacle::Obstacle;
use placement::policy::survey::Verdict;
use placement::{Job, NoChoice};
use proptest::prelude::*;
use topology::NodeIx;
use types::{Arch, NodeKind};

use crate::sample::{Fleet, Links, chain, cores, node};

const NODES: usize = 6;
const STEPS: usize = 5;

/// A node: whether it is up, its processor, its size, and its charge if it has a battery.
type Drawn = (bool, bool, u32, Option<f64>);

fn nodes() -> impl Strategy<Value = Vec<Drawn>> {
    let size = prop::sample::select(vec![500_u32, 1000, 2000]);
    let one = (prop::bool::weighted(0.9), prop::bool::weighted(0.9), size);
    let charge = prop::option::weighted(0.4, 0.2..1.0_f64);
    let one = (one, charge).prop_map(|((up, arm, size), charge)| (up, arm, size, charge));
    prop::collection::vec(one, NODES)
}

fn links() -> impl Strategy<Value = Vec<Links>> {
    let pairs: Vec<_> =
        (0..6_u32).flat_map(|a| (a + 1..6).map(move |b| (a, b))).collect::<Vec<_>>();
    let delays = prop::collection::vec(prop::option::weighted(0.5, 1.0..100.0_f64), pairs.len());
    let one = delays.prop_map(move |delays| {
        pairs.iter().zip(delays).filter_map(|((a, b), ms)| Some((*a, *b, ms?))).collect::<Links>()
    });
    prop::collection::vec(one, STEPS)
}

fn fleet(drawn: &[Drawn], links: &[Links]) -> Fleet {
    let views = drawn.iter().enumerate().map(|(at, (up, arm, size, _))| {
        let mut view = node(at, NodeKind::Satellite, *size);
        view.alive = *up;
        view.arch = if *arm { Arch::Arm64 } else { Arch::X86_64 };
        view
    });
    let mut fleet = Fleet::new(views.collect(), links);
    let cells = Cells {
        capacity_wh: 10.0,
        charge_efficiency: 1.0,
        discharge_efficiency: 1.0,
        charge_w_max: 10.0,
        fade_per_cycle: 0.0,
        fade_per_year: 0.0,
    };
    let board = |(_, _, _, charge): &Drawn| {
        let power = charge.map(|_| Power { cells, panels_w: 0.0, reserve: 0.3 });
        let store = Store { soc: charge.unwrap_or(1.0), ..Store::default() };
        let warmth = Warmth { chip_c: 20.0, structure_c: 20.0 };
        (Board { power, ..Board::default() }, Condition { store, warmth })
    };
    fleet.boards = drawn.iter().map(board).collect();
    fleet
}

fn job(limit_ms: Option<f64>, steps: u32, watts: f64) -> Job {
    let mut job = chain(&[(0, f64::from(steps) * 60.0, limit_ms)]);
    job.tasks[0].watts = watts;
    job
}

fn verdict(fleet: &Fleet, job: &Job, node: usize) -> Verdict {
    fleet.survey(job, 0).expect("a task that there is")[node]
}

/// The same job with a limit of its input.
fn limited(job: &Job, limit_ms: f64) -> Job {
    let mut job = job.clone();
    job.tasks[0].inputs[0].latency_max_ms = Some(limit_ms);
    job
}

/// Takes away what speaks against a node, and no more; what is said then must be something else.
fn check_obstacle(
    obstacle: Obstacle,
    (drawn, links): (&[Drawn], &[Links]),
    job: &Job,
    at: usize,
) -> Result<(), TestCaseError> {
    let mut drawn = drawn.to_vec();
    let mut job = job.clone();
    match obstacle {
        Obstacle::Down => drawn[at].0 = true,
        Obstacle::Arch(arch) => {
            prop_assert_eq!(arch, Arch::X86_64);
            drawn[at].1 = true;
        }
        Obstacle::Cpu { free, needed } => {
            prop_assert!(free < needed, "{:?}", obstacle);
            job.tasks[0].needs = cores(free.0);
        }
        Obstacle::Exhausted(Breach { limit: Limit::Charge, value, bound, .. }) => {
            prop_assert!(value < bound, "{:?}", obstacle);
            // What is drawn once more than is left is what was missing.
            drawn[at].3 = Some(1.0);
            job.tasks[0].watts = 0.0;
        }
        Obstacle::Far { step, excess } => {
            let Some(latency_ms) = excess.latency_ms else {
                let unlimited =
                    Obstacle::Far { step, excess: placement::Excess { limit_ms: None, ..excess } };
                let mut job = job.clone();
                job.tasks[0].inputs[0].latency_max_ms = None;
                prop_assert_eq!(verdict(&fleet(&drawn, links), &job, at), Err(unlimited));
                return Ok(());
            };
            let tighter =
                verdict(&fleet(&drawn, links), &limited(&job, latency_ms.next_down()), at);
            prop_assert!(
                matches!(tighter, Err(Obstacle::Far { step: then, .. }) if then == step),
                "{:?}",
                tighter
            );
            job = limited(&job, latency_ms);
        }
        other => return Err(TestCaseError::fail(format!("{other:?} cannot be here"))),
    }
    let then = verdict(&fleet(&drawn, links), &job, at);
    let is_same =
        then.is_err_and(|then| std::mem::discriminant(&then) == std::mem::discriminant(&obstacle));
    prop_assert!(!is_same, "{:?}, and then {:?}", obstacle, then);
    Ok(())
}

proptest! {
    #[test]
    fn what_speaks_against_a_node_is_what_has_to_change(
        drawn in nodes(), links in links(), limit_ms in prop::option::of(10.0..150.0_f64), steps in 0..4_u32,
        watts in 0.0..200.0_f64,
    ) {
        let job = job(limit_ms, steps, watts);
        let verdicts = fleet(&drawn, &links).survey(&job, 0).expect("a task that there is");
        prop_assert_eq!(verdicts.len(), NODES);
        for (at, verdict) in verdicts.into_iter().enumerate() {
            match verdict {
                Err(obstacle) => check_obstacle(obstacle, (&drawn, &links), &job, at)?,
                Ok(offer) => {
                    // With its latency as the limit it holds now, with less it does not.
                    prop_assert!(limit_ms.is_none_or(|limit_ms| offer.latency_ms <= limit_ms));
                    let exact = limited(&job, offer.latency_ms);
                    prop_assert!(self::verdict(&fleet(&drawn, &links), &exact, at).is_ok());
                    let less = limited(&job, offer.latency_ms.next_down());
                    prop_assert!(self::verdict(&fleet(&drawn, &links), &less, at).is_err());
                }
            }
        }
    }

    #[test]
    fn ours_goes_where_nothing_speaks_against_it_or_nowhere(
        drawn in nodes(), links in links(), limit_ms in prop::option::of(10.0..150.0_f64), steps in 0..4_u32,
        watts in 0.0..200.0_f64,
    ) {
        let mut job = job(limit_ms, steps, watts);
        let mut fleet = fleet(&drawn, &links);
        let verdicts = fleet.survey(&job, 0).expect("a task that there is");
        match fleet.drive("lookahead", &mut job) {
            Ok(()) => {
                let NodeIx(host) = job.tasks[0].stays[0].node;
                prop_assert!(verdicts[host as usize].is_ok(), "{:?}", verdicts[host as usize]);
            }
            Err(NoChoice::NoneEligible { .. }) => {
                prop_assert!(verdicts.iter().all(Result::is_err), "{:?}", verdicts);
            }
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        }
    }

    #[test]
    fn worse_is_never_judged_better(
        drawn in nodes(), links in links(), limit_ms in 10.0..150.0_f64, watts in 0.0..100.0_f64, at in 0..NODES, what in 0..5,
    ) {
        let before = fleet(&drawn, &links).survey(&job(Some(limit_ms), 2, watts), 0).expect("a task");
        let (mut worse, mut worse_links, mut worse_job) = (drawn, links, job(Some(limit_ms), 2, watts));
        match what {
            0 => worse[at].0 = false,
            1 => worse[at].2 /= 2,
            2 => worse[at].3 = worse[at].3.map(|charge| charge * 0.9),
            3 => worse_links.iter_mut().flatten().for_each(|link| link.2 *= 1.5),
            _ => worse_job.tasks[0].watts *= 2.0,
        }
        let after = fleet(&worse, &worse_links).survey(&worse_job, 0).expect("a task");
        for (before, after) in before.iter().zip(&after) {
            if let Ok(after) = after {
                let before = before.as_ref().map_err(|obstacle| TestCaseError::fail(obstacle.to_string()))?;
                prop_assert!(before.latency_ms <= after.latency_ms, "{:?} {:?}", before, after);
                prop_assert!(after.left.charge <= before.left.charge, "{:?} {:?}", before, after);
            }
        }
    }
}

#[test]
fn what_is_said_has_the_number() {
    let links: Links = vec![(0, 1, 5.0), (1, 2, 30.0)];
    let sizes = [1000, 500, 1000, 1000];
    let nodes = sizes.iter().enumerate().map(|(at, size)| node(at, NodeKind::Satellite, *size));
    let fleet = Fleet::new(nodes.collect(), &[links]);
    let verdicts = fleet.survey(&chain(&[(0, 0.0, Some(20.0))]), 0).unwrap();
    let said: Vec<_> = verdicts
        .iter()
        .map(|verdict| {
            verdict.map_or_else(|no| no.to_string(), |yes| format!("{}", yes.latency_ms))
        })
        .collect();
    assert_eq!(
        said,
        [
            "0",
            "500 mCPU free, 1000 mCPU needed",
            "input 0 is 35.000 ms away, 20.000 ms are the most at step 0",
            "no path leads to input 0 at step 0"
        ]
    );
    assert!(matches!(fleet.survey(&chain(&[]), 0), Err(NoChoice::UnknownTask { .. })));
}
