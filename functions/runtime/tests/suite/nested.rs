//! Functions that call functions: what they hand over, and what ends them.

use std::time::{Duration, Instant};

use runtime::{
    Budget, CallFault, CallLimits, CallReport, Elsewhere, Function, HandOver, HostFault, Request,
    Returned, Runtime,
};
use types::{FunctionId, StateKey};

use crate::host::{TestHost, request};
use crate::puppet::{LIMITS, Result, order, stage};

/// A host that lets the puppet call itself.
fn host(function: &Function, limits: CallLimits) -> Result<TestHost> {
    let functions = [(FunctionId::new("puppet")?, (function.clone(), limits))].into();
    Ok(TestHost { functions, ..TestHost::default() })
}

fn call_in(
    (runtime, function): &(Runtime, Function),
    request: Request,
) -> Result<(CallReport, TestHost)> {
    let mut host = host(function, LIMITS)?;
    let report = runtime.call(function, request, LIMITS, &mut host);
    Ok((report, host))
}

#[test]
fn a_function_calls_another_and_gets_its_answer() -> Result {
    let (report, host) = call_in(&stage()?, request("3Echo"))?;
    assert_eq!(report.outcome, Ok(b"Echo".to_vec()));
    assert_eq!((report.usage.calls, report.usage.hand_over), (1, Some(HandOver::Process)));
    assert_eq!(host.called.len(), 1);
    let (inner, outer) = (&host.called[0].usage, &report.usage);
    assert!(0 < inner.cpu_ns && inner.cpu_ns <= outer.cpu_ns);
    assert!(inner.run_ns <= outer.run_ns);
    Ok(())
}

#[test]
fn what_is_not_granted_is_not_called() -> Result {
    let (runtime, function) = stage()?;
    let report = runtime.call(&function, request("3Echo"), LIMITS, &mut TestHost::default());
    assert_eq!(report.outcome, Err(CallFault::Guest(HostFault::Denied)));
    Ok(())
}

#[test]
fn a_fault_of_the_callee_is_the_callers_to_see() -> Result {
    let stage = stage()?;
    for (body, fault) in [
        ("3fail", HostFault::Internal("fail".to_owned())),
        ("3k", HostFault::BadInput(String::new())),
    ] {
        let (report, _) = call_in(&stage, request(body))?;
        match (report.outcome, fault) {
            (Err(CallFault::Guest(HostFault::BadInput(_))), HostFault::BadInput(_)) => {}
            (outcome, fault) => assert_eq!(outcome, Err(CallFault::Guest(fault))),
        }
    }
    // A trap within does not take the caller along.
    let (report, host) = call_in(&stage, request("3u"))?;
    assert!(matches!(report.outcome, Err(CallFault::Guest(HostFault::Internal(_)))));
    assert!(matches!(host.called[0].outcome, Err(CallFault::Trap(_))));
    let (report, _) = call_in(&stage, request("3Echo"))?;
    assert_eq!(report.outcome, Ok(b"Echo".to_vec()));
    Ok(())
}

#[test]
fn objects_go_along_from_where_they_lie() -> Result {
    let stage = stage()?;
    // Written first, then read by the callee: its answer is the body, which begins with 4.
    let (report, _) = call_in(&stage, request("4i"))?;
    assert_eq!(report.outcome, Ok(b"4i".to_vec()));
    // Left in the memory of the caller, and read by the callee from there.
    let megabyte = 1024 * 1024;
    let (report, host) = call_in(&stage, request(order(b'8', megabyte)))?;
    assert_eq!(report.outcome, Ok(vec![7; megabyte as usize]));
    assert_eq!(report.usage.hand_over, Some(HandOver::Process));
    // It goes on to the next stage, too.
    assert_eq!(host.outputs[&StateKey::new("copy")?], vec![7; megabyte as usize]);
    Ok(())
}

#[test]
fn a_call_knows_what_is_left() -> Result {
    let stage = stage()?;
    let number = |bytes: &[u8], at: usize| {
        let eight = bytes[8 * at..][..8].try_into().expect("eight bytes");
        u64::from_le_bytes(eight)
    };
    let (report, _) = call_in(&stage, request("?"))?;
    let outer = report.outcome?;
    let (report, _) = call_in(&stage, request("33?"))?;
    let inner = report.outcome?;
    assert_eq!((number(&outer, 0), number(&outer, 2)), (64, 0));
    assert_eq!((number(&inner, 0), number(&inner, 2)), (62, 2));
    assert!(number(&inner, 1) < number(&outer, 1));
    Ok(())
}

#[test]
fn a_function_that_calls_itself_ends() -> Result {
    let (report, host) = call_in(&stage()?, request("!"))?;
    let ended = [HostFault::TooLarge, HostFault::Busy].map(|fault| Err(CallFault::Guest(fault)));
    assert!(ended.contains(&report.outcome), "{:?}", report.outcome);
    assert!(host.called.len() < 8, "{}", host.called.len());
    Ok(())
}

#[test]
fn a_fan_out_bomb_ends_within_its_budget() -> Result {
    let (runtime, function) = stage()?;
    let mut host = host(&function, LIMITS)?;
    let mut bomb = request("6");
    bomb.header.budget.calls = 20;
    let report = runtime.call(&function, bomb, LIMITS, &mut host);
    assert_eq!(report.outcome, Ok(b"6".to_vec()));
    assert_eq!((report.usage.calls, host.called.len()), (20, 20));
    // The budget of the profile bounds that of the request.
    let limits = CallLimits { budget: Budget { calls: 5, ..Budget::USUAL }, ..LIMITS };
    let report = runtime.call(&function, request("6"), limits, &mut host);
    assert_eq!(report.usage.calls, 5);
    Ok(())
}

#[test]
fn hops_end_a_chain_over_nodes() -> Result {
    let stage = stage()?;
    let mut last = request("3Echo");
    last.header.hops = 32;
    let (report, host) = call_in(&stage, last)?;
    assert_eq!(report.outcome, Err(CallFault::Guest(HostFault::TooLarge)));
    assert!(host.called.is_empty());
    Ok(())
}

#[test]
fn processor_time_ends_with_its_budget() -> Result {
    let (runtime, function) = stage()?;
    let budget = Budget { cpu: Duration::from_millis(30), ..Budget::USUAL };
    let limits = CallLimits { budget, ..LIMITS };
    let started = Instant::now();
    let report = runtime.call(&function, request("s"), limits, &mut TestHost::default());
    assert_eq!(report.outcome, Err(CallFault::Budget));
    assert!(Duration::from_millis(30) <= started.elapsed());
    // What a callee uses is used by the caller: it is stopped, too.
    let mut host = host(&function, LIMITS)?;
    let report = runtime.call(&function, request("3s"), limits, &mut host);
    assert_eq!(host.called[0].outcome, Err(CallFault::Budget));
    assert!(report.outcome.is_err());
    Ok(())
}

#[test]
fn a_callee_has_no_longer_than_its_caller() -> Result {
    let (runtime, function) = stage()?;
    let mut host = host(&function, LIMITS)?;
    let limits = CallLimits { deadline: Duration::from_millis(40), ..LIMITS };
    let report = runtime.call(&function, request("3s"), limits, &mut host);
    assert_eq!(host.called[0].outcome, Err(CallFault::Deadline));
    assert!(report.outcome.is_err());
    Ok(())
}

/// A host that has the puppet called elsewhere, with that outcome.
fn far_host(outcome: Result<Returned, HostFault>, used: Budget) -> Result<TestHost> {
    let came = Elsewhere { outcome, used, mode: Some(HandOver::Network) };
    let elsewhere = [(FunctionId::new("puppet")?, came)].into();
    Ok(TestHost { elsewhere, ..TestHost::default() })
}

#[test]
fn a_function_elsewhere_gets_body_and_objects_and_gives_its_own_back() -> Result {
    let (runtime, function) = stage()?;
    let large = vec![9; 3 * 1024 * 1024];
    let back =
        Returned { body: large.clone(), objects: vec![(StateKey::new("made")?, vec![5; 100_000])] };
    let mut host = far_host(Ok(back), Budget { calls: 2, cpu: Duration::from_millis(7) })?;
    // It writes its body as an object, which goes along.
    let report = runtime.call(&function, request("4i"), LIMITS, &mut host);
    assert_eq!(report.outcome, Ok(large));
    let usage = report.usage;
    assert_eq!((usage.calls, usage.hand_over), (3, Some(HandOver::Network)));
    assert_eq!(usage.cpu_elsewhere_ns, 7_000_000);
    let (header, body, objects) = &host.sent[0];
    assert_eq!((header.hops, header.root, header.budget.calls), (1, 7, 63));
    assert!(header.deadline <= Duration::from_secs(10) && header.source.contains('@'));
    assert_eq!(body, b"i");
    assert_eq!(*objects, [(StateKey::new("copy")?, b"4i".to_vec())]);
    // Handed bytes go from where they lie.
    host.outputs.clear();
    let report = runtime.call(&function, request(order(b'8', 100)), LIMITS, &mut host);
    assert!(report.outcome.is_ok(), "{:?}", report.outcome.err());
    assert_eq!(host.sent[1].2, [(StateKey::new("copy")?, vec![7; 100])]);
    Ok(())
}

#[test]
fn a_fault_elsewhere_is_the_same_here_and_costs_as_much() -> Result {
    let (runtime, function) = stage()?;
    let used = Budget { calls: 5, cpu: Duration::from_millis(3) };
    for fault in [
        HostFault::Busy,
        HostFault::Denied,
        HostFault::NotFound,
        HostFault::Deadline,
        HostFault::TooLarge,
        HostFault::Conflict(4),
        HostFault::BadInput("no".to_owned()),
        HostFault::Internal("it trapped".to_owned()),
    ] {
        let mut host = far_host(Err(fault.clone()), used)?;
        let report = runtime.call(&function, request("3Echo"), LIMITS, &mut host);
        assert_eq!(report.outcome, Err(CallFault::Guest(fault)));
        assert_eq!((report.usage.calls, report.usage.cpu_elsewhere_ns), (6, 3_000_000));
    }
    // A fan-out stops as soon as those elsewhere have used the budget up: each call costs six.
    let mut host = far_host(Ok(Returned::default()), used)?;
    let mut bomb = request("6");
    bomb.header.budget.calls = 7;
    assert!(runtime.call(&function, bomb, LIMITS, &mut host).outcome.is_ok());
    assert_eq!(host.sent.len(), 2);
    assert_eq!(host.sent[1].0.budget.calls, 0);
    Ok(())
}
