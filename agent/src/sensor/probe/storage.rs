//! Wear of eMMC: what the device itself estimates (JEDEC JESD84-B50, EXT_CSD 267 to 269). SD cards do not tell.

use crate::sensor::finding::{Finding, Quantity, Sample};
use crate::sensor::tree::{Missing, Tree};

/// The name of this probe.
pub const PROBE: &str = "emmc-wear";
/// Where block devices are.
pub const CLASS: &str = "/sys/block";

/// Each step of the life time is a tenth of it; this one says that all is used.
const STEP_EXCEEDED: u32 = 0x0b;

/// The shares of the life time that are used, of cells of type A and B: the upper end of each step, 0.1 to 1.1.
///
/// # Errors
/// If the text is not two such numbers, or the device does not define them (`0x00`).
pub fn life_used(text: &str) -> [Result<f64, Missing>; 2] {
    let mut words = text.split_whitespace();
    [(), ()].map(|()| {
        let step = hex(words.next().unwrap_or_default())?;
        match step {
            0 => Err(Missing::Meaningless("the device does not define its wear (0x00)")),
            1..=STEP_EXCEEDED => Ok(f64::from(step) / 10.0),
            _ => Err(Missing::implausible(text, "a life time is 0x01 to 0x0b")),
        }
    })
}

/// How much of the reserve of blocks is left: 1 normal, 2 (80 % used) warning, 3 (90 % used) urgent.
///
/// # Errors
/// If it is none of these.
pub fn pre_eol(text: &str) -> Result<f64, Missing> {
    match hex(text)? {
        0 => Err(Missing::Meaningless("the device does not define its reserve (0x00)")),
        state @ 1..=3 => Ok(f64::from(state)),
        _ => Err(Missing::implausible(text, "a state before the end of life is 0x01 to 0x03")),
    }
}

fn hex(text: &str) -> Result<u32, Missing> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let number = u32::from_str_radix(digits, 16);
    number.map_err(|_not_hex| Missing::Malformed(text.chars().take(24).collect()))
}

/// All that this probe can say.
pub fn survey(tree: &Tree) -> Vec<Finding> {
    // Boot partitions and the replay-protected block are devices of the same chip.
    let is_whole = |name: &String| !name.contains("boot") && !name.contains("rpmb");
    let names = tree.list(CLASS, "mmcblk").map(|names| names.into_iter().filter(is_whole));
    let names: Vec<_> = match names {
        Ok(names) => names.collect(),
        Err(missing) => {
            return vec![Finding::nothing(PROBE, missing, vec![format!("{CLASS}/mmcblk*")])];
        }
    };
    names.iter().flat_map(|name| of_device(tree, name)).collect()
}

fn of_device(tree: &Tree, name: &str) -> Vec<Finding> {
    let path = |file: &str| format!("{CLASS}/{name}/device/{file}");
    let number = |key: &str, quantity: Quantity, file: &str| {
        Finding::number(PROBE, format!("{name}.{key}"), "", quantity, vec![path(file)])
    };
    let kind = tree.text(&path("type"));
    if kind.as_deref() == Ok("SD") {
        let reason = Missing::Meaningless("an SD card does not tell its wear");
        return vec![number("life_used", Err(reason), "type")];
    }
    let sample = |value: f64, file: &str| Sample::measured(value, path(file));
    let [a, b] = match tree.text(&path("life_time")) {
        Ok(text) => life_used(&text),
        Err(missing) => [Err(missing.clone()), Err(missing)],
    };
    let eol = tree.text(&path("pre_eol_info")).and_then(|text| pre_eol(&text));
    vec![
        number("life_used.a", a.map(|share| sample(share, "life_time")), "life_time"),
        number("life_used.b", b.map(|share| sample(share, "life_time")), "life_time"),
        number("pre_eol", eol.map(|state| sample(state, "pre_eol_info")), "pre_eol_info"),
    ]
}
