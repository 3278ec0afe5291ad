//! The emulation's bus: a client session of its own that carries only `_sim/**`, so that nothing is relayed between
//! the two networks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::decode;
use protocol::key::SimKeys;
use protocol::sim::{SimClock, SimEnv};
use tokio::sync::mpsc;
use types::{NodeId, SkyClock};
use zenoh::Wait as _;
use zenoh::query::Reply;
use zenoh::sample::Sample;

use super::{BusError, Security, bytes_of, settings};
use crate::config::Endpoint;

/// How long the bridge may take to tell the time.
const CLOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// What the emulation tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Told {
    /// The clock of the replay.
    Clock(SkyClock),
    /// What surrounds this node.
    Env(SimEnv),
}

/// Connects to the bridge, however long that takes, and tells what it tells until the session is dropped. While
/// `told` is full, news are left out: the next second brings newer ones.
///
/// # Errors
/// [`BusError`] when the session cannot be set up at all.
pub async fn follow(
    (bridge, security): (&Endpoint, Option<&Security>),
    me: &NodeId,
    told: mpsc::Sender<Told>,
    dropped: Arc<AtomicU64>,
) -> Result<EmulationBus, BusError> {
    let session = super::open(settings::sim(bridge, security)?, security).await;
    let session = session.map_err(BusError::of("emulation"))?;
    let take = move |frame: &[u8], is_clock: bool| {
        let news = if is_clock {
            decode::<SimClock>(frame).map(|message| Told::Clock(message.clock))
        } else {
            decode::<SimEnv>(frame).map(Told::Env)
        };
        match news {
            Ok(news) => {
                // Full: the next second brings newer news.
                told.try_send(news).ok();
            }
            Err(error) => {
                dropped.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, is_clock, "frame of the emulation dropped");
            }
        }
    };
    let take = Arc::new(take);
    for (key, is_clock) in [(SimKeys::CLOCK.to_owned(), true), (SimKeys::env(me), false)] {
        let take = Arc::clone(&take);
        let callback = move |sample: Sample| take(&bytes_of(sample.payload()), is_clock);
        let declared = session.declare_subscriber(key.clone()).callback(callback).background();
        declared.await.map_err(BusError::of(&key))?;
    }
    let callback = move |reply: Reply| {
        if let Ok(sample) = reply.result() {
            take(&bytes_of(sample.payload()), true);
        }
    };
    let get = session.get(SimKeys::CLOCK).timeout(CLOCK_TIMEOUT).callback(callback);
    get.wait().map_err(BusError::of(SimKeys::CLOCK))?;
    Ok(EmulationBus { _session: session })
}

/// The session; dropping it ends it.
#[derive(Debug)]
pub struct EmulationBus {
    _session: zenoh::Session,
}
