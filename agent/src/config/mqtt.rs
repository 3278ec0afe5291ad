//! The bridge to an MQTT broker: `[mqtt]`. It is read by every agent, also by one that was built without it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use types::{FleetId, NodeId};

use super::read::Section;

const INTERVAL_S: u64 = 5;
const REFRESH_S: u64 = 60;
const SILENCE_S: u64 = 30;
/// AWS IoT Core takes 30 to 1200 s.
const KEEP_ALIVE_S: u64 = 30;
const QUEUE_MIB: u64 = 16;
/// Longest name in a topic or of a client.
const WORD_BYTES_MAX: usize = 64;
/// Where Debian and others keep the authorities that browsers trust.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttConfig {
    /// Where the broker is.
    pub broker: BrokerUrl,
    /// How this node calls itself there.
    pub client_id: String,
    /// Which version of the protocol is spoken.
    pub protocol: MqttProtocol,
    /// Name and file of the password, if the broker wants them.
    pub login: Option<(String, PathBuf)>,
    /// Certificates, for `mqtts`.
    pub tls: MqttTls,
    /// How the bridge talks.
    pub profiles: Vec<MqttProfile>,
    /// Whose reports and events it tells.
    pub nodes: MqttNodes,
    /// A group of values at most so often.
    pub interval: Duration,
    /// Values that do not change, again after this.
    pub refresh: Duration,
    /// Another node that is silent for so long is offline.
    pub silence: Duration,
    /// Between two signs of life to the broker.
    pub keep_alive: Duration,
    /// Whether what cannot be sent waits.
    pub queues: bool,
    /// Most memory for what waits, in MiB.
    pub queue_mib: u32,
    /// Whether commands are refused without a look.
    pub read_only: bool,
    /// Commands that are obeyed, unless `read_only`.
    pub commands: Vec<String>,
    /// Where Home Assistant looks for documents.
    pub discovery_prefix: String,
    /// Whether it gets a document for each entity instead of one for each device.
    pub discovery_by_entity: bool,
    /// The Sparkplug group.
    pub sparkplug_group: String,
    /// The thing of AWS IoT.
    pub aws_thing: String,
}

/// A version of MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MqttProtocol {
    /// 3.1.1.
    V3,
    /// 5.
    V5,
}

/// How the bridge talks, see decision 0025.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MqttProfile {
    /// Topics of our own.
    Native,
    /// Home Assistant.
    HomeAssistant,
    /// Sparkplug B.
    Sparkplug,
    /// AWS IoT Core.
    Aws,
}

/// Whose reports the bridge tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MqttNodes {
    /// Those of this node.
    Own,
    /// Those of all nodes that it hears.
    Fleet,
}

/// Certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttTls {
    /// The authorities that may vouch for the broker, as PEM.
    pub ca: PathBuf,
    /// Certificate and key of this node, as PEM, if the broker wants them.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Protocols to offer; AWS wants `x-amzn-mqtt-ca` on port 443.
    pub alpn: Vec<String>,
}

/// `mqtt://host[:port]` or `mqtts://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Whether it is encrypted.
    pub is_secure: bool,
    /// The host, an IPv6 address in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A URL that is none of a broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a broker like mqtts://broker.example:8883; names and passwords have keys of their own"
)]
pub struct InvalidBroker(String);

impl BrokerUrl {
    /// Whether only processes of this machine can read along.
    fn is_loopback(&self) -> bool {
        let address = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host == "localhost"
            || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for BrokerUrl {
    type Err = InvalidBroker;

    fn from_str(text: &str) -> Result<Self, InvalidBroker> {
        let invalid = || InvalidBroker(text.to_owned());
        let (is_secure, rest) = match text.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            _ => return Err(invalid()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // A colon within brackets is of the address.
        let colon = rest.rfind(':').filter(|at| rest.rfind(']').is_none_or(|end| end < *at));
        let (host, port) = match colon {
            Some(at) => (&rest[..at], rest[at + 1..].parse().map_err(|_no_port| invalid())?),
            None => (rest, if is_secure { 8883 } else { 1883 }),
        };
        let is_v6 = host.starts_with('[') && host.ends_with(']');
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
        let is_host = if is_v6 {
            host[1..host.len() - 1].parse::<std::net::Ipv6Addr>().is_ok()
        } else {
            !host.is_empty() && host.chars().all(plain)
        };
        // The TLS name of an address in brackets is one without; the client library knows one text for both.
        if !is_host || port == 0 || (is_v6 && is_secure) {
            return Err(invalid());
        }
        Ok(Self { is_secure, host: host.to_owned(), port })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "mqtts" } else { "mqtt" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

const PROTOCOLS: [(&str, MqttProtocol); 2] = [("3.1.1", MqttProtocol::V3), ("5", MqttProtocol::V5)];
const PROFILES: [(&str, MqttProfile); 4] = [
    ("native", MqttProfile::Native),
    ("homeassistant", MqttProfile::HomeAssistant),
    ("sparkplug", MqttProfile::Sparkplug),
    ("aws", MqttProfile::Aws),
];
const NODES: [(&str, MqttNodes); 2] = [("own", MqttNodes::Own), ("fleet", MqttNodes::Fleet)];
/// Whether what cannot be sent waits.
const OFFLINE: [(&str, bool); 2] = [("drop", false), ("queue", true)];
/// Whether there is a document for each entity.
const DISCOVERY: [(&str, bool); 2] = [("device", false), ("entities", true)];
const COMMANDS: [&str; 2] = ["nop", "report-now"];

/// Reads `[mqtt]`; `None` if it is not enabled, or something is wrong with it.
pub(super) fn read(
    mut section: Section<'_>,
    base: &Path,
    (node, fleet): (Option<&NodeId>, Option<&FleetId>),
) -> Option<MqttConfig> {
    let (enabled, broker) = broker(&mut section);
    let client_id = section.converted("client_id", word);
    let protocol = section.word("protocol", &PROTOCOLS).unwrap_or(MqttProtocol::V5);
    let login = login(&mut section, base);
    let profiles = profiles(&mut section);
    let nodes = section.word("nodes", &NODES).unwrap_or(MqttNodes::Own);
    let interval = section.integer("interval_s", 1..=86_400, INTERVAL_S);
    let refresh = section.integer("refresh_s", 1..=86_400, REFRESH_S.max(interval));
    let silence = section.integer("silence_s", 2..=86_400, SILENCE_S);
    let keep_alive = section.integer("keep_alive_s", 5..=1200, KEEP_ALIVE_S);
    let queues = section.word("offline", &OFFLINE).unwrap_or(false);
    let queue_mib = section.integer("queue_mib_max", 1..=1024, QUEUE_MIB);
    let read_only = !section.has("read_only") || section.flag("read_only");
    let commands = section.list("commands", |name| {
        one_of(name, &COMMANDS.map(|command| (command, command))).map(str::to_owned)
    });
    if read_only && !commands.is_empty() {
        let rule = "commands are obeyed only with read_only = false; say so, or leave them out";
        section.refuse("commands", rule.to_owned());
    }
    let tls = tls(section.table("tls"), base);
    let (prefix, by_entity) = home_assistant(section.table("homeassistant"));
    let group = names(section.table("sparkplug"), "group");
    let thing = names(section.table("aws"), "thing");
    section.finish();
    let (broker, node, fleet) = (broker.filter(|_| enabled)?, node?, fleet?);
    Some(MqttConfig {
        broker,
        client_id: client_id.unwrap_or_else(|| node.to_string()),
        protocol,
        login,
        tls,
        profiles,
        nodes,
        interval: Duration::from_secs(interval),
        refresh: Duration::from_secs(refresh.max(interval)),
        silence: Duration::from_secs(silence),
        keep_alive: Duration::from_secs(keep_alive),
        queues,
        // In range, or a problem is noted and nothing starts.
        queue_mib: u32::try_from(queue_mib).ok()?,
        read_only,
        commands,
        discovery_prefix: prefix,
        discovery_by_entity: by_entity,
        sparkplug_group: group.unwrap_or_else(|| fleet.to_string()),
        aws_thing: thing.unwrap_or_else(|| node.to_string()),
    })
}

/// Whether there is a bridge, and to where.
fn broker(section: &mut Section<'_>) -> (bool, Option<BrokerUrl>) {
    let enabled = section.flag("enabled");
    if enabled && cfg!(not(feature = "mqtt")) {
        let rule = "this agent was built without the bridge: build it with --features mqtt";
        section.refuse("enabled", rule.to_owned());
    }
    if enabled {
        section.require("url");
        section.require("profiles");
    }
    let broker: Option<BrokerUrl> = section.parsed("url");
    let allows_plain = section.flag("plain_text");
    if let Some(broker) = &broker
        && !broker.is_secure
        && !broker.is_loopback()
        && !allows_plain
    {
        let rule = format!(
            "{broker} is read and changed by anybody on the way: use mqtts://, or say plain_text = true"
        );
        section.refuse("url", rule);
    }
    (enabled, broker)
}

fn profiles(section: &mut Section<'_>) -> Vec<MqttProfile> {
    let has_profiles = section.has("profiles");
    let mut profiles = section.list("profiles", |name| one_of(name, &PROFILES));
    if has_profiles && profiles.is_empty() {
        section.refuse("profiles", "a bridge without a profile says nothing".to_owned());
    }
    profiles.sort_unstable();
    profiles.dedup();
    profiles
}

fn login(section: &mut Section<'_>, base: &Path) -> Option<(String, PathBuf)> {
    let username = section.converted("username", |name| match name.len() {
        1..=256 => Ok(name.to_owned()),
        bytes => Err(format!("a name has 1 to 256 bytes, this has {bytes}")),
    });
    let password: Option<PathBuf> = section.parsed("password_file");
    if username.is_some() != password.is_some() {
        let rule = "username and password_file are given together, or neither";
        section.refuse("password_file", rule.to_owned());
    }
    Some((username?, base.join(password?)))
}

fn tls(mut section: Section<'_>, base: &Path) -> MqttTls {
    let ca: Option<PathBuf> = section.parsed("ca");
    let cert: Option<PathBuf> = section.parsed("cert");
    let key: Option<PathBuf> = section.parsed("key");
    if cert.is_some() != key.is_some() {
        section.refuse("key", "cert and key are given together, or neither".to_owned());
    }
    let alpn = section.list("alpn", |name| match name.len() {
        1..=255 => Ok(name.to_owned()),
        bytes => Err(format!("a protocol has 1 to 255 bytes, this has {bytes}")),
    });
    section.finish();
    MqttTls {
        ca: base.join(ca.unwrap_or_else(|| PathBuf::from(AUTHORITIES))),
        identity: cert.zip(key).map(|(cert, key)| (base.join(cert), base.join(key))),
        alpn,
    }
}

fn home_assistant(mut section: Section<'_>) -> (String, bool) {
    let prefix = section.converted("discovery_prefix", word);
    let by_entity = section.word("discovery", &DISCOVERY).unwrap_or(false);
    section.finish();
    (prefix.unwrap_or_else(|| "homeassistant".to_owned()), by_entity)
}

/// A section with one name in it.
fn names(mut section: Section<'_>, key: &'static str) -> Option<String> {
    let name = section.converted(key, word);
    section.finish();
    name
}

/// A name that may stand between slashes of a topic.
fn word(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if text.is_empty() || WORD_BYTES_MAX < text.len() || !text.bytes().all(plain) {
        return Err(format!(
            "{text:?} is not 1 to {WORD_BYTES_MAX} of A-Z, a-z, 0-9, -, _, . and :"
        ));
    }
    Ok(text.to_owned())
}

fn one_of<T: Copy>(name: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == name).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let list: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        format!("{name:?} is none of {}", list.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_told_from_what_is_none() {
        let table = [
            ("mqtt://localhost", Some((false, "localhost", 1883))),
            ("mqtts://broker.example", Some((true, "broker.example", 8883))),
            ("mqtts://broker.example:443/", Some((true, "broker.example", 443))),
            ("mqtt://[::1]:1884", Some((false, "[::1]", 1884))),
            ("mqtt://[::1]", Some((false, "[::1]", 1883))),
            ("mqtts://[::1]", None),
            ("http://broker", None),
            ("broker:1883", None),
            ("mqtt://user:secret@broker", None),
            ("mqtt://broker:0", None),
            ("mqtt://broker:99999", None),
            ("mqtt://", None),
            ("mqtt://broker/path", None),
        ];
        for (text, expected) in table {
            let parsed: Option<BrokerUrl> = text.parse().ok();
            let parsed = parsed.as_ref().map(|url| (url.is_secure, url.host.as_str(), url.port));
            assert_eq!(parsed, expected, "{text}");
        }
    }
}
