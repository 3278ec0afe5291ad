//! A hostile or broken function is stopped, and the next call does not notice.

use std::time::{Duration, Instant};

use accel::InspectError;
use runtime::{
    CallFault, CallLimits, CallProfile, CallReport, Function, LoadError, Runtime, RuntimeConfig,
};
use rustix::time::{ClockId, clock_gettime};
use types::{Backend, TenantId};

use crate::host::{TestHost, request};
use crate::puppet::{LIMITS, Result, call, component, idle_guest, order, puppet, stage};

fn call_within(stage: &(Runtime, Function), body: &str, deadline_ms: u64) -> CallReport {
    let limits = CallLimits { deadline: Duration::from_millis(deadline_ms), ..LIMITS };
    stage.0.call(&stage.1, request(body), limits, &mut TestHost::default())
}

#[track_caller]
fn assert_next_call_works(stage: &(Runtime, Function)) {
    assert_eq!(call(stage, "Echo").outcome, Ok(b"Echo".to_vec()));
}

/// Two ticks of a millisecond, each late by what the system takes to wake a thread.
const STOPPED_WITHIN: Duration = Duration::from_micros(2_500);

#[test]
fn what_never_ends_is_stopped_at_its_deadline() -> Result {
    let stage = stage()?;
    let deadline = Duration::from_millis(20);
    // A loop, and host calls without end. The machine may be busy, so the best of some tries counts.
    for body in ["s", "h"] {
        let mut late_min = Duration::MAX;
        for _ in 0..50 {
            let started = Instant::now();
            let report = call_within(&stage, body, 20);
            let took = started.elapsed();
            assert_eq!(report.outcome, Err(CallFault::Deadline), "{body}");
            assert!(deadline <= took, "{body}: {took:?}");
            late_min = late_min.min(took - deadline);
            if late_min <= STOPPED_WITHIN {
                break;
            }
        }
        assert!(late_min <= STOPPED_WITHIN, "{body}: {late_min:?}");
        assert_next_call_works(&stage);
    }
    Ok(())
}

#[test]
fn a_profile_gets_its_back_end_or_a_refusal() -> Result {
    let stage = stage()?;
    let backend = call(&stage, "Echo").usage.backend;
    for wanted in
        [Backend::WasmCranelift, Backend::WasmPulley, Backend::InferCpu, Backend::InferGpu]
    {
        let profile = CallProfile { backend: Some(wanted), ..CallProfile::from(LIMITS) };
        let report = stage.0.call(&stage.1, request("Echo"), profile, &mut TestHost::default());
        let expected = match wanted == backend {
            true => Ok(b"Echo".to_vec()),
            false => Err(CallFault::NoBackend(wanted)),
        };
        assert_eq!(report.outcome, expected);
    }
    Ok(())
}

#[test]
fn processor_time_is_that_of_the_thread() -> Result {
    let stage = stage()?;
    let cpu_time = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime));
    let before = cpu_time()?;
    let report = call_within(&stage, "s", 100);
    let used = (cpu_time()? - before).as_secs_f64();
    let counted = Duration::from_nanos(report.usage.cpu_ns).as_secs_f64();
    assert!(0.98 * used <= counted && counted <= used, "{counted} of {used}");
    Ok(())
}

#[test]
fn the_deadline_of_the_request_counts_too() -> Result {
    let (runtime, function) = stage()?;
    let mut request = request("s");
    request.header.deadline = Duration::from_millis(20);
    let report = runtime.call(&function, request, LIMITS, &mut TestHost::default());
    assert_eq!(report.outcome, Err(CallFault::Deadline));
    assert!(report.usage.run_ns < 1_000_000_000, "{:?}", report.usage);
    Ok(())
}

#[test]
fn a_start_function_is_stopped_too() -> Result {
    let runtime = Runtime::new(RuntimeConfig::default())?;
    let spins =
        idle_guest(r#"(memory (export "memory") 1) (func $spin (loop $l (br $l))) (start $spin)"#);
    let function = runtime.load(&component(&spins)?)?;
    let report = call_within(&(runtime, function), "", 50);
    assert_eq!(report.outcome, Err(CallFault::Deadline));
    Ok(())
}

#[test]
fn what_a_guest_must_not_do_is_a_trap_with_its_name() -> Result {
    let stage = stage()?;
    for (body, name) in [("u", "unreachable"), ("o", "out of bounds"), ("r", "stack")] {
        match call(&stage, body).outcome {
            Err(CallFault::Trap(text)) => assert!(text.contains(name), "{body}: {text}"),
            other => panic!("{body}: {other:?}"),
        }
        assert_next_call_works(&stage);
    }
    Ok(())
}

#[test]
fn memory_ends_at_the_grant() -> Result {
    let (runtime, function) = stage()?;
    for grant_mib in [1, 32, 256] {
        let limits = CallLimits { linear_memory_mib: grant_mib, ..LIMITS };
        let report = runtime.call(&function, request("g"), limits, &mut TestHost::default());
        assert_eq!(report.outcome, Err(CallFault::MemoryLimit));
        assert_eq!(report.usage.peak_memory_bytes, u64::from(grant_mib) << 20);
    }
    Ok(())
}

#[test]
fn a_memory_that_starts_over_the_grant_is_refused() -> Result {
    let runtime = Runtime::new(RuntimeConfig::default())?;
    let function = runtime.load(&component(&idle_guest(r#"(memory (export "memory") 17)"#))?)?;
    let limits = CallLimits { linear_memory_mib: 1, ..LIMITS };
    let report = runtime.call(&function, request(""), limits, &mut TestHost::default());
    assert_eq!(report.outcome, Err(CallFault::MemoryLimit));
    Ok(())
}

#[test]
fn a_memory_that_no_call_can_have_is_refused_when_loaded() -> Result {
    let runtime = Runtime::new(RuntimeConfig::default())?;
    let huge = component(&idle_guest(r#"(memory (export "memory") 65536)"#))?;
    match runtime.load(&huge) {
        Err(LoadError::Inspect(InspectError::OverLimit(over))) => {
            assert_eq!((over.value, over.limit), (65_536, 4_096));
            Ok(())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_data_segment_out_of_bounds_is_a_trap() -> Result {
    let runtime = Runtime::new(RuntimeConfig::default())?;
    let text = idle_guest(r#"(memory (export "memory") 1) (data (i32.const 65530) "0123456789")"#);
    let function = runtime.load(&component(&text)?)?;
    match call(&(runtime, function), "").outcome {
        Err(CallFault::Trap(text)) => assert!(text.contains("out of bounds"), "{text}"),
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[test]
fn calls_beyond_the_room_get_busy() -> Result {
    let runtime = Runtime::new(RuntimeConfig { memory_mib: 40, ..RuntimeConfig::default() })?;
    let function = runtime.load(&puppet()?)?;
    let limits = CallLimits { deadline: Duration::from_millis(300), ..LIMITS };
    let host = TestHost::default;
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            let spin = || runtime.call(&function, request("s"), limits, &mut host()).outcome;
            // Its own first tries may find the room taken by the calls below.
            std::iter::repeat_with(spin).find(|outcome| *outcome != Err(CallFault::Busy))
        });
        // Two grants of 32 MiB do not fit into 40: while the first call spins, a second finds no room.
        let mut second = Ok(Vec::new());
        while second != Err(CallFault::Busy) && !first.is_finished() {
            second = runtime.call(&function, request(""), LIMITS, &mut host()).outcome;
        }
        assert_eq!(second, Err(CallFault::Busy));
        assert_eq!(first.join().expect("no panic"), Some(Err(CallFault::Deadline)));
    });
    assert_next_call_works(&(runtime, function));
    Ok(())
}

#[test]
fn concurrent_calls_keep_apart() -> Result {
    let stage = stage()?;
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let stage = &stage;
            scope.spawn(move || {
                for _ in 0..200 {
                    let body = vec![b'E' + thread; 1000 + usize::from(thread)];
                    assert_eq!(call(stage, body.clone()).outcome, Ok(body));
                }
                let spin = call_within(stage, "s", 30);
                assert_eq!(spin.outcome, Err(CallFault::Deadline));
            });
        }
    });
    Ok(())
}

#[test]
fn an_instance_finds_nothing_of_an_earlier_one() -> Result {
    let stage = stage()?;
    for pages in [1, 40, 200] {
        for _ in 0..500 {
            let touched = call(&stage, order(b't', pages)).outcome;
            assert_eq!(touched, Ok(u64::from(pages).to_le_bytes().to_vec()));
        }
        assert_eq!(call(&stage, "z").outcome, Ok(vec![0; 8]));
    }
    Ok(())
}

#[test]
fn a_hundred_thousand_calls_leave_nothing_to_another_tenant() -> Result {
    let (runtime, ours) = stage()?;
    let theirs = runtime.load(&puppet()?)?;
    let of = |tenant: &str| -> Result<CallProfile> {
        Ok(CallProfile { tenant: TenantId::new(tenant)?, ..CallProfile::from(LIMITS) })
    };
    let (a, b) = (of("a")?, of("b")?);
    for round in 0..100_000_u32 {
        let touch = request(order(b't', round % 8 + 1));
        runtime.call(&ours, touch, a.clone(), &mut TestHost::default()).outcome?;
        if round % 10 == 0 {
            let seen = runtime.call(&theirs, request("z"), b.clone(), &mut TestHost::default());
            assert_eq!(seen.outcome, Ok(vec![0; 8]), "round {round}");
        }
    }
    Ok(())
}
