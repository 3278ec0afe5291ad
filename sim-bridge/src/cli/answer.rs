//! How answers leave: as JSON into a file, or as a table for people.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::CommandError;
use crate::out_file;

/// Where the answer goes.
#[derive(Clone, Debug, clap::Args)]
pub struct AnswerArgs {
    /// Writes the answer as JSON into this file, `-` for the standard output, instead of printing a table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl AnswerArgs {
    /// Writes the answer as asked for; `table` is called only when a table is wanted.
    ///
    /// # Errors
    /// [`CommandError`] when it cannot be written.
    pub fn write(
        &self,
        answer: &impl Serialize,
        table: impl FnOnce() -> String,
    ) -> Result<(), CommandError> {
        match self.json.as_deref() {
            None => print(&table()),
            Some(file) => write_json(file, answer),
        }
    }
}

/// Prints text for people.
///
/// # Errors
/// [`CommandError`] when the standard output takes it not.
pub fn print(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes an answer as JSON with a line end, into a file or, as `-`, to the standard output.
///
/// # Errors
/// [`CommandError`] when it cannot be written; a file is then as it was.
pub fn write_json(file: &Path, answer: &impl Serialize) -> Result<(), CommandError> {
    let mut json = serde_json::to_vec_pretty(answer)?;
    json.push(b'\n');
    Ok(out_file::write(file, &json)?)
}

/// Refuses two outputs of one name, of which one would be lost.
///
/// # Errors
/// [`CommandError`] that names both.
pub fn refuse_twins(outputs: &[(&str, Option<&Path>)]) -> Result<(), CommandError> {
    let mut named: Vec<(&str, &Path)> = Vec::new();
    for (flag, file) in outputs.iter().filter_map(|(flag, file)| Some((*flag, (*file)?))) {
        if let Some((other, _)) = named.iter().find(|(_, before)| *before == file) {
            let what = format!("{other} and {flag} both write {}", file.display());
            return Err(CommandError::Input(format!("{what}: each must have a file of its own")));
        }
        named.push((flag, file));
    }
    Ok(())
}

/// Whether the standard output is free for people: no answer for programs goes there.
pub fn is_for_people(files: &[&Option<PathBuf>]) -> bool {
    !files.iter().any(|file| file.as_deref().is_some_and(out_file::is_standard_output))
}

/// Tells people what they should know about the input, a line each, on the standard error.
///
/// # Errors
/// [`CommandError`] when it cannot be written.
pub fn warn(warnings: &[String]) -> Result<(), CommandError> {
    let mut out = io::stderr().lock();
    for warning in warnings {
        writeln!(out, "starbelt-sim: warning: {warning}")?;
    }
    Ok(())
}

/// Columns of text under their heads, two spaces apart; numbers are to be aligned by their writers.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..head.len())
        .map(|k| {
            let cells = rows.iter().filter_map(|row| row.get(k)).map(|cell| cell.chars().count());
            cells.chain([head[k].chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let body = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    std::iter::once(line(head.to_vec())).chain(body).collect()
}
