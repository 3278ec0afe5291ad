//! Tells the MQTT bridge what this node reports and, if it is to, what others report. Does nothing in an agent that was built without.

pub(super) use self::inner::{Tap, attend, start};

#[cfg(not(feature = "mqtt"))]
mod inner {
    use std::sync::Arc;

    use protocol::event::Event;
    use protocol::report::Report;
    use tokio::task::JoinHandle;

    use super::super::start::StartError;
    use super::super::work::Work;
    use crate::clock::Clock;
    use crate::config::Config;

    /// Nobody.
    #[derive(Clone, Debug)]
    pub(in crate::shell) struct Tap;

    impl Tap {
        pub(in crate::shell) const fn report(&self, _report: &Report) {}

        pub(in crate::shell) const fn event(&self, _event: &Event) {}

        pub(in crate::shell) async fn end(&self) {}
    }

    pub(in crate::shell) const fn start(
        _config: &Config,
        _clock: &Clock,
        _background: &mut Vec<JoinHandle<()>>,
    ) -> Result<Tap, StartError> {
        Ok(Tap)
    }

    pub(in crate::shell) const fn attend(
        _config: &Config,
        _work: &Arc<Work>,
        _background: &mut Vec<JoinHandle<()>>,
    ) {
    }
}

#[cfg(feature = "mqtt")]
mod inner {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use protocol::decode;
    use protocol::event::Event;
    use protocol::report::Report;
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;
    use types::NodeKind;

    use super::super::start::StartError;
    use super::super::work::Work;
    use crate::clock::Clock;
    use crate::config::{Config, MqttNodes};
    use crate::mqtt::{Bridge, Told};

    /// Frames of other nodes that wait to be read.
    const FRAMES_MAX: usize = 256;

    /// The bridge, if there is one.
    #[derive(Clone, Debug)]
    pub(in crate::shell) struct Tap {
        bridge: Option<Bridge>,
    }

    impl Tap {
        pub(in crate::shell) fn report(&self, report: &Report) {
            if let Some(bridge) = &self.bridge {
                bridge.tell(&Told::Report(Arc::new(report.clone())));
            }
        }

        pub(in crate::shell) fn event(&self, event: &Event) {
            if let Some(bridge) = &self.bridge {
                bridge.tell(&Told::Event(Arc::new(event.clone())));
            }
        }

        /// Says farewell to the broker.
        pub(in crate::shell) async fn end(&self) {
            if let Some(bridge) = &self.bridge {
                bridge.end().await;
            }
        }
    }

    /// Starts the bridge, if one is configured.
    pub(in crate::shell) fn start(
        config: &Config,
        clock: &Clock,
        background: &mut Vec<JoinHandle<()>>,
    ) -> Result<Tap, StartError> {
        let Some(mqtt) = &config.mqtt else { return Ok(Tap { bridge: None }) };
        let (bridge, tasks) = Bridge::start(mqtt, (&config.node, &config.fleet), clock)?;
        background.extend(tasks);
        Ok(Tap { bridge: Some(bridge) })
    }

    /// Tells the bridge what reports do not say: contacts and, for a whole fleet, what other nodes say.
    pub(in crate::shell) fn attend(
        config: &Config,
        work: &Arc<Work>,
        background: &mut Vec<JoinHandle<()>>,
    ) {
        let (Some(mqtt), Some(bridge)) = (&config.mqtt, &work.tap().bridge) else { return };
        let told = contacts(Arc::clone(work), bridge.clone(), mqtt.interval);
        background.push(tokio::spawn(told));
        if mqtt.nodes == MqttNodes::Fleet {
            background.push(tokio::spawn(others(Arc::clone(work), bridge.clone())));
        }
    }

    /// Tells the next contact with a ground station, as the plan has it now.
    async fn contacts(work: Arc<Work>, bridge: Bridge, interval: std::time::Duration) {
        while work.is_wanted() {
            let now = work.clock().sky();
            let next = work.plan().next_contact_with(NodeKind::GroundStation, now);
            bridge.tell(&Told::Contact(next.map(|contact| now.plus_s(contact.opens_in_s))));
            tokio::time::sleep(interval).await;
        }
    }

    /// Tells what other nodes report; what this one reports comes the short way.
    async fn others(work: Arc<Work>, bridge: Bridge) {
        let (frames, mut told) = mpsc::channel(FRAMES_MAX);
        if let Err(error) = work.fleet().follow_nodes(frames).await {
            return tracing::error!(%error, "the MQTT bridge hears only this node");
        }
        while let Some((key, frame)) = told.recv().await {
            match of_other(&work, &key, &frame) {
                Ok(Some(told)) => bridge.tell(&told),
                Ok(None) => {}
                Err(reason) => {
                    work.frames_dropped().fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(key, reason, "frame dropped");
                }
            }
        }
    }

    fn of_other(work: &Work, key: &str, frame: &[u8]) -> Result<Option<Told>, String> {
        let (node, group, told) = if key.ends_with("/evt") {
            let event = decode::<Event>(frame).map_err(|error| error.to_string())?;
            (event.header.node.clone(), None, Told::Event(Arc::new(event)))
        } else {
            let report = decode::<Report>(frame).map_err(|error| error.to_string())?;
            let group = Some(report.body.group());
            (report.header.node.clone(), group, Told::Report(Arc::new(report)))
        };
        if node == *work.me() {
            return Ok(None);
        }
        if !work.fleet().is_key_of(key, &node, group) {
            return Err(format!("it is of {node}, which is not who the key names"));
        }
        Ok(Some(told))
    }
}
