//! What a run says on stderr: lines of the log, what the call cost, why it failed.

use std::error::Error;
use std::io::Write as _;

use runtime::{CallReport, HandOver};

use super::LocalRun;
use super::host::LocalHost;

/// One line; a closed stderr is not worth an error.
pub(crate) fn line(text: &str) {
    writeln!(std::io::stderr().lock(), "{text}").ok();
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // A cause that is shown within its effect says nothing new.
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// What the call cost, and what came of it besides the answer.
pub(super) fn usage(asked: &LocalRun, report: &CallReport, host: &LocalHost) {
    let usage = &report.usage;
    let how = match &report.outcome {
        Ok(answer) => format!("answered {} bytes", answer.len()),
        Err(_) => "did not answer".to_owned(),
    };
    line(&format!("{}: {how}", asked.name));
    let [instantiate, run, cpu] = [usage.instantiate_ns, usage.run_ns, usage.cpu_ns].map(time);
    line(&format!("  time     instantiate {instantiate}, run {run}, processor {cpu}"));
    let (peak_kib, granted) = (usage.peak_memory_bytes / 1024, asked.linear_memory_mib);
    line(&format!("  memory   {peak_kib} KiB of {granted} MiB"));
    let hand_over = usage.hand_over.map_or("none", mode);
    line(&format!(
        "  state    {} calls; other functions: {} calls, hand-over {hand_over}",
        host.state_ops, usage.calls
    ));
    let kept = if asked.out.is_some() { "" } else { ", not kept: --out DIR" };
    for (key, bytes) in &host.outputs {
        line(&format!("  object   {}: {} bytes{kept}", key.as_str(), bytes.len()));
    }
    for (topic, bytes) in &host.emitted {
        line(&format!("  emitted  {topic}: {bytes} bytes, to nobody here"));
    }
    if usage.log_cut {
        line("  log      cut: 8 KiB a line, 64 KiB a call");
    }
}

fn mode(mode: HandOver) -> &'static str {
    match mode {
        HandOver::Fused => "in one store",
        HandOver::Process => "from store to store",
        HandOver::Node => "between processes",
        HandOver::Network => "over the network",
    }
}

/// Nanoseconds, readable: `870 ns`, `61 µs`, `12.4 ms`, `2.1 s`.
pub(crate) fn time(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} µs", ns / 1_000),
        1_000_000..1_000_000_000 => {
            format!("{}.{} ms", ns / 1_000_000, ns / 100_000 % 10)
        }
        _ => format!("{}.{} s", ns / 1_000_000_000, ns / 100_000_000 % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_readable() {
        for (ns, text) in
            [(870, "870 ns"), (61_900, "61 µs"), (12_480_000, "12.4 ms"), (2_100_000_000, "2.1 s")]
        {
            assert_eq!(time(ns), text);
        }
    }
}
