//! Handing data from one function to the next, by mode and size, beside copying the same bytes once between warm places.

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use runtime::{Execution, Function, HandOver, Runtime, Sealed};

use crate::guests::{Contract, hand_over};
use crate::measure::{Series, Side, in_turns, nanos};
use crate::row::{ELSEWHERE, Row};
use crate::stage::{self, BenchHost};

const RUN: Duration = Duration::from_millis(250);

/// One size that is handed over.
struct Size {
    name: &'static str,
    bytes: usize,
    /// In which the row is read best, and its nanoseconds.
    unit: (&'static str, f64),
    /// Most that M1 and M2 may take, in that unit.
    targets: [Option<f64>; 2],
    /// What Roadrunner published within one VM and between processes of a node, ms (its CSV files; Middleware'25).
    published_ms: [Option<f64>; 2],
}

const US: (&str, f64) = ("µs", 1e3);
const MS: (&str, f64) = ("ms", 1e6);
const SIZES: [Size; 4] = [
    Size { name: "1_kb", bytes: 1_000, unit: US, targets: [None; 2], published_ms: [None; 2] },
    Size {
        name: "1_mb",
        bytes: 1_000_000,
        unit: MS,
        targets: [None; 2],
        published_ms: [Some(2.65), Some(172.8)],
    },
    Size {
        name: "10_mb",
        bytes: 10_000_000,
        unit: MS,
        targets: [Some(1.5), Some(1.0)],
        published_ms: [Some(19.7), Some(199.5)],
    },
    Size {
        name: "100_mb",
        bytes: 100_000_000,
        unit: MS,
        targets: [Some(20.0), None],
        published_ms: [Some(229.7), Some(482.5)],
    },
];

pub(crate) fn rows(contract: &Contract) -> Result<Vec<Row>> {
    let here = stage::runtime(Execution::Native, None)?;
    let apart = stage::isolated()?;
    let mut rows = Vec::new();
    for size in &SIZES {
        rows.extend(of_size(contract, (&here, &apart), size)?);
    }
    // This program has no bus; two agents have.
    let why = format!("{ELSEWHERE}: between two agents, agent/tests/loopback/far_inputs.rs");
    rows.extend(
        SIZES
            .iter()
            .map(|size| Row::unknown(format!("hand_over_m3_{}", size.name), size.unit.0, &why)),
    );
    Ok(rows)
}

fn of_size(
    contract: &Contract,
    (here, apart): (&Runtime, &Runtime),
    size: &Size,
) -> Result<Vec<Row>> {
    let from = here.load(&hand_over::producer(contract, size.bytes, 1)?)?;
    let twice = here.load(&hand_over::producer(contract, size.bytes, 2)?)?;
    let to = hand_over::consumer(contract, size.bytes)?;
    let nothing = apart.load(&hand_over::consumer(contract, 0)?)?;
    let (to_here, to_apart) = (here.load(&to)?, apart.load(&to)?);
    let (bytes, mut copy) = (vec![hand_over::FILL; size.bytes], vec![0; size.bytes]);
    // Whether the way is there at all; why not is a reason in the row.
    let (object, none) = (stage::sealed(&bytes)?, stage::sealed(&[])?);
    let m2 =
        read(apart, &to_apart, (&bytes, &object)).map(drop).map_err(|error| format!("{error:#}"));
    let [m0, m0_first, m1, apart_full, apart_empty, made, copied, stream] = in_turns([
        Side::own(RUN, || within_a_store(here, &twice, &to_here, 2)),
        Side::own(RUN, || within_a_store(here, &from, &to_here, 1)),
        Side::own(RUN, || between_stores(here, &from, &to_here)),
        Side::own(RUN, || {
            m2.as_ref().map_or(Ok(f64::NAN), |()| read(apart, &to_apart, (&bytes, &object)))
        }),
        Side::own(RUN, || read(apart, &nothing, (&[], &none))),
        Side::timed(RUN, || stage::sealed(&bytes).map(drop)),
        Side::timed(RUN, || {
            copy.copy_from_slice(black_box(&bytes));
            Ok(())
        }),
        Side::own(RUN, || through_a_stream(&bytes)),
    ])?;
    let (unit, ns) = size.unit;
    let row = |mode: &str, value: f64| {
        Row::new(format!("hand_over_{mode}_{}", size.name), unit, value / ns)
            .baseline("memcpy", copied.p50() / ns)
    };
    let with_tail = |row: Row, series: &Series| {
        row.p95(series.percentile(95) / ns).p99(series.percentile(99) / ns)
    };
    let with_target = |row: Row, which: usize| {
        let row = match size.targets[which] {
            Some(target) => row.at_most(target),
            None => row,
        };
        let published = size.published_ms[which];
        row.note(published.map_or_else(String::new, |ms| format!("Roadrunner: {ms} ms")))
    };
    let m2_row = match &m2 {
        Ok(()) => with_target(row("m2", apart_full.p50() - apart_empty.p50()), 1),
        Err(why) => Row::unknown(format!("hand_over_m2_{}", size.name), unit, why),
    };
    Ok(vec![
        with_tail(row("m0", m0.p50()), &m0).note("the instance is there since an earlier call of the same caller"),
        with_tail(row("m0_first", m0_first.p50()), &m0_first).note("the first call: its instance is made"),
        with_target(with_tail(row("m1", m1.p50()), &m1), 0),
        m2_row,
        with_tail(row("m2_making", made.p50()), &made)
            .note("what whoever has the bytes does once, however many read them: fresh sealed memory, and the copy to it"),
        with_tail(row("unix_stream", stream.p50()), &stream)
            .note("what peers between processes use, nothing but the stream"),
    ])
}

/// From the moment at which the host finds the called function, to its end: a fresh instance, the copy into it, and its removal.
fn between_stores(runtime: &Runtime, from: &Function, to: &Function) -> Result<f64> {
    let mut host = BenchHost { callee: Some(to), ..BenchHost::default() };
    stage::report(runtime, from, Vec::new(), stage::LIMITS, &mut host).outcome?;
    host.callee_took.map(nanos).context("the producer called nobody")
}

/// The last of so many calls within the store of the caller, from the moment at which the host finds the called function to its end.
fn within_a_store(runtime: &Runtime, from: &Function, to: &Function, times: u32) -> Result<f64> {
    let mut host = BenchHost { callee: Some(to), fuses: true, ..BenchHost::default() };
    let report = stage::report(runtime, from, Vec::new(), stage::LIMITS, &mut host);
    report.outcome?;
    ensure!(host.calls == times, "{} calls, not {times}", host.calls);
    ensure!(report.usage.hand_over == Some(HandOver::Fused), "they did not share a store");
    host.callee_took.map(nanos).context("the producer called nobody")
}

/// A call that reads an object which its host holds; in another process from the memory that both share.
fn read(runtime: &Runtime, function: &Function, (object, sealed): (&[u8], &Sealed)) -> Result<f64> {
    let mut host = BenchHost { input: object, sealed: Some(sealed), ..BenchHost::default() };
    let started = Instant::now();
    let report = stage::report(runtime, function, Vec::new(), stage::LIMITS, &mut host);
    let took = nanos(started.elapsed());
    report.outcome?;
    Ok(took)
}

/// The same bytes through a stream to another thread, into memory that it has touched before as the others have.
fn through_a_stream(bytes: &[u8]) -> Result<f64> {
    let (mut from, mut to) = UnixStream::pair()?;
    let mut arrived = vec![1_u8; bytes.len()];
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || -> std::io::Result<Instant> {
            to.read_exact(&mut arrived)?;
            Ok(Instant::now())
        });
        let started = Instant::now();
        from.write_all(bytes)?;
        let ended = reader.join().map_err(|_panic| anyhow::anyhow!("the reader ended"))??;
        Ok(nanos(ended - started))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_and_the_guests_look_at_them() {
        let contract = Contract::open().unwrap();
        let runtime = stage::runtime(Execution::Native, None).unwrap();
        let load = |wasm: Result<Vec<u8>>| runtime.load(&wasm.unwrap()).unwrap();
        let from = load(hand_over::producer(&contract, 100_000, 1));
        let twice = load(hand_over::producer(&contract, 100_000, 2));
        let to = load(hand_over::consumer(&contract, 100_000));
        let more = load(hand_over::consumer(&contract, 100_001));
        assert!(0.0 < between_stores(&runtime, &from, &to).unwrap());
        assert!(0.0 < within_a_store(&runtime, &twice, &to, 2).unwrap());
        assert!(within_a_store(&runtime, &from, &more, 1).is_err());
        // One byte less than it wants, and bytes that are not the producer's.
        assert!(between_stores(&runtime, &from, &more).is_err());
        let none = stage::sealed(&[]).unwrap();
        assert!(read(&runtime, &to, (&[hand_over::FILL; 100_000], &none)).is_ok());
        assert!(read(&runtime, &to, (&[0; 100_000], &none)).is_err());
        assert!(0.0 < through_a_stream(&[1; 100_000]).unwrap());
    }
}
