//! From what is wanted and what is there to the steps, or to why not.

use super::probe::{Found, Hello};
use super::script::{self, BackTo, PACKAGE};
use super::step::{Check, Run, Stdin, Step};
use super::{Joins, Layout, PackageFile, Refusal, Trouble, Wanted};
use crate::hex;
use crate::node::{Room, named};

/// Besides a package, so much stays free for what else a board does, KiB.
const SPARE_KIB: u64 = 65_536;
/// How long short commands may take, seconds.
const SHORT_S: u64 = 60;
/// How long the package may take to arrive: 20 MB over 256 kbit/s.
const COPY_S: u64 = 900;
/// How long dpkg may take, with two minutes for the lock.
const INSTALL_S: u64 = 420;
/// How long joining may take: the agent gives up before.
const JOIN_S: u64 = 120;
/// How long the agent may take to serve: `TimeoutStartSec` is 90 s.
const START_S: u64 = 150;

/// Refuses boards on which nothing can be done.
///
/// # Errors
/// [`Refusal`]
pub fn check_hello(hello: &Hello) -> Result<(), Refusal> {
    if hello.architecture.is_none() {
        let rule = "the board has no dpkg; packages are for Debian, Ubuntu, Raspberry Pi OS and JetPack (elsewhere: the .tar.gz)";
        return Err(Refusal::new(Trouble::Conflict, rule));
    }
    if hello.root.is_none() {
        let rule = "sudo wants a password on the board, and none is sent over; log in as root, or allow the user: \
            echo 'USER ALL=(ALL) NOPASSWD:ALL' | sudo tee /etc/sudoers.d/starbelt-adopt";
        return Err(Refusal::new(Trouble::Denied, rule));
    }
    Ok(())
}

/// The steps that make the board what it shall be; few where it is that already.
///
/// # Errors
/// [`Refusal`] when the board is another's, has no room, or something needed was not given.
pub fn plan(wanted: &Wanted, found: &Found, layout: &Layout) -> Result<Vec<Step>, Refusal> {
    if !found.has_systemd {
        let rule = "the board does not run systemd, which starts and watches the agent";
        return Err(Refusal::new(Trouble::Conflict, rule));
    }
    check_wanted(wanted)?;
    check_owner(wanted, found)?;
    let is_installed =
        found.installed.is_some() && found.cached.as_ref() == Some(&wanted.package.sha256);
    let keeps_config = wanted.config.is_none() && is_same_node(wanted, found);
    let joins = joins(wanted, found);
    if is_installed && keeps_config && !joins && found.is_active {
        return Ok(Vec::new());
    }
    if !is_installed {
        check_room(&wanted.package, found, layout)?;
    }
    let staging = layout.staging(&wanted.package);
    let mut steps = vec![stage(found, &staging)];
    if !is_installed {
        steps.extend(install(wanted, found, layout, &staging));
    }
    if !keeps_config {
        steps.push(configure(wanted, found, layout, &staging));
    }
    if joins {
        steps.push(join(wanted, found, layout));
    }
    steps.push(start());
    steps.push(Step {
        name: "keep",
        says: "the package is kept for coming back to it, the rest is removed".to_owned(),
        run: as_root(script::keep(layout, &staging), Stdin::Empty),
        undo: None,
        patience_s: SHORT_S,
        check: Check::Ended,
    });
    Ok(steps)
}

/// What was given has to fit together before a board is asked for anything.
fn check_wanted(wanted: &Wanted) -> Result<(), Refusal> {
    let usage = |rule: String| Err(Refusal::new(Trouble::Usage, rule));
    let node = &wanted.node;
    if let Some(token) = wanted.joins.token()
        && token.node != node.name
    {
        return usage(format!(
            "the token is for {}, and the board shall be {}",
            token.node, node.name
        ));
    }
    if let Some(config) = &wanted.config {
        let of = named(config);
        let of = of.map_err(|error| {
            Refusal::new(Trouble::Usage, format!("the configuration cannot be used: {error}"))
        })?;
        if of.name != node.name || of.fleet != node.fleet {
            return usage(format!(
                "the configuration is for {} of fleet {}, and the board shall be {} of fleet {}",
                of.name, of.fleet, node.name, node.fleet
            ));
        }
    }
    Ok(())
}

/// A board that is somebody else's is left alone, unless it is asked for.
fn check_owner(wanted: &Wanted, found: &Found) -> Result<(), Refusal> {
    if wanted.takes_over {
        return Ok(());
    }
    let how = "--take-over makes it ours, and ends what it was";
    if let Some((_, named)) = &found.config {
        let is = match named {
            Ok(of) if of.fleet == wanted.node.fleet && of.name == wanted.node.name => None,
            Ok(of) => Some(format!("{} of fleet {}", of.name, of.fleet)),
            Err(error) => Some(format!("a node whose configuration cannot be read ({error})")),
        };
        if let Some(is) = is {
            let message = format!(
                "the board is {is}, not {} of fleet {}; {how}",
                wanted.node.name, wanted.node.fleet
            );
            return Err(Refusal::new(Trouble::Conflict, message));
        }
    }
    if is_other_authority(wanted, found) {
        let message = format!("the board has joined a fleet with another authority; {how}");
        return Err(Refusal::new(Trouble::Conflict, message));
    }
    Ok(())
}

fn is_same_node(wanted: &Wanted, found: &Found) -> bool {
    matches!(&found.config, Some((_, Ok(of))) if of.fleet == wanted.node.fleet && of.name == wanted.node.name)
}

/// Whether its certificate is of another fleet than the token; without a token nobody can tell.
fn is_other_authority(wanted: &Wanted, found: &Found) -> bool {
    let (Some(token), Some(joined)) = (wanted.joins.token(), &found.joined) else { return false };
    joined.authority.as_deref() != Some(hex(&token.authority).as_str())
}

/// Whether it has to join: it has not, or it is taken from others.
fn joins(wanted: &Wanted, found: &Found) -> bool {
    match &wanted.joins {
        Joins::Not => false,
        Joins::With(_) => found.joined.is_none() || is_other_authority(wanted, found),
        Joins::Later => {
            found.joined.is_none() || (wanted.takes_over && !is_same_node(wanted, found))
        }
    }
}

fn check_room(package: &PackageFile, found: &Found, layout: &Layout) -> Result<(), Refusal> {
    let package_kib = package.bytes.div_ceil(1024);
    // Unpacked it is about three times as large, and the old files are there until the new ones are.
    let needs = [
        (&layout.scratch[..], found.scratch_free_kib, package_kib),
        ("/usr/bin", found.programs_free_kib, 3 * package_kib),
    ];
    for (place, free, needed) in needs {
        if let Some(free) = free
            && free < needed + SPARE_KIB
        {
            let message = format!(
                "the disk of the board is full: {free} KiB are free at {place}, and {} are needed",
                needed + SPARE_KIB
            );
            return Err(Refusal::new(Trouble::Failure, message));
        }
    }
    Ok(())
}

fn as_root(text: String, stdin: Stdin) -> Run {
    Run::Script { text, as_root: true, stdin }
}

fn stage(found: &Found, staging: &str) -> Step {
    Step {
        name: "stage",
        says: "a folder on the board's disk, for this user only".to_owned(),
        run: Run::Script { text: script::stage(staging), as_root: false, stdin: Stdin::Empty },
        undo: Some(script::unstage(staging, found.is_active)),
        patience_s: SHORT_S,
        check: Check::Ended,
    }
}

fn install(wanted: &Wanted, found: &Found, layout: &Layout, staging: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    if !found.is_staged {
        steps.push(Step {
            name: "copy",
            says: format!("{} bytes of package go to the board", wanted.package.bytes),
            run: Run::CopyPackage { to: format!("{staging}/package.deb.part") },
            undo: None,
            patience_s: COPY_S,
            check: Check::Ended,
        });
    }
    let is_bare = found.config.is_none() && found.joined.is_none();
    let back_to = match (&found.installed, &found.cached) {
        (Some(_), Some(_)) => BackTo::Cached,
        (Some(_), None) => BackTo::Unknown,
        (None, _) if is_bare => BackTo::Nothing,
        (None, _) => BackTo::NothingButFiles,
    };
    steps.push(Step {
        name: "check",
        says: "it arrived whole, and is the agent's for this board".to_owned(),
        run: Run::Script {
            text: script::check(staging, &wanted.package.sha256),
            as_root: false,
            stdin: Stdin::Empty,
        },
        undo: None,
        patience_s: SHORT_S,
        check: Check::Package,
    });
    steps.push(Step {
        name: "install",
        says: match &found.installed {
            Some(version) => format!("in place of version {version}"),
            None => "the agent with its user and service".to_owned(),
        },
        run: as_root(script::install(staging), Stdin::Empty),
        undo: Some(script::uninstall(layout, staging, back_to)),
        patience_s: INSTALL_S,
        check: Check::Ended,
    });
    steps
}

fn configure(wanted: &Wanted, found: &Found, layout: &Layout, staging: &str) -> Step {
    let room = Room::of_board(found.cores, found.memory_mib);
    let config = wanted.config.clone().unwrap_or_else(|| wanted.node.config(room));
    Step {
        name: "configure",
        says: format!("{} of fleet {}", wanted.node.name, wanted.node.fleet),
        run: as_root(script::configure(layout, staging), Stdin::Text(config)),
        undo: Some(script::unconfigure(layout, staging, found.config.is_some())),
        patience_s: SHORT_S,
        check: Check::Ended,
    }
}

fn join(wanted: &Wanted, found: &Found, layout: &Layout) -> Step {
    let takes_over = wanted.takes_over && found.joined.is_some();
    Step {
        name: "join",
        says: "the board makes its key and gets its certificate".to_owned(),
        run: as_root(script::join(layout, takes_over), Stdin::Token),
        undo: Some(script::unjoin(layout, takes_over)),
        patience_s: JOIN_S,
        check: Check::Ended,
    }
}

fn start() -> Step {
    Step {
        name: "start",
        says: "the agent says that it serves".to_owned(),
        run: as_root(script::start(), Stdin::Empty),
        undo: Some(script::stop()),
        patience_s: START_S,
        check: Check::Ended,
    }
}

/// Reads what the package says of itself.
///
/// # Errors
/// [`Refusal`] when it is not the agent's, or for other processors.
pub fn check_package(fields: &str, found: &Found) -> Result<String, Refusal> {
    let field = |name: &str| {
        fields.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or("")
    };
    let conflict = |message: String| Err(Refusal::new(Trouble::Conflict, message));
    let (package, architecture) = (field("Package"), field("Architecture"));
    if package != PACKAGE {
        return conflict(format!("the package is {package:?}, and a node needs {PACKAGE}"));
    }
    if architecture != found.architecture && architecture != "all" {
        return conflict(format!(
            "the package is for {architecture}, and the board{} is {}; build for it: cargo xtask build --board …",
            found.model.as_deref().map(|model| format!(" ({model})")).unwrap_or_default(),
            found.architecture
        ));
    }
    let installed_kib = field("Installed-Size").parse().unwrap_or(0_u64);
    if let Some(free) = found.programs_free_kib
        && free < installed_kib + SPARE_KIB
    {
        return Err(Refusal::new(
            Trouble::Failure,
            format!(
                "the disk of the board is full: {free} KiB are free at /usr/bin, and {} are needed",
                installed_kib + SPARE_KIB
            ),
        ));
    }
    Ok(field("Version").to_owned())
}
