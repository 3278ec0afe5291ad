//! `starbelt fn logs`.

use std::io::{BufRead as _, BufReader, Read};

use types::FunctionId;

use super::client::Client;
use super::{CliError, Format, Printed, print};
use crate::api::LogEntry;
use crate::exit_code;

/// Longest line of an answer: a log line of 1 KiB, escaped, and its names.
const LINE_BYTES_MAX: u64 = 16 * 1024;
/// Lines that are read ahead while the terminal is slow.
const AHEAD_MAX: usize = 256;

/// Prints what a function has logged; with `is_following` also what comes, until Ctrl-C.
pub(super) fn logs(
    client: &Client,
    format: Format,
    name: &FunctionId,
    is_following: bool,
) -> Result<Printed, CliError> {
    let path = format!("/functions/{name}/logs?follow={is_following}");
    let answer = client.stream(&path, is_following)?;
    let printed = if is_following { follow(answer, format) } else { copy(answer, format, print) };
    printed?;
    Ok(String::new().into())
}

/// Reads on a thread of its own, so that Ctrl-C is heard while nothing comes.
fn follow(answer: impl Read + Send + 'static, format: Format) -> Result<(), CliError> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        CliError::new(exit_code::FAILURE, format!("{what}: {error}"))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed("waiting for signals", &error))?;
    let (sender, mut lines) = tokio::sync::mpsc::channel::<String>(AHEAD_MAX);
    let reader = std::thread::spawn(move || {
        copy(answer, format, |line| {
            let gone = |_| CliError::new(exit_code::OK, "nobody reads any more");
            sender.blocking_send(line.to_owned()).map_err(gone)
        })
    });
    runtime.block_on(async {
        loop {
            tokio::select! {
                stopped = tokio::signal::ctrl_c() => {
                    return stopped.map_err(|error| failed("listening to signals", &error));
                }
                line = lines.recv() => match line {
                    Some(line) => print(&line)?,
                    None => break,
                },
            }
        }
        // The answer has ended, which is not what was asked for.
        match reader.join() {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) | Err(_) => {
                let message = "the controller has ended the log; is it stopping?";
                Err(CliError::new(exit_code::UNREACHABLE, message))
            }
        }
    })
}

/// Brings every line of an answer to `sink`.
fn copy(
    answer: impl Read,
    format: Format,
    mut sink: impl FnMut(&str) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let broken = |error: std::io::Error| {
        CliError::new(exit_code::UNREACHABLE, format!("the log broke off: {error}"))
    };
    let mut answer = BufReader::new(answer);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let read = answer.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes);
        if read.map_err(broken)? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&bytes);
        // A sign of life.
        if text.trim().is_empty() {
            continue;
        }
        match format {
            Format::Json => sink(&text)?,
            Format::Table => {
                let entry = serde_json::from_str::<LogEntry>(&text).map_err(|error| {
                    let message = format!("a line of the log is not understood: {error}");
                    CliError::new(exit_code::FAILURE, message)
                })?;
                sink(&shown(&entry))?;
            }
        }
    }
}

fn shown(entry: &LogEntry) -> String {
    let (at, node) = (entry.at, &entry.node);
    let task = match (&entry.workflow, &entry.task) {
        (Some(workflow), Some(task)) => format!("{workflow}.{task}"),
        _ => "-".to_owned(),
    };
    match (&entry.level, entry.run) {
        (Some(level), Some(run)) => {
            let level = format!("{level:?}").to_lowercase();
            format!("{at}  {node}  {task}  run {run}  {level:<5}  {}\n", entry.text)
        }
        _ => {
            let (dropped, lost) = (entry.dropped, entry.lost);
            format!("{at}  {node}  {task}  -- {dropped} lines left out, {lost} messages lost --\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"node":"sat-1","workflow":"flood","task":"detect","at":"2026-01-01T00:00:00Z","run":3,"level":"warn","text":"hot","dropped":0,"lost":0}"#;
    const GAP: &str = r#"{"node":"sat-1","workflow":"flood","task":"detect","at":"2026-01-01T00:00:00Z","run":null,"level":null,"text":"","dropped":7,"lost":1}"#;

    fn printed(text: &str, format: Format) -> Result<String, String> {
        let mut told = String::new();
        let sink = |line: &str| {
            told.push_str(line);
            Ok(())
        };
        copy(text.as_bytes(), format, sink).map_err(|error| error.to_string())?;
        Ok(told)
    }

    #[test]
    fn lines_are_for_people_or_as_they_are() {
        let text = format!("{LINE}\n\n{GAP}\n");
        let table = printed(&text, Format::Table).unwrap();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "2026-01-01T00:00:00.000Z  sat-1  flood.detect  run 3  warn   hot");
        assert!(lines[1].ends_with("-- 7 lines left out, 1 messages lost --"), "{table}");
        assert_eq!(printed(&text, Format::Json).unwrap(), format!("{LINE}\n{GAP}\n"));
        assert!(printed("{}\n", Format::Table).unwrap_err().contains("not understood"));
    }
}
