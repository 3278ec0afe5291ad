//! Probes against trees of boards, against drivers that lie, and against hardware that goes away.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use super::*;
use crate::sensor::finding::{Outcome, Quality, Quantity};
use crate::sensor::probe::power_supply::{Flow, Pack};
use crate::sensor::record;
use crate::sensor::tree::{Files, Missing};

const BOARDS: [&str; 9] = [
    "raspberry-pi-3",
    "raspberry-pi-4",
    "raspberry-pi-5",
    "jetson-nano",
    "jetson-xavier-nx",
    "jetson-orin-nano-jp5",
    "jetson-orin-nano-jp6",
    "jetson-thor",
    "laptop",
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn board(name: &str) -> Tree {
    Tree::below(&fixtures().join(name)).unwrap()
}

fn lines(tree: &Tree) -> String {
    survey(tree).iter().map(|finding| finding.to_line() + "\n").collect()
}

/// Files in memory, shared with the test, which changes them while they are read.
#[derive(Clone, Default)]
pub(in crate::sensor) struct Memory(Arc<Mutex<BTreeMap<String, Result<String, Errno>>>>);

impl Memory {
    pub(in crate::sensor) fn put(&self, path: &str, text: &str) {
        self.0.lock().unwrap().insert(path.to_owned(), Ok(text.to_owned()));
    }

    pub(in crate::sensor) fn fail(&self, path: &str, errno: Errno) {
        self.0.lock().unwrap().insert(path.to_owned(), Err(errno));
    }

    pub(in crate::sensor) fn unplug(&self, prefix: &str) {
        self.0.lock().unwrap().retain(|path, _| !path.starts_with(prefix));
    }
}

impl Files for Memory {
    fn read(&self, path: &str) -> Result<Vec<u8>, Errno> {
        let files = self.0.lock().unwrap();
        let text = files.get(path).cloned().unwrap_or(Err(Errno::NOENT))?;
        Ok(text.into_bytes())
    }

    fn list(&self, path: &str) -> Result<Vec<String>, Errno> {
        let files = self.0.lock().unwrap();
        let below = files.keys().filter_map(|file| file.strip_prefix(path)?.strip_prefix('/'));
        let mut names: Vec<_> =
            below.map(|rest| rest.split('/').next().unwrap_or_default().to_owned()).collect();
        names.dedup();
        if names.is_empty() { Err(Errno::NOENT) } else { Ok(names) }
    }
}

const BAT: &str = "/sys/class/power_supply/BAT0";

/// A battery with these attributes.
fn pack(attributes: &[(&str, Result<&str, Errno>)]) -> Pack {
    let files = Memory::default();
    files.put(&format!("{BAT}/type"), "Battery\n");
    for (key, value) in attributes {
        match value {
            Ok(text) => files.put(&format!("{BAT}/{key}"), text),
            Err(errno) => files.fail(&format!("{BAT}/{key}"), *errno),
        }
    }
    let raws = power_supply::read(&Tree::of(files)).unwrap();
    power_supply::packs(&raws).remove(0)
}

#[track_caller]
fn is(quantity: &Quantity, expected: f64, quality: Quality) {
    let sample = quantity.as_ref().unwrap();
    assert!((sample.value - expected).abs() < 1e-9, "{sample:?} is not {expected}");
    assert_eq!(sample.quality, quality, "{sample:?}");
}

#[track_caller]
fn none(quantity: &Quantity, reason: &str) {
    let missing = quantity.as_ref().unwrap_err().to_string();
    assert!(missing.contains(reason), "{reason:?} is not in {missing:?}");
}

#[test]
fn every_board_reads_as_documented() {
    for name in BOARDS {
        let expected = std::fs::read_to_string(fixtures().join(format!("{name}.txt"))).unwrap();
        let found = lines(&board(name));
        for (found, expected) in found.lines().zip(expected.lines()) {
            assert_eq!(found, expected, "{name}");
        }
        assert_eq!(found.lines().count(), expected.lines().count(), "{name}:\n{found}");
    }
}

/// What the sheets of the boards say, in numbers, apart from the texts beside the trees.
#[test]
fn the_numbers_that_matter_are_exact() {
    let told = [
        ("raspberry-pi-3", "thermal-zone", "throttling", 59.072),
        ("raspberry-pi-3", "pi-throttling", "supply.under_voltage", 1.0),
        ("raspberry-pi-3", "pi-throttling", "firmware.throttled", 1.0),
        ("raspberry-pi-3", "pi-throttling", "firmware.soft_temperature_limit", 0.0),
        ("raspberry-pi-3", "pi-throttling", "firmware.occurred.under_voltage", 1.0),
        ("raspberry-pi-4", "thermal-zone", "throttling.limit", 80.0),
        ("raspberry-pi-4", "pi-throttling", "supply.under_voltage", 0.0),
        ("raspberry-pi-4", "hwmon", "ina219.voltage", 3.948),
        ("raspberry-pi-4", "hwmon", "ina219.current", -0.412),
        ("raspberry-pi-4", "hwmon", "ina219.power", 1.626),
        ("raspberry-pi-5", "power-supply", "max170xx_battery.charge", 0.77),
        ("raspberry-pi-5", "power-supply", "max170xx_battery.current", -1.3875),
        ("raspberry-pi-5", "power-supply", "max170xx_battery.power", -1.3875 * 3.9125),
        ("raspberry-pi-5", "power-supply", "max170xx_battery.energy", 3.836 * 4.2),
        ("raspberry-pi-5", "power-supply", "max170xx_battery.temperature", 28.7),
        ("raspberry-pi-5", "pi-throttling", "supply.under_voltage", 1.0),
        ("raspberry-pi-5", "emmc-wear", "mmcblk0.life_used.b", 0.2),
        ("raspberry-pi-5", "hwmon", "pwmfan.fan1", 2950.0),
        ("jetson-nano", "ina3221", "total.power", 2.245),
        ("jetson-nano", "ina3221", "POM_5V_GPU.power", 0.079),
        ("jetson-nano", "gpu-devfreq", "gpu.0.load", 0.214),
        ("jetson-nano", "gpu-devfreq", "gpu.0.cur_freq", 230.4),
        ("jetson-nano", "thermal-zone", "throttling.limit", 97.0),
        ("jetson-xavier-nx", "ina3221", "total.power", 5.056 * 0.712),
        ("jetson-xavier-nx", "gpu-devfreq", "17000000.gv11b.load", 0.037),
        ("jetson-orin-nano-jp5", "ina3221", "total.power", 4.984 * 0.956),
        ("jetson-orin-nano-jp5", "gpu-devfreq", "17000000.ga10b.load", 0.512),
        ("jetson-orin-nano-jp5", "thermal-zone", "throttling", 48.218),
        ("jetson-orin-nano-jp6", "gpu-devfreq", "17000000.gpu.load", 0.0),
        ("jetson-orin-nano-jp6", "ina3221", "total.power", 5.08 * 1.064),
        ("jetson-thor", "gpu-devfreq", "gpu-gpc-0.cur_freq", 315.0),
        ("jetson-thor", "ina3221", "total.power", 20.08 * 1.468),
        ("laptop", "power-supply", "BAT0.current", 1.843),
        ("laptop", "power-supply", "BAT0.power", 1.843 * 12.21),
        ("laptop", "power-supply", "BAT0.capacity", 4.54 * 11.55),
        ("laptop", "power-supply", "BAT0.state_of_health", 4.54 / 4.938),
        ("laptop", "thermal-zone", "throttling", 61.0),
        ("laptop", "thermal-zone", "throttling.limit", 100.0),
        ("laptop", "pressure", "cpu.some.avg10", 0.125),
        ("laptop", "load", "memory.available", 8200.0),
    ];
    for (name, probe, row, expected) in told {
        let findings = survey(&board(name));
        let found = findings.iter().find(|found| found.probe == probe && found.name == row);
        let outcome = found.map(|found| &found.outcome);
        let Some(Outcome::Number(sample)) = outcome else {
            panic!("{name} {probe} {row}: {outcome:?}");
        };
        assert!((sample.value - expected).abs() < 1e-9, "{name} {probe} {row}: {sample:?}");
    }
}

/// What is not known is not 0: each has a reason.
#[test]
fn what_boards_do_not_say_has_a_reason() {
    let told = [
        ("raspberry-pi-3", "ina3221 device: none: no such file"),
        ("raspberry-pi-3", "pressure cpu.some.avg10: none: no such file"),
        ("raspberry-pi-3", "an SD card does not tell its wear"),
        ("jetson-nano", "PMIC-Die: none: zones of power chips (PMIC) report a constant"),
        ("jetson-orin-nano-jp5", "cv0-thermal: none: no value now (EAGAIN)"),
        ("jetson-thor", "gpu-gpc-0.load: none: this driver has no file of the load; NVML may tell"),
        ("laptop", "package-0.energy: none: not permitted (EACCES)"),
        ("laptop", "BAT0.temperature: none: no such file"),
    ];
    for (name, line) in told {
        let found = lines(&board(name));
        assert!(found.contains(line), "{line:?} is not said of {name}:\n{found}");
    }
    assert!(!lines(&board("laptop")).contains("hidpp_battery_0.charge"), "a mouse powers no node");
}

#[test]
fn a_driver_that_lies_about_its_charge_is_not_believed() {
    // (what `capacity` says, energy_now and energy_full in µWh) → charge.
    none(
        &pack(&[("capacity", Ok("-7"))]).charge,
        "\"-7\" cannot be true: a percentage is 0 to 100",
    );
    none(&pack(&[("capacity", Ok("120"))]).charge, "\"120\" cannot be true");
    let energy = [("energy_now", Ok("30000000")), ("energy_full", Ok("40000000"))];
    let metered = pack(&[&energy[..], &[("capacity", Ok("120"))]].concat());
    is(&metered.charge, 0.75, Quality::Computed);
    is(&pack(&[("capacity", Ok("103"))]).charge, 1.0, Quality::Corrected);
    none(&pack(&[("capacity", Ok("55 %"))]).charge, "\"55 %\" is not a number");
    none(&pack(&[("capacity", Ok(""))]).charge, "\"\" is not a number");
    let useless = [("capacity", Ok("50")), ("capacity_error_margin", Ok("100"))];
    none(&pack(&useless).charge, "can be wrong by 100 %");
    let honest = pack(&[("capacity", Ok("50")), ("capacity_error_margin", Ok("8"))]);
    assert!((honest.charge.unwrap().sigma.unwrap() - 0.08).abs() < 1e-12);
}

#[test]
fn the_sign_of_a_current_is_that_of_the_status() {
    let story = [
        ("Discharging", "500000", -0.5, Quality::Corrected),
        ("Discharging", "-500000", -0.5, Quality::Measured),
        ("Charging", "-500000", 0.5, Quality::Corrected),
        ("Charging", "500000", 0.5, Quality::Measured),
        ("Not charging", "-20000", -0.02, Quality::Measured),
        ("Unknown", "500000", 0.5, Quality::Measured),
        ("Discharging", "0", 0.0, Quality::Measured),
    ];
    for (status, text, amps, quality) in story {
        let pack = pack(&[("status", Ok(status)), ("current_now", Ok(text))]);
        is(&pack.current_a, amps, quality);
    }
}

#[test]
fn each_error_of_a_driver_is_a_reason_and_never_a_zero() {
    let story = [
        (Errno::NODATA, "the driver does not support it (ENODATA)"),
        (Errno::AGAIN, "no value now (EAGAIN)"),
        (Errno::INVAL, "no value now (EINVAL)"),
        (Errno::NODEV, "the device went away (ENODEV)"),
        (Errno::IO, "the read failed (EIO)"),
        (Errno::REMOTEIO, "the read failed (EREMOTEIO)"),
        (Errno::ACCESS, "not permitted (EACCES)"),
        (Errno::LOOP, "the read failed (errno-40)"),
    ];
    for (errno, reason) in story {
        let pack =
            pack(&[("capacity", Err(errno)), ("voltage_now", Err(errno)), ("temp", Err(errno))]);
        for quantity in [&pack.charge, &pack.voltage_v, &pack.temperature_c] {
            none(quantity, reason);
        }
        none(&pack.power_w, "no such file");
    }
}

#[test]
fn fall_backs_are_taken_in_order() {
    // Energy: energy_now, energy_avg, charge × design voltage, percentage × energy when full.
    let design = [("charge_now", Ok("2000000")), ("voltage_max_design", Ok("12600000"))];
    is(&pack(&design).energy_wh, 25.2, Quality::Computed);
    let average = [&design[..], &[("energy_avg", Ok("24000000"))]].concat();
    is(&pack(&average).energy_wh, 24.0, Quality::Measured);
    let now = [&average[..], &[("energy_now", Ok("23000000"))]].concat();
    is(&pack(&now).energy_wh, 23.0, Quality::Measured);
    let share = [("capacity", Ok("50")), ("energy_full", Ok("40000000"))];
    is(&pack(&share).energy_wh, 20.0, Quality::Computed);
    // The design voltage: the highest, the lowest, the one of now.
    let lowest = [
        ("charge_now", Ok("2000000")),
        ("voltage_max_design", Ok("0")),
        ("voltage_min_design", Ok("11000000")),
    ];
    is(&pack(&lowest).energy_wh, 22.0, Quality::Computed);
    let volts_now = [("charge_now", Ok("2000000")), ("voltage_now", Ok("10000000"))];
    is(&pack(&volts_now).energy_wh, 20.0, Quality::Computed);
    // Power: power_now, else current × voltage, else what drivers of old call a current.
    let amps = [("current_now", Ok("500000")), ("voltage_now", Ok("8000000"))];
    is(&pack(&amps).power_w, 4.0, Quality::Computed);
    let of_old = [&amps[..], &[("energy_now", Ok("20000000"))]].concat();
    is(&pack(&of_old).power_w, 0.5, Quality::Measured);
    none(&pack(&of_old).current_a, "gives power in current_now");
    let watts = [&of_old[..], &[("power_now", Ok("3000000"))]].concat();
    is(&pack(&watts).power_w, 3.0, Quality::Measured);
    is(&pack(&watts).current_a, 0.5, Quality::Measured);
}

#[test]
fn powers_that_cannot_be_are_no_power() {
    let of = |text, status| pack(&[("power_now", Ok(text)), ("status", Ok(status))]).power_w;
    none(&of("65535000000", "Discharging"), "at most 100 W");
    none(&of("0", "Discharging"), "the driver does not measure");
    none(&of("9", "Charging"), "the driver does not measure");
    is(&of("0", "Full"), 0.0, Quality::Measured);
    is(&of("12500000", "Discharging"), -12.5, Quality::Corrected);
}

#[test]
fn odd_values_are_told_apart_from_true_ones() {
    none(&pack(&[("voltage_now", Ok("0"))]).voltage_v, "it is above 0");
    none(&pack(&[("temp", Ok("-2730"))]).temperature_c, "-60 to 150 °C");
    none(&pack(&[("cycle_count", Ok("0"))]).cycles, "it is above 0");
    let label = [("energy_full", Ok("60000000")), ("energy_full_design", Ok("20000000"))];
    none(&pack(&label).health, "1.5 times");
    let out = pack(&[("present", Ok("0")), ("capacity", Ok("50"))]);
    none(&out.charge, "no battery in the bay");
    assert_eq!(pack(&[("status", Ok("Full"))]).flow, Flow::Resting);
}

#[test]
fn a_zone_that_sleeps_has_no_temperature_and_a_cold_one_has() {
    let files = Memory::default();
    for (zone, kind, temp) in
        [(0, "cpu-thermal", "-256000"), (1, "soc", "-40000"), (2, "gpu", "250000")]
    {
        files.put(&format!("/sys/class/thermal/thermal_zone{zone}/type"), kind);
        files.put(&format!("/sys/class/thermal/thermal_zone{zone}/temp"), temp);
    }
    files.put("/sys/class/thermal/thermal_zone3/type", "soc");
    files.fail("/sys/class/thermal/thermal_zone3/temp", Errno::INVAL);
    let zones = zones::read(&Tree::of(files)).unwrap();
    none(&zones[0].celsius, "without power");
    is(&zones[1].celsius, -40.0, Quality::Measured);
    none(&zones[2].celsius, "at most 200 °C");
    none(&zones[3].celsius, "no value now (EINVAL)");
    assert_eq!(zones[3].name, "soc#1");
    // The processor sleeps, so the hottest of the others decides.
    assert_eq!(zones::deciding(&zones).unwrap().name, "soc");
}

#[test]
fn rails_add_up_where_none_carries_all_and_only_if_all_are_known() {
    let files = Memory::default();
    let chip = "/sys/bus/i2c/devices/1-0040";
    files.put(&format!("{chip}/name"), "ina3221");
    for (channel, label, milli_v, milli_a) in
        [(1, "VDD_GPU_SOC", "19000", "400"), (2, "VDD_CPU_CV", "19000", "100"), (3, "NC", "0", "0")]
    {
        files.put(&format!("{chip}/hwmon/hwmon3/in{channel}_label"), label);
        files.put(&format!("{chip}/hwmon/hwmon3/in{channel}_input"), milli_v);
        files.put(&format!("{chip}/hwmon/hwmon3/curr{channel}_input"), milli_a);
    }
    let tree = Tree::of(files.clone());
    let total = || rails::total(&rails::read(&tree).unwrap());
    is(&total(), 9.5, Quality::Computed);
    assert!(total().unwrap().note.unwrap().contains("carrier board"));
    // Half a sum is no total.
    files.fail(&format!("{chip}/hwmon/hwmon3/curr2_input"), Errno::IO);
    none(&total(), "the read failed (EIO)");
    files.put(&format!("{chip}/hwmon/hwmon3/in2_enable"), "0");
    none(&total(), "switched off");
}

#[test]
fn numbers_beyond_their_range_are_refused() {
    let files = Memory::default();
    let gpu = "/sys/class/devfreq/17000000.gpu";
    files.put(&format!("{gpu}/device/of_node/name"), "gpu\0");
    files.put(&format!("{gpu}/device/load"), "1001");
    let tree = Tree::of(files.clone());
    let found = gpu::find(&tree).unwrap();
    none(&found[0].load(&tree), "0 to 1000");
    files.put(&format!("{gpu}/device/load"), "1000");
    is(&found[0].load(&tree), 1.0, Quality::Measured);
    assert!(pi::Throttled::parse("50g05").is_err() && pi::Throttled::parse("0x50005").is_ok());
    assert!(load::stall("some avg10=101.00 avg60=0.00 avg300=0.00 total=0", "some").is_err());
    assert!(load::stall("some avg10=NaN avg60=0.00 avg300=0.00 total=0", "some").is_err());
    assert!(load::stall("full avg10=1.00", "some").is_err());
    let [a, b] = storage::life_used("0x00 0x0c");
    assert!(a.is_err() && b.is_err());
    let [a, b] = storage::life_used("0x0b");
    assert!(a.is_ok_and(|share| (share - 1.1).abs() < 1e-12) && b.is_err());
    assert_eq!(storage::pre_eol("0x03"), Ok(3.0));
    assert!(storage::pre_eol("0x04").is_err());
    assert_eq!(board::l4t("# R36 (release), REVISION: 4.3, GCID: 1").as_deref(), Ok("36.4.3"));
    assert!(board::l4t("R36").is_err());
    // A counter that starts again.
    assert!((rapl::joules_between(10.0, 14.0, 100.0) - 4.0).abs() < 1e-12);
    assert!((rapl::joules_between(98.0, 3.0, 100.0) - 5.0).abs() < 1e-12);
}

#[test]
fn a_recording_reads_as_the_machine_that_it_was_made_on() {
    for name in BOARDS {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("recorded");
        let recorded = record::record(board(name), &to).unwrap();
        assert!(10 < recorded.files, "{name}: {recorded:?}");
        assert_eq!(lines(&Tree::below(&to).unwrap()), lines(&board(name)), "{name}");
        let again = record::record(board(name), &to).unwrap_err().to_string();
        assert!(again.contains("is there already"), "{again}");
    }
}

#[test]
fn a_recording_holds_no_serial_number_and_no_address() {
    let files = Memory::default();
    files.put(&format!("{BAT}/type"), "Battery");
    files.put(&format!("{BAT}/capacity"), "50");
    files.put(&format!("{BAT}/serial_number"), "SECRET-1");
    files.put(&format!("{BAT}/uevent"), "POWER_SUPPLY_SERIAL_NUMBER=SECRET-2");
    files.put("/sys/class/net/eth0/operstate", "up");
    files.put("/sys/class/net/eth0/address", "SE:CR:ET:00:00:03");
    files.put("/proc/device-tree/serial-number", "SECRET-4");
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("recorded");
    record::record(Tree::of(files), &to).unwrap();
    let mut left = vec![to];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("SECRET") && !text.contains("SE:CR:ET"), "{}", path.display());
    }
}

#[test]
fn a_recorded_tree_does_not_lead_out_of_itself() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    std::fs::write(&outside, "Battery").unwrap();
    let root = dir.path().join("root");
    std::fs::create_dir_all(root.join("sys/class/power_supply/BAT0")).unwrap();
    std::os::unix::fs::symlink(&outside, root.join("sys/class/power_supply/BAT0/type")).unwrap();
    let tree = Tree::below(&root).unwrap();
    assert_eq!(tree.text(&format!("{BAT}/type")), Err(Missing::Denied(Errno::ACCESS)));
    assert_eq!(
        tree.text(&format!("{BAT}/../../../../../outside")),
        Err(Missing::Denied(Errno::ACCESS))
    );
    let large = vec![b'7'; usize::try_from(crate::sensor::tree::FILE_BYTES_MAX + 1).unwrap()];
    std::fs::write(root.join("sys/class/power_supply/BAT0/capacity"), large).unwrap();
    assert_eq!(tree.text(&format!("{BAT}/capacity")), Err(Missing::Failed(Errno::FBIG)));
    std::fs::write(root.join("read-errors.txt"), "EWHAT /sys/x\n").unwrap();
    assert!(Tree::below(&root).unwrap_err().to_string().contains("EWHAT"));
}

#[test]
fn a_sensor_that_is_unplugged_between_two_reads_is_gone_and_comes_back() {
    let files = Memory::default();
    files.put(&format!("{BAT}/type"), "Battery");
    files.put(&format!("{BAT}/capacity"), "50");
    let tree = Tree::of(files.clone());
    let charge = || power_supply::read(&tree).map(|raws| power_supply::packs(&raws));
    assert_eq!(charge().unwrap().len(), 1);
    // Half gone: the directory is still listed, what is in it answers ENODEV.
    files.fail(&format!("{BAT}/capacity"), Errno::NODEV);
    none(&charge().unwrap()[0].charge, "the device went away");
    files.unplug(BAT);
    assert_eq!(charge().unwrap_err(), Missing::Absent);
    files.put(&format!("{BAT}/type"), "Battery");
    files.put(&format!("{BAT}/capacity"), "49");
    is(&charge().unwrap()[0].charge, 0.49, Quality::Measured);
}
