//! Builds programs for a target: finds a compiler that knows it, and what links for it.

use std::iter;
use std::path::PathBuf;

use anyhow::{Result, bail};
use toolchain::rust::{self, Toolchain};
use toolchain::{Site, Way};

use super::package::Package;
use super::target::Target;
use super::version::Glibc;
use crate::command::{self, say};
use crate::workspace::Workspace;

/// The profile of what users get, which may be only so large.
pub(super) const SHIPPED: &str = "dist";

/// What links for another machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linker {
    /// cargo-zigbuild, which has all C libraries and links for an old one.
    Zig,
    /// GNU's for the target, with the C library that was installed along.
    Gcc,
}

impl Linker {
    /// The one of this name.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn named(name: &str) -> Result<Self> {
        match name {
            "zig" => Ok(Self::Zig),
            "gcc" => Ok(Self::Gcc),
            _ => bail!("--linker {name}: zig or gcc"),
        }
    }

    /// What is installed and can be used.
    fn choose(wanted: Option<Self>, target: &Target, is_native: bool) -> Result<Self> {
        let gcc = format!("{}-gcc", target.gnu);
        let has_gcc = is_native || command::is_installed(&gcc);
        let has_zig = command::is_installed("cargo-zigbuild");
        let install_zig = "pip install ziglang cargo-zigbuild";
        let install_gcc = format!("Debian, Ubuntu: apt-get install {}", target.linker_packages);
        match wanted {
            Some(Self::Zig) if !has_zig => bail!("cargo-zigbuild is not installed ({install_zig})"),
            Some(Self::Gcc) if !has_gcc => bail!("{gcc} is not installed ({install_gcc})"),
            Some(linker) => Ok(linker),
            // What is built for this machine needs nothing that it has not got.
            None if is_native => Ok(Self::Gcc),
            None if has_zig => Ok(Self::Zig),
            None if has_gcc => Ok(Self::Gcc),
            None => bail!(
                "nothing links for {}: neither cargo-zigbuild ({install_zig}) nor {gcc} ({install_gcc}) is installed",
                target.triple
            ),
        }
    }
}

/// How programs are built.
#[derive(Debug)]
pub(super) struct Builder<'a> {
    workspace: &'a Workspace,
    site: Site,
    target: &'static Target,
    toolchain: Toolchain,
    linker: Linker,
    is_native: bool,
    /// What zig links for.
    glibc: Glibc,
    profile: &'a str,
}

impl<'a> Builder<'a> {
    /// Finds a compiler and a linker.
    ///
    /// # Errors
    /// When there is none, with what to install.
    pub(super) fn find(
        workspace: &'a Workspace,
        (target, glibc): (&'static Target, Glibc),
        (ways, linker): (&[Way], Option<Linker>),
        profile: &'a str,
    ) -> Result<Self> {
        let site = workspace.site()?;
        let is_native = site.host()? == target.triple;
        let linker = Linker::choose(linker, target, is_native)?;
        let toolchain = Toolchain::find(&site, target.triple, ways)?;
        Ok(Self { workspace, site, target, toolchain, linker, is_native, glibc, profile })
    }

    /// What versions end with: what users do not get is told by it.
    pub(super) fn version_end(&self) -> String {
        if self.is_shipped() {
            String::new()
        } else {
            format!("~{}", self.profile.replace(['-', '_'], "."))
        }
    }

    /// Whether it builds what users get.
    pub(super) fn is_shipped(&self) -> bool {
        self.profile == SHIPPED
    }

    /// The compiler, for people.
    pub(super) fn compiler(&self) -> &str {
        &self.toolchain.label
    }

    /// Builds the programs of packages, those of one member together: what a member is built with must not depend on which
    /// others are built. `along` are builders like this one for other targets, for which the same is built at once.
    ///
    /// # Errors
    /// When one does not build.
    pub(super) fn build(
        &self,
        packages: &[&Package],
        features: &[String],
        along: &[&Self],
    ) -> Result<()> {
        let (verb, triple) = match self.linker {
            Linker::Zig => ("zigbuild", format!("{}.{}", self.target.triple, self.glibc)),
            Linker::Gcc => ("build", self.target.triple.to_owned()),
        };
        let how = (verb, triple.as_str());
        let mut cargo =
            self.toolchain.cargo_for_programs(&self.site, how, self.profile, self.flags());
        for other in along {
            cargo.args(["--target", other.target.triple]);
        }
        for builder in iter::once(&self).chain(along) {
            if builder.linker == Linker::Gcc && !builder.is_native {
                let (triple, gnu) = (builder.target.triple, builder.target.gnu);
                let name = triple.to_uppercase().replace('-', "_");
                cargo.env(format!("CARGO_TARGET_{name}_LINKER"), format!("{gnu}-gcc"));
            }
        }
        cargo.args(["--locked", "--no-default-features"]);
        for package in packages {
            cargo.args(["--package", &package.member, "--bin", &package.program]);
        }
        if !features.is_empty() {
            cargo.args(["--features", &features.join(",")]);
        }
        let names: Vec<_> = packages.iter().map(|package| package.program.as_str()).collect();
        let triples = iter::once(&self).chain(along).map(|builder| builder.target.triple);
        say(&format!(
            "build: {} for {} with {}; the first time this takes many minutes",
            names.join(", "),
            triples.collect::<Vec<_>>().join(" and "),
            self.compiler()
        ));
        command::run(&mut cargo)
    }

    /// Whether another builder differs in its target only.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let facts = |it: &Self| (it.linker, it.toolchain.label.clone(), it.flags());
        self.linker == Linker::Gcc && facts(self) == facts(other) && self.profile == other.profile
    }

    /// How GNU's compiler links. With the linker that comes with Rust programs are smaller: it keeps one of functions that are the same,
    /// and writes the places that are adjusted at the start as a bitmap, where the C library can read that. GNU's own does neither.
    fn flags(&self) -> Vec<String> {
        if self.linker != Linker::Gcc {
            return Vec::new();
        }
        let folder = match rust::lld_folder(&self.site) {
            Ok(folder) => folder,
            Err(error) => {
                say(&format!("build: GNU's linker is taken, programs become larger: {error:#}"));
                return Vec::new();
            }
        };
        let mut args = vec![
            format!("-B{}", folder.display()),
            String::from("-fuse-ld=lld"),
            String::from("-Wl,--icf=all"),
        ];
        if Glibc::WITH_BITMAPS <= self.glibc {
            args.push(String::from("-Wl,-z,pack-relative-relocs"));
        }
        args.into_iter().map(|arg| format!("-Clink-arg={arg}")).collect()
    }

    /// Where `build` leaves the program of a package.
    pub(super) fn program(&self, package: &Package) -> PathBuf {
        let folder = self.toolchain.programs_dir(&self.site, self.profile);
        folder.join(&package.program)
    }

    /// Whether its programs run here.
    pub(super) fn is_native(&self) -> bool {
        self.is_native
    }

    /// The workspace.
    pub(super) fn workspace(&self) -> &Workspace {
        self.workspace
    }
}
