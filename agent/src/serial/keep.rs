//! One task for each line: finds the device, opens it, moves bytes, and begins anew when it is gone.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::time::Duration;

use protocol::serial::Time;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::sync::{mpsc, oneshot, watch};

use super::link::{Link, News, OrderError};
use super::port::{PortError, find, open, watched};
use super::{Asked, Presence, State};
use crate::clock::Clock;
use crate::config::McuConfig;

/// Pause before a line that is not there is looked for again: at first, and at most. A board needs as long to start.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Bytes that are read at once.
const READ_BYTES: usize = 512;
/// Bytes that wait for a line that takes none; more is not made.
const WRITE_BYTES_MAX: usize = 1024;
/// The state of a line is brought up to date at least so often, for what grows old.
const REFRESH: Duration = Duration::from_millis(500);
/// How far the node's clock may be off, in µs: nobody here knows how it is set.
const TIME_SIGMA_US: u32 = 500_000;

/// Whoever waits for the answer to an order.
type Waiting = BTreeMap<u64, oneshot::Sender<Result<(), OrderError>>>;

/// What the task of a line works with.
struct Keeper {
    config: McuConfig,
    clock: Clock,
    state: watch::Sender<State>,
    link: Link,
    waiting: Waiting,
    next_ticket: u64,
    /// The reason that was logged last, so that it is logged once.
    told: String,
}

/// Keeps a line for as long as somebody holds its handle.
pub(super) async fn keep(
    config: McuConfig,
    clock: Clock,
    state: watch::Sender<State>,
    mut orders: mpsc::Receiver<Asked>,
) {
    let period_ms = u32::try_from(config.period.as_millis()).unwrap_or(u32::MAX);
    let [low, high, ..] = clock.now().wall.0.to_le_bytes();
    let link = Link::new(period_ms, u16::from_le_bytes([low, high]));
    let (waiting, told) = (BTreeMap::new(), String::new());
    let mut keeper = Keeper { config, clock, state, link, waiting, next_ticket: 0, told };
    let mut pause = PAUSE_MIN;
    loop {
        let reason = match keeper.opened() {
            Ok(fd) => {
                let reason = keeper.serve(&fd, &mut orders).await;
                // A device that opens and is gone at once is no reason to hurry.
                if keeper.link.readings(keeper.now_ms()).is_heard {
                    pause = PAUSE_MIN;
                }
                reason
            }
            Err(error) => error.to_string(),
        };
        keeper.absent(&reason);
        let next = tokio::time::Instant::now() + pause;
        // Whoever asks meanwhile is told why not.
        while let Ok(asked) = tokio::time::timeout_at(next, orders.recv()).await {
            let Some(asked) = asked else { return };
            keeper.ask(asked);
            keeper.tell();
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

impl Keeper {
    fn now_ms(&self) -> u64 {
        self.clock.now().at.0 / 1_000_000
    }

    fn opened(&mut self) -> Result<AsyncFd<OwnedFd>, PortError> {
        let path = find(&self.config.device)?;
        let fd = open(&path, self.config.baud)?;
        let fd = watched(fd).map_err(|source| PortError::Unusable {
            path: path.display().to_string(),
            what: "cannot be waited for",
            source,
        })?;
        tracing::info!(board = %self.config.name, device = %path.display(), "serial line is open");
        self.told.clear();
        self.link.opened(self.now_ms());
        self.state.send_modify(|state| state.opens = state.opens.saturating_add(1));
        Ok(fd)
    }

    /// Moves bytes until the line is gone; answers why.
    async fn serve(&mut self, fd: &AsyncFd<OwnedFd>, orders: &mut mpsc::Receiver<Asked>) -> String {
        let mut out = VecDeque::new();
        let mut buffer = [0; READ_BYTES];
        loop {
            self.fill(&mut out);
            self.refresh();
            self.tell();
            let wait = self.wait();
            let moved = tokio::select! {
                guard = fd.readable() => match guard {
                    Ok(guard) => self.read(guard, &mut buffer),
                    Err(error) => Err(error.to_string()),
                },
                guard = fd.writable(), if !out.is_empty() => match guard {
                    Ok(guard) => write(guard, &mut out),
                    Err(error) => Err(error.to_string()),
                },
                asked = orders.recv() => match asked {
                    Some(asked) => {
                        self.ask(asked);
                        Ok(())
                    }
                    None => Err("the agent is ending".to_owned()),
                },
                () = tokio::time::sleep(wait) => Ok(()),
            };
            if let Err(reason) = moved {
                return reason;
            }
        }
    }

    /// How long nothing has to be done, unless something comes in.
    fn wait(&self) -> Duration {
        let now_ms = self.now_ms();
        let due = self.link.due_ms().map(|due| Duration::from_millis(due.saturating_sub(now_ms)));
        // Not at once: what is due now waits for room on the line, which wakes by itself.
        due.unwrap_or(REFRESH).clamp(Duration::from_millis(1), REFRESH)
    }

    fn fill(&mut self, out: &mut VecDeque<u8>) {
        let now = self.clock.now();
        let unix_ms = u64::try_from(now.wall.0 / 1_000_000).unwrap_or_default();
        let time = Time { unix_ms, sigma_us: TIME_SIGMA_US };
        while out.len() < WRITE_BYTES_MAX {
            let Some(sent) = self.link.poll(now.at.0 / 1_000_000, time) else { return };
            out.extend(sent);
        }
    }

    fn read(
        &mut self,
        mut guard: AsyncFdReadyGuard<'_, OwnedFd>,
        buffer: &mut [u8],
    ) -> Result<(), String> {
        let read = guard.try_io(|fd| Ok(rustix::io::read(fd, &mut *buffer)?));
        match read {
            Ok(Ok(0)) => Err("the device is gone".to_owned()),
            Ok(Ok(count)) => {
                let now_ms = self.now_ms();
                self.link.receive(now_ms, &buffer[..count]);
                Ok(())
            }
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            Ok(Err(error)) => Err(format!("the device is gone: {error}")),
            // Nothing had come after all.
            Err(_would_block) => Ok(()),
        }
    }

    fn ask(&mut self, (order, answer): Asked) {
        self.next_ticket += 1;
        self.waiting.insert(self.next_ticket, answer);
        let now_ms = self.now_ms();
        self.link.order(now_ms, self.next_ticket, order);
    }

    /// Passes on what happened.
    fn tell(&mut self) {
        let board = self.config.name.clone();
        while let Some(news) = self.link.news() {
            match news {
                News::Identified(hello) => {
                    let uid = super::report::uid_text(hello.uid);
                    tracing::info!(%board, uid, firmware = %hello.fw.escape_debug(), "board is there");
                    self.state.send_modify(|state| state.uid = Some(hello.uid));
                }
                News::OtherProtocol(proto) => {
                    tracing::warn!(%board, proto, "board speaks another protocol, its firmware has to be replaced");
                    let presence = Presence::OtherProtocol(proto);
                    self.state.send_modify(|state| state.presence = presence);
                }
                News::Event(event) => {
                    let (code, text) = (event.code, event.text.escape_debug());
                    match event.sev {
                        0 => tracing::debug!(%board, code, %text, "board"),
                        1 => tracing::info!(%board, code, %text, "board"),
                        2 => tracing::warn!(%board, code, %text, "board"),
                        _ => tracing::error!(%board, code, %text, "board"),
                    }
                }
                News::Log(bytes) => {
                    let text = String::from_utf8_lossy(&bytes);
                    tracing::debug!(%board, text = %text.escape_debug(), "board's log");
                }
                News::Answered(ticket, result) => {
                    if let Some(answer) = self.waiting.remove(&ticket) {
                        // Who asked may have gone.
                        drop(answer.send(result));
                    }
                }
            }
        }
    }

    /// Brings the state of the line up to date.
    fn refresh(&self) {
        let readings = self.link.readings(self.now_ms());
        self.state.send_if_modified(|state| {
            let presence = match (&readings.board, readings.is_heard) {
                (Some(_), true) => Presence::Present,
                (Some(_), false) => Presence::Silent,
                (None, _) => match state.presence {
                    Presence::OtherProtocol(proto) => Presence::OtherProtocol(proto),
                    _ => Presence::Unknown,
                },
            };
            if presence == Presence::Silent && state.presence == Presence::Present {
                tracing::warn!(board = %self.config.name, "board says nothing any more");
            }
            let is_other = state.presence != presence || state.readings != readings;
            (state.presence, state.readings) = (presence, readings);
            is_other
        });
    }

    fn absent(&mut self, reason: &str) {
        self.link.closed(reason);
        if self.told != reason {
            reason.clone_into(&mut self.told);
            tracing::warn!(board = %self.config.name, reason, "serial line is not open");
        }
        let readings = self.link.readings(self.now_ms());
        self.state.send_modify(|state| {
            (state.presence, state.readings) = (Presence::Absent(reason.to_owned()), readings);
        });
        self.tell();
    }
}

fn write(mut guard: AsyncFdReadyGuard<'_, OwnedFd>, out: &mut VecDeque<u8>) -> Result<(), String> {
    let (front, _) = out.as_slices();
    match guard.try_io(|fd| Ok(rustix::io::write(fd, front)?)) {
        Ok(Ok(count)) => {
            out.drain(..count);
            Ok(())
        }
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
        Ok(Err(error)) => Err(format!("the device is gone: {error}")),
        // It has no room after all.
        Err(_would_block) => Ok(()),
    }
}
