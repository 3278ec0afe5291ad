//! Reads the wire format of protocol buffers, one field at a time, without allocating.

use super::Reject;

/// Most fields of a model that are looked at: far more than a network of [`super::NODES_MAX`] nodes has, and few enough
/// that what a library makes of each (about 300 bytes) stays below 300 MiB.
const FIELDS_MAX: u32 = 1_000_000;

/// How many fields may still be read of one model.
#[derive(Debug)]
pub(super) struct Budget(u32);

impl Default for Budget {
    fn default() -> Self {
        Self(FIELDS_MAX)
    }
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// A number.
    Varint(u64),
    /// Four bytes.
    Fixed32([u8; 4]),
    /// Eight bytes.
    Fixed64,
    /// Text, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// Its bytes.
    pub(super) fn bytes(self) -> Result<&'a [u8], Reject> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Varint(_) | Value::Fixed32(_) | Value::Fixed64 => Err(wrong_type()),
        }
    }

    /// Its text.
    pub(super) fn text(self) -> Result<&'a str, Reject> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes)
            .map_err(|error| Reject::new(format!("a name is no UTF-8: {error}")))
    }

    /// Its number; negative ones are stored as their two's complement.
    pub(super) fn int(self) -> Result<i64, Reject> {
        match self {
            Value::Varint(number) => Ok(number.cast_signed()),
            Value::Fixed32(_) | Value::Fixed64 | Value::Bytes(_) => Err(wrong_type()),
        }
    }
}

fn wrong_type() -> Reject {
    Reject::new("a field has another type than ONNX gives it".to_owned())
}

/// The fields of a message.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field with its number; `None` at the end.
    pub(super) fn next(&mut self, budget: &mut Budget) -> Result<Option<(u64, Value<'a>)>, Reject> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        budget.0 = budget
            .0
            .checked_sub(1)
            .ok_or_else(|| Reject::new(format!("it has more than {FIELDS_MAX} fields")))?;
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed64)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(self.take(4)?.try_into().ok().ok_or_else(truncated)?),
            other => return Err(Reject::new(format!("a field has the unknown wire type {other}"))),
        };
        Ok(Some((tag >> 3, value)))
    }

    fn varint(&mut self) -> Result<u64, Reject> {
        let (number, rest) = varint(self.rest)?;
        self.rest = rest;
        Ok(number)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Reject> {
        let length = usize::try_from(length).ok().ok_or_else(truncated)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn truncated() -> Reject {
    Reject::new("it ends in the middle of a field".to_owned())
}

/// A number, and what follows it.
fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), Reject> {
    let mut number = 0_u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((number, &bytes[index + 1..]));
        }
    }
    Err(truncated())
}

/// Appends the numbers of a repeated field, packed or not, of which there may be `max` in all.
pub(super) fn ints(value: Value<'_>, max: usize, numbers: &mut Vec<i64>) -> Result<(), Reject> {
    let mut add = |number: u64| {
        if max <= numbers.len() {
            return Err(Reject::new(format!("a list has more than {max} numbers")));
        }
        numbers.push(number.cast_signed());
        Ok(())
    };
    match value {
        Value::Varint(number) => add(number),
        Value::Bytes(mut rest) => {
            while !rest.is_empty() {
                let (number, after) = varint(rest)?;
                add(number)?;
                rest = after;
            }
            Ok(())
        }
        Value::Fixed32(_) | Value::Fixed64 => Err(wrong_type()),
    }
}

/// How many numbers of variable length these bytes hold.
pub(super) fn count_varints(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| *byte & 0x80 == 0).count() as u64
}
