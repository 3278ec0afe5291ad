//! What is printed when a demo has ended.

use std::io::{self, Write};
use std::path::Path;

use crate::report::Report;

/// Prints the report's main numbers and where the rest lies.
pub(super) fn print(report: &Report, path: &Path) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let rtt = &report.link_rtt_error_ms;
    writeln!(out)?;
    writeln!(
        out,
        "  {} s on {} ({} satellites), {} nodes reporting, {:.2} of {} cores busy",
        report.wall_seconds.round(),
        report.constellation,
        report.satellites,
        report.nodes_reporting,
        report.cpu_load,
        report.cpus
    )?;
    writeln!(
        out,
        "  workflow runs     {} completed with the right result, {} failed; median {:.0} ms, p95 {:.0} ms",
        report.workflows_completed,
        report.workflows_failed,
        report.workflow_ms.p50,
        report.workflow_ms.p95
    )?;
    writeln!(
        out,
        "  hand-overs        {} planned, {} decided and moved with their state before the window closed; {} forced by faults",
        report.handovers.len(),
        report.handovers_before_close,
        report.failovers.len()
    )?;
    writeln!(
        out,
        "  state             {} writes acknowledged, {} lost, {} out of reach; {:.1} % of starts had all of it local",
        report.state_writes_acknowledged,
        report.state_lost,
        report.state_unreachable,
        report.state_local_at_start_ratio * 100.0
    )?;
    writeln!(
        out,
        "                    {} checked, {} replaced by newer ones, {} past what agents keep, {} beyond what is read",
        report.state_writes_checked,
        report.state_writes_superseded,
        report.state_writes_expired,
        report.state_writes_unchecked
    )?;
    writeln!(
        out,
        "  links             {} round trips, error p50 {:.2} ms, p95 {:.2} ms, {:.1} % within max(2 ms, 10 %)",
        rtt.samples,
        rtt.p50,
        rtt.p95,
        rtt.within_tolerance_ratio * 100.0
    )?;
    let largest = report.agent_pss_mib.values().copied().fold(0.0_f64, f64::max);
    writeln!(
        out,
        "  agents            at most {largest:.1} MiB each; limits broken for {:.0} s of the sky",
        report.slo_violation_run_seconds
    )?;
    writeln!(out, "  report            {}", path.display())
}
