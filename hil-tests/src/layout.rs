//! Ports and files of a bed: every process finds its configuration in its own folder, every pair of endpoints
//! meets at an address of the bridge.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use types::NodeId;

use crate::fleet::{CONTROLLER, DRONE, Fleet, Member};
use crate::options::Options;

/// Images that the drone's camera takes in turn.
pub const BURSTS: u32 = 32;
/// Our lease, wall milliseconds: three reports of a second each.
pub const LEASE_MS: u64 = 3_000;
/// A hand-over starts so long before the window closes, wall seconds: freezing, the last changes and the grant.
const GUARD_WALL_S: f64 = 1.5;
/// Between two grid points of the contact plan, sky milliseconds.
const PLAN_STEP_MS: u64 = 10_000;
/// Charge of a battery at the start, 0 to 1.
pub const INITIAL_CHARGE: f64 = 0.9;
/// Charge that no function may use, 0 to 1.
pub const RESERVE: f64 = 0.2;
/// Ports that a bed takes: below those that the system gives to outgoing connections (from 32768 on), of which the bed's
/// own processes open many while they start.
const PORT_MIN: u16 = 18_000;
const PORT_MAX: u16 = 32_000;
/// What an agent may store.
const QUOTA_BYTES: u64 = 256 * 1024 * 1024;

/// Flood response as it ships.
pub const FLOOD_RESPONSE: &str = include_str!("../../configs/workflows/flood-response.toml");
/// The shipped workflows.
const WORKFLOWS: [(&str, &str); 2] = [
    ("flood-response.toml", FLOOD_RESPONSE),
    ("wildfire-detection.toml", include_str!("../../configs/workflows/wildfire-detection.toml")),
];

/// Addresses of all endpoints of a bed.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Where each endpoint listens; only the bridge knows.
    pub listen: BTreeMap<NodeId, SocketAddr>,
    /// Where the bridge listens for each pair, smaller name first.
    pub pairs: BTreeMap<(NodeId, NodeId), SocketAddr>,
    /// Where the bridge tells clock and environment.
    pub sim: SocketAddr,
    /// The controller's HTTP API.
    pub http: SocketAddr,
}

impl Ports {
    /// Finds free loopback ports for these endpoints.
    ///
    /// # Errors
    /// When the machine has no free port left.
    pub fn find(endpoints: &[NodeId], http_port: u16) -> io::Result<Self> {
        // All are held until all are found, so that none is handed out twice; the API's own, too.
        let mut held: Vec<TcpListener> =
            TcpListener::bind((Ipv4Addr::LOCALHOST, http_port)).into_iter().collect();
        // Each run looks from elsewhere on, so that two that start together rarely want the same.
        let span = PORT_MAX - PORT_MIN;
        let first = u32::from(PORT_MIN) + std::process::id() * 64 % u32::from(span);
        let mut candidates = (first..=u32::from(PORT_MAX)).chain(u32::from(PORT_MIN)..first);
        let mut free = || -> io::Result<SocketAddr> {
            let listener = candidates.find_map(|port| {
                TcpListener::bind((Ipv4Addr::LOCALHOST, u16::try_from(port).ok()?)).ok()
            });
            let none =
                || io::Error::other(format!("no port from {PORT_MIN} to {PORT_MAX} is free"));
            let listener = listener.ok_or_else(none)?;
            let address = listener.local_addr()?;
            held.push(listener);
            Ok(address)
        };
        let mut listen = BTreeMap::new();
        let mut pairs = BTreeMap::new();
        for (i, a) in endpoints.iter().enumerate() {
            listen.insert(a.clone(), free()?);
            for b in &endpoints[i + 1..] {
                let pair = if a < b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) };
                pairs.insert(pair, free()?);
            }
        }
        let sim = free()?;
        Ok(Self { listen, pairs, sim, http: SocketAddr::from((Ipv4Addr::LOCALHOST, http_port)) })
    }

    /// The bridge's addresses that an endpoint dials: its pairs with every greater name.
    pub fn dialled_by<'a>(&'a self, node: &'a NodeId) -> impl Iterator<Item = SocketAddr> + 'a {
        self.pairs.iter().filter(move |((a, _), _)| a == node).map(|(_, address)| *address)
    }
}

/// The folder of a bed.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Where everything lies.
    pub dir: PathBuf,
    /// Addresses.
    pub ports: Ports,
}

impl Layout {
    /// Writes all configuration files and inputs into an empty folder.
    ///
    /// # Errors
    /// When a file cannot be written or no port is free.
    pub fn write(dir: &Path, fleet: &Fleet, options: &Options) -> io::Result<Self> {
        std::fs::create_dir_all(dir.join("logs"))?;
        std::fs::create_dir_all(dir.join("workflows"))?;
        let ports = Ports::find(&endpoints(fleet), options.port)?;
        let layout = Self { dir: dir.to_owned(), ports };
        std::fs::write(layout.sky_path(), &fleet.sky_toml)?;
        std::fs::write(layout.sim_config(), layout.sim_toml(fleet, options))?;
        std::fs::create_dir_all(layout.dir.join(CONTROLLER))?;
        std::fs::write(layout.controller_config(), layout.controller_toml(fleet, options))?;
        for member in &fleet.members {
            std::fs::create_dir_all(layout.node_dir(&member.node))?;
            std::fs::write(layout.agent_config(&member.node), layout.agent_toml(fleet, member))?;
        }
        layout.write_inputs(fleet, options.seed)?;
        layout.write_workflows(fleet)?;
        Ok(layout)
    }

    /// The sky file.
    pub fn sky_path(&self) -> PathBuf {
        self.dir.join("sky.toml")
    }

    /// The bridge's configuration.
    pub fn sim_config(&self) -> PathBuf {
        self.dir.join("sim.toml")
    }

    /// The controller's configuration.
    pub fn controller_config(&self) -> PathBuf {
        self.dir.join(CONTROLLER).join("controller.toml")
    }

    /// The folder of a node.
    pub fn node_dir(&self, node: &NodeId) -> PathBuf {
        self.dir.join("nodes").join(node.as_str())
    }

    /// An agent's configuration.
    pub fn agent_config(&self, node: &NodeId) -> PathBuf {
        self.node_dir(node).join("agent.toml")
    }

    /// Where an agent writes what it acknowledged; outside of its store.
    pub fn audit_log(&self, node: &NodeId) -> PathBuf {
        self.node_dir(node).join("acknowledged.jsonl")
    }

    /// Where a process logs.
    pub fn log(&self, process: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{process}.log"))
    }

    fn write_inputs(&self, fleet: &Fleet, seed: u64) -> io::Result<()> {
        let input = self.node_dir(&NodeId::new(DRONE).expect("a valid name")).join("input");
        std::fs::create_dir_all(&input)?;
        for index in 0..BURSTS {
            let burst = artifacts::burst::generate(seed, index);
            std::fs::write(input.join(format!("{index:04}.burst")), burst.bytes)?;
        }
        let reference = artifacts::burst::reference(seed);
        std::fs::write(self.node_dir(fleet.reference_holder()).join("eo-reference"), reference)
    }

    /// The shipped workflows, ready to be submitted to this fleet.
    fn write_workflows(&self, fleet: &Fleet) -> io::Result<()> {
        let dir = self.dir.join("workflows");
        for (name, text) in WORKFLOWS {
            std::fs::write(dir.join(name), workflow_toml(fleet, text))?;
        }
        Ok(())
    }

    fn agent_toml(&self, fleet: &Fleet, member: &Member) -> String {
        let node = &member.node;
        let dir = self.node_dir(node);
        let peers: Vec<String> = endpoints(fleet)
            .iter()
            .filter(|peer| *peer != node)
            .map(|peer| format!("{:?}", peer.as_str()))
            .collect();
        let mut text = vec![format!(
            "version = 1\n\n[node]\nname = \"{node}\"\nkind = \"{}\"\nfleet = \"demo\"\n\
             \n[capacity]\nmilli_cpu = {}\nmemory_mib = {}\n\
             \n[bus]\ninsecure = true\nlisten = [\"tcp/{}\"]\nconnect = [{}]\npeers = [{}]\n\
             \n[sim]\nconnect = \"tcp/{}\"\n\
             \n[store]\ndir = {}\nquota_bytes = {QUOTA_BYTES}\naudit_log = {}\n\
             \n[report]\ninterval_ms = 1000\nping_interval_ms = 2000\n",
            member.kind,
            member.capacity.milli_cpu.0,
            member.capacity.memory_mib.0,
            self.ports.listen[node],
            self.dial_list(node),
            peers.join(", "),
            self.ports.sim,
            quoted(&dir.join("store")),
            quoted(&self.audit_log(node)),
        )];
        text.push(body_toml(member));
        if member.holds_reference {
            text.push(format!(
                "\n[[source]]\nname = \"eo-reference\"\nkey = \"reference/v1\"\nfile = {}\n",
                quoted(&dir.join("eo-reference"))
            ));
        }
        if node.as_str() == DRONE {
            text.push(format!("\n[input]\ndir = {}\n", quoted(&dir.join("input"))));
        }
        text.concat()
    }

    fn controller_toml(&self, fleet: &Fleet, options: &Options) -> String {
        let node = NodeId::new(CONTROLLER).expect("a valid name");
        let mut text = vec![format!(
            "version = 1\n\n[controller]\nname = \"{CONTROLLER}\"\nfleet = \"demo\"\nstate_dir = {}\n\
             \n[bus]\ninsecure = true\nlisten = [\"tcp/{}\"]\nconnect = [{}]\n\
             \n[sim]\nconnect = \"tcp/{}\"\n\
             \n[http]\nlisten = \"{}\"\n\
             \n[sky]\nfile = {}\n\
             \n[plan]\nhorizon_s = 11400\nstep_ms = {PLAN_STEP_MS}\nrefresh_s = 1200\nguard_s = {:?}\nprediction = {}\n\
             \n[lease]\nms = {LEASE_MS}\n",
            quoted(&self.dir.join(CONTROLLER).join("state")),
            self.ports.listen[&node],
            self.dial_list(&node),
            self.ports.sim,
            self.ports.http,
            quoted(&self.sky_path()),
            GUARD_WALL_S * options.speed,
            !options.no_prediction,
        )];
        for member in &fleet.members {
            text.push(format!(
                "\n[[node]]\nname = \"{}\"\nkind = \"{}\"\nmilli_cpu = {}\nmemory_mib = {}\nidle_w = {:?}\n\
                 solar_w = {:?}\nreserve = {RESERVE:?}\ntemperature_max_c = {:?}\n",
                member.node,
                member.kind,
                member.capacity.milli_cpu.0,
                member.capacity.memory_mib.0,
                member.body.idle_w,
                member.body.solar_w,
                member.body.limit_c,
            ));
        }
        text.concat()
    }

    fn sim_toml(&self, fleet: &Fleet, options: &Options) -> String {
        let mut text = vec![format!(
            "version = 1\nstart = \"{}\"\nrate = {:?}\ntick_ms = 100\n\
             \n[sky]\nfile = {}\n\n[bus]\ninsecure = true\nlisten = \"tcp/{}\"\n",
            fleet.start,
            options.speed,
            quoted(&self.sky_path()),
            self.ports.sim,
        )];
        for ((a, b), address) in &self.ports.pairs {
            text.push(format!(
                "\n[[pair]]\na = \"{a}\"\nb = \"{b}\"\nlisten = \"{address}\"\nforward = \"{}\"\n",
                self.ports.listen[b]
            ));
        }
        text.concat()
    }

    fn dial_list(&self, node: &NodeId) -> String {
        let addresses: Vec<String> =
            self.ports.dialled_by(node).map(|address| format!("\"tcp/{address}\"")).collect();
        addresses.join(", ")
    }
}

/// All endpoints of the fleet bus, by name.
///
/// # Panics
/// Never: the controller's name is valid.
pub fn endpoints(fleet: &Fleet) -> Vec<NodeId> {
    let mut all: Vec<NodeId> = fleet.nodes().cloned().collect();
    all.push(NodeId::new(CONTROLLER).expect("a valid name"));
    all.sort();
    all
}

fn body_toml(member: &Member) -> String {
    let body = member.body;
    let battery = match body.battery_wh {
        None => format!(
            "\n[battery]\nbackend = \"none\"\nenergy = \"grid\"\nidle_w = {:?}\nwatts_per_core = {:?}\n",
            body.idle_w, body.watts_per_core
        ),
        Some(capacity_wh) => format!(
            "\n[battery]\nbackend = \"virtual\"\nenergy = \"{}\"\ncapacity_wh = {capacity_wh:?}\n\
             initial_soc = {INITIAL_CHARGE:?}\nidle_w = {:?}\nwatts_per_core = {:?}\nsolar_w = {:?}\n\
             reserve = {RESERVE:?}\n",
            if 0.0 < body.solar_w { "photovoltaic" } else { "battery" },
            body.idle_w,
            body.watts_per_core,
            body.solar_w,
        ),
    };
    format!(
        "{battery}\n[thermal]\nbackend = \"virtual\"\ninitial_c = 25.0\nlimit_c = {:?}\n\
         heat_capacity_j_k = 600.0\nconductance_w_k = 0.5\n",
        body.limit_c
    )
}

/// A shipped workflow whose source of Earth-observation data is this fleet's.
pub fn workflow_toml(fleet: &Fleet, shipped: &str) -> String {
    shipped.replace("\"eo-satellite\"", &format!("\"{}\"", fleet.reference_holder()))
}

/// A path as a TOML string.
fn quoted(path: &Path) -> String {
    toml::Value::String(path.display().to_string()).to_string()
}
