//! How a bundle is cut: its objects one after the other, cut into chunks of one size.

use std::ops::Range;

/// A bundle of nothing but sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Where each object ends in the bundle; ascending.
    ends: Vec<u64>,
    chunk_bytes: u64,
    chunks: u32,
}

/// Sizes that make no bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A chunk of nothing.
    #[error("a chunk has at least one byte")]
    EmptyChunks,
    /// More than can be numbered.
    #[error("a bundle of {chunks} chunks has more than {max}")]
    TooLong {
        /// Chunks that it would have; saturated.
        chunks: u64,
        /// Most chunks.
        max: u32,
    },
}

/// A part of an object within a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which object, by its place in the bundle.
    pub object: usize,
    /// Where in the object.
    pub offset: u64,
    /// Where in the chunk.
    pub within: Range<usize>,
}

impl Layout {
    /// The layout of objects of these sizes.
    ///
    /// # Errors
    /// [`LayoutError`] for empty chunks, or more than `chunks_max` of them.
    pub fn new(
        sizes: impl IntoIterator<Item = u64>,
        chunk_bytes: usize,
        chunks_max: u32,
    ) -> Result<Self, LayoutError> {
        let chunk_bytes = chunk_bytes as u64;
        if chunk_bytes == 0 {
            return Err(LayoutError::EmptyChunks);
        }
        let mut end = 0_u64;
        let ends: Vec<u64> = sizes
            .into_iter()
            .map(|size| {
                end = end.saturating_add(size);
                end
            })
            .collect();
        let count = end.div_ceil(chunk_bytes);
        match u32::try_from(count) {
            Ok(chunks) if chunks <= chunks_max => Ok(Self { ends, chunk_bytes, chunks }),
            _ => Err(LayoutError::TooLong { chunks: count, max: chunks_max }),
        }
    }

    /// Size of the whole.
    pub fn bytes(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Number of chunks.
    pub const fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Size of a chunk: the same for all but the last; 0 beyond the end.
    pub fn chunk_len(&self, index: u32) -> usize {
        let start = u64::from(index).saturating_mul(self.chunk_bytes);
        as_usize(self.bytes().saturating_sub(start).min(self.chunk_bytes))
    }

    /// The parts of objects that make up a chunk, in order.
    pub fn pieces(&self, index: u32) -> Vec<Piece> {
        let start = u64::from(index).saturating_mul(self.chunk_bytes);
        let end = start.saturating_add(self.chunk_len(index) as u64);
        let first = self.ends.partition_point(|object_end| *object_end <= start);
        let mut pieces = Vec::new();
        for object in first..self.ends.len() {
            let object_start = if object == 0 { 0 } else { self.ends[object - 1] };
            if end <= object_start {
                break;
            }
            let (from, to) = (start.max(object_start), end.min(self.ends[object]));
            if from < to {
                let within = as_usize(from - start)..as_usize(to - start);
                pieces.push(Piece { object, offset: from - object_start, within });
            }
        }
        pieces
    }

    /// The chunks that hold any byte of an object that is not `held`.
    pub fn wanted(&self, held: &[bool]) -> Vec<u32> {
        let is_held = |object: usize| held.get(object).copied().unwrap_or(false);
        (0..self.chunks())
            .filter(|chunk| self.pieces(*chunk).iter().any(|piece| !is_held(piece.object)))
            .collect()
    }
}

/// A length within a chunk, whose size came from a `usize`.
fn as_usize(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn objects_are_packed_without_gaps() {
        let layout = Layout::new([5, 0, 12, 3], 8, 100).unwrap();
        assert_eq!((layout.bytes(), layout.chunks()), (20, 3));
        let parts = |chunk| -> Vec<(usize, u64, Range<usize>)> {
            layout.pieces(chunk).into_iter().map(|p| (p.object, p.offset, p.within)).collect()
        };
        assert_eq!(parts(0), [(0, 0, 0..5), (2, 0, 5..8)]);
        assert_eq!(parts(1), [(2, 3, 0..8)]);
        assert_eq!(parts(2), [(2, 11, 0..1), (3, 0, 1..4)]);
        assert_eq!(parts(3), []);
        assert_eq!((layout.chunk_len(1), layout.chunk_len(2), layout.chunk_len(3)), (8, 4, 0));
    }

    #[test]
    fn only_chunks_with_something_new_are_wanted() {
        let layout = Layout::new([8, 8, 4, 4], 8, 100).unwrap();
        assert_eq!(layout.wanted(&[false; 4]), [0, 1, 2]);
        assert_eq!(layout.wanted(&[true, false, true, true]), [1]);
        assert_eq!(layout.wanted(&[true, true, true, false]), [2]);
        assert_eq!(layout.wanted(&[true; 4]), [0_u32; 0]);
        assert_eq!(layout.wanted(&[]), [0, 1, 2], "what is not said to be held is not");
    }

    #[test]
    fn impossible_bundles_are_refused() {
        assert_eq!(Layout::new([1], 0, 9), Err(LayoutError::EmptyChunks));
        let chunks = u64::MAX.div_ceil(8);
        assert_eq!(Layout::new([u64::MAX, 9], 8, 9), Err(LayoutError::TooLong { chunks, max: 9 }));
        assert_eq!(Layout::new([], 8, 0).unwrap().chunks(), 0);
    }

    proptest! {
        #[test]
        fn the_pieces_of_all_chunks_are_the_objects(
            sizes in proptest::collection::vec(0_u64..40, 0..12), chunk in 1_usize..20,
        ) {
            let layout = Layout::new(sizes.iter().copied(), chunk, 1000).unwrap();
            let mut seen = vec![0_u64; sizes.len()];
            for index in 0..layout.chunks() {
                let mut at = 0;
                for piece in layout.pieces(index) {
                    prop_assert_eq!(piece.within.start, at);
                    prop_assert_eq!(piece.offset, seen[piece.object]);
                    at = piece.within.end;
                    seen[piece.object] += piece.within.len() as u64;
                }
                prop_assert_eq!(at, layout.chunk_len(index));
            }
            prop_assert_eq!(seen, sizes);
        }
    }
}
