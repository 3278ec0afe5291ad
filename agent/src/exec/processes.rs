//! The processes in which functions are compiled and run: this program again, with verbs that nobody else uses.

use protocol::manifest::default_tenant;
use runtime::{
    CacheConfig, ChildProgram, CompileIn, CompileLimits, JailReport, LINEAR_MEMORY_MIB_MAX,
    RunnerProgram, Runtime, RuntimeConfig,
};

use crate::config::{Config, Isolation};

/// This program, also after an upgrade has put another in its place.
pub(crate) const OWN_PROGRAM: &str = "/proc/self/exe";
/// Processor of the runner of one call without a node: one function has one thread.
const LOCAL_MILLI_CPU: u32 = 1_000;
/// The verb with which it compiles one component and ends.
pub const COMPILE_VERB: &str = "compile-module";
/// The verb with which it runs functions until its agent ends.
pub const RUN_VERB: &str = "run-functions";

/// The verb with which it gives up privileges and becomes a native program.
pub const NATIVE_VERB: &str = "become-program";

/// How functions are compiled and run on a node.
pub fn runtime_config(config: &Config, cache: Option<CacheConfig>) -> RuntimeConfig {
    let functions = &config.functions;
    let usual = CompileLimits::default();
    let limits = CompileLimits {
        memory_mib: functions.compile_memory_mib.unwrap_or(usual.memory_mib),
        cpu: functions.compile_cpu,
        // It stands back for guests, so on a busy machine it takes many times as long.
        wall: usual.wall.max(functions.compile_cpu * 30),
    };
    let compile = CompileIn::Child(ChildProgram {
        program: OWN_PROGRAM.into(),
        arguments: vec![COMPILE_VERB.into()],
        limits,
    });
    let runner = RunnerProgram {
        program: OWN_PROGRAM.into(),
        arguments: vec![RUN_VERB.into()],
        memory_mib: functions.runner_memory_mib,
        milli_cpu: config.capacity.milli_cpu.0,
        runners_max: functions.runners_max,
    };
    let isolation = match functions.isolation {
        Isolation::Process => runtime::Isolation::Process(runner),
        Isolation::Tenant => runtime::Isolation::Tenant(runner),
        Isolation::None => runtime::Isolation::None,
    };
    let memory_mib = config.capacity.memory_mib.0;
    let keep_mib = functions.keep_mib;
    RuntimeConfig { memory_mib, keep_mib, cache, compile, isolation, ..RuntimeConfig::default() }
}

/// How one call is compiled and run without a node: as on one, or all in this process.
pub fn local_config(is_isolated: bool) -> RuntimeConfig {
    let memory_mib = LINEAR_MEMORY_MIB_MAX;
    if !is_isolated {
        return RuntimeConfig { memory_mib, ..RuntimeConfig::default() };
    }
    let compile = CompileIn::Child(ChildProgram {
        program: OWN_PROGRAM.into(),
        arguments: vec![COMPILE_VERB.into()],
        limits: CompileLimits::default(),
    });
    let isolation = runtime::Isolation::Process(RunnerProgram {
        program: OWN_PROGRAM.into(),
        arguments: vec![RUN_VERB.into()],
        memory_mib,
        milli_cpu: LOCAL_MILLI_CPU,
        runners_max: 1,
    });
    RuntimeConfig { memory_mib, compile, isolation, ..RuntimeConfig::default() }
}

/// What a runner on this machine is held by: starts one, asks it, and ends it. `None` if functions run in the agent.
///
/// # Errors
/// Why there is no runner, in words.
pub fn jail(config: &Config) -> Result<Option<JailReport>, String> {
    let runtime = Runtime::new(runtime_config(config, None)).map_err(|error| error.to_string())?;
    runtime.jail(&default_tenant()).transpose().map_err(|fault| fault.to_string())
}
