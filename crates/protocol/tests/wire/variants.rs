//! The numbers of variants, held by golden bytes: a line for each variant, in order. Lines may be appended.

use protocol::belt::{ChunkReply, Fetched, OfferReply, Purpose, Refusal};
use protocol::codec::{Message, decode, encode};
use protocol::command::{Act, BoardOrder, CommandReply, CommandVerdict, Verb};
use protocol::desired::{Phase, Role, Verdict};
use protocol::event::{Event, EventKind, TimedOutcome};
use protocol::invoke::{Fault, InvocationRecord, Invoked, Outcome, SingleCopy};
use protocol::module::ModuleChunk;
use protocol::report::{CodeMode, Group, NoReading, Reading, Report, ReportBody, Source};
use protocol::sim::{FaultAction, SimFault, SimFaultReply};
use types::{
    Arch, Backend, EnergySource, Epoch, ExecutionMode, FunctionId, Generation, LeaderEpoch, NodeId,
    NodeKind, OwnerEpoch,
};

use crate::sample;

#[track_caller]
pub(crate) fn check<M: Message + PartialEq + std::fmt::Debug>(
    name: &str,
    messages: impl IntoIterator<Item = M>,
    golden: &str,
) {
    let messages: Vec<M> = messages.into_iter().collect();
    let hex = |message: &M| -> String {
        let bytes = encode(message).expect("a valid message");
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let lines: Vec<String> = messages.iter().map(hex).collect();
    assert_eq!(
        lines.join("\n"),
        golden.trim_end(),
        "\nvariants changed; golden {name}.hex should be\n{}\n",
        lines.join("\n")
    );
    for (message, line) in messages.iter().zip(&lines) {
        let bytes: Vec<u8> = (0..line.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&line[at..at + 2], 16).expect("hexadecimal"))
            .collect();
        assert_eq!(&decode::<M>(&bytes).expect("golden bytes decode"), message);
    }
}

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../golden/", $name, ".hex"))
    };
}

fn node() -> NodeId {
    NodeId::new("n").expect("a valid sample")
}

fn text() -> String {
    "x".to_owned()
}

fn refusals() -> [Refusal; 5] {
    [
        Refusal::Fenced { owner_epoch: OwnerEpoch(3) },
        Refusal::NoSpace,
        Refusal::Denied(text()),
        Refusal::Corrupt,
        Refusal::NoOffer,
    ]
}

#[test]
fn answers_of_the_belt() {
    let offers = [OfferReply::Wanted(vec![1]), OfferReply::Durable];
    let offers = offers.into_iter().chain(refusals().map(OfferReply::Refused));
    check("offer_reply_variants", offers, golden!("offer_reply_variants"));
    let chunks = [ChunkReply::Taken, ChunkReply::Durable];
    let chunks = chunks.into_iter().chain(refusals().map(ChunkReply::Refused));
    check("chunk_reply_variants", chunks, golden!("chunk_reply_variants"));
    let fetched = [sample::fetched(), Fetched::NotFound, Fetched::Denied];
    check("fetched_variants", fetched, golden!("fetched_variants"));
}

#[test]
fn purposes_of_a_bundle() {
    let (workflow, task) = (sample::invoke().workflow, sample::invoke().task);
    let owner_epoch = OwnerEpoch(3);
    let purposes = [
        Purpose::Input,
        Purpose::Replica { workflow: workflow.clone(), task: task.clone(), owner_epoch },
        Purpose::Grant { workflow, task, owner_epoch },
    ];
    let offers = purposes.map(|purpose| protocol::belt::Offer { purpose, ..sample::offer() });
    check("offer_variants", offers, golden!("offer_variants"));
}

#[test]
fn faults_of_a_call() {
    let faults = [
        Fault::BadInput(text()),
        Fault::NotFound(text()),
        Fault::Denied(text()),
        Fault::Busy,
        Fault::TooLarge(text()),
        Fault::Deadline,
        Fault::Conflict(9),
        Fault::Moved { to: node(), owner_epoch: OwnerEpoch(3) },
        Fault::InputMissing(text()),
        Fault::Internal(text()),
        Fault::Unsupported,
    ];
    let answers = faults.map(|fault| Invoked {
        outcome: Outcome::Failed(fault),
        record: InvocationRecord::default(),
    });
    check("invoked_fault_variants", answers, golden!("invoked_fault_variants"));
}

#[test]
fn copies_and_backends() {
    let single = [None, Some(SingleCopy::NonePlanned), Some(SingleCopy::Refused)];
    let backends = [
        None,
        Some(Backend::WasmCranelift),
        Some(Backend::WasmPulley),
        Some(Backend::InferCpu),
        Some(Backend::InferGpu),
    ];
    let by_copy = single.map(|single_copy| {
        let mut answer = sample::invoked_committed();
        if let Outcome::Committed(done) = &mut answer.outcome {
            done.single_copy = single_copy;
        }
        answer
    });
    let by_backend = backends.map(|backend| Invoked {
        outcome: Outcome::Failed(Fault::Busy),
        record: InvocationRecord { backend, ..InvocationRecord::default() },
    });
    let answers = by_copy.into_iter().chain(by_backend);
    check("invoked_variants", answers, golden!("invoked_variants"));
}

#[test]
fn roles_verdicts_and_phases() {
    let base = sample::desired();
    let epoch = OwnerEpoch(3);
    let roles = [
        Role::Owner { owner_epoch: epoch, successor: None },
        Role::Standby { owner: node(), expected_at: Epoch::from_unix_ns(-1) },
    ];
    let desired = roles.map(|role| {
        let mut desired = base.clone();
        desired.tasks.truncate(1);
        desired.tasks[0].role = role;
        desired.drives.clear();
        desired
    });
    check("desired_variants", desired, golden!("desired_variants"));
    let verdicts = [
        Verdict::Reported,
        Verdict::Accepted,
        Verdict::Adopted,
        Verdict::Stale { epoch: LeaderEpoch(3), generation: Generation(4) },
        Verdict::Denied { reason: text() },
    ];
    let phases = [
        Phase::Preparing,
        Phase::Ready,
        Phase::Active,
        Phase::Freezing,
        Phase::Released,
        Phase::Failed,
    ];
    let by_verdict = verdicts
        .map(|verdict| protocol::desired::DesiredReply { verdict, ..sample::desired_reply() });
    let by_phase = phases.map(|phase| {
        let mut reply = sample::desired_reply();
        reply.tasks[0].phase = phase;
        reply
    });
    let replies = by_verdict.into_iter().chain(by_phase);
    check("desired_reply_variants", replies, golden!("desired_reply_variants"));
}

#[test]
fn kinds_of_nodes() {
    let kinds = [NodeKind::Satellite, NodeKind::GroundStation, NodeKind::Edge, NodeKind::Cloud];
    let archs = [Arch::Arm64, Arch::Armv7, Arch::X86_64, Arch::Riscv64];
    let sources = [
        EnergySource::Unknown,
        EnergySource::Battery,
        EnergySource::Photovoltaic,
        EnergySource::Grid { zone: "AT".to_owned() },
    ];
    let event = |change: &dyn Fn(&mut protocol::event::NodeFacts)| {
        let mut event = sample::event_started();
        if let EventKind::Started(facts) = &mut event.kind {
            change(facts);
        }
        event
    };
    let mut events = Vec::new();
    events.extend(kinds.iter().map(|kind| event(&|facts| facts.kind = *kind)));
    events.extend(archs.iter().map(|arch| event(&|facts| facts.arch = *arch)));
    events.extend(sources.iter().map(|energy| event(&|facts| facts.energy = energy.clone())));
    check("event_started_variants", events, golden!("event_started_variants"));
}

#[test]
fn readings() {
    let sources =
        [Source::Measured, Source::Kernel, Source::Estimated, Source::Virtual, Source::Configured];
    let unknown =
        [NoReading::NoSensor, NoReading::ReadFailed, NoReading::NotSupported, NoReading::NotYet];
    let readings = sources.map(|source| Reading::known(1.5, source));
    let readings = readings.into_iter().chain(unknown.map(Reading::Unknown));
    let reports = readings.map(|reading| {
        let mut report = sample::report_thermal();
        if let ReportBody::Thermal(thermal) = &mut report.body {
            thermal.hottest_c = reading;
        }
        report
    });
    check("report_variants", reports, golden!("report_variants"));
    let bodies: [fn() -> Report; 8] = [
        sample::report_power,
        sample::report_thermal,
        sample::report_compute,
        sample::report_gpu,
        sample::report_link,
        sample::report_position,
        sample::report_function,
        sample::report_queue,
    ];
    let groups = bodies.map(|body| body().body.group());
    let mut sorted = groups;
    sorted.sort();
    assert_eq!(groups, sorted, "groups and bodies are numbered alike");
    assert_eq!(groups.map(Group::as_str)[5], "position");
}

#[test]
fn modes_of_code_and_execution() {
    let modes = [None, Some(CodeMode::Pooled), Some(CodeMode::OnDemand), Some(CodeMode::Pulley)];
    let reports = modes.map(|code| {
        let mut report = sample::report_function();
        if let ReportBody::Function(function) = &mut report.body {
            (function.tasks, function.code) = (Vec::new(), code);
        }
        report
    });
    check("report_function_variants", reports, golden!("report_function_variants"));
    let chosen = [
        None,
        Some(ExecutionMode::Cpu),
        Some(ExecutionMode::CpuPreferred),
        Some(ExecutionMode::GpuPreferred),
        Some(ExecutionMode::Gpu),
    ];
    let manifests = chosen.map(|chosen| {
        let mut manifest = sample::manifest();
        manifest.exec.chosen = chosen;
        (manifest.slo, manifest.capability, manifest.exec.switch.probe) = (None, None, None);
        manifest
    });
    assert_ne!(manifests[0].exec, manifests[1].exec, "what an author chose is no default");
    check("manifest_variants", manifests, golden!("manifest_variants"));
    let slots = crate::manifest::sample::slot_variants();
    check("manifest_slot_variants", slots, golden!("manifest_slot_variants"));
    let code = crate::manifest::sample::code_variants();
    check("manifest_code_variants", code, golden!("manifest_code_variants"));
}

#[test]
fn commands_and_their_answers() {
    let function = || FunctionId::new("f").expect("a valid sample");
    let modes = [
        ExecutionMode::Cpu,
        ExecutionMode::CpuPreferred,
        ExecutionMode::GpuPreferred,
        ExecutionMode::Gpu,
    ];
    let verbs = [Verb::Nop, Verb::ReportNow].into_iter();
    let verbs = verbs.chain(modes.map(|mode| Verb::SetExecMode { function: function(), mode }));
    let verbs = verbs.chain([
        Verb::RunProfileJob { function: function() },
        Verb::FlTrain { task: text() },
        Verb::SetPolicy { policy: text(), expires: Epoch::from_unix_ns(7) },
    ]);
    let commands = verbs.map(|verb| protocol::command::Command { verb, ..sample::command() });
    check("command_variants", commands, golden!("command_variants"));
    let (at, until) = (Epoch::from_unix_ns(7), Epoch::from_unix_ns(8));
    let verbs = [
        Verb::At { at, until, act: Act::Nop },
        Verb::At { at, until, act: Act::ReportNow },
        Verb::Cancel { epoch: LeaderEpoch(3), id: 9 },
    ];
    let commands = verbs.map(|verb| protocol::command::Command { verb, ..sample::command() });
    check("command_timed_variants", commands, golden!("command_timed_variants"));
    let orders = [
        BoardOrder::Relay { relay: 1, is_on: true },
        BoardOrder::PowerCycle { relay: 0, off_ms: 2_000 },
        BoardOrder::ResetEnergy,
    ];
    let verbs = orders.map(|order| Verb::Board { board: "eps".to_owned(), order });
    let commands = verbs.map(|verb| protocol::command::Command { verb, ..sample::command() });
    check("command_board_variants", commands, golden!("command_board_variants"));
    let scheduled = CommandReply { id: 1, verdict: CommandVerdict::Scheduled };
    check("command_reply_scheduled", [scheduled], golden!("command_reply_scheduled"));
    let outcomes = [
        TimedOutcome::Done,
        TimedOutcome::Missed,
        TimedOutcome::Cancelled,
        TimedOutcome::Stale,
        TimedOutcome::Interrupted,
    ];
    let events = outcomes.map(|outcome| {
        let kind = EventKind::Timed { epoch: LeaderEpoch(3), id: 9, outcome };
        Event { kind, ..sample::event_timed() }
    });
    check("event_timed_variants", events, golden!("event_timed_variants"));
    let verdicts = [
        CommandVerdict::Done,
        CommandVerdict::Unsupported,
        CommandVerdict::Stale { epoch: LeaderEpoch(3) },
        CommandVerdict::Expired,
        CommandVerdict::Denied { reason: text() },
    ];
    let replies = verdicts.map(|verdict| CommandReply { id: 1, verdict });
    check("command_reply_variants", replies, golden!("command_reply_variants"));
}

#[test]
fn modules_and_emulation() {
    let chunks = [sample::module_chunk(), ModuleChunk::NotFound];
    check("module_chunk_variants", chunks, golden!("module_chunk_variants"));
    let actions = [FaultAction::Close, FaultAction::BlackHole, FaultAction::Heal];
    let faults = actions.map(|action| SimFault { node: node(), peer: None, action });
    check("sim_fault_variants", faults, golden!("sim_fault_variants"));
    let replies = [SimFaultReply::Done { pairs: 8 }, SimFaultReply::NotFound { what: text() }];
    check("sim_fault_reply_variants", replies, golden!("sim_fault_reply_variants"));
}
