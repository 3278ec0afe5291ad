//! `repro`: repeats published experiments with our programs and prints both numbers side by side.

mod args;
mod hyperdrive;
mod measure;
mod published;
mod stardust;
mod table;

use anyhow::{Result, bail};

use crate::command::print;
use crate::workspace::Workspace;

/// What `repro` can be told.
const USAGE: &str = "\
usage: cargo xtask repro stardust [OPTIONS]
  --tle FILE      element sets; without any, Walker shells like Starlink's [also --omm FILE, --walker FILE|SPEC]
  --lenient       takes wrong checksums and repeated catalogue numbers
  --sizes N,N,..  how many satellites [default: the paper's, 250 to 20,646]
  --steps N       steps of each run [default: the paper's, 100]
  --model MODEL   sgp4, kepler-j2 or stardust-compat [default: sgp4]
  --sim FILE      this starbelt-sim instead of one that is built first, which takes minutes
  --json FILE     also writes the rows to a file

usage: cargo xtask repro hyperdrive [OPTIONS]
  --fixtures DIR  the published scenario, a folder for each size; without it only the corrected one is run
  --sim FILE      this starbelt-sim instead of one that is built first
  --size, --seeds, --starts, --load, --minutes
                  of the comparison on the corrected scenario, as `starbelt-sim place --scenario hyperdrive-v2 --compare` takes them
";

/// Repeats the experiments of a system.
///
/// # Errors
/// When the arguments make no sense, or a program does not build, run or answer.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    match args.split_first() {
        Some((system, rest)) if system == "stardust" => {
            if rest.iter().any(|arg| ["--help", "-h"].contains(&arg.as_str())) {
                return print(USAGE);
            }
            stardust::run(workspace, &args::Args::read(rest)?)
        }
        Some((system, rest)) if system == "hyperdrive" => {
            if rest.iter().any(|arg| ["--help", "-h"].contains(&arg.as_str())) {
                return print(USAGE);
            }
            hyperdrive::run(workspace, &hyperdrive::Args::read(rest)?)
        }
        Some((system, _)) if ["--help", "-h"].contains(&system.as_str()) => print(USAGE),
        Some((system, _)) => {
            bail!(
                "there is nothing to repeat of {system:?}, only of stardust and hyperdrive\n{USAGE}"
            )
        }
        None => bail!("name the system whose experiments are to be repeated\n{USAGE}"),
    }
}
