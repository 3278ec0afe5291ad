//! The rules of `controller.toml` that its types cannot say; all that are broken are reported together.

use std::net::{SocketAddr, ToSocketAddrs};

use super::{Config, ConfigError, Layers, NodeSection, Problem};

/// Most nodes of a fleet, as on the wire.
const NODES_MAX: usize = 256;
/// Most grid points of a contact plan, as on the wire.
const STEPS_MAX: u64 = 12_000;

pub(super) fn check(config: &Config, layers: &Layers) -> Result<(), ConfigError> {
    let mut problems = Vec::new();
    let mut say = |section: &str, nth: usize, key: &str, rule: String| {
        problems.push(layers.problem(section, nth, key, rule));
    };
    if config.version != 1 {
        say(
            "",
            0,
            "version",
            format!("{} is not 1, the only version of this format", config.version),
        );
    }
    check_addresses(config, &mut say);
    check_plan(config, &mut say);
    if config.lease.ms < 100 || 3_600_000 < config.lease.ms {
        say("lease", 0, "ms", format!("{} is outside 100 to 3600000", config.lease.ms));
    }
    if NODES_MAX < config.node.len() {
        say("node", NODES_MAX, "name", format!("a fleet has at most {NODES_MAX} nodes"));
    }
    for (nth, node) in config.node.iter().enumerate() {
        check_node(config, nth, node, &mut say);
    }
    finish(problems)
}

fn finish(problems: Vec<Problem>) -> Result<(), ConfigError> {
    if problems.is_empty() { Ok(()) } else { Err(ConfigError(problems)) }
}

fn check_addresses(config: &Config, say: &mut impl FnMut(&str, usize, &str, String)) {
    if !config.http.listen.ip().is_loopback() {
        say("http", 0, "listen", beyond_loopback(&config.http.listen.to_string()));
    }
    for address in &config.bus.listen {
        match tcp_address(address) {
            Ok(socket) if socket.ip().is_loopback() => {}
            Ok(_) => say("bus", 0, "listen", beyond_loopback(address)),
            Err(rule) => say("bus", 0, "listen", rule),
        }
    }
    for address in &config.bus.connect {
        if let Err(rule) = tcp_address(address) {
            say("bus", 0, "connect", rule);
        }
    }
    if let Some(Err(rule)) = config.sim.as_ref().map(|sim| tcp_address(&sim.connect)) {
        say("sim", 0, "connect", rule);
    }
}

fn beyond_loopback(address: &str) -> String {
    format!(
        "{address} is not a loopback address, and no certificates are configured; listen on 127.0.0.1 (or [::1])"
    )
}

fn tcp_address(text: &str) -> Result<SocketAddr, String> {
    let rule = || format!("{text:?} is not an address like tcp/127.0.0.1:7447");
    let rest = text.strip_prefix("tcp/").ok_or_else(rule)?;
    match rest.parse() {
        Ok(address) => Ok(address),
        // A name must resolve now; numbers never ask anyone.
        Err(_) => rest.to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(rule),
    }
}

fn check_plan(config: &Config, say: &mut impl FnMut(&str, usize, &str, String)) {
    let plan = &config.plan;
    if !(100..=60_000).contains(&plan.step_ms) {
        say("plan", 0, "step_ms", format!("{} is outside 100 to 60000", plan.step_ms));
    } else {
        let steps = u64::from(plan.horizon_s) * 1000 / u64::from(plan.step_ms);
        if !(2..STEPS_MAX).contains(&steps) {
            let rule = format!(
                "{} s in steps of {} ms are {steps} grid points, outside 2 to {STEPS_MAX}",
                plan.horizon_s, plan.step_ms
            );
            say("plan", 0, "horizon_s", rule);
        }
    }
    if plan.refresh_s == 0 || plan.horizon_s <= plan.refresh_s {
        let rule =
            format!("{} is not between 1 and the horizon of {} s", plan.refresh_s, plan.horizon_s);
        say("plan", 0, "refresh_s", rule);
    }
    if let Some(guard_s) = plan.guard_s.filter(|guard_s| !(0.0..=3600.0).contains(guard_s)) {
        say("plan", 0, "guard_s", format!("{guard_s} is outside 0 to 3600"));
    }
    if 600_000 < plan.prepare_ms {
        say("plan", 0, "prepare_ms", format!("{} is more than 600000", plan.prepare_ms));
    }
}

fn check_node(
    config: &Config,
    nth: usize,
    node: &NodeSection,
    say: &mut impl FnMut(&str, usize, &str, String),
) {
    let name = &node.name;
    if *name == config.controller.name || config.node[..nth].iter().any(|n| n.name == *name) {
        say("node", nth, "name", format!("{name} is taken already"));
    }
    for (key, value, low, high) in [
        ("reserve", node.reserve, 0.0, 1.0),
        ("idle_w", node.idle_w, 0.0, 1e6),
        ("solar_w", node.solar_w, 0.0, 1e6),
        ("temperature_max_c", node.temperature_max_c, -150.0, 500.0),
        ("ambient_c", node.ambient_c.unwrap_or(0.0), -273.15, 500.0),
        ("heat_capacity_j_k", node.heat_capacity_j_k.unwrap_or(1.0), 1e-3, 1e9),
        ("conductance_w_k", node.conductance_w_k.unwrap_or(1.0), 1e-6, 1e6),
    ] {
        if !(low..=high).contains(&value) {
            say("node", nth, key, format!("{value} of {name} is outside {low} to {high}"));
        }
    }
}
