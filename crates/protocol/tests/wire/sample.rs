//! One valid message of each kind, with every field set to something that shows.

use protocol::belt::{
    Chunk, ChunkReply, Fetch, Fetched, Inventory, InventoryQuery, ObjectMeta, Offer, OfferReply,
    Purpose, Refusal,
};
use protocol::board::{BoardCounts, BoardLink, BoardReport, BoardRole};
use protocol::call::{CALLER, Call, Called, FIRST_CALL, Waiting};
use protocol::command::{Command, CommandReply, CommandVerdict, Verb};
use protocol::desired::{
    CalleeSpec, Desired, DesiredReply, DriveSpec, FunctionRef, Phase, Role, SourceRef, StageSpec,
    Successor, TaskSpec, TaskStatus, Verdict,
};
use protocol::event::{
    BackEndChange, Event, EventKind, EventPage, EventQuery, NodeFacts, RunRecord, StageRecord,
};
use protocol::invoke::{
    Budget, Committed, Fault, HandOver, Input, InvocationRecord, Invoke, Invoked, LinkBytes,
    Outcome, SingleCopy,
};
use protocol::log::{LogBatch, LogLevel, LogLine};
use protocol::module::{ModuleChunk, ModuleQuery};
use protocol::plan::{PlanMessage, PlanQuery, WireNode, WirePair};
use protocol::report::{
    CodeMode, ComputeReport, FunctionReport, GpuReport, Header, LinkReport, LinkSample, NoReading,
    Ping, PositionReport, PowerReport, QueueReport, Reading, Report, ReportBody, Source, Summary,
    TaskStats, ThermalReport,
};
use protocol::sim::{FaultAction, SimClock, SimEnv, SimFault, SimFaultReply, Track};
use protocol::topic::TopicMessage;
use types::{
    Arch, Backend, BootId, Capacity, EnergySource, Epoch, ExecutionMode, FunctionId, Generation,
    Geodetic, LeaderEpoch, MiB, MilliCpu, NodeId, NodeKind, ObjectId, OwnerEpoch, PlanVersion,
    ResourceProfileId, RunId, SkyClock, StateKey, TaskId, Uptime, Version, WallTime, WindowId,
    WorkflowId,
};

pub(crate) use crate::backlog::{backlog, command_at, event_timed, receipt, report_backlog};
pub(crate) use crate::join::members;
pub(crate) use crate::manifest::sample::{manifest, signed_manifest, signers};
pub(crate) use crate::release::{program_chunk, release, signed_release};

pub(crate) fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("a valid sample")
}

fn workflow() -> WorkflowId {
    WorkflowId::new("flood").expect("a valid sample")
}

fn task(name: &str) -> TaskId {
    TaskId::new(name).expect("a valid sample")
}

pub(crate) fn sky(seconds: i64) -> Epoch {
    Epoch::from_unix_s(1_767_225_600 + seconds).expect("a valid sample")
}

fn header(seq: u64) -> Header {
    Header { node: node("sat-1"), boot: BootId(77), seq, at: sky(1), uptime: Uptime(5_000) }
}

pub(crate) fn report(body: ReportBody) -> Report {
    Report { header: header(9), last_event_seq: 3, body }
}

fn known(value: f32) -> Reading {
    Reading::Known { value, sigma: Some(0.5), source: Source::Virtual }
}

const UNKNOWN: Reading = Reading::Unknown(NoReading::NoSensor);

pub(crate) fn log_batch() -> LogBatch {
    let line = |level| LogLine { at: sky(2), run: RunId(41), level, text: "hot".to_owned() };
    let levels =
        [LogLevel::Trace, LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
    LogBatch {
        header: header(4),
        workflow: workflow(),
        task: task("object-det"),
        function: FunctionId::new("object-det").expect("a valid sample"),
        lines: levels.map(line).to_vec(),
        dropped: 9,
    }
}

pub(crate) fn topic_message() -> TopicMessage {
    TopicMessage {
        header: header(5),
        workflow: workflow(),
        task: task("object-det"),
        function: FunctionId::new("notify").expect("a valid sample"),
        run: RunId(41),
        topic: "alerts/flood".to_owned(),
        body: b"high".to_vec(),
    }
}

pub(crate) fn board_report() -> BoardReport {
    BoardReport {
        header: header(6),
        uid: [0xE6, 0x60, 0x58, 0x38, 0x83, 0x72, 0x4A, 0x2F],
        name: "eps".to_owned(),
        role: BoardRole::Battery,
        firmware: "rp2040 0.1.0".to_owned(),
        link: BoardLink::Down("/dev/ttyACM0 is not there".to_owned()),
        volts: known(15.25),
        amperes: known(-1.25),
        celsius: UNKNOWN,
        charge: known(0.75),
        energy_wh: known(-4.5),
        temperatures: vec![(0, 25.5), (3, -40.0)],
        relays: vec![(0, true), (1, false)],
        counts: BoardCounts { messages: 4000, dropped: 3, missing: 2, opens: 1 },
    }
}

pub(crate) fn report_power() -> Report {
    report(ReportBody::Power(PowerReport {
        state_of_charge: known(0.75),
        capacity_wh: Reading::known(74.0, Source::Configured),
        load_w: known(6.5),
        solar_w: UNKNOWN,
        source: EnergySource::Grid { zone: "AT".to_owned() },
    }))
}

pub(crate) fn report_thermal() -> Report {
    report(ReportBody::Thermal(ThermalReport { hottest_c: known(-12.5), limit_c: known(75.0) }))
}

pub(crate) fn report_compute() -> Report {
    report(ReportBody::Compute(ComputeReport {
        capacity: capacity(),
        free: Capacity { milli_cpu: MilliCpu(0), memory_mib: MiB(2048) },
        load_milli_cpu: Reading::known(150.0, Source::Kernel),
        pss_mib: Reading::known(17.5, Source::Kernel),
        threads: Reading::known(9.0, Source::Kernel),
    }))
}

pub(crate) fn report_gpu() -> Report {
    report(ReportBody::Gpu(GpuReport {
        load: UNKNOWN,
        free_mib: Reading::Unknown(NoReading::NotSupported),
        temperature_c: Reading::Unknown(NoReading::ReadFailed),
    }))
}

pub(crate) fn report_link() -> Report {
    report(ReportBody::Link(LinkReport {
        samples: vec![
            LinkSample { peer: node("drone"), at: sky(2), rtt_us: Some(14_500) },
            LinkSample { peer: node("cloud"), at: sky(3), rtt_us: None },
        ],
    }))
}

pub(crate) fn report_position() -> Report {
    report(ReportBody::Position(PositionReport {
        position: Geodetic { lat_deg: -21.139, lon_deg: -175.204, alt_km: 0.3 },
        source: Source::Configured,
    }))
}

pub(crate) fn report_function() -> Report {
    report(ReportBody::Function(FunctionReport {
        tasks: vec![TaskStats {
            workflow: workflow(),
            task: task("ingest"),
            backend: Some(Backend::WasmCranelift),
            calls: 12,
            failures: 1,
            local_starts: 11,
            cold_starts: 1,
            wall_us: 345_678,
            cpu_us: 234_567,
            time_ms: Some(Summary {
                count: 11,
                sum: 330.0,
                min: 20.0,
                p50: 29.5,
                p95: 41.25,
                max: 60.0,
            }),
            energy_j: None,
            bytes: Some(Summary {
                count: 12,
                sum: 12_288.0,
                min: 1024.0,
                p50: 1024.0,
                p95: 1024.0,
                max: 1024.0,
            }),
            rate_1min: Some(0.25),
            rate_30min: None,
        }],
        code: Some(CodeMode::Pooled),
    }))
}

pub(crate) fn report_queue() -> Report {
    report(ReportBody::Queue(QueueReport {
        invocations_waiting: 1,
        transfers_waiting: 2,
        state_bytes: 300_000,
        frames_dropped: 4,
        reports_dropped: 5,
    }))
}

fn capacity() -> Capacity {
    Capacity { milli_cpu: MilliCpu(4_000), memory_mib: MiB(4_096) }
}

fn facts() -> NodeFacts {
    NodeFacts {
        kind: NodeKind::Satellite,
        arch: Arch::Arm64,
        capacity: capacity(),
        energy: EnergySource::Photovoltaic,
        version: "0.1.0".to_owned(),
        epoch: LeaderEpoch(4),
        generation: Generation(19),
    }
}

pub(crate) fn event(kind: EventKind) -> Event {
    Event { header: header(3), kind }
}

pub(crate) fn event_started() -> Event {
    event(EventKind::Started(facts()))
}

pub(crate) fn event_prepared() -> Event {
    event(EventKind::Prepared {
        workflow: workflow(),
        task: task("object-det"),
        generation: Generation(19),
    })
}

pub(crate) fn event_took_over() -> Event {
    event(EventKind::TookOver {
        workflow: workflow(),
        task: task("object-det"),
        owner_epoch: OwnerEpoch(2),
        from: Some(node("sat-2")),
    })
}

pub(crate) fn event_back_end() -> Event {
    event(EventKind::BackEnd {
        name: "vulkan".to_owned(),
        change: BackEndChange::Demoted,
        reason: "the device is lost".to_owned(),
    })
}

pub(crate) fn event_first_call() -> Event {
    event(EventKind::FirstCall {
        workflow: workflow(),
        task: task("object-det"),
        run: RunId(41),
        owner_epoch: OwnerEpoch(2),
    })
}

pub(crate) fn event_run_finished() -> Event {
    event(EventKind::RunFinished(RunRecord {
        workflow: workflow(),
        run: RunId(41),
        started_at: sky(30),
        wall_us: 456_789,
        failure: None,
        stages: vec![StageRecord {
            task: task("ingest"),
            node: node("drone"),
            attempts: 2,
            copies: vec![node("drone"), node("sat-1")],
            record: record(),
        }],
        result: b"{\"targets\":[]}".to_vec(),
    }))
}

pub(crate) fn event_refused() -> Event {
    event(EventKind::Refused { reason: "no room for object-det".to_owned() })
}

pub(crate) fn event_query() -> EventQuery {
    EventQuery { from_seq: 300 }
}

pub(crate) fn event_page() -> EventPage {
    EventPage { events: vec![event_refused()], lost: 2 }
}

fn record() -> InvocationRecord {
    InvocationRecord {
        backend: Some(Backend::WasmPulley),
        profile: Some(ResourceProfileId::new("small").expect("a valid sample")),
        input_bytes: 1,
        output_bytes: 2,
        route_ns: 3,
        queue_ns: 4,
        fetch_ns: 5,
        instantiate_ns: 6,
        run_ns: 7,
        commit_ns: 8,
        cpu_ns: 9,
        gpu_ns: 10,
        cold: true,
        peak_memory_bytes: 65_536,
        fetched_bytes: 11,
        pushed_bytes: 12,
        links: vec![LinkBytes { node: node("sat-2"), sent: 12, received: 11 }],
        state_ops: 13,
        calls: 14,
        hand_over: Some(HandOver::Process),
        joules: Some(0.25),
        inputs: Some(HandOver::Node),
        warm: true,
    }
}

pub(crate) fn desired() -> Desired {
    let spec = |name: &str, role: Role| TaskSpec {
        workflow: workflow(),
        task: task(name),
        function: FunctionRef {
            name: FunctionId::new(name).expect("a valid sample"),
            sha256: [0xab; 32],
            bytes: 54_321,
            manifest: [0xac; 32],
        },
        role,
        replica: Some(node("sat-2")),
        milli_cpu: MilliCpu(4_000),
        memory_mib: MiB(2_048),
        linear_memory_mib: MiB(32),
        deadline_ms: 5_000,
        sources: vec![SourceRef { name: task("dem"), node: node("gs-1") }],
    };
    Desired {
        node: node("sat-1"),
        epoch: LeaderEpoch(4),
        generation: Generation(19),
        decided_at: sky(10),
        plan: PlanVersion(3),
        tasks: vec![
            spec(
                "extract-frames",
                Role::Owner {
                    owner_epoch: OwnerEpoch(1),
                    successor: Some(Successor {
                        node: node("sat-2"),
                        at: sky(600),
                        window: WindowId(0x1234_5678_9abc_def0),
                        window_closes: sky(645),
                    }),
                },
            ),
            spec("object-det", Role::Standby { owner: node("sat-2"), expected_at: sky(700) }),
        ],
        drives: vec![DriveSpec {
            workflow: workflow(),
            every_ms: 3_000,
            run_deadline_ms: 60_000,
            stages: vec![StageSpec {
                task: task("object-det"),
                node: node("sat-1"),
                deadline_ms: 5_000,
                after: vec![task("extract-frames")],
                sources: vec![SourceRef { name: task("eo-reference"), node: node("sat-3") }],
            }],
        }],
        callees: vec![CalleeSpec {
            function: FunctionId::new("track").expect("a valid sample"),
            workflow: workflow(),
            task: task("tracks"),
            node: node("sat-4"),
        }],
    }
}

pub(crate) fn desired_reply() -> DesiredReply {
    DesiredReply {
        verdict: Verdict::Stale { epoch: LeaderEpoch(5), generation: Generation(2) },
        facts: facts(),
        digest: [7; 32],
        tasks: vec![TaskStatus {
            workflow: workflow(),
            task: task("ingest"),
            phase: Phase::Freezing,
            owner_epoch: OwnerEpoch(1),
            state_bytes: 4_096,
        }],
    }
}

fn object(name: &str) -> ObjectMeta {
    ObjectMeta {
        id: ObjectId {
            workflow: workflow(),
            run: Some(RunId(41)),
            task: task("ingest"),
            key: StateKey::new(name).expect("a valid sample"),
        },
        version: Version(1),
        owner_epoch: OwnerEpoch(0),
        hash: [0x5a; 32],
        bytes: 12_288,
    }
}

pub(crate) fn invoke() -> Invoke {
    Invoke {
        workflow: workflow(),
        task: task("extract-frames"),
        run: RunId(41),
        attempt: 1,
        root: RunId(41),
        hops: 1,
        source: node("drone"),
        deadline_ms: 4_500,
        budget: Budget { calls: 15, cpu_us: 16 },
        inputs: vec![Input { object: object("frames/0"), holder: node("drone") }],
        outputs_to: Some(node("sat-2")),
        content_type: "application/json".to_owned(),
        body: b"{}".to_vec(),
    }
}

pub(crate) fn invoked_committed() -> Invoked {
    Invoked {
        outcome: Outcome::Committed(Committed {
            outputs: vec![object("kept")],
            copies: vec![node("sat-1")],
            single_copy: Some(SingleCopy::Refused),
            state_writes: 1,
            local_at_start: true,
            again: false,
            body: b"ok".to_vec(),
        }),
        record: record(),
    }
}

pub(crate) fn invoked_failed() -> Invoked {
    Invoked {
        outcome: Outcome::Failed(Fault::Moved { to: node("sat-2"), owner_epoch: OwnerEpoch(2) }),
        record: InvocationRecord::default(),
    }
}

pub(crate) fn call() -> Call {
    let of_caller = ObjectId { task: task(CALLER), run: Some(FIRST_CALL), ..object("frames/0").id };
    let along = ObjectMeta { id: of_caller, ..object("frames/0") };
    Call {
        invoke: Invoke {
            run: FIRST_CALL,
            inputs: vec![Input { object: along, holder: node("drone") }],
            ..invoke()
        },
        function: FunctionId::new("track").expect("a valid sample"),
        caller: vec![1, 29, 0],
        through: vec![Waiting { workflow: workflow(), task: task("ingest") }],
    }
}

pub(crate) fn called() -> Called {
    Called { invoked: invoked_failed(), used: Budget { calls: 17, cpu_us: 18 } }
}

pub(crate) fn offer() -> Offer {
    Offer {
        from: node("sat-1"),
        purpose: Purpose::Grant {
            workflow: workflow(),
            task: task("object-det"),
            owner_epoch: OwnerEpoch(2),
        },
        objects: vec![object("tracks")],
        deleted: vec![(object("old").id, Version(3))],
    }
}

pub(crate) fn offer_reply() -> OfferReply {
    OfferReply::Wanted(vec![0, 1, 300])
}

pub(crate) fn chunk() -> Chunk {
    Chunk { bundle: [1; 32], index: 2, bytes: vec![9, 8, 7] }
}

pub(crate) fn chunk_reply() -> ChunkReply {
    ChunkReply::Refused(Refusal::Fenced { owner_epoch: OwnerEpoch(4) })
}

pub(crate) fn fetch() -> Fetch {
    Fetch { id: object("frames/0").id, offset: 1_048_576 }
}

pub(crate) fn fetched() -> Fetched {
    Fetched::Part { meta: object("frames/0"), bytes: vec![1, 2, 3] }
}

pub(crate) fn inventory_query() -> InventoryQuery {
    InventoryQuery { workflow: workflow(), after: Some(object("a").id) }
}

pub(crate) fn inventory() -> Inventory {
    Inventory { objects: vec![object("a")], more: true }
}

pub(crate) fn plan_query() -> PlanQuery {
    PlanQuery { have: Some(PlanVersion(3)) }
}

pub(crate) fn plan() -> PlanMessage {
    PlanMessage {
        version: PlanVersion(3),
        start: sky(0),
        step_ms: 10_000,
        steps: 3,
        pairs: vec![WirePair {
            a: node("drone"),
            b: node("sat-1"),
            latency_us_plus_one: vec![0, 5_001, 70_001],
            rate_kbps_min: 500_000,
            loss_ppm_max: 150,
            confidence_ppm: 875_000,
        }],
        nodes: vec![WireNode { node: node("sat-1"), kind: NodeKind::Satellite }],
    }
}

pub(crate) fn module_query() -> ModuleQuery {
    ModuleQuery { sha256: [3; 32], offset: 262_144 }
}

pub(crate) fn module_chunk() -> ModuleChunk {
    ModuleChunk::Part { total: 300_000, bytes: vec![0, 0x61, 0x73, 0x6d] }
}

pub(crate) fn command() -> Command {
    Command {
        id: 8,
        seq: 2,
        epoch: LeaderEpoch(4),
        node: node("sat-1"),
        deadline: sky(60),
        verb: Verb::SetExecMode {
            function: FunctionId::new("object-det").expect("a valid sample"),
            mode: ExecutionMode::GpuPreferred,
        },
    }
}

pub(crate) fn command_reply() -> CommandReply {
    CommandReply { id: 8, verdict: CommandVerdict::Unsupported }
}

pub(crate) fn sim_clock() -> SimClock {
    SimClock {
        clock: SkyClock::new(sky(0), WallTime(1_790_000_000_000_000_000), 30.0)
            .expect("a valid sample"),
    }
}

pub(crate) fn sim_env() -> SimEnv {
    let from = Geodetic { lat_deg: 48.25, lon_deg: 16.5, alt_km: 550.0 };
    let to = Geodetic { lat_deg: 50.0, lon_deg: 18.0, alt_km: 551.0 };
    let track = Some(Track { from, to, after_s: 30.0 });
    SimEnv { at: sky(5), sunlit: 0.5, solar_w_m2: 680.5, ambient_c: -40.0, track }
}

pub(crate) fn sim_fault() -> SimFault {
    SimFault { node: node("sat-1"), peer: Some(node("drone")), action: FaultAction::BlackHole }
}

pub(crate) fn sim_fault_reply() -> SimFaultReply {
    SimFaultReply::NotFound { what: "node sat-9".to_owned() }
}

pub(crate) fn ping() -> Ping {
    Ping { nonce: 0x0123_4567_89ab_cdef }
}
