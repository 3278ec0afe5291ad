//! What functions do: a count of instructions by kind, weighted by the depth of loops around them.

use serde::{Deserialize, Serialize};
use wasmparser::Operator;

/// Each loop around an instruction makes it count ten times as much, up to this depth.
const WEIGHTED_LOOP_DEPTH_MAX: u32 = 3;

/// How many instructions of which kind the functions hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstructionMix {
    /// All.
    pub instructions: u64,
    /// Scalar floating-point arithmetic: add, sub, mul, div, sqrt, min, max.
    pub float_ops: u64,
    /// Vector instructions.
    pub vector_ops: u64,
    /// Loads and stores.
    pub memory_ops: u64,
    /// Branches of all kinds.
    pub branches: u64,
    /// Calls within the module.
    pub calls: u64,
    /// Calls of imports.
    pub import_calls: u64,
    /// Loops.
    pub loops: u64,
    /// Deepest loops within loops.
    pub loop_depth_max: u32,
    /// Instructions, each times 10 to the power of the loops around it (at most 3).
    pub weighted_instructions: u64,
    /// Floating-point operations, weighted alike; a vector operation on f32 counts 4, on f64 2.
    pub weighted_flops: u64,
    /// Bytes that loads and stores move, weighted alike.
    pub weighted_bytes: u64,
}

impl InstructionMix {
    /// Counts one instruction below `loop_depth` loops; functions below `imported` are imports.
    pub(crate) fn count(&mut self, op: &Operator<'_>, loop_depth: u32, imported: u32) {
        let weight = 10_u64.pow(loop_depth.min(WEIGHTED_LOOP_DEPTH_MAX));
        let flops = flops(op);
        let bytes = bytes_moved(op);
        self.instructions += 1;
        self.weighted_instructions += weight;
        self.weighted_flops += weight * flops;
        self.weighted_bytes += weight * bytes;
        self.memory_ops += u64::from(bytes != 0);
        self.float_ops += u64::from(flops == 1);
        self.vector_ops += u64::from(is_vector(op));
        match op {
            Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. }
            | Operator::If { .. }
            | Operator::Return => self.branches += 1,
            Operator::Call { function_index } if *function_index < imported => {
                self.import_calls += 1;
            }
            Operator::Call { .. } | Operator::CallIndirect { .. } => self.calls += 1,
            Operator::Loop { .. } => {
                self.loops += 1;
                self.loop_depth_max = self.loop_depth_max.max(loop_depth + 1);
            }
            _ => {}
        }
    }
}

/// Floating-point operations of one instruction.
fn flops(op: &Operator<'_>) -> u64 {
    match op {
        Operator::F32Add
        | Operator::F32Sub
        | Operator::F32Mul
        | Operator::F32Div
        | Operator::F32Sqrt
        | Operator::F32Min
        | Operator::F32Max
        | Operator::F64Add
        | Operator::F64Sub
        | Operator::F64Mul
        | Operator::F64Div
        | Operator::F64Sqrt
        | Operator::F64Min
        | Operator::F64Max => 1,
        Operator::F32x4Add
        | Operator::F32x4Sub
        | Operator::F32x4Mul
        | Operator::F32x4Div
        | Operator::F32x4Sqrt
        | Operator::F32x4Min
        | Operator::F32x4Max => 4,
        Operator::F64x2Add
        | Operator::F64x2Sub
        | Operator::F64x2Mul
        | Operator::F64x2Div
        | Operator::F64x2Sqrt
        | Operator::F64x2Min
        | Operator::F64x2Max => 2,
        _ => 0,
    }
}

/// Bytes that one load or store moves; 0 for other instructions.
fn bytes_moved(op: &Operator<'_>) -> u64 {
    match op {
        Operator::I32Load8S { .. }
        | Operator::I32Load8U { .. }
        | Operator::I64Load8S { .. }
        | Operator::I64Load8U { .. }
        | Operator::I32Store8 { .. }
        | Operator::I64Store8 { .. } => 1,
        Operator::I32Load16S { .. }
        | Operator::I32Load16U { .. }
        | Operator::I64Load16S { .. }
        | Operator::I64Load16U { .. }
        | Operator::I32Store16 { .. }
        | Operator::I64Store16 { .. } => 2,
        Operator::I32Load { .. }
        | Operator::F32Load { .. }
        | Operator::I64Load32S { .. }
        | Operator::I64Load32U { .. }
        | Operator::I32Store { .. }
        | Operator::F32Store { .. }
        | Operator::I64Store32 { .. } => 4,
        Operator::I64Load { .. }
        | Operator::F64Load { .. }
        | Operator::I64Store { .. }
        | Operator::F64Store { .. } => 8,
        Operator::V128Load { .. } | Operator::V128Store { .. } => 16,
        _ => 0,
    }
}

macro_rules! define_is_vector {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        fn is_vector(op: &Operator<'_>) -> bool {
            matches!(op, $(Operator::$op { .. })|*)
        }
    };
}
wasmparser::for_each_visit_simd_operator!(define_is_vector);
