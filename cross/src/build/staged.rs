//! What a package holds, laid out in a folder as it will lie on a system, and the archives made of that.
//!
//! The same sources give the same bytes: all times are that of the commit, all files are root's, in order of name.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::package::Package;
use crate::command;

/// Who answers for the packages; the domain is one that cannot exist.
const MAINTAINER: &str = "The Starbelt authors <starbelt@starbelt.invalid>";
/// The scripts of a package with a service, in `cross/packages/scripts`.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];
/// Mode of programs, scripts and folders, and of other files.
const MODES: (u32, u32) = (0o755, 0o644);

/// What a package is called, and for which machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Label {
    /// Its version.
    pub(super) version: String,
    /// The architecture, as Debian calls it.
    pub(super) architecture: String,
    /// All packages that it needs.
    pub(super) depends: Vec<String>,
    /// When the sources were committed, in seconds since 1970.
    pub(super) committed: u64,
}

/// A package in a folder.
#[derive(Debug)]
pub(super) struct Staged<'a> {
    package: &'a Package,
    label: &'a Label,
    folder: PathBuf,
}

impl<'a> Staged<'a> {
    /// Lays out a package below `scratch`.
    ///
    /// # Errors
    /// When a file cannot be copied.
    pub(super) fn new(
        root: &Path,
        package: &'a Package,
        label: &'a Label,
        program: &Path,
        scratch: &Path,
    ) -> Result<Self> {
        let folder = scratch.join(&package.name);
        if folder.exists() {
            fs::remove_dir_all(&folder).context("cannot remove what an earlier build left")?;
        }
        let staged = Self { package, label, folder };
        staged.copy(program, &format!("usr/bin/{}", package.program), MODES.0)?;
        for packed in &package.files {
            staged.copy(&root.join(&packed.from), &packed.to, MODES.1)?;
        }
        let doc = format!("usr/share/doc/{}", package.name);
        staged.write(&format!("{doc}/copyright"), &copyright(), MODES.1)?;
        staged.copy(&root.join("docs/changelog.md"), &format!("{doc}/changelog"), MODES.1)?;
        command::run(
            Command::new("gzip").arg("-9nf").arg(staged.path(&format!("{doc}/changelog"))),
        )?;
        let scripts = SCRIPTS.into_iter().filter(|_| package.service.is_some());
        for name in scripts {
            let text = fs::read_to_string(root.join("cross/packages/scripts").join(name))?;
            staged.write(&format!("DEBIAN/{name}"), &filled(&text, package), MODES.0)?;
        }
        let files = staged.files()?;
        staged.write("DEBIAN/md5sums", &staged.md5sums(&files)?, MODES.1)?;
        staged.write("DEBIAN/control", &staged.control(&files)?, MODES.1)?;
        staged.level(&staged.folder)?;
        Ok(staged)
    }

    /// `<package>_<version>_<arch>`, which results are called with an ending.
    pub(super) fn stem(&self) -> String {
        format!("{}_{}_{}", self.package.name, self.label.version, self.label.architecture)
    }

    /// Makes the package of Debian; answers where.
    ///
    /// # Errors
    /// When `dpkg-deb` is missing or refuses it.
    pub(super) fn deb(&self, dist: &Path) -> Result<PathBuf> {
        let file = dist.join(format!("{}.deb", self.stem()));
        let mut dpkg_deb = Command::new("dpkg-deb");
        dpkg_deb.args(["--root-owner-group", "-Zxz", "--build"]).arg(&self.folder).arg(&file);
        dpkg_deb.env("SOURCE_DATE_EPOCH", self.label.committed.to_string());
        command::output(&mut dpkg_deb)
            .context("packages are made with dpkg-deb (Debian, Ubuntu: apt-get install dpkg)")?;
        Ok(file)
    }

    /// Makes an archive that is unpacked in the root of a system without Debian's packages; answers where.
    ///
    /// # Errors
    /// When `tar` fails.
    pub(super) fn tarball(&self, dist: &Path) -> Result<PathBuf> {
        let file = dist.join(format!("{}.tar.gz", self.stem()));
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(&self.folder).args(["--exclude=./DEBIAN", "--sort=name"]);
        tar.args(["--owner=0", "--group=0", "--numeric-owner", "--format=ustar"]);
        tar.arg(format!("--mtime=@{}", self.label.committed));
        // No name and no time of the archive in it.
        tar.arg("--use-compress-program=gzip -9n").arg("-cf").arg(&file).arg(".");
        command::output(&mut tar)?;
        Ok(file)
    }

    fn path(&self, at: &str) -> PathBuf {
        self.folder.join(at)
    }

    fn copy(&self, from: &Path, to: &str, mode: u32) -> Result<()> {
        let to = self.prepared(to)?;
        fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        fs::set_permissions(&to, fs::Permissions::from_mode(mode)).context("cannot set a mode")
    }

    fn write(&self, to: &str, text: &str, mode: u32) -> Result<()> {
        let to = self.prepared(to)?;
        fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
        fs::set_permissions(&to, fs::Permissions::from_mode(mode)).context("cannot set a mode")
    }

    fn prepared(&self, at: &str) -> Result<PathBuf> {
        let path = self.path(at);
        let folder = path.parent().context("a file without a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(path)
    }

    /// The files that are installed, from the root of a system, in order.
    fn files(&self) -> Result<Vec<String>> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let at = path.strip_prefix(&self.folder)?.to_string_lossy().into_owned();
                files.extend(Some(at).filter(|at| !at.starts_with("DEBIAN/")));
            }
        }
        files.sort();
        Ok(files)
    }

    fn md5sums(&self, files: &[String]) -> Result<String> {
        let mut md5sum = Command::new("md5sum");
        command::output(md5sum.current_dir(&self.folder).args(files))
    }

    fn control(&self, files: &[String]) -> Result<String> {
        let mut bytes = 0;
        for file in files {
            bytes += fs::metadata(self.path(file))?.len();
        }
        let (package, label) = (self.package, self.label);
        let depends = match label.depends.as_slice() {
            [] => String::new(),
            all => format!("Depends: {}\n", all.join(", ")),
        };
        Ok(format!(
            "Package: {}\nVersion: {}\nArchitecture: {}\nMaintainer: {MAINTAINER}\n\
             Installed-Size: {}\n{depends}Section: net\nPriority: optional\n\
             Description: {}\n{}",
            package.name,
            label.version,
            label.architecture,
            bytes.div_ceil(1024),
            package.summary,
            paragraphs(&package.description),
        ))
    }

    /// Folders are made under the umask of whoever builds.
    fn level(&self, folder: &Path) -> Result<()> {
        fs::set_permissions(folder, fs::Permissions::from_mode(MODES.0))?;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                self.level(&path)?;
            }
        }
        Ok(())
    }
}

/// A script with the names of its package.
fn filled(text: &str, package: &Package) -> String {
    let service = package.service.as_deref().unwrap_or_default();
    text.replace("@PACKAGE@", &package.name)
        .replace("@SERVICE@", service)
        .replace("@CONFIG@", &package.config)
        .replace("@STATE@", &package.state)
}

/// A description as control files have it: lines start with a space, empty ones are a dot.
fn paragraphs(text: &str) -> String {
    let line = |line: &str| match line.trim() {
        "" => String::from(" .\n"),
        line => format!(" {line}\n"),
    };
    text.trim().lines().map(line).collect()
}

fn copyright() -> String {
    String::from(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: Starbelt\n\nFiles: *\nCopyright: 2026 The Starbelt authors\nLicense: Apache-2.0\n\n\
         License: Apache-2.0\n On Debian systems its text is in /usr/share/common-licenses/Apache-2.0.\n\
         \x20What the program is made of besides, with the licence of each part, is in the .cdx.json beside the package.\n",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_written_by_debians_rules() {
        assert_eq!(paragraphs("One\ntwo.\n\nThree.\n"), " One\n two.\n .\n Three.\n");
    }
}
