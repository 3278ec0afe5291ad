//! What functions log, on its way to the controller: bounded in lines a second for each task, and in memory for all of them.
//! What is over a bound is counted and said, so that a gap is never taken for silence.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use protocol::log::{LINE_BYTES_MAX, LINES_MAX, LogBatch, LogLevel, LogLine};
use protocol::report::Header;
use runtime::Level;
use tokio::sync::Notify;
use types::{BootId, Epoch, FunctionId, NodeId, RunId, Uptime};

use super::locked;
use crate::state::GroupId;

/// Lines that a task may log at once.
const BURST_LINES: u32 = 200;
/// Lines a second that a task may log on and on.
const LINES_PER_S: u32 = 50;
/// Lines of all tasks that wait to be sent: a second of 20 tasks; at most 1 MiB.
const WAITING_MAX: usize = 1024;
/// Tasks whose lines are counted; those that were silent longest are forgotten first.
const TASKS_MAX: usize = 128;

/// Takes the lines of all tasks; clones are handles to the same.
#[derive(Clone, Debug, Default)]
pub struct LogTap {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    tasks: Mutex<BTreeMap<GroupId, Lines>>,
    /// Somebody logged something.
    news: Notify,
}

/// The lines of a task.
#[derive(Debug)]
struct Lines {
    function: FunctionId,
    waiting: Vec<LogLine>,
    dropped: u64,
    /// Lines that it may log now, and when that was counted.
    allowance: f64,
    counted_at: Instant,
}

/// Lines of one task, without who sends them.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    group: GroupId,
    function: FunctionId,
    lines: Vec<LogLine>,
    dropped: u64,
}

impl LogTap {
    /// Takes a line, or counts it as dropped. Never waits.
    pub fn line(
        &self,
        (group, function): (&GroupId, &FunctionId),
        (at, run): (Epoch, RunId),
        level: Level,
        text: &str,
    ) {
        let line = LogLine { at, run, level: level_of(level), text: shown(text) };
        self.add(group, function, line, Instant::now());
    }

    fn add(&self, group: &GroupId, function: &FunctionId, line: LogLine, now: Instant) {
        let mut tasks = locked(&self.inner.tasks);
        let waiting: usize = tasks.values().map(|lines| lines.waiting.len()).sum();
        if TASKS_MAX <= tasks.len() && !tasks.contains_key(group) {
            forget_the_quietest(&mut tasks);
        }
        let lines = tasks.entry(group.clone()).or_insert_with(|| Lines::of(function, now));
        lines.function.clone_from(function);
        if lines.may_log(now) && waiting < WAITING_MAX {
            lines.waiting.push(line);
        } else {
            lines.dropped += 1;
        }
        drop(tasks);
        self.inner.news.notify_one();
    }

    /// Waits until there is something to take.
    pub async fn news(&self) {
        self.inner.news.notified().await;
    }

    /// Takes what waits, at most so many lines of each task at once; nothing is left when nothing comes.
    pub fn take(&self) -> Vec<Taken> {
        let mut tasks = locked(&self.inner.tasks);
        let mut taken = Vec::new();
        for (group, lines) in tasks.iter_mut() {
            if lines.waiting.is_empty() && lines.dropped == 0 {
                continue;
            }
            let rest = lines.waiting.split_off(lines.waiting.len().min(LINES_MAX));
            let now = std::mem::replace(&mut lines.waiting, rest);
            let dropped = std::mem::take(&mut lines.dropped);
            let (group, function) = (group.clone(), lines.function.clone());
            taken.push(Taken { group, function, lines: now, dropped });
        }
        taken
    }
}

impl Taken {
    /// The message, with that number.
    pub fn batch(self, node: &NodeId, boot: BootId, seq: u64, at: (Epoch, Duration)) -> LogBatch {
        let uptime = Uptime(u64::try_from(at.1.as_millis()).unwrap_or(u64::MAX));
        LogBatch {
            header: Header { node: node.clone(), boot, seq, at: at.0, uptime },
            workflow: self.group.workflow,
            task: self.group.task,
            function: self.function,
            lines: self.lines,
            dropped: self.dropped,
        }
    }
}

impl Lines {
    fn of(function: &FunctionId, now: Instant) -> Self {
        Self {
            function: function.clone(),
            waiting: Vec::new(),
            dropped: 0,
            allowance: f64::from(BURST_LINES),
            counted_at: now,
        }
    }

    /// Whether one more line fits the rate; it counts then.
    fn may_log(&mut self, now: Instant) -> bool {
        let since_s = now.saturating_duration_since(self.counted_at).as_secs_f64();
        let earned = since_s * f64::from(LINES_PER_S);
        self.allowance = (self.allowance + earned).min(f64::from(BURST_LINES));
        self.counted_at = now;
        let may = 1.0 <= self.allowance;
        if may {
            self.allowance -= 1.0;
        }
        may
    }
}

fn forget_the_quietest(tasks: &mut BTreeMap<GroupId, Lines>) {
    let quietest = tasks.iter().min_by_key(|(_, lines)| lines.counted_at);
    if let Some(group) = quietest.map(|(group, _)| group.clone()) {
        tasks.remove(&group);
    }
}

fn level_of(level: Level) -> LogLevel {
    match level {
        Level::Trace => LogLevel::Trace,
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
    }
}

/// A text without control characters, which could do things to a terminal, and not longer than a line may be.
fn shown(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        let more = if character.is_control() {
            character.escape_default().to_string()
        } else {
            character.to_string()
        };
        if LINE_BYTES_MAX < line.len() + more.len() {
            break;
        }
        line.push_str(&more);
    }
    line
}

#[cfg(test)]
mod tests {
    use types::{TaskId, WorkflowId};

    use super::*;

    fn group(task: &str) -> GroupId {
        let workflow = WorkflowId::new("w").unwrap();
        GroupId { workflow, task: TaskId::new(task).unwrap() }
    }

    fn line(text: &str) -> LogLine {
        let at = Epoch::from_unix_ns(0);
        LogLine { at, run: RunId(1), level: LogLevel::Info, text: text.to_owned() }
    }

    fn function() -> FunctionId {
        FunctionId::new("f").unwrap()
    }

    #[test]
    fn a_storm_is_cut_and_counted_and_a_quiet_task_beside_it_is_heard() {
        let (tap, start) = (LogTap::default(), Instant::now());
        for number in 0..1_000 {
            tap.add(&group("loud"), &function(), line(&number.to_string()), start);
        }
        tap.add(&group("quiet"), &function(), line("here"), start);
        let taken = tap.take();
        assert_eq!((taken[0].lines.len(), taken[0].dropped), (LINES_MAX, 800));
        assert_eq!((taken[1].lines[0].text.as_str(), taken[1].dropped), ("here", 0));
        // The rest comes in order, and the gap is told once.
        let texts: Vec<String> = std::iter::repeat_with(|| tap.take())
            .take_while(|taken| !taken.is_empty())
            .inspect(|taken| assert_eq!(taken[0].dropped, 0))
            .flat_map(|mut taken| taken.remove(0).lines)
            .map(|line| line.text)
            .collect();
        assert_eq!((texts.len(), texts[135].as_str()), (136, "199"));
        // A second later it may say 50 more.
        for _ in 0..60 {
            tap.add(&group("loud"), &function(), line("x"), start + Duration::from_secs(1));
        }
        let taken = tap.take();
        assert_eq!((taken[0].lines.len(), taken[0].dropped), (50, 10));
    }

    #[test]
    fn many_tasks_together_stay_within_the_memory_that_is_theirs() {
        let (tap, start) = (LogTap::default(), Instant::now());
        for number in 0..300 {
            for _ in 0..10 {
                tap.add(&group(&format!("t{number}")), &function(), line("x"), start);
            }
        }
        let waiting =
            locked(&tap.inner.tasks).values().map(|lines| lines.waiting.len()).sum::<usize>();
        assert!(waiting <= WAITING_MAX && locked(&tap.inner.tasks).len() <= TASKS_MAX, "{waiting}");
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_long_lines_are_cut() {
        assert_eq!(shown("a\x1b[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(shown(&"é".repeat(600)).len(), LINE_BYTES_MAX);
        let many = shown(&"\x07".repeat(600));
        assert!(many.len() <= LINE_BYTES_MAX && many.ends_with('}'), "{many}");
    }
}
