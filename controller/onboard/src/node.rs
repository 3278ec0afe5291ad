//! What a board shall be, and the configuration that says so to its agent.

use serde::Serialize;
use types::{FleetId, NodeId, NodeKind};

/// Where the agent keeps its state.
pub const STATE_DIR: &str = "/var/lib/starbelt";
/// Where key and certificate lie, in the configuration that is made here.
pub const IDENTITY_DIR: &str = "/var/lib/starbelt/identity";
/// Room for state: 1 GiB, as in the example of the package.
const QUOTA_BYTES: u64 = 1 << 30;
/// Of each core, functions may use so many thousandths; the rest is the system's and the agent's.
const MILLI_CPU_PER_CORE: u32 = 750;

/// A board as a member of a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: NodeId,
    /// Its fleet.
    pub fleet: FleetId,
    /// What it is.
    pub kind: NodeKind,
    /// Where it listens, for example `tls/0.0.0.0:7447`; empty where nobody dials it.
    pub listen: Vec<String>,
    /// Whom it dials, for example `tls/10.0.0.1:7447`.
    pub connect: Vec<String>,
    /// Where it joins, for example `https://10.0.0.1:7449`; `None` in a fleet without certificates.
    pub join: Option<String>,
}

/// What functions may use of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Thousandths of a core.
    pub milli_cpu: u32,
    /// Memory.
    pub memory_mib: u64,
}

impl Room {
    /// Three quarters of the cores, half of the memory.
    pub fn of_board(cores: u32, memory_mib: u64) -> Self {
        Self {
            milli_cpu: cores.max(1).saturating_mul(MILLI_CPU_PER_CORE),
            memory_mib: (memory_mib / 2).max(1),
        }
    }
}

#[derive(Serialize)]
struct File<'a> {
    version: u32,
    node: NodeSection<'a>,
    capacity: CapacitySection,
    bus: BusSection<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<IdentitySection<'a>>,
    store: StoreSection,
}

#[derive(Serialize)]
struct NodeSection<'a> {
    name: &'a NodeId,
    kind: String,
    fleet: &'a FleetId,
}

#[derive(Serialize)]
struct CapacitySection {
    milli_cpu: u32,
    memory_mib: u64,
}

#[derive(Serialize)]
struct BusSection<'a> {
    listen: &'a [String],
    connect: &'a [String],
    peers: [&'static str; 1],
}

#[derive(Serialize)]
struct IdentitySection<'a> {
    dir: &'static str,
    controller: &'a str,
}

#[derive(Serialize)]
struct StoreSection {
    dir: &'static str,
    quota_bytes: u64,
}

impl Node {
    /// The configuration of its agent. Sensors are found by themselves, so nothing is said of them.
    ///
    /// # Panics
    /// Never: text and numbers are TOML.
    pub fn config(&self, room: Room) -> String {
        let file = File {
            version: 1,
            node: NodeSection { name: &self.name, kind: self.kind.to_string(), fleet: &self.fleet },
            capacity: CapacitySection { milli_cpu: room.milli_cpu, memory_mib: room.memory_mib },
            bus: BusSection { listen: &self.listen, connect: &self.connect, peers: ["controller"] },
            identity: self
                .join
                .as_deref()
                .map(|controller| IdentitySection { dir: IDENTITY_DIR, controller }),
            store: StoreSection { dir: STATE_DIR, quota_bytes: QUOTA_BYTES },
        };
        let text = toml::to_string(&file).expect("text and numbers are TOML");
        format!("# Made by starbelt when it put the agent here; yours to change.\n{text}")
    }
}

/// Who a configuration says that a board is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// `node.name`
    pub name: NodeId,
    /// `node.fleet`
    pub fleet: FleetId,
}

/// Reads who a configuration is for; its other keys are the agent's to check.
///
/// # Errors
/// In words, when it does not say.
pub fn named(config: &str) -> Result<Named, String> {
    let table: toml::Table = config.parse().map_err(|error| format!("it is no TOML: {error}"))?;
    let node = table.get("node").and_then(toml::Value::as_table);
    let text = |key: &str| {
        let value = node.and_then(|node| node.get(key)).and_then(toml::Value::as_str);
        value.ok_or_else(|| format!("it has no node.{key}"))
    };
    Ok(Named {
        name: text("name")?.parse().map_err(|error| format!("node.name: {error}"))?,
        fleet: text("fleet")?.parse().map_err(|error| format!("node.fleet: {error}"))?,
    })
}

/// Where a configuration says that key and certificate lie.
pub fn identity_dir(config: &str) -> Option<String> {
    let table: toml::Table = config.parse().ok()?;
    let dir = table.get("identity")?.get("dir")?.as_str()?;
    Some(dir.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_says_who_the_node_is_and_hostile_text_stays_text() {
        let node = Node {
            name: "sat-1".parse().unwrap(),
            fleet: "demo".parse().unwrap(),
            kind: NodeKind::GroundStation,
            listen: vec![],
            connect: vec!["tls/10.0.0.1:7447".to_owned(), "\"]\n[store]\nx = 1".to_owned()],
            join: Some("https://10.0.0.1:7449".to_owned()),
        };
        let text = node.config(Room::of_board(4, 3800));
        let name = Named { name: node.name.clone(), fleet: node.fleet.clone() };
        assert_eq!(named(&text), Ok(name));
        assert_eq!(identity_dir(&text).as_deref(), Some(IDENTITY_DIR));
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["capacity"]["milli_cpu"].as_integer(), Some(3000));
        assert_eq!(table["capacity"]["memory_mib"].as_integer(), Some(1900));
        assert_eq!(table["node"]["kind"].as_str(), Some("ground-station"));
        assert_eq!(table["bus"]["connect"][1].as_str(), Some(node.connect[1].as_str()));
        let without = Node { join: None, ..node }.config(Room::of_board(0, 0));
        assert_eq!(identity_dir(&without), None);
    }

    #[test]
    fn a_configuration_that_names_nobody_says_what_it_lacks() {
        for (text, word) in [
            ("version = ", "no TOML"),
            ("[node]\nname = \"a\"", "no node.fleet"),
            ("[node]\nname = \"A B\"\nfleet = \"f\"", "node.name"),
        ] {
            assert!(named(text).unwrap_err().contains(word), "{text}");
        }
    }
}
