//! The policies by name.

use super::Policy;
use super::baseline::{FirstFit, GreedyNearest, Random, RoundRobin};
use super::hyperdrive::HyperDrive;
use super::lookahead::Lookahead;

/// The names of all policies, ours first.
pub const NAMES: [&str; 6] =
    ["lookahead", "hyperdrive", "first-fit", "round-robin", "random", "greedy-nearest"];

/// The policy of a name, which draws what it draws from a seed; `None` where there is none.
pub fn of_name(name: &str, seed: u64) -> Option<Box<dyn Policy>> {
    Some(match name {
        "lookahead" => Box::new(Lookahead),
        "hyperdrive" => Box::new(HyperDrive),
        "first-fit" => Box::new(FirstFit),
        "round-robin" => Box::new(RoundRobin::default()),
        "random" => Box::new(Random::new(seed)),
        "greedy-nearest" => Box::new(GreedyNearest),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_a_policy_of_that_name() {
        for name in NAMES {
            assert_eq!(of_name(name, 1).map(|policy| policy.name()), Some(name));
        }
        assert!(of_name("best", 1).is_none());
    }
}
