//! What is quick to say of latencies is what a search of its own would say, and costs the same whatever was asked before.

use placement::{Latencies, Step};
use proptest::prelude::*;
use topology::NodeIx;

use crate::sample::{Links, SmallSky};

const NODES: u32 = 12;
const STEPS: u32 = 6;

/// A ring with chords whose delays change a little from step to step, some of which are gone for a step. Whole milliseconds, so that no sum is
/// rounded.
fn sky() -> impl Strategy<Value = SmallSky> {
    let chords = prop::collection::vec((0..NODES, 0..NODES), 0..8);
    let chords = chords.prop_map(|chords| {
        let ring = (0..NODES).map(|node| (node, (node + 1) % NODES));
        ring.chain(chords.into_iter().filter(|(a, b)| a != b)).collect::<Vec<_>>()
    });
    let steps = chords.prop_flat_map(|ends| {
        let first = prop::collection::vec(5..40_u32, ends.len());
        let change = prop::option::weighted(0.9, 0..4_u32);
        let changes =
            prop::collection::vec(prop::collection::vec(change, ends.len()), STEPS as usize);
        (Just(ends), first, changes)
    });
    steps.prop_map(|(ends, first, changes)| {
        let at = |changes: Vec<Option<u32>>| -> Links {
            let links = ends.iter().zip(&first).zip(changes);
            links.filter_map(|(((a, b), ms), more)| Some((*a, *b, f64::from(ms + more?)))).collect()
        };
        SmallSky::new(NODES as usize, &changes.into_iter().map(at).collect::<Vec<_>>())
    })
}

/// Who asks, from where, when, within how many ms. Half a millisecond beside whole ones: no limit is met exactly.
type Question = (u32, u32, Step, Option<u32>);

fn decisions() -> impl Strategy<Value = Vec<Vec<Question>>> {
    // Few pairs, so that the same two are asked about at many steps.
    let question = (0..4_u32, 4..8_u32, 0..STEPS, prop::option::weighted(0.8, 0..120_u32));
    prop::collection::vec(prop::collection::vec(question, 1..40), 1..4)
}

fn ask(of: &mut Latencies<'_>, questions: &[Question], landmarks: &[NodeIx]) -> (Vec<bool>, u64) {
    of.begin();
    let mut one = |(node, origin, step, limit_ms): &Question| {
        let limit_ms = limit_ms.map(|ms| f64::from(ms) + 0.5);
        of.all_within(NodeIx(*node), *step, [(NodeIx(*origin), limit_ms)], landmarks)
    };
    let answers = questions.iter().map(&mut one).collect();
    (answers, of.work())
}

proptest! {
    #[test]
    fn all_within_says_what_a_search_says(
        sky in sky(),
        decisions in decisions(),
        landmarks in prop::collection::vec((8..NODES).prop_map(NodeIx), 0..3),
    ) {
        let mut latencies = Latencies::new(&sky);
        for questions in &decisions {
            let told = ask(&mut latencies, questions, &landmarks);
            let alone = ask(&mut Latencies::new(&sky), questions, &landmarks);
            prop_assert_eq!(&told, &alone);
            for ((node, origin, step, limit_ms), answer) in questions.iter().zip(told.0) {
                let latency_ms = Latencies::new(&sky).between(NodeIx(*origin), NodeIx(*node), *step);
                let limit_ms = limit_ms.map_or(f64::INFINITY, |ms| f64::from(ms) + 0.5);
                let expected = latency_ms.is_some_and(|ms| ms <= limit_ms);
                prop_assert_eq!(answer, expected, "{} to {} at {}", node, origin, step);
            }
        }
    }
}
