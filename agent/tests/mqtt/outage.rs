//! The broker goes and comes back, or only the way to it.

use agent::config::{MqttConfig, MqttProfile};
use mqtt_bridge::payload::{MetricValue, Payload};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::broker::Broker;
use super::ears::{Ears, text};
use super::{Started, config};

const STATUS: &str = "starbelt/demo/station-1/status";
const EVENTS: &str = "starbelt/demo/station-1/evt";

/// The way to a broker, which can be cut while others still reach it.
struct Way {
    port: u16,
    broker: u16,
    carries: Option<JoinHandle<()>>,
}

impl Way {
    async fn open(broker: u16) -> Self {
        let mut way = Self { port: 0, broker, carries: None };
        way.mend().await;
        way
    }

    async fn mend(&mut self) {
        let listener =
            TcpListener::bind(("127.0.0.1", self.port)).await.expect("the broker is there");
        self.port = listener.local_addr().expect("the broker is there").port();
        let broker = self.broker;
        self.carries = Some(tokio::spawn(async move {
            // All connections go with the set.
            let mut all = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                all.spawn(async move {
                    let mut far = TcpStream::connect(("127.0.0.1", broker))
                        .await
                        .expect("the broker is there");
                    tokio::io::copy_bidirectional(&mut near, &mut far).await.ok();
                });
            }
        }));
    }

    async fn cut(&mut self) {
        let carries = self.carries.take().expect("the broker is there");
        carries.abort();
        assert!(carries.await.expect_err("it was cut").is_cancelled());
    }
}

#[tokio::test]
async fn events_of_an_outage_come_afterwards_once_each_and_in_order() {
    let name = "events_of_an_outage_come_afterwards_once_each_and_in_order";
    let Some(broker) = Broker::plain(name) else { return };
    let mut way = Way::open(broker.port).await;
    let mut ears = Ears::open(broker.port).await;
    let started = Started::new(&config(way.port, &[MqttProfile::Native]));
    ears.on_with(STATUS, "true").await;
    started.refused(1);
    ears.on(EVENTS).await;
    way.cut().await;
    ears.on_with(STATUS, "lwt").await;
    for seq in 2..=50 {
        started.refused(seq);
    }
    started.warm(51, 33.0);
    way.mend().await;
    ears.on_with(STATUS, "true").await;
    // The acknowledgement of the first one may have been cut off, too: then it comes again.
    ears.on_with(EVENTS, "\"seq\":2,").await;
    for seq in 3..=50 {
        let heard = ears.on(EVENTS).await;
        let expected = format!("\"seq\":{seq},");
        assert!(text(&heard).contains(&expected), "{} is not {expected}", text(&heard));
    }
    let heard = ears.on("starbelt/demo/station-1/hist/thermal").await;
    assert!(text(&heard).contains(r#""hottest_c":33.0"#), "{}", text(&heard));
    started.bridge.end().await;
    ears.on_with(STATUS, "ended").await;
}

#[tokio::test]
async fn a_bridge_that_drops_says_only_what_is_now() {
    let name = "a_bridge_that_drops_says_only_what_is_now";
    let Some(broker) = Broker::plain(name) else { return };
    let mut way = Way::open(broker.port).await;
    let mut ears = Ears::open(broker.port).await;
    let config = MqttConfig { queues: false, ..config(way.port, &[MqttProfile::Native]) };
    let started = Started::new(&config);
    ears.on_with(STATUS, "true").await;
    way.cut().await;
    ears.on_with(STATUS, "lwt").await;
    // Whether or not the bridge has noticed yet: it goes nowhere, and is not kept.
    started.refused(2);
    way.mend().await;
    ears.on_with(STATUS, "true").await;
    started.refused(3);
    let heard = ears.on(EVENTS).await;
    assert!(text(&heard).contains("number 3"), "{}", text(&heard));
}

#[tokio::test]
async fn each_sparkplug_connection_has_its_own_number_and_what_waited_is_historical() {
    let name = "each_sparkplug_connection_has_its_own_number_and_what_waited_is_historical";
    let Some(broker) = Broker::plain(name) else { return };
    let mut way = Way::open(broker.port).await;
    let mut ears = Ears::open(broker.port).await;
    let started = Started::new(&config(way.port, &[MqttProfile::Sparkplug]));
    ears.on("spBv1.0/demo/NBIRTH/station-1").await;
    way.cut().await;
    let death = ears.on("spBv1.0/demo/NDEATH/station-1").await;
    assert_eq!(number(&Payload::decode(&death.payload[..]).expect("the broker is there")), 0);
    started.warm(1, 33.0);
    way.mend().await;
    let birth = ears.on("spBv1.0/demo/NBIRTH/station-1").await;
    // Tries while it was away count, too.
    assert!(1 <= number(&Payload::decode(&birth.payload[..]).expect("the broker is there")));
    let late = ears.on("spBv1.0/demo/NDATA/station-1").await;
    let late = Payload::decode(&late.payload[..]).expect("the broker is there");
    assert!(late.metrics.iter().all(|metric| metric.is_historical == Some(true)), "{late:?}");
}

fn number(payload: &Payload) -> u64 {
    let named = payload.metrics.iter().find(|m| m.name.as_deref() == Some("bdSeq"));
    match named.and_then(|metric| metric.value.clone()) {
        Some(MetricValue::Long(number)) => number,
        other => panic!("{other:?} is no number of a birth"),
    }
}

#[tokio::test]
async fn a_broker_that_was_killed_is_told_everything_again() {
    let name = "a_broker_that_was_killed_is_told_everything_again";
    let Some(mut broker) = Broker::plain(name) else { return };
    let mut ears = Ears::open(broker.port).await;
    let started = Started::new(&config(broker.port, &[MqttProfile::HomeAssistant]));
    ears.on_with(STATUS, "true").await;
    started.warm(1, 41.5);
    ears.on("homeassistant/device/station-1/config").await;
    drop(ears);
    broker.kill();
    broker.restart();
    // It kept nothing; whoever comes when finds what is kept.
    let mut ears = Ears::open(broker.port).await;
    let mut wanted = vec![STATUS, "homeassistant/device/station-1/config"];
    while !wanted.is_empty() {
        let heard = ears.want(|publish| wanted.contains(&publish.topic.as_str())).await;
        wanted.retain(|topic| *topic != heard.topic);
    }
}
