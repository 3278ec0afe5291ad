//! Landlock: no file by its name, no network, no signal and no abstract socket outside; as much of it as this kernel knows.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, RestrictionStatus, Ruleset, RulesetAttr as _,
    RulesetError, RulesetStatus, Scope,
};

use super::Measure;

const WHAT: &str = "Landlock";
/// What is asked for: all that kernels up to 6.12 know. Older ones do what they can.
const WANTED: ABI = ABI::V6;

/// Restricts this thread and those that it starts.
pub(super) fn restrict() -> Measure {
    let remedy = "boot a kernel from 5.13 on with landlock in its list of security modules (lsm=…)";
    match restricted() {
        Ok(RestrictionStatus { ruleset: RulesetStatus::FullyEnforced, .. }) => {
            Measure::in_force(WHAT, "no file, no network, no signal to others")
        }
        Ok(RestrictionStatus { ruleset: RulesetStatus::PartiallyEnforced, .. }) => {
            Measure::in_force(WHAT, "as far as this kernel knows it: no file")
        }
        Ok(RestrictionStatus { ruleset: RulesetStatus::NotEnforced, .. }) => {
            Measure::missing(WHAT, "the kernel does not have it, or it is off", remedy)
        }
        Err(error) => Measure::missing(WHAT, error.to_string(), remedy),
    }
}

fn restricted() -> Result<RestrictionStatus, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(WANTED))?
        .handle_access(AccessNet::from_all(WANTED))?
        .scope(Scope::from_all(WANTED))?
        .create()?
        .restrict_self()
}
