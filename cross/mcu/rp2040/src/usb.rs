//! The serial line over USB: a CDC-ACM port, as which every system knows it without a driver.

use embassy_futures::select::select;
use embassy_rp::peripherals::USB;
use embassy_rp::usb::Driver;
use embassy_time::{Duration, with_timeout};
use embassy_usb::class::cdc_acm::{CdcAcmClass, Receiver, Sender, State};
use embassy_usb::{Builder, Config, UsbDevice};
use static_cell::StaticCell;

use crate::{ALIVE, Shared, Task};

/// The vendor pid.codes, with its number for tests: a board that is sold needs one of its own.
const VENDOR: u16 = 0x1209;
const PRODUCT: u16 = 0x0001;
/// Bytes of a packet at full speed.
const PACKET: usize = 64;

type Port = Driver<'static, USB>;

/// Makes the device and its port. The number of the board is in the name that a node finds it by:
/// `/dev/serial/by-id/usb-Starbelt_Board_E660583883724A2F-if00`.
pub(crate) fn start(
    driver: Port,
    uid: [u8; 8],
) -> (UsbDevice<'static, Port>, CdcAcmClass<'static, Port>) {
    static SERIAL: StaticCell<[u8; 16]> = StaticCell::new();
    static CONFIG: StaticCell<[u8; 256]> = StaticCell::new();
    static BOS: StaticCell<[u8; 64]> = StaticCell::new();
    static CONTROL: StaticCell<[u8; 64]> = StaticCell::new();
    static STATE: StaticCell<State<'static>> = StaticCell::new();
    let digits = SERIAL.init([0; 16]);
    for (pair, byte) in digits.chunks_exact_mut(2).zip(uid) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    let mut config = Config::new(VENDOR, PRODUCT);
    config.manufacturer = Some("Starbelt");
    config.product = Some("Board");
    config.serial_number = core::str::from_utf8(digits).ok();
    config.max_power = 100;
    let mut builder = Builder::new(
        driver,
        config,
        CONFIG.init([0; 256]),
        BOS.init([0; 64]),
        &mut [],
        CONTROL.init([0; 64]),
    );
    let class = CdcAcmClass::new(&mut builder, STATE.init(State::new()), PACKET as u16);
    (builder.build(), class)
}

fn digit(value: u8) -> u8 {
    b"0123456789ABCDEF"[usize::from(value)]
}

/// Answers the host about the device itself.
#[embassy_executor::task]
pub(crate) async fn run(mut device: UsbDevice<'static, Port>) -> ! {
    device.run().await
}

/// Takes bytes from the line.
#[embassy_executor::task]
pub(crate) async fn line_in(mut line: Receiver<'static, Port>, shared: &'static Shared) -> ! {
    let mut packet = [0; PACKET];
    loop {
        shared.beat(Task::LineIn);
        match with_timeout(ALIVE, line.read_packet(&mut packet)).await {
            Ok(Ok(count)) => {
                shared.with(|board, now| {
                    packet[..count].iter().for_each(|byte| board.receive(now, *byte));
                });
                shared.wake();
            }
            // Nothing came.
            Err(_) => {}
            Ok(Err(_unplugged)) => {
                if with_timeout(ALIVE, line.wait_connection()).await.is_ok() {
                    shared.with(|board, _| board.connected());
                }
            }
        }
    }
}

/// Puts frames onto the line.
#[embassy_executor::task]
pub(crate) async fn line_out(mut line: Sender<'static, Port>, shared: &'static Shared) -> ! {
    loop {
        shared.beat(Task::LineOut);
        // While nobody listens nothing is made, so that what is said then is new.
        if with_timeout(ALIVE, line.wait_connection()).await.is_err() {
            continue;
        }
        let Some(frame) = shared.with(|board, now| board.poll(now)) else {
            let due_ms = shared.with(|board, now| board.due_ms(now)).unwrap_or(u32::MAX);
            let due =
                Duration::from_millis(u64::from(due_ms)).clamp(Duration::from_millis(1), POLL);
            select(embassy_time::Timer::after(due), shared.said.wait()).await;
            continue;
        };
        for packet in frame.chunks(PACKET) {
            // A host that does not take it in time loses it, as on any serial line.
            if !matches!(with_timeout(ALIVE, line.write_packet(packet)).await, Ok(Ok(()))) {
                break;
            }
        }
        // A packet that is full has one behind it, or the host waits for more.
        if frame.len().is_multiple_of(PACKET) {
            drop(with_timeout(ALIVE, line.write_packet(&[])).await);
        }
    }
}

/// How often the line is looked after if nothing says that there is something for it.
const POLL: Duration = Duration::from_millis(20);
