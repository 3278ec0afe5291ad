//! Documents from which Home Assistant makes devices and entities.

use std::collections::BTreeMap;

use serde::Serialize;
use types::NodeId;

use crate::message::{Publish, Qos};
use crate::metric::{METRICS, Metric, StateClass};
use crate::native;
use crate::nodes::Node;
use crate::settings::{Discovery, Settings};

/// Where Home Assistant says that it has started.
pub(crate) fn birth_topic(settings: &Settings) -> String {
    format!("{}/status", settings.discovery_prefix)
}

#[derive(Serialize)]
struct Device<'a> {
    ids: [String; 1],
    name: &'a str,
    mf: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mdl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sw: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    via_device: Option<String>,
}

#[derive(Serialize)]
struct Origin<'a> {
    name: &'static str,
    sw: &'a str,
}

#[derive(Clone, Serialize)]
struct Availability {
    topic: String,
    value_template: &'static str,
}

#[derive(Serialize)]
struct Entity {
    #[serde(rename = "p", skip_serializing_if = "Option::is_none")]
    platform: Option<&'static str>,
    name: &'static str,
    unique_id: String,
    state_topic: String,
    value_template: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_of_measurement: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_class: Option<&'static str>,
}

#[derive(Serialize)]
struct DeviceDocument<'a> {
    dev: Device<'a>,
    o: Origin<'a>,
    availability: Vec<Availability>,
    availability_mode: &'static str,
    cmps: BTreeMap<String, Entity>,
}

#[derive(Serialize)]
struct EntityDocument<'a> {
    dev: &'a Device<'a>,
    o: &'a Origin<'a>,
    availability: &'a [Availability],
    availability_mode: &'static str,
    #[serde(flatten)]
    entity: Entity,
}

/// The documents of a node. Entities are there only for what the node has said once: a board without a battery shows none.
pub(crate) fn documents(settings: &Settings, name: &NodeId, node: &Node) -> Vec<Publish> {
    let entities = METRICS.iter().filter(|metric| node.stamp(metric.part).is_some());
    let entities = entities.map(|metric| (object(metric), entity(settings, name, metric)));
    let (device, origin) = (device(settings, name, node), origin(settings));
    let availability = availability(settings, name);
    match settings.discovery {
        Discovery::Device => {
            let mut cmps = BTreeMap::new();
            for (object, entity) in entities {
                cmps.insert(object, Entity { platform: Some("sensor"), ..entity });
            }
            let document = DeviceDocument {
                dev: device,
                o: origin,
                availability,
                availability_mode: "all",
                cmps,
            };
            vec![kept(format!("device/{name}"), settings, &document)]
        }
        Discovery::Entities => entities
            .map(|(object, entity)| {
                let document = EntityDocument {
                    dev: &device,
                    o: &origin,
                    availability: &availability,
                    availability_mode: "all",
                    entity,
                };
                kept(format!("sensor/{name}/{object}"), settings, &document)
            })
            .collect(),
    }
}

fn kept<T: Serialize>(what: String, settings: &Settings, document: &T) -> Publish {
    Publish {
        topic: format!("{}/{what}/config", settings.discovery_prefix),
        payload: native::json(document),
        qos: Qos::AtLeastOnce,
        retain: true,
    }
}

fn object(metric: &Metric) -> String {
    format!("{}_{}", metric.part.as_str(), metric.key)
}

fn id(settings: &Settings, name: &NodeId) -> String {
    format!("starbelt-{}-{name}", settings.fleet)
}

fn device<'a>(settings: &Settings, name: &'a NodeId, node: &'a Node) -> Device<'a> {
    let via = (*name != settings.node).then(|| id(settings, &settings.node));
    Device {
        ids: [id(settings, name)],
        name: name.as_str(),
        mf: "Starbelt",
        mdl: node.kind.map(|kind| kind.to_string()),
        sw: node.version.as_deref(),
        via_device: via,
    }
}

fn origin(settings: &Settings) -> Origin<'_> {
    Origin { name: "starbelt-agent", sw: &settings.version }
}

/// A node is there if it says so, and if who speaks for it is there.
fn availability(settings: &Settings, name: &NodeId) -> Vec<Availability> {
    let of = |node: &NodeId| Availability {
        topic: native::topic(&settings.fleet, node, "status"),
        value_template: "{{ 'online' if value_json.online else 'offline' }}",
    };
    let mut all = vec![of(name)];
    if *name != settings.node {
        all.push(of(&settings.node));
    }
    all
}

fn entity(settings: &Settings, name: &NodeId, metric: &Metric) -> Entity {
    let state_topic = format!("tlm/{}", metric.part.as_str());
    Entity {
        platform: None,
        name: metric.name,
        unique_id: format!("{}-{}", id(settings, name), object(metric)),
        state_topic: native::topic(&settings.fleet, name, &state_topic),
        value_template: format!("{{{{ value_json['values'].{} }}}}", metric.key),
        device_class: metric.device_class,
        unit_of_measurement: Some(metric.unit).filter(|unit| !unit.is_empty()),
        state_class: metric.state_class.map(|class| match class {
            StateClass::Measurement => "measurement",
            StateClass::TotalIncreasing => "total_increasing",
        }),
    }
}
