//! Measures the function runtime, in one run, beside bare wasmtime, containers and what the machine itself takes: `cargo xtask bench
//! runtime [--json FILE] [--quick]`.
//!
//! Reading order: [`measure`] (sides in turns), [`row`] (what is written), [`stage`] and [`bare`] (our runtime and wasmtime alone), [`guests`]
//! (guests from text), [`rows`] (one file for a group of rows), [`fit`] (least squares), [`container`], [`table`] (what people read).

mod bare;
mod container;
mod fit;
mod floor;
mod guests;
mod machine;
mod measure;
mod row;
mod rows;
mod stage;
mod table;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

/// Measures the function runtime of Starbelt.
#[derive(Debug, Parser)]
struct Args {
    /// Also writes the rows to a file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Small inputs only: a minute instead of a quarter of an hour.
    #[arg(long)]
    quick: bool,
    /// Prints the tables as Markdown, for docs/reproduction.md.
    #[arg(long)]
    markdown: bool,
    /// Only the groups of rows whose title contains this, of the suite all of it: `start`, `fresh calls`, `suite`.
    #[arg(long, value_name = "TITLE")]
    only: Option<String>,
    #[command(subcommand)]
    command: Option<Hidden>,
}

/// What the bench starts itself for, in processes of their own.
#[derive(Debug, Subcommand)]
enum Hidden {
    /// Prints how long starting and ending a process takes, nanoseconds a line.
    #[command(hide = true)]
    Floor {
        /// How.
        kind: floor::Kind,
    },
    /// Prints by how many bytes the memory of a process rises that loads a module.
    #[command(hide = true)]
    CompileRise {
        /// The module.
        file: PathBuf,
        /// Where it is compiled.
        place: rows::Compiling,
    },
    /// Compiles what the runtime hands over.
    #[command(hide = true)]
    CompileChild,
    /// Runs what the runtime hands over.
    #[command(hide = true)]
    Runner,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match args.command {
        Some(Hidden::CompileChild) => return runtime::compile_child(),
        Some(Hidden::Runner) => return runtime::runner(),
        _ => {}
    }
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    match &args.command {
        Some(Hidden::Floor { kind }) => return floor::run_here(*kind),
        Some(Hidden::CompileRise { file, place }) => return rows::compile_rise(file, *place),
        Some(Hidden::CompileChild | Hidden::Runner) | None => {}
    }
    artifacts::suite_available()?;
    let report = rows::measure(args.quick, args.only.as_deref())?;
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&report.rows())? + "\n";
        std::fs::write(file, text)
            .with_context(|| format!("{} cannot be written", file.display()))?;
    }
    let style = if args.markdown { table::Style::Markdown } else { table::Style::Plain };
    let text = table::text(&report, style);
    std::io::stdout().lock().write_all(text.as_bytes()).context("cannot write to stdout")
}

/// Says on stderr what is being measured.
fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}
