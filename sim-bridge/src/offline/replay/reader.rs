//! Reads numbers from bytes, and never beyond them.

/// A place in some bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn at(bytes: &'a [u8], offset: usize) -> Result<Self, String> {
        let rest = bytes.get(offset..).ok_or_else(|| format!("ends before byte {offset}"))?;
        Ok(Self { rest })
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| format!("ends {} bytes too early", count - self.rest.len()))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn u32(&mut self) -> Result<u32, String> {
        self.take(4).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes")))
    }

    pub(super) fn u64(&mut self) -> Result<u64, String> {
        self.take(8).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }

    pub(super) fn i64(&mut self) -> Result<i64, String> {
        self.take(8).map(|bytes| i64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }

    pub(super) fn f64(&mut self) -> Result<f64, String> {
        self.u64().map(f64::from_bits)
    }

    pub(super) fn count_u64(&mut self) -> Result<usize, String> {
        usize::try_from(self.u64()?).map_err(|e| e.to_string())
    }

    pub(super) fn vector(&mut self) -> Result<[f64; 3], String> {
        Ok([self.f64()?, self.f64()?, self.f64()?])
    }
}

/// The number at an offset of bytes that are known to hold it.
pub(super) fn f64_at(bytes: &[u8], offset: usize) -> f64 {
    f64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"))
}

/// The pair in eight bytes.
pub(super) fn pair(bytes: &[u8]) -> (u32, u32) {
    let word = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of a word")]
    (word as u32, (word >> 32) as u32)
}
