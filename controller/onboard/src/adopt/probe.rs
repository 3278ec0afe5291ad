//! What a board is asked before anything is done to it, and what its answers mean. Everything here only reads.

use std::collections::BTreeMap;

use super::step::Root;
use super::{Layout, PackageFile, Refusal, Trouble};
use crate::node::{Named, named};
use crate::shell::quote;

/// First line of the first answer; what stands before it is a greeting of the board's shell.
const HELLO: &str = "starbelt-hello 1";
/// First line of the second.
const LOOK: &str = "starbelt-look 1";
/// What follows is the configuration, to the end.
const CONFIG: &str = "config:";
/// Longest configuration that is read, bytes.
const CONFIG_BYTES_MAX: u32 = 65_536;

/// What any user may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// How root is had.
    pub root: Option<Root>,
    /// What Debian calls its processor; `None` where there is no dpkg.
    pub architecture: Option<String>,
}

/// The first question.
pub fn hello() -> String {
    let lines = [
        &format!("echo {}", quote(HELLO)),
        r#"if [ "$(id -u)" = 0 ]; then echo root=is; elif sudo -n true 2>/dev/null; then echo root=sudo; else echo root=no; fi"#,
        r#"echo "architecture=$(dpkg --print-architecture 2>/dev/null)""#,
    ];
    lines.join("\n")
}

/// Reads the answer to [`hello`].
///
/// # Errors
/// When it is none.
pub fn read_hello(answer: &str) -> Result<Hello, Refusal> {
    let facts = facts(answer, HELLO)?.0;
    Ok(Hello {
        root: match facts.get("root").copied() {
            Some("is") => Some(Root::Is),
            Some("sudo") => Some(Root::Sudo),
            Some(_) | None => None,
        },
        architecture: given(&facts, "architecture"),
    })
}

/// What is on a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// How root is had.
    pub root: Root,
    /// What Debian calls its processor.
    pub architecture: String,
    /// What it is, where it says so.
    pub model: Option<String>,
    /// Whether systemd looks after services.
    pub has_systemd: bool,
    /// The version of the agent that is installed.
    pub installed: Option<String>,
    /// Whether its service runs.
    pub is_active: bool,
    /// SHA-256 of the package of the last adoption.
    pub cached: Option<String>,
    /// Whether the package lies there already, whole, since an earlier try was interrupted.
    pub is_staged: bool,
    /// The configuration, and who it is for, or why that is unknown.
    pub config: Option<(String, Result<Named, String>)>,
    /// SHA-256 of the authority of the fleet that it has joined.
    pub joined: Option<Joined>,
    /// Processors.
    pub cores: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Free where the package is put, KiB; `None` if `df` does not say.
    pub scratch_free_kib: Option<u64>,
    /// Free where programs are, KiB.
    pub programs_free_kib: Option<u64>,
}

/// A certificate that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// SHA-256 of the certificate of its authority, in 64 digits; `None` if it cannot be read.
    pub authority: Option<String>,
}

/// The second question, as root; `package` is `None` where nothing is to be installed.
pub fn look(layout: &Layout, identity: &str, package: Option<&PackageFile>) -> String {
    let staged = package.map(|package| format!("{}/package.deb", layout.staging(package)));
    let sum = |path: &str| format!("$(sha256sum <{} 2>/dev/null | cut -c1-64)", quote(path));
    let free =
        |path: &str| format!("$(df -Pk {} 2>/dev/null | awk 'NR==2{{print $4}}')", quote(path));
    let config = quote(&layout.config);
    let mut lines = vec![
        format!("echo {}", quote(LOOK)),
        format!(r#"[ -d {} ] && echo systemd=yes"#, quote(&layout.systemd)),
        r#"echo "model=$(tr -d '\000' </proc/device-tree/model 2>/dev/null)""#.to_owned(),
        r#"echo "package=$(dpkg-query -W -f='${db:Status-Status} ${Version}' starbelt-agent 2>/dev/null)""#.to_owned(),
        r#"echo "active=$(systemctl is-active starbelt-agent 2>/dev/null)""#.to_owned(),
        format!(r#"echo "cached={}""#, sum(&format!("{}/adopted.deb", layout.cache))),
        format!(r#"[ -f {} ] && echo joined=yes"#, quote(&format!("{identity}/node.pem"))),
        format!(
            r#"echo "authority=$(sed '/^-/d' {} 2>/dev/null | base64 -d 2>/dev/null | sha256sum | cut -c1-64)""#,
            quote(&format!("{identity}/ca.pem"))
        ),
        r#"echo "cores=$(nproc)""#.to_owned(),
        r#"echo "memory_kib=$(awk '/^MemTotal:/{print $2}' /proc/meminfo)""#.to_owned(),
        format!(r#"echo "scratch_free_kib={}""#, free(&layout.scratch)),
        r#"echo "programs_free_kib=$(df -Pk /usr/bin 2>/dev/null | awk 'NR==2{print $4}')""#.to_owned(),
    ];
    lines.extend(staged.map(|staged| format!(r#"echo "staged={}""#, sum(&staged))));
    lines.push(format!(
        "if [ -f {config} ]; then echo {CONFIG}; head -c {CONFIG_BYTES_MAX} {config}; fi"
    ));
    lines.join("\n")
}

/// Reads the answer to [`look`].
///
/// # Errors
/// When it is none.
pub fn read_look(
    hello: &Hello,
    answer: &str,
    package: Option<&PackageFile>,
) -> Result<Found, Refusal> {
    let (facts, config) = facts(answer, LOOK)?;
    let number = |key: &str| facts.get(key).and_then(|value| value.parse::<u64>().ok());
    let (Some(root), Some(architecture)) = (hello.root, hello.architecture.clone()) else {
        return Err(Refusal::new(Trouble::Failure, "the board was not asked in order"));
    };
    let installed = given(&facts, "package");
    let installed = installed.and_then(|line| Some(line.strip_prefix("installed ")?.to_owned()));
    let staged = given(&facts, "staged");
    Ok(Found {
        root,
        architecture,
        model: given(&facts, "model"),
        has_systemd: facts.contains_key("systemd"),
        installed,
        is_active: facts.get("active").copied() == Some("active"),
        cached: given(&facts, "cached").filter(|sum| sum.len() == 64),
        is_staged: staged.is_some() && staged.as_ref() == package.map(|package| &package.sha256),
        config: config.map(|text| {
            let named = named(&text);
            (text, named)
        }),
        joined: facts.contains_key("joined").then(|| Joined {
            authority: given(&facts, "authority").filter(|sum| *sum != EMPTY_SUM),
        }),
        cores: number("cores").and_then(|cores| u32::try_from(cores).ok()).unwrap_or(1),
        memory_mib: number("memory_kib").unwrap_or(0) / 1024,
        scratch_free_kib: number("scratch_free_kib"),
        programs_free_kib: number("programs_free_kib"),
    })
}

/// SHA-256 of nothing: what a file that cannot be read comes to.
const EMPTY_SUM: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn given(facts: &BTreeMap<&str, &str>, key: &str) -> Option<String> {
    facts.get(key).filter(|value| !value.is_empty()).map(|value| (*value).to_owned())
}

/// The lines `key=value` after a first line, and the configuration after them.
fn facts<'a>(
    answer: &'a str,
    first: &str,
) -> Result<(BTreeMap<&'a str, &'a str>, Option<String>), Refusal> {
    let no_answer = || {
        let start: String = answer.chars().take(120).collect();
        let message = format!("the board has no usual shell: it answered {start:?}");
        Refusal::new(Trouble::Failure, message)
    };
    let start = answer.find(first).ok_or_else(no_answer)?;
    let after = answer.get(start + first.len()..).unwrap_or_default();
    let mark = format!("\n{CONFIG}\n");
    let (head, config) = match after.split_once(&mark) {
        Some((head, config)) => (head, Some(config.to_owned())),
        None => (after, None),
    };
    let facts = head.lines().filter_map(|line| line.split_once('='));
    Ok((facts.map(|(key, value)| (key, value.trim())).collect(), config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_after_whatever_a_shell_says_first() {
        let answer = "Welcome!\nroot=is\nstarbelt-hello 1\nroot=sudo\narchitecture=arm64\n";
        let hello = read_hello(answer).unwrap();
        assert_eq!(hello.root, Some(Root::Sudo));
        assert_eq!(hello.architecture.as_deref(), Some("arm64"));
        assert!(read_hello("bye").unwrap_err().message.contains("\"bye\""));
        assert_eq!(read_hello("starbelt-hello 1\nroot=no\narchitecture=\n").unwrap().root, None);
    }

    #[test]
    fn what_is_not_there_is_none_and_the_configuration_may_hold_anything() {
        let hello = Hello { root: Some(Root::Is), architecture: Some("armhf".to_owned()) };
        let bare = read_look(&hello, "starbelt-look 1\ncores=4\npackage=\nactive=inactive\n", None);
        let bare = bare.unwrap();
        assert_eq!((bare.installed, bare.config, bare.joined, bare.cores), (None, None, None, 4));
        assert!(!bare.is_active && !bare.has_systemd && !bare.is_staged);
        let full = "starbelt-look 1\nsystemd=yes\npackage=installed 0.1.0\nactive=active\njoined=yes\n\
            memory_kib=4096000\nscratch_free_kib=12\nauthority=aa\nconfig:\n[node]\nname = \"a\"\nfleet = \"f\"\nroot=no\n";
        let full = read_look(&hello, full, None).unwrap();
        assert_eq!(full.installed.as_deref(), Some("0.1.0"));
        assert_eq!(full.joined, Some(Joined { authority: Some("aa".to_owned()) }));
        assert_eq!((full.memory_mib, full.scratch_free_kib), (4000, Some(12)));
        let (text, named) = full.config.unwrap();
        assert!(text.ends_with("root=no\n") && named.is_err(), "{named:?}");
        let removed = "starbelt-look 1\npackage=config-files 0.1.0\n";
        assert_eq!(read_look(&hello, removed, None).unwrap().installed, None);
    }
}
