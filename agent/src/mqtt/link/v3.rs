//! MQTT 3.1.1 by rumqttc.

use mqtt_bridge::{Opening, Qos};
use rumqttc::{
    AsyncClient, Event, EventLoop, LastWill, MqttOptions, NetworkOptions, Outgoing, Packet, QoS,
    SubscribeReasonCode,
};
use tokio::sync::mpsc;

use super::{
    Broker, CONNECT_S, IN_FLIGHT_MAX, Ids, News, PACKET_IN_BYTES_MAX, PACKET_OUT_BYTES_MAX,
    REQUESTS_MAX,
};

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
    options.set_clean_session(true);
    options.set_inflight(IN_FLIGHT_MAX);
    // u32 is not wider than usize on any machine that runs an agent.
    let bytes = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
    options.set_max_packet_size(bytes(PACKET_IN_BYTES_MAX), bytes(PACKET_OUT_BYTES_MAX));
    options.set_transport(broker.transport());
    if let Some((name, password)) = &broker.login {
        options.set_credentials(name, password);
    }
    if let Some(will) = opening.will.clone() {
        options.set_last_will(LastWill::new(will.topic, will.payload, qos(will.qos), will.retain));
    }
    let (client, mut events) = AsyncClient::new(options, REQUESTS_MAX);
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(CONNECT_S);
    network.set_tcp_nodelay(true);
    events.set_network_options(network);
    (client, events)
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
        Event::Incoming(Packet::PubAck(ack)) => News::Acked(ack.pkid, None),
        Event::Incoming(Packet::Publish(publish)) => News::Heard {
            topic: publish.topic,
            payload: publish.payload.to_vec(),
            retain: publish.retain,
        },
        Event::Incoming(Packet::SubAck(ack)) => {
            if !ack.return_codes.contains(&SubscribeReasonCode::Failure) {
                return None;
            }
            News::Denied("the broker does not allow it".to_owned())
        }
        Event::Outgoing(Outgoing::Publish(id)) => ids.written(id),
        Event::Outgoing(Outgoing::AwaitAck(id)) => ids.waits(id),
        Event::Outgoing(Outgoing::Disconnect) => News::Left,
        Event::Incoming(_) | Event::Outgoing(_) => News::Alive,
    })
}
