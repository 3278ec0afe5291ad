//! Instances that are kept between the calls of a task: what stays, what ends them, and what a new one takes up.

use std::time::{Duration, Instant};

use runtime::{
    CallFault, CallLimits, CallProfile, CallReport, Function, HOOK_TIME_MAX, HandOver, HostFault,
    Isolation, LoadError, MEMORY_BYTES_MAX, RunnerProgram, Runtime, RuntimeConfig, Warm,
};
use types::{FunctionId, TenantId};

use crate::host::{TestHost, request};
use crate::puppet::{
    LIMITS, Result, component_in, component_of, isolation, puppet, rememberer, runner_program,
};

/// A task of a tenant on a stage.
struct Task<'a> {
    stage: &'a (Runtime, Function),
    tenant: TenantId,
    name: &'static str,
}

fn stage() -> Result<(Runtime, Function)> {
    let config = RuntimeConfig { isolation: isolation(), ..RuntimeConfig::default() };
    let runtime = Runtime::new(config)?;
    let function = runtime.load(&rememberer()?)?;
    Ok((runtime, function))
}

impl<'a> Task<'a> {
    fn of(stage: &'a (Runtime, Function), tenant: &str, name: &'static str) -> Self {
        Self { stage, tenant: TenantId::new(tenant).expect("a name"), name }
    }

    fn call_in(&self, body: &str, limits: CallLimits, host: &mut TestHost) -> CallReport {
        let warm = Some(Warm { task: self.name.to_owned() });
        let profile =
            CallProfile { tenant: self.tenant.clone(), warm, ..CallProfile::from(limits) };
        self.stage.0.call(&self.stage.1, request(body), profile, host)
    }

    fn call(&self, body: &str) -> CallReport {
        self.call_in(body, LIMITS, &mut TestHost::default())
    }

    fn count(&self) -> u64 {
        count(&self.call("c"))
    }

    fn suspend(&self) -> Option<CallReport> {
        self.stage.0.suspend(&self.tenant, self.name, &mut TestHost::default())
    }
}

fn count(report: &CallReport) -> u64 {
    match &report.outcome {
        Ok(body) => u64::from_le_bytes(body.as_slice().try_into().expect("eight bytes")),
        Err(fault) => panic!("{fault}"),
    }
}

#[test]
fn an_instance_remembers_until_it_is_suspended_and_the_next_one_takes_it_up() -> Result {
    let stage = stage()?;
    let task = Task::of(&stage, "a", "flood.ingest");
    for nth in 1..=3 {
        let report = task.call("c");
        assert_eq!(count(&report), nth);
        let instance = report.usage.instance.ok_or("it may be kept")?;
        assert_eq!((u64::from(instance.calls), instance.rests), (nth, true));
        // Only the first one is made.
        assert_eq!(nth == 1, 0 < report.usage.instantiate_ns, "{:?}", report.usage);
    }
    let mut host = TestHost::default();
    let report = stage.0.suspend(&task.tenant, task.name, &mut host).ok_or("one waits")?;
    let memory = report.outcome?;
    assert_eq!(memory, 3_u64.to_le_bytes());
    assert!(0 < report.usage.cpu_ns && 0 < report.usage.run_ns);
    assert_eq!(host.log.len(), 1, "what it logs is heard: {:?}", host.log);
    assert!(task.suspend().is_none(), "it has ended");
    // The next one is new, and takes up what it is given.
    let mut host = TestHost { memory: Some(memory), ..TestHost::default() };
    let report = task.call_in("c", LIMITS, &mut host);
    assert_eq!(count(&report), 4);
    assert_eq!(report.usage.instance.ok_or("it may be kept")?.calls, 1);
    assert_eq!(host.memory, None);
    // It is asked once.
    host.memory = Some(Vec::new());
    assert_eq!(count(&task.call_in("c", LIMITS, &mut host)), 5);
    assert_eq!(host.memory, Some(Vec::new()));
    Ok(())
}

/// Nothing in a store goes before the store does: one that is kept would fill up with what each of its calls has called.
#[test]
fn what_is_kept_calls_others_in_stores_of_their_own() -> Result {
    let hooks = r#"
        (func (export "starbelt:function/lifecycle@0.2.0#suspend") (result i32)
          (i64.store (i32.const 48) (i64.const 0)) (i32.const 48))
        (func (export "starbelt:function/lifecycle@0.2.0#resume") (param i32 i32)))"#;
    let text = include_str!("wat/puppet.wat").trim_end();
    let text = [text.strip_suffix(')').ok_or("the end of the module")?, hooks].concat();
    let (runtime, _) = stage()?;
    let function = runtime.load(&component_of("stateful-function", &text)?)?;
    let functions = [(FunctionId::new("puppet")?, (function.clone(), LIMITS))].into();
    let mut host = TestHost { functions, fuses: true, ..TestHost::default() };
    let warm = Some(Warm { task: "flood.ingest".to_owned() });
    let profile = CallProfile { warm, ..CallProfile::from(LIMITS) };
    for nth in 1..=5 {
        let report = runtime.call(&function, request("3Echo"), profile.clone(), &mut host);
        assert_eq!(report.outcome, Ok(b"Echo".to_vec()));
        assert_eq!(report.usage.hand_over, Some(HandOver::Process));
        let instance = report.usage.instance.ok_or("it may be kept")?;
        assert_eq!((instance.calls, instance.rests), (nth, true));
    }
    // Where it is not kept it fuses.
    let report = runtime.call(&function, request("3Echo"), LIMITS, &mut host);
    assert_eq!(report.usage.hand_over, Some(HandOver::Fused));
    Ok(())
}

#[test]
fn no_other_task_tenant_or_function_gets_it() -> Result {
    let stage = stage()?;
    let task = Task::of(&stage, "a", "flood.ingest");
    assert_eq!((task.count(), task.count()), (1, 2));
    assert_eq!(Task::of(&stage, "b", "flood.ingest").count(), 1);
    assert_eq!(Task::of(&stage, "a", "flood.detect").count(), 1);
    assert_eq!(task.count(), 3);
    // Without being asked for nothing is kept.
    for _ in 0..2 {
        let report = stage.0.call(&stage.1, request("c"), LIMITS, &mut TestHost::default());
        assert_eq!((count(&report), report.usage.instance), (1, None));
    }
    // Another version of the same task: the old instance is not it.
    let text = include_str!("wat/rememberer.wat").replace("suspended", "ended....");
    let other = stage.0.load(&component_of("stateful-function", &text)?)?;
    let profile = CallProfile {
        tenant: task.tenant.clone(),
        warm: Some(Warm { task: task.name.to_owned() }),
        ..CallProfile::from(LIMITS)
    };
    let report = stage.0.call(&other, request("c"), profile, &mut TestHost::default());
    assert_eq!(count(&report), 1);
    Ok(())
}

#[test]
fn a_function_without_hooks_always_starts_anew() -> Result {
    let stage = stage()?;
    let plain = stage.0.load(&puppet()?)?;
    let profile = CallProfile {
        warm: Some(Warm { task: "flood.ingest".to_owned() }),
        ..CallProfile::from(LIMITS)
    };
    let report = stage.0.call(&plain, request("Echo"), profile, &mut TestHost::default());
    assert_eq!((report.outcome, report.usage.instance), (Ok(b"Echo".to_vec()), None));
    Ok(())
}

#[test]
fn what_stops_a_call_ends_its_instance() -> Result {
    let stage = stage()?;
    let task = Task::of(&stage, "a", "flood.ingest");
    let short = CallLimits { deadline: Duration::from_millis(50), ..LIMITS };
    let tight = CallLimits { linear_memory_mib: 4, ..LIMITS };
    type IsIt = fn(&CallFault) -> bool;
    let ends: [(&str, CallLimits, IsIt); 3] = [
        ("t", LIMITS, |fault| matches!(fault, CallFault::Trap(_))),
        ("s", short, |fault| *fault == CallFault::Deadline),
        ("m", tight, |fault| *fault == CallFault::MemoryLimit),
    ];
    for (body, limits, is_it) in ends {
        assert_eq!((task.count(), task.count()), (1, 2));
        let report = task.call_in(body, limits, &mut TestHost::default());
        assert!(report.outcome.as_ref().is_err_and(is_it), "{body}: {:?}", report.outcome);
        let instance = report.usage.instance.ok_or("it may be kept")?;
        assert_eq!((instance.calls, instance.rests), (3, false), "{body}");
        assert!(task.suspend().is_none(), "{body}");
    }
    // A fault is an answer: it goes on.
    assert_eq!(task.count(), 1);
    assert_eq!(task.call("f").outcome, Err(CallFault::Guest(HostFault::NotFound)));
    assert_eq!(task.count(), 3);
    // Nobody wants to know what it remembers.
    stage.0.forget(&task.tenant, task.name);
    assert_eq!(task.count(), 1);
    Ok(())
}

#[test]
fn memory_that_it_holds_counts_in_each_call() -> Result {
    let stage = stage()?;
    let task = Task::of(&stage, "a", "flood.ingest");
    let mib = 1024 * 1024;
    assert_eq!(task.call("c").usage.peak_memory_bytes, 4 * mib);
    let grown = task.call("m").usage;
    assert_eq!(grown.peak_memory_bytes, 5 * mib);
    assert_eq!(grown.instance.ok_or("it may be kept")?.held_bytes, 5 * mib);
    let after = task.call("c").usage;
    assert_eq!(after.peak_memory_bytes, 5 * mib, "it still holds that");
    // Under the grant of each call it ends, however often it is called.
    let limits = CallLimits { linear_memory_mib: 6, ..LIMITS };
    let call = || task.call_in("m", limits, &mut TestHost::default()).outcome;
    assert!(call().is_ok());
    assert_eq!(call(), Err(CallFault::MemoryLimit));
    Ok(())
}

#[test]
fn what_waits_takes_part_of_the_memory_of_all() -> Result {
    let isolation = match isolation() {
        Isolation::None => Isolation::None,
        _ => Isolation::Process(RunnerProgram { memory_mib: 40, ..runner_program() }),
    };
    let config = RuntimeConfig { isolation, memory_mib: 40, ..RuntimeConfig::default() };
    let runtime = Runtime::new(config)?;
    let function = runtime.load(&rememberer()?)?;
    let stage = (runtime, function);
    let (a, b) = (Task::of(&stage, "a", "w.a"), Task::of(&stage, "a", "w.b"));
    let plain = |mib| {
        let limits = CallLimits { linear_memory_mib: mib, ..LIMITS };
        stage.0.call(&stage.1, request("c"), limits, &mut TestHost::default()).outcome
    };
    // Each holds 4 MiB while it waits.
    assert_eq!((a.count(), b.count()), (1, 1));
    assert_eq!(plain(33), Err(CallFault::Busy));
    assert!(plain(32).is_ok());
    // Its own is part of what a call is granted.
    let limits = CallLimits { linear_memory_mib: 36, ..LIMITS };
    assert_eq!(count(&a.call_in("c", limits, &mut TestHost::default())), 2);
    // One that finds no room leaves it as it was.
    let limits = CallLimits { linear_memory_mib: 37, ..LIMITS };
    assert_eq!(a.call_in("c", limits, &mut TestHost::default()).outcome, Err(CallFault::Busy));
    assert_eq!(a.count(), 3);
    assert!(b.suspend().is_some());
    assert!(plain(36).is_ok());
    stage.0.forget(&a.tenant, a.name);
    assert!(plain(40).is_ok());
    Ok(())
}

#[test]
fn hooks_are_bounded() -> Result {
    let stage = stage()?;
    let task = Task::of(&stage, "a", "flood.ingest");
    for (body, said) in [("cx", "unreachable"), ("cl", "at most 1048576")] {
        assert!(task.call(body).outcome.is_ok());
        match task.suspend().ok_or("one waits")?.outcome {
            Err(CallFault::Trap(text)) => assert!(text.contains(said), "{text}"),
            other => panic!("{body}: {:?}", other.map(|memory| memory.len())),
        }
    }
    assert_eq!(MEMORY_BYTES_MAX, 1024 * 1024);
    assert!(task.call("cw").outcome.is_ok());
    let started = Instant::now();
    let report = task.suspend().ok_or("one waits")?;
    assert!(
        matches!(report.outcome, Err(CallFault::Deadline | CallFault::Budget)),
        "{:?}",
        report.outcome
    );
    assert!(started.elapsed() < 4 * HOOK_TIME_MAX, "{:?}", started.elapsed());
    assert_eq!(task.count(), 1);
    Ok(())
}

#[test]
fn memory_that_cannot_be_taken_up_is_left_behind() -> Result {
    let stage = stage()?;
    for (name, memory) in [("w.trap", vec![1; 3]), ("w.spin", vec![1; 9])] {
        let task = Task::of(&stage, "a", name);
        let mut host = TestHost { memory: Some(memory), ..TestHost::default() };
        let started = Instant::now();
        let report = task.call_in("c", LIMITS, &mut host);
        assert_eq!(count(&report), 1, "{name}");
        assert!(started.elapsed() < 4 * HOOK_TIME_MAX, "{name}");
        let (_, line) = host.log.first().ok_or("it says so")?;
        assert!(line.contains("it starts without"), "{line}");
        assert_eq!(task.count(), 2, "{name}");
    }
    Ok(())
}

#[test]
fn one_task_has_one_instance() -> Result {
    let stage = stage()?;
    let task = Task::of(&stage, "a", "flood.ingest");
    assert_eq!(task.count(), 1);
    let limits = CallLimits { deadline: Duration::from_millis(1_500), ..LIMITS };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            loop {
                let report = task.call_in("s", limits, &mut TestHost::default());
                if report.outcome != Err(CallFault::Busy) {
                    return report.outcome;
                }
            }
        });
        let until = Instant::now() + Duration::from_secs(1);
        // Once the first call has the instance, a second one is told to come again.
        let mut seen = task.call("c").outcome;
        while seen != Err(CallFault::Busy) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
            seen = task.call("c").outcome;
        }
        assert_eq!(seen, Err(CallFault::Busy));
        assert!(task.suspend().is_none(), "nobody else ends it");
        assert_eq!(first.join().expect("no panic"), Err(CallFault::Deadline));
    });
    assert_eq!(task.count(), 1);
    Ok(())
}

#[test]
fn at_most_so_many_wait() -> Result {
    let stage = stage()?;
    let names: Vec<String> = (0..20).map(|nth| format!("w.t{nth}")).collect();
    let mut resting = 0;
    for name in &names {
        let task = Task::of(&stage, "a", name.clone().leak());
        let instance = task.call("c").usage.instance.ok_or("it may be kept")?;
        resting += u32::from(instance.rests);
    }
    assert_eq!(resting, stage.0.resting_max());
    assert!((2..=16).contains(&resting), "{resting}");
    Ok(())
}

#[test]
fn hooks_of_another_type_are_refused() -> Result {
    let stage = stage()?;
    let wit = include_str!("../../../wit/world.wit")
        .replace("suspend: func() -> list<u8>;", "suspend: func() -> list<u32>;");
    let component = component_in(&wit, "stateful-function", include_str!("wat/rememberer.wat"))?;
    match stage.0.load(&component) {
        Err(LoadError::Contract { source }) => {
            assert!(source.to_string().contains("no suspend of the contract's type"), "{source}");
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}
