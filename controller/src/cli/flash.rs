//! `starbelt flash`: prepares a card for a Raspberry Pi, or prints how a Jetson is flashed.

use std::io::Seek as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use onboard::adopt::Joins;
use onboard::flash::card::{CardError, Examined, Order, Progress, examine, prepare};
use onboard::flash::device::{Kernel, Kind, kind};
use onboard::flash::format::InitFormat;
use onboard::flash::guard::{Allowed, BYTES_MAX, DeviceFacts, refusals};
use onboard::flash::jetson::{self, BOARDS, Facts, VENDOR};
use onboard::flash::seed::Seed;
use onboard::flash::write::{Phase, make_file, open_device};
use onboard::node::Node;

use super::board::{As, interrupt, text, unreadable, usage};
use super::client::Client;
use super::output::fields;
use super::{CliError, Format, Printed, warn};
use crate::exit_code;

/// Largest package that is put on a card, bytes.
const PACKAGE_BYTES_MAX: u64 = 128 << 20;
/// Progress is told in steps of so many thousandths.
const STEP_PERMILLE: u64 = 50;

#[derive(Debug, Subcommand)]
pub(super) enum Flash {
    /// Writes an image of Raspberry Pi OS or Ubuntu to a card, with the agent in it, and reads it back.
    Rpi(Box<Rpi>),
    /// Checks what NVIDIA's tools need, and prints the commands that flash a Jetson and adopt it.
    Jetson(Box<Jetson>),
}

#[derive(Debug, Args)]
pub(super) struct Rpi {
    /// The image, as it is or packed with xz.
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// What SHA-256 the file has to have, as its makers say.
    #[arg(long, value_name = "DIGITS")]
    sha256: Option<String>,
    /// The card, like /dev/sdb: the whole device. Everything on it is lost.
    #[arg(long, value_name = "DEVICE", required_unless_present = "out", conflicts_with = "out")]
    device: Option<PathBuf>,
    /// A file instead of a card, for another writer.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The package of the agent, like target/dist/starbelt-agent_0.1.0_arm64.deb.
    #[arg(long, value_name = "FILE")]
    package: PathBuf,
    #[command(flatten)]
    as_node: As,
    /// A file with public keys of SSH that may log in; may be given again.
    #[arg(long = "ssh-key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// A network-config of cloud-init, for images that have it.
    #[arg(long, value_name = "FILE")]
    network_config: Option<PathBuf>,
    /// How the image is customised, where it does not say so itself: systemd, cloudinit-rpi or cloudinit.
    #[arg(long, value_name = "FORMAT")]
    init_format: Option<InitFormat>,
    /// Allows devices that cannot be taken out.
    #[arg(long)]
    fixed_disk: bool,
    /// Largest device, GiB.
    #[arg(long, value_name = "GIB", default_value_t = BYTES_MAX >> 30, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    size_max_gib: u64,
    /// For how long a token is good that the controller makes for the card, minutes: it has to start before.
    #[arg(long, value_name = "MINUTES", default_value_t = 1_440, conflicts_with = "token_file",
          value_parser = clap::value_parser!(u32).range(1..=10_080))]
    token_good_for: u32,
    /// Does it; without this, what would be done is shown.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(super) struct Jetson {
    /// The folder Linux_for_Tegra.
    #[arg(long, value_name = "DIR")]
    tools: PathBuf,
    /// The board, as NVIDIA's tools call it.
    #[arg(long, default_value = BOARDS[0].name, value_parser = BOARDS.map(|board| board.name))]
    board: String,
    /// Where its system goes.
    #[arg(long, default_value = "nvme0n1p1")]
    device: String,
    /// Who logs in.
    #[arg(long, default_value = "starbelt-op")]
    user: String,
    /// The package of the agent.
    #[arg(long, value_name = "FILE")]
    package: PathBuf,
    #[command(flatten)]
    as_node: As,
}

pub(super) fn flash(client: &Client, format: Format, asked: &Flash) -> Result<Printed, CliError> {
    match asked {
        Flash::Rpi(asked) => rpi(client, format, asked),
        Flash::Jetson(asked) => nvidia(asked),
    }
}

/// Where an image goes.
enum Target<'a> {
    Card(&'a Path, DeviceFacts),
    File(&'a Path),
}

fn rpi(client: &Client, format: Format, asked: &Rpi) -> Result<Printed, CliError> {
    let board = asked.as_node.read()?;
    let interrupt = interrupt()?;
    let package = package(&asked.package)?;
    let keys = keys(&asked.keys)?;
    let network = asked.network_config.as_deref().map(text).transpose()?;
    let seed = Seed {
        node: &board.node,
        config: board.config.as_deref(),
        package: &package,
        token: board.joins.token(),
        keys: &keys,
        network: network.as_deref(),
    };
    let order = Order {
        image: &asked.image,
        sha256: asked.sha256.as_deref(),
        format: asked.init_format,
        seed: &seed,
    };
    let examined = examine(&order, &interrupt).map_err(|error| not_prepared(&error))?;
    let target = target(asked, examined.bytes)?;
    let mut rows = planned(asked, &target, &examined, &board.node);
    if !asked.yes {
        let lost =
            "nothing is written yet; everything on the device will be lost: the same with --yes";
        rows.push(("next", lost.to_owned()));
        let printed = fields(&rows);
        return Ok(Printed { data: printed, end: Some(usage("not done without --yes")) });
    }
    if asked.sha256.is_none() {
        warn(
            "the image is taken as it is; --sha256 makes sure that it is the one that its makers published",
        );
    }
    // Made last: a card that is refused needs none.
    let made = match &board.joins {
        Joins::Later => {
            Some(asked.as_node.new_token(client, &board.node.name, asked.token_good_for)?)
        }
        Joins::Not | Joins::With(_) => None,
    };
    let seed = Seed { token: made.as_ref().or_else(|| board.joins.token()), ..seed };
    let order = Order { seed: &seed, ..order };
    let (mut file, size) = open(&target)?;
    let mut next = (Phase::Write, 0);
    let mut tell = |progress: Progress| told(progress, &mut next);
    let done = prepare(&order, &examined, (&mut file, size), &interrupt, &mut tell);
    let (written, used) = done.map_err(|error| not_prepared(&error))?;
    rows[1].1 = used.to_string();
    rows.push(("written", format!("{} bytes, read back", written.bytes)));
    rows.push(("sha256", written.sha256.clone()));
    Ok(match format {
        Format::Json => {
            let json = serde_json::json!({
                "node": board.node.name, "fleet": board.node.fleet, "bytes": written.bytes,
                "sha256": written.sha256, "init_format": used.to_string(),
            });
            format!("{json}\n").into()
        }
        Format::Table => fields(&rows).into(),
    })
}

/// What is to be done, for people.
fn planned(
    asked: &Rpi,
    target: &Target<'_>,
    examined: &Examined,
    node: &Node,
) -> Vec<(&'static str, String)> {
    let known = examined.format.map(|format| format.to_string());
    let to = match target {
        Target::Card(path, device) => {
            format!("{} ({}, {} GiB)", path.display(), device.model, device.bytes >> 30)
        }
        Target::File(path) => path.display().to_string(),
    };
    vec![
        ("image", format!("{}, {} bytes at least", asked.image.display(), examined.bytes)),
        ("customised", known.unwrap_or_else(|| "as its files say".to_owned())),
        ("to", to),
        ("node", format!("{} of fleet {}", node.name, node.fleet)),
    ]
}

/// The lines of files with public keys.
fn keys(files: &[PathBuf]) -> Result<Vec<String>, CliError> {
    let texts = files.iter().map(|path| text(path)).collect::<Result<Vec<_>, _>>()?;
    let lines = texts.iter().flat_map(|text| text.lines()).map(str::trim);
    Ok(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn told(progress: Progress, next: &mut (Phase, u64)) {
    if progress.phase != next.0 {
        *next = (progress.phase, 0);
    }
    if progress.permille < next.1 {
        return;
    }
    next.1 = progress.permille + STEP_PERMILLE;
    let what = match progress.phase {
        Phase::Write => "written",
        Phase::Verify => "read back",
    };
    warn(&format!("{what}: {} %, {} MiB", progress.permille / 10, progress.bytes >> 20));
}

fn package(path: &Path) -> Result<Vec<u8>, CliError> {
    let bytes = std::fs::metadata(path).map_err(unreadable(path))?.len();
    if PACKAGE_BYTES_MAX < bytes {
        return Err(usage(&format!("{}: {bytes} bytes are no package", path.display())));
    }
    let package = std::fs::read(path).map_err(unreadable(path))?;
    match package.starts_with(b"!<arch>\n") {
        true => Ok(package),
        false => Err(usage(&format!("{} is no package of Debian", path.display()))),
    }
}

/// Where it goes, after the guard rails.
fn target(asked: &Rpi, image_bytes: u64) -> Result<Target<'_>, CliError> {
    let conflict = |rule: String| CliError::new(exit_code::CONFLICT, rule);
    if let Some(path) = &asked.out {
        return match kind(path).map_err(unreadable(path))? {
            Kind::Nothing => Ok(Target::File(path)),
            Kind::File | Kind::Block(..) => {
                Err(conflict(format!("{} is there already", path.display())))
            }
        };
    }
    let path = asked.device.as_deref().ok_or_else(|| usage("where to? Give --device or --out"))?;
    let Kind::Block(major, minor) = kind(path).map_err(unreadable(path))? else {
        return Err(usage(&format!("{} is no device; for a file, give --out", path.display())));
    };
    let device = Kernel::default().facts((major, minor)).map_err(unreadable(path))?;
    let allowed = Allowed { fixed: asked.fixed_disk, bytes_max: asked.size_max_gib << 30 };
    let reasons = refusals(&device, image_bytes, &allowed);
    match reasons.is_empty() {
        true => Ok(Target::Card(path, device)),
        false => Err(conflict(format!("not written: {}", reasons.join("; ")))),
    }
}

fn open(target: &Target<'_>) -> Result<(std::fs::File, Option<u64>), CliError> {
    match target {
        Target::File(path) => Ok((make_file(path).map_err(unreadable(path))?, None)),
        Target::Card(path, _) => {
            let mut card = open_device(path).map_err(unreadable(path))?;
            let size = card.seek(std::io::SeekFrom::End(0)).map_err(unreadable(path))?;
            Ok((card, Some(size)))
        }
    }
}

fn not_prepared(error: &CardError) -> CliError {
    let code = match error {
        CardError::Sum { .. } | CardError::Table(_) => exit_code::CONFLICT,
        CardError::Format(_) | CardError::Seed(_) => exit_code::USAGE,
        CardError::Image(_) | CardError::Boot(_) | CardError::Write(_) | CardError::Interrupted => {
            exit_code::FAILURE
        }
    };
    CliError::new(code, error.to_string())
}

fn nvidia(asked: &Jetson) -> Result<Printed, CliError> {
    let node = &asked.as_node.read()?.node.name;
    let board = BOARDS.into_iter().find(|board| board.name == asked.board);
    let board = board.ok_or_else(|| usage("no such board"))?;
    let wanted = jetson::Wanted {
        board,
        tools: asked.tools.display().to_string(),
        device: asked.device.clone(),
        node: node.to_string(),
        user: asked.user.clone(),
        package: asked.package.display().to_string(),
        adopt: asked.as_node.words(node),
    };
    let present = jetson::files().filter(|file| asked.tools.join(file).exists());
    let facts = Facts {
        machine: std::env::consts::ARCH.to_owned(),
        present: present.map(str::to_owned).collect(),
        products: products(Path::new("/sys/bus/usb/devices")),
    };
    let mut problems = jetson::problems(&wanted, &facts);
    if !asked.package.exists() {
        problems.push(format!("{} is not there", asked.package.display()));
    }
    let data = jetson::commands(&wanted, &facts);
    let end = (!problems.is_empty())
        .then(|| CliError::new(exit_code::CONFLICT, format!("not yet: {}", problems.join("; "))));
    Ok(Printed { data, end })
}

/// What of NVIDIA is on USB.
fn products(devices: &Path) -> Vec<String> {
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let entries = std::fs::read_dir(devices).into_iter().flatten().flatten();
    let ours =
        entries.map(|entry| entry.path()).filter(|device| read(device.join("idVendor")) == VENDOR);
    let mut products: Vec<String> = ours.map(|device| read(device.join("idProduct"))).collect();
    products.sort();
    products
}
