//! The operator's command line: one request to the controller's API, or work on the folder of a function; data on stdout, words on
//! stderr.

mod adopt;
mod board;
mod board_order;
mod client;
mod command;
mod flash;
mod folder;
mod function;
mod key;
mod log;
mod member;
mod node;
mod output;
mod place;
mod topology;
mod update;
mod workflow;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use protocol::signed::KeyId;
use types::{Epoch, FleetId, FunctionId, KeyName, NodeId, TaskId, WorkflowId};

use crate::exit_code;
use client::Client;

/// Talks to a Starbelt controller.
#[derive(Debug, Parser)]
#[command(name = "starbelt", version, max_term_width = 100)]
struct Arguments {
    /// How data is printed; `json` is the answer of the API as it is.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// The controller.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "STARBELT_CONTROLLER",
        default_value = "http://127.0.0.1:8080"
    )]
    controller: String,
    /// How long to wait for an answer, seconds.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 10,
          value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    #[command(subcommand)]
    verb: Verb,
}

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Nodes: what they are and how they are.
    #[command(subcommand)]
    Node(NodeVerb),
    /// Workflows: what runs again and again.
    #[command(subcommand)]
    Workflow(WorkflowVerb),
    /// Placement: where tasks are and why.
    #[command(subcommand)]
    Place(PlaceVerb),
    /// The sky: who reaches whom, and when.
    #[command(subcommand)]
    Topo(TopoVerb),
    /// Functions: the code of tasks.
    #[command(subcommand)]
    Fn(FnVerb),
    /// Keys: who signs functions, and whose signatures the fleet takes.
    #[command(subcommand)]
    Key(KeyVerb),
    /// Makes the authority of a fleet on this machine: the key that signs the certificates of all members.
    Provision {
        /// The fleet, as in the controller's configuration.
        fleet: FleetId,
        /// The folder of the authority; nothing in it is ever replaced.
        #[arg(long, value_name = "DIR", default_value = "/var/lib/starbelt/ca")]
        dir: PathBuf,
    },
    /// Joins the fleet as who the token names, a viewer or the emulation's bridge: makes a key here and gets a certificate for it.
    /// Nodes join with `starbelt-agent join`.
    Join(member::Join),
    /// Gets the next certificate of a viewer or of the emulation's bridge with the present one; agents do so by themselves.
    Renew(member::Place),
    /// Puts the agent on a board that runs, over SSH, and joins it to the fleet; --remove takes it away again.
    Adopt(Box<adopt::Adopt>),
    /// Prepares cards for boards before their first start.
    #[command(subcommand)]
    Flash(flash::Flash),
}

#[derive(Debug, Subcommand)]
enum NodeVerb {
    /// Lists all nodes.
    Ls,
    /// Shows all that is known of one.
    Show {
        /// Its name.
        node: NodeId,
    },
    /// Has a node do something at a time, whether it has a link then or not.
    At(command::At),
    /// Takes such a command back, if it has not begun.
    TakeBack(command::TakeBack),
    /// Has a board at a serial line of a node do something: switch a relay, cycle the power of what is behind it.
    Board(board_order::Order),
    /// Has nodes get another program of the agent, try it, and keep it if it is well.
    Update(update::Update),
    /// Has a node leave safe mode: it starts anew, with functions.
    Resume {
        /// Its name.
        node: NodeId,
    },
    /// Makes a token with which one machine joins as a member, once; prints it.
    Token {
        /// The name that the machine will have.
        name: NodeId,
        /// A host name or IP address under which others will dial it; may be given again.
        #[arg(long = "address", value_name = "HOST")]
        addresses: Vec<String>,
        /// For how long the token is good, minutes.
        #[arg(long, value_name = "MINUTES", default_value_t = 60,
              value_parser = clap::value_parser!(u32).range(1..=10_080))]
        good_for: u32,
    },
    /// Never lets a member in again: closes its links, and refuses its certificates and its name for good.
    Revoke {
        /// Its name.
        name: NodeId,
    },
    /// Lists who belongs to the fleet, and who has joined.
    Members,
}

#[derive(Debug, Subcommand)]
enum WorkflowVerb {
    /// Submits a workflow, or another version of one.
    Submit {
        /// The workflow as TOML.
        file: PathBuf,
        /// Says what would be decided, and changes nothing.
        #[arg(long)]
        dry_run: bool,
        /// Decides as of a later time of the sky (RFC 3339 in UTC), on the contact plan of now.
        #[arg(long, value_name = "TIME", requires = "dry_run", value_parser = Epoch::parse)]
        at: Option<Epoch>,
    },
    /// Shows how one goes.
    Status {
        /// Its name.
        workflow: WorkflowId,
    },
    /// Lists all workflows.
    Ls,
    /// Takes one off its nodes and forgets it. What its tasks have stored stays there until the room is needed, and one that is
    /// submitted under the same name goes on from it.
    #[command(visible_alias = "rm")]
    Remove {
        /// Its name.
        workflow: WorkflowId,
    },
}

#[derive(Debug, Subcommand)]
enum PlaceVerb {
    /// Says where tasks are, until when, who follows, and why others do not host them.
    Explain {
        /// The workflow.
        workflow: WorkflowId,
        /// One task of it.
        task: Option<TaskId>,
        /// Says what would be decided at a later time of the sky (RFC 3339 in UTC), on the contact plan of now.
        #[arg(long, value_name = "TIME", conflicts_with = "task", value_parser = Epoch::parse)]
        at: Option<Epoch>,
    },
}

#[derive(Debug, Subcommand)]
enum TopoVerb {
    /// Says when two nodes reach each other: now, or next.
    NextContact {
        /// One end.
        a: NodeId,
        /// The other.
        b: NodeId,
        /// Counts only paths with at most this one-way latency; without it a satellite and a node on the ground reach
        /// each other while they see each other, any other two while there is a path.
        #[arg(long, value_name = "MS")]
        latency_ms: Option<f64>,
    },
}

#[derive(Debug, Subcommand)]
enum FnVerb {
    /// Makes a folder with a new function that builds, runs and deploys as it is.
    New(folder::new::New),
    /// Builds the component of a function, and refuses what a node would refuse.
    Build(folder::build::Build),
    /// Runs a function here, as a node would: stdin is the body, stdout the answer; its log and what it cost go to stderr.
    #[command(after_help = folder::run::EXIT_CODES)]
    Run(folder::run::Run),
    /// Lists all functions.
    #[command(visible_alias = "list")]
    Ls,
    /// Signs a function, or another version of one, and deploys it: `fn push [DIR]`, or `fn push NAME COMPONENT`.
    Push(function::Push),
    /// Shows what a function has logged on all nodes; what is kept are the last 500 lines.
    Logs {
        /// Its name.
        name: FunctionId,
        /// Shows what comes, too, until Ctrl-C.
        #[arg(short, long)]
        follow: bool,
    },
    /// Removes a function that no workflow uses. Its version stays known: an older one is not taken later.
    #[command(visible_alias = "rm")]
    Remove {
        /// Its name.
        name: FunctionId,
    },
}

#[derive(Debug, Subcommand)]
enum KeyVerb {
    /// Makes a key on this machine: NAME.key, which stays here and signs, and NAME.pub, which others trust.
    New {
        /// Whose it is; also the name of its files.
        name: KeyName,
        /// The folder of keys; without it starbelt/keys below $XDG_CONFIG_HOME or ~/.config.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Takes signatures of a key from now on.
    Trust {
        /// Its file (NAME.pub or NAME.key), or the 64 digits of the public key.
        #[arg(value_name = "FILE|PUBLIC")]
        key: String,
        /// Whose it is, if not as its file says.
        #[arg(long)]
        name: Option<KeyName>,
    },
    /// Never takes signatures of a key again; what it signed stops running.
    Revoke {
        /// Its id.
        id: KeyId,
    },
    /// Lists the keys that the fleet trusts or has revoked.
    #[command(visible_alias = "list")]
    Ls,
}

/// Why a command does not do what it says, with the code to end with.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct CliError {
    code: u8,
    message: String,
}

impl CliError {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// What a command prints, and the code to end with when it was printed.
#[derive(Debug)]
struct Printed {
    data: String,
    end: Option<CliError>,
}

impl From<String> for Printed {
    fn from(data: String) -> Self {
        Self { data, end: None }
    }
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = perform(&arguments).and_then(|printed| {
        print(&printed.data)?;
        printed.end.map_or(Ok(()), Err)
    });
    match result {
        Ok(()) => ExitCode::from(exit_code::OK),
        Err(error) => {
            warn(&error.to_string());
            ExitCode::from(error.code)
        }
    }
}

/// A line on stderr.
fn warn(text: &str) {
    // Whoever reads this may have gone.
    writeln!(std::io::stderr(), "starbelt: {text}").ok();
}

fn perform(arguments: &Arguments) -> Result<Printed, CliError> {
    let client = Client::new(&arguments.controller, arguments.timeout)?;
    let format = arguments.output;
    match &arguments.verb {
        Verb::Node(NodeVerb::Ls) => node::list(&client, format),
        Verb::Node(NodeVerb::Show { node }) => node::show(&client, format, node),
        Verb::Node(NodeVerb::At(asked)) => command::at(&client, format, asked),
        Verb::Node(NodeVerb::TakeBack(asked)) => command::take_back(&client, format, asked),
        Verb::Node(NodeVerb::Board(asked)) => board_order::order(&client, format, asked),
        Verb::Node(NodeVerb::Update(asked)) => update::update(&client, format, asked),
        Verb::Node(NodeVerb::Resume { node }) => update::resume(&client, format, node),
        Verb::Node(NodeVerb::Token { name, addresses, good_for }) => {
            member::token(&client, format, name, (addresses, good_for * 60))
        }
        Verb::Node(NodeVerb::Revoke { name }) => member::revoke(&client, format, name),
        Verb::Node(NodeVerb::Members) => member::list(&client, format),
        Verb::Provision { fleet, dir } => member::new(format, fleet, dir),
        Verb::Join(asked) => member::join(format, asked),
        Verb::Renew(place) => member::renew(format, place),
        Verb::Workflow(WorkflowVerb::Submit { file, dry_run: false, .. }) => {
            workflow::submit(&client, format, file)
        }
        Verb::Workflow(WorkflowVerb::Submit { file, dry_run: true, at }) => {
            workflow::try_out(&client, format, file, *at)
        }
        Verb::Workflow(WorkflowVerb::Status { workflow }) => {
            workflow::status(&client, format, workflow)
        }
        Verb::Workflow(WorkflowVerb::Ls) => workflow::list(&client, format),
        Verb::Workflow(WorkflowVerb::Remove { workflow }) => {
            workflow::remove(&client, format, workflow)
        }
        Verb::Place(PlaceVerb::Explain { workflow, at: Some(at), .. }) => {
            place::what_if(&client, format, workflow, *at)
        }
        Verb::Place(PlaceVerb::Explain { workflow, task, at: None }) => {
            place::explain(&client, format, workflow, task.as_ref())
        }
        Verb::Topo(TopoVerb::NextContact { a, b, latency_ms }) => {
            topology::next_contact(&client, format, (a, b), *latency_ms)
        }
        Verb::Fn(FnVerb::New(asked)) => folder::new::new(format, asked),
        Verb::Fn(FnVerb::Build(asked)) => folder::build::build(format, asked),
        Verb::Fn(FnVerb::Run(asked)) => folder::run::run(asked).map(|never| match never {}),
        Verb::Fn(FnVerb::Ls) => function::list(&client, format),
        Verb::Fn(FnVerb::Push(asked)) => function::push(&client, format, asked),
        Verb::Fn(FnVerb::Logs { name, follow }) => log::logs(&client, format, name, *follow),
        Verb::Fn(FnVerb::Remove { name }) => function::remove(&client, format, name),
        Verb::Key(KeyVerb::New { name, dir }) => key::new(format, name, dir.as_deref()),
        Verb::Key(KeyVerb::Trust { key, name }) => key::trust(&client, format, key, name.as_ref()),
        Verb::Key(KeyVerb::Revoke { id }) => key::revoke(&client, format, *id),
        Verb::Key(KeyVerb::Ls) => key::list(&client, format),
        Verb::Adopt(asked) => adopt::adopt(&client, format, asked),
        Verb::Flash(asked) => flash::flash(&client, format, asked),
    }
}

/// Writes to stdout; a reader that has seen enough is no error.
fn print(data: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(data.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::new(exit_code::FAILURE, format!("cannot write to stdout: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
