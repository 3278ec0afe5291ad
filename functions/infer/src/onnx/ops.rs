//! The operators that are understood: what shape each makes of its inputs, and how much work that is.
//!
//! An operator is in here when the size of its output follows from shapes alone. Those whose output depends on computed numbers
//! (`Range`, `Expand`, `ConstantOfShape`, `NonZero`, `Loop`, …) are not: a model of a hundred bytes would ask for any memory with them.

use super::Reject;
use super::graph::{self, Attribute, Node};
use super::shape::{Known, Made, product, too_large};
use crate::tensor::{Kind, RANK_MAX};

/// Largest kernel, stride, padding or dilation of a window: images have some thousand pixels a side.
const WINDOW_MAX: i64 = 4096;

/// One output, with the shape of an input.
const SAME: [&str; 30] = [
    "Abs",
    "BatchNormalization",
    "Ceil",
    "Clip",
    "Cos",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "LRN",
    "Neg",
    "Reciprocal",
    "Relu",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Softmax",
    "Softplus",
    "Sqrt",
    "Tanh",
];
/// Element by element, small inputs repeated.
const BROADCAST: [&str; 9] = ["Add", "Div", "Max", "Mean", "Min", "Mul", "PRelu", "Pow", "Sub"];
/// Dimensions become one.
const REDUCE: [&str; 5] = ["ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"];

/// What `node` makes of `inputs`.
pub(super) fn make(node: &Node<'_>, inputs: &[Option<&Known>]) -> Result<Made, Reject> {
    if node.op == "Constant" {
        return constant(node);
    }
    let operands = Operands { node, inputs };
    let dims = match node.op {
        op if SAME.contains(&op) => operands.first()?.dims.clone(),
        op if BROADCAST.contains(&op) => operands.broadcast()?,
        op if REDUCE.contains(&op) => operands.reduce()?,
        "Cast" => operands.first()?.dims.clone(),
        "ArgMax" | "ArgMin" => operands.arg()?,
        "Concat" => operands.concat()?,
        "Flatten" => operands.flatten()?,
        "Reshape" => operands.reshape()?,
        "Squeeze" => operands.squeeze()?,
        "Unsqueeze" => operands.unsqueeze()?,
        "Transpose" => operands.transpose()?,
        "MatMul" => return operands.matmul(),
        "Gemm" => return operands.gemm(),
        "Conv" => return operands.conv(),
        "MaxPool" | "AveragePool" => return operands.pool(),
        "GlobalAveragePool" | "GlobalMaxPool" => operands.global_pool()?,
        op => return refuse(format!("the operator {op} is not understood")),
    };
    let kind = match node.op {
        "ArgMax" | "ArgMin" => Kind::I64,
        "Cast" => graph::kind(operands.int("to", 0)?)?,
        _ => operands.first()?.kind,
    };
    // One step for each element that is read or made.
    let macs = product(&operands.first()?.dims)?.max(product(&dims)?);
    Ok(Made { value: Known { dims, kind, ints: None }, macs, scratch_bytes: 0 })
}

fn constant(node: &Node<'_>) -> Result<Made, Reject> {
    match node.attributes.get("value") {
        Some(Attribute::Tensor(weight)) => {
            Ok(Made { value: weight.into(), macs: 0, scratch_bytes: 0 })
        }
        _ => refuse("only constants that are tensors are understood".into()),
    }
}

fn refuse<T>(reason: String) -> Result<T, Reject> {
    Err(Reject::new(reason))
}

/// An operator and what goes in.
struct Operands<'a> {
    node: &'a Node<'a>,
    inputs: &'a [Option<&'a Known>],
}

impl Operands<'_> {
    fn get(&self, index: usize) -> Option<&Known> {
        self.inputs.get(index).copied().flatten()
    }

    fn need(&self, index: usize) -> Result<&Known, Reject> {
        self.get(index).ok_or_else(|| Reject::new(format!("its input {index} is missing")))
    }

    fn first(&self) -> Result<&Known, Reject> {
        self.need(0)
    }

    fn int(&self, name: &str, default: i64) -> Result<i64, Reject> {
        match self.node.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Int(value)) => Ok(*value),
            // Zero may be written as nothing.
            Some(Attribute::Ints(values)) if values.is_empty() => Ok(0),
            Some(_) => refuse(format!("its attribute {name:?} is no integer")),
        }
    }

    fn ints(&self, name: &str) -> Result<Option<&[i64]>, Reject> {
        match self.node.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(values)) => Ok(Some(values)),
            Some(_) => refuse(format!("its attribute {name:?} is no list of integers")),
        }
    }

    /// Numbers that later versions take from an input and earlier ones from an attribute.
    fn ints_or_input(&self, name: &str, input: usize) -> Result<Option<&[i64]>, Reject> {
        if let Some(ints) = self.ints(name)? {
            return Ok(Some(ints));
        }
        match self.get(input) {
            None => Ok(None),
            Some(Known { ints: Some(ints), .. }) => Ok(Some(ints)),
            Some(_) => refuse(format!("its {name} are not constant, so that its shape is open")),
        }
    }

    /// An axis, counted from the end where it is negative, of `rank`.
    fn axis(axis: i64, rank: usize) -> Result<usize, Reject> {
        let signed = i64::try_from(rank).unwrap_or(i64::MAX);
        let index = if axis < 0 { axis.saturating_add(signed) } else { axis };
        let index = usize::try_from(index).ok().filter(|index| *index < rank);
        index.ok_or_else(|| Reject::new(format!("there is no axis {axis} among {rank}")))
    }

    fn broadcast(&self) -> Result<Vec<u64>, Reject> {
        let mut dims = Vec::new();
        for index in 0..self.inputs.len() {
            dims = broadcast(&dims, &self.need(index)?.dims)?;
        }
        Ok(dims)
    }

    fn reduce(&self) -> Result<Vec<u64>, Reject> {
        let input = self.first()?;
        let rank = input.dims.len();
        let axes = self.ints_or_input("axes", 1)?.unwrap_or_default();
        let axes: Result<Vec<usize>, _> = axes.iter().map(|axis| Self::axis(*axis, rank)).collect();
        let axes = axes?;
        // No axes are all axes, except where the model says that none are none.
        let is_all = axes.is_empty() && self.int("noop_with_empty_axes", 0)? == 0;
        let is_gone = |axis: usize| is_all || axes.contains(&axis);
        Ok(keep(&input.dims, is_gone, self.int("keepdims", 1)? != 0))
    }

    fn arg(&self) -> Result<Vec<u64>, Reject> {
        let input = self.first()?;
        let gone = Self::axis(self.int("axis", 0)?, input.dims.len())?;
        Ok(keep(&input.dims, |axis| axis == gone, self.int("keepdims", 1)? != 0))
    }

    fn concat(&self) -> Result<Vec<u64>, Reject> {
        let mut dims = self.first()?.dims.clone();
        let axis = Self::axis(self.int("axis", i64::MAX)?, dims.len())?;
        for index in 1..self.inputs.len() {
            let other = &self.need(index)?.dims;
            let fits = other.len() == dims.len()
                && (0..dims.len()).all(|at| at == axis || other[at] == dims[at]);
            if !fits {
                return refuse(format!("it joins {dims:?} and {other:?} along axis {axis}"));
            }
            dims[axis] = dims[axis].checked_add(other[axis]).ok_or_else(too_large)?;
        }
        Ok(dims)
    }

    fn flatten(&self) -> Result<Vec<u64>, Reject> {
        let dims = &self.first()?.dims;
        // One past the last is allowed here, counted from the start.
        let axis = match self.int("axis", 1)? {
            axis if usize::try_from(axis) == Ok(dims.len()) => dims.len(),
            axis => Self::axis(axis, dims.len())?,
        };
        Ok(vec![product(&dims[..axis])?, product(&dims[axis..])?])
    }

    fn reshape(&self) -> Result<Vec<u64>, Reject> {
        let input = self.first()?;
        let Some(Known { ints: Some(wanted), .. }) = self.get(1) else {
            return refuse(
                "its shape is not constant: export the model with fixed dimensions".into(),
            );
        };
        if RANK_MAX < wanted.len() || self.int("allowzero", 0)? != 0 {
            return refuse(format!("it makes {} dimensions, or some of nothing", wanted.len()));
        }
        let total = product(&input.dims)?;
        let mut dims = Vec::new();
        for (index, wanted) in wanted.iter().enumerate() {
            dims.push(match wanted {
                // The rest, found below.
                -1 => 1,
                0 => input.dims.get(index).copied().unwrap_or(0),
                dim => u64::try_from(*dim).unwrap_or(0),
            });
        }
        let known = product(&dims)?;
        let open: Vec<usize> = (0..dims.len()).filter(|at| wanted[*at] == -1).collect();
        match open.as_slice() {
            [] if known == total => {}
            [at] if known != 0 && total % known == 0 => dims[*at] = total / known,
            _ => return refuse(format!("{:?} cannot become {wanted:?}", input.dims)),
        }
        Ok(dims)
    }

    fn squeeze(&self) -> Result<Vec<u64>, Reject> {
        let dims = &self.first()?.dims;
        let axes = self.ints_or_input("axes", 1)?;
        let axes: Result<Vec<usize>, _> =
            axes.unwrap_or_default().iter().map(|axis| Self::axis(*axis, dims.len())).collect();
        let axes = axes?;
        if axes.iter().any(|axis| dims[*axis] != 1) {
            return refuse(format!("it drops the axes {axes:?} of {dims:?}, and not all are 1"));
        }
        let is_gone = |axis: usize| axes.contains(&axis) || axes.is_empty() && dims[axis] == 1;
        Ok(keep(dims, is_gone, false))
    }

    fn unsqueeze(&self) -> Result<Vec<u64>, Reject> {
        let dims = &self.first()?.dims;
        let axes = self.ints_or_input("axes", 1)?.unwrap_or_default();
        let rank = dims.len() + axes.len();
        let new: Result<Vec<usize>, _> = axes.iter().map(|axis| Self::axis(*axis, rank)).collect();
        let new = new?;
        if RANK_MAX < rank || (1..new.len()).any(|at| new[..at].contains(&new[at])) {
            return refuse(format!("it adds the axes {axes:?} to {dims:?}"));
        }
        let mut old = dims.iter().copied();
        let next = |axis| if new.contains(&axis) { Some(1) } else { old.next() };
        Ok((0..rank).filter_map(next).collect())
    }

    fn transpose(&self) -> Result<Vec<u64>, Reject> {
        let dims = &self.first()?.dims;
        let Some(order) = self.ints("perm")? else {
            return Ok(dims.iter().rev().copied().collect());
        };
        let order: Result<Vec<usize>, _> =
            order.iter().map(|axis| Self::axis(*axis, dims.len())).collect();
        let order = order?;
        if order.len() != dims.len() || (0..dims.len()).any(|axis| !order.contains(&axis)) {
            return refuse(format!("{order:?} is no order of the axes of {dims:?}"));
        }
        Ok(order.iter().map(|axis| dims[*axis]).collect())
    }

    fn matmul(&self) -> Result<Made, Reject> {
        let (a, b) = (self.first()?, self.need(1)?);
        let misfit = || Reject::new(format!("{:?} times {:?} is no product", a.dims, b.dims));
        let ([batch_a @ .., m, k], [batch_b @ .., k_b, n]) = (a.dims.as_slice(), b.dims.as_slice())
        else {
            return Err(misfit());
        };
        if k != k_b {
            return Err(misfit());
        }
        let mut dims = broadcast(batch_a, batch_b)?;
        dims.extend([*m, *n]);
        let macs = product(&dims)?.checked_mul(*k).ok_or_else(too_large)?;
        Ok(Made { value: Known { dims, kind: a.kind, ints: None }, macs, scratch_bytes: 0 })
    }

    fn gemm(&self) -> Result<Made, Reject> {
        let (a, b) = (self.first()?, self.need(1)?);
        let misfit = || Reject::new(format!("{:?} times {:?} is no product", a.dims, b.dims));
        let (&[mut m, mut k], &[mut k_b, mut n]) = (a.dims.as_slice(), b.dims.as_slice()) else {
            return Err(misfit());
        };
        if self.int("transA", 0)? != 0 {
            std::mem::swap(&mut m, &mut k);
        }
        if self.int("transB", 0)? != 0 {
            std::mem::swap(&mut k_b, &mut n);
        }
        let dims = vec![m, n];
        let adds = self.get(2).map_or_else(|| Ok(dims.clone()), |c| broadcast(&dims, &c.dims))?;
        if k != k_b || adds != dims {
            return Err(misfit());
        }
        let macs = product(&dims)?.checked_mul(k).ok_or_else(too_large)?;
        Ok(Made { value: Known { dims, kind: a.kind, ints: None }, macs, scratch_bytes: 0 })
    }

    fn conv(&self) -> Result<Made, Reject> {
        let (x, w) = (self.first()?, self.need(1)?);
        let ([batch, channels, space @ ..], [made, per_group, kernel @ ..]) =
            (x.dims.as_slice(), w.dims.as_slice())
        else {
            return refuse(format!("{:?} cannot be convolved with {:?}", x.dims, w.dims));
        };
        let group = u64::try_from(self.int("group", 1)?).unwrap_or(0);
        let declared = self.ints("kernel_shape")?;
        let is_declared = |sides: &[i64]| {
            let sides = sides.iter().map(|side| u64::try_from(*side).ok());
            sides.eq(kernel.iter().map(|side| Some(*side)))
        };
        let fits = 0 < group
            && declared.is_none_or(is_declared)
            && per_group.checked_mul(group) == Some(*channels)
            && made % group == 0
            && kernel.len() == space.len()
            && self.get(2).is_none_or(|bias| bias.dims == [*made]);
        if !fits || space.is_empty() {
            return refuse(format!(
                "{:?} cannot be convolved with {:?} in {group} groups",
                x.dims, w.dims
            ));
        }
        let space = self.window(space, kernel)?;
        let mut dims = vec![*batch, *made];
        dims.extend_from_slice(&space);
        let window = product(kernel)?.checked_mul(*per_group).ok_or_else(too_large)?;
        let macs = product(&dims)?.checked_mul(window).ok_or_else(too_large)?;
        // Libraries lay the windows of an image out one beside the other.
        let windows = product(&space)?.checked_mul(window).and_then(|n| n.checked_mul(group));
        let scratch_bytes = windows.and_then(|n| n.checked_mul(x.kind.bytes()));
        let scratch_bytes = scratch_bytes.ok_or_else(too_large)?;
        Ok(Made { value: Known { dims, kind: x.kind, ints: None }, macs, scratch_bytes })
    }

    fn pool(&self) -> Result<Made, Reject> {
        let x = self.first()?;
        let kernel = self.ints("kernel_shape")?.unwrap_or_default();
        let kernel: Vec<u64> =
            kernel.iter().map(|side| u64::try_from(*side).unwrap_or(0)).collect();
        let [batch, channels, space @ ..] = x.dims.as_slice() else {
            return refuse(format!("{:?} is no image", x.dims));
        };
        if space.is_empty() || space.len() != kernel.len() {
            return refuse(format!("its kernel {kernel:?} does not fit {:?}", x.dims));
        }
        let mut dims = vec![*batch, *channels];
        dims.extend(self.window(space, &kernel)?);
        let macs = product(&dims)?.checked_mul(product(&kernel)?).ok_or_else(too_large)?;
        Ok(Made { value: Known { dims, kind: x.kind, ints: None }, macs, scratch_bytes: 0 })
    }

    fn global_pool(&self) -> Result<Vec<u64>, Reject> {
        let dims = &self.first()?.dims;
        match dims.as_slice() {
            [batch, channels, space @ ..] if !space.is_empty() => {
                Ok([*batch, *channels].into_iter().chain(space.iter().map(|_| 1)).collect())
            }
            _ => refuse(format!("{dims:?} is no image")),
        }
    }

    /// Where a window of `kernel` fits into `space`, for each dimension.
    fn window(&self, space: &[u64], kernel: &[u64]) -> Result<Vec<u64>, Reject> {
        let rank = space.len();
        let list = |name: &str, count: usize, default: i64, low: i64| {
            let values = self.ints(name)?.filter(|values| !values.is_empty());
            let values = values.map_or_else(|| vec![default; count], <[i64]>::to_vec);
            let is_fine = |value: &i64| (low..=WINDOW_MAX).contains(value);
            if values.len() != count || !values.iter().all(is_fine) {
                let rule = format!("takes {count} numbers from {low} to {WINDOW_MAX}");
                return refuse(format!("its {name} {values:?}: it {rule}"));
            }
            Ok(values.iter().map(|value| value.unsigned_abs()).collect::<Vec<u64>>())
        };
        let strides = list("strides", rank, 1, 1)?;
        let dilations = list("dilations", rank, 1, 1)?;
        let pads = list("pads", 2 * rank, 0, 0)?;
        let auto = match self.node.attributes.get("auto_pad") {
            None => "NOTSET",
            Some(Attribute::Text(b"VALID")) => "VALID",
            Some(Attribute::Text(b"NOTSET")) => "NOTSET",
            Some(Attribute::Text(b"SAME_UPPER" | b"SAME_LOWER")) => "SAME",
            Some(_) => return refuse("its auto_pad is unknown".into()),
        };
        let rounds_up = self.int("ceil_mode", 0)? != 0;
        let side = |at: usize| {
            if auto == "SAME" {
                return Some(space[at].div_ceil(strides[at]));
            }
            let padding = if auto == "VALID" { 0 } else { pads[at] + pads[at + rank] };
            // The kernel with gaps: (kernel - 1) · dilation + 1.
            let reach = kernel[at].checked_sub(1)?.checked_mul(dilations[at])?.checked_add(1)?;
            let free = space[at].checked_add(padding)?.checked_sub(reach)?;
            let steps = if rounds_up { free.div_ceil(strides[at]) } else { free / strides[at] };
            Some(steps + 1)
        };
        let sides: Option<Vec<u64>> = (0..rank).map(side).collect();
        sides.ok_or_else(|| Reject::new(format!("a window of {kernel:?} does not fit {space:?}")))
    }
}

/// Dimensions without those that are gone, or with 1 in their place.
fn keep(dims: &[u64], is_gone: impl Fn(usize) -> bool, keeps: bool) -> Vec<u64> {
    let keep = |(axis, dim): (usize, &u64)| match (is_gone(axis), keeps) {
        (false, _) => Some(*dim),
        (true, true) => Some(1),
        (true, false) => None,
    };
    dims.iter().enumerate().filter_map(keep).collect()
}

/// The shape of two that are brought to one: counted from the last, dimensions are equal or one is 1.
fn broadcast(a: &[u64], b: &[u64]) -> Result<Vec<u64>, Reject> {
    let rank = a.len().max(b.len());
    let dim = |dims: &[u64], at: usize| (at + dims.len()).checked_sub(rank).map_or(1, |i| dims[i]);
    let joined = (0..rank).map(|at| match (dim(a, at), dim(b, at)) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    });
    let joined: Option<Vec<u64>> = joined.collect();
    joined.ok_or_else(|| Reject::new(format!("{a:?} and {b:?} do not go together")))
}
