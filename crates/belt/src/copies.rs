//! Where the second copy goes: to the node on which it is durable first, as far as the contact plan knows.
//!
//! A transfer takes the best path of the pair at each moment. In the time between two grid points the worse of the two
//! counts, and where there is no path or the plan does not know one, nothing moves; a transfer goes on when the path
//! is back (chunks resume).

use std::fmt;

use topology::plan::{ContactPlan, PairState};
use types::{Epoch, NodeId};

/// A node that could hold a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The node.
    pub node: NodeId,
    /// Bytes that it can still take; `None` when that is not known, which does not exclude it.
    pub free_bytes: Option<u64>,
}

/// What is to be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cargo {
    /// Its size.
    pub bytes: u64,
    /// When it can start (sky).
    pub from: Epoch,
    /// When it must be there (sky).
    pub by: Epoch,
}

/// The chosen node, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The node and when the copy is there (sky).
    pub chosen: Option<(NodeId, Epoch)>,
    /// Why each of the others was not taken, in order of their names.
    pub refused: Vec<CopyRefusal>,
}

/// Why a node was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyRefusal {
    /// The node.
    pub node: NodeId,
    /// The reason.
    pub reason: CopyReason,
}

/// A reason against a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyReason {
    /// It is the node that has the first copy.
    Itself,
    /// It has less room than needed.
    Full {
        /// Bytes that it can still take.
        free_bytes: u64,
        /// Bytes to copy.
        bytes: u64,
    },
    /// The plan does not know the pair, or not at that time.
    Unknown,
    /// It would not be there in time.
    Late {
        /// When it would be there; `None` if not within the plan.
        arrival: Option<Epoch>,
        /// When it must be there.
        by: Epoch,
    },
    /// Another node has it earlier, or as early and comes first by name.
    Slower {
        /// When it would be there.
        arrival: Epoch,
    },
}

impl fmt::Display for CopyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = &self.node;
        match self.reason {
            CopyReason::Itself => write!(f, "{node}: holds the first copy"),
            CopyReason::Full { free_bytes, bytes } => {
                write!(f, "{node}: {bytes} bytes do not fit into {free_bytes}")
            }
            CopyReason::Unknown => {
                write!(f, "{node}: the contact plan does not know this pair now")
            }
            CopyReason::Late { arrival: Some(at), by } => {
                write!(f, "{node}: there at {at}, needed by {by}")
            }
            CopyReason::Late { arrival: None, by } => {
                write!(f, "{node}: not there within the plan, needed by {by}")
            }
            CopyReason::Slower { arrival } => write!(f, "{node}: there only at {arrival}"),
        }
    }
}

/// Chooses the candidate on which the cargo is first; ties go to the lower name.
pub fn choose(
    plan: &ContactPlan,
    from: &NodeId,
    candidates: &[Candidate],
    cargo: &Cargo,
) -> Choice {
    let mut sorted: Vec<&Candidate> = candidates.iter().collect();
    sorted.sort_by(|a, b| a.node.cmp(&b.node));
    sorted.dedup_by(|a, b| a.node == b.node);
    let mut best: Option<(Epoch, &NodeId)> = None;
    let mut in_time = Vec::new();
    let mut refused = Vec::new();
    for candidate in sorted {
        match judge(plan, from, candidate, cargo) {
            Ok(arrival) => {
                if best.is_none_or(|(earliest, _)| arrival < earliest) {
                    best = Some((arrival, &candidate.node));
                }
                in_time.push((&candidate.node, arrival));
            }
            Err(reason) => refused.push(CopyRefusal { node: candidate.node.clone(), reason }),
        }
    }
    for (node, arrival) in in_time {
        if best.is_some_and(|(_, chosen)| chosen != node) {
            refused
                .push(CopyRefusal { node: node.clone(), reason: CopyReason::Slower { arrival } });
        }
    }
    refused.sort_by(|a, b| a.node.cmp(&b.node));
    Choice { chosen: best.map(|(arrival, node)| (node.clone(), arrival)), refused }
}

fn judge(
    plan: &ContactPlan,
    from: &NodeId,
    candidate: &Candidate,
    cargo: &Cargo,
) -> Result<Epoch, CopyReason> {
    if candidate.node == *from {
        return Err(CopyReason::Itself);
    }
    if let Some(free_bytes) = candidate.free_bytes.filter(|free| *free < cargo.bytes) {
        return Err(CopyReason::Full { free_bytes, bytes: cargo.bytes });
    }
    if plan.state(from, &candidate.node, cargo.from) == PairState::Outside {
        return Err(CopyReason::Unknown);
    }
    match arrival(plan, from, &candidate.node, cargo.bytes, cargo.from) {
        Some(at) if at <= cargo.by => Ok(at),
        late => Err(CopyReason::Late { arrival: late, by: cargo.by }),
    }
}

/// When `bytes` that start at `start` are all at `to`: over each stretch between two grid points at its rate, plus the
/// latency of the path that carries the last bit. `None` if that is not within the plan.
pub fn arrival(
    plan: &ContactPlan,
    from: &NodeId,
    to: &NodeId,
    bytes: u64,
    start: Epoch,
) -> Option<Epoch> {
    if from == to {
        return Some(start);
    }
    let pair = plan.pair(from, to)?;
    let mut step = plan.step_at(start)?;
    let mut now = start;
    #[expect(clippy::cast_precision_loss, reason = "sizes up to 2^53 bits are exact")]
    let mut bits_left = bytes as f64 * 8.0;
    while step + 1 < plan.steps {
        let next = plan.time_of(step + 1);
        let (low, high) = (pair.states[step as usize], pair.states[step as usize + 1]);
        if let (Some(before), Some(after)) = (low, high) {
            let path = before.worse(after);
            // bits = seconds · kbit/s · 1000
            let bits_per_s = f64::from(path.rate_kbps) * 1000.0;
            let bits_now = next.seconds_since(now) * bits_per_s;
            if 0.0 < bits_per_s && bits_left <= bits_now {
                let sent = now.plus_s(bits_left / bits_per_s);
                return Some(sent.plus(path.latency.as_duration()));
            }
            bits_left -= bits_now;
        }
        now = next;
        step += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use topology::graph::PathState;
    use topology::plan::PairSeries;
    use types::{LatencyUs, PlanVersion};

    const STEP_MS: u32 = 10_000;

    fn node(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    fn at(seconds: f64) -> Epoch {
        Epoch::from_unix_s(1_000).unwrap().plus_s(seconds)
    }

    /// A plan from second 0 on; `rates` in kbit/s per grid point, 0 for no path; latency 20 ms.
    fn plan(pairs: &[(&str, &str, &[u32])]) -> ContactPlan {
        let series = pairs.iter().map(|(a, b, rates)| PairSeries {
            confidence_ppm: 1_000_000,
            a: node(a),
            b: node(b),
            states: rates
                .iter()
                .map(|rate_kbps| {
                    (*rate_kbps != 0).then_some(PathState {
                        latency: LatencyUs(20_000),
                        rate_kbps: *rate_kbps,
                        loss_ppm: 0,
                        hops: 1,
                    })
                })
                .collect(),
        });
        let steps = u32::try_from(pairs[0].2.len()).unwrap();
        ContactPlan::new(PlanVersion(1), at(0.0), STEP_MS, steps, series.collect(), vec![]).unwrap()
    }

    #[test]
    fn a_transfer_takes_the_time_of_its_bits() {
        let steady = plan(&[("a", "b", &[80, 80, 80])]);
        for (bytes, start, expected) in [
            (0, 0.0, Some(at(0.02))),
            // 10,000 B = 80,000 bit = 1 s at 80 kbit/s, plus 20 ms.
            (10_000, 0.0, Some(at(1.02))),
            (10_000, 7.5, Some(at(8.52))),
            (200_000, 0.0, Some(at(20.02))),
            (200_001, 0.0, None),
            (1, 20.0, None),
            (1, -1.0, None),
        ] {
            let got = arrival(&steady, &node("a"), &node("b"), bytes, at(start));
            assert_eq!(got, expected, "{bytes} bytes from second {start}");
        }
        assert_eq!(arrival(&steady, &node("b"), &node("a"), 10_000, at(0.0)), Some(at(1.02)));
        assert_eq!(arrival(&steady, &node("a"), &node("a"), 10_000, at(0.0)), Some(at(0.0)));
        assert_eq!(arrival(&steady, &node("a"), &node("x"), 1, at(0.0)), None);
    }

    #[test]
    fn a_gap_interrupts_and_the_worse_rate_counts() {
        // Full seconds of path: 0 to 10 and 30 to 40; between unequal points the lower rate.
        let gap = plan(&[("a", "b", &[80, 40, 0, 80, 80])]);
        // 40 kbit/s for 10 s = 50,000 B, then nothing until second 30, then 80 kbit/s.
        assert_eq!(arrival(&gap, &node("a"), &node("b"), 50_000, at(0.0)), Some(at(10.02)));
        assert_eq!(arrival(&gap, &node("a"), &node("b"), 60_000, at(0.0)), Some(at(31.02)));
        assert_eq!(arrival(&gap, &node("a"), &node("b"), 10_000, at(12.0)), Some(at(31.02)));
    }

    #[test]
    fn the_earliest_copy_is_chosen_and_the_others_have_reasons() {
        let sky = plan(&[
            ("a", "b", &[80, 80, 80]),
            ("a", "c", &[800, 800, 800]),
            ("a", "d", &[0, 0, 8000]),
            ("a", "e", &[8000, 8000, 8000]),
        ]);
        let candidates: Vec<Candidate> = ["e", "d", "c", "b", "a", "x", "c"]
            .iter()
            .map(|name| Candidate { node: node(name), free_bytes: (*name == "e").then_some(9_999) })
            .collect();
        let cargo = Cargo { bytes: 10_000, from: at(0.0), by: at(15.0) };
        let choice = choose(&sky, &node("a"), &candidates, &cargo);
        assert_eq!(choice.chosen, Some((node("c"), at(0.12))));
        let refused: Vec<String> = choice.refused.iter().map(ToString::to_string).collect();
        assert_eq!(
            refused,
            [
                "a: holds the first copy",
                "b: there only at 1970-01-01T00:16:41.020Z",
                "d: not there within the plan, needed by 1970-01-01T00:16:55.000Z",
                "e: 10000 bytes do not fit into 9999",
                "x: the contact plan does not know this pair now",
            ]
        );
    }

    #[test]
    fn without_a_node_in_time_none_is_chosen() {
        let sky = plan(&[("a", "b", &[80, 80, 80])]);
        let candidates = [Candidate { node: node("b"), free_bytes: None }];
        let cargo = Cargo { bytes: 10_000, from: at(0.0), by: at(1.0) };
        let choice = choose(&sky, &node("a"), &candidates, &cargo);
        assert_eq!(choice.chosen, None);
        let late = CopyReason::Late { arrival: Some(at(1.02)), by: at(1.0) };
        assert_eq!(choice.refused, [CopyRefusal { node: node("b"), reason: late }]);
    }

    proptest! {
        #[test]
        fn more_bytes_or_a_later_start_never_arrive_earlier(
            rates in proptest::collection::vec(0_u32..200, 2..12),
            bytes in 0_u64..400_000, more in 0_u64..100_000,
            start in 0.0_f64..60.0, later in 0.0_f64..20.0,
        ) {
            let sky = plan(&[("a", "b", &rates)]);
            let when = |bytes, start| {
                arrival(&sky, &node("a"), &node("b"), bytes, at(start)).map_or(i64::MAX, Epoch::unix_ns)
            };
            let plain = when(bytes, start);
            prop_assert!(plain == i64::MAX || at(start).unix_ns() <= plain);
            prop_assert!(plain <= when(bytes + more, start));
            // A nanosecond for the rounding of the two sums.
            prop_assert!(plain <= when(bytes, start + later).saturating_add(1));
        }
    }
}
