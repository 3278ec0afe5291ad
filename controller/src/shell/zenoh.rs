//! The only file that knows Zenoh: sessions, subscriptions, queries and their answers as plain bytes.

use std::time::Duration;

use protocol::access::Policy;
use secure::gate::Gate;
use secure::identity::Paths;
use secure::settings;
use serde_json::json;
use types::FleetId;
use zenoh::Wait;
use zenoh::qos::{CongestionControl, Priority};

/// Largest message that the controller takes: a module of 4 MiB with room for later ones.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A cut link is seen within this, if nothing closes it (wall).
const LINK_LEASE_MS: u32 = 4_000;
/// Keep-alives within one link lease.
const KEEP_ALIVES: u32 = 4;
/// First and longest pause between two attempts to connect, milliseconds: a cut link heals within half a second.
const CONNECT_RETRY_MS: (u32, u32) = (200, 500);
/// Sessions that the controller accepts at most; about 2.3 GiB of memory if all were used.
const SESSIONS_MAX: u32 = 20_000;
/// How long a client waits for its uplink, milliseconds; whoever opens it tries again.
const UPLINK_TIMEOUT_MS: i32 = 500;
/// How long closing a session may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How a session takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusRole {
    /// In the fleet: forwards for others, dials and listens where it is told.
    Router {
        /// Addresses to listen on, like `tcp/127.0.0.1:7447`.
        listen: Vec<String>,
        /// Addresses to dial again and again.
        connect: Vec<String>,
    },
    /// On the emulation's own network: one uplink, forwards nothing.
    Client {
        /// The address to dial; must answer when the session is opened, later it is dialled again and again.
        connect: String,
    },
}

/// How urgent a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Desired states and commands: first, never dropped by the sender.
    Command,
    /// Events and plans.
    Data,
    /// Reports: the newest wins, dropped under congestion.
    Telemetry,
    /// State and modules: last.
    Bulk,
}

impl Class {
    const fn priority(self) -> Priority {
        match self {
            Self::Command => Priority::RealTime,
            Self::Data => Priority::DataHigh,
            Self::Telemetry => Priority::DataLow,
            Self::Bulk => Priority::Background,
        }
    }

    const fn congestion(self) -> CongestionControl {
        match self {
            Self::Telemetry => CongestionControl::Drop,
            Self::Command | Self::Data | Self::Bulk => CongestionControl::Block,
        }
    }
}

/// What makes a session one between members of the fleet.
#[derive(Clone, Debug)]
pub struct Security {
    /// The controller's own identity.
    pub paths: Paths,
    /// The fleet's rules; absent on the emulation's network, where the bridge has its own.
    pub policies: Option<(FleetId, Vec<Policy>)>,
    /// Closes the links of who was revoked.
    pub gate: Gate,
}

/// What failed on the bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// No session.
    #[error("cannot open a bus session ({role}): {reason}")]
    Open {
        /// As what.
        role: &'static str,
        /// Zenoh's words.
        reason: String,
    },
    /// A key or session was refused.
    #[error("{what} {key}: {reason}")]
    Declare {
        /// What was to be done.
        what: &'static str,
        /// Where.
        key: String,
        /// Zenoh's words.
        reason: String,
    },
    /// Nobody answers there now, or not in time.
    #[error("no answer from {key} within {} ms", timeout.as_millis())]
    NoAnswer {
        /// Whom.
        key: String,
        /// How long.
        timeout: Duration,
    },
    /// The answer is an error.
    #[error("{key} answers: {reason}")]
    Refused {
        /// Whom.
        key: String,
        /// Its words.
        reason: String,
    },
}

/// A question from the bus.
#[derive(Debug)]
pub struct Question<'a> {
    /// The key that is asked.
    pub key: &'a str,
    /// Parameters after `?` in the selector, like `node=sat-1`.
    pub parameters: &'a str,
    /// The payload.
    pub frame: &'a [u8],
}

/// The way back to who asked.
#[derive(Debug)]
pub struct Answer {
    query: zenoh::query::Query,
}

impl Answer {
    /// Sends the answer. May wait where the link is congested.
    pub async fn send(self, frame: Vec<u8>) {
        if let Err(error) = self.query.reply(self.query.key_expr().clone(), frame).await {
            tracing::debug!(%error, "answer not sent");
        }
    }
}

/// A session.
#[derive(Clone, Debug)]
pub struct Bus {
    session: zenoh::Session,
}

impl Bus {
    /// Opens a session. A router does not wait for its links, a client needs its uplink at once.
    ///
    /// # Errors
    /// [`BusError::Open`] when an address cannot be listened on, is malformed, or the uplink does not answer.
    pub async fn open(role: &BusRole, security: Option<&Security>) -> Result<Self, BusError> {
        let name = match role {
            BusRole::Router { .. } => "router",
            BusRole::Client { .. } => "client",
        };
        let refuse = |error: zenoh::Error| BusError::Open { role: name, reason: error.to_string() };
        let mut config = zenoh::Config::from_json5(&settings_of(role)).map_err(refuse)?;
        let Some(security) = security else {
            config.insert_json5("transport/link/protocols", r#"["tcp"]"#).map_err(refuse)?;
            // Opening blocks its thread, for a client until the uplink answers or the time is up.
            let opened = tokio::task::spawn_blocking(move || zenoh::open(config).wait()).await;
            let opened = opened.map_err(|error| refuse(Box::new(error)))?;
            return Ok(Self { session: opened.map_err(refuse)? });
        };
        settings::identify(&mut config, &security.paths).map_err(refuse)?;
        if let Some((fleet, policies)) = &security.policies {
            settings::restrict(&mut config, fleet, policies).map_err(refuse)?;
        }
        let session = secure::gate::open(config, &security.gate).await.map_err(refuse)?;
        Ok(Self { session })
    }

    /// Calls `sink` with key and payload of everything that is put to `key`, until the session closes.
    ///
    /// # Errors
    /// [`BusError::Declare`] when the key is malformed.
    pub async fn subscribe(
        &self,
        key: &str,
        sink: impl Fn(&str, Vec<u8>) + Send + Sync + 'static,
    ) -> Result<(), BusError> {
        self.session
            .declare_subscriber(key.to_owned())
            .callback(move |sample| {
                sink(sample.key_expr().as_str(), sample.payload().to_bytes().into_owned());
            })
            .background()
            .await
            .map_err(declare("subscribing to", key))
    }

    /// Answers questions to `key` with what `answer` makes of them, until the session closes.
    /// `answer` must not block for long; `None` leaves the question to its timeout.
    ///
    /// # Errors
    /// [`BusError::Declare`] when the key is malformed.
    pub async fn serve(
        &self,
        key: &str,
        answer: impl Fn(&Question<'_>) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Result<(), BusError> {
        self.session
            .declare_queryable(key.to_owned())
            .complete(true)
            .callback(move |query| {
                let frame = query.payload().map(|p| p.to_bytes()).unwrap_or_default();
                let question = Question {
                    key: query.key_expr().as_str(),
                    parameters: query.parameters().as_str(),
                    frame: &frame,
                };
                let Some(reply) = answer(&question) else { return };
                if let Err(error) = query.reply(query.key_expr().clone(), reply).wait() {
                    tracing::debug!(key = question.key, %error, "answer not sent");
                }
            })
            .background()
            .await
            .map_err(declare("serving", key))
    }

    /// Hands questions to `key` to `take`, which answers them later or lets them drop, until the session closes.
    ///
    /// # Errors
    /// [`BusError::Declare`] when the key is malformed.
    pub async fn hand_on(
        &self,
        key: &str,
        take: impl Fn(&str, Vec<u8>, Answer) + Send + Sync + 'static,
    ) -> Result<(), BusError> {
        self.session
            .declare_queryable(key.to_owned())
            .complete(true)
            .callback(move |query| {
                let frame = query.payload().map(|p| p.to_bytes().into_owned()).unwrap_or_default();
                let key = query.key_expr().clone();
                take(key.as_str(), frame, Answer { query });
            })
            .background()
            .await
            .map_err(declare("serving", key))
    }

    /// Asks one question and takes the first answer.
    ///
    /// # Errors
    /// [`BusError`] when there is no answer in time or the answer is an error.
    pub async fn query(
        &self,
        key: &str,
        frame: Vec<u8>,
        class: Class,
        timeout: Duration,
    ) -> Result<Vec<u8>, BusError> {
        let no_answer = || BusError::NoAnswer { key: key.to_owned(), timeout };
        let replies = self
            .session
            .get(key.to_owned())
            .payload(frame)
            .priority(class.priority())
            .congestion_control(class.congestion())
            .timeout(timeout)
            .await
            .map_err(declare("asking", key))?;
        let first = replies.recv_async().await.map_err(|_closed| no_answer())?;
        match first.into_result() {
            Ok(sample) => Ok(sample.payload().to_bytes().into_owned()),
            Err(error) => {
                let words = String::from_utf8_lossy(&error.payload().to_bytes()).into_owned();
                // Zenoh answers for a node that stayed silent with this word.
                if words == "Timeout" {
                    return Err(no_answer());
                }
                Err(BusError::Refused { key: key.to_owned(), reason: words })
            }
        }
    }

    /// Puts a payload.
    ///
    /// # Errors
    /// [`BusError::Declare`] when the key is malformed or the session closed.
    pub async fn put(&self, key: &str, frame: Vec<u8>, class: Class) -> Result<(), BusError> {
        self.session
            .put(key.to_owned(), frame)
            .priority(class.priority())
            .congestion_control(class.congestion())
            .await
            .map_err(declare("putting to", key))
    }

    /// Leaves the fleet at the end of the process, which closes the links.
    ///
    /// Zenoh 1.10.2 panics in its own threads when links close while the session of a router does: the tables that
    /// closed links are to be taken out of are gone already (`net/routing/dispatcher/resource.rs`, `context_mut`).
    pub fn leave(&self) {
        std::mem::forget(self.session.clone());
    }

    /// Ends the session and all that was declared on it.
    pub async fn close(&self) {
        match tokio::time::timeout(CLOSE_TIMEOUT, self.session.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "bus session did not close cleanly"),
            Err(_) => tracing::debug!("bus session did not close in time"),
        }
    }
}

fn declare(what: &'static str, key: &str) -> impl FnOnce(zenoh::Error) -> BusError {
    let key = key.to_owned();
    move |error| BusError::Declare { what, key, reason: error.to_string() }
}

/// The configuration of a session as JSON: explicit endpoints only, nothing is scouted.
fn settings_of(role: &BusRole) -> String {
    let (mode, listen, connect, timeout_ms) = match role {
        BusRole::Router { listen, connect } => ("router", listen.clone(), connect.clone(), -1),
        BusRole::Client { connect } => {
            ("client", Vec::new(), vec![connect.clone()], UPLINK_TIMEOUT_MS)
        }
    };
    let (first_ms, longest_ms) = CONNECT_RETRY_MS;
    json!({
        "mode": mode,
        "listen": { "endpoints": listen },
        "connect": {
            "endpoints": connect,
            "timeout_ms": timeout_ms,
            "exit_on_failure": timeout_ms != -1,
            "retry": {
                "period_init_ms": first_ms,
                "period_max_ms": longest_ms,
                "period_increase_factor": 1.5,
            },
        },
        "scouting": { "multicast": { "enabled": false }, "gossip": { "enabled": false } },
        "adminspace": { "enabled": false },
        "transport": {
            "unicast": { "max_sessions": SESSIONS_MAX, "accept_pending": 256, "accept_timeout": 5_000 },
            "link": {
                "tx": { "lease": LINK_LEASE_MS, "keep_alive": KEEP_ALIVES },
                "rx": { "max_message_size": MESSAGE_BYTES_MAX },
            },
        },
    })
    .to_string()
}
