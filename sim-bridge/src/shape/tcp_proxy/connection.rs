//! One connection of a pair: two sockets, and in each direction the bytes on the way.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

use mio::event::Event;
use mio::net::TcpStream;
use types::Instant;

use super::counters::PairCounters;
use crate::shape::queue::{Allowance, LinkParams, Queue, READ_BYTES_MAX, Total, Transmitter};

/// Bytes read from one connection before the others have their turn; 4 reads, 30 µs of copying.
const TURN_BYTES_MAX: usize = 4 * READ_BYTES_MAX;

/// A connection that `a` has opened.
#[derive(Debug)]
pub(super) struct Connection {
    /// Index of its pair.
    pub(super) pair: usize,
    /// The time for which the timer is set on its behalf.
    pub(super) wake: Option<Instant>,
    /// Whether it reads on when somebody else's bytes are delivered.
    pub(super) is_starved: bool,
    /// When bytes last went in or out, or the connection began.
    active_at: Instant,
    a: Side,
    /// Absent while the link is held and `b` knows nothing of the connection.
    relay: Option<Relay>,
}

#[derive(Debug)]
struct Relay {
    b: Side,
    /// a to b, b to a.
    flows: [Flow; 2],
}

#[derive(Debug)]
struct Side {
    stream: TcpStream,
    state: SideState,
    readable: bool,
    writable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SideState {
    Connecting,
    Connected,
    /// The peer sends no more.
    HungUp,
}

#[derive(Debug)]
struct Flow {
    queue: Queue<Parcel>,
    /// Bytes of the first parcel that were written.
    written: usize,
    /// Bytes read and bytes written so far; wraps.
    moved: usize,
    /// Whether reading waits for room.
    is_full: bool,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The source sends.
    Reading,
    /// The source has ended, bytes are on the way.
    Draining,
    /// Everything is delivered, or the sink is gone.
    Finished,
}

#[derive(Debug)]
enum Parcel {
    Bytes(Box<[u8]>),
    /// The source has ended.
    End,
}

/// What a connection is worth when there are too many: the least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth {
    /// Not relayed yet: only the dialing end knows of it.
    Waiting,
    /// One end has hung up.
    Ending,
    /// Both ends are there; the later it was active, the more.
    Live(Instant),
}

/// What became of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The connection is over.
    Over,
    /// More could be read at once.
    Again,
    /// Nothing to do before an event, or this time.
    Wait(Option<Instant>),
}

/// What a turn works with.
#[derive(Debug)]
pub(super) struct TurnContext<'a> {
    pub(super) now: Instant,
    pub(super) link: &'a LinkParams,
    pub(super) senders: &'a mut [Transmitter; 2],
    pub(super) total: &'a mut Total,
    /// Set when bytes were delivered or dropped: others may have room now.
    pub(super) has_freed: &'a mut bool,
    pub(super) counters: &'a PairCounters,
    pub(super) scratch: &'a mut [u8],
}

impl Connection {
    pub(super) const fn new(pair: usize, a: TcpStream, now: Instant) -> Self {
        let a = Side { stream: a, state: SideState::Connected, readable: true, writable: true };
        Self { pair, wake: None, is_starved: false, active_at: now, a, relay: None }
    }

    /// Relays to `b`, which is being dialed. As in TCP, the handshake takes a round trip before `a`
    /// may send, and half of one more before `b` may.
    pub(super) fn relay_to(&mut self, b: TcpStream, now: Instant, link: &LinkParams) {
        let flow = |delays: u32| Flow {
            queue: Queue::new(now.plus(link.delay.saturating_mul(delays))),
            written: 0,
            moved: 0,
            is_full: false,
            stage: Stage::Reading,
        };
        let b = Side { stream: b, state: SideState::Connecting, readable: false, writable: false };
        self.relay = Some(Relay { b, flows: [flow(2), flow(3)] });
    }

    /// Whether `b` knows of it.
    pub(super) const fn is_relayed(&self) -> bool {
        self.relay.is_some()
    }

    /// Whether `a` has given up.
    pub(super) fn is_abandoned(&self) -> bool {
        self.a.state == SideState::HungUp
    }

    /// What it is worth.
    pub(super) fn worth(&self) -> Worth {
        match &self.relay {
            None => Worth::Waiting,
            Some(relay) if [&self.a, &relay.b].iter().any(|s| s.state == SideState::HungUp) => {
                Worth::Ending
            }
            Some(_) => Worth::Live(self.active_at),
        }
    }

    /// Drops the bytes on the way and says how many they were.
    pub(super) fn discard(&mut self, senders: &mut [Transmitter; 2], total: &mut Total) -> usize {
        let flows = self.relay.iter_mut().flat_map(|relay| &mut relay.flows).zip(senders);
        flows.map(|(flow, sender)| flow.queue.clear(sender, total)).sum()
    }

    /// The sockets, to take them from the poll.
    pub(super) fn streams(&mut self) -> impl Iterator<Item = &mut TcpStream> {
        std::iter::once(&mut self.a.stream)
            .chain(self.relay.as_mut().map(|relay| &mut relay.b.stream))
    }

    /// Notes what the poll says of one side; false when `b` cannot be reached.
    pub(super) fn note(&mut self, is_b: bool, event: &Event) -> bool {
        let side = match (&mut self.relay, is_b) {
            (Some(relay), true) => &mut relay.b,
            (_, false) => &mut self.a,
            (None, true) => return true,
        };
        if side.state == SideState::Connecting {
            match side.stream.take_error() {
                Ok(None) if side.stream.peer_addr().is_ok() => side.state = SideState::Connected,
                Ok(None) if !event.is_error() && !event.is_write_closed() => return true,
                Ok(_) | Err(_) => return false,
            }
        }
        side.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        side.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        if event.is_read_closed() || event.is_error() {
            side.state = SideState::HungUp;
        }
        true
    }

    /// Delivers what has arrived, reads what the link takes.
    pub(super) fn turn(&mut self, context: &mut TurnContext<'_>) -> Turn {
        let Some(relay) = &mut self.relay else { return Turn::Wait(None) };
        let [to_b, to_a] = &mut relay.flows;
        let before = [to_b.moved, to_a.moved];
        let first = to_b.turn(0, (&mut self.a, &mut relay.b), context);
        let second = to_a.turn(1, (&mut relay.b, &mut self.a), context);
        self.is_starved = to_b.is_full || to_a.is_full;
        if before != [to_b.moved, to_a.moved] {
            self.active_at = context.now;
        }
        match (first, second) {
            (Turn::Over, Turn::Over) => Turn::Over,
            (Turn::Again, _) | (_, Turn::Again) => Turn::Again,
            (Turn::Wait(wait), Turn::Over) | (Turn::Over, Turn::Wait(wait)) => Turn::Wait(wait),
            (Turn::Wait(one), Turn::Wait(two)) => Turn::Wait(earlier(one, two)),
        }
    }
}

fn earlier(one: Option<Instant>, two: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(two).min()
}

impl Flow {
    fn turn(
        &mut self,
        direction: usize,
        (source, sink): (&mut Side, &mut Side),
        context: &mut TurnContext<'_>,
    ) -> Turn {
        // Delivering makes room to read; what was read may be due at once.
        self.deliver(direction, sink, context);
        let read = self.read(direction, source, context);
        self.deliver(direction, sink, context);
        if self.stage == Stage::Finished {
            return Turn::Over;
        }
        let release = self.queue.next_release().filter(|_| sink.writable);
        match read {
            Turn::Wait(resume) => Turn::Wait(earlier(resume, release)),
            Turn::Again | Turn::Over => read,
        }
    }

    fn deliver(&mut self, direction: usize, sink: &mut Side, context: &mut TurnContext<'_>) {
        while self.stage != Stage::Finished && sink.writable {
            let Some(parcel) = self.queue.due(context.now) else { return };
            let Parcel::Bytes(bytes) = parcel else {
                if let Err(error) = sink.stream.shutdown(Shutdown::Write) {
                    tracing::trace!(%error, "the sink of an ended stream is gone");
                }
                self.stage = Stage::Finished;
                return;
            };
            match sink.stream.write(&bytes[self.written..]) {
                Ok(written) if self.written + written < bytes.len() => {
                    self.written += written;
                    self.moved = self.moved.wrapping_add(written);
                }
                Ok(written) => {
                    context.counters.delivered(direction, bytes.len());
                    self.written = 0;
                    self.moved = self.moved.wrapping_add(written);
                    self.queue.pop(&mut context.senders[direction], context.total);
                    *context.has_freed = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => sink.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The sink's own end of the other direction tells the source.
                Err(_) => {
                    let sender = &mut context.senders[direction];
                    context.counters.dropped_bytes.add(self.queue.clear(sender, context.total));
                    *context.has_freed = true;
                    self.stage = Stage::Finished;
                }
            }
        }
    }

    /// [`Turn::Again`] when the turn is used up, else when reading can go on.
    fn read(&mut self, direction: usize, source: &mut Side, context: &mut TurnContext<'_>) -> Turn {
        let mut budget = TURN_BYTES_MAX;
        self.is_full = false;
        while self.stage == Stage::Reading && source.readable {
            let sender = &mut context.senders[direction];
            let allowance = self.queue.allowance(context.now, context.link, sender, context.total);
            let bytes = match allowance {
                Allowance::Read(bytes) => bytes.min(context.scratch.len()),
                Allowance::At(at) => return Turn::Wait(Some(at)),
                Allowance::Full => {
                    self.is_full = true;
                    return Turn::Wait(None);
                }
            };
            if budget == 0 {
                return Turn::Again;
            }
            let (now, link) = (context.now, context.link);
            match source.stream.read(&mut context.scratch[..bytes]) {
                Ok(read) if 0 < read => {
                    budget = budget.saturating_sub(read);
                    self.moved = self.moved.wrapping_add(read);
                    let parcel = Parcel::Bytes(context.scratch[..read].into());
                    self.queue.push(now, (read, parcel), link, sender, context.total);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => source.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A reset is an end, too: it arrives after what was sent before it.
                Ok(_) | Err(_) => {
                    self.queue.push(now, (0, Parcel::End), link, sender, context.total);
                    self.stage = Stage::Draining;
                }
            }
        }
        Turn::Wait(None)
    }
}
