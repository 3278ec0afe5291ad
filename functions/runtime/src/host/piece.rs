//! Bytes on their way into a guest: they go into its memory from where they lie, without a copy in between.
//!
//! The engine lowers slices; memory that processes share is read into the guest by one system call, which costs less than mapping
//! it. For that the traits of lowering are implemented by hand, as its derive macros do: they are hidden in the documentation and
//! belong to the engine's version, which is pinned (decision 0013).

use std::mem::MaybeUninit;

use wasmtime::component::__internal::{
    CanonicalAbiInfo, InstanceType, InterfaceType, LowerContext,
};
use wasmtime::component::{ComponentType, Lower};
use wasmtime::{Result, ValRaw};

use crate::memfd::Sealed;

/// A `list<u8>` that a guest gets.
pub(crate) enum Piece {
    /// In memory of this process.
    Here(&'static [u8]),
    /// A part of sealed memory.
    Sealed(Part),
}

/// A part of sealed memory.
pub(crate) struct Part {
    memory: Sealed,
    offset: u64,
    length: usize,
}

impl Part {
    /// At most so many bytes from `offset` on; fewer only at the end.
    pub(crate) fn of(memory: &Sealed, offset: u64, len: u32) -> Self {
        let offset = offset.min(memory.length());
        let length = (memory.length() - offset).min(u64::from(len));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        Self { memory: memory.clone(), offset, length }
    }

    /// Reads it into a guest; answers where it lies there.
    fn lower<T>(&self, cx: &mut LowerContext<'_, T>) -> Result<usize> {
        let start = cx.realloc(0, 0, 1, self.length)?;
        // The engine has checked that the room which the guest gave lies in its memory.
        let room = &mut cx.as_slice_mut()[start..start + self.length];
        self.memory.read_at(room, self.offset)?;
        Ok(start)
    }
}

#[expect(unsafe_code, reason = "the engine asks for it: the type must be lowered as it says")]
// SAFETY: all of it is that of `[u8]`, which has no other form here than this one.
unsafe impl ComponentType for Piece {
    type Lower = <[u8] as ComponentType>::Lower;

    const ABI: CanonicalAbiInfo = <[u8] as ComponentType>::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        <[u8] as ComponentType>::typecheck(ty, types)
    }
}

#[expect(unsafe_code, reason = "the engine asks for it: all of `dst` must be written")]
// SAFETY: either `[u8]` lowers itself, or both values of the pair are written, as `[u8]` does it: the address, which the engine has
// checked, and the length of what was read there.
unsafe impl Lower for Piece {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        dst: &mut MaybeUninit<Self::Lower>,
    ) -> Result<()> {
        match self {
            Self::Here(bytes) => bytes.linear_lower_to_flat(cx, ty, dst),
            Self::Sealed(part) => {
                let (start, length) =
                    (i64::try_from(part.lower(cx)?)?, i64::try_from(part.length)?);
                dst.write([ValRaw::i64(start), ValRaw::i64(length)]);
                Ok(())
            }
        }
    }

    fn linear_lower_to_memory<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        offset: usize,
    ) -> Result<()> {
        match self {
            Self::Here(bytes) => bytes.linear_lower_to_memory(cx, ty, offset),
            Self::Sealed(part) => {
                let start = u32::try_from(part.lower(cx)?)?;
                *cx.get(offset) = start.to_le_bytes();
                *cx.get(offset + size_of::<u32>()) = u32::try_from(part.length)?.to_le_bytes();
                Ok(())
            }
        }
    }
}
