//! Reads one function body: bounds it, validates it and counts its instructions in the same sweep.

use wasmparser::{
    FuncValidator, FuncValidatorAllocations, FunctionBody, Operator, OperatorsReader,
    ValidatorResources,
};

use crate::facts::ModuleFacts;
use crate::inspect::{FEATURES, InspectError};
use crate::limits::{Quantity, ScanLimits};

/// Adds a body to the facts; functions below `imported` are imports. Gives the allocations back.
pub(crate) fn read(
    body: &FunctionBody<'_>,
    mut validator: FuncValidator<ValidatorResources>,
    imported: u32,
    limits: &ScanLimits,
    facts: &mut ModuleFacts,
) -> Result<FuncValidatorAllocations, InspectError> {
    let range = body.range();
    let bytes = limits.check(Quantity::BodyBytes, range.len() as u64)?;
    facts.body_bytes_max = facts.body_bytes_max.max(bytes);
    count_locals(body, limits, facts)?;

    let mut reader = body.get_binary_reader();
    validator.read_locals(&mut reader)?;
    reader.set_features(FEATURES);
    let mut operators = OperatorsReader::new(reader);
    let mut blocks = Blocks::default();
    while !operators.eof() {
        let (operator, at) = operators.read_with_offset()?;
        validator.op(at, &operator)?;
        facts.mix.count(&operator, blocks.loops, imported);
        blocks.follow(&operator);
        let depth = limits.check(Quantity::BlockDepth, blocks.is_loop.len() as u64)?;
        facts.block_depth_max = facts.block_depth_max.max(depth);
    }
    operators.finish()?;
    Ok(validator.into_allocations())
}

fn count_locals(
    body: &FunctionBody<'_>,
    limits: &ScanLimits,
    facts: &mut ModuleFacts,
) -> Result<(), InspectError> {
    let mut locals = 0;
    for declaration in body.get_locals_reader()? {
        let (count, _) = declaration?;
        locals = limits.check(Quantity::Locals, locals + u64::from(count))?;
    }
    facts.locals_max = facts.locals_max.max(locals);
    facts.locals_total = limits.check(Quantity::LocalsTotal, facts.locals_total + locals)?;
    Ok(())
}

/// The blocks around an instruction.
#[derive(Default)]
struct Blocks {
    /// Whether each of them is a loop, outermost first.
    is_loop: Vec<bool>,
    /// How many are.
    loops: u32,
}

impl Blocks {
    fn follow(&mut self, operator: &Operator<'_>) {
        match operator {
            Operator::Block { .. } | Operator::If { .. } => self.is_loop.push(false),
            Operator::Loop { .. } => {
                self.is_loop.push(true);
                self.loops += 1;
            }
            // The last `end` closes the function, which is not among the blocks.
            Operator::End if self.is_loop.pop() == Some(true) => self.loops -= 1,
            _ => {}
        }
    }
}
