//! What a function and its node say to each other.

use runtime::{BODY_BYTES_MAX, CallFault, HostFault, Level};
use types::{Backend, StateKey, TaskId};

use crate::host::{SKY_NOW, TestHost, request};
use crate::puppet::{LIMITS, Result, call, order, stage};

#[test]
fn a_body_comes_back_as_it_went() -> Result {
    let stage = stage()?;
    for body in [Vec::new(), b"Echo".to_vec(), vec![b'E'; BODY_BYTES_MAX]] {
        let report = call(&stage, body.clone());
        assert_eq!(report.outcome, Ok(body));
    }
    Ok(())
}

#[test]
fn a_call_is_metered() -> Result {
    let stage = stage()?;
    let first = call(&stage, "Echo").usage;
    assert!(first.cold && 0 < first.instantiate_ns && 0 < first.run_ns && 0 < first.cpu_ns);
    assert_eq!(first.peak_memory_bytes, 2 * 65_536);
    assert_eq!(first.backend, Backend::WasmCranelift);
    let second = call(&stage, vec![b'E'; 1024 * 1024]).usage;
    assert!(!second.cold);
    assert!(1024 * 1024 < second.peak_memory_bytes && second.peak_memory_bytes < 2 * 1024 * 1024);
    Ok(())
}

#[test]
fn state_counts_from_call_to_call() -> Result {
    let (runtime, function) = stage()?;
    let mut host = TestHost::default();
    for version in 1_u64..4 {
        let report = runtime.call(&function, request("c"), LIMITS, &mut host);
        assert_eq!(report.outcome, Ok(version.to_le_bytes().to_vec()));
        assert_eq!(report.usage.state_ops, 2);
    }
    let counter = StateKey::new("counter")?;
    assert_eq!(host.state.get(&counter), Some(&(3_u64.to_le_bytes().to_vec(), 3)));
    let report = runtime.call(&function, request("x"), LIMITS, &mut host);
    assert_eq!(report.outcome, Ok(b"x".to_vec()));
    assert!(host.state.is_empty());
    Ok(())
}

#[test]
fn a_stale_version_conflicts_and_changes_nothing() -> Result {
    let (runtime, function) = stage()?;
    let mut host = TestHost::default();
    host.state.insert(StateKey::new("counter")?, (vec![1; 8], 5));
    let report = runtime.call(&function, request("v"), LIMITS, &mut host);
    assert_eq!(report.outcome, Err(CallFault::Guest(HostFault::Conflict(5))));
    assert_eq!(host.state.values().next(), Some(&(vec![1; 8], 5)));
    Ok(())
}

#[test]
fn a_bad_key_never_reaches_the_host() -> Result {
    let (runtime, function) = stage()?;
    let mut host = TestHost::default();
    let report = runtime.call(&function, request("k"), LIMITS, &mut host);
    match report.outcome {
        Err(CallFault::Guest(HostFault::BadInput(text))) => {
            assert!(text.contains("\"../x\""), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert!(host.state.is_empty());
    Ok(())
}

#[test]
fn objects_are_read_and_written() -> Result {
    let (runtime, function) = stage()?;
    let bytes = vec![7; 100_000];
    let input = (TaskId::new("ingest")?, StateKey::new("frames/0")?, bytes.clone());
    let mut host = TestHost { inputs: vec![input], ..TestHost::default() };
    let report = runtime.call(&function, request("i"), LIMITS, &mut host);
    assert_eq!(report.outcome, Ok(bytes));
    runtime.call(&function, request("w-out"), LIMITS, &mut host).outcome?;
    assert_eq!(host.outputs.get(&StateKey::new("copy")?), Some(&b"w-out".to_vec()));
    Ok(())
}

#[test]
fn a_function_knows_its_node_and_the_sky() -> Result {
    let stage = stage()?;
    assert_eq!(call(&stage, "d").outcome, Ok(b"sat-1".to_vec()));
    assert_eq!(call(&stage, "n").outcome, Ok(SKY_NOW.unix_ns().to_le_bytes().to_vec()));
    let contact = call(&stage, "y").outcome?;
    assert_eq!(contact[0], 1);
    assert_eq!(contact[24..32], 300.0_f64.to_le_bytes());
    assert_eq!(contact[32..40], 12.5_f64.to_le_bytes());
    let latency = call(&stage, "9").outcome?;
    assert_eq!((latency[0], &latency[8..16]), (1, &12.5_f64.to_le_bytes()[..]));
    Ok(())
}

#[test]
fn the_log_is_escaped_and_bounded() -> Result {
    let (runtime, function) = stage()?;
    let mut host = TestHost::default();
    let line = [&order(b'l', 1)[..], b"\x1b[31m"].concat();
    let report = runtime.call(&function, request(line), LIMITS, &mut host);
    assert!(report.outcome.is_ok() && !report.usage.log_cut);
    assert_eq!(host.log, [(Level::Info, "l\\u{1}\\u{0}\\u{0}\\u{0}\\u{1b}[31m".to_owned())]);

    host.log.clear();
    let storm = [&order(b'l', 1_000_000)[..], &[b'x'; 1000]].concat();
    let report = runtime.call(&function, request(storm), LIMITS, &mut host);
    assert!(report.usage.log_cut);
    let logged: usize = host.log.iter().map(|(_, line)| line.len()).sum();
    assert!(60_000 < logged && logged <= 65_536, "{logged}");
    Ok(())
}

#[test]
fn a_fault_of_the_function_is_told_from_a_fault_of_ours() -> Result {
    let stage = stage()?;
    let expected = HostFault::Internal("f: no frames".to_owned());
    assert_eq!(call(&stage, "f: no frames").outcome, Err(CallFault::Guest(expected)));
    match call(&stage, vec![b'f'; 10_000]).outcome {
        Err(CallFault::Guest(HostFault::Internal(text))) => assert_eq!(text.len(), 512),
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[test]
fn bodies_over_8_mib_are_refused_in_both_directions() -> Result {
    let stage = stage()?;
    let too_large = |what| Err(CallFault::TooLarge(what));
    let report = call(&stage, vec![b'E'; BODY_BYTES_MAX + 1]);
    assert_eq!(report.outcome, too_large("the body of the call"));
    let body_bytes_max = u32::try_from(BODY_BYTES_MAX)?;
    assert_eq!(call(&stage, order(b'a', body_bytes_max)).outcome, Ok(vec![0; BODY_BYTES_MAX]));
    for bytes in [body_bytes_max + 1, 2 * body_bytes_max + 1, 3 * body_bytes_max] {
        let report = call(&stage, order(b'a', bytes));
        assert_eq!(report.outcome, too_large("the answer of the function"), "{bytes}");
    }
    Ok(())
}

#[test]
fn a_value_is_read_in_parts() -> Result {
    let (runtime, function) = stage()?;
    let mut host = TestHost::default();
    host.state.insert(StateKey::new("counter")?, (b"12345678".to_vec(), 1));
    for (from, part) in [(0, "123"), (4, "567"), (6, "78"), (8, ""), (9, "")] {
        let report = runtime.call(&function, request(order(b'0', from)), LIMITS, &mut host);
        assert_eq!(report.outcome, Ok(part.as_bytes().to_vec()), "from {from}");
    }
    Ok(())
}

#[test]
fn a_batch_is_written_whole_or_not_at_all() -> Result {
    let (runtime, function) = stage()?;
    let mut host = TestHost::default();
    let report = runtime.call(&function, request(order(b'2', 9)), LIMITS, &mut host);
    assert_eq!(report.outcome, Err(CallFault::Guest(HostFault::Conflict(0))));
    assert!(host.state.is_empty());
    let report = runtime.call(&function, request(order(b'2', 0)), LIMITS, &mut host);
    let versions = [1_u64.to_le_bytes(), 1_u64.to_le_bytes()].concat();
    assert_eq!(report.outcome, Ok(versions));
    assert_eq!((host.state.len(), report.usage.state_ops), (2, 2));
    Ok(())
}

#[test]
fn an_object_is_written_over_and_extended_but_has_no_holes() -> Result {
    let (runtime, function) = stage()?;
    let mut host = TestHost::default();
    let body = order(b'1', 1);
    let report = runtime.call(&function, request(body.clone()), LIMITS, &mut host);
    assert_eq!(report.outcome, Ok(body.clone()));
    assert_eq!(host.outputs[&StateKey::new("copy")?], [&body[..1], &body[..]].concat());
    let report = runtime.call(&function, request(order(b'1', 900)), LIMITS, &mut host);
    assert!(matches!(report.outcome, Err(CallFault::Guest(HostFault::BadInput(_)))));
    Ok(())
}

#[test]
fn an_input_goes_on_without_being_read() -> Result {
    let (runtime, function) = stage()?;
    let input = (TaskId::new("ingest")?, StateKey::new("frames/0")?, vec![7; 100_000]);
    let mut host = TestHost { inputs: vec![input], ..TestHost::default() };
    let report = runtime.call(&function, request("7"), LIMITS, &mut host);
    assert_eq!(report.outcome, Ok(b"7".to_vec()));
    assert_eq!(host.outputs[&StateKey::new("copy")?], vec![7; 100_000]);
    Ok(())
}

#[test]
fn messages_are_bounded() -> Result {
    let (runtime, function) = stage()?;
    let mut host = TestHost::default();
    let report = runtime.call(&function, request("5vent"), LIMITS, &mut host);
    assert_eq!(report.outcome, Ok(b"5vent".to_vec()));
    assert_eq!(host.emitted, [("copy".to_owned(), b"5vent".to_vec())]);
    let report = runtime.call(&function, request(vec![b'5'; 256 * 1024 + 1]), LIMITS, &mut host);
    assert_eq!(report.outcome, Err(CallFault::Guest(HostFault::TooLarge)));
    assert_eq!(host.emitted.len(), 1);
    Ok(())
}
