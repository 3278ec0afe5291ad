//! The live replay: everything is checked and opened first, then one loop serves clock, environment
//! and faults until told to stop.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use orbit::{EndpointKind, Sky};
use protocol::sim::{SimClock, SimFault, SimFaultReply};
use secure::identity::{Identity, IdentityError};
use secure::revoked::OtherProvider;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior, interval};
use types::{InvalidSkyClock, NodeId, SkyClock};

use crate::config::{Backend, SimConfig};
use crate::eclipse_power::environment;
use crate::open_files::{self, TooFewFiles};
use crate::publish::{BusError, Request, SimBus, action_name};
use crate::replay::{start_clock, wall_now};
use crate::schedule::SkyFollower;
use crate::shape::none::Direct;
use crate::shape::tcp_proxy::{BoundPorts, ProxyError, TcpProxy};
use crate::shape::{FaultError, Gate, LinkEvent, LinkShaper};
use crate::sky_file;
use crate::toml_file::{Document, FileError, Problem, Step};

/// How often clock and environment are told: a node that starts waits no longer for them.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What `starbelt-sim bridge` will do: read and checked, nothing started.
#[derive(Debug)]
pub struct Prepared {
    config: SimConfig,
    sky: Sky,
}

/// Why the bridge does not start or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// The system allows too few open files.
    #[error(transparent)]
    Files(#[from] TooFewFiles),
    /// Ports that cannot be opened, each with its use.
    #[error("{}", .0.join("\n"))]
    Ports(Vec<String>),
    /// The shaper cannot start.
    #[error(transparent)]
    Shaper(#[from] ProxyError),
    /// The session fails.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Its key and certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Other cryptography.
    #[error(transparent)]
    Provider(#[from] OtherProvider),
    /// The clock cannot run.
    #[error(transparent)]
    Clock(#[from] InvalidSkyClock),
    /// The system refuses a thread or a signal handler.
    #[error("the system refuses a thread or signal: {0}")]
    System(#[from] io::Error),
    /// A thread has ended that must not.
    #[error("the thread {0:?} has ended")]
    ThreadEnded(&'static str),
}

/// All that can wake the bridge.
#[derive(Debug)]
enum Event {
    Tell,
    Asked(Request),
    Stop(&'static str),
}

impl Prepared {
    /// Reads and checks `sim.toml`, `sky.toml` and the element sets.
    ///
    /// # Errors
    /// [`FileError`] with file, line, field and rule of everything that is wrong.
    pub fn load(file: &Path) -> Result<Self, FileError> {
        let (config, document) = SimConfig::load(file)?;
        let sky = sky_file::load(&config.sky.file)?;
        let problems = strangers(&config, &sky, &document);
        if problems.is_empty() {
            Ok(Self { config, sky })
        } else {
            Err(FileError::Invalid(problems))
        }
    }

    /// The sky that will be replayed.
    pub const fn sky(&self) -> &Sky {
        &self.sky
    }

    /// Serves until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// [`BridgeError`]: a port that is taken, or too low a limit of files, is named before anything starts.
    pub async fn run(self) -> Result<(), BridgeError> {
        if let Some(warning) = sky_file::warning(&self.sky) {
            tracing::warn!("{warning}");
        }
        if self.config.shaper == Backend::TcpProxy {
            open_files::raise_for(self.config.pairs.len())?;
        }
        let ports = open_ports(&self.config)?;
        let mut signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
        let [Ok(terminate), Ok(interrupt)] = &mut signals else {
            let [one, two] = signals;
            return one.and(two).map(|_| ()).map_err(BridgeError::System);
        };
        let mut bridge = Bridge::start(self, ports).await?;
        let mut tell = interval(TELL_EVERY);
        tell.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            match bridge.next(&mut tell, terminate, interrupt).await? {
                Event::Tell => bridge.tell().await?,
                Event::Asked(request) => bridge.answer(request).await,
                Event::Stop(signal) => {
                    tracing::info!(signal, "the bridge stops");
                    return bridge.stop().await;
                }
            }
        }
    }
}

/// Nodes of the file that the sky does not have.
fn strangers(config: &SimConfig, sky: &Sky, document: &Document) -> Vec<Problem> {
    let kind_of = |node: &NodeId| {
        let endpoints = sky.endpoints();
        let index = endpoints.binary_search_by(|endpoint| endpoint.node.cmp(node)).ok()?;
        Some(endpoints[index].kind)
    };
    let mut problems = Vec::new();
    for (index, pair) in config.pairs.iter().enumerate() {
        for (field, node) in [("a", &pair.a), ("b", &pair.b)] {
            if kind_of(node).is_none() {
                let path = [Step::Key("pair"), Step::Index(index), Step::Key(field)];
                let rule = format!("{node} is no endpoint of {}", config.sky.file.display());
                problems.push(document.problem(&path, rule));
            }
        }
    }
    for (index, ambient) in config.ambients.iter().enumerate() {
        if !matches!(kind_of(&ambient.node), Some(EndpointKind::Site(_))) {
            let path = [Step::Key("ambient"), Step::Index(index), Step::Key("node")];
            let sky_file = config.sky.file.display();
            let rule = format!("{} is no endpoint on the ground of {sky_file}", ambient.node);
            problems.push(document.problem(&path, rule));
        }
    }
    problems
}

/// Opens the ports of all pairs and tries that of the session.
fn open_ports(config: &SimConfig) -> Result<BoundPorts, BridgeError> {
    let mut refused = Vec::new();
    let listen = config.bus.listen.addr();
    if let Err(error) = TcpListener::bind(listen) {
        refused.push(format!("port {listen} for the emulation session cannot be opened: {error}"));
    }
    let pairs = match config.shaper {
        Backend::TcpProxy => config.pairs.as_slice(),
        Backend::None => &[],
    };
    match BoundPorts::open(pairs) {
        Ok(ports) if refused.is_empty() => Ok(ports),
        Ok(_) => Err(BridgeError::Ports(refused)),
        Err(ProxyError::Ports(more)) => {
            refused.extend(more);
            Err(BridgeError::Ports(refused))
        }
        Err(error) => Err(error.into()),
    }
}

/// Says until when the bridge's certificate counts: it is renewed by hand, and taken at a start.
fn tell_life(identity: &Identity, dir: &Path) {
    let until = types::Epoch::from_unix_s(identity.facts.not_after_s);
    let until = until.map_or_else(|| "some far time".to_owned(), |until| format!("{until:.0}"));
    let dir = dir.display();
    if identity.life().due_s(0) <= wall_now().0 / 1_000_000_000 {
        tracing::warn!(
            "the bridge's certificate counts until {until} only: run `starbelt renew --dir {dir} --at …`, then start the bridge anew"
        );
    } else {
        tracing::info!(%until, "the bridge's certificate counts; `starbelt renew` gets the next one");
    }
}

/// The running bridge.
#[derive(Debug)]
struct Bridge {
    config: SimConfig,
    sky: Sky,
    clock: SkyClock,
    bus: SimBus,
    shaper: Shaper,
    follower: SkyFollower,
}

#[derive(Clone, Debug)]
enum Shaper {
    Proxy(Arc<TcpProxy>),
    Direct(Arc<Direct>),
}

impl Shaper {
    fn links(&self) -> Arc<dyn LinkShaper> {
        match self {
            Self::Proxy(proxy) => Arc::<TcpProxy>::clone(proxy),
            Self::Direct(direct) => Arc::<Direct>::clone(direct),
        }
    }

    fn take_events(&self) -> Vec<LinkEvent> {
        match self {
            Self::Proxy(proxy) => proxy.take_events(),
            Self::Direct(_) => Vec::new(),
        }
    }

    fn is_running(&self) -> bool {
        match self {
            Self::Proxy(proxy) => proxy.is_running(),
            Self::Direct(_) => true,
        }
    }
}

impl Bridge {
    /// Starts the shaper and the sky, then the session: who hears the clock finds the links as they are.
    async fn start(prepared: Prepared, ports: BoundPorts) -> Result<Self, BridgeError> {
        let Prepared { config, sky } = prepared;
        let shaper = match config.shaper {
            Backend::TcpProxy => Shaper::Proxy(Arc::new(TcpProxy::start(ports)?)),
            Backend::None => Shaper::Direct(Arc::new(Direct)),
        };
        let clock = start_clock(&config, &sky)?;
        let tick = Duration::from_millis(u64::from(config.tick_ms));
        let follower = SkyFollower::start(sky.clone(), clock, tick, shaper.links())?;
        let nodes = sky.endpoints().iter().map(|endpoint| &endpoint.node);
        let identity = match &config.bus.identity {
            Some(dir) => {
                secure::revoked::install()?;
                let identity = Identity::load(dir)?;
                tell_life(&identity, dir);
                Some(identity)
            }
            None => None,
        };
        let bus = SimBus::open(config.bus.listen, identity.as_ref(), nodes).await?;
        let (satellites, pairs) = (sky.satellites(), config.pairs.len());
        tracing::info!(
            sky = %clock.sky_at, rate = clock.rate, satellites, pairs, listen = %config.bus.listen,
            "the replay runs"
        );
        Ok(Self { config, sky, clock, bus, shaper, follower })
    }

    async fn next(
        &self,
        tell: &mut Interval,
        terminate: &mut Signal,
        interrupt: &mut Signal,
    ) -> Result<Event, BridgeError> {
        tokio::select! {
            _ = terminate.recv() => Ok(Event::Stop("SIGTERM")),
            _ = interrupt.recv() => Ok(Event::Stop("SIGINT")),
            request = self.bus.next() => Ok(Event::Asked(request?)),
            _ = tell.tick() => Ok(Event::Tell),
        }
    }

    async fn tell(&mut self) -> Result<(), BridgeError> {
        if !self.shaper.is_running() {
            return Err(BridgeError::ThreadEnded("shaper"));
        }
        if !self.follower.is_running() {
            return Err(BridgeError::ThreadEnded("sky"));
        }
        self.log_links();
        self.bus.put_clock(&SimClock { clock: self.clock }).await?;
        let at = self.clock.sky(wall_now());
        // Until it is told again, and as long again, should that come late.
        let ahead_s = 2.0 * TELL_EVERY.as_secs_f64() * self.clock.rate;
        for endpoint in self.sky.endpoints() {
            let air_c = self.config.ambient_of(&endpoint.node);
            match environment(&self.sky, &endpoint.node, at, ahead_s, air_c) {
                Some(env) => self.bus.put_env(&endpoint.node, &env).await?,
                None => tracing::debug!(node = %endpoint.node, %at, "the node is nowhere"),
            }
        }
        Ok(())
    }

    fn log_links(&self) {
        for LinkEvent { pair, gate } in self.shaper.take_events() {
            let Some(link) = self.config.pairs.get(pair) else { continue };
            let (a, b) = (&link.a, &link.b);
            match gate {
                Gate::Open(now) => {
                    let delay_us = now.delay.as_micros();
                    tracing::info!(%a, %b, delay_us, rate_kbps = now.rate_kbps, "link up");
                }
                Gate::Shut => tracing::info!(%a, %b, "link down"),
                Gate::Held => tracing::info!(%a, %b, "link is a black hole"),
            }
        }
    }

    /// Answers a request; one who no longer listens is no reason to stop.
    async fn answer(&self, request: Request) {
        let answered = match request {
            Request::Clock(question) => {
                question.answer_clock(&SimClock { clock: self.clock }).await
            }
            Request::Fault(question, fault) => match self.inject(&fault) {
                Ok(reply) => question.answer_fault(&reply).await,
                Err(error) => question.refuse(&error.to_string()).await,
            },
        };
        if let Err(error) = answered {
            tracing::warn!(%error, "a request is not answered");
        }
    }

    fn inject(&self, fault: &SimFault) -> Result<SimFaultReply, FaultError> {
        let SimFault { node, peer, action } = fault;
        let peer_name = peer.as_ref().map_or("all", NodeId::as_str);
        match self.shaper.links().fault(node, peer.as_ref(), *action) {
            Ok(pairs) => {
                tracing::info!(%node, peer = peer_name, action = action_name(*action), pairs, "fault");
                Ok(SimFaultReply::Done { pairs })
            }
            Err(error @ (FaultError::Node(_) | FaultError::Pair(_))) => {
                Ok(SimFaultReply::NotFound { what: error.to_string() })
            }
            Err(error @ FaultError::Stopped) => Err(error),
        }
    }

    /// Closes everything and says what the links have carried.
    async fn stop(self) -> Result<(), BridgeError> {
        drop(self.follower);
        let undecoded = self.bus.undecoded();
        if 0 < undecoded {
            tracing::warn!(undecoded, "fault queries did not decode and were refused");
        }
        self.bus.close().await?;
        for (pair, counts) in self.config.pairs.iter().zip(self.shaper.links().counts()) {
            let [to_b, to_a] = counts.bytes;
            tracing::info!(
                a = %pair.a, b = %pair.b, to_b, to_a, dropped = counts.dropped_bytes,
                connections = counts.connections, refused = counts.refused, ups = counts.ups,
                downs = counts.downs, wakes = counts.wakes, late = counts.late,
                late_us_max = counts.late_us_max, "link carried"
            );
        }
        Ok(())
    }
}
