//! What a board without a compiler for its processor does: the same calls, limits and traps, interpreted.

use std::time::Duration;

use runtime::{
    CacheConfig, CallFault, CallLimits, DeviceSecret, Execution, Function, PoolMode, Runtime,
    RuntimeConfig,
};
use sha2::{Digest as _, Sha256};
use types::Backend;

use crate::host::{TestHost, request};
use crate::puppet::{LIMITS, Result, call, order, puppet};

fn interpreter(cache: Option<CacheConfig>) -> Result<Runtime> {
    let execution = Execution::Interpreted;
    Ok(Runtime::new(RuntimeConfig { execution, cache, ..RuntimeConfig::default() })?)
}

fn stage() -> Result<(Runtime, Function)> {
    let runtime = interpreter(None)?;
    let function = runtime.load(&puppet()?)?;
    Ok((runtime, function))
}

#[test]
fn calls_are_answered_and_say_that_they_were_interpreted() -> Result {
    let stage = stage()?;
    assert_eq!(stage.0.pool_mode(), PoolMode::Pulley);
    let report = call(&stage, "Echo");
    assert_eq!(report.outcome, Ok(b"Echo".to_vec()));
    assert_eq!(report.usage.backend, Backend::WasmPulley);
    assert_eq!(call(&stage, order(b't', 100)).outcome?, 100_u64.to_le_bytes());
    Ok(())
}

#[test]
fn traps_and_limits_are_those_of_compiled_code() -> Result {
    let stage = stage()?;
    for (body, name) in [("u", "unreachable"), ("o", "out of bounds"), ("r", "stack")] {
        match call(&stage, body).outcome {
            Err(CallFault::Trap(text)) => assert!(text.contains(name), "{body}: {text}"),
            other => panic!("{body}: {other:?}"),
        }
    }
    for body in ["s", "h"] {
        let limits = CallLimits { deadline: Duration::from_millis(20), ..LIMITS };
        let report = stage.0.call(&stage.1, request(body), limits, &mut TestHost::default());
        assert_eq!(report.outcome, Err(CallFault::Deadline), "{body}");
    }
    assert_eq!(call(&stage, "Echo").outcome?, b"Echo");
    Ok(())
}

#[test]
fn code_of_the_interpreter_is_cached_and_is_not_taken_for_that_of_the_processor() -> Result {
    let dir = tempfile::tempdir()?;
    let cache = CacheConfig { dir: dir.path().to_owned(), secret: DeviceSecret::new([1; 32]) };
    let wasm = puppet()?;
    let module = Sha256::digest(&wasm).into();
    interpreter(Some(cache.clone()))?.load(&wasm)?;
    let again = interpreter(Some(cache.clone()))?;
    let function = again.load_cached(&module).ok_or("it is in the cache")?;
    assert_eq!(call(&(again, function), "Echo").outcome?, b"Echo");
    let native = Runtime::new(RuntimeConfig { cache: Some(cache), ..RuntimeConfig::default() })?;
    assert!(native.load_cached(&module).is_none());
    Ok(())
}
