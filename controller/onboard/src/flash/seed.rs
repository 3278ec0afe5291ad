//! What is put on the boot partition: the package, the configuration, the token, and what the image runs at its first start.
//! Pure.
//!
//! All formats end in the same script, `starbelt-first-boot.sh`, so that there is one to get right. It needs no network; joining
//! does, and is left to a service that tries until it succeeds.

use std::fmt;

use protocol::join::Token;

use super::format::InitFormat;
use crate::node::{Node, Room};
use crate::sha256_hex;
use crate::shell::quote;

/// How our files on the boot partition begin. They lie in its root: folders that `fatfs` makes are not as `fsck.fat` wants them.
pub const PREFIX: &str = "starbelt-";
/// Installs the agent.
const FIRST_BOOT: &str = include_str!("seed/first-boot.sh");
/// Joins, from the service below.
const JOIN: &str = include_str!("seed/join.sh");
/// Runs that until it succeeds.
const JOIN_SERVICE: &str = include_str!("seed/starbelt-join.service");
/// Longest kernel command line of arm64, bytes (`COMMAND_LINE_SIZE`).
const CMDLINE_BYTES_MAX: usize = 2048;

/// What a card shall hold.
#[derive(Clone, Debug)]
pub struct Seed<'a> {
    /// As what the board starts.
    pub node: &'a Node,
    /// A configuration instead of one made from `node`.
    pub config: Option<&'a str>,
    /// The package.
    pub package: &'a [u8],
    /// With what it joins; `None` where it does not.
    pub token: Option<&'a Token>,
    /// Public keys of SSH that may log in.
    pub keys: &'a [String],
    /// A `network-config` of cloud-init, as it is.
    pub network: Option<&'a str>,
}

/// A file of the boot partition.
#[derive(Clone, PartialEq, Eq)]
pub struct BootFile {
    /// Its name, in the root of the partition.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for BootFile {
    // The bytes may be a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BootFile")
            .field("path", &self.path)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// Why a card cannot hold it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    /// Not a public key.
    #[error(
        "{0:?} is no public key of SSH: one line that starts with ssh-ed25519, ecdsa-, sk- or ssh-rsa"
    )]
    Key(String),
    /// The format has no such file.
    #[error(
        "an image of format {0} takes no network-config; set up its network by hand, or take an image with cloud-init"
    )]
    Network(InitFormat),
    /// What is there already cannot be added to.
    #[error("cmdline.txt of the image is {0}")]
    Cmdline(&'static str),
}

/// The files for an image of this format whose kernel command line is `cmdline`.
///
/// # Errors
/// [`SeedError`]
pub fn files(
    seed: &Seed<'_>,
    format: InitFormat,
    cmdline: Option<&str>,
) -> Result<Vec<BootFile>, SeedError> {
    if let Some(bad) = seed.keys.iter().find(|key| !is_key(key)) {
        return Err(SeedError::Key(bad.chars().take(40).collect()));
    }
    let mut files = common(seed);
    let mut add = |path: &str, text: String| {
        files.push(BootFile { path: path.to_owned(), bytes: text.into_bytes() });
    };
    let words = match format {
        InitFormat::Systemd => {
            if seed.network.is_some() {
                return Err(SeedError::Network(format));
            }
            add("firstrun.sh", first_run(seed));
            "systemd.run=/boot/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target".to_owned()
        }
        InitFormat::CloudInitRpi | InitFormat::CloudInit => {
            let data = user_data(seed);
            // Another identity than any before: else cloud-init has done all that already.
            let token = seed.token.map(Token::to_string).unwrap_or_default();
            let sum = sha256_hex(format!("{data}{token}").as_bytes());
            let id = format!("starbelt-{}", sum.get(..16).unwrap_or_default());
            add("meta-data", format!("dsmode: local\ninstance-id: {id}\n"));
            add("user-data", data);
            if let Some(network) = seed.network {
                add("network-config", network.to_owned());
            }
            format!("ds=nocloud;i={id}")
        }
    };
    match (cmdline, format) {
        (Some(cmdline), _) => add("cmdline.txt", with_words(cmdline, &words)?),
        (None, InitFormat::Systemd) => {
            return Err(SeedError::Cmdline("missing, so nothing would run"));
        }
        (None, InitFormat::CloudInitRpi | InitFormat::CloudInit) => {}
    }
    Ok(files)
}

/// What all formats have.
fn common(seed: &Seed<'_>) -> Vec<BootFile> {
    // How much room there is, the board finds out.
    let template = || {
        let config = seed.node.config(Room { milli_cpu: 0, memory_mib: 0 });
        config
            .replace("milli_cpu = 0\n", "milli_cpu = @MILLI_CPU@\n")
            .replace("memory_mib = 0\n", "memory_mib = @MEMORY_MIB@\n")
    };
    let config = seed.config.map_or_else(template, str::to_owned);
    let first_boot = FIRST_BOOT.replace("@SHA256@", &sha256_hex(seed.package));
    let mut files = vec![
        ("agent.deb", seed.package.to_vec()),
        ("agent.toml", config.into_bytes()),
        ("first-boot.sh", first_boot.into_bytes()),
    ];
    if let Some(token) = seed.token {
        files.push(("join.sh", JOIN.as_bytes().to_vec()));
        files.push(("join.service", JOIN_SERVICE.as_bytes().to_vec()));
        files.push(("token", format!("{token}\n").into_bytes()));
    }
    let in_root = |(name, bytes)| BootFile { path: format!("{PREFIX}{name}"), bytes };
    files.into_iter().map(in_root).collect()
}

/// The script that systemd runs before anything else. An image of Debian 12 cuts it at the line that removes it, and puts its
/// own end there: so nothing may end it before, and that line has to be as it is.
fn first_run(seed: &Seed<'_>) -> String {
    let name = &seed.node.name;
    let keys: String = seed.keys.iter().map(|key| format!(" {}", quote(key))).collect();
    let enable_ssh = match seed.keys.is_empty() {
        true => String::new(),
        false => format!("if [ -f $custom ]; then $custom enable_ssh -k{keys}; fi\n"),
    };
    format!(
        "#!/bin/sh\n\
         # Made by starbelt flash; runs once, at the first start.\n\
         set +e\n\
         custom=/usr/lib/raspberrypi-sys-mods/imager_custom\n\
         if [ -f $custom ]; then $custom set_hostname {name}; else echo {name} >/etc/hostname; fi\n\
         {enable_ssh}\
         for boot in /boot/firmware /boot; do\n\
         if [ -f $boot/{PREFIX}first-boot.sh ]; then sh $boot/{PREFIX}first-boot.sh; break; fi\n\
         done\n\
         rm -f /boot/firstrun.sh\n\
         sed -i 's| systemd.run.*||g' /boot/cmdline.txt\n\
         exit 0\n"
    )
}

fn user_data(seed: &Seed<'_>) -> String {
    let name = &seed.node.name;
    let mut text = format!(
        "#cloud-config\n# Made by starbelt flash.\nhostname: {name}\nmanage_etc_hosts: true\n"
    );
    let mut commands = String::new();
    if !seed.keys.is_empty() {
        text.push_str("ssh_pwauth: false\nssh_authorized_keys:\n");
        text.extend(seed.keys.iter().map(|key| format!("- \"{key}\"\n")));
        // cloud-init writes keys, but Raspberry Pi OS does not start the server by itself.
        commands.push_str("- [systemctl, enable, --now, ssh]\n");
    }
    format!("{text}runcmd:\n{commands}- [sh, /boot/firmware/{PREFIX}first-boot.sh]\n")
}

/// A line that stays one word of sh and of YAML.
fn is_key(key: &str) -> bool {
    let is_kind =
        ["ssh-ed25519 ", "ssh-rsa ", "ecdsa-", "sk-"].iter().any(|kind| key.starts_with(kind));
    is_kind && key.chars().all(|c| (' '..='~').contains(&c) && !"\"\\'`$".contains(c))
}

/// The command line with other words of ours at its end. It has to stay one line: the firmware reads no other.
fn with_words(cmdline: &str, words: &str) -> Result<String, SeedError> {
    let text = cmdline.trim();
    if text.is_empty() || text.contains(['\n', '\r', '\0']) {
        return Err(SeedError::Cmdline("not one line of words"));
    }
    let is_ours = |word: &&str| {
        ["systemd.run", "systemd.unit=kernel-command-line", "ds=nocloud"]
            .iter()
            .any(|start| word.starts_with(start))
    };
    let kept: Vec<&str> =
        text.split(' ').filter(|word| !word.is_empty() && !is_ours(word)).collect();
    let line = format!("{} {words}\n", kept.join(" "));
    match line.len() <= CMDLINE_BYTES_MAX {
        true => Ok(line),
        false => Err(SeedError::Cmdline("too long to add to")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::NodeKind;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ op@laptop";
    const CMDLINE: &str =
        "console=tty1 root=PARTUUID=1-02 init=/usr/lib/raspberrypi-sys-mods/firstboot\n";

    fn node() -> Node {
        Node {
            name: "pi-1".parse().unwrap(),
            fleet: "demo".parse().unwrap(),
            kind: NodeKind::Edge,
            listen: vec![],
            connect: vec!["tls/10.0.0.1:7447".to_owned()],
            join: Some("https://10.0.0.1:7449".to_owned()),
        }
    }

    fn token() -> Token {
        let text = format!("sbj1.pi-1.{}.{}.{}", "0".repeat(16), "a".repeat(32), "b".repeat(64));
        text.parse().unwrap()
    }

    fn text(files: &[BootFile], path: &str) -> String {
        let file = files.iter().find(|file| file.path == path);
        String::from_utf8(file.unwrap_or_else(|| panic!("no {path}")).bytes.clone()).unwrap()
    }

    fn made(
        format: InitFormat,
        keys: &[String],
        cmdline: Option<&str>,
    ) -> Result<Vec<BootFile>, SeedError> {
        let (node, token) = (node(), token());
        let seed = Seed {
            node: &node,
            config: None,
            package: b"deb",
            token: Some(&token),
            keys,
            network: None,
        };
        files(&seed, format, cmdline)
    }

    #[test]
    fn an_older_image_runs_a_script_once() {
        let keys = [KEY.to_owned()];
        let files = made(InitFormat::Systemd, &keys, Some(CMDLINE)).unwrap();
        let cmdline = text(&files, "cmdline.txt");
        assert!(cmdline.starts_with("console=tty1 root=PARTUUID=1-02 init="), "{cmdline}");
        assert!(
            cmdline.contains(" systemd.run=/boot/firstrun.sh ") && cmdline.lines().count() == 1
        );
        let script = text(&files, "firstrun.sh");
        assert!(script.contains(&format!("enable_ssh -k '{KEY}'")), "{script}");
        // What Debian 12 does to it: cut at the first line that matches rm.*firstrun\.sh$, which has to be after our work.
        let is_cut = |line: &&str| line.contains("rm") && line.ends_with("firstrun.sh");
        let cut = script.lines().position(|line| is_cut(&line)).unwrap();
        let ours = script.lines().position(|line| line.contains("first-boot.sh")).unwrap();
        assert!(ours < cut && script.lines().filter(is_cut).count() == 1, "{script}");
        let before: Vec<&str> = script.lines().take(cut).collect();
        assert!(!before.iter().any(|line| line.contains("exit")), "{script}");
    }

    #[test]
    fn a_newer_image_gets_a_seed_of_cloud_init() {
        let keys = [KEY.to_owned()];
        let files = made(InitFormat::CloudInitRpi, &keys, Some(CMDLINE)).unwrap();
        let data = text(&files, "user-data");
        assert!(data.starts_with("#cloud-config\n") && data.contains("hostname: pi-1\n"), "{data}");
        assert!(data.contains(&format!("- \"{KEY}\"\n")), "{data}");
        let meta = text(&files, "meta-data");
        let id = meta.lines().find_map(|line| line.strip_prefix("instance-id: ")).unwrap();
        assert!(text(&files, "cmdline.txt").ends_with(&format!(" ds=nocloud;i={id}\n")));
        assert!(!data.contains(&"a".repeat(32)) && !meta.contains(&"a".repeat(32)));
        // A card that is customised again is another instance, and its command line does not grow.
        let again =
            made(InitFormat::CloudInitRpi, &[], Some(&text(&files, "cmdline.txt"))).unwrap();
        assert_eq!(text(&again, "cmdline.txt").matches("ds=nocloud").count(), 1);
        assert_ne!(text(&again, "meta-data"), meta);
        assert!(made(InitFormat::CloudInit, &[], None).is_ok());
    }

    #[test]
    fn the_configuration_is_a_template_until_the_board_knows_itself() {
        let files = made(InitFormat::CloudInit, &[], None).unwrap();
        let template = text(&files, "starbelt-agent.toml");
        assert!(
            template.contains("milli_cpu = @MILLI_CPU@\nmemory_mib = @MEMORY_MIB@\n"),
            "{template}"
        );
        let script = text(&files, "starbelt-first-boot.sh");
        assert!(script.contains(&sha256_hex(b"deb")) && !script.contains("@SHA256@"), "{script}");
        assert_eq!(text(&files, "starbelt-token"), format!("{}\n", token()));
        assert!(!format!("{files:?}").contains(&"a".repeat(32)));
    }

    #[test]
    fn what_would_not_work_is_refused() {
        for bad in ["ssh-ed25519 A\nB", "ssh-rsa \"; reboot", "x", "ssh-rsa $(id)"] {
            let error = made(InitFormat::Systemd, &[bad.to_owned()], Some(CMDLINE)).unwrap_err();
            assert!(matches!(error, SeedError::Key(_)), "{bad}");
        }
        for (cmdline, rule) in
            [(None, "missing"), (Some(" \n"), "not one line"), (Some("a\nb"), "not one line")]
        {
            let error = made(InitFormat::Systemd, &[], cmdline).unwrap_err();
            assert!(error.to_string().contains(rule), "{error}");
        }
        let long = "x".repeat(2040);
        assert!(
            made(InitFormat::Systemd, &[], Some(&long))
                .unwrap_err()
                .to_string()
                .contains("too long")
        );
        let node = node();
        let seed = Seed {
            node: &node,
            config: None,
            package: b"",
            token: None,
            keys: &[],
            network: Some("x"),
        };
        assert!(matches!(
            files(&seed, InitFormat::Systemd, Some(CMDLINE)),
            Err(SeedError::Network(_))
        ));
        assert!(
            !files(&seed, InitFormat::CloudInit, None)
                .unwrap()
                .iter()
                .any(|file| file.path.contains("token"))
        );
    }

    #[test]
    fn the_scripts_are_sh() {
        let (node, token) = (node(), token());
        let seed = Seed {
            node: &node,
            config: None,
            package: b"",
            token: Some(&token),
            keys: &[KEY.to_owned()],
            network: None,
        };
        for file in files(&seed, InitFormat::Systemd, Some(CMDLINE)).unwrap() {
            if !file.path.ends_with(".sh") {
                continue;
            }
            let script = String::from_utf8(file.bytes).unwrap();
            let checked =
                std::process::Command::new("sh").args(["-n", "-c", &script]).output().unwrap();
            assert!(
                checked.status.success(),
                "{}: {}",
                file.path,
                String::from_utf8_lossy(&checked.stderr)
            );
        }
    }
}
