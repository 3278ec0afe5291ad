//! Makes the contract a header and a source of C: `c-bindings WIT FOLDER`, run by `cargo xtask functions`.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use toolchain::component;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let [wit, folder] = args.as_slice() else {
        bail!("usage: c-bindings WIT FOLDER");
    };
    component::c_bindings(Path::new(wit), Path::new(folder))
}
