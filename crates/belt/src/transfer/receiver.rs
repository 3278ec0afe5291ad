//! The receiving end of all transfers to a node: which bundles are open and which of their chunks are missing.

use std::collections::{BTreeMap, BTreeSet};

use super::Layout;
use crate::object::Hash;

/// Most bundles open at once: eight neighbours with two groups and their outputs each. The one that was idle longest
/// goes first; its sender offers again and starts over.
pub const OPEN_MAX: usize = 32;

/// The answer to an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfferVerdict {
    /// These chunks are missing, in order; at least one.
    Want(Vec<u32>),
    /// Nothing is missing: check and install.
    Complete,
}

/// The answer to a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkVerdict {
    /// Stage its bytes; more are missing.
    Stage,
    /// It is the last that was missing: check and install the bundle.
    Complete,
    /// It is here already: answer as if it had just been taken.
    Duplicate,
    /// No such bundle is open: let the sender offer again.
    NoOffer,
    /// It has not the size that the bundle gives it, or no such number.
    Misfit,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    layout: Layout,
    missing: BTreeSet<u32>,
    touched: u64,
}

/// The machine. Bytes stay with the shell, which stages them and says at an offer what is staged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receiver {
    open: BTreeMap<Hash, Open>,
    steps: u64,
}

impl Receiver {
    /// A bundle is offered, of which the objects in `held` and the chunks in `staged` are here. Says what is missing,
    /// and which bundle is dropped to make room, if one is: forget its staged chunks.
    pub fn offer(
        &mut self,
        bundle: Hash,
        layout: Layout,
        held: &[bool],
        staged: &BTreeSet<u32>,
    ) -> (OfferVerdict, Option<Hash>) {
        let missing: BTreeSet<u32> =
            layout.wanted(held).into_iter().filter(|chunk| !staged.contains(chunk)).collect();
        if missing.is_empty() {
            self.open.remove(&bundle);
            return (OfferVerdict::Complete, None);
        }
        let dropped = self.make_room(&bundle);
        self.steps += 1;
        let wanted = missing.iter().copied().collect();
        self.open.insert(bundle, Open { layout, missing, touched: self.steps });
        (OfferVerdict::Want(wanted), dropped)
    }

    fn make_room(&mut self, bundle: &Hash) -> Option<Hash> {
        if self.open.contains_key(bundle) || self.open.len() < OPEN_MAX {
            return None;
        }
        let idlest = *self.open.iter().min_by_key(|(_, open)| open.touched)?.0;
        self.open.remove(&idlest);
        Some(idlest)
    }

    /// A chunk of `len` bytes has come. With [`ChunkVerdict::Complete`] the bundle is closed: if checking it fails,
    /// forget its staged chunks; the next offer starts over.
    pub fn chunk(&mut self, bundle: &Hash, index: u32, len: usize) -> ChunkVerdict {
        self.steps += 1;
        let Some(open) = self.open.get_mut(bundle) else { return ChunkVerdict::NoOffer };
        if open.layout.chunks() <= index || open.layout.chunk_len(index) != len {
            return ChunkVerdict::Misfit;
        }
        open.touched = self.steps;
        if !open.missing.remove(&index) {
            return ChunkVerdict::Duplicate;
        }
        if open.missing.is_empty() {
            self.open.remove(bundle);
            return ChunkVerdict::Complete;
        }
        ChunkVerdict::Stage
    }

    /// Forgets a bundle, for example because it was refused meanwhile.
    pub fn close(&mut self, bundle: &Hash) {
        self.open.remove(bundle);
    }

    /// The open bundles.
    pub fn open(&self) -> impl Iterator<Item = &Hash> {
        self.open.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout::new([20], 8, 100).unwrap()
    }

    #[test]
    fn a_broken_transfer_resumes_where_it_was() {
        let mut receiver = Receiver::default();
        let (bundle, none) = ([1; 32], BTreeSet::new());
        let wanted = receiver.offer(bundle, layout(), &[false], &none);
        assert_eq!(wanted, (OfferVerdict::Want(vec![0, 1, 2]), None));
        assert_eq!(receiver.chunk(&bundle, 1, 8), ChunkVerdict::Stage);
        assert_eq!(receiver.chunk(&bundle, 1, 8), ChunkVerdict::Duplicate);
        // The node restarts: only what was staged durably is there.
        let mut receiver = Receiver::default();
        assert_eq!(receiver.chunk(&bundle, 0, 8), ChunkVerdict::NoOffer);
        let wanted = receiver.offer(bundle, layout(), &[false], &BTreeSet::from([1]));
        assert_eq!(wanted, (OfferVerdict::Want(vec![0, 2]), None));
        assert_eq!(receiver.chunk(&bundle, 2, 4), ChunkVerdict::Stage);
        assert_eq!(receiver.chunk(&bundle, 0, 8), ChunkVerdict::Complete);
        assert_eq!(receiver.chunk(&bundle, 0, 8), ChunkVerdict::NoOffer);
    }

    #[test]
    fn what_is_held_is_not_sent() {
        let mut receiver = Receiver::default();
        let verdict = receiver.offer([1; 32], layout(), &[true], &BTreeSet::new());
        assert_eq!(verdict, (OfferVerdict::Complete, None));
        assert_eq!(receiver.open().count(), 0);
    }

    #[test]
    fn a_misfit_is_refused_and_changes_nothing() {
        let mut receiver = Receiver::default();
        let bundle = [1; 32];
        receiver.offer(bundle, layout(), &[false], &BTreeSet::new());
        for (index, len) in [(0, 7), (2, 8), (3, 8), (u32::MAX, 0), (3, 0)] {
            assert_eq!(receiver.chunk(&bundle, index, len), ChunkVerdict::Misfit, "{index} {len}");
        }
        assert_eq!(receiver.chunk(&bundle, 0, 8), ChunkVerdict::Stage);
    }

    #[test]
    fn the_idlest_bundle_makes_room() {
        let mut receiver = Receiver::default();
        for n in 0..OPEN_MAX {
            let bundle = [u8::try_from(n).unwrap(); 32];
            assert_eq!(receiver.offer(bundle, layout(), &[false], &BTreeSet::new()).1, None);
        }
        receiver.chunk(&[0; 32], 0, 8);
        let (_, dropped) = receiver.offer([99; 32], layout(), &[false], &BTreeSet::new());
        assert_eq!(dropped, Some([1; 32]));
        assert_eq!(receiver.open().count(), OPEN_MAX);
    }
}
