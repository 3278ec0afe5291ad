//! Events on their way to the bus.

use protocol::event::Event;
use tokio::sync::mpsc;

use crate::health::Pulse;
use crate::shell::zenoh::Fleet;

/// Publishes events in order; a congested link makes them wait, not the shell.
pub(super) async fn publish(
    fleet: Fleet,
    mut events: mpsc::Receiver<Box<Event>>,
    mut pulse: Pulse,
) {
    while let Some(event) = pulse.during(events.recv()).await {
        let fleet = fleet.clone();
        let published = tokio::task::spawn_blocking(move || match protocol::encode(&*event) {
            Ok(frame) => fleet.publish_event_blocking(frame),
            Err(error) => tracing::error!(%error, "event cannot be sent"),
        });
        if let Err(error) = pulse.during(published).await {
            tracing::error!(%error, "event was lost");
        }
    }
}
