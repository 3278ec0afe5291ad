//! What the machine itself takes: below this nobody can go.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};

use crate::floor::{self, Kind};
use crate::measure::{RUNS, Side, float, in_turns, nanos, percentile};
use crate::row::Row;

/// Operations of one sample, where one alone is shorter than a look at the clock.
const BATCH: u32 = 1_000;
const RUN: Duration = Duration::from_millis(100);
const MB: usize = 1_000_000;

pub(crate) fn rows() -> Result<Vec<Row>> {
    let (ten, hundred) = (vec![1_u8; 10 * MB], vec![1_u8; 100 * MB]);
    let (mut to_ten, mut to_hundred) = (ten.clone(), hundred.clone());
    let syscall = batched(|| {
        // The cheapest call that no library answers from memory.
        black_box(rustix::process::getppid());
    });
    let clock = batched(|| {
        black_box(clock_gettime(ClockId::Monotonic));
    });
    let thread_clock = batched(|| {
        black_box(clock_gettime(ClockId::ThreadCPUTime));
        black_box(clock_gettime(ClockId::ThreadCPUTime));
    });
    let copy_ten = Side::timed(RUN, || {
        to_ten.copy_from_slice(black_box(&ten));
        Ok(())
    });
    let copy_hundred = Side::timed(RUN, || {
        to_hundred.copy_from_slice(black_box(&hundred));
        Ok(())
    });
    let [syscall, clock, thread_clock, copy_ten, copy_hundred] =
        in_turns([syscall, clock, thread_clock, copy_ten, copy_hundred])?;
    let mut rows = vec![
        Row::new("syscall", "ns", syscall.p50()).p99(syscall.percentile(99)),
        Row::new("clock_gettime", "ns", clock.p50()).p99(clock.percentile(99)),
        Row::new("two_thread_clock_reads", "ns", thread_clock.p50())
            .p99(thread_clock.percentile(99))
            .note("the accounting of a call"),
    ];
    for (name, series, bytes) in [("10_mb", &copy_ten, 10e6), ("100_mb", &copy_hundred, 100e6)] {
        let speed = bytes / series.p50();
        rows.push(
            Row::new(format!("memcpy_{name}"), "ms", series.p50() / 1e6)
                .p99(series.percentile(99) / 1e6)
                .note(format!("{speed:.1} GB/s, both sides touched before")),
        );
    }
    rows.push(processes("fork_exit_wait", Kind::Fork));
    rows.push(processes("clone_5_namespaces", Kind::Namespaces));
    Ok(rows)
}

fn batched<'a>(mut act: impl FnMut() + 'a) -> Side<'a> {
    Side::own(RUN, move || {
        let started = Instant::now();
        for _ in 0..BATCH {
            act();
        }
        Ok(nanos(started.elapsed()) / float(BATCH.into()))
    })
}

fn processes(name: &str, kind: Kind) -> Row {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        match floor::measure(kind) {
            Ok(times) => runs.push(times),
            Err(error) => return Row::unknown(name, "µs", &format!("{error:#}")),
        }
    }
    let of = |percent| {
        let runs: Vec<f64> = runs.iter().map(|run| percentile(run, percent)).collect();
        percentile(&runs, 50) / 1e3
    };
    Row::new(name, "µs", of(50)).p99(of(99))
}
