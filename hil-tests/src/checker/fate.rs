//! What must still be there of everything that was acknowledged under one name. Pure.

use std::collections::BTreeMap;

use super::Acknowledged;

/// What one write must meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Someone must hold it.
    Due,
    /// A newer acknowledged write took its place.
    Superseded,
    /// It was deleted last: nobody has to hold it.
    Deleted,
    /// A later owner went on from less: it cannot have had this write.
    Passed {
        /// Under which epoch.
        epoch: u64,
        /// With which version.
        version: u64,
    },
}

/// All acknowledged writes of one name, by owner epoch.
#[derive(Debug)]
pub(super) struct History<'a>(BTreeMap<u64, Reign<'a>>);

/// What was acknowledged under one owner epoch.
#[derive(Debug)]
struct Reign<'a> {
    /// Its lowest version, and the bytes of it.
    first: u64,
    first_hash: &'a str,
    newest: u64,
}

impl<'a> History<'a> {
    /// The history that these writes of one name tell.
    pub(super) fn of(group: &[&'a Acknowledged]) -> Self {
        let mut reigns: BTreeMap<u64, Reign<'a>> = BTreeMap::new();
        for write in group {
            let (first, first_hash) = (write.version, write.hash.as_str());
            let reign = reigns.entry(write.owner_epoch);
            let reign = reign.or_insert(Reign { first, first_hash, newest: first });
            if first < reign.first {
                (reign.first, reign.first_hash) = (first, first_hash);
            }
            reign.newest = reign.newest.max(first);
        }
        Self(reigns)
    }

    /// The fate of one of its writes.
    ///
    /// Only a higher version takes the place of a write. Versions of a key never fall, not even over a deletion: an
    /// owner under a higher epoch whose first version is not above the last one before it has not had that one.
    pub(super) fn fate(&self, write: &Acknowledged) -> Fate {
        for (epoch, reign) in self.0.range(write.owner_epoch..) {
            let is_heir = *epoch != write.owner_epoch;
            let is_same = reign.first == write.version && reign.first_hash == write.hash;
            if is_heir && reign.first <= write.version && !is_same && !write.deleted {
                return Fate::Passed { epoch: *epoch, version: reign.first };
            }
            if write.version < reign.newest {
                return Fate::Superseded;
            }
        }
        if write.deleted { Fate::Deleted } else { Fate::Due }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::write;
    use super::*;

    /// Lines of one key as `(epoch, version, hash)`; the hash `-` is a deletion.
    #[track_caller]
    fn check(lines: &[(u64, u64, &str)], expected: &[Fate]) {
        let writes: Vec<Acknowledged> = lines
            .iter()
            .map(|(owner_epoch, version, hash)| Acknowledged {
                owner_epoch: *owner_epoch,
                deleted: *hash == "-",
                ..write("a", None, "s", *version, hash)
            })
            .collect();
        let history = History::of(&writes.iter().collect::<Vec<_>>());
        let fates: Vec<Fate> = writes.iter().map(|write| history.fate(write)).collect();
        assert_eq!(fates, expected, "{lines:?}");
    }

    const fn passed(epoch: u64, version: u64) -> Fate {
        Fate::Passed { epoch, version }
    }

    #[test]
    fn only_a_higher_version_takes_the_place_of_a_write() {
        use Fate::{Due, Superseded};
        check(&[(1, 1, "a"), (1, 2, "b")], &[Superseded, Due]);
        check(&[(1, 1, "a"), (2, 2, "b"), (5, 3, "c")], &[Superseded, Superseded, Due]);
        // Lines come by node, not in order.
        check(&[(5, 3, "c"), (1, 1, "a")], &[Due, Superseded]);
        // Acknowledged twice: once by the old owner, once by the new one.
        check(&[(1, 4, "a"), (1, 4, "a")], &[Due, Due]);
        check(&[(1, 4, "a"), (2, 4, "a"), (2, 5, "b")], &[Superseded, Superseded, Due]);
        check(&[(1, 4, "a"), (2, 4, "a")], &[Due, Due]);
    }

    #[test]
    fn an_heir_that_starts_with_less_has_lost_what_was_there() {
        use Fate::{Due, Superseded};
        // Empty, the reason for this rule; and later writes do not hide it.
        check(&[(1, 20, "a"), (3, 1, "b")], &[passed(3, 1), Due]);
        let overtaken = [(1, 19, "z"), (1, 20, "a"), (3, 1, "b"), (3, 21, "c")];
        check(&overtaken, &[Superseded, passed(3, 1), Superseded, Due]);
        // The last write was not there.
        check(&[(1, 20, "a"), (2, 20, "b"), (2, 21, "c")], &[passed(2, 20), Superseded, Due]);
        // Only the owner after the one who still had it has lost it.
        check(&[(1, 5, "a"), (2, 6, "b"), (3, 6, "c")], &[Superseded, passed(3, 6), Due]);
    }

    #[test]
    fn a_deletion_takes_the_place_of_a_write_and_leaves_nothing_to_lose() {
        use Fate::{Deleted, Due, Superseded};
        check(&[(1, 4, "a"), (1, 5, "-")], &[Superseded, Deleted]);
        check(&[(1, 4, "a"), (1, 5, "-"), (1, 6, "b")], &[Superseded, Superseded, Due]);
        // The heir knows nothing of the key, and need not.
        check(&[(1, 5, "-"), (2, 1, "b")], &[Deleted, Due]);
    }
}
