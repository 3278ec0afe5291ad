//! A board at one end of a pseudo-terminal, on a thread of its own, behind a line that damages what it carries.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use board::{Board, Config, PowerSample};
use protocol::serial::{Counters, Hello};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// What the board is.
pub(crate) const CONFIG: Config = Config {
    uid: [0xE6, 0x60, 0x58, 0x38, 0x83, 0x72, 0x4A, 0x2F],
    fw: "bench 1.0",
    caps: Hello::POWER | Hello::TEMP | Hello::GAUGE,
    relays: 2,
    under_voltage_mv: Some(11_000),
};
/// What it measures.
pub(crate) const SAMPLE: PowerSample =
    PowerSample { bus_mv: Some(12_000), cur_ma: Some(-250), temp_dc: Some(215), soc_pm: Some(873) };

/// How many of a million bytes are lost, have a bit turned, or come twice, in both directions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) lost: u32,
    pub(crate) turned: u32,
    pub(crate) doubled: u32,
    /// Of a million frames of the board, how many are sent again as a whole.
    pub(crate) repeated: u32,
}

/// How often a relay of the board opened.
#[derive(Debug, Default)]
pub(crate) struct Opened(pub(crate) [AtomicU32; 2]);

/// A plugged-in board.
pub(crate) struct Plugged {
    /// Whoever drops it pulls the plug.
    stop: std::io::PipeWriter,
    thread: JoinHandle<Counters>,
    link: PathBuf,
}

impl Plugged {
    /// Pulls the plug; answers what the board had heard.
    pub(crate) fn pull(self) -> Counters {
        std::fs::remove_file(&self.link).expect("the link is there");
        drop(self.stop);
        self.thread.join().expect("the board ends by itself")
    }
}

/// Plugs in a board: `link` becomes the path of its device, as udev makes one.
pub(crate) fn plug(link: &Path, config: Config, faults: Faults, opened: &Arc<Opened>) -> Plugged {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).expect("a terminal of the kernel");
    grantpt(&master).expect("a terminal of the kernel");
    unlockpt(&master).expect("a terminal of the kernel");
    let slave = ptsname(&master, Vec::new()).expect("a terminal of the kernel");
    // Held open until the board is there, as the kernel holds a device: a terminal nobody has opened looks unplugged.
    let held = rustix::fs::open(
        slave.as_c_str(),
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .expect("a terminal of the kernel");
    // As the agent sets it: else the terminal would answer the board with its own bytes until then.
    let mut raw = rustix::termios::tcgetattr(&held).expect("a terminal of the kernel");
    raw.make_raw();
    rustix::termios::tcsetattr(&held, rustix::termios::OptionalActions::Now, &raw)
        .expect("a terminal of the kernel");
    rustix::io::ioctl_fionbio(&master, true).expect("a terminal of the kernel");
    let (stopped, stop) = std::io::pipe().expect("a terminal of the kernel");
    std::os::unix::fs::symlink(slave.to_str().expect("a terminal of the kernel"), link)
        .expect("a terminal of the kernel");
    let opened = Arc::clone(opened);
    let first = u16::try_from(std::process::id() % 65_536).expect("a terminal of the kernel");
    let thread = std::thread::spawn(move || {
        let mut wire = Wire { master, _held: held, faults, dice: 0x9E37_79B9_7F4A_7C15 };
        wire.serve(Board::new(config, first), &stopped, &opened)
    });
    Plugged { stop, thread, link: link.to_owned() }
}

struct Wire {
    master: OwnedFd,
    _held: OwnedFd,
    faults: Faults,
    dice: u64,
}

impl Wire {
    /// Lives as the firmware does, until the plug is pulled.
    fn serve(
        &mut self,
        mut board: Board,
        stopped: &std::io::PipeReader,
        opened: &Opened,
    ) -> Counters {
        let start = Instant::now();
        let now = || u32::try_from(start.elapsed().as_millis()).expect("a terminal of the kernel");
        let mut sampled_ms = 0;
        let mut was_on = [true; 2];
        board.temperatures([(0, 251), (1, -400)]);
        loop {
            if sampled_ms <= now() {
                board.sampled(now(), SAMPLE);
                sampled_ms = now() + 100;
            }
            while let Some(sent) = board.poll(now()) {
                self.send(&sent);
                if self.is_hit(self.faults.repeated) {
                    self.send(&sent);
                }
            }
            for (ch, was_on) in (0_u8..).zip(&mut was_on) {
                let on = board.relay(ch).expect("a terminal of the kernel");
                if *was_on && !on {
                    opened.0[usize::from(ch)].fetch_add(1, Ordering::Relaxed);
                }
                *was_on = on;
            }
            let wait = sampled_ms.saturating_sub(now()).min(board.due_ms(now()).unwrap_or(100));
            let mut watched =
                [PollFd::new(&self.master, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
            let timeout = Timespec::try_from(Duration::from_millis(u64::from(wait.max(1))))
                .expect("a terminal of the kernel");
            poll(&mut watched, Some(&timeout)).expect("a terminal of the kernel");
            if !watched[1].revents().is_empty() {
                return *board.counters();
            }
            let mut buffer = [0; 256];
            // Nothing is there, or nobody has opened the other end.
            let count = rustix::io::read(&self.master, &mut buffer).unwrap_or(0);
            for byte in self.damaged(&buffer[..count]) {
                board.receive(now(), byte);
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        for byte in self.damaged(bytes) {
            // A line that takes nothing loses it, as a UART does.
            let _taken = rustix::io::write(&self.master, &[byte]);
        }
    }

    fn damaged(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in bytes {
            if self.is_hit(self.faults.lost) {
                continue;
            }
            let bit = u32::try_from(self.roll() % 8).expect("a terminal of the kernel");
            let turned = if self.is_hit(self.faults.turned) { 1 << bit } else { 0 };
            out.push(byte ^ turned);
            if self.is_hit(self.faults.doubled) {
                out.push(byte ^ turned);
            }
        }
        out
    }

    fn is_hit(&mut self, of_a_million: u32) -> bool {
        self.roll() % 1_000_000 < u64::from(of_a_million)
    }

    /// xorshift64*: the same faults at each run.
    fn roll(&mut self) -> u64 {
        self.dice ^= self.dice >> 12;
        self.dice ^= self.dice << 25;
        self.dice ^= self.dice >> 27;
        self.dice.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }
}
