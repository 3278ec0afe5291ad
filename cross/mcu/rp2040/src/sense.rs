//! The sensors at the I²C bus, ten times a second. Each may be missing, and may come later.

use board::PowerSample;
use board::chip::{Monitor, Shunt, max17048, tmp102};
use embassy_rp::i2c::{Async, I2c};
use embassy_rp::peripherals::I2C1;
use embassy_time::{Duration, Ticker, with_timeout};
use embedded_hal_async::i2c::I2c as _;

use crate::{Shared, Task};

/// Between two samples.
const PERIOD: Duration = Duration::from_millis(100);
/// A register takes 0.4 ms at 100 kHz; a chip that holds the bus for longer hangs.
const PATIENCE: Duration = Duration::from_millis(10);
/// Where the power monitor is.
const MONITOR: u8 = 0x40;
/// Its shunt, as on most boards that one can buy; positive current goes into the battery.
const SHUNT: Shunt = Shunt { uohm: 100_000, is_reversed: false };
/// Where the thermometer at the battery is.
const THERMOMETER: u8 = 0x48;
/// The register that tells an INA226 from an INA219, and what stands in it.
const MANUFACTURER: (u8, u16) = (0xFE, 0x5449);
/// The thermometer in messages of temperatures.
const BATTERY: u8 = 0;

type Bus = I2c<'static, I2C1, Async>;

/// Reads all of them and tells the board.
#[embassy_executor::task]
pub(crate) async fn sense(mut bus: Bus, shared: &'static Shared) -> ! {
    let mut ticker = Ticker::every(PERIOD);
    let mut monitor = None;
    loop {
        ticker.next().await;
        shared.beat(Task::Sense);
        if monitor.is_none() {
            monitor = begin(&mut bus).await;
        }
        let power = match monitor {
            Some(monitor) => power(&mut bus, monitor).await,
            None => None,
        };
        if power.is_none() {
            // It may have lost its power, and then its settings.
            monitor = None;
        }
        let charge = word(&mut bus, max17048::ADDRESS, max17048::SOC).await;
        let warmth = word(&mut bus, THERMOMETER, tmp102::TEMPERATURE).await;
        let temp_dc = warmth.map(tmp102::temp_dc);
        let sample = PowerSample {
            temp_dc,
            soc_pm: charge.map(max17048::soc_pm),
            ..power.unwrap_or_default()
        };
        shared.with(|board, now| {
            board.sampled(now, sample);
            board.temperatures(temp_dc.map(|temp_dc| (BATTERY, temp_dc)));
        });
        shared.wake();
    }
}

/// Finds out which monitor is there, and sets it.
async fn begin(bus: &mut Bus) -> Option<Monitor> {
    let (register, ina226) = MANUFACTURER;
    let monitor = match word(bus, MONITOR, register).await? == ina226 {
        true => Monitor::Ina226,
        false => Monitor::Ina219,
    };
    let [high, low] = monitor.config().to_be_bytes();
    let set = with_timeout(PATIENCE, bus.write(MONITOR, &[Monitor::CONFIG, high, low])).await;
    matches!(set, Ok(Ok(()))).then_some(monitor)
}

/// Voltage and current; `None` if the monitor does not answer.
async fn power(bus: &mut Bus, monitor: Monitor) -> Option<PowerSample> {
    let volts = word(bus, MONITOR, Monitor::BUS).await?;
    let shunt = word(bus, MONITOR, Monitor::SHUNT).await?;
    let (bus_mv, cur_ma) = (monitor.bus_mv(volts), monitor.cur_ma(shunt, SHUNT));
    Some(PowerSample { bus_mv, cur_ma, ..PowerSample::default() })
}

/// A register of 16 bits.
async fn word(bus: &mut Bus, address: u8, register: u8) -> Option<u16> {
    let mut word = [0; 2];
    let read = with_timeout(PATIENCE, bus.write_read(address, &[register], &mut word)).await;
    matches!(read, Ok(Ok(()))).then(|| u16::from_be_bytes(word))
}
