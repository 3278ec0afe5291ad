//! Compute kernels that are called by name. Each has a WGSL shader for graphics processors and a reference on the processor, which
//! is what a shader is probed against and what answers where there is no graphics processor.

use std::time::Instant;

use crate::fault::Fault;
use crate::onnx::MACS_MAX;
use crate::tensor::{Dims, InvalidTensor, Kind, TENSOR_BYTES_MAX, Tensor};

/// How the names of kernels begin; no model may be named so.
const PREFIX: &str = "kernel/";

/// A kernel. All work in single precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kernel {
    /// `kernel/matmul`: c = a · b of a \[m, k\] and b \[k, n\].
    MatMul,
    /// `kernel/conv2d-relu`: y = max(0, x ∗ w + bias) of x \[c, h, w\], w \[o, c, kh, kw\] and bias \[o\]; no padding, steps of 1.
    ConvRelu,
    /// `kernel/add-relu`: y = max(0, a + b) of a and b of the same dimensions.
    AddRelu,
}

/// A call of a kernel whose inputs fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelCall {
    /// Which kernel.
    pub kernel: Kernel,
    /// Dimensions of its output.
    pub dims: Vec<u32>,
    /// Multiply-accumulates.
    pub macs: u64,
    /// What the kernel needs to know besides the data, see the shaders: sizes by kernel.
    pub sizes: [u32; 6],
}

impl Kernel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::MatMul, Self::ConvRelu, Self::AddRelu];

    /// The kernel of this name.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.strip_prefix(PREFIX)?;
        Self::ALL.into_iter().find(|kernel| kernel.short_name() == name)
    }

    /// Its name, as guests give it.
    pub fn name(self) -> String {
        format!("{PREFIX}{}", self.short_name())
    }

    const fn short_name(self) -> &'static str {
        match self {
            Self::MatMul => "matmul",
            Self::ConvRelu => "conv2d-relu",
            Self::AddRelu => "add-relu",
        }
    }

    /// What it takes, in order.
    pub const fn inputs(self) -> &'static [&'static str] {
        match self {
            Self::MatMul | Self::AddRelu => &["a", "b"],
            Self::ConvRelu => &["x", "w", "bias"],
        }
    }

    /// What it gives.
    pub const fn output(self) -> &'static str {
        match self {
            Self::MatMul => "c",
            Self::ConvRelu | Self::AddRelu => "y",
        }
    }

    /// Its shader.
    pub const fn wgsl(self) -> &'static str {
        match self {
            Self::MatMul => include_str!("kernel/matmul.wgsl"),
            Self::ConvRelu => include_str!("kernel/conv2d_relu.wgsl"),
            Self::AddRelu => include_str!("kernel/add_relu.wgsl"),
        }
    }

    /// Checks inputs, which are in order.
    ///
    /// # Errors
    /// [`Fault::WrongKind`], [`Fault::WrongDims`] with the dimensions that would fit the first input, [`Fault::TooLarge`].
    pub fn check(self, inputs: &[&Tensor]) -> Result<KernelCall, Fault> {
        for input in inputs {
            if input.kind() != Kind::F32 {
                let (model, name) = (self.name(), input.name().to_owned());
                let (expected, given) = (Kind::F32, input.kind());
                return Err(Fault::WrongKind { model, name, expected, given });
            }
        }
        let dims: Vec<&[u32]> = inputs.iter().map(|input| input.dims()).collect();
        let call = match (self, dims.as_slice()) {
            (Self::MatMul, [a, b]) => self.matmul(a, b)?,
            (Self::ConvRelu, [x, w, bias]) => self.conv(x, w, bias)?,
            (Self::AddRelu, [a, b]) => {
                self.expect("b", a, b)?;
                let count = a.iter().product();
                self.call(a.to_vec(), 1, [count, 0, 0, 0, 0, 0])
            }
            _ => {
                let name = self.inputs().get(inputs.len()).copied().unwrap_or_default().to_owned();
                return Err(Fault::MissingInput { model: self.name(), name });
            }
        };
        self.bound(&call)?;
        Ok(call)
    }

    fn matmul(self, a: &[u32], b: &[u32]) -> Result<KernelCall, Fault> {
        let &[m, k] = a else { return Err(self.wrong("a", &[1, 1], a)) };
        let &[k_b, n] = b else { return Err(self.wrong("b", &[k, 1], b)) };
        self.expect("b", &[k, n], &[k_b, n])?;
        Ok(self.call(vec![m, n], u64::from(k), [m, k, n, 0, 0, 0]))
    }

    fn conv(self, x: &[u32], w: &[u32], bias: &[u32]) -> Result<KernelCall, Fault> {
        let &[c, h, wide] = x else { return Err(self.wrong("x", &[1, 1, 1], x)) };
        let &[o, c_w, kh, kw] = w else { return Err(self.wrong("w", &[1, c, 1, 1], w)) };
        // A window is not larger than the image.
        self.expect("w", &[o, c, kh.min(h), kw.min(wide)], &[o, c_w, kh, kw])?;
        self.expect("bias", &[o], bias)?;
        let window = u64::from(c) * u64::from(kh) * u64::from(kw);
        Ok(self.call(vec![o, h - kh + 1, wide - kw + 1], window, [c, h, wide, o, kh, kw]))
    }

    fn call(self, dims: Vec<u32>, macs_each: u64, sizes: [u32; 6]) -> KernelCall {
        let elements = crate::tensor::elements(&dims).unwrap_or(u64::MAX);
        KernelCall { kernel: self, dims, macs: elements.saturating_mul(macs_each), sizes }
    }

    fn bound(self, call: &KernelCall) -> Result<(), Fault> {
        let elements = crate::tensor::elements(&call.dims).unwrap_or(u64::MAX);
        let bytes = elements.saturating_mul(Kind::F32.bytes());
        if TENSOR_BYTES_MAX < bytes {
            let what = format!("the output of {}", self.name());
            return Err(Fault::TooLarge { what, bytes, max: TENSOR_BYTES_MAX });
        }
        if MACS_MAX < call.macs {
            let reason =
                format!("{} multiply-accumulates, at most {MACS_MAX} are taken", call.macs);
            return Err(Fault::NoBackend { model: self.name(), reason });
        }
        Ok(())
    }

    fn expect(self, name: &str, expected: &[u32], given: &[u32]) -> Result<(), Fault> {
        if expected == given { Ok(()) } else { Err(self.wrong(name, expected, given)) }
    }

    fn wrong(self, name: &str, expected: &[u32], given: &[u32]) -> Fault {
        let (expected, given) = (Dims(expected.to_vec()), Dims(given.to_vec()));
        Fault::WrongDims { model: self.name(), name: name.to_owned(), expected, given }
    }
}

impl KernelCall {
    /// Bytes of the output.
    pub fn output_bytes(&self) -> u64 {
        crate::tensor::elements(&self.dims).unwrap_or(u64::MAX).saturating_mul(Kind::F32.bytes())
    }

    /// The output as a tensor.
    ///
    /// # Errors
    /// [`InvalidTensor`] where the data has another length.
    pub fn output(&self, data: Vec<u8>) -> Result<Tensor, InvalidTensor> {
        Tensor::new(self.kernel.output(), self.dims.clone(), Kind::F32, data)
    }

    /// Computes it here, value by value; `None` if the deadline came first. Every sum runs in the order of the formula.
    pub fn reference(&self, inputs: &[Vec<f32>], deadline: Instant) -> Option<Vec<f32>> {
        match (self.kernel, inputs) {
            (Kernel::MatMul, [a, b]) => self.rows(deadline, |row, y| matmul_row(a, b, row, y)),
            (Kernel::ConvRelu, [x, w, bias]) => {
                let [c, height, wide, _, kh, kw] = self.sizes.map(|size| size as usize);
                let rows_each = height - kh + 1;
                self.rows(deadline, |row, y| {
                    let (o, top) = (row / rows_each, row % rows_each);
                    for (left, value) in y.iter_mut().enumerate() {
                        // y[o, t, l] = max(0, bias[o] + Σ x[c, t + i, l + j] · w[o, c, i, j])
                        let mut sum = bias[o];
                        for at in 0..c * kh * kw {
                            let (ch, i, j) = (at / (kh * kw), at / kw % kh, at % kw);
                            let pixel = x[(ch * height + top + i) * wide + left + j];
                            sum += pixel * w[o * c * kh * kw + at];
                        }
                        *value = sum.max(0.0);
                    }
                })
            }
            (Kernel::AddRelu, [a, b]) => {
                Some(a.iter().zip(b).map(|(a, b)| (a + b).max(0.0)).collect())
            }
            _ => None,
        }
    }

    /// Fills the output row by row, looking at the clock before each.
    fn rows(&self, deadline: Instant, fill: impl Fn(usize, &mut [f32])) -> Option<Vec<f32>> {
        let width = *self.dims.last()? as usize;
        let rows: u32 = self.dims.iter().rev().skip(1).product();
        let mut y = vec![0.0; width * rows as usize];
        for (row, values) in y.chunks_exact_mut(width).enumerate() {
            if deadline <= Instant::now() {
                return None;
            }
            fill(row, values);
        }
        Some(y)
    }
}

fn matmul_row(a: &[f32], b: &[f32], row: usize, y: &mut [f32]) {
    let n = y.len();
    let k = b.len() / n;
    // c[i, j] = Σ a[i, l] · b[l, j], with b read row by row.
    for (factor, b_row) in a[row * k..(row + 1) * k].iter().zip(b.chunks_exact(n)) {
        for (value, b) in y.iter_mut().zip(b_row) {
            *value += factor * b;
        }
    }
}

#[cfg(test)]
mod tests;
