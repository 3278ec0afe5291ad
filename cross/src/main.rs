//! cargo xtask: builds, tests, checks and runs Starbelt.

use std::process::ExitCode;

use anyhow::Result;
use toolchain::command::{self, print, say};

use crate::demo::NotReady;
use crate::workspace::Workspace;

mod bench;
mod build;
mod ci;
mod demo;
mod functions;
mod fuzz;
mod idle;
mod layering;
mod lint;
mod mcu;
mod repro;
mod test;
mod tidy;
mod workspace;

/// A verb of `cargo xtask`.
struct Verb {
    name: &'static str,
    about: &'static str,
    run: fn(&Workspace, &[String]) -> Result<()>,
}

/// All verbs, in the order of the help.
const VERBS: [Verb; 13] = [
    Verb {
        name: "demo",
        about: "build what it needs and run a constellation on this machine [options of the demo]",
        run: demo::run,
    },
    Verb {
        name: "test",
        about: "build what they need and run all tests [-p PACKAGE] [--no-run] [FILTER]",
        run: test::run,
    },
    Verb {
        name: "lint",
        about: "format, tidy, layering, licences, clippy, documentation",
        run: lint::run,
    },
    Verb {
        name: "functions",
        about: "build the example functions [--compiler installed|rustup|debian]",
        run: functions::run,
    },
    Verb {
        name: "build",
        about: "build for a board: stripped programs, packages, sums [--board BOARD] [--help]",
        run: build::run,
    },
    Verb {
        name: "fuzz",
        about: "feed arbitrary bytes to what reads them [frames|manifest|module|serial] [--seconds N] [--input FILE]",
        run: fuzz::run,
    },
    Verb {
        name: "mcu",
        about: "build the firmware of boards for its chip [--compiler installed|rustup|debian]",
        run: mcu::run,
    },
    Verb {
        name: "layering",
        about: "compare who depends on whom with the table [--print]",
        run: layering::run,
    },
    Verb {
        name: "repro",
        about: "repeat published experiments and print both numbers [stardust|hyperdrive] [--help]",
        run: repro::run,
    },
    Verb {
        name: "bench",
        about: "measure a part as it is shipped [runtime|agent] [--quick] [--help]",
        run: bench::run,
    },
    Verb { name: "tidy", about: "rules of the house that no other tool checks", run: tidy::run },
    Verb { name: "ci", about: "lint, fuzz for a minute and test, as .ci/run does", run: ci::run },
    Verb { name: "help", about: "print this", run: |_, _| print(&help()) },
];

/// The exit code for a command line that makes no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (name, rest) = args.split_first().map_or(("help", [].as_slice()), |(n, r)| (n.as_str(), r));
    let name = if ["--help", "-h"].contains(&name) { "help" } else { name };
    let Some(verb) = VERBS.iter().find(|verb| verb.name == name) else {
        say(&format!("error: there is no verb {name:?}\n{}", help().trim_end()));
        return ExitCode::from(USAGE);
    };
    finish(Workspace::open().and_then(|workspace| (verb.run)(&workspace, rest)))
}

fn finish(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            error.downcast_ref::<NotReady>().map_or(ExitCode::FAILURE, |no| ExitCode::from(no.code))
        }
    }
}

fn help() -> String {
    let verbs = VERBS.iter().map(|verb| format!("  {:<10} {}\n", verb.name, verb.about));
    format!("usage: cargo xtask VERB [ARGUMENTS]\n{}", verbs.collect::<String>())
}
