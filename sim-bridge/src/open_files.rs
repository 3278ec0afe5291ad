//! How many files the process may open: raised before anything starts, so that no pair lacks a socket later.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::publish::SESSIONS_MAX;
use crate::shape::tcp_proxy::CONNECTIONS_MAX;

/// Files beside sockets: the standard streams, polls, timers and what the session's threads wake by.
const OWN_FILES: usize = 64;
/// Files of one pair: its port, and both ends of each connection.
const PAIR_FILES: usize = 1 + 2 * CONNECTIONS_MAX;

/// The system allows fewer open files than the pairs may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{pairs} pairs may need {need} open files, but the hard limit of this process is {limit}: raise it (as root \
     `ulimit -n {need}`, in a unit LimitNOFILE={need}), or replay fewer pairs"
)]
pub struct TooFewFiles {
    /// Pairs to shape.
    pub pairs: usize,
    /// Files that they may need.
    pub need: u64,
    /// Files that the process may open.
    pub limit: u64,
}

/// Files that a bridge of so many pairs may have open at once.
pub fn need(pairs: usize) -> u64 {
    let files = OWN_FILES + SESSIONS_MAX + pairs * PAIR_FILES;
    u64::try_from(files).unwrap_or(u64::MAX)
}

/// Raises the soft limit to the hard one, which is all that needs no privilege.
///
/// # Errors
/// [`TooFewFiles`] when even that does not suffice for so many pairs.
pub fn raise_for(pairs: usize) -> Result<(), TooFewFiles> {
    let old = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: old.maximum, maximum: old.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    check(getrlimit(Resource::Nofile), pairs)
}

fn check(limit: Rlimit, pairs: usize) -> Result<(), TooFewFiles> {
    let need = need(pairs);
    match limit.current {
        Some(limit) if limit < need => Err(TooFewFiles { pairs, need, limit }),
        // None is no limit.
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PAIRS_MAX;

    #[test]
    fn all_pairs_fit_into_the_limit_that_the_configuration_assumes() {
        assert!(need(PAIRS_MAX) <= 20_000, "{}", need(PAIRS_MAX));
    }

    #[test]
    fn too_low_a_limit_is_told_with_what_to_do() {
        let limit = |current| Rlimit { current, maximum: current };
        assert_eq!(check(limit(None), PAIRS_MAX), Ok(()));
        assert_eq!(check(limit(Some(need(3))), 3), Ok(()));
        let message = check(limit(Some(256)), 3).unwrap_err().to_string();
        assert!(
            message.starts_with("3 pairs may need 371 open files, but the hard limit"),
            "{message}"
        );
        assert!(message.contains("LimitNOFILE=371"), "{message}");
    }
}
