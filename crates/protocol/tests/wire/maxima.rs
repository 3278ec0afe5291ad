//! Bounds: a message at the largest that its rules allow fits its frame, and one step beyond is refused.

use protocol::backlog::{
    Backlog, LATE_COLUMNS_MAX, LATE_FRAME_BYTES_MAX, LATE_RECORDS_MAX, Late, LateColumn,
    LateContent, LateRecord, LateStream, LateSummary,
};
use protocol::belt::{
    BUNDLE_OBJECTS_MAX, CHUNK_BYTES, Chunk, ChunkReply, FETCH_BYTES_MAX, Fetch, Fetched, Inventory,
    InventoryQuery, ObjectMeta, Offer, OfferReply, Purpose, Refusal,
};
use protocol::call::{CALLER, Call, Called, FIRST_CALL, Waiting};
use protocol::codec::{EncodeError, Message, encode};
use protocol::command::{Command, CommandReply, CommandVerdict, Verb};
use protocol::desired::{
    CALLEES_MAX, CalleeSpec, DRIVES_MAX, Desired, DesiredReply, DriveSpec, FunctionRef, INPUTS_MAX,
    Phase, Role, SourceRef, StageSpec, Successor, TASKS_MAX, TaskSpec, TaskStatus, Verdict,
};
use protocol::event::{
    Event, EventKind, EventPage, EventQuery, NodeFacts, PAGE_EVENTS_MAX, RESULT_BYTES_MAX,
    RunRecord, STAGES_MAX, StageRecord, TEXT_BYTES_MAX, VERSION_BYTES_MAX,
};
use protocol::invoke::{
    BODY_BYTES_MAX, Budget, CONTENT_TYPE_BYTES_MAX, COPIES_MAX, Committed, Fault, HOPS_MAX,
    HandOver, Input, InvocationRecord, Invoke, Invoked, LinkBytes, OUTPUTS_MAX, Outcome,
    RECORD_LINKS_MAX, SingleCopy,
};
use protocol::module::{MODULE_BYTES_MAX, MODULE_CHUNK_BYTES, ModuleChunk, ModuleQuery};
use protocol::plan::{
    NODES_MAX, PAIRS_MAX, PlanMessage, PlanQuery, VALUES_MAX, WireNode, WirePair,
};
use protocol::report::{
    CodeMode, FUNCTIONS_MAX, FunctionReport, Group, Header, LINKS_MAX, LinkReport, LinkSample,
    Ping, PowerReport, Reading, Report, ReportBody, Source, Summary, TaskStats,
};
use protocol::signed::SignedManifest;
use protocol::sim::{FaultAction, SimFault, SimFaultReply};
use types::{
    Arch, Backend, BootId, Capacity, EnergySource, Epoch, FunctionId, Generation, LeaderEpoch, MiB,
    MilliCpu, NodeId, NodeKind, ObjectId, OwnerEpoch, PlanVersion, ResourceProfileId, RunId,
    StateKey, TaskId, Uptime, Version, WindowId, WorkflowId,
};

use crate::sample;

const NAME_BYTES_MAX: usize = 63;
const KEY_BYTES_MAX: usize = 256;
const ZONE_BYTES_MAX: usize = 32;
const SKY: Epoch = Epoch::from_unix_ns(i64::MIN);

pub(crate) fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// The longest name, another one for each number.
pub(crate) fn name(number: usize) -> String {
    format!("{number:0>NAME_BYTES_MAX$}")
}

fn node() -> NodeId {
    NodeId::new(&name(0)).expect("a valid name")
}

fn workflow() -> WorkflowId {
    WorkflowId::new(&name(0)).expect("a valid name")
}

fn task() -> TaskId {
    TaskId::new(&name(0)).expect("a valid name")
}

fn key() -> StateKey {
    let key = [text(64), text(64), text(64), text(61)].join("/");
    assert_eq!(key.len(), KEY_BYTES_MAX);
    StateKey::new(&key).expect("a valid key")
}

fn header() -> Header {
    Header {
        node: node(),
        boot: BootId(u64::MAX),
        seq: u64::MAX,
        at: SKY,
        uptime: Uptime(u64::MAX),
    }
}

fn report(body: ReportBody) -> Report {
    Report { header: header(), last_event_seq: u64::MAX, body }
}

fn summary() -> Summary {
    Summary { count: u32::MAX, sum: 1.0, min: 0.0, p50: 0.0, p95: 0.0, max: 1.0 }
}

fn report_function() -> Report {
    let stats = TaskStats {
        workflow: workflow(),
        task: task(),
        backend: Some(Backend::InferGpu),
        calls: u64::MAX,
        failures: u64::MAX,
        local_starts: u64::MAX,
        cold_starts: u64::MAX,
        wall_us: u64::MAX,
        cpu_us: u64::MAX,
        time_ms: Some(summary()),
        energy_j: Some(summary()),
        bytes: Some(summary()),
        rate_1min: Some(1.0),
        rate_30min: Some(1.0),
    };
    let tasks = vec![stats; FUNCTIONS_MAX];
    report(ReportBody::Function(FunctionReport { tasks, code: Some(CodeMode::Pulley) }))
}

fn report_link() -> Report {
    let sample = LinkSample { peer: node(), at: SKY, rtt_us: Some(u32::MAX) };
    report(ReportBody::Link(LinkReport { samples: vec![sample; LINKS_MAX] }))
}

fn report_power() -> Report {
    let reading = Reading::Known { value: 0.5, sigma: Some(0.5), source: Source::Configured };
    report(ReportBody::Power(PowerReport {
        state_of_charge: reading,
        capacity_wh: reading,
        load_w: reading,
        solar_w: reading,
        source: EnergySource::Grid { zone: text(ZONE_BYTES_MAX) },
    }))
}

fn facts() -> NodeFacts {
    NodeFacts {
        kind: NodeKind::Cloud,
        arch: Arch::Riscv64,
        capacity: Capacity { milli_cpu: MilliCpu(u32::MAX), memory_mib: MiB(u32::MAX) },
        energy: EnergySource::Grid { zone: text(ZONE_BYTES_MAX) },
        version: text(VERSION_BYTES_MAX),
        epoch: LeaderEpoch(u64::MAX),
        generation: Generation(u64::MAX),
    }
}

fn record() -> InvocationRecord {
    let link = LinkBytes { node: node(), sent: u64::MAX, received: u64::MAX };
    InvocationRecord {
        backend: Some(Backend::InferGpu),
        profile: Some(ResourceProfileId::new(&name(0)).expect("a valid name")),
        input_bytes: u64::MAX,
        output_bytes: u64::MAX,
        route_ns: u64::MAX,
        queue_ns: u64::MAX,
        fetch_ns: u64::MAX,
        instantiate_ns: u64::MAX,
        run_ns: u64::MAX,
        commit_ns: u64::MAX,
        cpu_ns: u64::MAX,
        gpu_ns: u64::MAX,
        cold: true,
        peak_memory_bytes: u64::MAX,
        fetched_bytes: u64::MAX,
        pushed_bytes: u64::MAX,
        links: vec![link; RECORD_LINKS_MAX],
        state_ops: u32::MAX,
        calls: u32::MAX,
        hand_over: Some(HandOver::Network),
        joules: Some(1.0),
        inputs: Some(HandOver::Network),
        warm: true,
    }
}

fn event_run_finished() -> Event {
    let stage = StageRecord {
        task: task(),
        node: node(),
        attempts: u32::MAX,
        copies: vec![node(); COPIES_MAX],
        record: record(),
    };
    let kind = EventKind::RunFinished(RunRecord {
        workflow: workflow(),
        run: RunId(u64::MAX),
        started_at: SKY,
        wall_us: u64::MAX,
        failure: Some(text(TEXT_BYTES_MAX)),
        stages: vec![stage; STAGES_MAX],
        result: vec![0; RESULT_BYTES_MAX],
    });
    Event { header: header(), kind }
}

fn event_page() -> EventPage {
    EventPage { events: vec![event_run_finished(); PAGE_EVENTS_MAX], lost: u64::MAX }
}

fn desired() -> Desired {
    let spec = TaskSpec {
        workflow: workflow(),
        task: task(),
        function: FunctionRef {
            name: FunctionId::new(&name(0)).expect("a valid name"),
            sha256: [0xff; 32],
            bytes: u32::MAX,
            manifest: [0xff; 32],
        },
        role: Role::Owner {
            owner_epoch: OwnerEpoch(u64::MAX),
            successor: Some(Successor {
                node: node(),
                at: SKY,
                window: WindowId(u64::MAX),
                window_closes: SKY,
            }),
        },
        replica: Some(node()),
        milli_cpu: MilliCpu(u32::MAX),
        memory_mib: MiB(u32::MAX),
        linear_memory_mib: MiB(u32::MAX),
        deadline_ms: u32::MAX,
        sources: vec![SourceRef { name: task(), node: node() }; INPUTS_MAX],
    };
    let stage = StageSpec {
        task: task(),
        node: node(),
        deadline_ms: u32::MAX,
        after: Vec::new(),
        sources: vec![SourceRef { name: task(), node: node() }; INPUTS_MAX],
    };
    let drive = DriveSpec {
        workflow: workflow(),
        every_ms: u32::MAX,
        run_deadline_ms: u32::MAX,
        stages: vec![stage; STAGES_MAX],
    };
    let callee = CalleeSpec {
        function: FunctionId::new(&name(0)).expect("a valid name"),
        workflow: workflow(),
        task: task(),
        node: node(),
    };
    Desired {
        node: node(),
        epoch: LeaderEpoch(u64::MAX),
        generation: Generation(u64::MAX),
        decided_at: SKY,
        plan: PlanVersion(u64::MAX),
        tasks: vec![spec; TASKS_MAX],
        drives: vec![drive; DRIVES_MAX],
        callees: vec![callee; CALLEES_MAX],
    }
}

fn desired_reply() -> DesiredReply {
    let status = TaskStatus {
        workflow: workflow(),
        task: task(),
        phase: Phase::Failed,
        owner_epoch: OwnerEpoch(u64::MAX),
        state_bytes: u64::MAX,
    };
    DesiredReply {
        verdict: Verdict::Denied { reason: text(TEXT_BYTES_MAX) },
        facts: facts(),
        digest: [0xff; 32],
        tasks: vec![status; TASKS_MAX],
    }
}

fn id() -> ObjectId {
    ObjectId { workflow: workflow(), run: Some(RunId(u64::MAX)), task: task(), key: key() }
}

fn object(bytes: u64) -> ObjectMeta {
    ObjectMeta {
        id: id(),
        version: Version(u64::MAX),
        owner_epoch: OwnerEpoch(u64::MAX),
        hash: [0xff; 32],
        bytes,
    }
}

fn invoke() -> Invoke {
    let input = Input { object: object(u64::MAX), holder: node() };
    Invoke {
        workflow: workflow(),
        task: task(),
        run: RunId(u64::MAX),
        attempt: u32::MAX,
        root: RunId(u64::MAX),
        hops: HOPS_MAX,
        source: node(),
        deadline_ms: u32::MAX,
        budget: Budget { calls: u32::MAX, cpu_us: u64::MAX },
        inputs: vec![input; INPUTS_MAX * OUTPUTS_MAX],
        outputs_to: Some(node()),
        content_type: text(CONTENT_TYPE_BYTES_MAX),
        body: vec![0; BODY_BYTES_MAX],
    }
}

fn invoked() -> Invoked {
    let done = Committed {
        outputs: vec![object(u64::MAX); OUTPUTS_MAX],
        copies: vec![node(); COPIES_MAX],
        single_copy: Some(SingleCopy::Refused),
        state_writes: u32::MAX,
        local_at_start: true,
        again: true,
        body: vec![0; BODY_BYTES_MAX],
    };
    Invoked { outcome: Outcome::Committed(done), record: record() }
}

fn call() -> Call {
    let id = ObjectId { task: TaskId::new(CALLER).expect("a valid name"), ..id() };
    let input = Input { object: ObjectMeta { id, ..object(u64::MAX) }, holder: node() };
    let inputs = vec![input; OUTPUTS_MAX];
    Call {
        invoke: Invoke { inputs, ..invoke() },
        function: FunctionId::new(&name(0)).expect("a valid name"),
        caller: vec![0xff; SignedManifest::BYTES_MAX],
        through: vec![Waiting { workflow: workflow(), task: task() }; usize::from(HOPS_MAX)],
    }
}

fn offer() -> Offer {
    Offer {
        from: node(),
        purpose: Purpose::Grant {
            workflow: workflow(),
            task: task(),
            owner_epoch: OwnerEpoch(u64::MAX),
        },
        objects: vec![object(1024 * 1024); BUNDLE_OBJECTS_MAX],
        deleted: Vec::new(),
    }
}

/// As many values as a plan may hold, in as many pairs as it may hold.
fn plan() -> PlanMessage {
    let steps = u32::try_from(VALUES_MAX / PAIRS_MAX).expect("a few hundred");
    let pair = WirePair {
        a: node(),
        b: node(),
        latency_us_plus_one: vec![u32::MAX; VALUES_MAX / PAIRS_MAX],
        rate_kbps_min: u32::MAX,
        loss_ppm_max: 1_000_000,
        confidence_ppm: 1_000_000,
    };
    PlanMessage {
        version: PlanVersion(u64::MAX),
        start: SKY,
        step_ms: u32::MAX,
        steps,
        pairs: vec![pair; PAIRS_MAX],
        nodes: vec![WireNode { node: node(), kind: NodeKind::Cloud }; NODES_MAX],
    }
}

fn late_summary() -> LateSummary {
    let column = LateColumn { count: u32::MAX, min: 0.0, mean: 0.5, max: 1.0 };
    LateSummary {
        group: Group::Backlog,
        from: SKY,
        to: SKY,
        reports: u32::MAX,
        columns: vec![column; LATE_COLUMNS_MAX],
    }
}

fn backlog(content: LateContent, records: usize) -> Backlog {
    let record = |at: usize| {
        let id = u64::MAX - u64::try_from(records - at).expect("few");
        LateRecord { id, content: content.clone() }
    };
    let records = (0..records).map(record).collect();
    let late = Late { boot: BootId(u64::MAX), stream: LateStream::Reports, records };
    Backlog { node: node(), boot: BootId(u64::MAX), late: Some(late) }
}

#[test]
fn a_backlog_holds_so_many_records_in_order_and_no_more() {
    let refused = |backlog: &Backlog| backlog.validate().is_err();
    let summary = || LateContent::Summary(late_summary());
    assert!(refused(&backlog(summary(), LATE_RECORDS_MAX + 1)));
    assert!(refused(&backlog(summary(), 0)));
    assert!(refused(&backlog(LateContent::Frame(vec![0; LATE_FRAME_BYTES_MAX + 1]), 1)));
    assert!(refused(&backlog(LateContent::Frame(vec![0; LATE_FRAME_BYTES_MAX]), 3)));
    let mut twice = backlog(summary(), 2);
    if let Some(late) = &mut twice.late {
        late.records[1].id = late.records[0].id;
    }
    assert!(refused(&twice));
    let mut endless = late_summary();
    endless.columns[0].mean = f64::NAN;
    assert!(refused(&backlog(LateContent::Summary(endless), 1)));
}

fn command(verb: Verb) -> Command {
    Command {
        id: u64::MAX,
        seq: u64::MAX,
        epoch: LeaderEpoch(u64::MAX),
        node: node(),
        deadline: SKY,
        verb,
    }
}

#[track_caller]
pub(crate) fn fits<M: Message>(message: &M) {
    if let Err(error) = encode(message) {
        panic!("the largest {:?} does not fit: {error}", M::SCHEMA);
    }
}

#[test]
fn every_message_fits_its_frame_at_the_largest_that_its_rules_allow() {
    fits(&report_function());
    fits(&report_link());
    fits(&report_power());
    fits(&Event { header: header(), kind: EventKind::Started(facts()) });
    fits(&Event { header: header(), kind: EventKind::Refused { reason: text(TEXT_BYTES_MAX) } });
    fits(&event_run_finished());
    fits(&EventQuery { from_seq: u64::MAX });
    fits(&event_page());
    fits(&desired());
    fits(&desired_reply());
    fits(&invoke());
    fits(&invoked());
    let fault = Outcome::Failed(Fault::Internal(text(TEXT_BYTES_MAX)));
    fits(&Invoked { outcome: fault, record: record() });
    fits(&call());
    fits(&Called { invoked: invoked(), used: Budget { calls: u32::MAX, cpu_us: u64::MAX } });
    fits(&offer());
    fits(&Offer {
        objects: Vec::new(),
        deleted: vec![(id(), Version(u64::MAX)); BUNDLE_OBJECTS_MAX],
        ..offer()
    });
    fits(&OfferReply::Wanted(vec![u32::MAX; 1024]));
    let refused = || Refusal::Denied(text(TEXT_BYTES_MAX));
    fits(&OfferReply::Refused(refused()));
    fits(&Chunk { bundle: [0xff; 32], index: u32::MAX, bytes: vec![0; CHUNK_BYTES] });
    fits(&ChunkReply::Refused(refused()));
    fits(&Fetch { id: id(), offset: u64::MAX });
    fits(&Fetched::Part { meta: object(u64::MAX), bytes: vec![0; FETCH_BYTES_MAX] });
    fits(&InventoryQuery { workflow: workflow(), after: Some(id()) });
    fits(&Inventory { objects: vec![object(u64::MAX); BUNDLE_OBJECTS_MAX], more: true });
    fits(&PlanQuery { have: Some(PlanVersion(u64::MAX)) });
    fits(&plan());
    fits(&ModuleQuery { sha256: [0xff; 32], offset: u32::MAX });
    let bytes = vec![0; MODULE_CHUNK_BYTES];
    fits(&ModuleChunk::Part { total: MODULE_BYTES_MAX, bytes });
    fits(&command(Verb::FlTrain { task: text(TEXT_BYTES_MAX) }));
    fits(&command(Verb::SetPolicy { policy: text(TEXT_BYTES_MAX), expires: SKY }));
    let verdict = CommandVerdict::Denied { reason: text(TEXT_BYTES_MAX) };
    fits(&CommandReply { id: u64::MAX, verdict });
    fits(&sample::sim_clock());
    fits(&sample::sim_env());
    fits(&SimFault { node: node(), peer: Some(node()), action: FaultAction::Heal });
    fits(&SimFaultReply::NotFound { what: text(TEXT_BYTES_MAX) });
    fits(&Ping { nonce: u64::MAX });
    fits(&backlog(LateContent::Summary(late_summary()), LATE_RECORDS_MAX));
    fits(&backlog(LateContent::Frame(vec![0; LATE_FRAME_BYTES_MAX]), 2));
    fits(&sample::receipt());
}

#[track_caller]
pub(crate) fn is_refused<M: Message>(message: M, what: &str, change: impl FnOnce(&mut M)) {
    let mut beyond = message;
    change(&mut beyond);
    let error = encode(&beyond);
    assert!(matches!(error, Err(EncodeError::Invalid { .. })), "{what}: {error:?}");
}

fn run(event: &mut Event) -> &mut RunRecord {
    match &mut event.kind {
        EventKind::RunFinished(run) => run,
        other => panic!("{other:?} is no run"),
    }
}

fn stats(report: &mut Report) -> &mut Vec<TaskStats> {
    match &mut report.body {
        ReportBody::Function(function) => &mut function.tasks,
        other => panic!("{other:?} is no function report"),
    }
}

#[test]
fn one_more_in_a_report_or_event_is_refused() {
    is_refused(report_function(), "tasks", |r| stats(r).push(sample_stats()));
    is_refused(report_function(), "count", |r| {
        stats(r)[0].bytes = Some(Summary { count: 0, ..summary() });
    });
    is_refused(report_function(), "sum", |r| {
        stats(r)[0].energy_j = Some(Summary { sum: f64::NAN, ..summary() });
    });
    is_refused(report_power(), "zone", |r| {
        if let ReportBody::Power(power) = &mut r.body {
            power.source = EnergySource::Grid { zone: text(ZONE_BYTES_MAX + 1) };
        }
    });
    let started = |facts| Event { header: header(), kind: EventKind::Started(facts) };
    let version = text(VERSION_BYTES_MAX + 1);
    is_refused(started(NodeFacts { version, ..facts() }), "version", |_| {});
    let energy = EnergySource::Grid { zone: text(ZONE_BYTES_MAX + 1) };
    is_refused(started(NodeFacts { energy, ..facts() }), "zone", |_| {});
    is_refused(event_run_finished(), "stages", |e| {
        let more = run(e).stages[0].clone();
        run(e).stages.push(more);
    });
    is_refused(event_run_finished(), "copies", |e| run(e).stages[0].copies.push(node()));
    is_refused(event_run_finished(), "result", |e| run(e).result.push(0));
    is_refused(event_run_finished(), "failure", |e| {
        run(e).failure = Some(text(TEXT_BYTES_MAX + 1));
    });
    is_refused(event_run_finished(), "links", |e| {
        let links = &mut run(e).stages[0].record.links;
        links.push(links[0].clone());
    });
    is_refused(event_page(), "an event in a page", |page| run(&mut page.events[9]).result.push(0));
}

fn sample_stats() -> TaskStats {
    stats(&mut report_function())[0].clone()
}

#[test]
fn one_more_in_a_desired_state_or_call_is_refused() {
    is_refused(desired_reply(), "version", |r| r.facts.version.push('x'));
    is_refused(desired_reply(), "zone", |r| {
        r.facts.energy = EnergySource::Grid { zone: text(ZONE_BYTES_MAX + 1) };
    });
    is_refused(desired_reply(), "reason", |r| {
        r.verdict = Verdict::Denied { reason: text(TEXT_BYTES_MAX + 1) };
    });
    is_refused(desired(), "tasks", |d| d.tasks.push(d.tasks[0].clone()));
    is_refused(desired(), "sources", |d| {
        let source = d.tasks[0].sources[0].clone();
        d.tasks[0].sources.push(source);
    });
    is_refused(desired(), "drives", |d| d.drives.push(d.drives[0].clone()));
    is_refused(desired(), "inputs", |d| d.drives[0].stages[0].after.push(task()));
    is_refused(desired(), "callees", |d| d.callees.push(d.callees[0].clone()));
    is_refused(call(), "a run", |c| c.invoke.run = RunId(FIRST_CALL.0 - 1));
    is_refused(call(), "objects", |c| c.invoke.inputs.push(c.invoke.inputs[0].clone()));
    is_refused(call(), "caller", |c| c.caller.push(0));
    is_refused(call(), "through", |c| c.through.push(c.through[0].clone()));
    is_refused(call(), "through nobody", |c| c.through.clear());
    is_refused(call(), "body", |c| c.invoke.body.push(0));
    is_refused(invoke(), "content type", |i| i.content_type.push('x'));
    for joules in [f32::NAN, f32::INFINITY, -1.0] {
        is_refused(invoked(), "joules", |i| i.record.joules = Some(joules));
    }
    is_refused(invoked(), "links", |i| i.record.links.push(i.record.links[0].clone()));
    is_refused(invoked(), "copies", |i| {
        if let Outcome::Committed(done) = &mut i.outcome {
            done.copies.push(node());
        }
    });
    is_refused(plan(), "pairs", |p| p.pairs.push(p.pairs[0].clone()));
    is_refused(plan(), "loss", |p| p.pairs[0].loss_ppm_max += 1);
    is_refused(plan(), "confidence", |p| p.pairs[0].confidence_ppm += 1);
}
