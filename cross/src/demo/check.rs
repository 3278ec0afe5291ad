//! What would stop the demo only after ten minutes of building, said before.
//!
//! The demo itself checks all this again, and more: this reads just the options that it needs.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::command;
use crate::workspace::Workspace;

/// The demo's own default of `--port`.
const PORT_DEFAULT: u16 = 8080;
/// What a first build leaves in the target directory, MiB: 2.7 GiB of the dev profile with its
/// functions, up to 0.7 GiB of Debian's compiler, and the files of a run.
const COLD_MIB: u64 = 4 * 1024;
/// What a build after changes and a run need, MiB.
const WARM_MIB: u64 = 1024;
/// Exit code of a configuration that is not usable, as the demo's.
const EXIT_CONFIG: u8 = 78;
/// Exit code of everything else.
const EXIT_FAILURE: u8 = 1;

/// The demo could not run. All reasons, a line each.
#[derive(Debug)]
pub(crate) struct NotReady {
    reasons: Vec<String>,
    /// With which code to exit.
    pub(crate) code: u8,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reasons.join("\nerror: "))
    }
}

impl std::error::Error for NotReady {}

/// The options of the demo that are checked here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    /// `None` when it is no number: the demo says so better.
    port: Option<u16>,
    constellation: Option<PathBuf>,
    report: Option<PathBuf>,
}

impl Options {
    fn parse(args: &[String]) -> Self {
        let value = |name: &str| {
            let mut args = args.iter().skip_while(|arg| {
                arg.split_once('=').map_or(arg.as_str(), |(option, _)| option) != name
            });
            let found = args.next()?;
            found
                .split_once('=')
                .map(|(_, value)| value.to_owned())
                .or_else(|| args.next().cloned())
        };
        Self {
            port: value("--port").map_or(Some(PORT_DEFAULT), |port| port.parse().ok()),
            constellation: value("--constellation").map(PathBuf::from),
            report: value("--report").map(PathBuf::from),
        }
    }
}

/// Checks port, files and disk.
///
/// # Errors
/// [`NotReady`] with everything that is missing.
pub(super) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let options = Options::parse(args);
    let unreadable = options.constellation.as_deref().and_then(unreadable);
    let code = if unreadable.is_some() { EXIT_CONFIG } else { EXIT_FAILURE };
    let reasons: Vec<_> = unreadable
        .into_iter()
        .chain(options.port.and_then(taken))
        .chain(options.report.as_deref().and_then(unwritable))
        .chain(full(workspace))
        .collect();
    if reasons.is_empty() { Ok(()) } else { Err(NotReady { reasons, code }.into()) }
}

fn unreadable(path: &Path) -> Option<String> {
    // A folder can be opened and not be read.
    let opened = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false => Ok(()),
    });
    let error = opened.err()?;
    Some(format!(
        "{}: {error}; give --constellation a file of element sets, TLE or OMM",
        path.display()
    ))
}

fn taken(port: u16) -> Option<String> {
    let error = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).err()?;
    Some(format!("port {port} on 127.0.0.1 is in use: {error}; choose another with --port"))
}

/// Whether the report could not be written; tries it, and leaves nothing behind.
fn unwritable(path: &Path) -> Option<String> {
    let is_new = path.symlink_metadata().is_err();
    match File::options().append(true).create(true).open(path) {
        Ok(_) if is_new => fs::remove_file(path).err().map(|error| cannot_write(path, &error)),
        Ok(_) => None,
        Err(error) => Some(cannot_write(path, &error)),
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}; give --report a file in a folder that one can write to", path.display())
}

/// Whether the disk of the target directory has no room for what is to be built.
fn full(workspace: &Workspace) -> Option<String> {
    let is_built = workspace.program("demo").is_file();
    let needed_mib = if is_built { WARM_MIB } else { COLD_MIB };
    let there = workspace.target.ancestors().find(|folder| folder.is_dir())?;
    // Where nobody knows what is free, building finds out.
    let about = command::output(Command::new("df").arg("-Pk").arg(there)).ok()?;
    let free_mib = free_mib(&about)?;
    (free_mib < needed_mib).then(|| {
        let what = "are needed; make room, or name another disk with CARGO_TARGET_DIR";
        format!("{free_mib} MiB are free at {}, {needed_mib} MiB {what}", there.display())
    })
}

/// The fourth column of the second line that `df -Pk` prints, there in KiB.
fn free_mib(text: &str) -> Option<u64> {
    Some(text.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok()? / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, port: Option<u16>, constellation: Option<&str>, report: Option<&str>) {
        let args: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let (constellation, report) = (constellation.map(PathBuf::from), report.map(PathBuf::from));
        assert_eq!(Options::parse(&args), Options { port, constellation, report });
    }

    #[test]
    fn options_are_read_in_both_forms() {
        check("", Some(8080), None, None);
        check("--headless --port 81 --report a/b.json", Some(81), None, Some("a/b.json"));
        check("--constellation=x.tle --port=82 --seed 3", Some(82), Some("x.tle"), None);
        check("--port many --report", None, None, None);
    }

    #[test]
    fn a_port_in_use_is_told_with_what_to_do() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        let said = taken(port).unwrap();
        assert!(said.starts_with(&format!("port {port} on 127.0.0.1 is in use")), "{said}");
        assert!(said.ends_with("choose another with --port"), "{said}");
        drop(held);
        assert_eq!(taken(port), None);
    }

    #[test]
    fn files_are_tried_and_none_is_left_behind() {
        let folder = std::env::temp_dir().join(format!("starbelt-check-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let report = folder.join("report.json");
        assert_eq!(unwritable(&report), None);
        assert!(!report.exists());
        let nowhere = unwritable(&folder.join("no/report.json")).unwrap();
        assert!(nowhere.contains("no/report.json: ") && nowhere.contains("--report"), "{nowhere}");
        let missing = unreadable(&report).unwrap();
        assert!(missing.contains("report.json: No such file"), "{missing}");
        assert!(unreadable(&folder).is_some());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn free_space_is_read_from_df() {
        let text = "Filesystem 1024-blocks Used Available Capacity Mounted on\n\
            /dev/vda 257899000 18000000 75500544 20% /\n";
        assert_eq!(free_mib(text), Some(73_731));
        assert_eq!(free_mib(""), None);
    }
}
