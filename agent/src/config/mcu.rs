//! Boards at serial lines: `[[mcu]]`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use types::TaskId;

use super::read::Section;
use super::{BatteryConfig, BatteryHardware, McuConfig, McuRole};

/// Boards of a node at most: as many as a hub has ports.
const BOARDS_MAX: usize = 8;
/// The rate of most boards with a UART; USB has none, and takes any.
const BAUD: u64 = 115_200;
/// The rates that every driver knows.
const BAUDS: [u64; 8] = [9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600];
const PERIOD_MS: u64 = 1000;

const ROLES: [(&str, McuRole); 3] = [
    ("battery", McuRole::Battery),
    ("power-switch", McuRole::PowerSwitch),
    ("sensor", McuRole::Sensor),
];

/// Reads all of them; one may be the battery of a node that asks for no other.
pub(super) fn read(root: &mut Section<'_>, battery: &BatteryConfig) -> Vec<McuConfig> {
    let is_free = matches!(battery.hardware, BatteryHardware::Auto | BatteryHardware::None);
    let battery_is_taken = battery.cell.is_some() || !is_free;
    let tables = root.tables("mcu");
    if BOARDS_MAX < tables.len() {
        root.refuse("mcu", format!("{} boards, at most {BOARDS_MAX} are handled", tables.len()));
    }
    let mut boards: Vec<McuConfig> = Vec::new();
    for (table, origin) in tables {
        let section = Section::new("mcu", origin, table, root.problems());
        boards.extend(board(section, &boards, battery_is_taken));
    }
    boards
}

fn board(
    mut section: Section<'_>,
    before: &[McuConfig],
    battery_is_taken: bool,
) -> Option<McuConfig> {
    for key in ["name", "device", "role"] {
        section.require(key);
    }
    let names: BTreeSet<_> = before.iter().map(|board| board.name.as_str()).collect();
    let name = section.converted("name", |name| match TaskId::new(name) {
        Ok(_) if names.contains(name) => Err(format!("two boards are named {name:?}")),
        Ok(_) => Ok(name.to_owned()),
        Err(_) => Err(format!("{name:?} is not 1 to 63 of a-z, 0-9 and -, the first no -")),
    });
    let device = section.converted("device", device);
    let role = section.word("role", &ROLES);
    let baud = section.integer("baud", 1..=4_000_000, BAUD);
    if !BAUDS.contains(&baud) {
        section.refuse("baud", format!("{baud} is none of {BAUDS:?}"));
    }
    let period = section.integer("period_ms", 100..=3_600_000, PERIOD_MS);
    let has_capacity = section.has("capacity_wh");
    let capacity_wh = section.number("capacity_wh", 0.001..=1.0e9, 1.0);
    if role == Some(McuRole::Battery) {
        if battery_is_taken {
            section.refuse(
                "role",
                "[battery] backend names another battery: leave it out, or say \"none\"".to_owned(),
            );
        }
        if before.iter().any(|board| board.role == McuRole::Battery) {
            section.refuse("role", "a node has one battery, and another board is it".to_owned());
        }
    } else if role.is_some() && has_capacity {
        section.refuse("capacity_wh", "only a board with role = \"battery\" has one".to_owned());
    }
    section.finish();
    Some(McuConfig {
        name: name?,
        device: device?,
        role: role?,
        // Both are in range, or a problem is noted and nothing starts.
        baud: u32::try_from(baud).ok()?,
        period: Duration::from_millis(period),
        capacity_wh: has_capacity.then_some(capacity_wh),
    })
}

/// A path to a device, in whose last part `*` stands for any letters.
pub(super) fn device(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    let folder = path.parent().and_then(Path::to_str).unwrap_or_default();
    if !path.is_absolute() || path.file_name().is_none() {
        return Err(format!("{text:?} is not the whole path of a device, like /dev/ttyACM0"));
    }
    if folder.contains('*') {
        return Err(format!("{text:?} has a * before its last part"));
    }
    Ok(path.to_owned())
}
