//! The sections of an agent's configuration, their keys, ranges and defaults.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use types::{Capacity, Geodetic, MiB, MilliCpu, NodeId, NodeKind, StateKey, TaskId};

use super::read::Section;
use super::tree::{Origin, Table};
use super::{
    BusConfig, Config, Endpoint, FunctionsConfig, IdentityConfig, InferenceConfig, Isolation,
    Problem, QueueConfig, ReceiverConfig, ReportConfig, SourceConfig, StartConfig, StoreSection,
    UpdateConfig,
};
use super::{body, mcu, mqtt, program};
use crate::life::file::unhex;
use crate::life::release::is_key;
use crate::life::starts::Limits;

/// The sections, for overrides from the environment.
pub(super) const NAMES: [&str; 18] = [
    "node",
    "place",
    "receiver",
    "capacity",
    "bus",
    "identity",
    "sim",
    "store",
    "queue",
    "report",
    "start",
    "update",
    "functions",
    "battery",
    "thermal",
    "sensors",
    "input",
    "mqtt",
];

/// Sections that later versions read.
const RESERVED: [&str; 3] = ["sizing", "cost", "learning"];

/// The version of the configuration's format.
const VERSION: u64 = 1;
/// State that a node keeps unless told otherwise: a thousand scenes of a megabyte.
const QUOTA_BYTES: u64 = 1 << 30;
/// Least quota with which a group of state and its copy fit.
const QUOTA_BYTES_MIN: u64 = 1 << 20;
/// What is kept without a link unless told otherwise: a day of all groups at one report a second as they were, months of them thinned.
const QUEUE_BYTES: u64 = 64 << 20;
/// Least with which there are segments to thin.
const QUEUE_BYTES_MIN: u64 = 256 << 10;
const REPORT_TTL_S: u64 = 14 * 86_400;
const EVENT_TTL_S: u64 = 90 * 86_400;
/// Ten years.
const TTL_S_MAX: u64 = 3_653 * 86_400;
/// What most receivers speak at, in baud, and what they can be set to.
const RECEIVER_BAUD: u64 = 9600;
const RECEIVER_BAUDS: [u64; 8] = [4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800];
const REPORT_INTERVAL_MS: u64 = 1000;
const PING_INTERVAL_MS: u64 = 2000;
/// Failed starts in a row before safe mode: a board that loses power while it starts does so once or twice.
pub(super) const FAILURES: RangeInclusive<u64> = 1..=1000;
pub(super) const FAILURES_MAX: u64 = 5;
/// The first stay in safe mode.
pub(super) const BACKOFF_S: RangeInclusive<u64> = 1..=86_400;
pub(super) const BACKOFF: u64 = 600;
/// A start that is well for so long has been through everything that happens at a start.
const HEALTHY_S: u64 = 30;
/// Keys of a fleet: one in use and one in a safe, with room.
const UPDATE_KEYS_MAX: usize = 8;
/// One start may be cut off by power, and one by chance.
const TRIAL_STARTS: u64 = 3;
/// Least memory in which a function with the default grant of 32 MiB runs.
const RUNNER_MEMORY_MIB_MIN: u32 = 32;
/// What a place for a call keeps in memory: a megapixel in colors, or what passes between two stages.
const KEEP_MIB: u64 = 16;
/// The most that a call can be granted.
const KEEP_MIB_MAX: u64 = 256;
/// Tenants with a process of their own; each costs about 10 MiB.
const RUNNERS_MAX: u64 = 8;
/// Least memory in which anything compiles.
const COMPILE_MEMORY_MIB_MIN: u64 = 64;
/// A component of 4 MiB, the largest that there may be, takes 2 s on a core of a server and 10 s on that of a board.
const COMPILE_CPU_S: u64 = 10;
const ISOLATIONS: [(&str, Isolation); 3] =
    [("process", Isolation::Process), ("tenant", Isolation::Tenant), ("none", Isolation::None)];

/// Whether a graphics processor is tried.
const GPU: [(&str, bool); 2] = [("auto", true), ("off", false)];

/// What jobs on graphics processors may need together: what `infer` takes unless told otherwise, and more than any device has.
const GPU_MEMORY_MIB: u64 = infer::GPU_BYTES >> 20;
const GPU_MEMORY_MIB_MAX: u64 = 1 << 20;

/// Whether an ONNX Runtime runs on a graphics processor.
const PROVIDERS: [(&str, bool); 2] = [("cpu", false), ("cuda", true)];

const KINDS: [(&str, NodeKind); 4] = [
    ("satellite", NodeKind::Satellite),
    ("ground-station", NodeKind::GroundStation),
    ("edge", NodeKind::Edge),
    ("cloud", NodeKind::Cloud),
];

/// Reads all sections; every problem goes to `problems`, and only then may the answer be `None`.
pub(super) fn read(
    table: Table,
    origin: &Origin,
    base: &Path,
    problems: &mut Vec<Problem>,
) -> Option<Config> {
    let mut root = Section::new("", origin.clone(), table, problems);
    root.require("version");
    root.integer("version", VERSION..=VERSION, VERSION);
    let node = node(root.table("node"));
    let kind = node.as_ref().map(|(_, kind, _)| *kind);
    let place = if root.has("place") { place(root.table("place"), kind) } else { None };
    let receiver = if root.has("receiver") { receiver(root.table("receiver")) } else { None };
    let capacity = capacity(root.table("capacity"));
    let identity =
        if root.has("identity") { Some(identity(root.table("identity"), base)) } else { None };
    let mut links = Links { insecure: false, has_identity: identity.is_some() };
    let bus = bus(root.table("bus"), node.as_ref().map(|(name, _, _)| name), &mut links);
    let sim = if root.has("sim") { Some(sim(root.table("sim"), links)) } else { None };
    let store = store(root.table("store"), base);
    let queue = queue(root.table("queue"));
    let report = report(root.table("report"));
    let start = start(root.table("start"));
    let update = update(root.table("update"));
    let functions = functions(root.table("functions"), capacity.memory_mib);
    let inference = inference(root.table("inference"), base);
    let battery = body::battery(root.table("battery"));
    let (thermal, ceiling_c) = body::thermal(root.table("thermal"));
    let sysfs_root = sensors(root.table("sensors"), base);
    let boards = mcu::read(&mut root, &battery);
    let sources = root.tables("source");
    let sources = sources
        .into_iter()
        .map(|(table, origin)| source(Section::new("source", origin, table, root.problems()), base))
        .collect::<Vec<_>>();
    let input = if root.has("input") { Some(input(root.table("input"), base)) } else { None };
    let names = (node.as_ref().map(|node| &node.0), node.as_ref().map(|node| &node.2));
    let mqtt = mqtt::read(root.table("mqtt"), base, names);
    root.refuse_reserved(&RESERVED);
    root.finish();
    let (name, kind, fleet) = node?;
    Some(Config {
        node: name,
        kind,
        fleet,
        place,
        receiver,
        capacity,
        bus,
        identity: identity.flatten(),
        sim: sim.flatten(),
        store: store?,
        queue,
        report,
        start,
        update,
        functions,
        inference,
        battery,
        thermal,
        ceiling_c,
        sysfs_root,
        boards,
        sources: sources.into_iter().collect::<Option<_>>()?,
        input: input.flatten(),
        mqtt,
    })
}

fn node(mut section: Section<'_>) -> Option<(NodeId, NodeKind, types::FleetId)> {
    let name = section.needed("name");
    section.require("kind");
    let kind = section.word("kind", &KINDS);
    let fleet = section.needed("fleet");
    section.finish();
    Some((name?, kind?, fleet?))
}

fn place(mut section: Section<'_>, kind: Option<NodeKind>) -> Option<Geodetic> {
    if kind == Some(NodeKind::Satellite) {
        section.refuse("lat_deg", "a satellite moves: it has no fixed place".to_owned());
    }
    section.require("lat_deg");
    section.require("lon_deg");
    let place = Geodetic {
        lat_deg: section.number("lat_deg", -90.0..=90.0, 0.0),
        lon_deg: section.number("lon_deg", -180.0..=180.0, 0.0),
        alt_km: section.number("alt_km", -1.0..=100.0, 0.0),
    };
    section.finish();
    Some(place)
}

/// What speaks there is believed: it is this machine, one beside it, or at its serial line.
fn receiver(mut section: Section<'_>) -> Option<ReceiverConfig> {
    let (has_address, has_device) = (section.has("connect"), section.has("device"));
    let address = section.converted("connect", |text| {
        let address = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        let port = address.and_then(|(_, port)| port.parse::<u16>().ok());
        let wrong = || format!("{text:?} is not an address like 127.0.0.1:2947");
        port.map(|_| text.to_owned()).ok_or_else(wrong)
    });
    let device = section.converted("device", mcu::device);
    if section.has("baud") && !has_device {
        section.refuse("baud", "only a device has a rate".to_owned());
    }
    let baud = section.integer("baud", 1..=4_000_000, RECEIVER_BAUD);
    if !RECEIVER_BAUDS.contains(&baud) {
        section.refuse("baud", format!("{baud} is none of {RECEIVER_BAUDS:?}"));
    }
    match (has_address, has_device) {
        (false, false) => section.require("connect"),
        (true, true) => section.refuse("device", "connect names another receiver".to_owned()),
        _ => {}
    }
    section.finish();
    let line = || Some(ReceiverConfig::Line { device: device?, baud: u32::try_from(baud).ok()? });
    address.map(ReceiverConfig::Tcp).or_else(line)
}

fn capacity(mut section: Section<'_>) -> Capacity {
    let mut needed = |key| {
        section.require(key);
        // 0 stands in where a problem is noted, and is refused itself.
        u32::try_from(section.integer(key, 1..=10_000_000, 0)).unwrap_or(0)
    };
    let (milli_cpu, memory_mib) = (MilliCpu(needed("milli_cpu")), MiB(needed("memory_mib")));
    section.finish();
    Capacity { milli_cpu, memory_mib }
}

/// Which addresses may be used.
#[derive(Clone, Copy)]
struct Links {
    /// Somebody asked for links without encryption, on this machine.
    insecure: bool,
    has_identity: bool,
}

fn bus(mut section: Section<'_>, me: Option<&NodeId>, links: &mut Links) -> BusConfig {
    links.insecure = section.flag("insecure");
    if links.insecure && links.has_identity {
        let rule = "an [identity] is of no use in an insecure fleet; leave one of them out";
        section.refuse("insecure", rule.to_owned());
    }
    let links = *links;
    let bus = BusConfig {
        listen: section.list("listen", |text| address(text, links)),
        connect: section.list("connect", |text| address(text, links)),
        peers: section.list("peers", |text| match text.parse::<NodeId>() {
            Ok(peer) if Some(&peer) == me => Err(format!("{peer} is this node itself")),
            Ok(peer) => Ok(peer),
            Err(error) => Err(error.to_string()),
        }),
    };
    section.finish();
    bus
}

/// A link is TLS between members of the fleet, or stays on this machine and was asked to be insecure.
fn address(text: &str, links: Links) -> Result<Endpoint, String> {
    let endpoint: Endpoint = text.parse().map_err(|error| format!("{error}"))?;
    match (endpoint.is_secure(), links.insecure) {
        (true, true) => Err(format!(
            "{endpoint} is encrypted, but bus.insecure is set, which is for tcp/ on this machine alone; leave that out"
        )),
        (true, false) if !links.has_identity => Err(format!(
            "{endpoint} needs certificates: say in [identity] where they are, and join with starbelt-agent join"
        )),
        (true, false) => Ok(endpoint),
        (false, true) if endpoint.is_loopback() => Ok(endpoint),
        (false, true) => Err(format!(
            "{endpoint} can be reached from other machines, which needs certificates; bus.insecure is for \
             tcp/127.0.0.1:<port> alone"
        )),
        (false, false) => Err(format!(
            "{endpoint} is not encrypted; use tls/ with certificates and an [identity], or, for a trial on this machine \
             alone, say insecure = true in [bus]"
        )),
    }
}

fn identity(mut section: Section<'_>, base: &Path) -> Option<IdentityConfig> {
    let dir: Option<PathBuf> = section.needed("dir");
    let controller = section.converted("controller", |url| match url.strip_prefix("https://") {
        Some(host) if !host.is_empty() => Ok(url.to_owned()),
        Some(_) | None => Err(format!("{url:?} is not an address like https://controller:7449")),
    });
    section.finish();
    Some(IdentityConfig { dir: base.join(dir?), controller })
}

fn sim(mut section: Section<'_>, links: Links) -> Option<Endpoint> {
    section.require("connect");
    let connect = section.converted("connect", |text| address(text, links));
    section.finish();
    connect
}

fn store(mut section: Section<'_>, base: &Path) -> Option<StoreSection> {
    let dir: Option<PathBuf> = section.needed("dir");
    let quota_bytes = section.integer("quota_bytes", QUOTA_BYTES_MIN..=1 << 50, QUOTA_BYTES);
    let audit_log: Option<PathBuf> = section.parsed("audit_log");
    section.finish();
    Some(StoreSection {
        dir: base.join(dir?),
        quota_bytes,
        audit_log: audit_log.map(|path| base.join(path)),
    })
}

fn queue(mut section: Section<'_>) -> QueueConfig {
    let quota_bytes = section.integer("quota_bytes", QUEUE_BYTES_MIN..=1 << 40, QUEUE_BYTES);
    let report_ttl = section.integer("report_ttl_s", 1..=TTL_S_MAX, REPORT_TTL_S);
    let event_ttl = section.integer("event_ttl_s", 1..=TTL_S_MAX, EVENT_TTL_S);
    section.finish();
    QueueConfig {
        quota_bytes,
        report_ttl: Duration::from_secs(report_ttl),
        event_ttl: Duration::from_secs(event_ttl),
    }
}

fn report(mut section: Section<'_>) -> ReportConfig {
    let interval = section.integer("interval_ms", 50..=3_600_000, REPORT_INTERVAL_MS);
    let ping = section.integer("ping_interval_ms", 50..=3_600_000, PING_INTERVAL_MS);
    section.finish();
    ReportConfig {
        interval: Duration::from_millis(interval),
        ping_interval: Duration::from_millis(ping),
    }
}

fn start(mut section: Section<'_>) -> StartConfig {
    let failures = section.integer("failures_max", FAILURES, FAILURES_MAX);
    let backoff = section.integer("backoff_s", BACKOFF_S, BACKOFF);
    let healthy = section.integer("healthy_s", 1..=3600, HEALTHY_S);
    section.finish();
    StartConfig {
        limits: Limits {
            // In range, or a problem is noted and nothing starts.
            failures_max: u32::try_from(failures).unwrap_or(1),
            backoff: Duration::from_secs(backoff),
        },
        healthy: Duration::from_secs(healthy),
    }
}

/// Who may replace the program of a node may do anything there.
fn update(mut section: Section<'_>) -> UpdateConfig {
    let keys = section.list("keys", |text| match unhex(text) {
        Some(key) if is_key(&key) => Ok(key),
        Some(_) | None => Err(format!(
            "{text:?} is no ed25519 public key: the 64 hexadecimal digits that `starbelt key new` prints"
        )),
    });
    if UPDATE_KEYS_MAX < keys.len() {
        section.refuse("keys", format!("{} keys, at most {UPDATE_KEYS_MAX}", keys.len()));
    }
    let starts = section.integer("starts", 1..=10, TRIAL_STARTS);
    section.finish();
    UpdateConfig { keys, starts: u32::try_from(starts).unwrap_or(1) }
}

/// What runners may use is part of what the node offers: without a word, all of it.
fn functions(mut section: Section<'_>, offered: MiB) -> FunctionsConfig {
    let isolation = section.word("isolation", &ISOLATIONS).unwrap_or(Isolation::Process);
    let least = RUNNER_MEMORY_MIB_MIN;
    // Where too little is offered, that is what is refused, and not this.
    let most = u64::from(offered.0.max(least));
    let memory = section.integer("runner_memory_mib", u64::from(least)..=most, most);
    let keep = section.integer("keep_mib", 0..=KEEP_MIB_MAX, KEEP_MIB);
    let runners = section.integer("runners_max", 1..=64, RUNNERS_MAX);
    let given = section.has("compile_memory_mib");
    let compile = section.integer("compile_memory_mib", COMPILE_MEMORY_MIB_MIN..=65_536, 512);
    let compile_cpu_s = section.integer("compile_cpu_s", 1..=600, COMPILE_CPU_S);
    section.finish();
    FunctionsConfig {
        isolation,
        // Both are in range, or a problem is noted and nothing starts.
        runner_memory_mib: u32::try_from(memory).unwrap_or(least),
        keep_mib: u32::try_from(keep).unwrap_or_default(),
        runners_max: usize::try_from(runners).unwrap_or(1),
        compile_memory_mib: u32::try_from(compile).ok().filter(|_| given),
        compile_cpu: Duration::from_secs(compile_cpu_s),
    }
}

fn inference(mut section: Section<'_>, base: &Path) -> InferenceConfig {
    let models: Option<PathBuf> = section.parsed("models");
    let onnx_runtime: Option<PathBuf> = section.parsed("onnx_runtime");
    let gpu = section.word("gpu", &GPU).unwrap_or(true);
    let cuda = section.word("onnx_runtime_on", &PROVIDERS).unwrap_or(false);
    let is_given = section.has("gpu_memory_mib");
    let budget = section.integer("gpu_memory_mib", 1..=GPU_MEMORY_MIB_MAX, GPU_MEMORY_MIB);
    let programs = program::read(&mut section, base, budget);
    section.finish();
    InferenceConfig {
        models: models.map(|folder| base.join(folder)),
        gpu,
        onnx_runtime: onnx_runtime.map(|library| base.join(library)),
        cuda,
        gpu_memory_mib: u32::try_from(budget).ok().filter(|_| is_given),
        programs,
    }
}

/// Where the files of the kernel are: elsewhere for a recorded tree.
fn sensors(mut section: Section<'_>, base: &Path) -> PathBuf {
    let root: Option<PathBuf> = section.parsed("sysfs_root");
    section.finish();
    root.map_or_else(|| PathBuf::from("/"), |root| base.join(root))
}

fn source(mut section: Section<'_>, base: &Path) -> Option<SourceConfig> {
    let name: Option<TaskId> = section.needed("name");
    section.require("key");
    let key = section.converted("key", StateKey::new);
    let file: Option<PathBuf> = section.needed("file");
    section.finish();
    Some(SourceConfig { name: name?, key: key?, file: base.join(file?) })
}

fn input(mut section: Section<'_>, base: &Path) -> Option<PathBuf> {
    let dir: Option<PathBuf> = section.needed("dir");
    section.finish();
    dir.map(|dir| base.join(dir))
}
