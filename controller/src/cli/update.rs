//! `starbelt node update` and `starbelt node resume`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use protocol::encode;
use protocol::release::{PROGRAM_BYTES_MAX, ProgramFacts, Release, SignedRelease};
use protocol::report::{LifeReport, UpdateReport};
use types::{Epoch, NodeId};

use super::client::Client;
use super::key::signing_key;
use super::output::{fields, span, table};
use super::{CliError, Format, Printed};
use crate::api::{CommandInfo, CommandState, ProgramInfo, UpdateAsk};
use crate::deploy::{PROGRAM_UPLOAD_TYPE, body, sha256};
use crate::exit_code;
use crate::hex::hex;

/// Between two tries to reach a node.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Another program for nodes.
#[derive(Debug, Args)]
pub(super) struct Update {
    /// The nodes.
    #[arg(required = true)]
    nodes: Vec<NodeId>,
    /// The program: a starbelt-agent for the processor of the nodes.
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
    /// The key to sign with, which update.keys of the nodes names: a file, or the name of a key that `key new` made; without it the only one there is.
    #[arg(long, value_name = "FILE|NAME")]
    key: Option<String>,
    /// Sign that it may replace a newer program.
    #[arg(long)]
    may_be_older: bool,
    /// How long one start of it may take to be well, seconds; where the contact plan foresees a contact in that time, the controller has to be reached, too.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(10..=86_400))]
    within_s: u32,
    /// Only ask whether the nodes would take it; nothing is uploaded.
    #[arg(long)]
    dry_run: bool,
    /// For how long a node that does not answer is asked again, seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait_s: u64,
}

pub(super) fn update(client: &Client, format: Format, asked: &Update) -> Result<Printed, CliError> {
    let program = read(&asked.program)?;
    let signed = sign(&program, asked)?;
    if !asked.dry_run {
        client.post::<ProgramInfo>("/programs", PROGRAM_UPLOAD_TYPE, &body(&signed, &program))?;
    }
    let ask =
        UpdateAsk { release: hex(&signed), within_s: asked.within_s, is_rehearsal: asked.dry_run };
    let ask = serde_json::to_vec(&ask)
        .map_err(|error| CliError::new(exit_code::FAILURE, error.to_string()))?;
    let until = Instant::now() + Duration::from_secs(asked.wait_s);
    let (mut rows, mut answers, mut end) = (Vec::new(), Vec::new(), None);
    for node in &asked.nodes {
        match tell(client, node, &ask, until) {
            Ok((text, info)) => {
                rows.push([node.to_string(), words(&info, asked.dry_run).to_owned()]);
                answers.push(text.trim_end().to_owned());
            }
            Err(error) => {
                rows.push([node.to_string(), error.message.clone()]);
                // The first one decides how this ends; the others are told as well.
                end.get_or_insert(error);
            }
        }
    }
    let data = match format {
        Format::Json => format!("[{}]\n", answers.join(",")),
        Format::Table => table(["NODE", "ANSWER"], &rows),
    };
    Ok(Printed { data, end })
}

/// Tells one node, again while it does not answer.
fn tell(
    client: &Client,
    node: &NodeId,
    ask: &[u8],
    until: Instant,
) -> Result<(String, CommandInfo), CliError> {
    loop {
        let path = format!("/nodes/{node}/update");
        match client.post::<CommandInfo>(&path, "application/json", ask) {
            Ok(answer) => return Ok((answer.text, answer.value)),
            Err(error) if error.code == exit_code::UNREACHABLE && Instant::now() < until => {
                std::thread::sleep(ASK_AGAIN);
            }
            Err(error) => return Err(error),
        }
    }
}

const fn words(info: &CommandInfo, is_rehearsal: bool) -> &'static str {
    match info.state {
        CommandState::Scheduled => "taken: it gets the program, and tries it; see `node show`",
        CommandState::Done if is_rehearsal => "would take it, or has it",
        CommandState::Done => "has it",
        CommandState::Cancelled => "cancelled",
    }
}

fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    let unreadable = |error: std::io::Error| {
        CliError::new(exit_code::FAILURE, format!("{} cannot be read: {error}", file.display()))
    };
    let bytes = std::fs::metadata(file).map_err(unreadable)?.len();
    if u64::from(PROGRAM_BYTES_MAX) < bytes {
        let rule = format!("a program has at most {PROGRAM_BYTES_MAX}; strip it");
        let message = format!("{} has {bytes} bytes, {rule}", file.display());
        return Err(CliError::new(exit_code::FAILURE, message));
    }
    std::fs::read(file).map_err(unreadable)
}

/// The frame of the signed release of a program.
fn sign(program: &[u8], asked: &Update) -> Result<Vec<u8>, CliError> {
    let bad = |reason: String| {
        let message = format!("{}: {reason}", asked.program.display());
        CliError::new(exit_code::BAD_CONFIG, message)
    };
    let facts = ProgramFacts::read(program).map_err(|error| bad(error.to_string()))?;
    let key = signing_key(asked.key.as_deref(), None)?;
    let release = Release {
        number: facts.number,
        version: facts.version,
        arch: facts.arch,
        sha256: sha256(program),
        bytes: u32::try_from(program.len()).map_err(|error| bad(error.to_string()))?,
        key: key.id(),
        may_be_older: asked.may_be_older,
    };
    let signed: SignedRelease = key.sign_release(&release).map_err(|e| bad(e.to_string()))?;
    encode(&signed).map_err(|error| bad(error.to_string()))
}

pub(super) fn resume(client: &Client, format: Format, node: &NodeId) -> Result<Printed, CliError> {
    let path = format!("/nodes/{node}/resume");
    let answer = client.post::<CommandInfo>(&path, "application/json", b"")?;
    Ok(answer.print(format, |command| {
        fields(&[
            ("node", command.node.to_string()),
            ("state", "starts anew with functions, if it was in safe mode".to_owned()),
        ])
    }))
}

/// What a node says of its program, for `node show`.
pub(super) fn life_words(life: &LifeReport) -> Vec<(&'static str, String)> {
    let kind = if life.is_packaged { "of the package" } else { "of an update" };
    let mut rows = vec![("program", format!("built {}, {kind}", built(life.number)))];
    if let Some(safe) = &life.safe_mode {
        let left = span(f64::from(safe.left_s));
        let failed = safe.failed;
        rows.push((
            "safe mode",
            format!("no functions after {failed} failed starts; tries again in {left}, or after `starbelt node resume`"),
        ));
    }
    rows.extend(life.update.as_ref().map(|update| ("update", update_words(update))));
    rows
}

fn update_words(update: &UpdateReport) -> String {
    let UpdateReport { number, version, step, have, bytes, reason } = update;
    let kib = |bytes: u32| bytes / 1024;
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    format!(
        "{version} (built {}) {}, {} of {} KiB here{reason}",
        built(*number),
        step.words(),
        kib(*have),
        kib(*bytes)
    )
}

fn built(number: u64) -> String {
    let at = i64::try_from(number).ok().and_then(Epoch::from_unix_s);
    at.map_or_else(|| number.to_string(), |at| format!("{at:.0}"))
}
