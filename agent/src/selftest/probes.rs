//! What the node reads about itself. What every Linux tells has to be there; what a machine lacks is said with the reason.

use std::time::Instant;

use protocol::report::Reading;

use super::{Outcome, Scratch};
use crate::config::{BatteryHardware, Config};
use crate::sensor::hardware::{Asks, Hardware};
use crate::sensor::probe::nvml;
use crate::sensor::tree::Tree;
use crate::sensor::{Memory, Sensors};

/// Reads each group once.
pub(super) fn test(scratch: &Scratch) -> Outcome {
    scratch.config("probes", ("", "")).and_then(|config| read(&config)).into()
}

fn read(config: &Config) -> Result<String, String> {
    let root = config.sysfs_root.display();
    let tree = Tree::below(&config.sysfs_root).map_err(|error| format!("{root}: {error}"))?;
    let (battery, libraries) = (BatteryHardware::Auto, nvml::libraries());
    let asks = Asks { battery, load: true, warmth: true, libraries };
    let now = Instant::now();
    let mut hardware = Hardware::of(tree, asks, now);
    let usage = Sensors::new(config, Memory::default()).usage();
    let (power, warmth) = (hardware.power(now), hardware.warmth(now));
    let own = [("PSS", usage.pss_mib, " MiB"), ("threads", usage.threads, "")];
    let board = [
        ("charge", power.charge, ""),
        ("load", power.load_w, " W"),
        ("hottest", warmth.hottest_c, " °C"),
    ];
    let lines: Vec<_> = own.iter().chain(&board).map(words).collect();
    let text = lines.join(", ");
    match own.iter().all(|(_, reading, _)| reading.value().is_some()) {
        true => Ok(text),
        false => Err(format!("{text}: is /proc mounted?")),
    }
}

fn words((name, reading, unit): &(&str, Reading, &str)) -> String {
    match reading {
        Reading::Known { value, .. } => format!("{name} {value:.1}{unit}"),
        Reading::Unknown(reason) => format!("{name} unknown ({reason:?})"),
    }
}
