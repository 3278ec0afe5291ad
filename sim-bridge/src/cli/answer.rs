//! How answers leave: as JSON into a file, or as a table for people.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::CommandError;

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
            None => {
                let mut out = io::stdout().lock();
                out.write_all(table().as_bytes())?;
                Ok(out.flush()?)
            }
            Some(file) if file == Path::new("-") => write_json(io::stdout().lock(), answer),
            Some(file) => {
                let created = File::create(file).map_err(|error| told(file, &error))?;
                write_json(BufWriter::new(created), answer)
            }
        }
    }
}

fn told(file: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
}

fn write_json(mut out: impl Write, answer: &impl Serialize) -> Result<(), CommandError> {
    serde_json::to_writer_pretty(&mut out, answer)?;
    writeln!(out)?;
    Ok(out.flush()?)
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
