//! How exactly the TCP proxy delays: the error of a ping-pong's round trip, idle and under load.
//!
//! `idle` and `busy` measure the proxy: both ends are woken as promptly as the proxy itself, where the
//! kernel grants it. `busy_ends` has ordinary ends, which wait for the processor like any process.
//!
//! `cargo bench -p sim-bridge --bench link_delay -- [--json FILE]` prints one row for each delay and
//! load; the baseline is the same ping-pong over bare loopback.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use protocol::sim::FaultAction;
use serde_json::{Value, json};
use sim_bridge::address::LoopbackAddr;
use sim_bridge::priority;
use sim_bridge::shape::tcp_proxy::{BoundPorts, TcpProxy};
use sim_bridge::shape::{LinkParams, LinkShaper, PairId};
use types::NodeId;

type Failure = Box<dyn std::error::Error>;

/// Delays of a hop, of a short path and of the far side of the Earth, and how often each is measured.
const CASES: [(u64, usize); 3] = [(5, 600), (20, 200), (100, 60)];
/// Busy loops of the loaded case: one for each core of the smallest machine.
const BUSY_LOOPS: usize = 2;
/// The acceptance of every link: a round trip is right within this or 10 %.
const ERROR_MS_MAX: f64 = 2.0;

/// How the two ends of a ping-pong are scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// Like the proxy.
    Prompt,
    /// Like any thread.
    Ordinary,
}

fn main() -> Result<(), Failure> {
    let mut rows = measure_all("idle", Ends::Prompt)?;
    let stop = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..BUSY_LOOPS)
        .map(|_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || while !stop.load(Ordering::Relaxed) {})
        })
        .collect();
    let loaded = measure_all("busy", Ends::Prompt).and_then(|mut rows| {
        rows.extend(measure_all("busy_ends", Ends::Ordinary)?);
        Ok(rows)
    });
    stop.store(true, Ordering::Relaxed);
    for thread in busy {
        thread.join().map_err(|_payload| "a busy loop panicked")?;
    }
    rows.extend(loaded?);
    let mut args = std::env::args().skip_while(|arg| arg != "--json");
    if let (Some(_), Some(file)) = (args.next(), args.next()) {
        std::fs::write(file, serde_json::to_string_pretty(&rows)?)?;
    }
    Ok(())
}

fn measure_all(load: &str, ends: Ends) -> Result<Vec<Value>, Failure> {
    let mut rows = Vec::new();
    let mut out = std::io::stdout().lock();
    for (delay_ms, count) in CASES {
        let direct = run(None, count, ends)?;
        let delay = Duration::from_millis(delay_ms);
        let shaped = run(Some(delay), count, ends)?;
        let expected_ms = 2.0 * delay.as_secs_f64() * 1e3;
        let mut errors: Vec<f64> = shaped.iter().map(|ms| (ms - expected_ms).abs()).collect();
        errors.sort_by(f64::total_cmp);
        let tolerance = ERROR_MS_MAX.max(expected_ms / 10.0);
        let (p50, p95, p99) = (at(&errors, 50), at(&errors, 95), at(&errors, 99));
        let baseline = at(&direct, 50);
        writeln!(
            out,
            "link_rtt_error_{delay_ms}ms_{load}: p50 {p50:.3} p95 {p95:.3} p99 {p99:.3} max {:.3} ms, \
             bare loopback round trip p50 {baseline:.3} ms, {count} samples",
            at(&errors, 100)
        )?;
        rows.push(json!({
            "name": format!("link_rtt_error_{delay_ms}ms_{load}"), "unit": "ms", "measured": p50,
            "p95": p95, "p99": p99, "baseline_name": "bare loopback round trip",
            "baseline": baseline, "ratio": p50 / baseline, "target": tolerance,
            "ok": p95 <= tolerance, "runs": count,
        }));
    }
    Ok(rows)
}

/// The value that `percent` of the sorted values do not exceed.
fn at(sorted: &[f64], percent: usize) -> f64 {
    let index = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// [`ping_pong`] on a thread of its own, which keeps its priority.
fn run(delay: Option<Duration>, count: usize, ends: Ends) -> Result<Vec<f64>, Failure> {
    let bench = thread::spawn(move || ping_pong(delay, count, ends).map_err(|e| e.to_string()));
    Ok(bench.join().map_err(|_payload| "the ping-pong panicked")??)
}

/// Sorted round trips in ms, over a link with the delay or without any proxy.
fn ping_pong(delay: Option<Duration>, count: usize, ends: Ends) -> Result<Vec<f64>, Failure> {
    let end = TcpListener::bind("127.0.0.1:0")?;
    let mut dial = end.local_addr()?;
    let mut proxy = None;
    if let Some(delay) = delay {
        let port = TcpListener::bind("127.0.0.1:0")?;
        dial = port.local_addr()?;
        let (a, b) = (NodeId::new("a")?, NodeId::new("b")?);
        let ports = vec![(PairId { a, b: b.clone() }, port, LoopbackAddr::new(end.local_addr()?)?)];
        let started = TcpProxy::start(BoundPorts::from_listeners(ports))?;
        started.apply(vec![Some(LinkParams { delay, rate_kbps: 500_000 })]);
        started.fault(&b, None, FaultAction::Heal)?;
        proxy = Some(started);
    }
    let wake = move || {
        if ends == Ends::Prompt {
            priority::raise();
        }
    };
    wake();
    let mut near = TcpStream::connect(dial)?;
    near.set_nodelay(true)?;
    let (mut far, _) = end.accept()?;
    far.set_nodelay(true)?;
    let echo = thread::spawn(move || {
        wake();
        let mut ping = [0; 64];
        while far.read_exact(&mut ping).and_then(|()| far.write_all(&ping)).is_ok() {}
    });
    let mut trips = Vec::with_capacity(count);
    // The first one also pays for the handshake.
    for trip in 0..=count {
        let start = Instant::now();
        near.write_all(&[7; 64])?;
        near.read_exact(&mut [0; 64])?;
        if 0 < trip {
            trips.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    drop((near, proxy));
    echo.join().map_err(|_payload| "the echo panicked")?;
    trips.sort_by(f64::total_cmp);
    Ok(trips)
}
