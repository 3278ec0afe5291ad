//! Integrated graphics processors, found in `/sys/class/devfreq` by what the device tree calls them.
//!
//! `load` is a short window: who wants a mean samples it often.

use crate::sensor::finding::{Finding, Quantity, Sample};
use crate::sensor::tree::{Missing, Tree};

/// The name of this probe.
pub const PROBE: &str = "gpu-devfreq";
/// Where devices with a variable clock are.
pub const CLASS: &str = "/sys/class/devfreq";

/// What device trees call the graphics processors of Tegra X1/X2, Xavier, Orin, Thor; `gpu` besides.
const NAMES: [&str; 4] = ["gp10b", "gv11b", "ga10b", "gb10b"];
/// Where drivers of JetPack 4 and 5 show them if the class lacks them.
const ELSEWHERE: [&str; 4] = [
    "/sys/devices/gpu.0",
    "/sys/devices/57000000.gpu",
    "/sys/devices/17000000.gv11b",
    "/sys/devices/17000000.ga10b",
];
/// `load` counts thousandths.
const PER_MILLE: f64 = 1000.0;
const HZ_PER_MHZ: f64 = 1.0e6;

/// One graphics processor, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Its name in the class.
    pub name: String,
    /// The directory with its clock.
    pub clock_dir: String,
    /// The file with its load.
    pub load_path: String,
}

/// The graphics processors that are there now: a driver may bring one long after the start.
///
/// # Errors
/// Why there are none.
pub fn find(tree: &Tree) -> Result<Vec<Gpu>, Missing> {
    let entries = tree.list(CLASS, "");
    let mut found = Vec::new();
    for name in entries.as_deref().unwrap_or_default() {
        let clock_dir = format!("{CLASS}/{name}");
        let node = tree.text(&format!("{clock_dir}/device/of_node/name"));
        if is_gpu(node.as_deref().unwrap_or(name)) {
            let load_path = format!("{clock_dir}/device/load");
            found.push(Gpu { name: name.clone(), clock_dir, load_path });
        }
    }
    if found.is_empty() {
        let elsewhere = ELSEWHERE.iter().find(|dir| tree.has(&format!("{dir}/load")));
        found.extend(elsewhere.map(|dir| by_device(tree, dir)));
    }
    if found.is_empty() { Err(entries.err().unwrap_or(Missing::Absent)) } else { Ok(found) }
}

fn is_gpu(name: &str) -> bool {
    name.contains("gpu") || NAMES.contains(&name)
}

fn by_device(tree: &Tree, dir: &str) -> Gpu {
    let name = dir.rsplit('/').next().unwrap_or_default().to_owned();
    let clocks = tree.list(&format!("{dir}/devfreq"), "").unwrap_or_default();
    let clock_dir = match clocks.first() {
        Some(clock) => format!("{dir}/devfreq/{clock}"),
        None => format!("{dir}/devfreq_dev"),
    };
    Gpu { name, clock_dir, load_path: format!("{dir}/load") }
}

impl Gpu {
    /// Busy share, 0 to 1.
    ///
    /// # Errors
    /// Why nobody knows.
    pub fn load(&self, tree: &Tree) -> Quantity {
        let number = match tree.number(&self.load_path) {
            Ok(number) => number,
            Err(Missing::Absent) => {
                return Err(Missing::Meaningless(
                    "this driver has no file of the load; NVML may tell",
                ));
            }
            Err(missing) => return Err(missing),
        };
        if !(0.0..=PER_MILLE).contains(&number) {
            return Err(Missing::implausible(
                &number.to_string(),
                "a load is 0 to 1000 thousandths",
            ));
        }
        Ok(Sample::measured(number / PER_MILLE, self.load_path.clone()))
    }

    fn clock(&self, tree: &Tree, file: &str) -> Quantity {
        let path = format!("{}/{file}", self.clock_dir);
        tree.number(&path).map(|hertz| Sample::measured(hertz / HZ_PER_MHZ, path))
    }

    fn findings(&self, tree: &Tree) -> Vec<Finding> {
        let load = Finding::number(
            PROBE,
            format!("{}.load", self.name),
            "",
            self.load(tree),
            vec![self.load_path.clone()],
        );
        let mut rows = vec![load];
        for file in ["cur_freq", "min_freq", "max_freq"] {
            let (name, path) =
                (format!("{}.{file}", self.name), format!("{}/{file}", self.clock_dir));
            rows.push(Finding::number(PROBE, name, "MHz", self.clock(tree, file), vec![path]));
        }
        let path = format!("{}/governor", self.clock_dir);
        let name = format!("{}.governor", self.name);
        rows.push(Finding::word(PROBE, name, tree.text(&path), path));
        rows
    }
}

/// All that this probe can say.
pub fn survey(tree: &Tree) -> Vec<Finding> {
    match find(tree) {
        Ok(gpus) => gpus.iter().flat_map(|gpu| gpu.findings(tree)).collect(),
        Err(missing) => {
            let tried = [vec![format!("{CLASS}/*/device/of_node/name")], elsewhere()].concat();
            vec![Finding::nothing(PROBE, missing, tried)]
        }
    }
}

fn elsewhere() -> Vec<String> {
    ELSEWHERE.iter().map(|dir| format!("{dir}/load")).collect()
}
