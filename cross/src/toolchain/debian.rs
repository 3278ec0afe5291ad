//! Unpacks Debian's newest compiler and the sources of its library, without installing them: as
//! packages they would stand in the way of rustup's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::apt::{Apt, OutOfReach, Package, Release};
use crate::command::{self, say};
use crate::workspace;

/// What is needed to build for any target: the compiler, this machine's library for build scripts
/// and macros, and the library's sources.
const WANTED: [&str; 3] = ["rustc-web", "libstd-rust-web-dev", "rust-web-src"];
/// Written last into the folder of a compiler: without it, unpacking was interrupted.
const WHOLE: &str = "whole";
/// The package whose version is the compiler's.
const COMPILER: &str = "rustc-web";

/// A compiler in the target directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Compiler {
    /// What it is.
    pub(crate) label: String,
    /// What to run.
    pub(crate) rustc: PathBuf,
    /// Where its shared libraries are; `None` when `rustc` knows.
    pub(crate) libraries: Option<PathBuf>,
}

/// The compiler below `folder`; unpacks it first if it is not there.
///
/// # Errors
/// When this is not Debian, its archive is out of reach, or no release has a compiler that is new
/// enough and runs here.
pub(crate) fn compiler(folder: &Path, oldest: (u32, u32)) -> Result<Compiler> {
    let releases = Release::candidates()?;
    let architecture = architecture()?;
    let folder = folder.join(format!("debian-{architecture}"));
    fs::create_dir_all(&folder)?;
    // Two task runners at once: the second waits and finds what the first unpacked.
    let lock = File::create(folder.join("lock"))?;
    lock.lock().context("cannot lock the toolchain folder")?;
    for release in &releases {
        if let Ok(compiler) = present(&folder.join(&release.name), oldest) {
            return Ok(compiler);
        }
    }
    let mut refusals = Vec::new();
    for release in &releases {
        match fetch(&folder.join(&release.name), &architecture, release, oldest) {
            Ok(compiler) => return Ok(compiler),
            // Other releases lie in the same archive.
            Err(error) if release.is_ours && error.downcast_ref::<OutOfReach>().is_some() => {
                return Err(error);
            }
            Err(error) => refusals.push(format!("{}: {error:#}", release.name)),
        }
    }
    bail!("{}", refusals.join(", "))
}

/// The architecture of this machine in Debian's words.
fn architecture() -> Result<String> {
    Ok(command::output(Command::new("dpkg").arg("--print-architecture"))?.trim().to_owned())
}

/// Unpacks the compiler of a release into `folder`.
fn fetch(
    folder: &Path,
    architecture: &str,
    release: &Release,
    oldest: (u32, u32),
) -> Result<Compiler> {
    if folder.exists() {
        fs::remove_dir_all(folder).context("cannot remove what an earlier try left")?;
    }
    say(&format!("functions: looking for a compiler in Debian {}", release.name));
    let apt = Apt::open(&folder.join("apt"), architecture, release)?;
    let packages = closure(&apt, release)?;
    let Some(rustc) = packages.iter().find(|package| package.name == COMPILER) else {
        bail!("it has no package {COMPILER}");
    };
    let version = workspace::release(&rustc.version).context("a version without numbers")?;
    if version < oldest {
        bail!("{COMPILER} {} is older than {}.{}", rustc.version, oldest.0, oldest.1);
    }
    say(&format!("functions: unpacking Debian's {COMPILER} {} (some 140 MB)", rustc.version));
    let root = folder.join("root");
    fs::create_dir_all(&root)?;
    apt.unpack(&packages, &root)?;
    fs::remove_dir_all(folder.join("apt")).context("cannot remove the private apt")?;
    if !release.is_ours {
        write_wrapper(&root)?;
    }
    let compiler = usable(&root, oldest)?;
    fs::write(folder.join(WHOLE), "").context("cannot mark the compiler as whole")?;
    Ok(compiler)
}

/// The wanted packages and the shared libraries that they need. What this machine has of its own
/// release is not fetched; of another release all are, down to the C library.
fn closure(apt: &Apt, release: &Release) -> Result<Vec<Package>> {
    let mut found: BTreeMap<String, Package> = BTreeMap::new();
    let mut asked: BTreeSet<String> = BTreeSet::new();
    let mut next: BTreeSet<String> = WANTED.iter().map(|&name| name.to_owned()).collect();
    while !next.is_empty() {
        let packages = apt.show(&next)?;
        asked.append(&mut next);
        for package in packages {
            let libraries = package.depends.iter().filter(|name| is_library(name));
            next.extend(libraries.filter(|name| !asked.contains(*name)).cloned());
            found.insert(package.name.clone(), package);
        }
        if release.is_ours {
            next.retain(|name| !is_on_this_machine(name));
        }
    }
    Ok(found.into_values().collect())
}

fn is_library(name: &str) -> bool {
    name.starts_with("lib") && (!name.ends_with("-dev") || WANTED.contains(&name))
}

fn is_on_this_machine(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${db:Status-Status}", package]);
    command::output(&mut query).is_ok_and(|status| status == "installed")
}

/// The compiler in `folder`, if it is whole and runs.
fn present(folder: &Path, oldest: (u32, u32)) -> Result<Compiler> {
    if !folder.join(WHOLE).is_file() {
        bail!("it was not unpacked to the end");
    }
    usable(&folder.join("root"), oldest)
}

/// The compiler below `root`, if it runs.
fn usable(root: &Path, oldest: (u32, u32)) -> Result<Compiler> {
    let wrapper = root.join("rustc");
    let (rustc, libraries) = match wrapper.is_file() {
        true => (wrapper, None),
        false => (root.join("usr/bin/rustc"), Some(library_folder(root)?)),
    };
    let mut command = Command::new(&rustc);
    if let Some(libraries) = &libraries {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    let about = command::output(command.arg("-V")).context("it does not run here")?;
    let version = about.split_whitespace().nth(1).and_then(workspace::release);
    if version.is_none_or(|version| version < oldest) {
        bail!("{} is too old", about.trim());
    }
    if !root.join("usr/lib/rustlib/src/rust/library/Cargo.lock").is_file() {
        bail!("the library's sources are missing");
    }
    Ok(Compiler { label: format!("Debian's {}", about.trim()), rustc, libraries })
}

/// The folder of shared libraries, such as `usr/lib/x86_64-linux-gnu`.
fn library_folder(root: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(root.join("usr/lib")).context("nothing is unpacked")?;
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_it = |folder: &PathBuf| {
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.contains("-linux-gnu")
    };
    folders.into_iter().find(is_it).context("no folder of shared libraries was unpacked")
}

/// A compiler of another release needs that release's C library, and so its loader.
fn write_wrapper(root: &Path) -> Result<()> {
    let libraries = library_folder(root)?;
    let loaders = fs::read_dir(&libraries)?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_loader = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("ld-linux")
    };
    let loader = loaders.into_iter().find(is_loader).context("no loader was unpacked")?;
    let script = format!(
        "#!/bin/sh\nexec '{}' --library-path '{}' '{}' \"$@\"\n",
        loader.display(),
        libraries.display(),
        root.join("usr/bin/rustc").display()
    );
    let wrapper = root.join("rustc");
    fs::write(&wrapper, script)?;
    make_executable(&wrapper)
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).context("cannot set permissions")
}

#[cfg(not(unix))]
fn make_executable(_path: &Path) -> Result<()> {
    bail!("Debian's compiler runs on Debian only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_unpacked_to_the_end_is_not_taken() {
        let folder = std::env::temp_dir().join(format!("starbelt-cross-{}", std::process::id()));
        fs::create_dir_all(folder.join("root/usr/bin")).unwrap();
        let interrupted = present(&folder, (1, 0)).unwrap_err().to_string();
        fs::write(folder.join(WHOLE), "").unwrap();
        let empty = present(&folder, (1, 0)).unwrap_err().to_string();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(interrupted, "it was not unpacked to the end");
        assert_eq!(empty, "nothing is unpacked");
    }

    #[test]
    fn libraries_are_followed_and_development_files_are_not() {
        for (name, expected) in [
            ("libllvm22", true),
            ("libstd-rust-web-1.96", true),
            ("libstd-rust-web-dev", true),
            ("libc-dev", false),
            ("gcc", false),
        ] {
            assert_eq!(is_library(name), expected, "{name}");
        }
    }
}
