//! One connection by rumqttc, of either version of the protocol: a client to write to, and a task that reads.
//!
//! Each connection has an event loop of its own, since each has a will of its own, and since an event loop that connects again would
//! forget what was not acknowledged. Its task does nothing but poll: a poll that is cancelled while it connects would begin anew.

mod v3;
mod v5;

use std::sync::Arc;
use std::time::Duration;

use mqtt_bridge::{Opening, Publish};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{MqttError, tls};
use crate::config::{BrokerUrl, MqttConfig, MqttProtocol};

/// Messages that the client may hold which are not written yet.
pub(super) const IN_HAND_MAX: usize = 16;
/// Requests that fit into the client: messages, subscriptions, the farewell.
const REQUESTS_MAX: usize = IN_HAND_MAX + 8;
/// Messages that may wait for their acknowledgement.
const IN_FLIGHT_MAX: u16 = 32;
/// How long name, address, encryption and greeting may take together.
const CONNECT_S: u64 = 10;
/// Largest packet that is taken: far more than a command or a shadow has. The client's own default is 10 KiB.
const PACKET_IN_BYTES_MAX: u32 = 64 * 1024;
/// Largest packet that is sent: payload, topic, header.
const PACKET_OUT_BYTES_MAX: u32 = 160 * 1024;
/// News that wait to be read; the event loop waits with more.
const NEWS_MAX: usize = 64;

/// Where the broker is, and who this node is to it.
pub(super) struct Broker {
    url: BrokerUrl,
    client_id: String,
    protocol: MqttProtocol,
    login: Option<(String, String)>,
    tls: Option<Arc<rustls::ClientConfig>>,
    pub(super) keep_alive: Duration,
}

impl Broker {
    /// Reads what is needed.
    pub(super) fn new(config: &MqttConfig) -> Result<Self, MqttError> {
        let login = match &config.login {
            None => None,
            Some((name, path)) => {
                let password = String::from_utf8(tls::read(path)?).map_err(|_not_text| {
                    let reason = "the password is not UTF-8 text".to_owned();
                    MqttError::Unusable { path: path.clone(), reason }
                })?;
                Some((name.clone(), password.trim_end_matches(['\r', '\n']).to_owned()))
            }
        };
        let tls = if config.broker.is_secure { Some(tls::client(&config.tls)?) } else { None };
        Ok(Self {
            url: config.broker.clone(),
            client_id: config.client_id.clone(),
            protocol: config.protocol,
            login,
            tls,
            keep_alive: config.keep_alive,
        })
    }

    fn client_id(&self, suffix: &str) -> String {
        if suffix.is_empty() {
            self.client_id.clone()
        } else {
            format!("{}-{suffix}", self.client_id)
        }
    }

    fn transport(&self) -> rumqttc::Transport {
        match &self.tls {
            None => rumqttc::Transport::Tcp,
            Some(config) => {
                let config = rumqttc::TlsConfiguration::Rustls(Arc::clone(config));
                rumqttc::Transport::tls_with_config(config)
            }
        }
    }
}

/// What happens on a connection.
#[derive(Debug)]
pub(super) enum News {
    /// The broker has accepted.
    Up,
    /// The oldest message in hand was written; with an id if an answer will come.
    Written(Option<u16>),
    /// The broker has taken the message with this id, or says why not.
    Acked(u16, Option<String>),
    /// The broker says something.
    Heard { topic: String, payload: Vec<u8>, retain: bool },
    /// The broker refuses a subscription.
    Denied(String),
    /// A sign of life.
    Alive,
    /// The farewell is written.
    Left,
    /// There is no connection any more.
    Gone(String),
}

/// The client, of either version.
#[derive(Debug)]
enum Client {
    V3(rumqttc::AsyncClient),
    V5(rumqttc::v5::AsyncClient),
}

/// A connection, or a try at one.
#[derive(Debug)]
pub(super) struct Link {
    client: Client,
    news: mpsc::Receiver<News>,
    reads: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        // With it goes the socket; a broker that was not told farewell says the will.
        self.reads.abort();
    }
}

impl Link {
    /// Begins to connect.
    pub(super) fn open(broker: &Broker, suffix: &str, opening: &Opening) -> Self {
        let (sender, news) = mpsc::channel(NEWS_MAX);
        let (client, reads) = match broker.protocol {
            MqttProtocol::V3 => {
                let (client, events) = v3::open(broker, suffix, opening);
                (Client::V3(client), tokio::spawn(v3::read(events, sender)))
            }
            MqttProtocol::V5 => {
                let (client, events) = v5::open(broker, suffix, opening);
                (Client::V5(client), tokio::spawn(v5::read(events, sender)))
            }
        };
        Self { client, news, reads }
    }

    /// The next news.
    pub(super) async fn news(&mut self) -> News {
        self.news.recv().await.unwrap_or_else(|| News::Gone("its reader has ended".to_owned()))
    }

    /// Subscribes; what is refused is in the news.
    pub(super) fn subscribe(&self, filter: &str) -> Result<(), String> {
        let done = match &self.client {
            Client::V3(client) => client
                .try_subscribe(filter, rumqttc::QoS::AtLeastOnce)
                .map_err(|error| error.to_string()),
            Client::V5(client) => client
                .try_subscribe(filter, rumqttc::v5::mqttbytes::QoS::AtLeastOnce)
                .map_err(|error| error.to_string()),
        };
        done.map_err(|error| format!("subscription to {filter}: {error}"))
    }

    /// Hands a message to the client, which has room for [`IN_HAND_MAX`].
    pub(super) fn publish(&self, publish: Publish) -> Result<(), String> {
        let Publish { topic, payload, qos, retain } = publish;
        match &self.client {
            Client::V3(client) => client
                .try_publish(topic, v3::qos(qos), retain, payload)
                .map_err(|error| error.to_string()),
            Client::V5(client) => client
                .try_publish(topic, v5::qos(qos), retain, payload)
                .map_err(|error| error.to_string()),
        }
    }

    /// Says farewell.
    pub(super) fn leave(&self) -> Result<(), String> {
        match &self.client {
            Client::V3(client) => client.try_disconnect().map_err(|error| error.to_string()),
            Client::V5(client) => client.try_disconnect().map_err(|error| error.to_string()),
        }
    }
}

/// Which messages were written: a message whose id is still taken is announced as waiting first, and as written when the id is free.
#[derive(Debug, Default)]
struct Ids {
    announced: Option<u16>,
}

impl Ids {
    /// A message got an id that is still taken.
    const fn waits(&mut self, id: u16) -> News {
        self.announced = Some(id);
        News::Written(Some(id))
    }

    /// A message was written; 0 if no answer will come.
    fn written(&mut self, id: u16) -> News {
        if id != 0 && self.announced == Some(id) {
            self.announced = None;
            return News::Alive;
        }
        News::Written((id != 0).then_some(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_had_to_wait_for_its_id_is_written_once() {
        let mut ids = Ids::default();
        assert!(matches!(ids.written(0), News::Written(None)));
        assert!(matches!(ids.written(7), News::Written(Some(7))));
        assert!(matches!(ids.waits(7), News::Written(Some(7))));
        assert!(matches!(ids.written(7), News::Alive));
        assert!(matches!(ids.written(7), News::Written(Some(7))));
    }
}
