//! Functions that are called in the store of their caller: the same answers as in one of their own, and what both share.

use std::time::{Duration, Instant};

use runtime::{
    Budget, CallFault, CallLimits, CallReport, Function, HandOver, HostFault, Request, Runtime,
};
use types::FunctionId;

use crate::host::{TestHost, request};
use crate::puppet::{LIMITS, Result, order, stage};

/// A host that lets the puppet call itself, in one store or in a store for each.
fn host(function: &Function, limits: CallLimits, fuses: bool) -> Result<TestHost> {
    let functions = [(FunctionId::new("puppet")?, (function.clone(), limits))].into();
    Ok(TestHost { functions, fuses, ..TestHost::default() })
}

fn call_in(
    (runtime, function): &(Runtime, Function),
    request: Request,
    fuses: bool,
) -> Result<(CallReport, TestHost)> {
    let mut host = host(function, LIMITS, fuses)?;
    let report = runtime.call(function, request, LIMITS, &mut host);
    Ok((report, host))
}

#[test]
fn answers_are_the_same_and_records_say_how_the_data_went() -> Result {
    let stage = stage()?;
    let handed = order(b'8', 1024 * 1024);
    let written = [&b"4"[..], b"i"].concat();
    for body in [b"3Echo".to_vec(), b"3c".to_vec(), b"3d".to_vec(), b"3n".to_vec(), written, handed]
    {
        let (apart, host_apart) = call_in(&stage, request(body.clone()), false)?;
        let (fused, host_fused) = call_in(&stage, request(body), true)?;
        assert_eq!(fused.outcome, apart.outcome);
        assert!(fused.outcome.is_ok());
        assert_eq!(apart.usage.hand_over, Some(HandOver::Process));
        assert_eq!(fused.usage.hand_over, Some(HandOver::Fused));
        assert_eq!((fused.usage.calls, host_fused.called.len()), (1, 1));
        assert_eq!(host_fused.state, host_apart.state);
        assert_eq!(host_fused.outputs, host_apart.outputs);
        let (inner, outer) = (&host_fused.called[0].usage, &fused.usage);
        assert!(0 < inner.cpu_ns && inner.cpu_ns <= outer.cpu_ns);
    }
    // Faults, too; those of the contract are the callee's own.
    for (body, fault) in
        [("3fail", HostFault::Internal("fail".to_owned())), ("3v", HostFault::Conflict(0))]
    {
        let (report, _) = call_in(&stage, request(body), true)?;
        assert_eq!(report.outcome, Err(CallFault::Guest(fault)), "{body}");
    }
    // What the callee logged counts as its own line, and the caller goes on in its own name.
    let (report, host) = call_in(&stage, request([&b"3"[..], &order(b'l', 1)].concat()), true)?;
    assert!(report.outcome.is_ok());
    assert_eq!(host.log.len(), 1);
    Ok(())
}

#[test]
fn a_trap_of_the_callee_is_a_fault_and_its_caller_goes_on() -> Result {
    let stage = stage()?;
    let (report, host) = call_in(&stage, request("3u"), true)?;
    assert!(matches!(report.outcome, Err(CallFault::Guest(HostFault::Internal(_)))));
    assert!(matches!(host.called[0].outcome, Err(CallFault::Trap(_))));
    // The caller that does not mind answers, and its further calls have stores of their own.
    let (report, host) = call_in(&stage, request("%u"), true)?;
    assert_eq!(report.outcome, Ok(b"%u".to_vec()));
    assert!(matches!(host.called[0].outcome, Err(CallFault::Trap(_))));
    // Twice the same body, whatever comes of it: the first call traps, the second one is in a store of its own.
    let mut host = TestHost { fuses: true, ..host_of(&stage)? };
    let bomb = stage.0.call(&stage.1, request("6"), LIMITS, &mut host);
    assert_eq!(bomb.outcome, Ok(b"6".to_vec()));
    // The next call of the process is as before.
    let (report, _) = call_in(&stage, request("3Echo"), true)?;
    assert_eq!(report.outcome, Ok(b"Echo".to_vec()));
    Ok(())
}

fn host_of(stage: &(Runtime, Function)) -> Result<TestHost> {
    host(&stage.1, LIMITS, true)
}

#[test]
fn memory_is_that_of_both() -> Result {
    let stage = stage()?;
    // The callee grows until it is refused: it gets what the caller has left, not as much again.
    let (apart, host_apart) = call_in(&stage, request("3g"), false)?;
    let (fused, host_fused) = call_in(&stage, request("3g"), true)?;
    assert_eq!(host_apart.called[0].outcome, Err(CallFault::MemoryLimit));
    assert_eq!(host_fused.called[0].outcome, Err(CallFault::MemoryLimit));
    assert_eq!((apart.outcome, fused.outcome.clone()), (fused.outcome, too_large()));
    let granted = u64::from(LIMITS.linear_memory_mib) << 20;
    assert!(fused.usage.peak_memory_bytes <= granted);
    let alone = host_apart.called[0].usage.peak_memory_bytes;
    assert!(
        apart.usage.peak_memory_bytes + alone > granted,
        "two grants where there are two stores"
    );
    Ok(())
}

fn too_large() -> Result<Vec<u8>, CallFault> {
    Err(CallFault::Guest(HostFault::TooLarge))
}

#[test]
fn chains_within_a_store_end_as_others_do() -> Result {
    let (runtime, function) = stage()?;
    let mut host = host(&function, LIMITS, true)?;
    let endless = runtime.call(&function, request("!"), LIMITS, &mut host);
    let ended = [HostFault::TooLarge, HostFault::Busy].map(|fault| Err(CallFault::Guest(fault)));
    assert!(ended.contains(&endless.outcome), "{:?}", endless.outcome);
    host.called.clear();
    let mut bomb = request("6");
    bomb.header.budget.calls = 20;
    let report = runtime.call(&function, bomb, LIMITS, &mut host);
    assert_eq!(report.outcome, Ok(b"6".to_vec()));
    assert_eq!((report.usage.calls, host.called.len()), (20, 20));
    // Processor time and deadline of the chain stop the callee, and with it the caller.
    let budget = Budget { cpu: Duration::from_millis(30), ..Budget::USUAL };
    for limits in [
        CallLimits { budget, ..LIMITS },
        CallLimits { deadline: Duration::from_millis(40), ..LIMITS },
    ] {
        let started = Instant::now();
        let report = runtime.call(&function, request("3s"), limits, &mut host);
        let stopped = [Err(CallFault::Budget), Err(CallFault::Deadline)];
        assert!(stopped.contains(&host.called.last().expect("it was called").outcome));
        assert!(report.outcome.is_err() && started.elapsed() < Duration::from_secs(5));
    }
    Ok(())
}
