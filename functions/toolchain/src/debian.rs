//! Unpacks Debian's newest compiler of Rust and the sources of its library, or its compiler of C,
//! without installing them: as packages they would stand in the way of rustup's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::apt::{Apt, OutOfReach, Package, Release};
use crate::command::{self, say};
use crate::site;

/// What is needed to build for any target: the compiler, this machine's library for build scripts
/// and macros, and the library's sources; for WASI the C library.
const WANTED: [&str; 4] = ["rustc-web", "libstd-rust-web-dev", "rust-web-src", "wasi-libc"];
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
    /// The C library for WASI.
    pub(crate) wasi_libc: PathBuf,
}

/// A compiler of C for WASI in the target directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CCompiler {
    /// What to run.
    pub(crate) clang: PathBuf,
    /// What links.
    pub(crate) linker: PathBuf,
    /// Where its shared libraries are.
    pub(crate) libraries: PathBuf,
    /// Where headers and library of WASI are.
    pub(crate) sysroot: PathBuf,
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
    let _lock = locked(&folder)?;
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

/// The compiler of C below `folder`; unpacks it first if it is not there. Any release has one that will do, so that of this
/// machine is taken.
///
/// # Errors
/// When this is not Debian, its archive is out of reach, or it has no such compiler.
pub(crate) fn c_compiler(folder: &Path) -> Result<CCompiler> {
    let release = Release::candidates()?.swap_remove(0);
    let architecture = architecture()?;
    let folder = folder.join(format!("debian-c-{architecture}"));
    let _lock = locked(&folder)?;
    let place = folder.join(&release.name);
    if place.join(WHOLE).is_file()
        && let Ok(compiler) = usable_c(&place.join("root"))
    {
        return Ok(compiler);
    }
    let apt = opened(&place, &architecture, &release)?;
    let clang = apt.show(&BTreeSet::from([String::from("clang")]))?;
    let version = clang.iter().flat_map(|package| &package.depends);
    let version = version.filter_map(|name| name.strip_prefix("clang-")).next();
    let version = version.context("it has no package clang")?;
    let wanted = [
        format!("clang-{version}"),
        format!("lld-{version}"),
        format!("libclang-common-{version}-dev"),
        format!("libclang-rt-{version}-dev-wasm32"),
        String::from("wasi-libc"),
    ];
    let packages = closure(&apt, &release, &wanted)?;
    say(&format!("compiler: unpacking Debian's clang {version} and wasi-libc (some 40 MB)"));
    let root = unpack(&apt, &packages, &place)?;
    let compiler = usable_c(&root)?;
    fs::write(place.join(WHOLE), "").context("cannot mark the compiler as whole")?;
    Ok(compiler)
}

/// The compiler of C below `root`, if it runs and all of it is there.
fn usable_c(root: &Path) -> Result<CCompiler> {
    let entries = fs::read_dir(root.join("usr/lib")).context("nothing is unpacked")?;
    let mut folders = entries.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let programs = folders.find(|folder| folder.join("clang").is_file());
    let programs = programs.context("no clang was unpacked")?;
    let compiler = CCompiler {
        clang: programs.join("clang"),
        linker: programs.join("wasm-ld"),
        libraries: library_folder(root)?,
        sysroot: root.join("usr"),
    };
    wasi_libc(root)?;
    for program in [&compiler.clang, &compiler.linker] {
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", &compiler.libraries);
        command::output(command.arg("--version")).context("it does not run here")?;
    }
    Ok(compiler)
}

/// The folder of the C library for WASI.
fn wasi_libc(root: &Path) -> Result<PathBuf> {
    let folder = root.join("usr/lib/wasm32-wasi");
    if folder.join("libc.a").is_file() && folder.join("crt1-reactor.o").is_file() {
        return Ok(folder);
    }
    bail!("wasi-libc is missing")
}

/// Two task runners at once: the second waits and finds what the first unpacked.
fn locked(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder)?;
    let lock = File::create(folder.join("lock"))?;
    lock.lock().context("cannot lock the toolchain folder")?;
    Ok(lock)
}

/// An apt for a folder that nothing is left in from an earlier try.
fn opened(folder: &Path, architecture: &str, release: &Release) -> Result<Apt> {
    if folder.exists() {
        fs::remove_dir_all(folder).context("cannot remove what an earlier try left")?;
    }
    say(&format!("compiler: looking for a compiler in Debian {}", release.name));
    Apt::open(&folder.join("apt"), architecture, release)
}

/// Unpacks packages into a folder, which is answered, and removes the apt.
fn unpack(apt: &Apt, packages: &[Package], folder: &Path) -> Result<PathBuf> {
    let root = folder.join("root");
    fs::create_dir_all(&root)?;
    apt.unpack(packages, &root)?;
    fs::remove_dir_all(folder.join("apt")).context("cannot remove the private apt")?;
    Ok(root)
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
    let apt = opened(folder, architecture, release)?;
    let packages = closure(&apt, release, &WANTED.map(str::to_owned))?;
    let Some(rustc) = packages.iter().find(|package| package.name == COMPILER) else {
        bail!("it has no package {COMPILER}");
    };
    let version = site::release(&rustc.version).context("a version without numbers")?;
    if version < oldest {
        bail!("{COMPILER} {} is older than {}.{}", rustc.version, oldest.0, oldest.1);
    }
    say(&format!("compiler: unpacking Debian's {COMPILER} {} (some 140 MB)", rustc.version));
    let root = unpack(&apt, &packages, folder)?;
    if !release.is_ours {
        write_wrapper(&root)?;
    }
    let compiler = usable(&root, oldest)?;
    fs::write(folder.join(WHOLE), "").context("cannot mark the compiler as whole")?;
    Ok(compiler)
}

/// The wanted packages and the shared libraries that they need. What this machine has of its own
/// release is not fetched; of another release all are, down to the C library.
fn closure(apt: &Apt, release: &Release, wanted: &[String]) -> Result<Vec<Package>> {
    let mut found: BTreeMap<String, Package> = BTreeMap::new();
    let mut asked: BTreeSet<String> = BTreeSet::new();
    let mut next: BTreeSet<String> = wanted.iter().cloned().collect();
    while !next.is_empty() {
        let packages = apt.show(&next)?;
        asked.append(&mut next);
        for package in packages {
            let libraries = package.depends.iter().filter(|name| is_library(name, wanted));
            next.extend(libraries.filter(|name| !asked.contains(*name)).cloned());
            found.insert(package.name.clone(), package);
        }
        if release.is_ours {
            next.retain(|name| !is_on_this_machine(name));
        }
    }
    Ok(found.into_values().collect())
}

fn is_library(name: &str, wanted: &[String]) -> bool {
    let is_wanted = || wanted.iter().any(|wanted| wanted == name);
    name.starts_with("lib") && (!name.ends_with("-dev") || is_wanted())
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
    let version = about.split_whitespace().nth(1).and_then(site::release);
    if version.is_none_or(|version| version < oldest) {
        bail!("{} is too old", about.trim());
    }
    if !root.join("usr/lib/rustlib/src/rust/library/Cargo.lock").is_file() {
        bail!("the library's sources are missing");
    }
    let wasi_libc = wasi_libc(root)?;
    Ok(Compiler { label: format!("Debian's {}", about.trim()), rustc, libraries, wasi_libc })
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
            assert_eq!(is_library(name, &WANTED.map(str::to_owned)), expected, "{name}");
        }
    }
}
