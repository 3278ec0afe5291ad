//! The sky clock of a controller, on a session of its own where there is an emulation.

use std::time::Duration;

use protocol::key::SimKeys;
use protocol::sim::SimClock;
use tokio::task::JoinHandle;
use types::SkyClock;

use super::run::{Shared, Wake};
use super::secured::Secured;
use super::zenoh::{Bus, BusError, BusRole};
use crate::config::Config;
use crate::event::Input;

/// Between two tries to reach the sim-bridge (wall).
const UPLINK_PAUSE: Duration = Duration::from_millis(300);

/// The sky clock: the real one, or told by the bridge on a session of its own. That session opens only when the
/// bridge is there, so a task waits for it.
pub(super) async fn follow(
    config: &Config,
    shared: &Shared,
    secured: Option<&Secured>,
) -> Option<JoinHandle<Result<Bus, BusError>>> {
    let Some(sim) = &config.sim else {
        shared.bring(Wake::Input(Input::Clock(SkyClock::REAL))).await;
        return None;
    };
    let role = BusRole::Client { connect: sim.connect.clone() };
    let security = secured.map(|secured| secured.sim.clone());
    let sink = shared.clone();
    Some(tokio::spawn(async move {
        let bus = loop {
            match Bus::open(&role, security.as_ref()).await {
                Ok(bus) => break bus,
                Err(error) => tracing::debug!(%error, "waiting for the sim-bridge"),
            }
            tokio::time::sleep(UPLINK_PAUSE).await;
        };
        let hear = move |_: &str, frame: Vec<u8>| match protocol::decode::<SimClock>(&frame) {
            Ok(told) => sink.offer(Input::Clock(told.clock)),
            Err(error) => tracing::warn!(%error, "clock refused"),
        };
        bus.subscribe(SimKeys::CLOCK, hear).await?;
        Ok(bus)
    }))
}

/// Ends that.
pub(super) async fn stop(clock: JoinHandle<Result<Bus, BusError>>) {
    if !clock.is_finished() {
        clock.abort();
    }
    match clock.await {
        Ok(Ok(bus)) => bus.close().await,
        Ok(Err(error)) => tracing::warn!(%error, "the clock was never followed"),
        // It still waited for the bridge.
        Err(_) => {}
    }
}
