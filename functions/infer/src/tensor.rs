//! Tensors as guests hand them over: named, checked, little-endian.

use std::fmt;

/// Largest tensor. A guest has at most 256 MiB of memory, and input, output and what it works on share them.
pub const TENSOR_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most dimensions: what the libraries behind the back ends handle without falling back to slow paths.
pub const RANK_MAX: usize = 8;
/// Longest name, bytes: exporters name tensors after the path of a layer.
pub const NAME_BYTES_MAX: usize = 128;

/// What a tensor consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Unsigned bytes.
    U8,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
    /// IEEE half precision.
    F16,
    /// IEEE single precision.
    F32,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::U8, Self::I32, Self::I64, Self::F16, Self::F32];

    /// Bytes of one element.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::U8 => 1,
            Self::F16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 => 8,
        }
    }

    /// Its name in the guest contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F16 => "f16",
            Self::F32 => "f32",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Dimensions as messages show them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dims(pub Vec<u32>);

impl fmt::Display for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// A tensor: its data is as long as its dimensions and its kind say, and no longer than [`TENSOR_BYTES_MAX`].
#[derive(Clone, PartialEq, Eq)]
pub struct Tensor {
    name: String,
    dims: Vec<u32>,
    kind: Kind,
    data: Vec<u8>,
}

/// Why something is no tensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTensor {
    /// No name, too long a name, or one with control characters.
    #[error(
        "a tensor is named by 1 to {NAME_BYTES_MAX} bytes without control characters, not by {0:?}"
    )]
    Name(String),
    /// Too many dimensions.
    #[error("tensor {name:?} has {rank} dimensions, at most {RANK_MAX} are handled")]
    Rank {
        /// Which tensor.
        name: String,
        /// How many it has.
        rank: usize,
    },
    /// A dimension of nothing.
    #[error("tensor {name:?} of {dims} has no elements: a dimension is at least 1")]
    Empty {
        /// Which tensor.
        name: String,
        /// Its dimensions.
        dims: Dims,
    },
    /// More bytes than a tensor may have; `None` where they do not even fit 64 bits.
    #[error("tensor {name:?} of {kind} {dims} needs {}, at most {TENSOR_BYTES_MAX} bytes are handled: send parts", shown(*bytes))]
    TooLarge {
        /// Which tensor.
        name: String,
        /// Its dimensions.
        dims: Dims,
        /// Its kind.
        kind: Kind,
        /// What it needs.
        bytes: Option<u64>,
    },
    /// Dimensions and data disagree.
    #[error("tensor {name:?} of {kind} {dims} needs {expected} bytes, but {given} are given")]
    Length {
        /// Which tensor.
        name: String,
        /// Its dimensions.
        dims: Dims,
        /// Its kind.
        kind: Kind,
        /// What they need.
        expected: u64,
        /// How many there are.
        given: usize,
    },
}

fn shown(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "more than 2^64 bytes".to_owned(), |bytes| format!("{bytes} bytes"))
}

/// How many elements these dimensions have; `None` beyond 64 bits.
pub fn elements(dims: &[u32]) -> Option<u64> {
    dims.iter().try_fold(1_u64, |product, dim| product.checked_mul(u64::from(*dim)))
}

impl Tensor {
    /// Checks and makes a tensor. Nothing is allocated for what is refused.
    ///
    /// # Errors
    /// [`InvalidTensor`] with the first rule that is broken.
    pub fn new(
        name: impl Into<String>,
        dims: Vec<u32>,
        kind: Kind,
        data: Vec<u8>,
    ) -> Result<Self, InvalidTensor> {
        let name = name.into();
        let expected = bytes_of(&name, &dims, kind)?;
        if u64::try_from(data.len()) != Ok(expected) {
            let (dims, given) = (Dims(dims), data.len());
            return Err(InvalidTensor::Length { name, dims, kind, expected, given });
        }
        Ok(Self { name, dims, kind, data })
    }

    /// A tensor of single precision.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn from_f32(
        name: impl Into<String>,
        dims: Vec<u32>,
        values: &[f32],
    ) -> Result<Self, InvalidTensor> {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self::new(name, dims, Kind::F32, data)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its dimensions, outermost first; none for a single value.
    pub fn dims(&self) -> &[u32] {
        &self.dims
    }

    /// What it consists of.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its elements, row by row, little-endian.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Gives the data away.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// Its values; `None` unless it is of single precision.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        (self.kind == Kind::F32).then(|| chunks(&self.data).map(f32::from_le_bytes).collect())
    }

    /// Its values where they are floating point, of whichever precision.
    pub(crate) fn to_floats(&self) -> Option<Vec<f32>> {
        match self.kind {
            Kind::F16 => {
                Some(chunks(&self.data).map(|bytes| half(u16::from_le_bytes(bytes))).collect())
            }
            _ => self.to_f32(),
        }
    }

    /// Where the first value is that is not a number or infinite. Integers have none.
    pub fn first_not_finite(&self) -> Option<usize> {
        match self.kind {
            Kind::F32 => chunks(&self.data).position(|v| !f32::from_le_bytes(v).is_finite()),
            // Infinities and what is no number have all bits of the exponent set.
            Kind::F16 => chunks(&self.data).position(|v| u16::from_le_bytes(v) & 0x7c00 == 0x7c00),
            Kind::U8 | Kind::I32 | Kind::I64 => None,
        }
    }
}

/// A value of half precision: a sign, 5 bits of exponent, 10 of fraction.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) =
        (u32::from(bits >> 15), u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    let magnitude = match exponent {
        // Those below the normal ones are multiples of 2^-24.
        0 => f32::from(bits & 0x3ff) / 16_777_216.0,
        0x1f => f32::from_bits(0x7f80_0000 | fraction << 13),
        // The exponent counts from -15 instead of -127.
        _ => f32::from_bits((exponent + 112) << 23 | fraction << 13),
    };
    f32::from_bits(magnitude.to_bits() | sign << 31)
}

fn chunks<const N: usize>(data: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    let (chunks, _) = data.as_chunks::<N>();
    chunks.iter().copied()
}

/// Whether a tensor can have this name.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control)
}

/// Bytes that a tensor needs.
fn bytes_of(name: &str, dims: &[u32], kind: Kind) -> Result<u64, InvalidTensor> {
    if !is_name(name) {
        return Err(InvalidTensor::Name(name.chars().take(NAME_BYTES_MAX).collect()));
    }
    let name = || name.to_owned();
    if RANK_MAX < dims.len() {
        return Err(InvalidTensor::Rank { name: name(), rank: dims.len() });
    }
    let shape = || Dims(dims.to_vec());
    if dims.contains(&0) {
        return Err(InvalidTensor::Empty { name: name(), dims: shape() });
    }
    let bytes = elements(dims).and_then(|elements| elements.checked_mul(kind.bytes()));
    match bytes {
        Some(bytes) if bytes <= TENSOR_BYTES_MAX => Ok(bytes),
        bytes => Err(InvalidTensor::TooLarge { name: name(), dims: shape(), kind, bytes }),
    }
}

impl fmt::Debug for Tensor {
    /// Without the data, of which there may be much.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, dims, kind, data } = self;
        write!(f, "{name:?}: {kind} {dims:?}, {} bytes", data.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(dims: &[u32], kind: Kind, bytes: usize, part: &str) {
        let error = Tensor::new("x", dims.to_vec(), kind, vec![0; bytes]).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn dimensions_and_data_have_to_agree() {
        assert!(Tensor::new("x", vec![2, 3], Kind::I64, vec![0; 48]).is_ok());
        assert!(Tensor::new("x", vec![], Kind::U8, vec![0]).is_ok());
        refused(&[2, 3], Kind::F32, 23, "needs 24 bytes, but 23 are given");
        refused(&[2, 0], Kind::F32, 0, "at least 1");
        refused(&[1; 9], Kind::F32, 4, "has 9 dimensions");
    }

    #[test]
    fn four_gibibytes_are_refused_before_anything_is_allocated() {
        refused(&[32_768, 32_768], Kind::F32, 0, "needs 4294967296 bytes");
        refused(&[u32::MAX; 8], Kind::F32, 0, "more than 2^64 bytes");
        refused(&[16_777_217], Kind::F32, 0, "needs 67108868 bytes, at most 67108864");
    }

    #[test]
    fn names_are_printable() {
        for name in ["", "a\nb", &"n".repeat(129)] {
            let error = Tensor::new(name, vec![1], Kind::U8, vec![0]).unwrap_err();
            assert!(matches!(error, InvalidTensor::Name(_)), "{error}");
        }
    }

    #[test]
    fn half_precision_reads_as_single() {
        let halves = [0x3c00_u16, 0xc000, 0x3555, 0x0001, 0x03ff, 0x7bff, 0xfc00, 0x8000];
        let data = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        let tensor = Tensor::new("x", vec![8], Kind::F16, data).unwrap();
        let values = [
            1.0,
            -2.0,
            0.333_251_95,
            5.960_464_5e-8,
            6.097_555e-5,
            65504.0,
            f32::NEG_INFINITY,
            -0.0,
        ];
        assert_eq!(tensor.to_floats().unwrap(), values);
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn what_is_not_finite_is_found() {
        let f32s = Tensor::from_f32("x", vec![3], &[1.0, 2.0, f32::NAN]).unwrap();
        assert_eq!(f32s.first_not_finite(), Some(2));
        let infinite = [0x00, 0x3c, 0x00, 0xfc];
        let f16s = Tensor::new("x", vec![2], Kind::F16, infinite.to_vec()).unwrap();
        assert_eq!(f16s.first_not_finite(), Some(1));
        let all_ones = Tensor::new("x", vec![1], Kind::I32, vec![0xff; 4]).unwrap();
        assert_eq!(all_ones.first_not_finite(), None);
    }
}
