//! The thread that owns all sockets: accepts, relays, cuts and holds.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use socket2::SockRef;
use types::Instant;

use super::Command;
use super::connection::{Connection, Turn, TurnContext, Worth};
use super::counters::PairCounters;
use super::timer::{Timer, now};
use crate::address::LoopbackAddr;
use crate::priority;
use crate::shape::queue::{READ_BYTES_MAX, Total, Transmitter};
use crate::shape::{Faults, Gate, LinkEvent, LinkParams, gate};

/// Connections of one pair at once. A session needs one, a reconnect during a hold a second; more are
/// left over from peers that do not close, and the one worth least goes, see [`Worth`].
pub const CONNECTIONS_MAX: usize = 8;
/// What the kernel buffers before a shaped reader, bytes: 2 ms at 500 Mbit/s. More would hide the rate
/// from the sender, whose urgent messages would wait behind its bulk.
const RECEIVE_BUFFER_BYTES: usize = 128 * 1024;
/// Wait after the system refused to accept: it is out of files.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Events of one poll; the rest comes with the next.
const EVENTS_CAPACITY: usize = 512;

const WAKE: Token = Token(0);
const TIMER: Token = Token(1);
/// Port tokens start here, in the order of the pairs.
const PORTS: usize = 2;
/// Connection tokens start here, two for each.
const CONNECTIONS: usize = 1 << 16;

/// Whom the timer wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whom {
    Connection(usize),
    Port(usize),
}

/// One pair.
#[derive(Debug)]
struct Link {
    port: TcpListener,
    forward: SocketAddr,
    sky: Option<LinkParams>,
    faults: Faults,
    gate: Gate,
    senders: [Transmitter; 2],
    /// Ids, oldest first.
    connections: BTreeSet<usize>,
}

#[derive(Debug)]
pub(super) struct Engine {
    poll: Poll,
    timer: Timer<Whom>,
    links: Vec<Link>,
    connections: BTreeMap<usize, Connection>,
    /// Ids are never used twice, so an event of a closed socket meets nobody.
    next_id: usize,
    /// Connections that have something to do.
    ready: BTreeSet<usize>,
    /// Connections that wait for room, and whether there may be some.
    starved: BTreeSet<usize>,
    has_freed: bool,
    total: Total,
    commands: Receiver<Command>,
    events: SyncSender<LinkEvent>,
    counters: Arc<[PairCounters]>,
    scratch: Vec<u8>,
    stopped: bool,
}

impl Engine {
    /// An engine for the ports, and what wakes it for a command.
    pub(super) fn new(
        ports: Vec<(std::net::TcpListener, LoopbackAddr)>,
        commands: Receiver<Command>,
        events: SyncSender<LinkEvent>,
        counters: Arc<[PairCounters]>,
    ) -> io::Result<(Self, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let timer = Timer::new(poll.registry(), TIMER)?;
        let mut links = Vec::with_capacity(ports.len());
        for (index, (port, forward)) in ports.into_iter().enumerate() {
            links.push(Link::new(poll.registry(), index, port, forward)?);
        }
        let engine = Self {
            poll,
            timer,
            links,
            connections: BTreeMap::new(),
            next_id: 0,
            ready: BTreeSet::new(),
            starved: BTreeSet::new(),
            has_freed: false,
            total: Total::default(),
            commands,
            events,
            counters,
            scratch: vec![0; READ_BYTES_MAX],
            stopped: false,
        };
        Ok((engine, waker))
    }

    /// Serves until told to stop.
    pub(super) fn run(mut self) -> io::Result<()> {
        let granted = priority::raise();
        tracing::debug!(?granted, "the shaper starts");
        let mut events = Events::with_capacity(EVENTS_CAPACITY);
        while !self.stopped {
            self.timer.arm()?;
            let at_once = (!self.ready.is_empty()).then_some(Duration::ZERO);
            match self.poll.poll(&mut events, at_once) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                Ok(()) | Err(_) => {}
            }
            for event in &events {
                self.note(event);
            }
            self.wake_due(now());
            for id in std::mem::take(&mut self.ready) {
                self.turn(id);
            }
            if std::mem::take(&mut self.has_freed) {
                self.ready.append(&mut self.starved);
            }
        }
        Ok(())
    }

    fn wake_due(&mut self, now: Instant) {
        while let Some((at, whom)) = self.timer.pop(now) {
            match whom {
                Whom::Port(pair) => self.accept(pair),
                Whom::Connection(id) => {
                    let Some(connection) = self.connections.get_mut(&id) else { continue };
                    // A time that was moved since is nobody's.
                    if connection.wake.take_if(|wake| *wake == at).is_some() {
                        self.counters[connection.pair].woken(now.saturating_since(at));
                        self.ready.insert(id);
                    }
                }
            }
        }
    }

    fn note(&mut self, event: &Event) {
        match event.token() {
            WAKE => self.obey(),
            TIMER => {}
            Token(token) if token < CONNECTIONS => self.accept(token - PORTS),
            Token(token) => {
                let (id, is_b) = ((token - CONNECTIONS) / 2, (token - CONNECTIONS) % 2 == 1);
                let Some(connection) = self.connections.get_mut(&id) else { return };
                if !connection.note(is_b, event) {
                    self.counters[connection.pair].refused.add(1);
                    self.close(id);
                } else if connection.is_abandoned() && !connection.is_relayed() {
                    self.close(id);
                } else {
                    self.ready.insert(id);
                }
            }
        }
    }

    fn obey(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Links(links) => {
                    for (pair, sky) in links.into_iter().enumerate().take(self.links.len()) {
                        self.links[pair].sky = sky;
                        self.regate(pair);
                    }
                }
                Command::Fault { pairs, fault, done } => {
                    for (pair, cause) in pairs {
                        self.links[pair].faults.set(cause, fault);
                        self.regate(pair);
                    }
                    if done.send(()).is_err() {
                        tracing::debug!("nobody waits for a fault any more");
                    }
                }
                Command::Stop => self.stopped = true,
            }
        }
    }

    /// Puts the gate of a pair where sky and fault have it.
    fn regate(&mut self, pair: usize) {
        let link = &mut self.links[pair];
        let next = gate(link.sky, link.faults.strongest());
        let last = std::mem::replace(&mut link.gate, next);
        if std::mem::discriminant(&last) == std::mem::discriminant(&next) {
            return;
        }
        let ids: Vec<usize> = link.connections.iter().copied().collect();
        match next {
            Gate::Shut => ids.into_iter().for_each(|id| self.close(id)),
            Gate::Held => {}
            Gate::Open(params) => ids.into_iter().for_each(|id| self.resume(id, &params)),
        }
        let counters = &self.counters[pair];
        match (last, next) {
            (_, Gate::Open(_)) => counters.ups.add(1),
            (Gate::Open(_), _) => counters.downs.add(1),
            (Gate::Shut | Gate::Held, Gate::Shut | Gate::Held) => {}
        }
        // Without room the counters still tell.
        if self.events.try_send(LinkEvent { pair, gate: next }).is_err() {
            tracing::trace!(pair, "a link event found no room");
        }
    }

    /// Goes on with a connection that was held.
    fn resume(&mut self, id: usize, params: &LinkParams) {
        let Some(connection) = self.connections.get(&id) else { return };
        if connection.is_relayed() {
            self.ready.insert(id);
        } else {
            self.dial(id, params);
        }
    }

    fn accept(&mut self, pair: usize) {
        loop {
            match self.links[pair].port.accept() {
                Ok((stream, _)) => self.take(pair, stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) => {}
                Err(error) => {
                    tracing::warn!(pair, %error, "a connection cannot be accepted, trying again");
                    self.timer.add(now().plus(ACCEPT_RETRY), Whom::Port(pair));
                    return;
                }
            }
        }
    }

    fn take(&mut self, pair: usize, mut stream: TcpStream) {
        let (gate, id) = (self.links[pair].gate, self.next_id);
        if gate == Gate::Shut
            || !self.make_room(pair)
            || register(self.poll.registry(), &mut stream, id, false).is_err()
        {
            self.counters[pair].refused.add(1);
            return;
        }
        self.next_id += 1;
        self.links[pair].connections.insert(id);
        self.connections.insert(id, Connection::new(pair, stream, now()));
        if let Gate::Open(params) = gate {
            self.dial(id, &params);
        }
    }

    /// Closes the connection that is worth least if there is no room for another; false when none may go:
    /// ends that a black hole keeps apart must not learn of it.
    fn make_room(&mut self, pair: usize) -> bool {
        let link = &self.links[pair];
        if link.connections.len() < CONNECTIONS_MAX {
            return true;
        }
        let worth = |id: &usize| Some((self.connections.get(id)?.worth(), *id));
        let may_go =
            |(worth, _): &(Worth, usize)| link.gate != Gate::Held || *worth == Worth::Waiting;
        let least = link.connections.iter().filter_map(worth).filter(may_go).min();
        if let Some((_, id)) = least {
            self.counters[pair].refused.add(1);
            self.close(id);
        }
        least.is_some()
    }

    /// Dials the other end for a connection.
    fn dial(&mut self, id: usize, params: &LinkParams) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let pair = connection.pair;
        let dialed = TcpStream::connect(self.links[pair].forward).and_then(|mut stream| {
            register(self.poll.registry(), &mut stream, id, true)?;
            Ok(stream)
        });
        match dialed {
            Ok(stream) => {
                connection.relay_to(stream, now(), params);
                self.counters[pair].connections.add(1);
                self.ready.insert(id);
            }
            Err(_) => {
                self.counters[pair].refused.add(1);
                self.close(id);
            }
        }
    }

    fn turn(&mut self, id: usize) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let link = &mut self.links[connection.pair];
        let Gate::Open(params) = link.gate else { return };
        let mut context = TurnContext {
            now: now(),
            link: &params,
            senders: &mut link.senders,
            total: &mut self.total,
            has_freed: &mut self.has_freed,
            counters: &self.counters[connection.pair],
            scratch: &mut self.scratch,
        };
        let turn = connection.turn(&mut context);
        if connection.is_starved {
            self.starved.insert(id);
        }
        match turn {
            Turn::Over => self.close(id),
            Turn::Again => {
                self.ready.insert(id);
            }
            Turn::Wait(Some(at)) if connection.wake != Some(at) => {
                connection.wake = Some(at);
                self.timer.add(at, Whom::Connection(id));
            }
            Turn::Wait(_) => {}
        }
    }

    /// Closes both sockets; what was on the way is gone.
    fn close(&mut self, id: usize) {
        let Some(mut connection) = self.connections.remove(&id) else { return };
        let link = &mut self.links[connection.pair];
        link.connections.remove(&id);
        self.starved.remove(&id);
        self.has_freed = true;
        let dropped = connection.discard(&mut link.senders, &mut self.total);
        self.counters[connection.pair].dropped_bytes.add(dropped);
        for stream in connection.streams() {
            if let Err(error) = self.poll.registry().deregister(stream) {
                tracing::debug!(%error, "a socket was not in the poll");
            }
        }
    }
}

impl Link {
    fn new(
        registry: &Registry,
        index: usize,
        port: std::net::TcpListener,
        forward: LoopbackAddr,
    ) -> io::Result<Self> {
        port.set_nonblocking(true)?;
        SockRef::from(&port).set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        let mut port = TcpListener::from_std(port);
        registry.register(&mut port, Token(PORTS + index), Interest::READABLE)?;
        Ok(Self {
            port,
            forward: forward.get(),
            sky: None,
            faults: Faults::default(),
            gate: Gate::Shut,
            senders: [Transmitter::default(); 2],
            connections: BTreeSet::new(),
        })
    }
}

/// Prepares a socket and watches it; edge-triggered, so it is read and written until it blocks.
fn register(registry: &Registry, stream: &mut TcpStream, id: usize, b: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(&*stream).set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    let token = Token(CONNECTIONS + 2 * id + usize::from(b));
    registry.register(stream, token, Interest::READABLE | Interest::WRITABLE)
}
