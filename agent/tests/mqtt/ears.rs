//! Another client of the broker: hears everything, and says what dashboards and hosts say.

use std::time::Duration;

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, Publish, QoS};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::PATIENCE;

/// A client that hears all topics, those of AWS too.
pub(crate) struct Ears {
    client: AsyncClient,
    heard: mpsc::Receiver<Publish>,
    reads: tokio::task::JoinHandle<()>,
    past: Vec<String>,
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.reads.abort();
    }
}

impl Ears {
    /// Connects, and answers once the broker has taken the subscriptions.
    pub(crate) async fn open(port: u16) -> Self {
        let mut options = MqttOptions::new("ears", "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(5));
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut events) = AsyncClient::new(options, 64);
        client.subscribe("#", QoS::AtLeastOnce).await.expect("the broker is there");
        client.subscribe("$aws/#", QoS::AtLeastOnce).await.expect("the broker is there");
        let (sender, heard) = mpsc::channel(4096);
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let reads = tokio::spawn(async move {
            let (mut acks, mut ready) = (0, Some(ready));
            while let Ok(event) = events.poll().await {
                if let Event::Incoming(Packet::Publish(publish)) = event {
                    // A test that has ended hears no more.
                    if sender.send(publish).await.is_err() {
                        return;
                    }
                } else if let Event::Incoming(Packet::SubAck(_)) = event {
                    acks += 1;
                }
                if acks == 2
                    && let Some(ready) = ready.take()
                {
                    ready.send(()).ok();
                }
            }
        });
        timeout(PATIENCE, is_ready)
            .await
            .expect("the broker is there")
            .expect("the broker is there");
        Self { client, heard, reads, past: Vec::new() }
    }

    pub(crate) async fn say(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.client
            .publish(topic, QoS::AtLeastOnce, false, payload)
            .await
            .expect("the broker is there");
    }

    /// The next message that is wanted; others are left out, and told if it does not come.
    pub(crate) async fn want(&mut self, is_wanted: impl Fn(&Publish) -> bool) -> Publish {
        let next = async {
            loop {
                let publish = self.heard.recv().await.expect("the broker is there");
                if is_wanted(&publish) {
                    return publish;
                }
                self.past.push(format!("{} {:?}", publish.topic, publish.payload));
            }
        };
        match timeout(PATIENCE, next).await {
            Ok(publish) => publish,
            Err(_elapsed) => panic!("it did not come; others did:\n{}", self.past.join("\n")),
        }
    }

    /// The next message on a topic.
    pub(crate) async fn on(&mut self, topic: &str) -> Publish {
        self.want(|publish| publish.topic == topic).await
    }

    /// The next message on a topic, which has this in it.
    pub(crate) async fn on_with(&mut self, topic: &str, words: &str) -> Publish {
        self.want(|publish| publish.topic == topic && text(publish).contains(words)).await
    }
}

pub(crate) fn text(publish: &Publish) -> String {
    String::from_utf8_lossy(&publish.payload).into_owned()
}
