//! Modules whose compilation failed: not tried again for a while, since each try costs a core and much memory.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::cache::ModuleHash;

/// How long a module is not tried again.
pub(crate) const TERM: Duration = Duration::from_secs(3600);
/// Modules that are remembered; the one that came first is forgotten, which costs one more try at most.
const MODULES_MAX: usize = 64;

/// The modules, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    modules: VecDeque<Held>,
}

#[derive(Debug)]
struct Held {
    module: ModuleHash,
    until: Instant,
    reason: String,
}

impl Quarantine {
    /// Holds a module from `now` on, for a reason.
    pub(crate) fn hold(&mut self, module: ModuleHash, reason: String, now: Instant) {
        self.modules.retain(|held| held.module != module && now < held.until);
        if self.modules.len() == MODULES_MAX {
            self.modules.pop_front();
        }
        self.modules.push_back(Held { module, until: now + TERM, reason });
    }

    /// For how long from `now` on a module is still held, and why.
    pub(crate) fn held(&self, module: &ModuleHash, now: Instant) -> Option<(Duration, &str)> {
        let held = self.modules.iter().find(|held| held.module == *module)?;
        let left = held.until.checked_duration_since(now).filter(|left| !left.is_zero())?;
        Some((left, &held.reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_held_for_its_term() {
        let (mut quarantine, now) = (Quarantine::default(), Instant::now());
        quarantine.hold([1; 32], "why".to_owned(), now);
        assert_eq!(quarantine.held(&[1; 32], now), Some((TERM, "why")));
        let later = now + Duration::from_secs(3599);
        assert_eq!(quarantine.held(&[1; 32], later), Some((Duration::from_secs(1), "why")));
        assert_eq!(quarantine.held(&[1; 32], now + TERM), None);
        assert_eq!(quarantine.held(&[2; 32], now), None);
    }

    #[test]
    fn the_list_is_bounded_and_a_module_is_in_it_once() {
        let (mut quarantine, now) = (Quarantine::default(), Instant::now());
        for module in 0..=64 {
            for _ in 0..2 {
                quarantine.hold([module; 32], String::new(), now);
            }
        }
        assert_eq!(quarantine.modules.len(), MODULES_MAX);
        assert!(quarantine.held(&[0; 32], now).is_none());
        assert!(quarantine.held(&[1; 32], now).is_some());
    }
}
