//! What `starbelt-sim bridge` is told: `sim.toml`, checked completely before anything starts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use types::{Celsius, Epoch, NodeId, SkyClock, WallTime};

use crate::address::{BusAddr, LoopbackAddr};
use crate::shape::PairId;
use crate::toml_file::{Document, FileError, Problem, Step};

/// The version of the format that this program reads.
pub const FORMAT_VERSION: u32 = 1;
/// Default of [`SimConfig::tick_ms`]: a satellite moves 0.75 km, 2.5 µs of light, in real time.
pub const TICK_MS_DEFAULT: u32 = 100;
/// Shortest tick; the link table of a large sky takes longer than that.
pub const TICK_MS_MIN: u32 = 10;
/// Longest tick; a link must not stay up a second after its path is gone.
pub const TICK_MS_MAX: u32 = 1_000;
/// Most pairs of one bridge: those of 38 nodes. Each may hold 17 sockets, 20,000 together at most; whether the system
/// allows so many is checked at the start (`open_files.rs`).
pub const PAIRS_MAX: usize = 703;
/// The air around a ground node where the file says nothing, °C.
pub const AMBIENT_DEFAULT_C: f64 = 20.0;

/// The file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimConfig {
    /// [`FORMAT_VERSION`].
    pub version: u32,
    /// How often the link table is renewed, in milliseconds of wall time.
    #[serde(default = "tick_ms_default")]
    pub tick_ms: u32,
    /// The sky at the start; without it the newest epoch of the element set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Epoch>,
    /// Sky seconds per wall second.
    #[serde(default = "rate_default")]
    pub rate: f64,
    /// How links are shaped.
    #[serde(default)]
    pub shaper: Backend,
    /// Which sky is replayed.
    pub sky: SkyConfig,
    /// The session of the emulation.
    pub bus: BusConfig,
    /// The shaped pairs.
    #[serde(default, rename = "pair", skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<PairConfig>,
    /// Ground nodes whose air is not at [`AMBIENT_DEFAULT_C`].
    #[serde(default, rename = "ambient", skip_serializing_if = "Vec::is_empty")]
    pub ambients: Vec<AmbientConfig>,
}

/// How links are shaped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// A forwarder in user space for each pair.
    #[default]
    TcpProxy,
    /// Not at all: nodes dial each other directly, no pair port is opened.
    None,
}

/// Which sky is replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkyConfig {
    /// `sky.toml`, relative to this file.
    pub file: PathBuf,
}

/// The session of the emulation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusConfig {
    /// Where it listens.
    pub listen: BusAddr,
    /// It listens on `tcp/`, on this machine only, and anybody on it may take part.
    #[serde(default)]
    pub insecure: bool,
    /// The folder with the bridge's key and certificate, relative to this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<PathBuf>,
}

/// One pair of nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairConfig {
    /// The node that dials; the smaller name.
    pub a: NodeId,
    /// The node that is dialed.
    pub b: NodeId,
    /// What `a` dials: a port of the bridge.
    pub listen: LoopbackAddr,
    /// Where `b` listens.
    pub forward: LoopbackAddr,
}

/// The air around a ground node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmbientConfig {
    /// The node.
    pub node: NodeId,
    /// Its air, °C.
    pub celsius: Celsius,
}

const fn tick_ms_default() -> u32 {
    TICK_MS_DEFAULT
}

const fn rate_default() -> f64 {
    1.0
}

impl PairConfig {
    /// The pair as the shapers name it.
    pub fn id(&self) -> PairId {
        PairId { a: self.a.clone(), b: self.b.clone() }
    }
}

impl SimConfig {
    /// Reads and checks the file; [`SkyConfig::file`] of the answer is relative to the working
    /// directory, as `file` is.
    ///
    /// # Errors
    /// [`FileError`] with every broken rule.
    pub fn load(file: &Path) -> Result<(Self, Document), FileError> {
        let document = Document::read(file)?;
        let mut config: Self = document.parse()?;
        let problems = config.problems(&document);
        if !problems.is_empty() {
            return Err(FileError::Invalid(problems));
        }
        config.sky.file = file.with_file_name(&config.sky.file);
        config.bus.identity = config.bus.identity.map(|dir| file.with_file_name(dir));
        Ok((config, document))
    }

    /// The air around `node`, if it stands on the ground.
    pub fn ambient_of(&self, node: &NodeId) -> f64 {
        let named = self.ambients.iter().find(|ambient| ambient.node == *node);
        named.map_or(AMBIENT_DEFAULT_C, |ambient| ambient.celsius.get())
    }

    fn problems(&self, document: &Document) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut say = |path: &[Step<'_>], rule: String| {
            problems.push(document.problem(path, rule));
        };
        if self.version != FORMAT_VERSION {
            let rule = format!("format {} is not known, this is {FORMAT_VERSION}", self.version);
            say(&[Step::Key("version")], rule);
        }
        if !(TICK_MS_MIN..=TICK_MS_MAX).contains(&self.tick_ms) {
            let rule = format!("{} is outside {TICK_MS_MIN} to {TICK_MS_MAX}", self.tick_ms);
            say(&[Step::Key("tick_ms")], rule);
        }
        if let Err(rule) = SkyClock::new(Epoch::from_unix_ns(0), WallTime(0), self.rate) {
            say(&[Step::Key("rate")], rule.to_string());
        }
        if PAIRS_MAX < self.pairs.len() {
            let rule = format!("{} pairs are more than {PAIRS_MAX}", self.pairs.len());
            say(&[Step::Key("pair")], rule);
        }
        self.check_bus(&mut say);
        self.check_pairs(&mut say);
        problems
    }

    fn check_bus(&self, say: &mut impl FnMut(&[Step<'_>], String)) {
        let BusConfig { listen, insecure, identity } = &self.bus;
        let rule = match (listen.is_secure(), insecure, identity) {
            (true, false, Some(_)) | (false, true, None) => return,
            (_, true, Some(_)) => "an identity is of no use while insecure is set; leave one out",
            (true, true, None) => "is encrypted, but insecure is set, which is for tcp/ alone",
            (true, false, None) => "needs certificates: say in identity where they are",
            (false, false, _) => {
                "is not encrypted; use tls/ with an identity, or, for a trial on this machine alone, say insecure = true"
            }
        };
        say(&[Step::Key("bus"), Step::Key("listen")], format!("{listen}: {rule}"));
    }

    fn check_pairs(&self, say: &mut impl FnMut(&[Step<'_>], String)) {
        let mut names = BTreeMap::new();
        let mut ports = BTreeMap::from([(self.bus.listen.addr(), "bus.listen".to_owned())]);
        for (index, pair) in self.pairs.iter().enumerate() {
            let at = |field| [Step::Key("pair"), Step::Index(index), Step::Key(field)];
            if pair.b <= pair.a {
                let rule = format!("{} does not come before {}: swap them", pair.a, pair.b);
                say(&at("a"), rule);
            }
            if let Some(first) = names.insert(pair.id(), index) {
                say(&at("a"), format!("{} is pair[{first}] already", pair.id()));
            }
            if let Some(user) = ports.insert(pair.listen.get(), format!("pair[{index}].listen")) {
                say(&at("listen"), format!("{} is the address of {user} already", pair.listen));
            }
        }
        for (index, pair) in self.pairs.iter().enumerate() {
            if let Some(user) = ports.get(&pair.forward.get()) {
                let at = [Step::Key("pair"), Step::Index(index), Step::Key("forward")];
                say(&at, format!("{} is where the bridge itself listens ({user})", pair.forward));
            }
        }
    }
}
