//! The shadow of a thing of AWS IoT Core: a document of the newest values, named `telemetry`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::message::{Publish, Qos};
use crate::native;
use crate::nodes::Node;
use crate::settings::Settings;
use crate::value::Json;

/// Largest document of a shadow, by the quotas of AWS IoT Core.
pub(crate) const SHADOW_BYTES_MAX: usize = 8 * 1024;

#[derive(Serialize)]
struct Update {
    state: State,
}

#[derive(Serialize)]
struct State {
    reported: BTreeMap<&'static str, BTreeMap<&'static str, Json>>,
}

fn topic(settings: &Settings, rest: &str) -> String {
    format!("$aws/things/{}/shadow/name/telemetry/{rest}", settings.aws_thing)
}

/// Where refusals come.
pub(crate) fn rejected_topic(settings: &Settings) -> String {
    topic(settings, "update/rejected")
}

/// All newest values of this node; `None` if there are none, or more than a shadow holds. In a shadow a value that is not known is
/// `null`, which removes it.
pub(crate) fn update(settings: &Settings, node: &Node) -> Option<Publish> {
    let reported = native::values(node);
    if reported.is_empty() {
        return None;
    }
    let payload = native::json(&Update { state: State { reported } });
    let publish =
        Publish { topic: topic(settings, "update"), payload, qos: Qos::AtLeastOnce, retain: false };
    (publish.payload.len() <= SHADOW_BYTES_MAX).then_some(publish)
}
