//! Guests made from text, and a stage for the one that does as it is told.

use std::error::Error;
use std::time::Duration;

use runtime::{
    Budget, CallLimits, CallReport, Function, Isolation, RunnerProgram, Runtime, RuntimeConfig,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::host::{TestHost, request};

pub(crate) type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// A component for the contract, from the text of its core module.
pub(crate) fn component(core_wat: &str) -> Result<Vec<u8>> {
    component_of("function", core_wat)
}

/// The same for one of the worlds of the contract.
pub(crate) fn component_of(world: &str, core_wat: &str) -> Result<Vec<u8>> {
    component_in(include_str!("../../../wit/world.wit"), world, core_wat)
}

/// The same for another contract.
pub(crate) fn component_in(contract: &str, world: &str, core_wat: &str) -> Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("world.wit", contract)?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut module = wat::parse_str(core_wat)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    Ok(ComponentEncoder::default().validate(true).module(&module)?.encode()?)
}

/// The guest of `wat/puppet.wat`.
pub(crate) fn puppet() -> Result<Vec<u8>> {
    component(include_str!("wat/puppet.wat"))
}

/// The guest of `wat/rememberer.wat`.
pub(crate) fn rememberer() -> Result<Vec<u8>> {
    component_of("stateful-function", include_str!("wat/rememberer.wat"))
}

/// Set in a process whose stages are in runners.
pub(crate) const IN_RUNNERS: &str = "STARBELT_TEST_IN_RUNNERS";

/// A runtime with the puppet loaded.
pub(crate) fn stage() -> Result<(Runtime, Function)> {
    stage_in(isolation())
}

/// In which processes the stages of this process are.
pub(crate) fn isolation() -> Isolation {
    match std::env::var_os(IN_RUNNERS) {
        Some(_) => Isolation::Process(runner_program()),
        None => Isolation::None,
    }
}

/// The same, in these processes.
pub(crate) fn stage_in(isolation: Isolation) -> Result<(Runtime, Function)> {
    let runtime = Runtime::new(RuntimeConfig { isolation, ..RuntimeConfig::default() })?;
    let function = runtime.load(&puppet()?)?;
    Ok((runtime, function))
}

/// A program that is a runner.
pub(crate) fn runner_program() -> RunnerProgram {
    RunnerProgram {
        program: env!("CARGO_BIN_EXE_runtime-child").into(),
        arguments: vec!["run".into()],
        memory_mib: 1024,
        milli_cpu: 2000,
        runners_max: 8,
    }
}

/// A guest that answers nothing, with `fields` added to its module.
pub(crate) fn idle_guest(fields: &str) -> String {
    format!(
        r#"(module
            {fields}
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
            (func (export "starbelt:function/handler@0.2.0#handle")
                (param i64 i64 i32 i32 i32 i32 i32 i32 i64 i32 i32 i32 i32 i32 i32) (result i32)
                (i32.const 64)))"#
    )
}

/// A body of the puppet: what to do, and a number.
pub(crate) fn order(what: u8, number: u32) -> Vec<u8> {
    [&[what][..], &number.to_le_bytes()].concat()
}

pub(crate) const LIMITS: CallLimits =
    CallLimits { linear_memory_mib: 32, deadline: Duration::from_secs(10), budget: Budget::USUAL };

/// Calls the puppet with the usual limits and a host of its own.
pub(crate) fn call(stage: &(Runtime, Function), body: impl Into<Vec<u8>>) -> CallReport {
    stage.0.call(&stage.1, request(body), LIMITS, &mut TestHost::default())
}
