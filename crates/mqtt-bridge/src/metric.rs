//! What may be said: the catalogue of metrics. Its order is the order of Sparkplug aliases, so append only.

use protocol::report::Group;

/// A group of metrics: those of reports, and what the contact plan says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Energy.
    Power,
    /// Temperature.
    Thermal,
    /// Processor and memory.
    Compute,
    /// Graphics processor.
    Gpu,
    /// Measured links.
    Link,
    /// Where the node is.
    Position,
    /// Functions.
    Function,
    /// Queues.
    Queue,
    /// The contact plan.
    Contact,
    /// What waits for a link.
    Backlog,
    /// The agent's own program: it has no metrics, events tell of it.
    Life,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Power,
        Self::Thermal,
        Self::Compute,
        Self::Gpu,
        Self::Link,
        Self::Position,
        Self::Function,
        Self::Queue,
        Self::Contact,
        Self::Backlog,
        Self::Life,
    ];

    /// Its topic segment.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Power => Group::Power.as_str(),
            Self::Thermal => Group::Thermal.as_str(),
            Self::Compute => Group::Compute.as_str(),
            Self::Gpu => Group::Gpu.as_str(),
            Self::Link => Group::Link.as_str(),
            Self::Position => Group::Position.as_str(),
            Self::Function => Group::Function.as_str(),
            Self::Queue => Group::Queue.as_str(),
            Self::Contact => "contact",
            Self::Backlog => Group::Backlog.as_str(),
            Self::Life => Group::Life.as_str(),
        }
    }

    /// Where its metrics are in [`METRICS`].
    pub fn metrics(self) -> impl Iterator<Item = (usize, &'static Metric)> {
        METRICS.iter().enumerate().filter(move |(_, metric)| metric.part == self)
    }
}

impl From<Group> for Part {
    fn from(group: Group) -> Self {
        match group {
            Group::Power => Self::Power,
            Group::Thermal => Self::Thermal,
            Group::Compute => Self::Compute,
            Group::Gpu => Self::Gpu,
            Group::Link => Self::Link,
            Group::Position => Self::Position,
            Group::Function => Self::Function,
            Group::Queue => Self::Queue,
            Group::Backlog => Self::Backlog,
            Group::Life => Self::Life,
        }
    }
}

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 32 bits.
    Real,
    /// 64 bits.
    Wide,
    /// A count.
    Count,
    /// A moment.
    Time,
}

/// How Home Assistant keeps statistics of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateClass {
    /// It goes up and down.
    Measurement,
    /// It only grows, and starts anew when the agent does.
    TotalIncreasing,
}

/// One thing that may be said of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its group.
    pub part: Part,
    /// Its name within it; the key in JSON.
    pub key: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// Its unit as Home Assistant writes it; empty for counts.
    pub unit: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// What Home Assistant takes it for.
    pub device_class: Option<&'static str>,
    /// How it keeps statistics of it.
    pub state_class: Option<StateClass>,
    /// The least change that is worth saying, in its unit.
    pub step: f64,
}

impl Metric {
    const fn new(part: Part, key: &'static str, name: &'static str, kind: Kind) -> Self {
        let (unit, device_class, state_class) = ("", None, None);
        Self { part, key, name, unit, kind, device_class, state_class, step: 0.0 }
    }

    const fn gauge(self, unit: &'static str, class: Option<&'static str>, step: f64) -> Self {
        let state_class = Some(StateClass::Measurement);
        Self { unit, device_class: class, state_class, step, ..self }
    }

    const fn total(self, unit: &'static str, class: Option<&'static str>, step: f64) -> Self {
        let state_class = Some(StateClass::TotalIncreasing);
        Self { unit, device_class: class, state_class, step, ..self }
    }

    /// Where Sparkplug has it: `power/load_w`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.part.as_str(), self.key)
    }
}

const BATTERY: Option<&str> = Some("battery");
const POWER: Option<&str> = Some("power");
const WARMTH: Option<&str> = Some("temperature");
const BYTES: Option<&str> = Some("data_size");

/// Everything that may be said of a node.
pub static METRICS: [Metric; 36] = {
    use Kind::{Count, Real, Time, Wide};
    use Part::{Backlog, Compute, Contact, Function, Gpu, Link, Position, Power, Queue, Thermal};
    [
        Metric::new(Power, "charge_percent", "Charge", Real).gauge("%", BATTERY, 0.1),
        Metric::new(Power, "capacity_wh", "Battery capacity", Real).gauge(
            "Wh",
            Some("energy_storage"),
            0.01,
        ),
        Metric::new(Power, "load_w", "Load", Real).gauge("W", POWER, 0.05),
        Metric::new(Power, "solar_w", "Solar power", Real).gauge("W", POWER, 0.05),
        Metric::new(Power, "drawn_wh", "Energy drawn", Wide).total("Wh", Some("energy"), 0.01),
        Metric::new(Thermal, "hottest_c", "Temperature", Real).gauge("°C", WARMTH, 0.2),
        Metric::new(Thermal, "limit_c", "Throttling temperature", Real).gauge("°C", WARMTH, 0.2),
        Metric::new(Compute, "load_milli_cpu", "Processor load", Real).gauge("mCPU", None, 10.0),
        Metric::new(Compute, "pss_mib", "Memory of the agent", Real).gauge("MiB", BYTES, 0.5),
        Metric::new(Compute, "threads", "Threads", Real).gauge("", None, 1.0),
        Metric::new(Compute, "free_milli_cpu", "Free processor", Count).gauge("mCPU", None, 0.0),
        Metric::new(Compute, "free_memory_mib", "Free memory", Count).gauge("MiB", BYTES, 0.0),
        Metric::new(Gpu, "load_percent", "GPU load", Real).gauge("%", None, 1.0),
        Metric::new(Gpu, "free_mib", "Free GPU memory", Real).gauge("MiB", BYTES, 1.0),
        Metric::new(Gpu, "temperature_c", "GPU temperature", Real).gauge("°C", WARMTH, 0.2),
        Metric::new(Link, "peers_heard", "Peers heard", Count).gauge("", None, 0.0),
        Metric::new(Link, "peers_silent", "Peers silent", Count).gauge("", None, 0.0),
        Metric::new(Link, "rtt_ms_min", "Round trip to the nearest peer", Real).gauge(
            "ms",
            Some("duration"),
            0.5,
        ),
        Metric::new(Position, "lat_deg", "Latitude", Wide).gauge("°", None, 0.001),
        Metric::new(Position, "lon_deg", "Longitude", Wide).gauge("°", None, 0.001),
        Metric::new(Position, "alt_km", "Altitude", Wide).gauge("km", Some("distance"), 0.01),
        Metric::new(Function, "tasks", "Functions called", Count).gauge("", None, 0.0),
        Metric::new(Function, "calls", "Calls", Count).total("", None, 0.0),
        Metric::new(Function, "failures", "Failed calls", Count).total("", None, 0.0),
        Metric::new(Function, "energy_j_mean", "Energy of a call", Real).gauge("J", None, 0.001),
        Metric::new(Queue, "invocations_waiting", "Calls waiting", Count).gauge("", None, 0.0),
        Metric::new(Queue, "transfers_waiting", "Transfers waiting", Count).gauge("", None, 0.0),
        Metric::new(Queue, "state_bytes", "State", Count).gauge("B", BYTES, 0.0),
        Metric::new(Queue, "frames_dropped", "Frames dropped", Count).total("", None, 0.0),
        Metric::new(Queue, "reports_dropped", "Reports dropped", Count).total("", None, 0.0),
        Metric {
            device_class: Some("timestamp"),
            step: 1.0,
            ..Metric::new(Contact, "next_ground_contact", "Next ground contact", Time)
        },
        Metric::new(Backlog, "records", "Records waiting for a link", Count).gauge("", None, 0.0),
        Metric::new(Backlog, "disk_bytes", "Disk of what waits", Count).gauge("B", BYTES, 0.0),
        Metric::new(Backlog, "thinned", "Records merged for room", Count).total("", None, 0.0),
        Metric::new(Backlog, "lost", "Records lost", Count).total("", None, 0.0),
        Metric::new(Backlog, "disk_failures", "Disk failures", Count).total("", None, 0.0),
    ]
};

/// Where a metric is in [`METRICS`].
pub(crate) fn index_of(part: Part, key: &str) -> Option<usize> {
    METRICS.iter().position(|metric| metric.part == part && metric.key == key)
}
