//! Prints what a fresh call and a cold load cost, beside bare wasmtime in the same run: `cargo run -p runtime --example call_cost`.
//!
//! Both sides use the same component, a pool of the same kind and one store per call. Ours adds what makes a call safe and
//! accountable: limits, deadline, admission, processor time, a lent host.

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use accel::ScanLimits;
use runtime::{
    Budget, CacheConfig, CallHeader, CallLimits, Contact, DeviceSecret, Function, Host, HostFault,
    InputInfo, Level, NodeInfo,
};
use runtime::{PoolMode, Request, Runtime, RuntimeConfig};
use sha2::{Digest as _, Sha256};
use types::{Epoch, NodeId, NodeKind, StateKey, TaskId};
use wasmtime::component::{Component, Linker};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

mod bare {
    //! The same contract, without the runtime.
    wasmtime::component::bindgen!({ path: "../wit", world: "function" });
}

use bare::exports::starbelt::function::handler::Request as BareRequest;

/// Rounds; the median of their medians is reported.
const ROUNDS: usize = 5;
/// Calls of each side in a round.
const CALLS: usize = 5_000;
/// Starts from compiled code of each side in a round.
const COLD_STARTS: usize = 500;
/// Loads of each side in a round.
const LOADS: usize = 3;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> Result {
    let mut out = std::io::stdout().lock();
    let runtime = Runtime::new(RuntimeConfig::default())?;
    let engine = bare_engine(runtime.pool_mode())?;
    writeln!(out, "pool: {:?}; {ROUNDS} rounds, times in µs", runtime.pool_mode())?;
    writeln!(
        out,
        "{:<36}{:>10}{:>10}{:>10}{:>10}{:>8}",
        "", "p50", "p99", "bare p50", "p99", "ratio"
    )?;
    for pages in [1, 16] {
        let wasm = guest(pages, 0)?;
        let function = runtime.load(&wasm)?;
        let pre = bare_pre(&engine, &wasm)?;
        let row = compare(CALLS, || call(&runtime, &function), || bare_call(&engine, &pre))?;
        print(&mut out, &format!("fresh_call_{pages}_page"), &row)?;
    }
    for (name, functions) in [("cold_load_small", 0), ("cold_load_1000_functions", 1_000)] {
        let wasm = guest(1, functions)?;
        let ours = || call(&runtime, &runtime.load(&wasm)?);
        let bare = || bare_call(&engine, &bare_pre(&engine, &wasm)?);
        let row = compare(LOADS, ours, bare)?;
        print(&mut out, &format!("{name} ({} kB)", wasm.len() / 1000), &row)?;
        let scan = || Ok(accel::inspect(&wasm, &ScanLimits::AGENT).map(|_| ())?);
        print(&mut out, "  of this the pre-scan", &compare(LOADS, scan, bare)?)?;
    }
    cold_starts(&mut out)
}

/// From compiled code on disk to the first answer, the seal checked; bare wasmtime maps its file and trusts it.
fn cold_starts(out: &mut impl Write) -> Result {
    let dir = tempfile::tempdir()?;
    let cache = CacheConfig { dir: dir.path().join("cache"), secret: DeviceSecret::new([7; 32]) };
    let runtime = Runtime::new(RuntimeConfig { cache: Some(cache), ..RuntimeConfig::default() })?;
    let engine = bare_engine(runtime.pool_mode())?;
    for functions in [0, 150, 1_000] {
        let wasm = guest(1, functions)?;
        runtime.load(&wasm)?;
        let file = dir.path().join("bare.cwasm");
        std::fs::write(&file, Component::from_binary(&engine, &wasm)?.serialize()?)?;
        let module = Sha256::digest(&wasm).into();
        let ours = || call(&runtime, &runtime.load_cached(&module).ok_or("it is in the cache")?);
        let bare = || {
            #[expect(unsafe_code, reason = "the baseline trusts its file")]
            // SAFETY: this program has just written it.
            let component = unsafe { Component::deserialize_file(&engine, &file) }?;
            let pre = Linker::new(&engine).instantiate_pre(&component)?;
            bare_call(&engine, &bare::FunctionPre::new(pre)?)
        };
        let row = compare(COLD_STARTS, ours, bare)?;
        let code_kb = std::fs::metadata(&file)?.len() / 1000;
        print(out, &format!("cold_start_{code_kb}_kB_of_code"), &row)?;
    }
    Ok(())
}

/// A guest that touches so many pages in a call, and holds so many more functions.
fn guest(pages: u32, functions: usize) -> Result<Vec<u8>> {
    let work =
        "(local.set 0 (i32.add (local.get 0) (i32.mul (local.get 0) (i32.const 3))))".repeat(12);
    let more = format!("(func (param i32) (result i32) {work} (local.get 0))").repeat(functions);
    let text = format!(
        r#"(module
            (memory (export "memory") 16)
            (data (i32.const 65536) "{data}")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
            (func (export "starbelt:function/handler@0.2.0#handle")
                (param i64 i64 i32 i32 i32 i32 i32 i32 i64 i32 i32 i32 i32 i32 i32) (result i32)
                (local $page i32)
                (loop $next
                    (i32.store8 (i32.shl (local.get $page) (i32.const 12)) (i32.const 0))
                    (local.set $page (i32.add (local.get $page) (i32.const 1)))
                    (br_if $next (i32.lt_u (local.get $page) (i32.const {pages}))))
                (i32.const 64))
            {more})"#,
        data = "x".repeat(128 * 1024),
    );
    let mut resolve = Resolve::default();
    let package = resolve.push_source("world.wit", include_str!("../../wit/world.wit"))?;
    let world = resolve.select_world(&[package], Some("function"))?;
    let mut module = wat::parse_str(text)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
    Ok(ComponentEncoder::default().module(&module)?.encode()?)
}

fn call(runtime: &Runtime, function: &Function) -> Result {
    let header = CallHeader {
        id: 1,
        root: 1,
        hops: 0,
        attempt: 1,
        source: String::new(),
        deadline: Duration::from_secs(1),
        budget: Budget::USUAL,
    };
    let request =
        Request { header, schema_id: String::new(), content_type: String::new(), body: Vec::new() };
    let limits = CallLimits { deadline: Duration::from_secs(1), ..CallLimits::default() };
    runtime.call(function, request, limits, &mut NoHost).outcome?;
    Ok(())
}

fn bare_engine(mode: PoolMode) -> Result<Engine> {
    let mut config = Config::new();
    config.concurrency_support(false);
    if let PoolMode::Pooling { slots, reservation } = mode {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(slots)
            .total_core_instances(slots * 4)
            .total_memories(slots)
            .total_tables(slots * 2)
            .max_memory_size(256 << 20)
            .linear_memory_keep_resident(128 * 1024)
            .pagemap_scan(Enabled::Auto);
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .memory_reservation(reservation);
    }
    Ok(Engine::new(&config)?)
}

fn bare_pre(engine: &Engine, wasm: &[u8]) -> Result<bare::FunctionPre<()>> {
    let component = Component::from_binary(engine, wasm)?;
    Ok(bare::FunctionPre::new(Linker::new(engine).instantiate_pre(&component)?)?)
}

fn bare_call(engine: &Engine, pre: &bare::FunctionPre<()>) -> Result {
    let request = BareRequest {
        id: 1,
        root: 1,
        hops: 0,
        attempt: 1,
        source: String::new(),
        deadline_ms: 1_000,
        budget: bare::starbelt::function::types::Budget { calls: 0, cpu_us: 0 },
        schema_id: String::new(),
        content_type: String::new(),
        body: Vec::new(),
    };
    let mut store = Store::new(engine, ());
    let instance = pre.instantiate(&mut store)?;
    match instance.starbelt_function_handler().call_handle(&mut store, &request)? {
        Ok(_) => Ok(()),
        Err(fault) => Err(format!("{fault:?}").into()),
    }
}

/// Medians and 99th percentiles of both sides, in microseconds.
struct Row {
    ours: (f64, f64),
    bare: (f64, f64),
}

fn compare(
    times: usize,
    mut ours: impl FnMut() -> Result,
    mut bare: impl FnMut() -> Result,
) -> Result<Row> {
    let mut rounds = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        rounds[0].push(round(times, &mut ours)?);
        rounds[1].push(round(times, &mut bare)?);
    }
    let [ours, bare] = rounds.map(|round| {
        let (p50, p99): (Vec<f64>, Vec<f64>) = round.into_iter().unzip();
        (percentile(p50, 50), percentile(p99, 50))
    });
    Ok(Row { ours, bare })
}

fn round(times: usize, act: &mut impl FnMut() -> Result) -> Result<(f64, f64)> {
    let mut micros = Vec::with_capacity(times);
    for _ in 0..times {
        let started = Instant::now();
        act()?;
        micros.push(started.elapsed().as_secs_f64() * 1e6);
    }
    Ok((percentile(micros.clone(), 50), percentile(micros, 99)))
}

fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * percent / 100).min(values.len() - 1)]
}

fn print(out: &mut impl Write, name: &str, row: &Row) -> Result {
    let ((p50, p99), (bare_p50, bare_p99)) = (row.ours, row.bare);
    let ratio = p50 / bare_p50;
    writeln!(out, "{name:<36}{p50:>10.2}{p99:>10.2}{bare_p50:>10.2}{bare_p99:>10.2}{ratio:>8.2}")?;
    Ok(())
}

/// Serves nothing; the guests of this program ask for nothing.
struct NoHost;

impl Host for NoHost {
    fn state_get(&mut self, _: &StateKey) -> Result<Option<(Vec<u8>, u64)>, HostFault> {
        Ok(None)
    }

    fn state_put(&mut self, _: &StateKey, _: Vec<u8>, _: Option<u64>) -> Result<u64, HostFault> {
        Err(HostFault::Denied)
    }

    fn state_delete(&mut self, _: &StateKey) -> Result<(), HostFault> {
        Err(HostFault::Denied)
    }

    fn state_keys(&mut self, _: Option<&StateKey>) -> Result<Vec<StateKey>, HostFault> {
        Ok(Vec::new())
    }

    fn inputs(&mut self) -> Vec<InputInfo> {
        Vec::new()
    }

    fn input_read(
        &mut self,
        _: &TaskId,
        _: &StateKey,
        _: u64,
        _: u32,
    ) -> Result<Vec<u8>, HostFault> {
        Err(HostFault::NotFound)
    }

    fn output_write(&mut self, _: &StateKey, _: Vec<u8>) -> Result<(), HostFault> {
        Err(HostFault::Denied)
    }

    fn describe(&mut self) -> NodeInfo {
        NodeInfo {
            node: NodeId::new("bench").expect("a valid name"),
            kind: NodeKind::Edge,
            battery_pct: None,
            temperature_c: None,
            sunlit: None,
            accelerators: Vec::new(),
        }
    }

    fn sky_now(&mut self) -> Epoch {
        Epoch::from_unix_ns(0)
    }

    fn next_contact(&mut self, _: &NodeId) -> Option<Contact> {
        None
    }

    fn log(&mut self, _: Level, _: &str) {}
}
