//! Jetsons: NVIDIA's own tools flash them, on an x86-64 Ubuntu; what is done here is to check what they need and to print the
//! commands, with the paths that this release of the tools has. Pure; the facts are gathered by the caller.

use std::fmt::Write as _;

use crate::shell::{line, quote};

/// A module in its carrier board, as NVIDIA's tools call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// The name of its configuration.
    pub name: &'static str,
    /// What it calls itself on USB in recovery mode, vendor 0955.
    pub recovery: &'static [&'static str],
}

/// The boards that are known. Others have other layouts.
pub const BOARDS: [Board; 2] = [
    Board { name: "jetson-orin-nano-devkit", recovery: &["7323", "7423", "7523", "7623"] },
    Board { name: "jetson-agx-orin-devkit", recovery: &["7023", "7223"] },
];
/// NVIDIA's vendor on USB.
pub const VENDOR: &str = "0955";
/// What a Jetson is on USB that runs and is not in recovery mode.
const RUNNING: &str = "7020";
/// Where a Jetson that runs answers over its USB cable.
const USB_ADDRESS: &str = "192.168.55.1";

/// Where the tools of a release put things: release 36 (JetPack 6), then release 35 (JetPack 5).
const LAYOUTS: [(&str, &str); 2] = [
    ("tools/kernel_flash/flash_l4t_t234_nvme.xml", "bootloader/generic/cfg/flash_t234_qspi.xml"),
    ("tools/kernel_flash/flash_l4t_external.xml", "bootloader/t186ref/cfg/flash_t234_qspi.xml"),
];
/// What has to be in the folder of the tools besides.
const TOOLS: [&str; 4] = [
    "apply_binaries.sh",
    "tools/l4t_flash_prerequisites.sh",
    "tools/l4t_create_default_user.sh",
    "tools/kernel_flash/l4t_initrd_flash.sh",
];
/// What shows that the root file system was unpacked.
const ROOTFS: &str = "rootfs/etc/os-release";

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which board.
    pub board: Board,
    /// The folder `Linux_for_Tegra`.
    pub tools: String,
    /// Where the system goes: `nvme0n1p1`, `sda1`.
    pub device: String,
    /// The name of the node.
    pub node: String,
    /// Who logs in.
    pub user: String,
    /// The package of the agent.
    pub package: String,
    /// Words of `starbelt adopt` that say what the board shall be.
    pub adopt: Vec<String>,
}

/// What was found on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its processor: `x86_64`.
    pub machine: String,
    /// Which files are there, of those in [`files`].
    pub present: Vec<String>,
    /// Products of NVIDIA on USB.
    pub products: Vec<String>,
}

/// The files to look for in the folder of the tools.
pub fn files() -> impl Iterator<Item = &'static str> {
    let layouts = LAYOUTS.iter().flat_map(|(system, firmware)| [*system, *firmware]);
    TOOLS.into_iter().chain([ROOTFS]).chain(layouts)
}

/// All that is missing; none if the commands can be run.
pub fn problems(wanted: &Wanted, facts: &Facts) -> Vec<String> {
    let mut problems = Vec::new();
    if facts.machine != "x86_64" {
        problems.push(format!("NVIDIA's tools run on x86-64 alone, and this is {}", facts.machine));
    }
    let has = |file: &str| facts.present.iter().any(|other| other == file);
    for tool in TOOLS.into_iter().filter(|tool| !has(tool)) {
        problems.push(format!(
            "{}/{tool} is not there; unpack Jetson_Linux_R*_aarch64.tbz2",
            wanted.tools
        ));
    }
    if !has(ROOTFS) {
        let rule = "unpack Tegra_Linux_Sample-Root-Filesystem_R*.tbz2 there, as root";
        problems.push(format!("{}/rootfs has no system; {rule}", wanted.tools));
    }
    if layout(facts).is_none() {
        problems.push(
            "these tools are neither release 35 nor 36: no layout for an external drive is known"
                .to_owned(),
        );
    }
    let is_recovery = |product: &String| wanted.board.recovery.contains(&product.as_str());
    if !facts.products.iter().any(is_recovery) {
        let seen = match facts.products.as_slice() {
            [] => "no Jetson is on USB".to_owned(),
            [one] if one == RUNNING => "the Jetson on USB runs".to_owned(),
            some => format!("on USB is {VENDOR}:{}", some.join(", ")),
        };
        problems.push(format!(
            "{seen}; {} has to be in recovery mode: bridge FC REC and GND, then power on",
            wanted.board.name
        ));
    }
    problems
}

fn layout(facts: &Facts) -> Option<(&'static str, &'static str)> {
    let has = |file: &str| facts.present.iter().any(|other| other == file);
    LAYOUTS.into_iter().find(|(system, firmware)| has(system) && has(firmware))
}

/// The commands, with a reason each.
pub fn commands(wanted: &Wanted, facts: &Facts) -> String {
    let mut text = String::new();
    for (why, command) in flashing(wanted, facts).iter().chain(&adopting(wanted)) {
        writeln!(text, "# {why}\n{command}").expect("writing to a String does not fail");
    }
    text
}

/// What NVIDIA's tools do.
fn flashing(wanted: &Wanted, facts: &Facts) -> [(&'static str, String); 5] {
    let (system, firmware) = layout(facts).unwrap_or(LAYOUTS[0]);
    let firmware = format!("-c {firmware}");
    let create = "./tools/l4t_create_default_user.sh";
    let user = ["sudo", create, "-u", &wanted.user, "-n", &wanted.node, "--accept-license"];
    let program = "./tools/kernel_flash/l4t_initrd_flash.sh";
    let start =
        ["sudo", program, "--external-device", &wanted.device, "-c", system, "-p", &firmware];
    let rest = ["--showlogs", "--network", "usb0", wanted.board.name, "internal"];
    [
        ("in the folder of NVIDIA's tools", format!("cd {}", quote(&wanted.tools))),
        (
            "what the tools need on this machine",
            line(["sudo", "./tools/l4t_flash_prerequisites.sh"]),
        ),
        ("NVIDIA's drivers go into the system", line(["sudo", "./apply_binaries.sh"])),
        (
            "a user, so that nobody has to sit at the board; its password is drawn and printed",
            line(user),
        ),
        ("the board is written; this erases it", line(start.into_iter().chain(rest))),
    ]
}

/// What is done once it runs.
fn adopting(wanted: &Wanted) -> [(&'static str, String); 3] {
    let at_usb = format!("{}@{USB_ADDRESS}", wanted.user);
    let allow = format!(
        "echo '{} ALL=(ALL) NOPASSWD:ALL' | sudo tee /etc/sudoers.d/starbelt-adopt",
        wanted.user
    );
    let start = ["starbelt", "adopt", &at_usb, "--package", &wanted.package];
    let adopt = line(start.into_iter().chain(wanted.adopt.iter().map(String::as_str)));
    [
        (
            "it starts, and answers over the USB cable: compare its host key, take your key there",
            line(["ssh-copy-id", &at_usb]),
        ),
        ("no password for sudo, while it is adopted", line(["ssh", "-t", &at_usb, &allow])),
        ("the agent, from the folder in which this was printed", adopt),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            board: BOARDS[0],
            tools: "/opt/Linux_for_Tegra".to_owned(),
            device: "nvme0n1p1".to_owned(),
            node: "orin-1".to_owned(),
            user: "op".to_owned(),
            package: "target/dist/starbelt-agent_0.1.0_arm64.deb".to_owned(),
            adopt: ["--name", "orin-1", "--join", "https://a b"].map(str::to_owned).to_vec(),
        }
    }

    fn facts(release: usize) -> Facts {
        let (system, firmware) = LAYOUTS[release];
        let present =
            TOOLS.into_iter().chain([ROOTFS, system, firmware]).map(str::to_owned).collect();
        Facts { machine: "x86_64".to_owned(), present, products: vec!["7523".to_owned()] }
    }

    #[test]
    fn the_commands_have_the_paths_of_the_release_that_is_there() {
        for (release, word) in
            [(0, "flash_l4t_t234_nvme.xml"), (1, "t186ref/cfg/flash_t234_qspi.xml")]
        {
            assert_eq!(problems(&wanted(), &facts(release)), Vec::<String>::new());
            let commands = commands(&wanted(), &facts(release));
            assert!(commands.contains(word), "{commands}");
            assert!(commands.contains(" jetson-orin-nano-devkit internal\n"), "{commands}");
            assert!(
                commands.ends_with("_arm64.deb --name orin-1 --join 'https://a b'\n"),
                "{commands}"
            );
            assert_eq!(commands.lines().count(), 16);
        }
    }

    #[test]
    fn everything_that_is_missing_is_named_at_once() {
        let bare = Facts {
            machine: "aarch64".to_owned(),
            present: vec![],
            products: vec![RUNNING.to_owned()],
        };
        let all = problems(&wanted(), &bare).join("\n");
        for word in [
            "aarch64",
            "apply_binaries.sh",
            "l4t_initrd_flash.sh",
            "no system",
            "neither release",
            "on USB runs",
        ] {
            assert!(all.contains(word), "{word}: {all}");
        }
        let other = Facts { products: vec!["7023".to_owned()], ..facts(0) };
        assert!(problems(&wanted(), &other).join("").contains("0955:7023"));
    }

    #[test]
    fn names_stay_words() {
        let odd = Wanted { tools: "/opt/my tools".to_owned(), user: "a;b".to_owned(), ..wanted() };
        let commands = commands(&odd, &facts(0));
        assert!(
            commands.contains("cd '/opt/my tools'\n") && commands.contains("-u 'a;b' "),
            "{commands}"
        );
    }
}
