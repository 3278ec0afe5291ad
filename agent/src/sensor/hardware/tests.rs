//! What boards tell sample by sample, and hardware that comes and goes.

use std::path::Path;

use rustix::io::Errno;

use super::*;
use crate::sensor::charge::tests::spec;
use crate::sensor::finding::Finding;
use crate::sensor::probe::tests::Memory;

const fn asks(battery: BatteryHardware) -> Asks {
    Asks { battery, load: true, warmth: true, libraries: Vec::new() }
}

fn board(name: &str, battery: BatteryHardware) -> Hardware {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    Hardware::of(Tree::below(&root).unwrap(), asks(battery), Instant::now())
}

fn in_memory(files: &Memory, start: Instant) -> Hardware {
    Hardware::of(Tree::of(files.clone()), asks(BatteryHardware::Auto), start)
}

fn meter(sign: f64) -> BatteryHardware {
    let config = MeterConfig { bus: 255, address: 0x43, shunt_ohm: 0.1, sign, pack: spec() };
    BatteryHardware::Ina219(config)
}

#[track_caller]
fn is(found: Reading, value: f32, source: Source) {
    let Reading::Known { value: told, source: of, .. } = found else { panic!("{found:?}") };
    assert!((told - value).abs() < 1e-5 && of == source, "{found:?} is not {value} {source:?}");
}

const NO_SENSOR: Reading = Reading::Unknown(NoReading::NoSensor);

#[test]
fn a_jetson_tells_rails_zones_and_its_graphics_processor() {
    let now = Instant::now();
    let mut orin = board("jetson-orin-nano-jp6", BatteryHardware::Auto);
    is(orin.power(now).load_w, 5.08 * 1.064, Source::Estimated);
    assert_eq!(orin.power(now).charge, NO_SENSOR);
    let warmth = orin.warmth(now);
    is(warmth.hottest_c, 48.218, Source::Measured);
    is(warmth.limit_c, 99.0, Source::Measured);
    let gpu = orin.gpu(now).unwrap();
    is(gpu.load, 0.0, Source::Measured);
    is(gpu.free_mib, 6400.0, Source::Kernel);
    assert_eq!(gpu.temperature_c, Reading::Unknown(NoReading::ReadFailed));
    let mut thor = board("jetson-thor", BatteryHardware::Auto);
    assert_eq!(thor.gpu(now).unwrap().load, Reading::Unknown(NoReading::NotSupported));
}

#[test]
fn a_battery_tells_charge_and_what_a_board_draws_from_it() {
    let now = Instant::now();
    let mut pi = board("raspberry-pi-5", BatteryHardware::PowerSupply);
    let told = pi.power(now);
    is(told.charge, 0.77, Source::Measured);
    is(told.load_w, 1.3875 * 3.9125, Source::Estimated);
    is(told.capacity_wh, 4.982 * 4.2, Source::Estimated);
    assert!(pi.gpu(now).is_none());
    // It charges: what the board draws, nobody measures.
    let laptop = board("laptop", BatteryHardware::Auto).power(now);
    is(laptop.charge, 0.64, Source::Measured);
    assert_eq!(laptop.load_w.value(), None);
    let none = board("raspberry-pi-5", BatteryHardware::None).power(now);
    assert_eq!((none.charge, none.load_w.value()), (NO_SENSOR, None));
}

#[test]
fn what_nobody_asks_for_is_not_told() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jetson-nano");
    let asks = Asks { load: false, warmth: false, ..asks(BatteryHardware::None) };
    let now = Instant::now();
    let mut nano = Hardware::of(Tree::below(&root).unwrap(), asks, now);
    assert_eq!(nano.power(now), Told::nothing(now));
    assert_eq!(nano.warmth(now), Warmth { hottest_c: NO_SENSOR, limit_c: NO_SENSOR });
}

#[test]
fn a_meter_is_read_by_the_driver_of_the_kernel_and_signed_as_it_is_wired() {
    let now = Instant::now();
    let told = board("raspberry-pi-4", meter(1.0)).power(now);
    let metered = told.metered.unwrap();
    let (amps, volts) = (metered.current_a.unwrap(), metered.voltage_v.unwrap());
    assert!((amps + 0.412).abs() < 1e-9 && (volts - 3.948).abs() < 1e-9, "{metered:?}");
    is(told.load_w, 0.412 * 3.948, Source::Measured);
    let turned = board("raspberry-pi-4", meter(-1.0)).power(now);
    let amps = turned.metered.unwrap().current_a.unwrap();
    assert!((amps - 0.412).abs() < 1e-9, "{amps}");
    assert_eq!(turned.load_w.value(), None);
    // Neither a driver nor a bus.
    let none = board("raspberry-pi-3", meter(1.0)).power(now);
    assert_eq!((none.metered, none.charge), (None, NO_SENSOR));
}

#[test]
fn hardware_that_appears_is_found_within_ten_seconds() {
    let (files, start) = (Memory::default(), Instant::now());
    let mut hardware = in_memory(&files, start);
    assert!(hardware.gpu(start).is_none());
    let gpu = "/sys/class/devfreq/17000000.gpu";
    files.put(&format!("{gpu}/device/of_node/name"), "gpu");
    files.put(&format!("{gpu}/device/load"), "250");
    // Not looked for at each sample.
    assert!(hardware.gpu(start + LOOK_AGAIN / 2).is_none());
    is(hardware.gpu(start + LOOK_AGAIN).unwrap().load, 0.25, Source::Measured);
    files.unplug(gpu);
    assert!(hardware.gpu(start + LOOK_AGAIN).is_none());
}

#[test]
fn a_battery_that_is_unplugged_while_it_is_read_is_unknown_and_then_known_again() {
    let (files, start) = (Memory::default(), Instant::now());
    let bat = "/sys/class/power_supply/BAT0";
    files.put(&format!("{bat}/type"), "Battery");
    files.put(&format!("{bat}/capacity"), "50");
    let mut hardware = in_memory(&files, start);
    is(hardware.power(start).charge, 0.5, Source::Measured);
    files.fail(&format!("{bat}/capacity"), Errno::NODEV);
    assert_eq!(hardware.power(start).charge, Reading::Unknown(NoReading::ReadFailed));
    files.unplug(bat);
    assert_eq!(hardware.power(start).charge, NO_SENSOR);
    files.put(&format!("{bat}/type"), "Battery");
    files.put(&format!("{bat}/capacity"), "49");
    is(hardware.power(start + LOOK_AGAIN).charge, 0.49, Source::Measured);
}

#[test]
fn the_platform_is_metered_between_two_samples() {
    let (files, start) = (Memory::default(), Instant::now());
    let psys = "/sys/class/powercap/intel-rapl:1";
    files.put(&format!("{psys}/name"), "psys");
    files.put(&format!("{psys}/max_energy_range_uj"), "1000000000");
    files.put(&format!("{psys}/energy_uj"), "990000000");
    let mut hardware = in_memory(&files, start);
    assert_eq!(hardware.power(start).load_w, Reading::Unknown(NoReading::NotYet));
    // It starts again: 10 J to its end and 5 J more.
    files.put(&format!("{psys}/energy_uj"), "5000000");
    is(hardware.power(start + Duration::from_secs(2)).load_w, 7.5, Source::Measured);
    files.fail(&format!("{psys}/energy_uj"), Errno::ACCESS);
    let denied = hardware.power(start + Duration::from_secs(4)).load_w;
    assert_eq!(denied, Reading::Unknown(NoReading::ReadFailed));
}

#[test]
fn monitors_tell_where_there_are_no_zones() {
    let (files, start) = (Memory::default(), Instant::now());
    files.put("/sys/class/hwmon/hwmon0/name", "k10temp");
    files.put("/sys/class/hwmon/hwmon0/temp1_input", "55125");
    files.put("/sys/class/hwmon/hwmon1/name", "nvme");
    files.put("/sys/class/hwmon/hwmon1/temp1_input", "41850");
    let mut hardware = in_memory(&files, start);
    is(hardware.warmth(start).hottest_c, 55.125, Source::Measured);
}

/// Builds the library of the fixture, which has one GPU that is there and one that is lost; `None` without a C compiler.
fn library(dir: &Path) -> Option<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nvml.c");
    let library = dir.join("libnvidia-ml.so.1");
    let built = std::process::Command::new("cc")
        .arg(format!("-DNO_DRIVER=\"{}\"", dir.join("no-driver").display()))
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    match built {
        Ok(status) => assert!(status.success(), "{}: {status}", source.display()),
        Err(error) => {
            println!("skipped: nvml: no C compiler to build the library of the test: {error}");
            return None;
        }
    }
    Some(library.to_str().unwrap().to_owned())
}

#[test]
fn a_server_tells_its_graphics_processor_by_nvml_and_a_thor_its_load() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = library(dir.path()) else { return };
    let asks = || Asks { libraries: vec![library.clone()], ..asks(BatteryHardware::None) };
    let now = Instant::now();
    let mut server = Hardware::of(Tree::of(Memory::default()), asks(), now);
    let gpu = server.gpu(now).unwrap();
    is(gpu.load, 0.42, Source::Measured);
    is(gpu.free_mib, 20_000.0, Source::Measured);
    is(gpu.temperature_c, 57.0, Source::Measured);
    // What its driver has no file for comes from the library; memory, which is that of the processor, too if the library tells it.
    let thor = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jetson-thor");
    let mut thor = Hardware::of(Tree::below(&thor).unwrap(), asks(), now);
    is(thor.gpu(now).unwrap().load, 0.42, Source::Measured);

    let rows: Vec<_> =
        nvml::survey(std::slice::from_ref(&library)).iter().map(Finding::to_line).collect();
    let told = [
        "nvml 0.Starbelt-Test-GPU.load: 0.42, measured, ",
        "nvml 0.Starbelt-Test-GPU.memory.free: 20000 MiB, measured, ",
        "nvml 0.Starbelt-Test-GPU.temperature: 57 °C, measured, ",
        "nvml 0.Starbelt-Test-GPU.power: 123.456 W, measured, ",
        "nvml 0.Starbelt-Test-GPU.energy: none: the driver does not support it (EOPNOTSUPP)",
        // The library has no such function at all.
        "nvml 0.Starbelt-Test-GPU.clock: none: the driver does not support it (EOPNOTSUPP)",
    ];
    assert_eq!(rows.len(), told.len(), "{rows:#?}");
    for (row, told) in rows.iter().zip(told) {
        assert!(row.starts_with(told), "{row}");
    }
}

#[test]
fn a_graphics_processor_is_there_again_after_its_driver_was_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = library(dir.path()) else { return };
    let asks = Asks { libraries: vec![library], ..asks(BatteryHardware::None) };
    let start = Instant::now();
    let mut server = Hardware::of(Tree::of(Memory::default()), asks, start);
    assert!(server.gpu(start).is_some());
    std::fs::write(dir.path().join("no-driver"), "").unwrap();
    assert!(server.gpu(start).is_none());
    std::fs::remove_file(dir.path().join("no-driver")).unwrap();
    assert!(server.gpu(start + LOOK_AGAIN / 2).is_none(), "it is not time to look again");
    is(server.gpu(start + LOOK_AGAIN).unwrap().load, 0.42, Source::Measured);
}
