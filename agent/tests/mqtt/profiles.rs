//! What the profiles say, as other clients of a broker hear it.

use agent::config::{MqttConfig, MqttProfile, MqttProtocol};
use agent::mqtt::Told;
use mqtt_bridge::payload::{Metric, MetricValue, Payload};
use prost::Message as _;

use super::broker::Broker;
use super::ears::{Ears, text};
use super::{Started, config};

const STATUS: &str = "starbelt/demo/station-1/status";
const THERMAL: &str = "starbelt/demo/station-1/tlm/thermal";

#[tokio::test]
async fn both_versions_of_the_protocol_carry_status_values_and_farewell() {
    let name = "both_versions_of_the_protocol_carry_status_values_and_farewell";
    let Some(broker) = Broker::plain(name) else { return };
    for protocol in [MqttProtocol::V3, MqttProtocol::V5] {
        let mut ears = Ears::open(broker.port).await;
        let config = MqttConfig { protocol, ..config(broker.port, &[MqttProfile::Native]) };
        let started = Started::new(&config);
        ears.on_with(STATUS, r#"{"online":true}"#).await;
        started.warm(1, 41.5);
        let heard = ears.on(THERMAL).await;
        assert!(text(&heard).contains(r#""hottest_c":41.5"#), "{}", text(&heard));
        assert!(text(&heard).contains(r#""limit_c":null"#), "{}", text(&heard));
        started.refused(2);
        let heard = ears.on("starbelt/demo/station-1/evt").await;
        assert!(text(&heard).contains(r#""reason":"number 2""#), "{}", text(&heard));
        started.bridge.end().await;
        ears.on_with(STATUS, "ended").await;
        // Who comes later finds it, too; and a farewell is no death: the will is not said.
        drop(ears);
        let mut late = Ears::open(broker.port).await;
        let heard = late.on(STATUS).await;
        assert!(heard.retain && text(&heard).contains("ended"), "{protocol:?} {}", text(&heard));
    }
}

#[tokio::test]
async fn a_node_without_power_is_offline_by_its_will() {
    let Some(broker) = Broker::plain("a_node_without_power_is_offline_by_its_will") else { return };
    let mut ears = Ears::open(broker.port).await;
    let started = Started::new(&config(broker.port, &[MqttProfile::Native]));
    ears.on_with(STATUS, "true").await;
    drop(started);
    ears.on_with(STATUS, r#"{"online":false,"reason":"lwt"}"#).await;
}

#[tokio::test]
async fn home_assistant_finds_the_device_and_asks_again_when_it_starts() {
    let name = "home_assistant_finds_the_device_and_asks_again_when_it_starts";
    let Some(broker) = Broker::plain(name) else { return };
    let mut ears = Ears::open(broker.port).await;
    let started = Started::new(&config(broker.port, &[MqttProfile::HomeAssistant]));
    ears.on(STATUS).await;
    started.warm(1, 41.5);
    let document = ears.on("homeassistant/device/station-1/config").await;
    let document: serde_json::Value = serde_json::from_slice(&document.payload).unwrap();
    let entity = &document["cmps"]["thermal_hottest_c"];
    assert_eq!(entity["state_topic"], THERMAL);
    let value = ears.on(THERMAL).await;
    let value: serde_json::Value = serde_json::from_slice(&value.payload).unwrap();
    assert_eq!(value["values"]["hottest_c"], 41.5, "where the template looks");
    ears.say("homeassistant/status", "online").await;
    ears.on("homeassistant/device/station-1/config").await;
    ears.on(THERMAL).await;
}

#[tokio::test]
async fn commands_are_answered_and_a_read_only_bridge_hears_none() {
    let name = "commands_are_answered_and_a_read_only_bridge_hears_none";
    let Some(broker) = Broker::plain(name) else { return };
    let mut ears = Ears::open(broker.port).await;
    let open = config(broker.port, &[MqttProfile::Native]);
    let started = Started::new(&open);
    ears.on(STATUS).await;
    let status = "starbelt/demo/station-1/cmd/c1/status";
    ears.say("starbelt/demo/station-1/cmd/c1", r#"{"verb":"nop"}"#).await;
    ears.on_with(status, "executing").await;
    ears.on_with(status, "successful").await;
    ears.say("starbelt/demo/station-1/cmd/c2", r#"{"verb":"reboot"}"#).await;
    ears.on_with("starbelt/demo/station-1/cmd/c2/status", "failed").await;
    started.bridge.end().await;
    ears.on_with(STATUS, "ended").await;
    let read_only = MqttConfig { read_only: true, commands: Vec::new(), ..open };
    let started = Started::new(&read_only);
    ears.on_with(STATUS, "true").await;
    ears.say("starbelt/demo/station-1/cmd/c3", r#"{"verb":"nop"}"#).await;
    // What comes after the command has been delivered shows that nothing was said to it.
    started.bridge.end().await;
    let next =
        ears.want(|publish| publish.topic == STATUS || publish.topic.contains("c3/status")).await;
    assert_eq!(next.topic, STATUS, "{}", text(&next));
}

#[tokio::test]
async fn aws_gets_its_shadow() {
    let Some(broker) = Broker::plain("aws_gets_its_shadow") else { return };
    let mut ears = Ears::open(broker.port).await;
    let started = Started::new(&config(broker.port, &[MqttProfile::Aws]));
    started.warm(1, 41.5);
    let heard = ears.on("$aws/things/station-1/shadow/name/telemetry/update").await;
    let update: serde_json::Value = serde_json::from_slice(&heard.payload).unwrap();
    assert_eq!(update["state"]["reported"]["thermal"]["hottest_c"], 41.5);
}

fn bd_seq(payload: &Payload) -> Option<MetricValue> {
    let named = |metric: &&Metric| metric.name.as_deref() == Some("bdSeq");
    payload.metrics.iter().find(named).and_then(|metric| metric.value.clone())
}

#[tokio::test]
async fn a_sparkplug_host_sees_births_data_and_death() {
    let Some(broker) = Broker::plain("a_sparkplug_host_sees_births_data_and_death") else { return };
    let mut ears = Ears::open(broker.port).await;
    let both = [MqttProfile::Native, MqttProfile::Sparkplug];
    let started = Started::new(&config(broker.port, &both));
    let birth = ears.on("spBv1.0/demo/NBIRTH/station-1").await;
    let birth = Payload::decode(&birth.payload[..]).unwrap();
    assert_eq!((birth.seq, bd_seq(&birth)), (Some(0), Some(MetricValue::Long(0))));
    started.warm(1, 41.5);
    let data = ears.on("spBv1.0/demo/NDATA/station-1").await;
    let data = Payload::decode(&data.payload[..]).unwrap();
    assert_eq!(data.seq, Some(1));
    let hottest = birth.metrics.iter().find(|m| m.name.as_deref() == Some("thermal/hottest_c"));
    let alias = hottest.unwrap().alias;
    let told = data.metrics.iter().find(|metric| metric.alias == alias).unwrap();
    assert_eq!(told.value, Some(MetricValue::Float(41.5)));
    let metric = Metric {
        name: Some("Node Control/Rebirth".to_owned()),
        value: Some(MetricValue::Boolean(true)),
        ..Metric::default()
    };
    let command = Payload { metrics: vec![metric], ..Payload::default() };
    ears.say("spBv1.0/demo/NCMD/station-1", command.encode_to_vec()).await;
    let again = ears.on("spBv1.0/demo/NBIRTH/station-1").await;
    let again = Payload::decode(&again.payload[..]).unwrap();
    assert_eq!((again.seq, bd_seq(&again)), (Some(0), Some(MetricValue::Long(0))));
    drop(started);
    let death = ears.on("spBv1.0/demo/NDEATH/station-1").await;
    let death = Payload::decode(&death.payload[..]).unwrap();
    assert_eq!((death.seq, bd_seq(&death)), (None, Some(MetricValue::Long(0))));
}

#[tokio::test]
async fn the_contact_plan_is_told() {
    let Some(broker) = Broker::plain("the_contact_plan_is_told") else { return };
    let mut ears = Ears::open(broker.port).await;
    let started = Started::new(&config(broker.port, &[MqttProfile::Native]));
    started.bridge.tell(&Told::Contact(None));
    let heard = ears.on("starbelt/demo/station-1/tlm/contact").await;
    assert!(text(&heard).contains(r#""next_ground_contact":null"#), "{}", text(&heard));
}
