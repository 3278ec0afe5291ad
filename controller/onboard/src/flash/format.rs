//! Which customisation an image understands. Guessing wrong is silent: the board starts as if nobody had asked for anything. So
//! it is told by what lies in the boot partition, and where that does not tell, the operator has to say it. Pure.

use std::fmt;

/// How an image lets itself be set up at its first start; the names are those of Raspberry Pi's list of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitFormat {
    /// `firstrun.sh`, which the kernel's command line has systemd run: Raspberry Pi OS up to 2025-10-01.
    Systemd,
    /// cloud-init with Raspberry Pi's additions: later Raspberry Pi OS.
    CloudInitRpi,
    /// cloud-init: Ubuntu.
    CloudInit,
}

/// The last Raspberry Pi OS whose format is `systemd` although files of cloud-init lie there.
const LAST_SYSTEMD: &str = "2025-10-02";

impl InitFormat {
    /// All, with their names.
    pub const ALL: [(&'static str, Self); 3] = [
        ("systemd", Self::Systemd),
        ("cloudinit-rpi", Self::CloudInitRpi),
        ("cloudinit", Self::CloudInit),
    ];
}

impl fmt::Display for InitFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, format)| format == self).map_or("", |(name, _)| name);
        f.pad(name)
    }
}

impl std::str::FromStr for InitFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(name, _)| *name == text);
        known.map(|(_, format)| *format).ok_or_else(|| match text {
            "rpi-preseed" => "rpi-preseed takes settings and no commands, so it cannot install the agent; write the image without us and use starbelt adopt".to_owned(),
            "none" => "an image without customisation cannot install the agent; write it without us and use starbelt adopt".to_owned(),
            _ => format!("{text:?} is no format; there are systemd, cloudinit-rpi and cloudinit"),
        })
    }
}

/// What of a boot partition tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootFiles {
    /// Names in its root, in lower case.
    pub names: Vec<String>,
    /// `issue.txt`
    pub issue: Option<String>,
}

/// Why nobody can tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the image does not say how it is customised: {0}; give --init-format systemd, cloudinit-rpi or cloudinit, as its makers say"
)]
pub struct Unknown(pub &'static str);

/// Tells the format.
///
/// # Errors
/// [`Unknown`]
pub fn tell(boot: &BootFiles) -> Result<InitFormat, Unknown> {
    let has = |name: &str| boot.names.iter().any(|other| other == name);
    let is_cloud = has("user-data") && has("meta-data");
    if !has("cmdline.txt") && !is_cloud {
        return Err(Unknown(
            "its boot partition has neither cmdline.txt nor user-data and meta-data",
        ));
    }
    let date = boot.issue.as_deref().and_then(reference_date);
    match (is_cloud, date) {
        (true, Some(date)) if date <= LAST_SYSTEMD => Ok(InitFormat::Systemd),
        (true, Some(_)) => Ok(InitFormat::CloudInitRpi),
        (true, None) => Ok(InitFormat::CloudInit),
        (false, Some(date)) if date <= LAST_SYSTEMD => Ok(InitFormat::Systemd),
        (false, Some(_)) => {
            Err(Unknown("it is newer than 2025-10-02, and has no files of cloud-init"))
        }
        (false, None) => Err(Unknown("its issue.txt names no Raspberry Pi OS")),
    }
}

/// The date in "Raspberry Pi reference 2024-11-19".
fn reference_date(issue: &str) -> Option<&str> {
    let date =
        issue.lines().find_map(|line| line.trim().strip_prefix("Raspberry Pi reference "))?;
    let date = date.get(..10)?;
    let is_date = date.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    is_date.then_some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(names: &[&str], issue: Option<&str>) -> BootFiles {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let issue =
            issue.map(|date| format!("Raspberry Pi reference {date}\nGenerated using pi-gen\n"));
        BootFiles { names, issue }
    }

    #[test]
    fn each_generation_of_images_is_told_apart() {
        let plain = ["cmdline.txt", "config.txt", "issue.txt"];
        let cloud = ["cmdline.txt", "user-data", "meta-data", "network-config"];
        for (names, issue, expected) in [
            (&plain[..], Some("2024-11-19"), InitFormat::Systemd),
            (&plain[..], Some("2025-10-01"), InitFormat::Systemd),
            (&cloud[..], Some("2025-10-01"), InitFormat::Systemd),
            (&cloud[..], Some("2025-12-04"), InitFormat::CloudInitRpi),
            (&cloud[..], None, InitFormat::CloudInit),
        ] {
            assert_eq!(tell(&boot(names, issue)), Ok(expected), "{names:?} {issue:?}");
        }
    }

    #[test]
    fn nothing_is_guessed() {
        for (names, issue, rule) in [
            (&["cmdline.txt"][..], None, "names no Raspberry Pi OS"),
            (&["cmdline.txt"][..], Some("soon"), "names no Raspberry Pi OS"),
            (&["cmdline.txt"][..], Some("2026-01-01"), "newer"),
            (&["kernel.img"][..], Some("2024-11-19"), "neither"),
        ] {
            assert!(tell(&boot(names, issue)).unwrap_err().to_string().contains(rule), "{rule}");
        }
    }

    #[test]
    fn formats_have_names_and_those_without_commands_a_reason() {
        for (name, format) in InitFormat::ALL {
            assert_eq!((name.parse(), format.to_string().as_str()), (Ok(format), name));
        }
        for name in ["rpi-preseed", "none"] {
            assert!(name.parse::<InitFormat>().unwrap_err().contains("starbelt adopt"));
        }
    }
}
