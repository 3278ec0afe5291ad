//! The forwarder in user space: relays the byte streams of each pair with delay, rate, cut and hold.
//!
//! The smaller name of a pair dials a port of the bridge, the bridge dials the other's own port. TCP
//! cannot lose bytes without breaking its stream, so the loss of a link is not emulated here; a full
//! queue stops the reader. All sockets live on one thread that owns their state, woken by a timer of
//! nanoseconds: timers of the async runtime round up to milliseconds.
//!
//! Everything is bounded: connections of a pair ([`CONNECTIONS_MAX`]), and bytes on the way of a
//! connection, a direction and all pairs together (`queue.rs`). Bytes beyond a bound are not dropped but left
//! with their sender, whose writes then block; a connection beyond the bound takes the place of the one
//! that is worth least.
//!
//! Reading order: [`engine`] (the thread), [`connection`] (one relayed connection), [`timer`],
//! [`counters`].

use std::io;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::Waker;
use protocol::sim::FaultAction;
use types::NodeId;

use crate::address::LoopbackAddr;
use crate::config::PairConfig;
use crate::shape::{
    Cause, Fault, FaultError, LinkEvent, LinkParams, LinkShaper, PairCounts, PairId,
};
use counters::PairCounters;
use engine::Engine;

pub use engine::CONNECTIONS_MAX;

mod connection;
mod counters;
mod engine;
mod timer;

/// Commands that wait for the engine; it takes one in microseconds.
const COMMANDS_MAX: usize = 64;
/// Changes of links that wait to be logged; the counters hold those that find no room.
const EVENTS_MAX: usize = 4_096;
/// Longest wait until a fault is in force; the engine needs microseconds.
const FAULT_WAIT: Duration = Duration::from_secs(1);

/// Why the shaper cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// Ports that cannot be opened.
    #[error("{}", .0.join("\n"))]
    Ports(Vec<String>),
    /// The system refuses a thread, timer or poll.
    #[error("the link shaper cannot start: {0}")]
    System(#[from] io::Error),
}

/// The ports of all pairs, opened but not served.
#[derive(Debug)]
pub struct BoundPorts {
    ports: Vec<(PairId, TcpListener, LoopbackAddr)>,
}

impl BoundPorts {
    /// Opens the port of every pair.
    ///
    /// # Errors
    /// [`ProxyError::Ports`] with every port that is taken and what it was for.
    pub fn open(pairs: &[PairConfig]) -> Result<Self, ProxyError> {
        let (mut ports, mut refused) = (Vec::with_capacity(pairs.len()), Vec::new());
        for pair in pairs {
            match TcpListener::bind(pair.listen.get()) {
                Ok(listener) => ports.push((pair.id(), listener, pair.forward)),
                Err(error) => refused.push(format!(
                    "port {} for the link {} of {} cannot be opened: {error}",
                    pair.listen,
                    pair.id(),
                    pair.a
                )),
            }
        }
        if refused.is_empty() { Ok(Self { ports }) } else { Err(ProxyError::Ports(refused)) }
    }

    /// Takes ports that are open already: `a` dials the listener, the bridge dials the address.
    pub const fn from_listeners(ports: Vec<(PairId, TcpListener, LoopbackAddr)>) -> Self {
        Self { ports }
    }
}

/// The running forwarder; stops when dropped.
#[derive(Debug)]
pub struct TcpProxy {
    pairs: Vec<PairId>,
    counters: Arc<[PairCounters]>,
    commands: SyncSender<Command>,
    waker: Arc<Waker>,
    events: Mutex<Receiver<LinkEvent>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// What the engine is told.
#[derive(Debug)]
enum Command {
    /// The sky has this for the pairs.
    Links(Vec<Option<LinkParams>>),
    /// A fault of these pairs; answered when in force.
    Fault { pairs: Vec<(usize, Cause)>, fault: Option<Fault>, done: SyncSender<()> },
    /// Close everything and end.
    Stop,
}

impl TcpProxy {
    /// Serves the ports; every link is down until [`LinkShaper::apply`].
    ///
    /// # Errors
    /// [`ProxyError::System`] when the system refuses a thread, timer or poll.
    pub fn start(bound: BoundPorts) -> Result<Self, ProxyError> {
        let pairs: Vec<PairId> = bound.ports.iter().map(|(pair, ..)| pair.clone()).collect();
        let counters: Arc<[PairCounters]> = pairs.iter().map(|_| PairCounters::default()).collect();
        let (commands, inbox) = sync_channel(COMMANDS_MAX);
        let (outbox, events) = sync_channel(EVENTS_MAX);
        let ports = bound.ports.into_iter().map(|(_, listener, forward)| (listener, forward));
        let (engine, waker) = Engine::new(ports.collect(), inbox, outbox, Arc::clone(&counters))?;
        let thread =
            std::thread::Builder::new().name("shaper".to_owned()).spawn(move || engine.run())?;
        let (events, thread) = (Mutex::new(events), Some(thread));
        Ok(Self { pairs, counters, commands, waker, events, thread })
    }

    /// The changes since the last call, oldest first.
    pub fn take_events(&self) -> Vec<LinkEvent> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.try_iter().collect()
    }

    /// Whether the engine still runs; it ends by itself only when the system fails it.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    fn tell(&self, command: Command) -> bool {
        // A failed wake means that the engine is gone, which the next send tells.
        self.commands.send(command).is_ok() && self.waker.wake().is_ok()
    }
}

impl LinkShaper for TcpProxy {
    fn pairs(&self) -> &[PairId] {
        &self.pairs
    }

    fn apply(&self, links: Vec<Option<LinkParams>>) {
        if !self.tell(Command::Links(links)) {
            tracing::debug!("links are not applied: the shaper has stopped");
        }
    }

    fn fault(
        &self,
        node: &NodeId,
        peer: Option<&NodeId>,
        action: FaultAction,
    ) -> Result<u32, FaultError> {
        let met = |(index, pair): (usize, &PairId)| Some((index, pair.cause(node, peer)?));
        let pairs: Vec<(usize, Cause)> = self.pairs.iter().enumerate().filter_map(met).collect();
        let count = u32::try_from(pairs.len()).unwrap_or(u32::MAX);
        if pairs.is_empty() {
            return Err(FaultError::nobody(node, peer));
        }
        let (done, in_force) = sync_channel(1);
        let told = self.tell(Command::Fault { pairs, fault: Fault::from_action(action), done });
        if told && in_force.recv_timeout(FAULT_WAIT).is_ok() {
            Ok(count)
        } else {
            Err(FaultError::Stopped)
        }
    }

    fn counts(&self) -> Vec<PairCounts> {
        self.counters.iter().map(PairCounters::read).collect()
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.tell(Command::Stop);
        match self.thread.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => tracing::error!(%error, "the link shaper failed"),
            Some(Err(_)) => tracing::error!("the link shaper panicked"),
        }
    }
}
