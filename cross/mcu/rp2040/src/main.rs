//! Firmware of a board with an RP2040: moves bytes between USB and [`board::Board`], reads sensors over I²C, sets relays, feeds the watchdog.
//!
//! ```text
//! usb ──── line_in ──bytes──▶ ┌───────┐ ◀──samples── sense ──── I²C: INA219 or INA226, MAX17048, TMP102
//!  ▲                          │ Board │ ──states──▶ relays
//!  └────── line_out ◀─frames─ └───────┘
//! ```
//!
//! What is decided is decided in `board`, which is tested on any machine. Here is what only the chip has.
#![no_std]
#![no_main]

mod sense;
mod usb;

use core::cell::RefCell;

use board::vitals::Vitals;
use board::{Board, Config, code};
use embassy_executor::{SpawnError, SpawnToken, Spawner};
use embassy_rp::clocks::RoscRng;
use embassy_rp::flash::{Blocking, Flash};
use embassy_rp::gpio::{Level, Output};
use embassy_rp::i2c::I2c;
use embassy_rp::peripherals::{I2C1, USB};
use embassy_rp::watchdog::{ResetReason, Watchdog};
use embassy_rp::{bind_interrupts, i2c};
use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, Ticker};
use protocol::serial::Hello;
use static_cell::StaticCell;

bind_interrupts!(struct Irqs {
    USBCTRL_IRQ => embassy_rp::usb::InterruptHandler<USB>;
    I2C1_IRQ => i2c::InterruptHandler<I2C1>;
});

/// Name and version, as a node shows them.
const FIRMWARE: &str = concat!("rp2040 ", env!("CARGO_PKG_VERSION"));
/// A 3-cell lithium battery is empty below 9 V.
const UNDER_VOLTAGE_MV: u16 = 9000;
/// Relays, at GPIO 16 and 17.
const RELAYS: usize = 2;
/// Without food for so long the chip starts anew. Every task shows at least once a second that it lives.
const WATCHDOG: Duration = Duration::from_secs(5);
/// Between two feedings.
const FEED: Duration = Duration::from_millis(500);
/// How long a task may wait for anything before it shows that it lives.
const ALIVE: Duration = Duration::from_secs(1);
/// What the flash of the board holds.
const FLASH_BYTES: usize = 2 * 1024 * 1024;

/// The tasks that show that they live.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Task {
    LineIn,
    LineOut,
    Sense,
}

/// What the tasks share.
struct Shared {
    board: Mutex<CriticalSectionRawMutex, RefCell<(Board, Vitals)>>,
    /// There may be something for the relays.
    changed: Signal<CriticalSectionRawMutex, ()>,
    /// There may be something for the line.
    said: Signal<CriticalSectionRawMutex, ()>,
}

impl Shared {
    fn with<T>(&self, run: impl FnOnce(&mut Board, u32) -> T) -> T {
        self.board.lock(|cell| run(&mut cell.borrow_mut().0, now_ms()))
    }

    /// Wakes whoever waits for the board: bytes or samples came in.
    fn wake(&self) {
        self.changed.signal(());
        self.said.signal(());
    }

    fn beat(&self, task: Task) {
        self.board.lock(|cell| cell.borrow_mut().1.beat(task as u32));
    }

    fn may_feed(&self) -> bool {
        self.board.lock(|cell| cell.borrow_mut().1.may_feed())
    }
}

/// Milliseconds since the start; the board can live with its turn after 49 days.
fn now_ms() -> u32 {
    Instant::now().as_millis() as u32
}

/// Begins a task. Each begins once; a second time is what can fail.
fn begin<S>(spawner: Spawner, task: Result<SpawnToken<S>, SpawnError>) {
    if let Ok(task) = task {
        spawner.spawn(task);
    }
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let chip = embassy_rp::init(embassy_rp::config::Config::default());
    let mut watchdog = Watchdog::new(chip.WATCHDOG);
    let hung = matches!(watchdog.reset_reason(), Some(ResetReason::TimedOut));
    watchdog.start(WATCHDOG);
    // Each contact is the one that is closed at rest: without the board, or while it starts, power stays on.
    let mut relays = [Output::new(chip.PIN_16, Level::Low), Output::new(chip.PIN_17, Level::Low)];
    let mut uid = [0; 8];
    let mut flash = Flash::<_, Blocking, FLASH_BYTES>::new_blocking(chip.FLASH);
    // Every flash chip has one; without it boards would be taken for each other, so there is none then.
    if flash.blocking_unique_id(&mut uid).is_err() {
        cortex_m::peripheral::SCB::sys_reset();
    }
    let shared = start(uid, hung);
    let bus = I2c::new_async(chip.I2C1, chip.PIN_15, chip.PIN_14, Irqs, i2c::Config::default());
    let (device, class) = usb::start(embassy_rp::usb::Driver::new(chip.USB, Irqs), uid);
    let (sender, receiver) = class.split();
    begin(spawner, usb::run(device));
    begin(spawner, usb::line_in(receiver, shared));
    begin(spawner, usb::line_out(sender, shared));
    begin(spawner, sense::sense(bus, shared));
    let mut ticker = Ticker::every(FEED);
    let mut since_ms = 0;
    loop {
        embassy_futures::select::select(ticker.next(), shared.changed.wait()).await;
        let wants_restart = shared.with(|board, now| {
            board.tick(now);
            for (ch, relay) in (0_u8..).zip(&mut relays) {
                let on = board.relay(ch).unwrap_or(true);
                relay.set_level(if on { Level::Low } else { Level::High });
            }
            board.wants_restart()
        });
        if wants_restart {
            cortex_m::peripheral::SCB::sys_reset();
        }
        if FEED.as_millis() as u32 <= now_ms().wrapping_sub(since_ms) && shared.may_feed() {
            since_ms = now_ms();
            watchdog.feed(WATCHDOG);
        }
    }
}

/// Makes what the tasks share.
fn start(uid: [u8; 8], hung: bool) -> &'static Shared {
    static SHARED: StaticCell<Shared> = StaticCell::new();
    let config = Config {
        uid,
        fw: FIRMWARE,
        caps: Hello::POWER | Hello::TEMP | Hello::GAUGE,
        relays: RELAYS as u8,
        under_voltage_mv: Some(UNDER_VOLTAGE_MV),
    };
    // The ring oscillator is random enough to tell one start from another.
    let mut board = Board::new(config, RoscRng.next_u32() as u16);
    if hung {
        board.event(code::WATCHDOG, 3, "a task hung, the watchdog restarted the board");
    }
    let vitals = Vitals::new(Task::Sense as u32 + 1);
    let board = Mutex::new(RefCell::new((board, vitals)));
    SHARED.init(Shared { board, changed: Signal::new(), said: Signal::new() })
}

/// Nothing can be told from here; a board that starts anew is worth more than one that stands still.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}
