//! What a node is made of: `[battery]` and `[thermal]`, real or virtual.

use types::EnergySource;

use super::read::Section;
use super::{
    BatteryConfig, BatteryHardware, LoadModel, MeterConfig, RadiatorConfig, ThermalConfig,
    VirtualBattery, VirtualChip, VirtualThermal,
};
use crate::sensor::charge::{Curve, PackSpec};

/// A 6U cubesat: 40 Wh of Li-ion cells, 7 W at rest with its radio, 6 W for a busy core, 24 W of panels.
const BATTERY: VirtualBattery = VirtualBattery {
    capacity_wh: 40.0,
    initial_soc: 0.8,
    solar_w: 24.0,
    reserve: 0.3,
    charge_efficiency: 0.95,
    discharge_efficiency: 0.97,
    charge_w_max: None,
    // A fifth is lost over 2000 full cycles, and 2 % each year.
    fade_per_cycle: 1.0e-4,
    fade_per_year: 0.02,
};
/// The charge below which no work begins, where the reserve is not smaller.
const FLOOR: f64 = 0.05;
/// The temperature from which on none does, °C: above where the processors of boards slow down (80 to 99), below where they switch themselves off.
const CEILING_C: f64 = 100.0;
const LOAD: LoadModel = LoadModel { idle_w: 7.0, watts_per_core: 6.0 };
/// An aluminium structure of 2 kg, coupled to its surroundings by 0.5 W/K.
const THERMAL: VirtualThermal = VirtualThermal {
    initial_c: 20.0,
    limit_c: 80.0,
    heat_capacity_j_k: 1800.0,
    conductance_w_k: 0.5,
    chip: None,
    radiator: RadiatorConfig { radiating_m2: 0.0, absorbing_m2: 0.0 },
};
/// A module with its heat spreader, 70 g of aluminium.
const CHIP_HEAT_CAPACITY_J_K: f64 = 60.0;

/// Longest name of a grid zone, as on the wire.
const ZONE_BYTES_MAX: usize = 32;
/// The address of the meters on UPS boards for the Pi; others have 0x40, 0x42.
const INA219_ADDRESS: u64 = 0x43;
/// The shunt of most boards, µΩ.
const SHUNT_UOHM: u64 = 100_000;
/// How far an INA219 can be off: 100 µV at the shunt, 1 % of the current.
const SHUNT_OFFSET_V: f64 = 1.0e-4;
const GAIN_ERROR: f64 = 0.01;
/// How far it can be off at a cell, V.
const VOLTS_ERROR: f64 = 0.01;

#[derive(Clone, Copy, PartialEq)]
enum BackEnd {
    Auto,
    None,
    Virtual,
    PowerSupply,
    Ina219,
}

const BATTERIES: [(&str, BackEnd); 5] = [
    ("auto", BackEnd::Auto),
    ("none", BackEnd::None),
    ("virtual", BackEnd::Virtual),
    ("power-supply", BackEnd::PowerSupply),
    ("ina219", BackEnd::Ina219),
];

const BODIES: [(&str, BackEnd); 3] =
    [("auto", BackEnd::Auto), ("none", BackEnd::None), ("virtual", BackEnd::Virtual)];

#[derive(Clone, Copy)]
enum Energy {
    Photovoltaic,
    Battery,
    Grid,
}

const ENERGIES: [(&str, Energy); 3] =
    [("photovoltaic", Energy::Photovoltaic), ("battery", Energy::Battery), ("grid", Energy::Grid)];

/// Whether what hardware measures goes before the model.
const LOADS: [(&str, bool); 2] = [("measured", true), ("model", false)];

const SIGNS: [(&str, f64); 2] = [("charging", 1.0), ("discharging", -1.0)];

#[derive(Clone, Copy)]
enum Chemistry {
    LiIon,
    LiFePo4,
}

const CHEMISTRIES: [(&str, Chemistry); 2] =
    [("li-ion", Chemistry::LiIon), ("lifepo4", Chemistry::LiFePo4)];

/// Reads `[battery]`.
pub(super) fn battery(mut section: Section<'_>) -> BatteryConfig {
    let back_end = section.word("backend", &BATTERIES).unwrap_or(BackEnd::Auto);
    let is_virtual = back_end == BackEnd::Virtual;
    let load_given = section.has("idle_w") || section.has("watts_per_core");
    let load = LoadModel {
        idle_w: section.number("idle_w", 0.0..=100_000.0, LOAD.idle_w),
        watts_per_core: section.number("watts_per_core", 0.0..=1000.0, LOAD.watts_per_core),
    };
    // Several emulated nodes on one machine do not draw each what it draws.
    let measures_load = section.word("load", &LOADS).unwrap_or(!is_virtual);
    let cell = cell(&mut section);
    let floor = section.number("floor", 0.0..=1.0, FLOOR.min(cell.reserve));
    if cell.reserve < floor {
        let rule = format!("{floor} is above the reserve of {}, which plans keep", cell.reserve);
        section.refuse("floor", rule);
    }
    let energy = section.word("energy", &ENERGIES);
    let zone = section.converted("zone", |zone| match zone.len() {
        0..=ZONE_BYTES_MAX => Ok(zone.to_owned()),
        bytes => Err(format!("a grid zone has at most {ZONE_BYTES_MAX} bytes, this has {bytes}")),
    });
    let meter = if back_end == BackEnd::Ina219 || section.has("ina219") {
        meter(section.table("ina219"))
    } else {
        None
    };
    section.finish();
    let source = match energy {
        Some(Energy::Photovoltaic) => EnergySource::Photovoltaic,
        Some(Energy::Battery) => EnergySource::Battery,
        Some(Energy::Grid) => EnergySource::Grid { zone: zone.unwrap_or_default() },
        None if is_virtual && 0.0 < cell.solar_w => EnergySource::Photovoltaic,
        None if is_virtual => EnergySource::Battery,
        None => EnergySource::Unknown,
    };
    let hardware = match (back_end, meter) {
        (BackEnd::None | BackEnd::Virtual, _) => BatteryHardware::None,
        (BackEnd::Auto, _) => BatteryHardware::Auto,
        (BackEnd::Ina219, Some(meter)) => BatteryHardware::Ina219(meter),
        // Without a meter a problem is noted, and nothing starts.
        (BackEnd::PowerSupply | BackEnd::Ina219, _) => BatteryHardware::PowerSupply,
    };
    BatteryConfig {
        source,
        load: (is_virtual || load_given).then_some(load),
        cell: is_virtual.then_some(cell),
        measures_load,
        reserve: cell.reserve,
        floor,
        hardware,
    }
}

fn cell(section: &mut Section<'_>) -> VirtualBattery {
    let charge_w_given = section.has("charge_w_max");
    let charge_w_max = section.number("charge_w_max", 0.0..=1.0e6, 0.0);
    VirtualBattery {
        capacity_wh: section.number("capacity_wh", 0.001..=1.0e9, BATTERY.capacity_wh),
        initial_soc: section.number("initial_soc", 0.0..=1.0, BATTERY.initial_soc),
        solar_w: section.number("solar_w", 0.0..=1.0e6, BATTERY.solar_w),
        reserve: section.number("reserve", 0.0..=1.0, BATTERY.reserve),
        charge_efficiency: section.number(
            "charge_efficiency",
            0.1..=1.0,
            BATTERY.charge_efficiency,
        ),
        discharge_efficiency: section.number(
            "discharge_efficiency",
            0.1..=1.0,
            BATTERY.discharge_efficiency,
        ),
        charge_w_max: charge_w_given.then_some(charge_w_max),
        fade_per_cycle: section.number("fade_per_cycle", 0.0..=0.1, BATTERY.fade_per_cycle),
        fade_per_year: section.number("fade_per_year", 0.0..=1.0, BATTERY.fade_per_year),
    }
}

/// A UPS board: its meter, how it is wired, and the cells behind it.
fn meter(mut section: Section<'_>) -> Option<MeterConfig> {
    section.require("cells_series");
    section.require("cell_capacity_mah");
    let bus = section.integer("bus", 0..=255, 1);
    let address = section.integer("address", 0x08..=0x77, INA219_ADDRESS);
    let shunt_uohm = section.integer("shunt_uohm", 100..=10_000_000, SHUNT_UOHM);
    let sign = section.word("positive_current", &SIGNS).unwrap_or(1.0);
    let series = section.integer("cells_series", 1..=100, 1);
    let parallel = section.integer("cells_parallel", 1..=100, 1);
    let capacity_mah = section.number("cell_capacity_mah", 10.0..=1.0e6, 10.0);
    let chemistry = section.word("chemistry", &CHEMISTRIES).unwrap_or(Chemistry::LiIon);
    let points = section.list("ocv", point);
    let curve = match chemistry {
        _ if !points.is_empty() => Curve::new(points),
        Chemistry::LiIon => Ok(Curve::li_ion()),
        Chemistry::LiFePo4 => Ok(Curve::li_fe_po4()),
    };
    if let Err(rule) = curve {
        section.refuse("ocv", rule.to_string());
    }
    section.finish();
    let shunt_ohm = f64::from(u32::try_from(shunt_uohm).ok()?) / 1.0e6;
    let pack = PackSpec {
        capacity_ah: capacity_mah * f64::from(u32::try_from(parallel).ok()?) / 1000.0,
        cells_series: u32::try_from(series).ok()?,
        curve: curve.ok()?,
        offset_a: SHUNT_OFFSET_V / shunt_ohm,
        gain_error: GAIN_ERROR,
        volts_error: VOLTS_ERROR,
    };
    Some(MeterConfig {
        bus: u8::try_from(bus).ok()?,
        address: u16::try_from(address).ok()?,
        shunt_ohm,
        sign,
        pack,
    })
}

/// A point of a curve, `CHARGE:VOLTS`.
fn point(text: &str) -> Result<(f64, f64), String> {
    let wrong = || format!("{text:?} is not a charge and the volts of a cell like 0.5:3.82");
    let (charge, volts) = text.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| text.trim().parse::<f64>().map_err(|_not_a_number| wrong());
    Ok((number(charge)?, number(volts)?))
}

/// Reads `[thermal]`: the body, and the temperature from which on no work begins, in °C.
pub(super) fn thermal(mut section: Section<'_>) -> (ThermalConfig, f64) {
    let back_end = section.word("backend", &BODIES).unwrap_or(BackEnd::Auto);
    let ceiling_c = section.number("ceiling_c", -50.0..=200.0, CEILING_C);
    let has_chip = section.has("chip_conductance_w_k");
    let chip = VirtualChip {
        conductance_w_k: section.number("chip_conductance_w_k", 1.0e-3..=1.0e6, 1.0),
        heat_capacity_j_k: section.number(
            "chip_heat_capacity_j_k",
            0.1..=1.0e6,
            CHIP_HEAT_CAPACITY_J_K,
        ),
    };
    let body = VirtualThermal {
        initial_c: section.number("initial_c", -150.0..=200.0, THERMAL.initial_c),
        limit_c: section.number("limit_c", -50.0..=200.0, THERMAL.limit_c),
        heat_capacity_j_k: section.number(
            "heat_capacity_j_k",
            0.1..=1.0e9,
            THERMAL.heat_capacity_j_k,
        ),
        conductance_w_k: section.number("conductance_w_k", 1.0e-6..=1.0e6, THERMAL.conductance_w_k),
        chip: has_chip.then_some(chip),
        radiator: RadiatorConfig {
            radiating_m2: section.number("radiating_m2", 0.0..=1.0e4, 0.0),
            absorbing_m2: section.number("absorbing_m2", 0.0..=1.0e4, 0.0),
        },
    };
    section.finish();
    let body = match back_end {
        BackEnd::Virtual => ThermalConfig::Virtual(body),
        BackEnd::None => ThermalConfig::None,
        BackEnd::Auto | BackEnd::PowerSupply | BackEnd::Ina219 => ThermalConfig::Auto,
    };
    (body, ceiling_c)
}
