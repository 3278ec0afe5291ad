//! Turns components into code, here or in children, and remembers those that failed there.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use accel::ScanLimits;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::end::{CompileEnd, Failure};
use super::{Code, built_in, in_child};
use crate::cache::{self, ModuleHash};
use crate::config::CompileIn;
use crate::engine;
use crate::function::{LoadError, check_resources};
use crate::memfd;
use crate::pool::PoolMode;
use crate::quarantine::Quarantine;

/// The compiler of one engine.
pub(crate) struct Compiler {
    place: CompileIn,
    /// How the engine that will run the code allocates.
    mode: PoolMode,
    quarantine: Mutex<Quarantine>,
}

/// A component, and its code where that is at hand already.
pub(crate) struct Compiled {
    pub(crate) component: Component,
    pub(crate) code: Option<Vec<u8>>,
}

impl Compiler {
    pub(crate) fn new(place: CompileIn, mode: PoolMode) -> Self {
        Self { place, mode, quarantine: Mutex::default() }
    }

    /// For an engine of this process.
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        limits: &ScanLimits,
        module: &ModuleHash,
        wasm: &[u8],
    ) -> Result<Compiled, LoadError> {
        if matches!(self.place, CompileIn::Process) {
            let component = built_in::component(engine, wasm).map_err(refused)?;
            return Ok(Compiled { component, code: None });
        }
        let code = self.code(limits, module, wasm)?;
        match cache::load(engine, &code.file, &code.bytes) {
            Some(component) => Ok(Compiled { component, code: Some(code.bytes) }),
            None => {
                let rule = "what it wrote is no code of this engine";
                Err(self.hold(module, LoadError::Ended(CompileEnd::Output(rule))))
            }
        }
    }

    /// For an engine of another process; checked as far as the engine sees it.
    pub(crate) fn code(
        &self,
        limits: &ScanLimits,
        module: &ModuleHash,
        wasm: &[u8],
    ) -> Result<Code, LoadError> {
        let program = match &self.place {
            CompileIn::Child(program) => program,
            CompileIn::Process => return here(self.mode, wasm),
        };
        if let Some(held) = self.held(module) {
            return Err(held);
        }
        match in_child(program, self.mode, limits, wasm) {
            Ok(code) => Ok(code),
            Err(Failure::System(source)) => Err(LoadError::Child { source }),
            Err(Failure::Refused(reason)) => {
                Err(self.hold(module, LoadError::Compile { source: reason.into() }))
            }
            Err(Failure::Contract(reason)) => {
                Err(self.hold(module, LoadError::Contract { source: reason.into() }))
            }
            Err(Failure::Ended(end)) => Err(self.hold(module, LoadError::Ended(end))),
        }
    }

    /// Keeps a module from being tried again.
    fn hold(&self, module: &ModuleHash, error: LoadError) -> LoadError {
        let mut quarantine = self.quarantine.lock().unwrap_or_else(PoisonError::into_inner);
        quarantine.hold(*module, words(&error), Instant::now());
        error
    }

    fn held(&self, module: &ModuleHash) -> Option<LoadError> {
        let quarantine = self.quarantine.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, reason) = quarantine.held(module, Instant::now())?;
        Some(LoadError::Quarantined { left, reason: reason.to_owned() })
    }
}

/// Compiles in this process for another, with the checks that a child does.
fn here(mode: PoolMode, wasm: &[u8]) -> Result<Code, LoadError> {
    let engine = engine::compiler(mode).map_err(refused)?;
    let component = built_in::component(&engine, wasm).map_err(refused)?;
    check_resources(&component)?;
    super::child::check_contract(&engine, &component)
        .map_err(|error| LoadError::Contract { source: error.into() })?;
    let bytes = component.serialize().map_err(refused)?;
    let file =
        memfd::sealed("starbelt-code", &[&bytes]).map_err(|source| LoadError::Child { source })?;
    Ok(Code { file, bytes })
}

fn refused(error: wasmtime::Error) -> LoadError {
    LoadError::Compile { source: error.into() }
}

/// An error and what it stems from, in one line.
pub(crate) fn words(error: &LoadError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
