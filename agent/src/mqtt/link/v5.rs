//! MQTT 5 by rumqttc.

use mqtt_bridge::{Opening, Qos};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{LastWill, Packet, PubAckReason, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use rumqttc::{NetworkOptions, Outgoing};
use tokio::sync::mpsc;

use super::{Broker, CONNECT_S, IN_FLIGHT_MAX, Ids, News, PACKET_IN_BYTES_MAX, REQUESTS_MAX};

/// Their name of a quality of service.
pub(super) const fn qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
    }
}

/// A client, and the event loop that connects when it is polled.
pub(super) fn open(broker: &Broker, suffix: &str, opening: &Opening) -> (AsyncClient, EventLoop) {
    let id = broker.client_id(suffix);
    let mut options = MqttOptions::new(id, broker.url.host.clone(), broker.url.port);
    options.set_keep_alive(broker.keep_alive);
    options.set_clean_start(true);
    options.set_connection_timeout(CONNECT_S);
    options.set_outgoing_inflight_upper_limit(IN_FLIGHT_MAX);
    options.set_max_packet_size(Some(PACKET_IN_BYTES_MAX));
    options.set_transport(broker.transport());
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    if let Some((name, password)) = &broker.login {
        options.set_credentials(name, password);
    }
    if let Some(will) = opening.will.clone() {
        let qos = qos(will.qos);
        options.set_last_will(LastWill::new(will.topic, will.payload, qos, will.retain, None));
    }
    AsyncClient::new(options, REQUESTS_MAX)
}

/// Polls until the connection is gone.
pub(super) async fn read(mut events: EventLoop, news: mpsc::Sender<News>) {
    let mut ids = Ids::default();
    loop {
        let (told, is_last) = match events.poll().await {
            Ok(event) => (told(event, &mut ids), false),
            Err(error) => (Some(News::Gone(error.to_string())), true),
        };
        let Some(told) = told else { continue };
        if news.send(told).await.is_err() || is_last {
            return;
        }
    }
}

fn told(event: Event, ids: &mut Ids) -> Option<News> {
    Some(match event {
        Event::Incoming(Packet::ConnAck(_)) => News::Up,
        Event::Incoming(Packet::PubAck(ack)) => {
            // Nobody listens: that is no refusal.
            let is_taken =
                matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
            News::Acked(ack.pkid, (!is_taken).then(|| format!("{:?}", ack.reason)))
        }
        Event::Incoming(Packet::Publish(publish)) => News::Heard {
            // A topic that is no text is none of ours.
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload.to_vec(),
            retain: publish.retain,
        },
        Event::Incoming(Packet::SubAck(ack)) => {
            let is_refusal =
                |code: &&SubscribeReasonCode| !matches!(code, SubscribeReasonCode::Success(_));
            let refusal = ack.return_codes.iter().find(is_refusal)?;
            News::Denied(format!("{refusal:?}"))
        }
        Event::Outgoing(Outgoing::Publish(id)) => ids.written(id),
        Event::Outgoing(Outgoing::AwaitAck(id)) => ids.waits(id),
        Event::Outgoing(Outgoing::Disconnect) => News::Left,
        Event::Incoming(_) | Event::Outgoing(_) => News::Alive,
    })
}
