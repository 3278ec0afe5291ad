//! The settings of both sessions, where they differ from Zenoh's own.

use zenoh::Config as Settings;

use super::{BusError, Security};
use crate::config::{Config, Endpoint};

/// Largest message that an agent takes: a body of 8 MiB and its header.
const MESSAGE_BYTES_MAX: usize = 9 * 1024 * 1024;
/// Sessions that an agent keeps: its neighbours, with room.
const SESSIONS_MAX: usize = 64;
/// Silence after which a link is given up, in milliseconds, and signs of life in that time.
const LEASE: (u32, u32) = (4000, 4);
/// Between two tries to connect, in milliseconds: heals a cut link in half a second.
const RETRY: (u32, u32) = (200, 500);

/// The session of the fleet: a router with explicit endpoints that dials for ever.
pub(super) fn fleet(config: &Config, security: Option<&Security>) -> Result<Settings, BusError> {
    let mut settings = common(security)?;
    set(&mut settings, "mode", "\"router\"")?;
    set(&mut settings, "listen/endpoints", &list(&config.bus.listen))?;
    set(&mut settings, "connect/endpoints", &list(&config.bus.connect))?;
    Ok(settings)
}

/// The session of the emulation: a client of the bridge, which relays nothing.
pub(super) fn sim(bridge: &Endpoint, security: Option<&Security>) -> Result<Settings, BusError> {
    let mut settings = common(security)?;
    set(&mut settings, "mode", "\"client\"")?;
    set(&mut settings, "connect/endpoints", &list(std::slice::from_ref(bridge)))?;
    Ok(settings)
}

pub(super) fn common(security: Option<&Security>) -> Result<Settings, BusError> {
    let mut settings = Settings::default();
    let (lease_ms, keep_alive) = LEASE;
    let (first_ms, last_ms) = RETRY;
    let retry = format!(
        "{{period_init_ms: {first_ms}, period_max_ms: {last_ms}, period_increase_factor: 1.5}}"
    );
    for (key, value) in [
        ("connect/timeout_ms", "-1".to_owned()),
        ("connect/exit_on_failure", "false".to_owned()),
        ("connect/retry", retry),
        ("scouting/multicast/enabled", "false".to_owned()),
        ("scouting/gossip/enabled", "false".to_owned()),
        // A router sleeps so long at its start, to be found by scouting.
        ("scouting/delay", "0".to_owned()),
        ("transport/unicast/max_sessions", SESSIONS_MAX.to_string()),
        ("transport/link/rx/max_message_size", MESSAGE_BYTES_MAX.to_string()),
        ("transport/link/tx/lease", lease_ms.to_string()),
        ("transport/link/tx/keep_alive", keep_alive.to_string()),
        ("transport/link/protocols", "[\"tcp\"]".to_owned()),
    ] {
        set(&mut settings, key, &value)?;
    }
    let Some(security) = security else { return Ok(settings) };
    secure::settings::identify(&mut settings, &security.paths).map_err(BusError::of("identity"))?;
    if let Some((fleet, policies)) = &security.policies {
        secure::settings::restrict(&mut settings, fleet, policies)
            .map_err(BusError::of("access rules"))?;
    }
    Ok(settings)
}

pub(super) fn set(settings: &mut Settings, key: &str, value: &str) -> Result<(), BusError> {
    settings.insert_json5(key, value).map_err(BusError::of(key))
}

fn list(endpoints: &[Endpoint]) -> String {
    let quoted: Vec<_> =
        endpoints.iter().map(|endpoint| format!("{:?}", endpoint.as_str())).collect();
    format!("[{}]", quoted.join(","))
}
