//! The session of the emulation: clock, environment, faults. Nothing but `_sim/**`, no relaying.
//!
//! The bridge alone speaks: access control lets others subscribe and ask below `_sim/**` and drops
//! everything else, so neither a fleet's keys nor a forged clock pass from one client to another.
//! Where members have certificates, only controllers and bridges ask for faults.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::join::{Members, Role};
use protocol::key::SimKeys;
use protocol::sim::{FaultAction, SimClock, SimEnv, SimFault, SimFaultReply};
use protocol::{EncodeError, Message, decode, encode};
use secure::gate::Gate;
use secure::identity::Identity;
use serde_json::json;
use tokio::runtime::Handle;
use types::NodeId;
use zenoh::handlers::FifoChannelHandler;
use zenoh::pubsub::Publisher;
use zenoh::qos::CongestionControl;
use zenoh::query::{Query, Queryable};
use zenoh::{Config, Session};

use crate::address::BusAddr;

/// Sessions at once: the nodes of a bed, its controller, its demo, and as many again that reconnect.
pub(crate) const SESSIONS_MAX: usize = 256;
/// Longest frame that is taken; the largest is a fault's answer of 1 KiB.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Why the session does not work.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// It does not open.
    #[error("the emulation session cannot listen on {listen}: {reason}")]
    Open {
        /// Where it should listen.
        listen: BusAddr,
        /// Zenoh's words.
        reason: String,
    },
    /// A key cannot be declared.
    #[error("{key} cannot be declared: {reason}")]
    Declare {
        /// The key.
        key: String,
        /// Zenoh's words.
        reason: String,
    },
    /// A message cannot be sent.
    #[error("{key} cannot be sent: {reason}")]
    Send {
        /// The key.
        key: String,
        /// Zenoh's words.
        reason: String,
    },
    /// A message breaks its own rules.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The session has ended.
    #[error("the emulation session has closed")]
    Closed,
}

/// What others ask.
#[derive(Debug)]
pub enum Request {
    /// What the clock is.
    Clock(Question),
    /// Inject or heal a fault.
    Fault(Question, SimFault),
}

/// A query that waits for its answer.
#[derive(Debug)]
pub struct Question(Query);

/// The open session.
pub struct SimBus {
    session: Session,
    clock: Publisher<'static>,
    envs: BTreeMap<NodeId, Publisher<'static>>,
    clock_queries: Queryable<FifoChannelHandler<Query>>,
    fault_queries: Queryable<FifoChannelHandler<Query>>,
    /// Fault queries that did not decode.
    undecoded: AtomicU64,
}

impl fmt::Debug for SimBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimBus").field("nodes", &self.envs.len()).finish_non_exhaustive()
    }
}

impl SimBus {
    /// Opens the session and declares the keys of `nodes`.
    ///
    /// # Errors
    /// [`BusError::Open`] when the address is taken, [`BusError::Declare`] otherwise.
    pub async fn open(
        listen: BusAddr,
        identity: Option<&Identity>,
        nodes: impl Iterator<Item = &NodeId>,
    ) -> Result<Self, BusError> {
        let refused = |reason: zenoh::Error| BusError::Open { listen, reason: reason.to_string() };
        let members = identity.map(|identity| &identity.members);
        let mut config = Config::from_json5(&settings(listen, members)).map_err(refused)?;
        let session = match identity {
            None => zenoh::open(config).await.map_err(refused)?,
            Some(identity) => {
                secure::settings::identify(&mut config, &identity.paths).map_err(refused)?;
                let gate = Gate::new(Handle::current());
                gate.refuse(&identity.members);
                secure::gate::open(config, &gate).await.map_err(refused)?
            }
        };
        let clock = publisher(&session, SimKeys::CLOCK.to_owned()).await?;
        let mut envs = BTreeMap::new();
        for node in nodes {
            envs.insert(node.clone(), publisher(&session, SimKeys::env(node)).await?);
        }
        let clock_queries = queryable(&session, SimKeys::CLOCK).await?;
        let fault_queries = queryable(&session, SimKeys::FAULT).await?;
        let undecoded = AtomicU64::new(0);
        Ok(Self { session, clock, envs, clock_queries, fault_queries, undecoded })
    }

    /// How many fault queries did not decode; each was refused with the reason.
    pub fn undecoded(&self) -> u64 {
        self.undecoded.load(Ordering::Relaxed)
    }

    /// Tells everybody the clock.
    ///
    /// # Errors
    /// [`BusError`] when it cannot be sent.
    pub async fn put_clock(&self, clock: &SimClock) -> Result<(), BusError> {
        put(&self.clock, clock).await
    }

    /// Tells a node its environment; a node that was not declared at the start is not told.
    ///
    /// # Errors
    /// [`BusError`] when it cannot be sent.
    pub async fn put_env(&self, node: &NodeId, env: &SimEnv) -> Result<(), BusError> {
        match self.envs.get(node) {
            Some(publisher) => put(publisher, env).await,
            None => Ok(()),
        }
    }

    /// The next request. Dropping the future loses none.
    ///
    /// # Errors
    /// [`BusError::Closed`] when the session has ended.
    pub async fn next(&self) -> Result<Request, BusError> {
        loop {
            let request = tokio::select! {
                query = self.clock_queries.recv_async() => query.map(|q| Request::Clock(Question(q))),
                query = self.fault_queries.recv_async() => match query {
                    Ok(query) => match self.read_fault(query).await {
                        Some(request) => Ok(request),
                        None => continue,
                    },
                    Err(error) => Err(error),
                },
            };
            return request.map_err(|_closed| BusError::Closed);
        }
    }

    /// The fault of a query; one that does not decode is counted and answered with the reason.
    async fn read_fault(&self, query: Query) -> Option<Request> {
        let bytes = query.payload().map(|payload| payload.to_bytes()).unwrap_or_default();
        match decode::<SimFault>(&bytes) {
            Ok(fault) => Some(Request::Fault(Question(query), fault)),
            Err(error) => {
                self.undecoded.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "a fault query does not decode");
                if let Err(error) = Question(query).refuse(&error.to_string()).await {
                    tracing::debug!(%error, "nobody waits for the answer");
                }
                None
            }
        }
    }

    /// Closes the session.
    ///
    /// # Errors
    /// [`BusError::Closed`] when it was closed already.
    pub async fn close(self) -> Result<(), BusError> {
        self.session.close().await.map_err(|_already| BusError::Closed)
    }
}

impl Question {
    /// Answers with the clock.
    ///
    /// # Errors
    /// [`BusError`] when it cannot be sent.
    pub async fn answer_clock(self, clock: &SimClock) -> Result<(), BusError> {
        self.answer(SimKeys::CLOCK, clock).await
    }

    /// Answers a fault.
    ///
    /// # Errors
    /// [`BusError`] when it cannot be sent.
    pub async fn answer_fault(self, reply: &SimFaultReply) -> Result<(), BusError> {
        self.answer(SimKeys::FAULT, reply).await
    }

    /// Answers that it could not be done.
    ///
    /// # Errors
    /// [`BusError`] when it cannot be sent.
    pub async fn refuse(self, reason: &str) -> Result<(), BusError> {
        let failed = |error: zenoh::Error| send_error(self.0.key_expr().as_str(), &error);
        self.0.reply_err(reason).await.map_err(failed)
    }

    async fn answer<M: Message>(self, key: &str, message: &M) -> Result<(), BusError> {
        let failed = |reason: zenoh::Error| send_error(key, &reason);
        self.0.reply(key, encode(message)?).await.map_err(failed)
    }
}

async fn publisher(session: &Session, key: String) -> Result<Publisher<'static>, BusError> {
    let failed = |reason: zenoh::Error| declare_error(&key, &reason);
    // Latest wins: a client that does not read must not stop the clock of the others.
    session
        .declare_publisher(key.clone())
        .congestion_control(CongestionControl::Drop)
        .await
        .map_err(failed)
}

async fn queryable(
    session: &Session,
    key: &'static str,
) -> Result<Queryable<FifoChannelHandler<Query>>, BusError> {
    let failed = |reason: zenoh::Error| declare_error(key, &reason);
    session.declare_queryable(key).complete(true).await.map_err(failed)
}

async fn put<M: Message>(publisher: &Publisher<'static>, message: &M) -> Result<(), BusError> {
    let failed = |reason: zenoh::Error| send_error(publisher.key_expr().as_str(), &reason);
    publisher.put(encode(message)?).await.map_err(failed)
}

fn declare_error(key: &str, reason: &zenoh::Error) -> BusError {
    BusError::Declare { key: key.to_owned(), reason: reason.to_string() }
}

fn send_error(key: &str, reason: &zenoh::Error) -> BusError {
    BusError::Send { key: key.to_owned(), reason: reason.to_string() }
}

/// What happens to the pairs, in words.
pub const fn action_name(action: FaultAction) -> &'static str {
    match action {
        FaultAction::Close => "close",
        FaultAction::BlackHole => "black hole",
        FaultAction::Heal => "heal",
    }
}

fn settings(listen: BusAddr, members: Option<&Members>) -> String {
    let rules = rules(members);
    format!(
        r#"{{
  mode: "router",
  listen: {{ endpoints: ["{listen}"], exit_on_failure: true }},
  connect: {{ endpoints: [] }},
  scouting: {{ multicast: {{ enabled: false }}, gossip: {{ enabled: false }} }},
  adminspace: {{ enabled: false }},
  transport: {{
    unicast: {{ max_sessions: {SESSIONS_MAX} }},
    link: {{ protocols: ["tcp"], rx: {{ max_message_size: {MESSAGE_BYTES_MAX} }} }},
  }},
  access_control: {rules},
}}"#
    )
}

/// Who may ask for what. Without certificates nobody is told from anybody: such a bridge listens on this machine only.
fn rules(members: Option<&Members>) -> serde_json::Value {
    let sky = match members {
        Some(_) => vec![SimKeys::CLOCK.to_owned(), SimKeys::ENVS.to_owned()],
        None => vec![SimKeys::ALL.to_owned()],
    };
    let mut rules = rules_on("sky", &sky);
    let mut subjects = vec![json!({ "id": "anybody" })];
    let mut policies = vec![json!({ "rules": ["ask sky", "tell sky"], "subjects": ["anybody"] })];
    let members = members.map(|members| members.members.as_slice()).unwrap_or_default();
    let operators: Vec<&str> = members
        .iter()
        .filter(|member| matches!(member.role, Role::Controller | Role::Bridge))
        .map(|member| member.name.as_str())
        .collect();
    // An empty list of names would be refused.
    if !operators.is_empty() {
        rules.extend(rules_on("faults", &[SimKeys::FAULT.to_owned()]));
        subjects.push(json!({ "id": "operators", "cert_common_names": operators }));
        policies.push(json!({ "rules": ["ask faults", "tell faults"], "subjects": ["operators"] }));
    }
    json!({
        "enabled": true,
        "default_permission": "deny",
        "rules": rules,
        "subjects": subjects,
        "policies": policies,
    })
}

/// Asking and being told at some keys.
fn rules_on(what: &str, keys: &[String]) -> Vec<serde_json::Value> {
    let rule = |id: String, flow: &str, messages: &[&str]| {
        json!({
            "id": id, "permission": "allow", "flows": [flow], "messages": messages, "key_exprs": keys,
        })
    };
    vec![
        rule(format!("ask {what}"), "ingress", &["declare_subscriber", "query"]),
        rule(format!("tell {what}"), "egress", &["put", "reply", "declare_queryable"]),
    ]
}
