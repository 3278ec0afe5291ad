//! NVIDIA's management library, loaded when it is there: GPUs of servers, and in part that of a Thor. Every value is optional.
//!
//! The boards of a Jetson before Thor have no such library, or one that supports next to nothing: [`super::gpu`] reads those.

use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use rustix::io::Errno;

use crate::sensor::finding::{Finding, Quantity, Sample};
use crate::sensor::tree::Missing;

/// The name of this probe.
pub const PROBE: &str = "nvml";
/// What distributions ship; the name without a number is in their development packages.
const LIBRARIES: [&str; 2] = ["libnvidia-ml.so.1", "libnvidia-ml.so"];
/// GPUs of one machine at most.
const GPUS_MAX: u32 = 16;

const MILLI: f64 = 1.0e-3;
const PERCENT: f64 = 0.01;
const MIB: f64 = 1024.0 * 1024.0;

/// Where the library is looked for.
pub fn libraries() -> Vec<String> {
    LIBRARIES.map(str::to_owned).into()
}

/// The library, initialised until it is dropped: it does not survive a fork, nor a new driver.
#[derive(Debug)]
pub struct Library {
    nvml: Nvml,
    path: String,
}

/// What a GPU says.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpu {
    /// Its number and name.
    pub name: String,
    /// Busy share, 0 to 1.
    pub load: Quantity,
    /// Free memory, MiB.
    pub free_mib: Quantity,
    /// Temperature, °C.
    pub celsius: Quantity,
    /// Power, W.
    pub power_w: Quantity,
    /// Energy since the driver was loaded, J (Volta and later).
    pub energy_j: Quantity,
    /// Clock, MHz.
    pub clock_mhz: Quantity,
}

impl Library {
    /// Loads the first of these that is there.
    ///
    /// # Errors
    /// If none is, or the driver behind it is not.
    pub fn load(paths: &[String]) -> Result<Self, Missing> {
        let mut reason = Missing::Absent;
        for path in paths {
            match Nvml::builder().lib_path(path.as_ref()).init() {
                Ok(nvml) => return Ok(Self { nvml, path: path.clone() }),
                Err(NvmlError::LibloadingError(_)) => {}
                Err(error) => reason = missing(&error),
            }
        }
        Err(reason)
    }

    /// The GPUs that are there now.
    ///
    /// # Errors
    /// If the library does not say.
    pub fn read(&self) -> Result<Vec<Gpu>, Missing> {
        let count = self.nvml.device_count().map_err(|error| missing(&error))?;
        let gpus = (0..count.min(GPUS_MAX)).filter_map(|index| {
            // One that has fallen off the bus leaves the others.
            let device = self.nvml.device_by_index(index).ok()?;
            Some(self.gpu(index, &device))
        });
        let gpus: Vec<_> = gpus.collect();
        if gpus.is_empty() { Err(Missing::Absent) } else { Ok(gpus) }
    }

    fn gpu(&self, index: u32, device: &Device<'_>) -> Gpu {
        let sample = |value: Result<f64, NvmlError>| {
            let value = value.map_err(|error| missing(&error))?;
            Ok(Sample::measured(value, self.path.clone()))
        };
        #[expect(
            clippy::cast_precision_loss,
            reason = "bytes and millijoules of a GPU keep their digits that matter"
        )]
        let float = |count: u64| count as f64;
        Gpu {
            name: format!("{index}.{}", device.name().unwrap_or_default().replace(' ', "-")),
            load: sample(device.utilization_rates().map(|rates| f64::from(rates.gpu) * PERCENT)),
            free_mib: sample(device.memory_info().map(|memory| float(memory.free) / MIB)),
            celsius: sample(device.temperature(TemperatureSensor::Gpu).map(f64::from)),
            power_w: sample(device.power_usage().map(|milli| f64::from(milli) * MILLI)),
            energy_j: sample(device.total_energy_consumption().map(|milli| float(milli) * MILLI)),
            clock_mhz: sample(device.clock_info(Clock::Graphics).map(f64::from)),
        }
    }
}

/// The reason in our words. What the driver does not support is not 0.
fn missing(error: &NvmlError) -> Missing {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::DriverNotLoaded | NvmlError::NotFound => {
            Missing::Absent
        }
        NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_) => {
            Missing::Unsupported(Errno::OPNOTSUPP)
        }
        NvmlError::NoPermission => Missing::Denied(Errno::ACCESS),
        NvmlError::GpuLost => Missing::Gone(Errno::NODEV),
        _ => Missing::Failed(Errno::IO),
    }
}

/// All that this probe can say of this machine by the libraries at these paths.
pub fn survey(paths: &[String]) -> Vec<Finding> {
    match Library::load(paths).and_then(|library| library.read()) {
        Ok(gpus) => gpus.into_iter().flat_map(|gpu| findings(gpu, paths)).collect(),
        Err(missing) => vec![Finding::nothing(PROBE, missing, paths.to_vec())],
    }
}

/// That recorded files do not tell it.
pub fn not_asked() -> Vec<Finding> {
    let missing = Missing::Meaningless("a library, not a file: asked only where --sysfs-root is /");
    vec![Finding::nothing(PROBE, missing, libraries())]
}

fn findings(gpu: Gpu, tried: &[String]) -> Vec<Finding> {
    let Gpu { name, load, free_mib, celsius, power_w, energy_j, clock_mhz } = gpu;
    let rows = [
        ("load", "", load),
        ("memory.free", "MiB", free_mib),
        ("temperature", "°C", celsius),
        ("power", "W", power_w),
        ("energy", "J", energy_j),
        ("clock", "MHz", clock_mhz),
    ];
    let row = |(key, unit, quantity)| {
        Finding::number(PROBE, format!("{name}.{key}"), unit, quantity, tried.to_vec())
    };
    rows.map(row).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_driver_does_not_support_is_not_a_zero() {
        let story = [
            (NvmlError::NotSupported, Missing::Unsupported(Errno::OPNOTSUPP)),
            (NvmlError::DriverNotLoaded, Missing::Absent),
            (NvmlError::NoPermission, Missing::Denied(Errno::ACCESS)),
            (NvmlError::GpuLost, Missing::Gone(Errno::NODEV)),
            (NvmlError::Unknown, Missing::Failed(Errno::IO)),
        ];
        for (error, expected) in story {
            assert_eq!(missing(&error), expected, "{error}");
        }
    }

    #[test]
    fn a_machine_without_the_library_says_where_it_was_looked_for() {
        let rows = survey(&["libnvidia-ml-that-nobody-has.so.1".to_owned()]);
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!(row.outcome, crate::sensor::finding::Outcome::Nothing(Missing::Absent));
        assert_eq!(row.tried, ["libnvidia-ml-that-nobody-has.so.1"]);
    }
}
