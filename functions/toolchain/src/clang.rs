//! Finds a compiler of C for WASI: clang and wasi-libc that are installed, else Debian's, which are unpacked into the target
//! directory.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::{NoCompiler, Site, Way, command, debian};

/// The target as clang and wasi-libc call it: WASI 0.1.
const TARGET: &str = "wasm32-wasi";
/// A program that needs headers, library and the compiler's own routines (division of 128 bits).
const PROBE: &str = "#include <stdio.h>\n\
    unsigned __int128 probe(unsigned __int128 a, unsigned __int128 b) { printf(\"x\"); return a / b; }\n";

/// A compiler of C for WASI.
#[derive(Debug)]
pub struct Clang {
    /// What it is.
    pub label: String,
    program: PathBuf,
    /// Where headers and library are.
    sysroot: PathBuf,
    /// What it needs that is not installed.
    unpacked: Option<debian::CCompiler>,
}

impl Clang {
    /// Finds one, trying `ways` in turn; rustup has none.
    ///
    /// # Errors
    /// [`NoCompiler`] when none works, with one line that says why each did not.
    pub fn find(site: &Site, ways: &[Way]) -> Result<Self> {
        let mut refusals = Vec::new();
        for way in ways {
            let found = match way {
                Way::Installed => installed(site),
                Way::Rustup => continue,
                Way::Debian => unpacked(site),
            };
            match found {
                Ok(clang) => return Ok(clang),
                Err(error) => refusals.push(format!("{}: {error:#}", way.name())),
            }
        }
        let all = refusals.join("; ");
        Err(anyhow!("no compiler of C for WASI ({all})").context(NoCompiler))
    }

    /// Compiles the sources of a folder, with what [`crate::component::c_bindings`] made in `contract`, to a module; what lies in
    /// `hidden` folders is called as if these were not there.
    ///
    /// # Errors
    /// When there is no source, or one does not compile.
    pub fn build_module(
        &self,
        sources: &Path,
        contract: &Path,
        hidden: &[&Path],
        module: &Path,
    ) -> Result<()> {
        let mut compile = self.compile();
        compile.args(["-Wall", "-Wextra", "-Werror"]).args(without_paths(hidden));
        compile.arg("-I").arg(contract).args(c_files(sources)?);
        compile.arg(contract.join("function.c")).arg(contract.join("function_component_type.o"));
        command::run(compile.arg("-o").arg(module))
    }

    /// A command that makes a module that is no command: sources and the output are to be added.
    fn compile(&self) -> Command {
        let mut clang = Command::new(&self.program);
        clang.arg(format!("--target={TARGET}"));
        clang.arg(format!("--sysroot={}", self.sysroot.display()));
        // Debug information of the library would be most of the module.
        clang.args(["-std=c11", "-O2", "-mexec-model=reactor", "-Wl,--strip-debug"]);
        if let Some(unpacked) = &self.unpacked {
            clang.arg(format!("-fuse-ld={}", unpacked.linker.display()));
            clang.env("LD_LIBRARY_PATH", &unpacked.libraries);
        }
        clang
    }

    /// Compiles a program that needs everything.
    fn probed(self, site: &Site) -> Result<Self> {
        let folder = site.target.join("guests-c");
        fs::create_dir_all(&folder)?;
        let source = folder.join("probe.c");
        fs::write(&source, PROBE).context("cannot write a probe")?;
        let mut clang = self.compile();
        clang.arg("-Wl,--export=probe").arg(&source).arg("-o").arg(folder.join("probe.wasm"));
        command::output(&mut clang)?;
        Ok(self)
    }
}

fn installed(site: &Site) -> Result<Clang> {
    if !command::is_installed("clang") {
        bail!("clang is not installed");
    }
    let about = command::output(Command::new("clang").arg("--version"))?;
    let label = about.lines().next().unwrap_or("clang").to_owned();
    let (program, sysroot) = (PathBuf::from("clang"), PathBuf::from("/usr"));
    Clang { label, program, sysroot, unpacked: None }
        .probed(site)
        .context("clang is there, but not all of wasi-libc, lld and libclang-rt-dev-wasm32")
}

fn unpacked(site: &Site) -> Result<Clang> {
    let found = debian::c_compiler(&site.compilers)?;
    let mut about = Command::new(&found.clang);
    about.env("LD_LIBRARY_PATH", &found.libraries);
    let about = command::output(about.arg("--version"))?;
    let label = about.lines().next().unwrap_or("clang").to_owned();
    let (program, sysroot) = (found.clang.clone(), found.sysroot.clone());
    Clang { label, program, sysroot, unpacked: Some(found) }.probed(site)
}

/// Flags that keep paths of this machine out of what is compiled.
fn without_paths(folders: &[&Path]) -> Vec<String> {
    folders.iter().map(|folder| format!("-ffile-prefix-map={}=", folder.display())).collect()
}

/// The files of C in a folder, in order.
fn c_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<_> =
        paths.filter(|path| path.extension() == Some(OsStr::new("c"))).collect();
    files.sort();
    match files.is_empty() {
        true => bail!("{} has no source of C", folder.display()),
        false => Ok(files),
    }
}
