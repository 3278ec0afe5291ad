//! An apt of our own: private lists, cache and status, for one architecture and one release. It
//! knows mirrors, proxies and keys from the system's configuration and changes nothing of it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command;
use crate::sources::{self, Source};

/// The settings of the system's apt that reach an archive, and no others: no hooks, no translations.
const NETWORK_SETTINGS: [&str; 6] = [
    "Acquire::http",
    "Acquire::https",
    "Acquire::ForceIPv",
    "Acquire::Check-",
    "Acquire::Retries",
    "Acquire::Max-",
];

/// The suites of an archive that together are one release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Release {
    /// Its code name or alias, for example `bookworm` or `stable`.
    pub(crate) name: String,
    /// Whether it is the release that this machine runs.
    pub(crate) is_ours: bool,
}

impl Release {
    /// This machine's release, and those that may follow it, in order.
    ///
    /// # Errors
    /// When this machine does not say which release it runs.
    pub(crate) fn candidates() -> Result<Vec<Self>> {
        let text = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
        let field = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.map(|value| value.trim_matches('"').to_owned())
        };
        let id = field("ID").unwrap_or_default();
        let Some(ours) = field("VERSION_CODENAME").filter(|_| id == "debian") else {
            bail!("this machine runs {id:?}, and only Debian has the packages");
        };
        let later =
            ["stable", "testing"].map(|name| Self { name: name.to_owned(), is_ours: false });
        Ok([Self { name: ours, is_ours: true }].into_iter().chain(later).collect())
    }
}

/// A package as the archive describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// The packages that it depends on: of alternatives the first.
    pub(crate) depends: Vec<String>,
}

/// The archive does not answer.
#[derive(Debug)]
pub(crate) struct OutOfReach;

impl fmt::Display for OutOfReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the archive is out of reach")
    }
}

/// A private apt.
#[derive(Debug)]
pub(crate) struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Sets up lists of `release` for `architecture` below `folder` and fetches its index.
    ///
    /// # Errors
    /// When apt is not installed, knows no archive of the release, or cannot reach it.
    pub(crate) fn open(folder: &Path, architecture: &str, release: &Release) -> Result<Self> {
        for program in ["apt-get", "apt-cache", "apt-config", "dpkg-deb"] {
            if !command::is_installed(program) {
                bail!("{program} is not installed");
            }
        }
        let apt = Self { folder: folder.to_owned() };
        for part in ["state/lists/partial", "cache/archives/partial", "none"] {
            fs::create_dir_all(folder.join(part))?;
        }
        fs::write(folder.join("status"), "")?;
        let ours = Release::candidates()?.swap_remove(0).name;
        let lines = lists(&sources::read(Path::new("/etc/apt"))?, &ours, release);
        if lines.is_empty() {
            bail!("apt is configured with no archive of {ours}");
        }
        fs::write(folder.join("sources.list"), lines)?;
        fs::write(folder.join("apt.conf"), apt.configuration(architecture)?)?;
        command::output(apt.command("apt-get").args(["--error-on=any", "update"]))
            .context(OutOfReach)?;
        Ok(apt)
    }

    /// What the archive says of packages; those that it does not have are left out.
    ///
    /// # Errors
    /// When apt cannot be started.
    pub(crate) fn show(&self, names: &BTreeSet<String>) -> Result<Vec<Package>> {
        let mut apt_cache = self.command("apt-cache");
        apt_cache.args(["show", "--no-all-versions"]).args(names);
        let answer = command::quietly(&mut apt_cache)?;
        Ok(packages(&String::from_utf8_lossy(&answer.stdout)))
    }

    /// Downloads packages and unpacks them below `root`.
    ///
    /// # Errors
    /// When one cannot be had, fails its check, or does not unpack.
    pub(crate) fn unpack(&self, packages: &[Package], root: &Path) -> Result<()> {
        let downloads = self.folder.join("downloads");
        fs::create_dir_all(&downloads)?;
        let mut apt_get = self.command("apt-get");
        apt_get.current_dir(&downloads).arg("download");
        apt_get.args(packages.iter().map(|p| format!("{}={}", p.name, p.version)));
        command::output(&mut apt_get)?;
        for entry in fs::read_dir(&downloads)? {
            let mut dpkg_deb = Command::new("dpkg-deb");
            command::output(dpkg_deb.arg("-x").arg(entry?.path()).arg(root))?;
        }
        fs::remove_dir_all(&downloads).context("cannot remove the downloads")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.folder.join("apt.conf")).env("LC_ALL", "C");
        command
    }

    fn configuration(&self, architecture: &str) -> Result<String> {
        let dump = command::output(Command::new("apt-config").args(["dump", "--no-empty"]))?;
        let kept = |line: &&str| NETWORK_SETTINGS.iter().any(|name| line.starts_with(name));
        let network = dump.lines().filter(kept).map(str::to_owned);
        let none = self.folder.join("none");
        let paths = [
            ("Dir::State", self.folder.join("state")),
            ("Dir::State::lists", self.folder.join("state/lists")),
            ("Dir::State::status", self.folder.join("status")),
            ("Dir::Cache", self.folder.join("cache")),
            ("Dir::Etc::main", none.join("apt.conf")),
            ("Dir::Etc::parts", none.clone()),
            ("Dir::Etc::sourcelist", self.folder.join("sources.list")),
            ("Dir::Etc::sourceparts", none.clone()),
            ("Dir::Etc::preferences", none.join("preferences")),
            ("Dir::Etc::preferencesparts", none),
        ];
        let paths = paths.map(|(key, path)| format!("{key} \"{}\";", path.display()));
        let ours = [
            format!("APT::Architecture \"{architecture}\";"),
            format!("APT::Architectures {{ \"{architecture}\"; }};"),
            String::from("APT::Sandbox::User \"\";"),
            String::from("Acquire::Languages \"none\";"),
        ];
        let lines: Vec<_> = network.chain(paths).chain(ours).collect();
        Ok(lines.join("\n") + "\n")
    }
}

/// The lines of a source list for `release`, from the archives that the system has for `ours`.
fn lists(sources: &[Source], ours: &str, release: &Release) -> String {
    let line = |source: &Source| {
        let part = source.suite.strip_prefix(ours)?;
        // Updates of a release that is not ours are of no interest; its security suite is.
        let wanted =
            part.is_empty() || part == "-security" || release.is_ours && part == "-updates";
        let is_main = source.components.iter().any(|component| component == "main");
        let main = Source { components: vec![String::from("main")], ..source.clone() };
        (wanted && is_main).then(|| main.line(&format!("{}{part}", release.name)))
    };
    // Testing has no security suite at first; its archive alone will do.
    let no_security = release.name == "testing";
    let lines: BTreeSet<_> = sources
        .iter()
        .filter(|source| !(no_security && source.suite.ends_with("-security")))
        .filter_map(line)
        .collect();
    lines.into_iter().collect()
}

/// Parses the stanzas that `apt-cache show` prints.
fn packages(text: &str) -> Vec<Package> {
    let stanza = |text: &str| {
        let field =
            |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        let names = field("Depends").into_iter().flat_map(|line| line.split(','));
        let first = |entry: &str| Some(entry.trim().split([' ', ':', '|']).next()?.to_owned());
        Some(Package {
            name: field("Package")?.to_owned(),
            version: field("Version")?.to_owned(),
            depends: names.filter_map(first).collect(),
        })
    };
    text.split("\n\n").filter_map(stanza).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(suite: &str, component: &str) -> Source {
        Source {
            options: Vec::new(),
            uri: "http://mirror.example".to_owned(),
            suite: suite.to_owned(),
            components: vec![component.to_owned(), "extra".to_owned()],
        }
    }

    #[track_caller]
    fn check(release: (&str, bool), expected: &str) {
        let sources = [
            source("bookworm", "main"),
            source("bookworm-updates", "main"),
            source("bookworm-security", "main"),
            source("bookworm", "vendor"),
            source("other", "main"),
        ];
        let release = Release { name: release.0.to_owned(), is_ours: release.1 };
        assert_eq!(lists(&sources, "bookworm", &release), expected);
    }

    #[test]
    fn our_release_is_taken_with_security_and_updates() {
        check(
            ("bookworm", true),
            "deb http://mirror.example bookworm main\n\
             deb http://mirror.example bookworm-security main\n\
             deb http://mirror.example bookworm-updates main\n",
        );
    }

    #[test]
    fn a_later_release_is_taken_from_the_same_archives() {
        check(
            ("stable", false),
            "deb http://mirror.example stable main\n\
             deb http://mirror.example stable-security main\n",
        );
        check(("testing", false), "deb http://mirror.example testing main\n");
    }

    #[test]
    fn packages_are_read_with_the_first_of_each_alternative() {
        let text = "Package: rustc-web\nVersion: 1.96.0+dfsg1-1\nDepends: libc6 (>= 2.34), \
            gcc:any | cc\nSize: 3\n\nPackage: libllvm22\nVersion: 1:22.1\n\n";
        let package = |name: &str, version: &str, depends: &[&str]| Package {
            name: name.to_owned(),
            version: version.to_owned(),
            depends: depends.iter().map(|&name| name.to_owned()).collect(),
        };
        let expected = [
            package("rustc-web", "1.96.0+dfsg1-1", &["libc6", "gcc"]),
            package("libllvm22", "1:22.1", &[]),
        ];
        assert_eq!(packages(text), expected);
    }
}
