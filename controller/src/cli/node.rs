//! `starbelt node`.

use protocol::report::BacklogReport;
use types::{NodeId, Region};

use super::client::Client;
use super::output::{UNKNOWN, fields, known, span, table};
use super::update::life_words;
use super::{CliError, Format, Printed};
use crate::api::{NodeInfo, NodeList, NodeState};

pub(super) fn list(client: &Client, format: Format) -> Result<Printed, CliError> {
    let answer = client.get::<NodeList>("/nodes", &[])?;
    Ok(answer.print(format, |list| {
        let rows: Vec<[String; 10]> = list.nodes.iter().map(row).collect();
        let header = [
            "NODE", "KIND", "STATE", "HEARD", "BATTERY", "TEMP", "FREE CPU", "FREE MEM", "LATENCY",
            "TASKS",
        ];
        table(header, &rows)
    }))
}

pub(super) fn show(client: &Client, format: Format, node: &NodeId) -> Result<Printed, CliError> {
    let answer = client.get::<NodeInfo>(&format!("/nodes/{node}"), &[])?;
    Ok(answer.print(format, details))
}

fn state(node: &NodeInfo) -> &'static str {
    match node.state {
        NodeState::Unheard => "unheard",
        NodeState::Up => "up",
        NodeState::Silent => "silent",
        NodeState::Down => "down",
    }
}

fn row(node: &NodeInfo) -> [String; 10] {
    let tasks: Vec<String> = node
        .tasks
        .iter()
        .filter(|task| task.role != "replica")
        .map(|task| match task.role.as_str() {
            "owner" => task.task.to_string(),
            role => format!("{} ({role})", task.task),
        })
        .collect();
    [
        node.id.to_string(),
        node.kind.to_string(),
        state(node).to_owned(),
        age(node),
        known(node.state_of_charge, |charge| format!("{:.0} %", charge * 100.0)),
        known(node.temperature_c, |celsius| format!("{celsius:.0} °C")),
        known(node.free, |free| format!("{} mCPU", free.milli_cpu.0)),
        known(node.free, |free| format!("{} MiB", free.memory_mib.0)),
        known(node.latency_ms, |ms| format!("{ms:.1} ms")),
        if tasks.is_empty() { UNKNOWN.to_owned() } else { tasks.join(", ") },
    ]
}

fn age(node: &NodeInfo) -> String {
    known(node.age_ms, |ms| {
        let seconds = std::time::Duration::from_millis(ms).as_secs_f64();
        format!("{} ago", span(seconds))
    })
}

fn details(node: &NodeInfo) -> String {
    let capacity = &node.capacity;
    let number = |value: Option<f64>, unit: &str| known(value, |v| format!("{v:.1} {unit}"));
    let mut rows = vec![
        ("node", node.id.to_string()),
        ("kind", node.kind.to_string()),
        ("region", node.region.as_ref().map_or("none", Region::as_str).to_owned()),
        ("may see", format!("{} data", node.trust.as_str())),
        ("state", state(node).to_owned()),
        ("last report", age(node)),
        ("agent", known(node.version.clone(), |version| version)),
        ("processor", known(node.arch, |arch| format!("{arch:?}"))),
        ("capacity", format!("{} mCPU, {} MiB", capacity.milli_cpu.0, capacity.memory_mib.0)),
        ("free", known(node.free, |f| format!("{} mCPU, {} MiB", f.milli_cpu.0, f.memory_mib.0))),
        ("load", number(node.load_milli_cpu, "mCPU")),
        ("charge", known(node.state_of_charge, |charge| format!("{:.1} %", charge * 100.0))),
        ("battery", number(node.battery_wh, "Wh")),
        ("draws", number(node.load_w, "W")),
        ("solar power", number(node.solar_w, "W")),
        ("sunlight", known(node.sunlit, |share| format!("{:.0} %", share * 100.0))),
        ("temperature", number(node.temperature_c, "°C")),
        ("throttles at", number(node.temperature_max_c, "°C")),
        ("memory of agent", number(node.pss_mib, "MiB")),
        ("latency", number(node.latency_ms, "ms from the controller")),
        ("state held", known(node.state_bytes, |bytes| format!("{bytes} bytes"))),
        ("desired state", format!("{} made, {} acknowledged", node.generation, node.acknowledged)),
        (
            "reports",
            format!(
                "{} taken, {} missed, {} late",
                node.reports, node.reports_missed, node.reports_late
            ),
        ),
        ("events", format!("{} taken, {} lost", node.events, node.events_lost)),
        ("frames refused", node.frames_refused.to_string()),
    ];
    rows.extend(node.backlog.as_ref().map(|backlog| ("backlog", backlog_words(backlog))));
    rows.extend(node.life.iter().flat_map(life_words));
    for task in &node.tasks {
        let phase = task.phase.as_deref().unwrap_or(UNKNOWN);
        let (workflow, name, role) = (&task.workflow, &task.task, &task.role);
        let epoch = task.owner_epoch;
        rows.push(("task", format!("{workflow}.{name}: {role}, {phase}, owner epoch {epoch}")));
    }
    rows.extend(node.flags.iter().map(|flag| ("flag", flag.clone())));
    fields(&rows)
}

/// What waits on a node, and what it could not keep.
fn backlog_words(backlog: &BacklogReport) -> String {
    let kib = |bytes: u64| bytes / 1024;
    let lost = backlog.lost_full + backlog.lost_expired + backlog.lost_memory;
    format!(
        "{} records, {} of {} KiB; {} thinned, {lost} lost",
        backlog.records,
        kib(backlog.disk_bytes),
        kib(backlog.quota_bytes),
        backlog.thinned
    )
}
