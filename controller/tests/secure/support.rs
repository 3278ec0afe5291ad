//! An authority, members with certificates, and sessions between them.

use std::future::Future;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use controller::authority::{Authority, provision, read_request};
use controller::registry::Grant;
use controller::shell::keeper::now_s;
use protocol::access::policies;
use protocol::join::{Member, Members, Role};
use secure::gate::Gate;
use secure::identity::{self, Identity, Paths};
use secure::settings;
use tokio::runtime::Handle;
use types::{FleetId, LeaderEpoch, NodeId};
use zenoh::{Config, Session};

/// A life that no test outlives.
pub(crate) const LONG_S: i64 = 3600;
/// Nothing takes so long that goes at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn name(name: &str) -> NodeId {
    NodeId::new(name).expect("a valid name")
}

/// A fleet `f`: the controller `ctl`, the nodes `n1`, `n2` and `rogue`, and `viewer`.
pub(crate) struct Fleet {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) authority: Authority,
    pub(crate) members: Members,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        secure::revoked::install().expect("nothing else sets the cryptography of this process");
        let authority = provision(&dir.path().join("ca"), &fleet(), now_s()).expect("an authority");
        let member = |(member, role)| Member { name: name(member), role };
        let members = [
            ("ctl", Role::Controller),
            ("n1", Role::Node),
            ("n2", Role::Node),
            ("rogue", Role::Node),
            ("viewer", Role::Viewer),
        ];
        let members = Members {
            epoch: LeaderEpoch(1),
            serial: 0,
            members: members.map(member).to_vec(),
            revoked: Vec::new(),
            keys: Vec::new(),
        };
        Self { dir, authority, members }
    }

    /// An identity whose certificate counts from `from_s` from now on, for `life_s`.
    pub(crate) fn identity_of(&self, who: &str, (from_s, life_s): (i64, i64)) -> Identity {
        let dir: PathBuf = self.dir.path().join(format!("{who}-{from_s}-{life_s}"));
        let key = identity::key_to_join(&dir).expect("a key");
        let request = identity::request(&name(who), &key).expect("a request");
        let public = read_request(&request, &name(who)).expect("a good request");
        let grant = Grant { name: name(who), addresses: vec!["127.0.0.1".to_owned()] };
        let signed = self.authority.sign(&grant, &public, (now_s() + from_s, life_s));
        let pem = signed.expect("a certificate").pem;
        let what = (pem.as_str(), self.authority.text.as_str());
        identity::keep_joined(&dir, (&name(who), &key), what, &self.members).expect("it is kept")
    }

    pub(crate) fn identity(&self, who: &str) -> Identity {
        self.identity_of(who, (0, LONG_S))
    }

    /// The controller's session: a router with the rules of the fleet, listening at the address that is answered.
    pub(crate) async fn router(&self, sessions_max: usize) -> (Session, Gate, String) {
        let (gate, address) = (Gate::new(Handle::current()), free_address());
        let mut config = plain("router", Some(&address), None);
        settings::identify(&mut config, &self.identity("ctl").paths).expect("good paths");
        let rules = policies(&fleet(), &self.members, &name("ctl"));
        settings::restrict(&mut config, &fleet(), &rules).expect("good rules");
        set(&mut config, "transport/unicast/max_sessions", &sessions_max.to_string());
        set(&mut config, "transport/link/rx/max_message_size", "1048576");
        let session = secure::gate::open(config, &gate).await.expect("the router opens");
        (session, gate, address)
    }
}

pub(crate) fn fleet() -> FleetId {
    FleetId::new("f").expect("a valid name")
}

/// The session of a member that heeds no rules.
pub(crate) async fn client(paths: &Paths, address: &str) -> zenoh::Result<Session> {
    let mut config = plain("client", None, Some(address));
    settings::identify(&mut config, paths)?;
    zenoh::open(config).await
}

pub(crate) fn set(config: &mut Config, key: &str, value: &str) {
    config.insert_json5(key, value).unwrap_or_else(|error| panic!("{key} = {value}: {error}"));
}

/// Settings without security: one address to listen on or to dial, once for a client.
pub(crate) fn plain(mode: &str, listen: Option<&str>, connect: Option<&str>) -> Config {
    let mut config = Config::default();
    let list = |address: Option<&str>| {
        address.map_or_else(|| "[]".to_owned(), |address| format!("[{address:?}]"))
    };
    for (key, value) in [
        ("mode", format!("{mode:?}")),
        ("listen/endpoints", list(listen)),
        ("connect/endpoints", list(connect)),
        ("connect/timeout_ms", "2000".to_owned()),
        ("connect/exit_on_failure", "true".to_owned()),
        ("scouting/multicast/enabled", "false".to_owned()),
        ("scouting/gossip/enabled", "false".to_owned()),
    ] {
        set(&mut config, key, &value);
    }
    config
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

fn free_address() -> String {
    format!("tls/127.0.0.1:{}", free_port())
}

/// Waits until something holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    within(PATIENCE, what, holds).await;
}

/// Waits until something holds, which must not take longer.
pub(crate) async fn within<F: Future<Output = bool>>(
    time: Duration,
    what: &str,
    holds: impl Fn() -> F,
) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(time, waiting).await.is_err() {
        panic!("not within {time:?}: {what}");
    }
}

/// Whether a gate has an open link to a member.
pub(crate) fn has_link(gate: &Gate, who: &str) -> bool {
    gate.neighbours().iter().any(|neighbour| neighbour == who)
}
