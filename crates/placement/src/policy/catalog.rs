//! The policies by name.

use super::Policy;
use super::baseline::{FirstFit, GreedyNearest, Random, RoundRobin};
use super::energy::{EquinoxLike, PhoenixLike};
use super::hyperdrive::{HyperDrive, PublishedConstraints};
use super::lookahead::Lookahead;
use super::sampling::VelaLike;

/// The names of all policies, ours first.
pub const NAMES: [&str; 10] = [
    "lookahead",
    "hyperdrive",
    "published-constraints",
    "first-fit",
    "round-robin",
    "random",
    "greedy-nearest",
    "equinox-like",
    "phoenix-like",
    "vela-like",
];

/// The policy of a name, which draws what it draws from a seed; `None` where there is none.
pub fn of_name(name: &str, seed: u64) -> Option<Box<dyn Policy>> {
    Some(match name {
        "lookahead" => Box::new(Lookahead),
        "hyperdrive" => Box::new(HyperDrive),
        "first-fit" => Box::new(FirstFit),
        "round-robin" => Box::new(RoundRobin::default()),
        "random" => Box::new(Random::new(seed)),
        "greedy-nearest" => Box::new(GreedyNearest),
        "published-constraints" => Box::new(PublishedConstraints),
        "equinox-like" => Box::new(EquinoxLike),
        "phoenix-like" => Box::new(PhoenixLike),
        "vela-like" => Box::new(VelaLike::new(seed)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_a_policy_of_that_name() {
        for name in NAMES {
            let policy = of_name(name, 1).expect("a policy of that name");
            assert_eq!(policy.name(), name);
        }
        assert!(of_name("best", 1).is_none());
    }
}
