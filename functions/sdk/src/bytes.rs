//! Little-endian values in and out of bytes that may come from anywhere: a short or wrong input is
//! a [`Fault::BadInput`] that says what is missing and where, never a panic.

use alloc::format;
use alloc::vec::Vec;

use crate::Fault;

/// Reads values from the front of a byte slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    what: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, which errors will call `what`.
    pub fn new(what: &'a str, bytes: &'a [u8]) -> Self {
        Self { what, bytes, at: 0 }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`Fault::BadInput`] when fewer are left.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else {
            return Err(self.bad(&format!(
                "{len} bytes are due at byte {}, but it has {} in all",
                self.at,
                self.bytes.len()
            )));
        };
        let part = self.bytes.get(self.at..end).unwrap_or_default();
        self.at = end;
        Ok(part)
    }

    /// The next value.
    ///
    /// # Errors
    /// [`Fault::BadInput`] when too few bytes are left.
    pub fn u8(&mut self) -> Result<u8, Fault> {
        self.array().map(u8::from_le_bytes)
    }

    /// The next value.
    ///
    /// # Errors
    /// [`Fault::BadInput`] when too few bytes are left.
    pub fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next value.
    ///
    /// # Errors
    /// [`Fault::BadInput`] when too few bytes are left.
    pub fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next value.
    ///
    /// # Errors
    /// [`Fault::BadInput`] when too few bytes are left.
    pub fn u64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_le_bytes)
    }

    /// Passes over the bytes that a format begins with.
    ///
    /// # Errors
    /// [`Fault::BadInput`] when others are there.
    pub fn magic(&mut self, magic: &[u8]) -> Result<(), Fault> {
        let found = self.take(magic.len())?;
        if found == magic {
            return Ok(());
        }
        Err(self.bad(&format!("it begins with {found:02x?}, not with {magic:02x?}")))
    }

    /// Makes sure that nothing is left.
    ///
    /// # Errors
    /// [`Fault::BadInput`] when something is.
    pub fn end(&self) -> Result<(), Fault> {
        match self.bytes.len().saturating_sub(self.at) {
            0 => Ok(()),
            left => Err(self.bad(&format!("{left} bytes follow its end at byte {}", self.at))),
        }
    }

    /// A fault that names what was read.
    #[must_use]
    pub fn bad(&self, rule: &str) -> Fault {
        Fault::BadInput(format!("{}: {rule}", self.what))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }
}

/// Appends values to bytes.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Appends bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends a value.
    #[must_use]
    pub fn u8(self, value: u8) -> Self {
        self.raw(&[value])
    }

    /// Appends a value.
    #[must_use]
    pub fn u16(self, value: u16) -> Self {
        self.raw(&value.to_le_bytes())
    }

    /// Appends a value.
    #[must_use]
    pub fn u32(self, value: u32) -> Self {
        self.raw(&value.to_le_bytes())
    }

    /// Appends a value.
    #[must_use]
    pub fn u64(self, value: u64) -> Self {
        self.raw(&value.to_le_bytes())
    }

    /// What was appended.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let bytes = Writer::default().raw(b"AB").u8(1).u16(2).u32(3).u64(4).finish();
        let mut reader = Reader::new("story", &bytes);
        assert_eq!(reader.magic(b"AB"), Ok(()));
        assert_eq!(
            (reader.u8(), reader.u16(), reader.u32(), reader.u64()),
            (Ok(1), Ok(2), Ok(3), Ok(4))
        );
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn a_short_input_says_what_is_missing_and_where() {
        let mut reader = Reader::new("burst", &[1, 2, 3]);
        assert_eq!(reader.u16(), Ok(513));
        let fault = "burst: 4 bytes are due at byte 2, but it has 3 in all";
        assert_eq!(reader.u32(), Err(Fault::BadInput(fault.into())));
        assert!(reader.take(usize::MAX).is_err());
    }

    #[test]
    fn a_wrong_beginning_and_a_long_tail_are_refused() {
        let mut reader = Reader::new("burst", b"XYZ");
        let fault = "burst: it begins with [58, 59], not with [41, 42]";
        assert_eq!(reader.magic(b"AB"), Err(Fault::BadInput(fault.into())));
        let fault = "burst: 1 bytes follow its end at byte 2";
        assert_eq!(reader.end(), Err(Fault::BadInput(fault.into())));
    }
}
