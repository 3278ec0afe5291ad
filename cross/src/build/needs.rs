//! What a program needs to start, read from the program: its machine, its libraries, the oldest C library.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::version::Glibc;
use crate::command;

/// The libraries that are the C library's, in any of its releases.
const OF_GLIBC: [&str; 6] =
    ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1"];

/// What a program needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    /// The processor, as `readelf` calls it.
    pub(super) machine: String,
    pub(super) libraries: BTreeSet<String>,
    /// The oldest C library that has all of its symbols.
    pub(super) glibc: Glibc,
    /// Whether there are symbols that only a debugger reads.
    pub(super) has_symbols: bool,
}

impl Needs {
    /// Reads a program.
    ///
    /// # Errors
    /// When `readelf` is missing, or it is no program that is linked with the GNU C library.
    pub(super) fn of(program: &Path) -> Result<Self> {
        let mut readelf = Command::new("readelf");
        readelf.args(["--wide", "--file-header", "--dynamic", "--version-info", "--sections"]);
        let text = command::output(readelf.arg(program).env("LC_ALL", "C"))
            .context("programs are read with readelf (Debian, Ubuntu: apt-get install binutils)")?;
        Self::parse(&text).with_context(|| program.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let machine = text.lines().find_map(|line| line.trim().strip_prefix("Machine:"));
        let between = |line: &str| {
            Some(line.split_once("Shared library: [")?.1.split_once(']')?.0.to_owned())
        };
        let libraries: BTreeSet<_> =
            text.lines().filter(|line| line.contains("(NEEDED)")).filter_map(between).collect();
        let versions = text.split("GLIBC_").skip(1).filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            rest[..end].parse::<Glibc>().ok()
        });
        // No symbol tells of it.
        let bitmaps = text.contains("(RELR)").then_some(Glibc::WITH_BITMAPS);
        Ok(Self {
            machine: machine.context("readelf tells of no machine")?.trim().to_owned(),
            libraries,
            glibc: versions
                .max()
                .max(bitmaps)
                .context("it is not linked with the GNU C library")?,
            has_symbols: text.contains(" .symtab "),
        })
    }

    /// The packages of Debian that have what it needs.
    ///
    /// # Errors
    /// When a library is of no package that we know of: then nobody meant to need it.
    pub(super) fn packages(&self) -> Result<Vec<String>> {
        let mut packages = BTreeSet::new();
        for library in &self.libraries {
            if OF_GLIBC.contains(&library.as_str()) || library.starts_with("ld-linux") {
                packages.insert(format!("libc6 (>= {})", self.glibc));
            } else if library == "libgcc_s.so.1" {
                packages.insert(String::from("libgcc-s1"));
            } else {
                bail!("it needs {library}, which is of no package in cross/src/build/needs.rs");
            }
        }
        Ok(packages.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "  Class:                             ELF64\n\
        \x20 Machine:                           AArch64\n\
        \x20 [ 1] .interp           PROGBITS        0000000000000238 000238 00001b 00   A  0   0  1\n\
        \x200x0000000000000001 (NEEDED)             Shared library: [libgcc_s.so.1]\n\
        \x200x0000000000000001 (NEEDED)             Shared library: [libm.so.6]\n\
        \x200x0000000000000001 (NEEDED)             Shared library: [ld-linux-aarch64.so.1]\n\
        \x20 0x0010:   Name: GLIBC_2.17  Flags: none  Version: 4\n\
        \x20 0x0020:   Name: GLIBC_2.34  Flags: none  Version: 3\n\
        \x20 0x0030:   Name: GLIBC_2.4  Flags: none  Version: 2\n";

    #[test]
    fn the_newest_symbol_counts() {
        let needs = Needs::parse(TEXT).unwrap();
        assert_eq!((needs.machine.as_str(), needs.glibc.to_string()), ("AArch64", "2.34".into()));
        assert_eq!(needs.packages().unwrap(), ["libc6 (>= 2.34)", "libgcc-s1"]);
        assert!(!needs.has_symbols);
        let bitmaps = Needs::parse(&format!("{TEXT} 0x0000000000000024 (RELR)  0xa848\n")).unwrap();
        assert_eq!(bitmaps.glibc, Glibc::WITH_BITMAPS);
    }

    #[test]
    fn an_unknown_library_and_a_program_without_glibc_are_refused() {
        let needs = Needs::parse(&TEXT.replace("libm.so.6", "libcuda.so.1")).unwrap();
        assert!(needs.packages().unwrap_err().to_string().contains("libcuda.so.1"));
        assert!(Needs::parse(&TEXT.replace("GLIBC_", "MUSL_")).is_err());
    }

    #[test]
    fn this_very_program_is_read() {
        if !cfg!(target_os = "linux") || !command::is_installed("readelf") {
            eprintln!("skipped: this_very_program_is_read: there is no readelf");
            return;
        }
        let needs = Needs::of(&std::env::current_exe().unwrap()).unwrap();
        assert!(needs.packages().unwrap().iter().any(|package| package.starts_with("libc6")));
    }
}
