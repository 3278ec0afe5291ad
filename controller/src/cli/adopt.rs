//! `starbelt adopt`: puts the agent on a board that runs, over SSH, or takes it away again.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use onboard::adopt::perform::{Errand, ask, perform};
use onboard::adopt::plan::plan;
use onboard::adopt::probe::Found;
use onboard::adopt::remove::{self, Removal};
use onboard::adopt::step::{Prefix, Step, needs_token, shown};
use onboard::adopt::{Joins, Layout, PackageFile, Refusal, Trouble, Wanted};
use onboard::flash::source::sum;
use onboard::interrupt::Interrupt;
use onboard::node::identity_dir;
use onboard::remote::{Reach, Ssh};
use protocol::join::Token;

use super::board::{As, interrupt, unreadable, usage};
use super::client::Client;
use super::output::fields;
use super::{CliError, Format, Printed, warn};
use crate::exit_code;

/// For how long a token is good that is made here: an adoption takes a minute, over slow links twenty.
const TOKEN_MINUTES: u32 = 60;

/// Which board, and what is to become of it.
#[derive(Debug, Args)]
pub(super) struct Adopt {
    /// The board, as ssh takes it; its host key has to be known already.
    #[arg(value_name = "[USER@]HOST")]
    destination: String,
    /// The package of the agent, like target/dist/starbelt-agent_0.1.0_arm64.deb.
    #[arg(long, value_name = "FILE", required_unless_present = "remove")]
    package: Option<PathBuf>,
    #[command(flatten)]
    as_node: As,
    /// Takes the board although it is in another fleet, or has another name there.
    #[arg(long)]
    take_over: bool,
    /// Removes the agent: all that it is and knows, or the program alone.
    #[arg(long, value_enum, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    remove: Option<What>,
    /// Looks at the board and prints every command instead of running it.
    #[arg(long)]
    dry_run: bool,
    /// A port other than ssh's configuration says.
    #[arg(short, long)]
    port: Option<u16>,
    /// A key other than ssh's configuration says.
    #[arg(short = 'i', long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// A configuration of ssh instead of yours.
    #[arg(long, value_name = "FILE")]
    ssh_config: Option<PathBuf>,
}

/// What is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// The program, its configuration, state and identity.
    All,
    /// The program; what it knows stays for the next one.
    Program,
}

pub(super) fn adopt(client: &Client, format: Format, asked: &Adopt) -> Result<Printed, CliError> {
    let mut reach = Reach::new(&asked.destination).map_err(|rule| usage(&rule))?;
    reach.port = asked.port;
    reach.key.clone_from(&asked.key);
    reach.ssh_config.clone_from(&asked.ssh_config);
    let layout = Layout::default();
    let (wanted, removes) = match (asked.remove, &asked.package) {
        (Some(what), _) => (None, Some(what)),
        (None, Some(package)) => {
            let board = asked.as_node.read()?;
            let package = package_file(package)?;
            let wanted = Wanted {
                node: board.node,
                package,
                config: board.config,
                joins: board.joins,
                takes_over: asked.take_over,
            };
            (Some(wanted), None)
        }
        (None, None) => return Err(usage("which package? Give --package FILE")),
    };
    let ssh = Ssh::new(reach)
        .map_err(|error| CliError::new(exit_code::FAILURE, format!("no folder: {error}")))?;
    let package = wanted.as_ref().map(|wanted| &wanted.package);
    let config = wanted.as_ref().and_then(|wanted| wanted.config.as_deref());
    let identity = config.and_then(identity_dir).unwrap_or_else(|| layout.identity.clone());
    let layout = Layout { identity, ..layout };
    let found = ask(&ssh, &layout, &layout.identity, package).map_err(refused)?;
    let steps = match (&wanted, removes) {
        (Some(wanted), _) => plan(wanted, &found, &layout),
        (None, what) => {
            let removal = Removal {
                fleet: asked.as_node.fleet.clone(),
                name: asked.as_node.name().cloned(),
                keeps_state: what == Some(What::Program),
                takes_over: asked.take_over,
            };
            remove::plan(&removal, &found, &layout)
        }
    };
    let steps = steps.map_err(refused)?;
    if asked.dry_run {
        return Ok(commands(&ssh, package, &found, &steps).into());
    }
    let token = token(client, asked, wanted.as_ref(), &steps)?;
    // From here on Ctrl-C takes back what was done; before, there is nothing.
    let interrupt = interrupt()?;
    let errand = Errand { package, token: token.as_ref(), found: &found, interrupt: &interrupt };
    let done = perform(&ssh, &steps, &errand, &mut |line| warn(line));
    done.map_err(|failed| CliError::new(code(failed.trouble), failed.to_string()))?;
    Ok(told(format, asked, wanted.as_ref(), &found, &steps))
}

/// With what the board joins, if a step does so; before anything is done to it.
fn token(
    client: &Client,
    asked: &Adopt,
    wanted: Option<&Wanted>,
    steps: &[Step],
) -> Result<Option<Token>, CliError> {
    let Some(wanted) = wanted.filter(|_| needs_token(steps)) else { return Ok(None) };
    match &wanted.joins {
        Joins::Not => Ok(None),
        Joins::With(token) => Ok(Some(token.clone())),
        Joins::Later => asked.as_node.new_token(client, &wanted.node.name, TOKEN_MINUTES).map(Some),
    }
}

fn told(
    format: Format,
    asked: &Adopt,
    wanted: Option<&Wanted>,
    found: &Found,
    steps: &[Step],
) -> Printed {
    let done: Vec<&str> = steps.iter().map(|step| step.name).collect();
    let node = wanted.map(|wanted| wanted.node.name.to_string());
    let fleet = asked.as_node.fleet.to_string();
    if format == Format::Json {
        let board = asked.destination.as_str();
        let json = serde_json::json!({
            "board": board, "model": found.model, "node": node, "fleet": fleet, "steps": done,
        });
        return format!("{json}\n").into();
    }
    let what = match (wanted, done.is_empty()) {
        (Some(_), true) => "is what it shall be already".to_owned(),
        (None, true) => "has no agent".to_owned(),
        (Some(_), false) => "serves".to_owned(),
        (None, false) => "has no agent any more; its name stays a member of the fleet until it is revoked: starbelt node revoke NAME".to_owned(),
    };
    let mut rows = vec![("board", format!("{} {what}", asked.destination))];
    rows.extend(found.model.clone().map(|model| ("model", model)));
    rows.extend(node.map(|node| ("node", format!("{node} of fleet {fleet}"))));
    rows.push(("done", if done.is_empty() { "nothing".to_owned() } else { done.join(", ") }));
    fields(&rows).into()
}

/// What a dry run prints.
fn commands(ssh: &Ssh, package: Option<&PackageFile>, found: &Found, steps: &[Step]) -> String {
    let target = |path: &str| ssh.reach().target(path);
    let scp = package.map(|package| ssh.scp_line(&package.path)).unwrap_or_default();
    let prefix = Prefix { ssh: &ssh.ssh_line(), scp: &scp, target: &target };
    let all: String = steps.iter().map(|step| shown(step, found.root, &prefix)).collect();
    if all.is_empty() { "# nothing is to be done\n".to_owned() } else { all }
}

fn package_file(path: &Path) -> Result<PackageFile, CliError> {
    let bytes = std::fs::metadata(path).map_err(unreadable(path))?.len();
    let sum = sum(path, &Interrupt::default()).map_err(unreadable(path))?;
    let sha256 = sum.ok_or_else(|| CliError::new(exit_code::FAILURE, "interrupted"))?;
    Ok(PackageFile { path: path.to_owned(), sha256, bytes })
}

fn refused(refusal: Refusal) -> CliError {
    CliError::new(code(refusal.trouble), refusal.message)
}

const fn code(trouble: Trouble) -> u8 {
    match trouble {
        Trouble::Unreachable => exit_code::UNREACHABLE,
        Trouble::Denied => exit_code::DENIED,
        Trouble::Conflict => exit_code::CONFLICT,
        Trouble::Usage => exit_code::USAGE,
        Trouble::Failure => exit_code::FAILURE,
    }
}
