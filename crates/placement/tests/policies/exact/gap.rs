//! Ours against the best plan there is.

use super::instance::{Instance, instance};
use super::judge::{drive, judge};
use super::problem::Problem;
use super::search::{Solved, search};
use super::table::{Row, SOLVED};
use super::{Cost, RESOLUTION_US, RESOLUTION_UWH, Rule};

/// Rows that took at most so many looks are solved again.
const RESOLVED_LOOKS_MAX: usize = 400;
/// Nothing was allowed more looks than this: who needs more is not solved, and fails the test.
const LOOKS_MAX: usize = 1_000_000;
/// A smaller latency counts as this where a share of it is taken, µs: of nothing there is none.
const SHARED_US_MIN: u32 = 1000;
/// The same of what is taken from batteries, µWh.
const SHARED_UWH_MIN: u32 = 100_000;
const MEAN_GAP_MAX: f64 = 0.02;
const GAP_MAX: f64 = 0.10;
/// At least so many instances that have a plan.
const SOLVED_MIN: usize = 60;

#[test]
fn what_was_solved_comes_out_again() {
    let quick = SOLVED.iter().filter(|row| row.3 <= RESOLVED_LOOKS_MAX);
    let mut resolved = 0;
    let others: Vec<Row> = quick
        .filter_map(|row| {
            resolved += 1;
            let found = solve(row.0);
            (found != *row).then_some(found)
        })
        .collect();
    assert!(others.is_empty(), "of {resolved} rows these came out otherwise: {others:?}");
    assert!(SOLVED.len() < 2 * resolved, "{resolved} of {} rows are few", SOLVED.len());
}

fn solve(seed: u64) -> Row {
    let problem = Problem::of(&instance(seed));
    let best = |rule| search(&problem, rule, LOOKS_MAX).expect("enough looks to prove the best");
    let (moving, fixed) = (best(Rule::WhereNeeded), best(Rule::Fixed));
    let looks = [&moving, &fixed].into_iter().flatten().map(|solved| solved.looks).sum();
    let cost = |solved: Option<Solved>| {
        solved.map(|Solved { cost, .. }| {
            [cost.violated, cost.battery_uwh, cost.latency_us, cost.moves]
        })
    };
    (seed, cost(moving), cost(fixed), looks)
}

#[test]
fn ours_is_two_percent_above_the_best_plan_on_average_and_ten_at_worst() {
    let (mut solved, mut handed_over, mut violated, mut exact) = (0_u32, 0_u32, 0_u32, 0_u32);
    let mut drawn = 0_u32;
    let (mut sum, mut worst) = (0.0, (0.0, 0));
    for (seed, best, _, _) in SOLVED {
        let instance = instance(*seed);
        let ours = ours(&instance);
        let Some(best) = best.map(cost_of) else {
            assert_eq!(ours, None, "seed {seed}: no plan keeps the rules, but ours");
            continue;
        };
        let ours = ours.unwrap_or_else(|| panic!("seed {seed}: ours has no plan, {best:?} is one"));
        assert!(best <= ours, "seed {seed}: the best plan costs {best:?}, but ours {ours:?}");
        assert!(ours.violated <= best.violated, "seed {seed}: {ours:?}, but {best:?} is possible");
        let gap = gap(ours, best);
        assert!(gap <= GAP_MAX, "seed {seed}: {ours:?} is {gap} above {best:?}");
        sum += gap;
        worst = if worst.0 < gap { (gap, *seed) } else { worst };
        solved += 1;
        handed_over += u32::from(0 < best.moves);
        violated += u32::from(0 < best.violated);
        drawn += u32::from(RESOLUTION_UWH <= best.battery_uwh);
        exact += u32::from(coarse(ours) == coarse(best));
    }
    let mean = sum / f64::from(solved);
    println!(
        "lookahead above the best plan: mean {:.2} %, worst {:.2} % (seed {}), {exact} of {solved} not at all; {handed_over} with hand-overs, {violated} with violations, {drawn} from batteries",
        100.0 * mean,
        100.0 * worst.0,
        worst.1,
    );
    assert!(mean <= MEAN_GAP_MAX, "{mean} on average");
    let enough = SOLVED_MIN <= solved as usize && solved < 2 * handed_over;
    assert!(enough, "{solved} instances, {handed_over} with hand-overs");
}

/// What the plan costs that ours ends with.
fn ours(instance: &Instance) -> Option<Cost> {
    let job = drive(instance, "lookahead").ok()?;
    Some(judge(instance, &job).expect("a plan that keeps the rules"))
}

fn cost_of([violated, battery_uwh, latency_us, moves]: [u32; 4]) -> Cost {
    Cost { violated, battery_uwh, latency_us, moves }
}

/// Battery and latency in units of their resolutions.
fn coarse(of: Cost) -> (u32, u32) {
    (of.battery_uwh / RESOLUTION_UWH, of.latency_us / RESOLUTION_US)
}

/// How much more is taken from batteries, or how much more latency there is, whichever is more, as a share of the best plan's.
fn gap(ours: Cost, best: Cost) -> f64 {
    let over = |ours: u32, best: u32, least: u32| {
        f64::from(ours.saturating_sub(best)) / f64::from(best.max(least))
    };
    let battery = over(ours.battery_uwh, best.battery_uwh, SHARED_UWH_MIN);
    battery.max(over(ours.latency_us, best.latency_us, SHARED_US_MIN))
}
