//! What a report says, in metrics.

use protocol::report::{
    BacklogReport, ComputeReport, FunctionReport, GpuReport, LinkReport, NoReading, PositionReport,
    PowerReport, QueueReport, ReportBody, ThermalReport,
};

use crate::value::{Sampled, Value};

/// The values of a report by the keys of their metrics. Energy drawn is counted elsewhere: one report does not know it.
pub(crate) fn values(body: &ReportBody) -> Vec<(&'static str, Sampled)> {
    match body {
        ReportBody::Power(power) => of_power(power),
        ReportBody::Thermal(thermal) => of_thermal(thermal),
        ReportBody::Compute(compute) => of_compute(compute),
        ReportBody::Gpu(gpu) => of_gpu(gpu),
        ReportBody::Link(link) => of_link(link),
        ReportBody::Position(position) => of_position(position),
        ReportBody::Function(function) => of_function(function),
        ReportBody::Queue(queue) => of_queue(queue),
        ReportBody::Backlog(backlog) => of_backlog(backlog),
        ReportBody::Life(_) => Vec::new(),
    }
}

fn of_power(power: &PowerReport) -> Vec<(&'static str, Sampled)> {
    vec![
        ("charge_percent", Sampled::of(power.state_of_charge, 100.0)),
        ("capacity_wh", Sampled::of(power.capacity_wh, 1.0)),
        ("load_w", Sampled::of(power.load_w, 1.0)),
        ("solar_w", Sampled::of(power.solar_w, 1.0)),
    ]
}

fn of_thermal(thermal: &ThermalReport) -> Vec<(&'static str, Sampled)> {
    vec![
        ("hottest_c", Sampled::of(thermal.hottest_c, 1.0)),
        ("limit_c", Sampled::of(thermal.limit_c, 1.0)),
    ]
}

fn of_compute(compute: &ComputeReport) -> Vec<(&'static str, Sampled)> {
    vec![
        ("load_milli_cpu", Sampled::of(compute.load_milli_cpu, 1.0)),
        ("pss_mib", Sampled::of(compute.pss_mib, 1.0)),
        ("threads", Sampled::of(compute.threads, 1.0)),
        ("free_milli_cpu", count(u64::from(compute.free.milli_cpu.0))),
        ("free_memory_mib", count(u64::from(compute.free.memory_mib.0))),
    ]
}

fn of_gpu(gpu: &GpuReport) -> Vec<(&'static str, Sampled)> {
    vec![
        ("load_percent", Sampled::of(gpu.load, 100.0)),
        ("free_mib", Sampled::of(gpu.free_mib, 1.0)),
        ("temperature_c", Sampled::of(gpu.temperature_c, 1.0)),
    ]
}

fn of_link(link: &LinkReport) -> Vec<(&'static str, Sampled)> {
    let heard = link.samples.iter().filter(|sample| sample.rtt_us.is_some()).count();
    let nearest = link.samples.iter().filter_map(|sample| sample.rtt_us).min();
    // A round trip that takes minutes is none: 24 bits hold four hours of milliseconds.
    let in_ms = |us: u32| Value::Real(of_f64(f64::from(us) / 1000.0));
    let nearest = nearest.map_or(Value::Unknown(NoReading::NotYet), in_ms);
    vec![
        ("peers_heard", count(of_usize(heard))),
        ("peers_silent", count(of_usize(link.samples.len() - heard))),
        ("rtt_ms_min", Sampled::plain(nearest)),
    ]
}

fn of_position(position: &PositionReport) -> Vec<(&'static str, Sampled)> {
    let source = Some(position.source);
    let wide = |value| Sampled { value: Value::Wide(value), sigma: None, source };
    let place = position.position;
    vec![
        ("lat_deg", wide(place.lat_deg)),
        ("lon_deg", wide(place.lon_deg)),
        ("alt_km", wide(place.alt_km)),
    ]
}

fn of_function(function: &FunctionReport) -> Vec<(&'static str, Sampled)> {
    let mut tasks: Vec<_> = function.tasks.iter().map(|row| (&row.workflow, &row.task)).collect();
    tasks.sort_unstable();
    tasks.dedup();
    let calls = function.tasks.iter().fold(0_u64, |sum, row| sum.saturating_add(row.calls));
    let failures = function.tasks.iter().fold(0_u64, |sum, row| sum.saturating_add(row.failures));
    let energy = function.tasks.iter().filter_map(|row| row.energy_j);
    let (joules, counted) = energy.fold((0.0, 0_u64), |(joules, counted), summary| {
        (joules + summary.sum, counted + u64::from(summary.count))
    });
    let mean = match u32::try_from(counted) {
        Ok(counted) if 0 < counted => Value::Real(of_f64(joules / f64::from(counted))),
        _ => Value::Unknown(NoReading::NotYet),
    };
    vec![
        ("tasks", count(of_usize(tasks.len()))),
        ("calls", count(calls)),
        ("failures", count(failures)),
        ("energy_j_mean", Sampled::plain(mean)),
    ]
}

fn of_queue(queue: &QueueReport) -> Vec<(&'static str, Sampled)> {
    vec![
        ("invocations_waiting", count(u64::from(queue.invocations_waiting))),
        ("transfers_waiting", count(u64::from(queue.transfers_waiting))),
        ("state_bytes", count(queue.state_bytes)),
        ("frames_dropped", count(queue.frames_dropped)),
        ("reports_dropped", count(queue.reports_dropped)),
    ]
}

fn of_backlog(backlog: &BacklogReport) -> Vec<(&'static str, Sampled)> {
    let lost = [backlog.lost_full, backlog.lost_expired, backlog.lost_memory];
    vec![
        ("records", count(backlog.records)),
        ("disk_bytes", count(backlog.disk_bytes)),
        ("thinned", count(backlog.thinned)),
        ("lost", count(lost.into_iter().fold(0, u64::saturating_add))),
        ("disk_failures", count(backlog.disk_failures)),
    ]
}

const fn count(value: u64) -> Sampled {
    Sampled::plain(Value::Count(value))
}

fn of_usize(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "the nearest of 32 bits is what is wanted")]
fn of_f64(value: f64) -> f32 {
    value as f32
}
